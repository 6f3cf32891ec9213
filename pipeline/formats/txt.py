"""Plain text for people: a paragraph per turn, words that others talk over between ``//``."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Iterator, Sequence

from meetsplit.pipeline.data import Segment, Span, Speaker, Transcript, Word
from meetsplit.pipeline.data.timeline import shared, support
from meetsplit.pipeline.formats.line_breaking import blank, ends_sentence
from meetsplit.pipeline.formats.text import clock, milliseconds, one_line, speaker_names, width
from meetsplit.pipeline.settings import Outputs

PARAGRAPH_PAUSE = 2.0
"""Seconds of silence after which the same person begins a new paragraph."""

LONG_PARAGRAPH = 60.0
"""Seconds after which a paragraph ends with the next sentence."""

OVERLAP = "//"
"""Stands before and after words that overlap with another person's, as in conversation analysis."""

TOUCH = 100
"""Milliseconds that a word may share with another person's without a mark: neighbouring words often touch."""


def write(transcript: Transcript, outputs: Outputs) -> str:
    """A paragraph per turn, ``[hh:mm:ss] Name: …``, with an empty line between; the time is the first word's."""
    paragraphs, names = [], speaker_names(transcript)
    overlaps = _Overlaps(transcript)
    for paragraph in _paragraphs(transcript.segments):
        first = paragraph[0]
        tokens = _tokens(paragraph, overlaps)
        if tokens:
            times = clock(milliseconds(first.span.start))
            if outputs.txt_end_times:
                times += f"–{clock(milliseconds(max(segment.span.end for segment in paragraph)))}"
            paragraphs.append(_wrapped([f"[{times}] {names[first.speaker]}:", *tokens], outputs.txt_width))
    return "\n".join(paragraphs)


def _tokens(paragraph: Sequence[Segment], overlaps: _Overlaps) -> list[str]:
    """The words of a paragraph, those that overlap in marks."""
    words = [word for segment in paragraph for word in segment.words if one_line(word.text)]
    tokens: list[str] = []
    before = False
    for number, word in enumerate(words):
        overlapped = overlaps.cover(word)
        after = number + 1 < len(words) and overlaps.cover(words[number + 1])
        opening = OVERLAP if overlapped and not before else ""
        closing = OVERLAP if overlapped and not after else ""
        tokens.append(f"{opening}{one_line(word.text)}{closing}")
        before = overlapped
    return tokens


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


def _wrapped(tokens: Sequence[str], most: int) -> str:
    """The words on lines of ``most`` columns, without limit for 0; a longer word stands alone on its line."""
    text, used = tokens[0], width(tokens[0])
    for before, token in itertools.pairwise(tokens):
        glue, columns = blank(before, token), width(token)
        if most and used + glue + columns > most:
            text, used = f"{text}\n{token}", columns
        else:
            text, used = text + " " * glue + token, used + glue + columns
    return f"{text}\n"


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
