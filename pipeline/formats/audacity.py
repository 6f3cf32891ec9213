"""A label track for the sound editor Audacity."""

from __future__ import annotations

from meetsplit.pipeline.data import Transcript
from meetsplit.pipeline.formats.text import decimal, milliseconds, one_line, speaker_names
from meetsplit.pipeline.settings import Outputs


def write(transcript: Transcript, outputs: Outputs) -> str:
    """``start end Name: text``, times in seconds, with the reasons to listen again in brackets."""
    rows, names = [], speaker_names(transcript)
    for segment in transcript.segments:
        start, end = decimal(milliseconds(segment.span.start)), decimal(milliseconds(segment.span.end))
        check = f" [check: {', '.join(segment.review)}]" if segment.review else ""
        rows.append(f"{start}\t{end}\t{one_line(f'{names[segment.speaker]}: {segment.text}{check}')}\n")
    return "".join(rows)
