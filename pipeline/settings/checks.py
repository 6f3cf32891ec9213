"""Checks of the values of settings, and their one form: paths of any kind, NumPy's numbers, lists and names in a text.

``settings`` are a frozen dataclass with options, `Settings` or `Outputs`; what they raise is `SettingsError`.
"""

from __future__ import annotations

import dataclasses
import functools
import numbers
from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Any, get_args, get_type_hints

from meetsplit.pipeline.errors import SettingsError, nearest
from meetsplit.pipeline.settings.choices import DEVICES, LEAST_TRACK_RATE, MOST_TRACK_RATE


def as_paths(settings: Any, *names: str) -> None:
    """Turn paths of any kind into `Path`; refuse names with a NUL character, which no system has."""
    for name in names:
        if isinstance(getattr(settings, name), str | PathLike):
            object.__setattr__(settings, name, Path(getattr(settings, name)))
    for field_ in dataclasses.fields(settings):
        value = getattr(settings, field_.name)
        if isinstance(value, str | Path) and "\0" in str(value):
            raise SettingsError(f"--{field_.name.replace('_', '-')} {str(value)!r}: no name holds a NUL character")


_KINDS: Mapping[type, tuple[type, str]] = MappingProxyType(
    {
        bool: (bool, "True or False"),
        int: (numbers.Integral, "a whole number"),
        float: (numbers.Real, "a number"),
        str: (str, "a text"),
        Path: (Path, "a path"),
    }
)
"""What a setting of each plain type takes, NumPy's numbers included, and what that is called."""


@functools.cache
def _plain_types(cls: type[Any]) -> Mapping[str, tuple[type, ...]]:
    """The types of each field's values, None included; fields of other types (choices, tuples) are left out."""
    hints = get_type_hints(cls)
    kinds = {
        item.name: get_args(hints[item.name]) if isinstance(hints[item.name], UnionType) else (hints[item.name],)
        for item in dataclasses.fields(cls)
    }
    plain = {*_KINDS, NoneType}
    return {name: allowed for name, allowed in kinds.items() if plain.issuperset(allowed)}


def check_types(settings: Any) -> None:
    """Raise `SettingsError` for a value of a wrong type; NumPy's numbers become Python's, paths of models texts."""
    kind: Any = type(settings)
    for name, allowed in _plain_types(kind).items():
        value = getattr(settings, name)
        if isinstance(value, PathLike) and str in allowed and Path not in allowed:
            value = fspath(value)
            object.__setattr__(settings, name, value)
        if type(value) in allowed or (type(value) is int and float in allowed):
            continue
        kinds = [_KINDS[kind] for kind in allowed if kind is not NoneType]
        accepted, needed = tuple(kind for kind, _ in kinds), " or ".join(what for _, what in kinds)
        if isinstance(value, bool) or not isinstance(value, accepted):
            raise SettingsError(f"--{name.replace('_', '-')} {value!r}: {needed} is needed")
        if isinstance(value, numbers.Real):
            object.__setattr__(settings, name, int(value) if isinstance(value, numbers.Integral) else float(value))


def check_device(name: str) -> None:
    """Raise `SettingsError` for a name that is no device of `DEVICES`."""
    kind, colon, number = name.partition(":")
    if name != "auto" and (kind not in DEVICES or (colon and not number.isdecimal())):
        meant = "cuda" if kind == "gpu" else name
        raise SettingsError(f"--device {name}: {nearest(meant, [*DEVICES, 'auto'])}")


def listed(value: object, option: str) -> tuple[str, ...]:
    """The words of a list, or of a text with commas. Raises `SettingsError` for anything else."""
    words = value.split(",") if isinstance(value, str) else value
    if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
        raise SettingsError(f'{option} {value!r}: names are needed, such as "srt,json" or ["srt", "json"]')
    return tuple(word.strip() for word in words if word.strip())


def name_list(value: object, option: str) -> tuple[str, ...]:
    """People's names in a list, or in a text with commas; an empty one is no name. Raises `SettingsError`."""
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise SettingsError(f"{option} {value!r}: write names with commas between them, such as Alice,Ben")
    return tuple(name.strip() for name in names)


def name_pairs(names: object) -> tuple[tuple[str, str], ...]:
    """People's names by label as pairs, from a mapping or pairs. Raises `SettingsError` for anything else."""
    pairs = list(names.items()) if isinstance(names, Mapping) else names
    checked: list[tuple[str, str]] = []
    for pair in pairs if isinstance(pairs, list | tuple) else [None]:
        match pair:
            case (str() as label, str() as name):
                checked.append((label, name))
            case _:
                raise SettingsError(f'--name {names!r}: names by label are needed, such as {{"SPEAKER_00": "Alice"}}')
    return tuple(checked)


def track_rate(value: str | int) -> str | int:
    """The sample rate in Hz, or "source". Raises `SettingsError` for anything else."""
    if value == "source":
        return value
    text = str(value)
    if not (text.isascii() and text.isdigit() and LEAST_TRACK_RATE <= int(text) <= MOST_TRACK_RATE):
        raise SettingsError(
            f"--track-rate {value}: source, or a number of Hz from {LEAST_TRACK_RATE} to {MOST_TRACK_RATE}"
        )
    return int(text)


def check_choice(option: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise `SettingsError` with the nearest of the choices where the value of an option is none of them."""
    if value not in choices:
        raise SettingsError(f"{option} {value}: {nearest(str(value), choices)}")
