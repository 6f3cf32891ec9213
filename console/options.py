"""Options of a run on the command line: generated from the fields of `Settings` and `Outputs`, the same for every
command.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import Field, fields
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, TypeAlias, TypeVar, get_args, get_type_hints

import typer

from meetsplit.console.combinations import check_combination, overruled
from meetsplit.console.settings_files import QUEUE_OPTIONS, file_paths, read_files
from meetsplit.pipeline.errors import SettingsError, nearest
from meetsplit.pipeline.settings import (
    MACHINE,
    PAPER_FORMATS,
    PER_SPEAKER_FORMATS,
    SOUND_FORMATS,
    WHISPER,
    Option,
    Outputs,
    Settings,
    current_options,
    fields_with_options,
    name_list,
)

GivenOptions: TypeAlias = Mapping[str, Any]
"""The options of a run that the command line gave, by name; the others are absent, so that a settings file can fill
them.
"""

Quiet: TypeAlias = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but the results and errors.")]

Transcripts: TypeAlias = Annotated[
    list[Path],
    typer.Argument(
        help="Transcripts: JSON files, meetsplit's, WhisperX's or whisper's.",
        show_default=False,
        metavar="TRANSCRIPT",
    ),
]

RecordingElsewhere: TypeAlias = Annotated[
    Path | None,
    typer.Option(help="The recording, where it does not lie beside the transcript.", metavar="RECORDING"),
]

Command: TypeAlias = Callable[..., None]
Value = TypeVar("Value")

_VALUE_TYPES: Mapping[Any, tuple[type[Any], ...]] = MappingProxyType(
    {int: (int,), float: (int, float), str: (str,), bool: (bool,), Path: (type(Path()),), NoneType: (NoneType,)}
)
"""Types of values that fit a setting of a plain type; literals and tuples are checked where they are used."""

_PLAIN = (bool, int, float, str, Path)

LONGEST_PATH = 255
"""Characters of the longest name of a file that a disk takes."""


_NEGATIVE = "negated_"
"""Beginning of the name of a flag that switches a setting off, where it is a parameter of its own."""

_METAVARS: Mapping[Any, str] = MappingProxyType({bool: "", int: "N", float: "NUMBER", Path: "FILE"})
"""What stands in the help for a value of that type, where the option does not say it; other values are TEXT."""


@functools.cache
def _parameters() -> tuple[inspect.Parameter, ...]:
    """A parameter per option, in the shape that typer reads. All default to None: not given."""
    hints = {**get_type_hints(Settings), **get_type_hints(Outputs)}
    parameters = []
    for field, option in fields_with_options():
        kind = _option_type(field, hints[field.name])
        parameters.append(_parameter(option.name or field.name, kind, _typer_option(option, field, kind)))
        if option.flags == (f"--{field.name.replace('_', '-')}",) and option.panel == WHISPER:
            # A column of its own would leave the texts of this panel no room.
            negative = typer.Option("--no" + option.flags[0][1:], hidden=True)
            parameters.append(_parameter(_NEGATIVE + field.name, bool, negative))
    gates = typer.Option(help="Earlier name of --overlap-checks.", hidden=True)
    cache = typer.Option(
        "--cache/--no-cache",
        help="Keep finished stages and every person's track under the cache folder, so that the next run of a "
        "recording repeats only what changed; see `meetsplit cache`. (default: yes)",
        rich_help_panel=MACHINE,
        metavar="",
    )
    config = typer.Option(
        help="A TOML file with these options; the command line wins. (default: meetsplit.toml in this folder, if it "
        "is there; below that, ~/.config/meetsplit/config.toml)",
        rich_help_panel=MACHINE,
        metavar="FILE",
    )
    return (
        *parameters,
        _parameter("gates", str, gates),
        _parameter("cache", bool, cache),
        _parameter("config", Path, config),
    )


def _parameter(name: str, kind: Any, option: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )


def _option_type(field: Field[Any], hint: Any) -> Any:
    """The type of an option's value: the setting's own where it is plain, else text; `resolve_settings` reads it."""
    if field.name in ("names", "formats"):
        return list[str]
    kinds = [part for part in (get_args(hint) if isinstance(hint, UnionType) else (hint,)) if part is not NoneType]
    may_be_none = NoneType in get_args(hint) and field.default is not None
    return kinds[0] if len(kinds) == 1 and kinds[0] in _PLAIN and not may_be_none else str


def _typer_option(option: Option, field: Field[Any], kind: Any) -> Any:
    text, default = option.help, field.default
    if "default" not in text and not isinstance(default, bool | tuple | NoneType | Path):
        text += f" (default: {default:g})" if isinstance(default, float) else f" (default: {default})"
    return typer.Option(
        *option.flags,
        help=text,
        rich_help_panel=option.panel,
        envvar=option.variable,
        metavar=_METAVARS.get(kind, "TEXT") if option.metavar is None else option.metavar,
    )


FORMAT_OPTIONS = (
    "max_line_width",
    "max_line_count",
    "max_words_per_line",
    "min_gap",
    "min_duration",
    "max_cps",
    "speaker_names",
    "vtt_names",
    "vtt_colors",
    "html_audio",
    "highlight_words",
    "txt_width",
    "txt_end_times",
)
"""Options that say how formats look, of every command that writes them from a transcript."""


def run_options(
    *only: str,
    without: Collection[str] = (),
    hidden: Collection[str] = (),
    helps: Mapping[str, str] = MappingProxyType({}),
) -> Callable[[Command], Command]:
    """Give a command every option of a run (or ``only`` those), as its one parameter ``options``: `GivenOptions`.

    It does not have those in ``without``. ``hidden`` ones are understood and not in the help, so that a command can
    say why it does not take them. ``helps`` are texts for the help in place of the options' own.
    """

    def without_absent(values: dict[str, Any], others: Mapping[str, Any]) -> GivenOptions:
        return {name: value for name, value in values.items() if value is not None and value != []}

    parameters = [with_help(option, hidden, helps) for option in _parameters() if option.name not in without]
    return add_options(parameters, "options", only, without_absent)


def with_help(
    parameter: inspect.Parameter, hidden: Collection[str] = (), helps: Mapping[str, str] = MappingProxyType({})
) -> inspect.Parameter:
    """The parameter with the help that a command has for it, or hidden."""
    if parameter.name not in hidden and parameter.name not in helps:
        return parameter
    kind, option = get_args(parameter.annotation)
    option = copy.copy(option)
    option.hidden = option.hidden or parameter.name in hidden
    option.help = helps.get(parameter.name, option.help)
    return parameter.replace(annotation=Annotated[kind, option])


def add_options(
    parameters: Sequence[inspect.Parameter],
    into: str,
    only: Sequence[str],
    build: Callable[[dict[str, Any], Mapping[str, Any]], Value],
) -> Callable[[Command], Command]:
    """Give a command the ``parameters`` (or ``only`` those): ``build`` makes its one argument ``into`` of their
    values, and of the command's other arguments.
    """
    options = [parameter for parameter in parameters if not only or parameter.name in only]

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command, eval_str=True)
        others = [parameter for parameter in signature.parameters.values() if parameter.name != into]

        @functools.wraps(command)
        def wrapper(**values: Any) -> None:
            option_values = {option.name: values.pop(option.name) for option in options}
            command(**{into: build(option_values, values)}, **values)

        combined = [*(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in others), *options]
        wrapper.__doc__ = _help_text(command)
        wrapper.__signature__ = inspect.Signature(combined)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in combined}
        return wrapper

    return decorate


def _help_text(command: Command) -> str:
    """The docstring of a command with its first paragraph on one line: typer keeps line breaks in its list of
    commands.
    """
    first, *others = (inspect.getdoc(command) or "").split("\n\n")
    return "\n\n".join([" ".join(first.split()), *others])


def resolve_settings(
    options: GivenOptions, known_formats: tuple[str, ...], *, defaults: GivenOptions = MappingProxyType({})
) -> tuple[Settings, Outputs]:
    """The settings of a command: its own ``defaults``, under the settings files, under the options that it was given.

    An option of a weaker source that means nothing beside one of a stronger source is left out, and so are names of
    channels in a file where channels are mixed; within one source, that is an error. Raises `SettingsError` for it, for
    unknown options and for values that make no sense.
    """
    given = {name: value for name, value in options.items() if name not in ("config", "cache")}
    files = [file.options for file in read_files(options.get("config"), (*QUEUE_OPTIONS, "cache"))]
    merged: dict[str, Any] = {}
    for source in (defaults, *files, given):
        values = _by_field(source, known_formats)
        kept = {name: value for name, value in merged.items() if not overruled(name, value, values)}
        merged = {**kept, **_with_weaker_names(values, kept)}
    check_combination(merged)
    if merged.get("channels") != "split" and merged.pop("channel_names", None) and "channel_names" in given:
        raise SettingsError("--channel-names needs a channel per person: add --channels split, or --together NAME")
    settings, outputs = _build(Settings, merged), _build(Outputs, merged)
    if "docx" in outputs.formats:
        from meetsplit.pipeline.formats.docx import require_docx

        require_docx()
    return settings, outputs


def _with_weaker_names(values: Mapping[str, Any], weaker: dict[str, Any]) -> dict[str, Any]:
    """The values of a source; its names by label are added to those of the ``weaker`` ones.

    Names in order or by channel take the place of all weaker names, which are removed from ``weaker``: by label, they
    would win.
    """
    if "channel_names" in values:
        weaker.pop("names_in_order", None)
    if "channel_names" in values or "names_in_order" in values:
        weaker.pop("names", None)
    return {**values, "names": (*weaker.get("names", ()), *values.get("names", ()))}


def keeps_cache(options: GivenOptions) -> bool:
    """Whether finished stages are kept: by the command line, else by the settings files, else yes."""
    if "cache" in options:
        return bool(options["cache"])
    kept = True
    for file in read_files(options.get("config"), (*QUEUE_OPTIONS, "cache")):
        value = file.options.get("cache", kept)
        if not isinstance(value, bool):
            raise SettingsError(f"{file.path}: cache {value!r}: true or false is needed")
        kept = value
    return kept


def _by_field(source: GivenOptions, known_formats: tuple[str, ...]) -> dict[str, Any]:
    """The options of one source by the fields that they belong to, parsed where their type is not that of a text."""
    values = current_options(source)
    names = _names(values.pop("name", ()), values.pop("names", ()), values.pop("names_in_order", ()))
    for name in [name for name in values if name.startswith(_NEGATIVE)]:
        values.pop(name)
        values.setdefault(name.removeprefix(_NEGATIVE), False)
    for field, option in fields_with_options():
        if option.name is not None and option.name in values:
            values[field.name] = values.pop(option.name)
        if field.name in values and field.default is not None:
            values[field.name] = _number_or_none(values[field.name], field)
    values |= {name: people for name, people in names.items() if people}
    if "formats" in values:
        values["formats"] = _formats(values["formats"], known_formats)
    if "channel_names" in values:
        values["channel_names"] = name_list(values["channel_names"], "--channel-names")
    if isinstance(values.get("hotwords"), str):
        values["hotwords"] = _hotwords(values["hotwords"])
    for name in ("rttm", "script", "cache_dir", "model_dir", "folder"):
        if isinstance(values.get(name), str):  # of a file: no shell has read its ~
            values[name] = Path(values[name]).expanduser()
    return values


def _hotwords(given: str) -> str:
    """The names and terms in a text file of that name, one per line; where there is no such file, the text itself."""
    path = Path(given).expanduser()
    try:
        if not path.is_file():
            return given
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"--hotwords {given}: is not UTF-8 text: save it as a text file, a name per line"
        ) from error
    except OSError as error:
        if path.name == given or len(given) > LONGEST_PATH:  # a long list of names is no name of a file
            return given
        raise SettingsError(f"--hotwords {given}: cannot be read: {error.strerror or error}") from error
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise SettingsError(f"--hotwords {given}: the file holds no names")
    return ", ".join(names)


def _number_or_none(value: object, field: Field[Any]) -> object:
    """The value of a setting that is a number or switched off by "none"; any other value as it is."""
    kinds = get_args(get_type_hints(Settings).get(field.name))
    if not isinstance(value, str) or set(kinds) not in ({int, NoneType}, {float, NoneType}):
        return value
    if value.strip().lower() == "none":
        return None
    try:
        return int(value) if int in kinds else float(value)
    except ValueError:
        return value


def _build(kind: type[Any], values: Mapping[str, Any]) -> Any:
    """A `Settings` or `Outputs` of its part of the values. Raises `SettingsError` for a value of a wrong type."""
    hints = get_type_hints(kind)
    chosen = {field.name: values[field.name] for field in fields(kind) if field.name in values}
    for field in fields(kind):
        if field.name not in chosen:
            continue
        value, hint = chosen[field.name], hints[field.name]
        kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
        is_plain = all(part in _VALUE_TYPES for part in kinds)
        if is_plain and not any(type(value) in _VALUE_TYPES[part] for part in kinds):
            needed = " or ".join(part.__name__ for part in kinds if part is not NoneType)
            option = field.metadata["option"].name or field.name
            raise SettingsError(f"--{option.replace('_', '-')} {value!r}: a value of type {needed} is needed")
    return kind(**chosen)


def _formats(value: object, known: tuple[str, ...]) -> tuple[str, ...]:
    """The formats in a text with commas or in a list of texts; whisper's ``aud`` is ``audacity``."""
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list | tuple) or not all(isinstance(part, str) for part in listed):
        raise SettingsError(
            f'--output-format {value!r}: names of formats are needed, such as "srt,json" or ["srt", "json"]'
        )
    names = [part.strip().lower() for text in listed for part in text.split(",") if part.strip()]
    names = ["audacity" if name == "aud" else name for name in names]
    for name in names:
        further = (*PER_SPEAKER_FORMATS, *SOUND_FORMATS)
        if name != "all" and name not in (*known, *further):
            raise SettingsError(f"--output-format {name}: {nearest(name, [*known, *further, 'all'])}")
    everything = tuple(name for name in known if name not in PAPER_FORMATS)
    every = (part for name in names for part in (everything if name == "all" else (name,)))
    return tuple(dict.fromkeys(every))


