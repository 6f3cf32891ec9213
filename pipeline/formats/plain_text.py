"""Text for people and spreadsheets: paragraphs, tab-separated lines, labels for a sound editor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from meetsplit.pipeline.data import Segment, Transcript, join_words
from meetsplit.pipeline.formats.line_breaking import ends_sentence
from meetsplit.pipeline.formats.text import cell, clock, decimal, milliseconds, one_line, people
from meetsplit.pipeline.settings import Outputs

PAUSE = 2.0
"""Seconds of silence after which the same person begins a new paragraph."""
LONG = 60.0
"""Seconds after which a paragraph ends with the next sentence."""


def txt(transcript: Transcript, outputs: Outputs) -> str:
    """A paragraph per turn, ``[hh:mm:ss] Name: …``, with an empty line between; the time is the first word's."""
    paragraphs, names = [], people(transcript)
    for run in _runs(transcript.segments):
        text = one_line(join_words(segment.text for segment in run))
        if text:
            paragraphs.append(f"[{clock(milliseconds(run[0].span.start))}] {names[run[0].speaker]}: {text}\n")
    return "\n".join(paragraphs)


def _runs(segments: Sequence[Segment]) -> Iterator[list[Segment]]:
    run: list[Segment] = []
    for segment in segments:
        if run and _parted(run, segment):
            yield run
            run = []
        run.append(segment)
    if run:
        yield run


def _parted(run: Sequence[Segment], segment: Segment) -> bool:
    before = run[-1]
    tired = segment.span.start - run[0].span.start >= LONG and ends_sentence(before.text)
    return segment.speaker != before.speaker or segment.span.start - before.span.end >= PAUSE or tired


def tsv(transcript: Transcript, outputs: Outputs) -> str:
    """openai-whisper's TSV with the speaker as a last column: ``start end text speaker``, whole milliseconds; see `cell`."""
    rows, names = ["start\tend\ttext\tspeaker\n"], people(transcript)
    for segment in transcript.segments:
        start, end = milliseconds(segment.span.start), milliseconds(segment.span.end)
        rows.append(f"{start}\t{end}\t{cell(one_line(segment.text))}\t{cell(names[segment.speaker])}\n")
    return "".join(rows)


def audacity(transcript: Transcript, outputs: Outputs) -> str:
    """A label track for Audacity: ``start end Name: text`` in seconds, with what should be listened to again in brackets."""
    rows, names = [], people(transcript)
    for segment in transcript.segments:
        start, end = decimal(milliseconds(segment.span.start)), decimal(milliseconds(segment.span.end))
        check = f" [check: {', '.join(segment.review)}]" if segment.review else ""
        rows.append(f"{start}\t{end}\t{one_line(f'{names[segment.speaker]}: {segment.text}{check}')}\n")
    return "".join(rows)
