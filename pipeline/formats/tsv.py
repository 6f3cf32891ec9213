"""Tab-separated values as openai-whisper writes them, followed by the speaker and whether others speak meanwhile."""

from __future__ import annotations

from meetsplit.pipeline.data import Transcript
from meetsplit.pipeline.formats.text import cell, milliseconds, one_line, speaker_names
from meetsplit.pipeline.settings import Outputs


def write(transcript: Transcript, outputs: Outputs) -> str:
    """``start end text speaker overlap``, times in milliseconds, without formulas (see `cell`); overlap is 1 or 0."""
    rows, names = ["start\tend\ttext\tspeaker\toverlap\n"], speaker_names(transcript)
    for segment in transcript.segments:
        start, end = milliseconds(segment.span.start), milliseconds(segment.span.end)
        text, name = cell(one_line(segment.text)), cell(names[segment.speaker])
        rows.append(f"{start}\t{end}\t{text}\t{name}\t{int(segment.overlap)}\n")
    return "".join(rows)