def _names(name: object, names: object, in_order: object) -> dict[str, tuple[Any, ...]]:
    """People's names, by label (``names``) and in order of first speech (``names_in_order``).

    ``name`` and ``names`` are what the options of that name hold: a table or pairs of a settings file, ``LABEL=NAME``
    texts, and as ``names`` also names alone.
    """
    if isinstance(names, Mapping):
        names = list(names.items())
    listed = [part for part in names.split(",") if part.strip()] if isinstance(names, str) else names
    is_order = isinstance(listed, list | tuple) and all(isinstance(part, str) and "=" not in part for part in listed)
    by_label = list(name.items()) if isinstance(name, Mapping) else name
    entries = [*(by_label if isinstance(by_label, list | tuple) else [by_label])]
    if not is_order:
        entries += listed if isinstance(listed, list | tuple) else [listed]
    order = name_list(names if is_order else in_order, "--names")
    return {"names": tuple(_label_and_name(entry) for entry in entries), "names_in_order": order}


def _label_and_name(entry: object) -> tuple[str, str]:
    """A label, or a name so far, and the person's name."""
    match entry:
        case str() if "=" in entry:
            label, _, person = entry.partition("=")
        case (str() as label, str() as person):
            pass
        case _:
            label, person = "", ""
    if not (label.strip() and person.strip()):
        raise SettingsError(f"--name {entry if isinstance(entry, str) else repr(entry)}: write it as SPEAKER_00=Alice")
    return label.strip(), person.strip()


def given_files(options: GivenOptions, recordings: Sequence[Path]) -> tuple[Path, ...]:
    """The files that a command reads and never writes over: recordings, turns, words and the settings files."""
    files = read_files(options.get("config"), (*QUEUE_OPTIONS, "cache"))
    paths = [source.get(name) for source in (*(file.options for file in files), options) for name in ("rttm", "script")]
    return (*recordings, *(Path(path) for path in paths if path is not None), *(file.path for file in files))


def print_files(options: GivenOptions, *, quiet: bool = False) -> None:
    """Say on stderr which settings files a command reads."""
    paths = () if quiet else file_paths(options.get("config"))
    if paths:
        from meetsplit.console.terminal import Terminal

        home = Path.home()
        shown = [f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path) for path in reversed(paths)]
        Terminal(stderr=True).print(f"settings: {', then '.join(shown)}", style="dim", soft_wrap=True)
