"""Options of a run on the command line: generated from the fields of `Settings` and `Outputs`, the same for every
command.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, fields
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, TypeAlias, TypeVar, get_args, get_type_hints

import typer

from meetsplit.pipeline.errors import SettingsError, nearest
from meetsplit.pipeline.settings import (
    MACHINE,
    PER_SPEAKER_FORMATS,
    Option,
    Outputs,
    Settings,
    current_options,
    fields_with_options,
    from_toml,
)

GivenOptions: TypeAlias = Mapping[str, Any]
"""The options of a run that the command line gave, by name; the others are absent, so that a settings file can fill
them.
"""

Command: TypeAlias = Callable[..., None]
Value = TypeVar("Value")

_VALUE_TYPES: Mapping[Any, tuple[type[Any], ...]] = MappingProxyType(
    {int: (int,), float: (int, float), str: (str,), bool: (bool,), Path: (type(Path()),), NoneType: (NoneType,)}
)
"""Types of values that fit a setting of a plain type; literals and tuples are checked where they are used."""

_PLAIN = (bool, int, float, str, Path)


@functools.cache
def _parameters() -> tuple[inspect.Parameter, ...]:
    """A parameter per option, in the shape that typer reads. All default to None: not given."""
    hints = {**get_type_hints(Settings), **get_type_hints(Outputs)}
    parameters = [
        _parameter(option.name or field.name, _option_type(field, hints[field.name]), _typer_option(option))
        for field, option in fields_with_options()
    ]
    gates = typer.Option(help="Earlier name of --overlap-checks.", hidden=True)
    config = typer.Option(help="A TOML file with these options; the command line wins.", rich_help_panel=MACHINE)
    return (*parameters, _parameter("gates", str, gates), _parameter("config", Path, config))


def _parameter(name: str, kind: Any, option: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )


def _option_type(field: Field[Any], hint: Any) -> Any:
    """The type of an option's value: the setting's own where it is plain, else text; `resolve_settings` reads it."""
    if field.name == "names":
        return list[str]
    kinds = [part for part in (get_args(hint) if isinstance(hint, UnionType) else (hint,)) if part is not NoneType]
    return kinds[0] if len(kinds) == 1 and kinds[0] in _PLAIN else str


def _typer_option(option: Option) -> Any:
    return typer.Option(*option.flags, help=option.help, rich_help_panel=option.panel, envvar=option.variable)


def run_options(*only: str) -> Callable[[Command], Command]:
    """Give a command every option of a run (or ``only`` those), as its one parameter ``options``: `GivenOptions`."""

    def without_absent(values: dict[str, Any]) -> GivenOptions:
        return {name: value for name, value in values.items() if value is not None}

    return add_options(_parameters(), "options", only, without_absent)


def add_options(
    parameters: Sequence[inspect.Parameter], into: str, only: Sequence[str], build: Callable[[dict[str, Any]], Value]
) -> Callable[[Command], Command]:
    """Give a command the ``parameters`` (or ``only`` those): ``build`` makes its one argument ``into`` of their
    values.
    """
    options = [parameter for parameter in parameters if not only or parameter.name in only]

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command, eval_str=True)
        others = [parameter for parameter in signature.parameters.values() if parameter.name != into]

        @functools.wraps(command)
        def wrapper(**values: Any) -> None:
            option_values = {option.name: values.pop(option.name) for option in options}
            command(**{into: build(option_values)}, **values)

        combined = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in [*others, *options]]
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


def resolve_settings(options: GivenOptions, known_formats: tuple[str, ...]) -> tuple[Settings, Outputs]:
    """The settings from a TOML file, if one is named, with the options of the command line on top.

    Raises `SettingsError` for unknown options and values that make no sense.
    """
    merged = current_options(options)
    file = merged.pop("config", None)
    if file is not None:
        merged = {**from_toml(file), **merged}
    for field, option in fields_with_options():
        if option.name is not None and option.name in merged:
            merged[field.name] = merged.pop(option.name)
    if "names" in merged:
        merged["names"] = _names(merged["names"])
    if "formats" in merged:
        merged["formats"] = _formats(merged["formats"], known_formats)
    for name in ("rttm", "script", "cache_dir", "folder"):
        if isinstance(merged.get(name), str):
            merged[name] = Path(merged[name])
    return _build(Settings, merged), _build(Outputs, merged)


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
    """The formats in a text with commas or in a list of texts."""
    listed = value.split(",") if isinstance(value, str) else value
    if not isinstance(listed, list | tuple) or not all(isinstance(part, str) for part in listed):
        raise SettingsError(
            f'--output-format {value!r}: names of formats are needed, such as "srt,json" or ["srt", "json"]'
        )
    names = [part.strip().lower() for part in listed if part.strip()]
    for name in names:
        if name != "all" and name not in (*known, *PER_SPEAKER_FORMATS):
            raise SettingsError(f"--output-format {name}: {nearest(name, [*known, *PER_SPEAKER_FORMATS, 'all'])}")
    every = (part for name in names for part in (known if name == "all" else (name,)))
    return tuple(dict.fromkeys(every))


def _names(value: object) -> tuple[tuple[str, str], ...]:
    """People's names by label: from ``LABEL=NAME`` texts, or from a table or pairs of a settings file."""
    if isinstance(value, Mapping):
        entries: Sequence[object] = list(value.items())
    elif isinstance(value, list | tuple):
        entries = value
    else:
        entries = [value]
    names: list[tuple[str, str]] = []
    for entry in entries:
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
        names.append((label, person.strip()))
    return tuple(names)


def given_files(options: GivenOptions, recordings: Sequence[Path]) -> tuple[Path, ...]:
    """The files that a command reads and never writes over: recordings, turns, words and the settings file."""
    toml = from_toml(options["config"]) if "config" in options else {}
    paths = [toml.get("rttm"), toml.get("script"), *(options.get(name) for name in ("rttm", "script", "config"))]
    return (*recordings, *(Path(path) for path in paths if path is not None))
