"""CTM, NIST's Time Marked Conversation format: one word a line. It is only read: it holds no speakers.

<recording> <channel> <start> <duration> <word> [<confidence>]
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from meetsplit.pipeline.data import Word, decimal_sum
from meetsplit.pipeline.formats.fields import FormatError, data_lines, is_number, seconds, span

LEAST_FIELDS = 5
"""Fields of a line without a confidence."""


@dataclass(frozen=True, slots=True)
class CtmLine:
    """One word with its time, and its confidence where there is one."""

    number: int
    recording: str
    channel: str
    word: Word


def read(text: str) -> Iterator[CtmLine]:
    """The words of a CTM file, lazily; comments are passed over. Raises `FormatError`."""
    for number, line in data_lines(text):
        fields = line.split()
        if len(fields) < LEAST_FIELDS:
            raise FormatError(number, "fields", fields)
        start = seconds(number, fields, "start", fields[2])
        duration = seconds(number, fields, "duration", fields[3])
        whole = span(number, fields, start, decimal_sum(start, duration))
        yield CtmLine(number, fields[0], fields[1], Word(whole, fields[4], _confidence(fields)))


def _confidence(fields: list[str]) -> float | None:
    if len(fields) > LEAST_FIELDS and is_number(fields[5]):
        return min(max(float(fields[5]), 0.0), 1.0)
    return None
