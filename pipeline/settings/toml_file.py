"""The settings of a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from meetsplit.pipeline.errors import SettingsError, nearest
from meetsplit.pipeline.settings.option_fields import fields_with_options
from meetsplit.pipeline.settings.stored import current_options


def from_toml(path: Path, others: Collection[str] = ()) -> dict[str, Any]:
    """The options in a TOML file by the names of the command line, ``-`` or ``_``; tables group them freely.

    ``others`` are names of options besides those of `Settings` and `Outputs`. Raises `SettingsError` for a file that
    cannot be read or parsed, for unknown options and for one that stands there twice.
    """
    try:
        pairs = _flat(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise SettingsError(f"{path}: cannot read the settings: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, ValueError) as error:  # a file that is not UTF-8, a number of thousands of digits
        raise SettingsError(f"{path}: not valid TOML: {error}") from error
    except RecursionError as error:
        raise SettingsError(f"{path}: its tables and lists are nested too deeply") from error
    names = {name for field_, option in fields_with_options() for name in (field_.name, option.name) if name}
    names |= {"gates", *others}
    for number, (name, _) in enumerate(pairs):
        if name not in names:
            raise SettingsError(f"{path}: unknown option {name!r}; {nearest(name, names - {'gates'})}")
        if name in dict(pairs[:number]):
            raise SettingsError(f"{path}: {name!r} stands there twice, in two tables: keep one of them")
    return current_options(dict(pairs))


def _flat(table: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The options in a table and the tables in it; a table of speakers' names is one option."""
    flat: list[tuple[str, Any]] = []
    for name, value in table.items():
        is_group = isinstance(value, Mapping) and name not in ("name", "names")
        flat += _flat(value) if is_group else [(name.replace("-", "_"), value)]
    return flat
