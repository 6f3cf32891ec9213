"""UEM, NIST's Un-partitioned Evaluation Map: the stretches of each recording that are scored. It is only read.

<recording> <channel> <start> <end>
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from meetsplit.pipeline.data import Span
from meetsplit.pipeline.formats.fields import FormatError, data_lines, seconds, span

FIELDS = 4


@dataclass(frozen=True, slots=True)
class UemLine:
    """One stretch to score."""

    number: int
    recording: str
    span: Span


def read(text: str) -> Iterator[UemLine]:
    """The stretches of a UEM file, lazily; comments are passed over. Raises `FormatError`."""
    for number, line in data_lines(text):
        fields = line.split()
        if len(fields) != FIELDS:
            raise FormatError(number, "fields", fields)
        start = seconds(number, fields, "start", fields[2])
        end = seconds(number, fields, "end", fields[3])
        yield UemLine(number, fields[0], span(number, fields, start, end))
