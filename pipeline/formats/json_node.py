"""A JSON document whose values know their addresses, so that every complaint says which key is wrong and where."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any, NoReturn

from meetsplit.pipeline.data import LATEST, Span
from meetsplit.pipeline.errors import SettingsError

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")

_KINDS = {
    dict: "an object",
    list: "a list",
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "null",
}


class NodeError(SettingsError):
    """A value that its place in the document does not allow: ``node`` is the value, ``problem`` the complaint about it.

    ``missing`` is the key that an object lacks; ``span`` is the start and the end of one that runs backwards.
    """

    def __init__(self, node: Node, problem: str, missing: str = "", span: tuple[float, float] | None = None) -> None:
        place = node.path or "the document"
        super().__init__(f"{node.origin}: {place}: {problem}; the file was changed or is no transcript")
        self.node = node
        self.problem = problem
        self.missing = missing
        self.span = span


@dataclass(frozen=True, slots=True)
class Node:
    """One value of a document: ``origin`` is the file, ``path`` the address in it, like ``segments[3].start``."""

    value: Any
    origin: str
    path: str = ""

    def __contains__(self, key: str) -> bool:
        """Whether this is an object with ``key``, and not null there."""
        return isinstance(self.value, dict) and self.value.get(key) is not None

    def __getitem__(self, key: str) -> Node:
        """The value under ``key``; `NodeError` where it is missing."""
        if key not in self.fields():
            raise NodeError(self, f"the key {key!r} is missing", missing=key)
        return self.get(key)

    def get(self, key: str) -> Node:
        """The value under ``key``, null where it is missing."""
        return Node(self.fields().get(key), self.origin, f"{self.path}.{key}" if self.path else key)

    def fields(self) -> dict[str, Any]:
        """This object."""
        return self._of(dict, "an object")  # type: ignore[no-any-return]

    def items(self) -> list[Node]:
        """This list's values."""
        return [Node(value, self.origin, f"{self.path}[{at}]") for at, value in enumerate(self._of(list, "a list"))]

    def text(self) -> str:
        """This text."""
        return self._of(str, "a text")  # type: ignore[no-any-return]

    def text_or_none(self) -> str | None:
        """This text; None for null."""
        return None if self.value is None else self.text()

    def flag(self) -> bool:
        """This truth value."""
        return self._of(bool, "true or false")  # type: ignore[no-any-return]

    def number(self) -> float:
        """This finite number."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            self._of(float, "a number")
        try:
            number = float(self.value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            self.wrong("a finite number is needed")
        return number

    def number_or_none(self) -> float | None:
        """This finite number; None for null."""
        return None if self.value is None else self.number()

    def time(self) -> float:
        """This time in seconds, at most `LATEST`."""
        seconds = self.number()
        if not 0.0 <= seconds <= LATEST:
            self.wrong(f"a time from 0 to {LATEST:.0f} s is needed, not {seconds:g} s")
        return seconds

    def span(self) -> Span:
        """The span from this object's ``start`` to its ``end``."""
        start, end = self["start"].time(), self["end"].time()
        if start > end:
            raise NodeError(self, f"it starts at {start} s and ends at {end} s", span=(start, end))
        return Span(start, end)

    def wrong(self, problem: str) -> NoReturn:
        """Raise `NodeError` about this value."""
        raise NodeError(self, problem)

    def _of(self, kind: type, needed: str) -> Any:
        if not isinstance(self.value, kind):
            self.wrong(f"{needed} is needed, not {_KINDS[type(self.value)]}")
        return self.value


def load(text: str) -> Any:
    """The value of a JSON text, as `json.loads` gives it, with or without a byte order mark.

    Halves of surrogate pairs, which no file and no file name can hold, become the replacement character. Raises
    `json.JSONDecodeError`, `ValueError` for a number of thousands of digits, `RecursionError` for deep nesting.
    """
    value = json.loads(text.removeprefix("\ufeff"))
    return _encodable(value) if _SURROGATE.search(text) else value


def parse(text: str, origin: str) -> Node:
    """The document in ``text``; `SettingsError` says in which line it is no JSON."""
    try:
        return Node(load(text), origin)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise SettingsError(f"{origin}: not valid JSON: {error.msg} in {place}") from error
    except (RecursionError, ValueError) as error:
        raise SettingsError(f"{origin}: not usable JSON: {' '.join(str(error).split())}") from error


def _encodable(value: Any) -> Any:
    """The same value without lone surrogates in its texts."""
    match value:
        case str():
            return re.sub("[\ud800-\udfff]", "\ufffd", value)
        case list():
            return [_encodable(item) for item in value]
        case dict():
            return {_encodable(key): _encodable(item) for key, item in value.items()}
        case _:
            return value
