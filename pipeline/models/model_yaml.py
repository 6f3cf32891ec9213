"""YAML files of model folders, read as data: a tree of nodes with tags and lines, of bounded size.

Nothing is built from it.

PyYAML's scanner undoes every spelling (``!%61pply``, ``!<…>``, ``%TAG``, quotes over several lines) before a tag is
looked at, so that what is checked is what would be used. Plain scalars are read by YAML 1.2's core schema, as
SpeechBrain's and pyannote.audio's files are meant: ``1e-8`` is a number, ``no`` is a word.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import yaml

from meetsplit.pipeline.errors import StageError

Node: TypeAlias = yaml.Node

MAX_BYTES = 256 * 1024
"""Bytes of the largest file that is opened; the public ones have less than ten thousand."""

MAX_NUMBER = 1_000_000
"""The largest size, rate or count in a model."""

MAX_DEPTH = 40
"""The most levels of lists and mappings in each other."""

TRUST = "--trust-model-code runs what the folder asks for, with your rights: only for folders whose authors you trust"
"""The end of every refusal."""

_PLAIN_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map")
_MAX_DIGITS = 18
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")
_WHOLE = re.compile(r"[-+]?[0-9]+")
_DECIMAL = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_CONSTANTS = {"": None, "~": None, "null": None, "Null": None, "NULL": None} | {
    word: value for value, words in ((True, "true True TRUE"), (False, "false False FALSE")) for word in words.split()
}


class _Loader(yaml.SafeLoader):
    """Composes nodes; plain scalars keep their text."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own name and shape


def read_mapping(file: Path, stage: str) -> yaml.MappingNode:
    """The mapping at the top of ``file``. Raises `StageError` for what is no YAML, too large or too deep."""
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise StageError(
                stage, f"{file} has more than {MAX_BYTES // 1024} kB, which no model's description needs: not opened"
            )
        text = content.decode("utf-8")
        _check_depth(text, file, stage)
        top = yaml.compose(text, Loader=_Loader)
    except OSError as error:
        raise StageError(stage, f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise StageError(stage, f"{file} is not UTF-8 text: not opened") from error
    except yaml.YAMLError as error:
        raise StageError(stage, f"{file} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(top, yaml.MappingNode):
        raise StageError(stage, f"{file} holds no mapping at its top: not opened")
    return top


def _check_depth(text: str, file: Path, stage: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise StageError(stage, f"{file}, {line(event)}: more than {MAX_DEPTH} levels in each other: not opened")


def line(node: Any) -> str:
    """The line in which a node or event begins.

    >>> line(yaml.compose("a: 1", Loader=_Loader))
    'line 1'
    """
    return f"line {node.start_mark.line + 1}"


def refuse(stage: str, file: Path, node: Node, what: str) -> NoReturn:
    """Raise `StageError`: the file asks for ``what`` at this node, which is not opened as data."""
    raise StageError(stage, f"{file}, {line(node)}: {what}: not opened; {TRUST}")


def custom_tag(node: Node) -> str | None:
    """The node's tag where the file gave it one of its own; None for plain strings, lists and mappings."""
    return None if node.tag in _PLAIN_TAGS else str(node.tag)


def entries(stage: str, file: Path, node: yaml.MappingNode) -> dict[str, Node]:
    """A mapping's values by key. Raises `StageError` for keys that are no words, that stand twice, and for ``<<``."""
    values: dict[str, Node] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode) or custom_tag(key) is not None or key.value == "<<":
            refuse(stage, file, key, f"a key that is no plain word ({str(key.value)[:40]!r})")
        if key.value in values:
            refuse(stage, file, key, f"the key {key.value!r} for the second time")
        values[key.value] = value
    return values


def scalar_value(node: yaml.ScalarNode) -> str | int | float | bool | None:
    """A scalar's value, whatever its tag is.

    >>> [scalar_value(yaml.compose(text, Loader=_Loader)) for text in ("1", "1e-8", "'1'", "no", "true", "~")]
    [1, 1e-08, '1', 'no', True, None]
    """
    text = str(node.value)
    if node.style in ("'", '"', "|", ">"):
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if not _DECIMAL.fullmatch(text):
        return text
    if _WHOLE.fullmatch(text) and len(text) <= _MAX_DIGITS:
        return int(text)
    value = float(text)
    return value if math.isfinite(value) else text


def is_number(value: object) -> bool:
    """Whether this is a finite number that can be a size, a rate or a count of a model."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MAX_NUMBER


def is_word(value: object) -> bool:
    """Whether this is one short name, such as that of an activation function."""
    return isinstance(value, str) and _WORD.fullmatch(value) is not None


def plain_value(stage: str, file: Path, node: Node) -> Any:
    """The node as dicts, lists and scalars.

    Raises `StageError` for tags and for aliases: a plain file needs neither.
    """
    return _plain_value(stage, file, node, set())


def _plain_value(stage: str, file: Path, node: Node, seen: set[int]) -> Any:
    if custom_tag(node) is not None:
        refuse(stage, file, node, f"the tag {node.tag}")
    if id(node) in seen:
        refuse(stage, file, node, "an alias (*name)")
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        return {key: _plain_value(stage, file, value, seen) for key, value in entries(stage, file, node).items()}
    if isinstance(node, yaml.SequenceNode):
        return [_plain_value(stage, file, value, seen) for value in node.value]
    if not isinstance(node, yaml.ScalarNode):
        refuse(stage, file, node, "something that is no value")
    return scalar_value(node)
