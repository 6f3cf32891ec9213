"""What can be asked on the command line, once for every command that asks it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, get_args, get_type_hints

import typer

from meetsplit.pipeline.errors import SettingsError, nearest
from meetsplit.pipeline.settings import Outputs, Settings, current_options, from_toml

_WHO, _OVERLAP, _WORDS, _FILES, _MACHINE = (
    "Who spoke when",
    "Where voices overlap",
    "What was said",
    "What is written",
    "This machine",
)

_FITTING: Mapping[Any, tuple[type[Any], ...]] = MappingProxyType(
    {int: (int,), float: (int, float), str: (str,), bool: (bool,), Path: (type(Path()),), NoneType: (NoneType,)}
)
"""Types of values that fit a setting of a plain type; literals and tuples are checked where they are used."""

_OPTIONS: Mapping[str, str] = MappingProxyType({"folder": "output-dir", "formats": "output-format", "names": "name"})
"""Settings whose option has another name."""


def _asked(  # noqa: PLR0913 - a table of options in the shape that typer reads
    channels: Annotated[
        str | None, typer.Option(help="mix (default), or split: each channel is one person.", rich_help_panel=_WHO)
    ] = None,
    diarizer: Annotated[
        str | None, typer.Option(help="auto, pyannote, embedded or rttm.", rich_help_panel=_WHO)
    ] = None,
    diarizer_model: Annotated[
        str | None,
        typer.Option(
            "--diarizer-model",
            "--diarize-model",
            help="Hub id or folder of a pyannote pipeline, or a segmentation's file for embedded.",
            rich_help_panel=_WHO,
        ),
    ] = None,
    rttm: Annotated[
        Path | None, typer.Option(help="Your own turns; implies --diarizer rttm.", rich_help_panel=_WHO)
    ] = None,
    num_speakers: Annotated[int | None, typer.Option(help="Exactly this many people.", rich_help_panel=_WHO)] = None,
    min_speakers: Annotated[int | None, typer.Option(help="At least this many.", rich_help_panel=_WHO)] = None,
    max_speakers: Annotated[int | None, typer.Option(help="At most this many.", rich_help_panel=_WHO)] = None,
    separator: Annotated[
        str | None, typer.Option(help="auto, sepformer, adapted, dictionary or none.", rich_help_panel=_OVERLAP)
    ] = None,
    separator_model: Annotated[
        str | None, typer.Option(help="Hub id or folder of a SpeechBrain SepFormer.", rich_help_panel=_OVERLAP)
    ] = None,
    separator_model_3: Annotated[
        str | None, typer.Option(help="The same for three voices at once.", rich_help_panel=_OVERLAP)
    ] = None,
    adapt_budget: Annotated[
        float | None,
        typer.Option(
            help="Seconds in which adapted may learn a recording's voices. (default: 60)", rich_help_panel=_OVERLAP
        ),
    ] = None,
    separate: Annotated[
        str | None, typer.Option(help="overlaps (default), auto, everywhere or off.", rich_help_panel=_OVERLAP)
    ] = None,
    match_threshold: Annotated[
        float | None,
        typer.Option(help="Least margin (cosine) at which a separated voice is believed.", rich_help_panel=_OVERLAP),
    ] = None,
    overlap_checks: Annotated[
        str | None,
        typer.Option(
            help="resegment, verify, leakage, duplicates with commas; all (default) or none.",
            rich_help_panel=_OVERLAP,
        ),
    ] = None,
    gates: Annotated[str | None, typer.Option(help="Earlier name of --overlap-checks.", hidden=True)] = None,
    transcriber: Annotated[
        str | None, typer.Option(help="auto, whisper, sphinx or script.", rich_help_panel=_WORDS)
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Whisper model: tiny … large-v3, turbo, or a .pt file.", rich_help_panel=_WORDS)
    ] = None,
    language: Annotated[
        str | None,
        typer.Option(help="Language spoken, en or english; found per person if left out.", rich_help_panel=_WORDS),
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="transcribe (default) or translate into English.", rich_help_panel=_WORDS)
    ] = None,
    initial_prompt: Annotated[
        str | None, typer.Option(help="Names and terms to expect.", rich_help_panel=_WORDS)
    ] = None,
    script: Annotated[
        Path | None,
        typer.Option(help="Your own words (STM, CTM, SegLST); implies --transcriber script.", rich_help_panel=_WORDS),
    ] = None,
    output_dir: Annotated[
        Path | None,
        typer.Option("--output-dir", "-o", help="Folder for the results. (default: here)", rich_help_panel=_FILES),
    ] = None,
    output_format: Annotated[
        str | None,
        typer.Option(
            "--output-format", "-f", help="Formats, separated by commas, or all (default).", rich_help_panel=_FILES
        ),
    ] = None,
    tracks: Annotated[
        bool | None,
        typer.Option("--tracks/--no-tracks", help="One sound file per person. (default: yes)", rich_help_panel=_FILES),
    ] = None,
    track_format: Annotated[
        str | None, typer.Option(help="wav (default), flac, mp3 or m4a.", rich_help_panel=_FILES)
    ] = None,
    track_gate: Annotated[
        str | None,
        typer.Option(
            help="Tracks where their person is silent: off (default), soft (-20 dB) or hard.", rich_help_panel=_FILES
        ),
    ] = None,
    max_line_width: Annotated[
        int | None, typer.Option(help="Characters per subtitle line. (default: 42)", rich_help_panel=_FILES)
    ] = None,
    max_line_count: Annotated[
        int | None, typer.Option(help="Lines per subtitle. (default: 2)", rich_help_panel=_FILES)
    ] = None,
    name: Annotated[
        list[str] | None, typer.Option(help="SPEAKER_00=Alice; may be repeated.", rich_help_panel=_FILES)
    ] = None,
    overwrite: Annotated[
        bool | None,
        typer.Option(
            "--overwrite/--no-overwrite",
            help="Replace files that are no results of meetsplit. (default: no)",
            rich_help_panel=_FILES,
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.", rich_help_panel=_MACHINE)] = None,
    offline: Annotated[
        bool | None,
        typer.Option(
            "--offline/--online", envvar="HF_HUB_OFFLINE", help="Never touch the network.", rich_help_panel=_MACHINE
        ),
    ] = None,
    hf_token: Annotated[
        str | None,
        typer.Option(
            envvar="HF_TOKEN", show_envvar=True, help="Hugging Face token, for gated models.", rich_help_panel=_MACHINE
        ),
    ] = None,
    cache_dir: Annotated[
        Path | None,
        typer.Option(
            envvar="MEETSPLIT_CACHE",
            help="Where fetched weights and finished stages are kept. (default: ~/.cache/meetsplit)",
            rich_help_panel=_MACHINE,
        ),
    ] = None,
    cache_size: Annotated[
        str | None,
        typer.Option(
            help="Most that finished stages may take; 0: nothing is kept, none: no limit. (default: 5GB)",
            rich_help_panel=_MACHINE,
        ),
    ] = None,
    cache_age: Annotated[
        str | None,
        typer.Option(
            help="Days without use after which finished stages are removed; none: never. (default: 90)",
            rich_help_panel=_MACHINE,
        ),
    ] = None,
    trust_model_code: Annotated[
        bool | None,
        typer.Option(
            "--trust-model-code",
            help="Run the code that a model folder's files ask for, as you and with all your rights; without it folders are only data.",
            rich_help_panel=_MACHINE,
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="For everything that draws at random.", rich_help_panel=_MACHINE)
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="A TOML file with these options; the command line wins.", rich_help_panel=_MACHINE),
    ] = None,
) -> None:
    """Every option of a run. All default to None, so that a settings file can fill what the command line leaves out."""


Command = Callable[..., None]


def run_options(*only: str) -> Callable[[Command], Command]:
    """Give a command every option above (or ``only`` those); it receives them as one mapping ``asked``.

    The command's own parameters stay as they are. Options that were not given are left out of the mapping.
    """
    return add_options(
        _asked, "asked", only, lambda given: {name: value for name, value in given.items() if value is not None}
    )


def add_options(
    table: Callable[..., None],
    into: str,
    only: Sequence[str],
    settled: Callable[[dict[str, Any]], dict[str, Any]] = dict,
) -> Callable[[Command], Command]:
    """Give a command the parameters of ``table`` (or ``only`` those), gathered and ``settled`` as its one mapping
    ``into``.
    """
    options = [p for p in inspect.signature(table, eval_str=True).parameters.values() if not only or p.name in only]

    def decorate(command: Command) -> Command:
        own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != into]

        @functools.wraps(command)
        def wrapper(**given: Any) -> None:
            gathered = {p.name: given.pop(p.name) for p in options}
            command(**{into: settled(gathered)}, **given)

        signature = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in [*own, *options]]
        wrapper.__signature__ = inspect.Signature(signature)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {p.name: p.annotation for p in signature}
        return wrapper

    return decorate


def resolve_settings(asked: Mapping[str, Any], known_formats: tuple[str, ...]) -> tuple[Settings, Outputs]:
    """The settings from a TOML file, if one is named, and the command line on top.

    Raises `SettingsError` for what nobody knows.
    """
    given = current_options(asked)
    file = given.pop("config", None)
    if file is not None:
        given = {**from_toml(file), **given}
    for option, setting in (("name", "names"), ("output_dir", "folder"), ("output_format", "formats")):
        if option in given:
            given[setting] = given.pop(option)
    if "names" in given:
        given["names"] = _names(given["names"])
    if "formats" in given:
        given["formats"] = _formats(given["formats"], known_formats)
    for path in {"rttm", "script", "cache_dir", "folder"} & given.keys():
        given[path] = Path(given[path]) if isinstance(given[path], str) else given[path]
    return _built(Settings, given), _built(Outputs, given)


def _built(kind: type[Any], given: Mapping[str, Any]) -> Any:
    hints = get_type_hints(kind)
    chosen = {f.name: given[f.name] for f in fields(kind) if f.name in given}
    for name, value in chosen.items():
        parts = get_args(hints[name]) if isinstance(hints[name], UnionType) else (hints[name],)
        if all(part in _FITTING for part in parts) and not any(type(value) in _FITTING[part] for part in parts):
            needed = " or ".join(part.__name__ for part in parts if part is not NoneType)
            raise SettingsError(
                f"--{_OPTIONS.get(name, name).replace('_', '-')} {value!r}: a value of type {needed} is needed"
            )
    return kind(**chosen)


def _formats(asked: object, known: tuple[str, ...]) -> tuple[str, ...]:
    """The formats in a text with commas or in a list of texts."""
    listed = asked.split(",") if isinstance(asked, str) else asked
    if not isinstance(listed, list | tuple) or not all(isinstance(part, str) for part in listed):
        raise SettingsError(
            f'--output-format {asked!r}: names of formats are needed, such as "srt,json" or ["srt", "json"]'
        )
    names = [part.strip().lower() for part in listed if part.strip()]
    for name in names:
        if name != "all" and name not in known:
            raise SettingsError(f"--output-format {name}: {nearest(name, [*known, 'all'])}")
    return known if "all" in names else tuple(dict.fromkeys(names))


def _names(asked: object) -> tuple[tuple[str, str], ...]:
    """People's names by label: from ``LABEL=NAME`` texts, or from a table or pairs of a settings file."""
    found: list[tuple[str, str]] = []
    entries = list(asked.items()) if isinstance(asked, Mapping) else [asked] if isinstance(asked, str) else asked
    for entry in entries if isinstance(entries, list | tuple) else [entries]:
        match entry:
            case str() if "=" in entry:
                label, _, person = entry.partition("=")
            case (str() as label, str() as person):
                pass
            case _:
                label, person = "", ""
        if not (label and person.strip()):
            raise SettingsError(
                f"--name {entry if isinstance(entry, str) else repr(entry)}: write it as SPEAKER_00=Alice"
            )
        found.append((label, person.strip()))
    return tuple(found)


def given_files(asked: Mapping[str, Any], recordings: Sequence[Path]) -> tuple[Path, ...]:
    """The files that a command reads and never writes over: recordings, turns, words and the settings file."""
    toml = from_toml(asked["config"]) if "config" in asked else {}
    find_job = [toml.get("rttm"), toml.get("script"), *(asked.get(name) for name in ("rttm", "script", "config"))]
    return (*recordings, *(Path(path) for path in find_job if path is not None))
