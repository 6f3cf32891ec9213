"""Words without times of their own: they share a stretch of time in proportion to their letters.

The one rule for entries of STM and SegLST files, for words that WhisperX could not align, for transcripts of
openai-whisper without word times, and for scoring (meeteval's ``character_based``).
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import accumulate, pairwise
from typing import TypeVar

from meetsplit.pipeline.data import Span, Word

Number = TypeVar("Number", float, Decimal)


def edges_by_letters(texts: Sequence[str], start: Number, end: Number) -> list[Number]:
    """The times at which the words begin, and ``end``; each word is as long as its share of the letters.

    >>> edges_by_letters(["we", "agree"], 0.0, 7.0)
    [0.0, 2.0, 7.0]
    """
    letters = list(accumulate(map(len, texts), initial=0))
    if letters[-1] == 0:
        return [start] * len(texts) + [end]
    per_letter = (end - start) / letters[-1]
    return [min(start + per_letter * before, end) for before in letters[:-1]] + [end]


def spread(texts: Sequence[str], span: Span) -> tuple[Word, ...]:
    """The words one after another over ``span``.

    >>> [(word.text, word.span.start) for word in spread(["we", "agree"], Span(0.0, 7.0))]
    [('we', 0.0), ('agree', 2.0)]
    """
    edges = edges_by_letters(texts, span.start, span.end)
    return tuple(Word(Span(start, end), text) for text, (start, end) in zip(texts, pairwise(edges), strict=True))


def fill_gaps(texts: Sequence[str], times: Sequence[Span | None], whole: Span) -> tuple[Word, ...]:
    """Every word with a time: those in ``times`` stay, and each run of None fills the room between its neighbours.

    Before the first and after the last of ``times``, the room reaches to the edges of ``whole``.
    """
    words: list[Word] = []
    waiting: list[str] = []
    reached = whole.start
    for text, time in zip(texts, times, strict=True):
        if time is None:
            waiting.append(text)
            continue
        words += spread(waiting, Span(reached, max(reached, time.start)))
        words.append(Word(time, text))
        waiting = []
        reached = max(reached, time.end)
    return (*words, *spread(waiting, Span(reached, max(reached, whole.end))))
