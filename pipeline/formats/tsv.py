"""Tab-separated values as openai-whisper writes them, with the speaker as a last column."""

from __future__ import annotations

from meetsplit.pipeline.data import Transcript
from meetsplit.pipeline.formats.text import cell, milliseconds, one_line, speaker_names
from meetsplit.pipeline.settings import Outputs


def write(transcript: Transcript, outputs: Outputs) -> str:
    """``start end text speaker``, times in whole milliseconds, without formulas (see `cell`)."""
    rows, names = ["start\tend\ttext\tspeaker\n"], speaker_names(transcript)
    for segment in transcript.segments:
        start, end = milliseconds(segment.span.start), milliseconds(segment.span.end)
        rows.append(f"{start}\t{end}\t{cell(one_line(segment.text))}\t{cell(names[segment.speaker])}\n")
    return "".join(rows)
