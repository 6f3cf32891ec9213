"""Paragraphs of running text: what one person says in a row, with the words that others talk over."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from meetsplit.pipeline.data import Segment, Span, Speaker, Transcript, Word
from meetsplit.pipeline.data.timeline import shared, support
from meetsplit.pipeline.formats.line_breaking import ends_sentence
from meetsplit.pipeline.formats.text import milliseconds, one_line

PARAGRAPH_PAUSE = 2.0
"""Seconds of silence after which the same person begins a new paragraph."""

LONG_PARAGRAPH = 60.0
"""Seconds after which a paragraph ends with the next sentence."""

OVERLAP = "//"
"""Stands before and after words that overlap with another person's, as in conversation analysis."""

TOUCH = 100
"""Milliseconds that a word may share with another person's without a mark: neighbouring words often touch."""


@dataclass(frozen=True, slots=True)
class Run:
    """Words in a row, each on one line, that are all ``overlapped`` with another person's or all not."""

    words: tuple[str, ...]
    overlapped: bool


@dataclass(frozen=True, slots=True)
class Paragraph:
    """What one person says in a row, in runs; ``start`` is the first word's, in seconds."""

    speaker: Speaker
    start: float
    end: float
    runs: tuple[Run, ...]

    @property
    def tokens(self) -> Iterator[str]:
        """The words, those that overlap in marks."""
        for run in self.runs:
            last = len(run.words) - 1
            for number, word in enumerate(run.words):
                opening = OVERLAP if run.overlapped and number == 0 else ""
                closing = OVERLAP if run.overlapped and number == last else ""
                yield f"{opening}{word}{closing}"


def paragraphs(transcript: Transcript) -> Iterator[Paragraph]:
    """The paragraphs of a transcript in its order; those without a letter are left out."""
    overlaps = _Overlaps(transcript)
    for segments in _groups(transcript.segments):
        words = [word for segment in segments for word in segment.words if one_line(word.text)]
        if words:
            runs = tuple(
                Run(tuple(one_line(word.text) for word in group), overlapped)
                for overlapped, group in itertools.groupby(words, overlaps.cover)
            )
            yield Paragraph(segments[0].speaker, segments[0].start, max(segment.end for segment in segments), runs)


class _Overlaps:
    """Where the words of two or more people share time."""

    def __init__(self, transcript: Transcript) -> None:
        spans: dict[Speaker, list[Span]] = {}
        for segment in transcript.segments:
            spans.setdefault(segment.speaker, []).extend(word.span for word in segment.words)
        self._spans = shared([support(own) for own in spans.values()])

    def cover(self, word: Word) -> bool:
        """Whether so much of the word is overlapped that it is to be marked."""
        number = bisect_right(self._spans, word.span.start, key=lambda span: span.end)
        common = 0.0
        while number < len(self._spans) and self._spans[number].start < word.span.end:
            span = self._spans[number]
            common += min(span.end, word.span.end) - max(span.start, word.span.start)
            number += 1
        return milliseconds(common) > min(TOUCH, milliseconds(word.span.end - word.span.start) // 2)


def _groups(segments: Sequence[Segment]) -> Iterator[list[Segment]]:
    group: list[Segment] = []
    for segment in segments:
        if group and _begins_paragraph(segment, group):
            yield group
            group = []
        group.append(segment)
    if group:
        yield group


def _begins_paragraph(segment: Segment, paragraph: Sequence[Segment]) -> bool:
    before = paragraph[-1]
    if segment.speaker != before.speaker or segment.span.start - before.span.end >= PARAGRAPH_PAUSE:
        return True
    return segment.span.start - paragraph[0].span.start >= LONG_PARAGRAPH and ends_sentence(before.text)
