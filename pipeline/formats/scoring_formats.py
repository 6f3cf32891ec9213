"""What scoring programs read: RTTM and STM (NIST), SegLST (MeetEval, CHiME-7). Overlap stays overlap.

The recording and the people have the same identifiers in all three, without blanks. Times are seconds with three
decimals.
"""

from __future__ import annotations

import json

from meetsplit.pipeline.data import Transcript
from meetsplit.pipeline.formats.control_characters import json_escaped
from meetsplit.pipeline.formats.text import decimal, identifier, identifiers, milliseconds, one_line
from meetsplit.pipeline.settings import Outputs


def rttm(transcript: Transcript, outputs: Outputs) -> str:
    """The diarizer's turns; those shorter than half a millisecond are left out."""
    people, recording = identifiers(transcript), identifier(transcript.recording)
    rows = []
    for turn in sorted(transcript.turns):
        start, end = milliseconds(turn.span.start), milliseconds(turn.span.end)
        if start < end:
            rows.append(
                f"SPEAKER {recording} 1 {decimal(start)} {decimal(end - start)} <NA> <NA> {people[turn.speaker]} <NA> <NA>\n"
            )
    return "".join(rows)


def stm(transcript: Transcript, outputs: Outputs) -> str:
    """One line per segment: ``recording 1 speaker start end words``."""
    people, recording = identifiers(transcript), identifier(transcript.recording)
    rows = []
    for segment in transcript.segments:
        start, end = decimal(milliseconds(segment.span.start)), decimal(milliseconds(segment.span.end))
        if text := one_line(segment.text):
            rows.append(f"{recording} 1 {people[segment.speaker]} {start} {end} {text}\n")
    return "".join(rows)


def seglst(transcript: Transcript, outputs: Outputs) -> str:
    """A JSON list with one object per segment, one per line."""
    people, recording = identifiers(transcript), identifier(transcript.recording)
    rows = []
    for segment in transcript.segments:
        times = {
            "start_time": milliseconds(segment.span.start) / 1000,
            "end_time": milliseconds(segment.span.end) / 1000,
        }
        row = {"session_id": recording, "speaker": people[segment.speaker], **times, "words": one_line(segment.text)}
        rows.append(json_escaped(json.dumps(row, ensure_ascii=False)))
    return "[\n" + ",\n".join(f"  {row}" for row in rows) + "\n]\n" if rows else "[]\n"
