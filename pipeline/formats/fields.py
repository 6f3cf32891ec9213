"""Times in the lines of RTTM, STM, CTM and UEM files and in the entries of SegLST files, and their errors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

from meetsplit.pipeline.data import LATEST, Span

Problem: TypeAlias = Literal["fields", "number", "order"]


class FormatError(ValueError):
    """A line or an entry that its format does not allow; callers put it into their own words.

    ``number`` counts lines or entries from 1, and ``entry`` is the line's fields or the entry. ``problem`` is one of

    - ``fields``: there are too few fields, or some are missing or of the wrong kind;
    - ``number``: ``value``, the field called ``name``, is no finite number;
    - ``order``: ``span`` (start and end in seconds) runs backwards or lies outside 0 to `LATEST`.
    """

    def __init__(
        self,
        number: int,
        problem: Problem,
        entry: Any,
        *,
        name: str = "",
        value: object = None,
        span: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        super().__init__(f"line or entry {number}: {problem}")
        self.number = number
        self.problem = problem
        self.entry = entry
        self.name = name
        self.value = value
        self.span = span


def data_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines with their numbers, stripped, without empty ones and comments (which begin with ``;``).

    >>> list(data_lines(";; header\\n\\n a b \\n"))
    [(3, 'a b')]
    """
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith(";"):
            yield number, stripped


def is_number(value: object) -> bool:
    """Whether a field or a JSON value is a finite number, written as a number or as text.

    >>> is_number("1.5"), is_number(2), is_number("nan"), is_number(True)
    (True, True, False, False)
    """
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(float(value))
    except (ValueError, OverflowError):
        return False


def seconds(number: int, entry: Any, name: str, value: object) -> float:
    """The time in the field called ``name``. Raises `FormatError` where it is no finite number."""
    if not is_number(value):
        raise FormatError(number, "number", entry, name=name, value=value)
    return float(str(value))


def span(number: int, entry: Any, start: float, end: float) -> Span:
    """The span from ``start`` to ``end``.

    Raises `FormatError` where it runs backwards or lies outside 0 to `LATEST`.
    """
    if not 0.0 <= start <= end <= LATEST:
        raise FormatError(number, "order", entry, span=(start, end))
    return Span(start, end)
