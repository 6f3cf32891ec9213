"""STM, NIST's Segment Time Mark format: one utterance a line.

    <recording> <channel> <speaker> <start> <end> [<label>] <words>

Times are seconds, written with three decimals. Utterances may overlap.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from meetsplit.pipeline.data import Span, Transcript
from meetsplit.pipeline.formats.fields import FormatError, data_lines, seconds, span
from meetsplit.pipeline.formats.text import decimal, identifier, identifiers, milliseconds, one_line
from meetsplit.pipeline.settings import Outputs

LEAST_FIELDS = 5
"""Fields of a line without words."""

GAP = "inter_segment_gap"
"""The speaker of a stretch that is not scored."""

UNSCORED = "IGNORE_TIME_SEGMENT_IN_SCORING"
"""Stands in place of words that were not transcribed."""

_LABEL = re.compile(r"(<[^>\s]*>)(?:\s+|$)")
_ALTERNATIVES = re.compile(r"\{\s*([^/}]*?)\s*(?:/[^}]*)?\}")


@dataclass(frozen=True, slots=True)
class StmLine:
    """One utterance: ``text`` is as written, without the label of conditions such as ``<o,f0,male>``."""

    number: int
    recording: str
    channel: str
    speaker: str
    span: Span
    text: str


def read(text: str) -> Iterator[StmLine]:
    """The utterances of an STM file, lazily; comments are passed over. Raises `FormatError`."""
    for number, line in data_lines(text):
        fields = line.split(maxsplit=LEAST_FIELDS)
        if len(fields) < LEAST_FIELDS:
            raise FormatError(number, "fields", fields)
        start = seconds(number, fields, "start", fields[3])
        end = seconds(number, fields, "end", fields[4])
        words = _LABEL.sub("", fields[5], count=1) if _LABEL.match("".join(fields[5:])) else "".join(fields[5:])
        yield StmLine(number, fields[0], fields[1], fields[2], span(number, fields, start, end), words)


def first_reading(text: str) -> list[str]:
    """The words, of alternatives ``{ this / that }`` the first, without ``@`` (no word).

    Empty where nothing was transcribed.

    >>> first_reading("{ um / @ } it { is / was } fine"), first_reading(UNSCORED)
    (['um', 'it', 'is', 'fine'], [])
    """
    words = _ALTERNATIVES.sub(r"\1", " ".join(text.split())).split()
    if UNSCORED in (word.upper() for word in words):
        return []
    return [word for word in words if word != "@"]


def write(transcript: Transcript, outputs: Outputs) -> str:
    """One line per segment: ``recording 1 speaker start end words``."""
    labels, recording = identifiers(transcript), identifier(transcript.recording)
    rows = []
    for segment in transcript.segments:
        start, end = decimal(milliseconds(segment.span.start)), decimal(milliseconds(segment.span.end))
        if text := one_line(segment.text):
            rows.append(f"{recording} 1 {labels[segment.speaker]} {start} {end} {text}\n")
    return "".join(rows)
