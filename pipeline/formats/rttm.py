"""RTTM, NIST's Rich Transcription Time Marked format (RT-09 evaluation plan): one turn a line.

    SPEAKER <recording> <channel> <start> <duration> <NA> <NA> <speaker> <NA> <NA>

Times are seconds, written with three decimals. Turns may overlap.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from meetsplit.pipeline.data import Transcript, Turn, decimal_sum
from meetsplit.pipeline.formats.fields import FormatError, data_lines, seconds, span
from meetsplit.pipeline.formats.text import decimal, identifier, identifiers, milliseconds
from meetsplit.pipeline.settings import Outputs

TYPES = frozenset(
    (
        "SPEAKER",
        "SEGMENT",
        "NOSCORE",
        "NO_RT_METADATA",
        "LEXEME",
        "NON-LEX",
        "NON-SPEECH",
        "FILLER",
        "EDIT",
        "IP",
        "SU",
        "CB",
        "A/P",
        "SPKR-INFO",
        "NOEVAL",
    )
)
"""Line types of the NIST RT-09 evaluation plan; only SPEAKER lines are turns."""

LEAST_FIELDS = 8
"""Fields of a SPEAKER line up to the speaker."""


@dataclass(frozen=True, slots=True)
class RttmLine:
    """One line: its ``type`` as written, and for a SPEAKER line (in any case) the turn and its recording."""

    number: int
    type: str
    recording: str
    turn: Turn | None


def read(text: str) -> Iterator[RttmLine]:
    """The lines of an RTTM file, lazily; comments are passed over.

    Raises `FormatError` for a SPEAKER line that is no turn.
    """
    for number, line in data_lines(text):
        fields = line.split()
        turn = _turn(number, fields) if fields[0].upper() == "SPEAKER" else None
        yield RttmLine(number, fields[0], fields[1] if len(fields) > 1 else "", turn)


def _turn(number: int, fields: list[str]) -> Turn:
    if len(fields) < LEAST_FIELDS:
        raise FormatError(number, "fields", fields)
    start = seconds(number, fields, "start", fields[3])
    duration = seconds(number, fields, "duration", fields[4])
    return Turn(span(number, fields, start, decimal_sum(start, duration)), fields[7])


def write(transcript: Transcript, outputs: Outputs) -> str:
    """The diarizer's turns; those shorter than half a millisecond are left out."""
    labels, recording = identifiers(transcript), identifier(transcript.recording)
    rows = []
    for turn in sorted(transcript.turns):
        start, end = milliseconds(turn.span.start), milliseconds(turn.span.end)
        if start < end:
            times = f"{decimal(start)} {decimal(end - start)}"
            confidence = "<NA>" if turn.confidence is None else f"{turn.confidence:.3f}"
            rows.append(f"SPEAKER {recording} 1 {times} <NA> <NA> {labels[turn.speaker]} {confidence} <NA>\n")
    return "".join(rows)
