"""Plain text for people: a paragraph per turn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from meetsplit.pipeline.data import Segment, Transcript, join_words
from meetsplit.pipeline.formats.line_breaking import ends_sentence
from meetsplit.pipeline.formats.text import clock, milliseconds, one_line, speaker_names
from meetsplit.pipeline.settings import Outputs

PARAGRAPH_PAUSE = 2.0
"""Seconds of silence after which the same person begins a new paragraph."""

LONG_PARAGRAPH = 60.0
"""Seconds after which a paragraph ends with the next sentence."""


def write(transcript: Transcript, outputs: Outputs) -> str:
    """A paragraph per turn, ``[hh:mm:ss] Name: …``, with an empty line between; the time is the first word's."""
    paragraphs, names = [], speaker_names(transcript)
    for paragraph in _paragraphs(transcript.segments):
        first = paragraph[0]
        text = one_line(join_words(segment.text for segment in paragraph))
        if text:
            paragraphs.append(f"[{clock(milliseconds(first.span.start))}] {names[first.speaker]}: {text}\n")
    return "\n".join(paragraphs)


def _paragraphs(segments: Sequence[Segment]) -> Iterator[list[Segment]]:
    paragraph: list[Segment] = []
    for segment in segments:
        if paragraph and _begins_paragraph(segment, paragraph):
            yield paragraph
            paragraph = []
        paragraph.append(segment)
    if paragraph:
        yield paragraph


def _begins_paragraph(segment: Segment, paragraph: Sequence[Segment]) -> bool:
    before = paragraph[-1]
    if segment.speaker != before.speaker or segment.span.start - before.span.end >= PARAGRAPH_PAUSE:
        return True
    return segment.span.start - paragraph[0].span.start >= LONG_PARAGRAPH and ends_sentence(before.text)
