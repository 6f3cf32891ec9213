"""SegLST, the segment-wise long-form JSON of meeteval and CHiME-7: a list with an object per segment.

    [{"session_id": …, "speaker": …, "start_time": …, "end_time": …, "words": …}, …]

Times are seconds as numbers or as text, written with three decimals. Segments may overlap.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from meetsplit.pipeline.data import Span, Transcript
from meetsplit.pipeline.formats.control_characters import json_escaped
from meetsplit.pipeline.formats.fields import FormatError, seconds, span
from meetsplit.pipeline.formats.text import identifier, identifiers, milliseconds, one_line
from meetsplit.pipeline.settings import Outputs

KEYS = ("session_id", "speaker", "start_time", "end_time", "words")
"""The keys of a segment; the first two may be missing where a reader does not need them."""

_ENCODER = json.JSONEncoder(ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class SeglstSegment:
    """One segment: ``recording`` and ``speaker`` are None where the file does not name them."""

    number: int
    recording: str | None
    speaker: str | None
    span: Span
    words: str


def read(entries: Sequence[object], needed: Sequence[str] = KEYS) -> Iterator[SeglstSegment]:
    """The segments of a SegLST document, lazily.

    Raises `FormatError`, for a segment without the ``needed`` keys, too.
    """
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, Mapping) or any(key not in entry for key in needed):
            raise FormatError(number, "fields", entry)
        start = seconds(number, entry, "start", entry["start_time"])
        end = seconds(number, entry, "end", entry["end_time"])
        whole = span(number, entry, start, end)
        if not isinstance(entry["words"], str):
            raise FormatError(number, "fields", entry, name="words")
        yield SeglstSegment(number, _label(entry, "session_id"), _label(entry, "speaker"), whole, entry["words"])


def _label(entry: Mapping[str, object], key: str) -> str | None:
    return str(entry[key]) if key in entry else None


def write(transcript: Transcript, outputs: Outputs) -> str:
    """A JSON list with one object per segment, one per line."""
    labels, recording = identifiers(transcript), identifier(transcript.recording)
    rows = []
    for segment in transcript.segments:
        row = {
            "session_id": recording,
            "speaker": labels[segment.speaker],
            "start_time": milliseconds(segment.span.start) / 1000,
            "end_time": milliseconds(segment.span.end) / 1000,
            "words": one_line(segment.text),
        }
        rows.append(json_escaped(_ENCODER.encode(row)))
    return "[\n" + ",\n".join(f"  {row}" for row in rows) + "\n]\n" if rows else "[]\n"
