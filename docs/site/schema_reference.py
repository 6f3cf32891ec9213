"""The keys of `meetsplit.schema.json` as Markdown tables."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cli_reference import cell

SCHEMA = Path(__file__).parents[2] / "pipeline" / "formats" / "meetsplit.schema.json"
MARK = "<!-- keys of meetsplit.schema.json -->"
"""Where the tables stand in docs/formats.md."""


def tables() -> str:
    """A table per kind of object: its keys, their types and what they mean."""
    schema = json.loads(SCHEMA.read_text("utf-8"))
    kinds = {"The document": schema, **{f"`{name}`": kind for name, kind in schema["$defs"].items()}}
    return "\n".join(line for title, kind in kinds.items() for line in _table(title, kind))


def _table(title: str, kind: Mapping[str, Any]) -> Iterator[str]:
    if "properties" in kind:
        yield f"#### {title}\n\n{kind['description']}\n\n| key | type | |\n|---|---|---|"
        for key, value in kind["properties"].items():
            yield f"| `{key}` | {_type(value)} | {cell(value['description'])} |"
        yield ""


def _type(value: Mapping[str, Any]) -> str:
    """The type in a few words: JSON's, or the name of another table."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return {"seconds": "seconds", "language": "string or null"}.get(name, f"`{name}`")
    if "const" in value or "enum" in value:
        return " or ".join(f"`{choice}`" for choice in value.get("enum", [value.get("const")]))
    if value["type"] == "array":
        return f"list of {_type(value['items'])}"
    kinds = value["type"] if isinstance(value["type"], list) else [value["type"]]
    return " or ".join(kinds)
