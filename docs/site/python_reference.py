"""The reference of the Python package as a page of mkdocstrings directives, from the names in `meetsplit.__all__`."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

from cli_reference import cell

_HEAD = """\
# Python names

Everything that `meetsplit` offers to a program; what is not here may change at any time. Times are seconds on the
recording's clock. `import meetsplit` loads neither torch nor NumPy: names are imported when they are first used.
"""

_TITLES = {
    "run": "A run",
    "results.run_result": "The result of a run",
    "settings": "Settings",
    "channels.recording": "A file per person",
    "data": "Values",
    "formats": "Files",
    "interop": "Other libraries",
    "events": "Events",
    "errors": "Errors",
}
"""Headings by the module of `meetsplit.pipeline`, in the order of the page; other modules follow under their names."""


def page() -> str:
    """The whole page: a heading per module, a directive per public name."""
    import meetsplit

    modules = sorted(meetsplit._MODULES, key=lambda name: [*_TITLES, name].index(name))
    lines = [_HEAD]
    for module in modules:
        names = [name for name in meetsplit._MODULES[module] if name in meetsplit.__all__]
        if names:
            lines.append(f"## {_TITLES.get(module, module)}\n")
            for name in names:
                lines.append(f"::: meetsplit.{name}\n")
                lines += _fields(getattr(meetsplit, name))
    listed = {name for names in meetsplit._MODULES.values() for name in names} | set(meetsplit._EARLIER_NAMES)
    for name in sorted(set(meetsplit.__all__) - listed - {"__version__"}):  # modules
        lines.append(f"## {name.capitalize()}\n\n::: meetsplit.{name}\n")
    earlier = [f"`{name}` is `{current}`" for name, current in meetsplit._EARLIER_NAMES.items()]
    lines.append(f"## Earlier names\n\n{'; '.join(earlier)}.\n")
    return "\n".join(lines)


def _fields(value: Any) -> list[str]:
    """A table of the fields that are options of the command line, with what `--help` says of each."""
    from meetsplit.pipeline.settings import Option

    if not dataclasses.is_dataclass(value):
        return []
    options = {field.name: field.metadata.get("option") for field in dataclasses.fields(value)}
    rows = [
        f"| `{name}` | {option.panel} | {cell(option.help)} |"
        for name, option in options.items()
        if isinstance(option, Option)
    ]
    return ["| field | | |\n|---|---|---|", *rows, ""] if rows else []


def packages(root: Path) -> list[str]:
    """The top folders of the package in the repository."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    listed = [name.split(".") for name in project["tool"]["setuptools"]["packages"]]
    return sorted({parts[1] for parts in listed if len(parts) > 1})
