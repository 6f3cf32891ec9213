"""Line breaking of a cue: as few lines as possible, of even length, broken at punctuation where that costs no line.

The breaks are found by dynamic programming over all of them.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from meetsplit.pipeline.data import Speaker, join_words
from meetsplit.pipeline.formats.text import width
from meetsplit.pipeline.settings import SpeakerNames

_SENTENCE = frozenset(".!?…。！？؟۔।")
_CLAUSE = frozenset(",;:—–、，；：،؛")
_CLOSING = "\"'”’»)]」』"

Head: TypeAlias = Callable[[Speaker, bool], str]
"""The text before a speaker's words, given the speaker and whether others share the cue; may be empty."""

NO_LIMIT = sys.maxsize
"""Words on a line where only its width counts."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The room for text: columns per line, lines per cue, the head before a speaker's words, and words per line.

    With ``naming`` at "change", a cue of one speaker has no head where the cue before is that speaker's alone.
    """

    width: int
    count: int
    head: Head
    words: int = NO_LIMIT
    naming: SpeakerNames = "every"


def ends_sentence(word: str) -> bool:
    """Whether a sentence ends with this word, quotes and brackets aside."""
    return word.rstrip(_CLOSING)[-1:] in _SENTENCE


def ends_clause(word: str) -> bool:
    """Whether a comma or the like follows the word."""
    return word.rstrip(_CLOSING)[-1:] in _CLAUSE


def blank(before: str, after: str) -> int:
    """Columns between two neighbouring words: 1, or 0 in scripts without blanks."""
    if before[-1:].isascii() or after[:1].isascii():  # the usual case, and the quick one
        return 1
    return len(join_words((before[-1:], after[:1]))) - 2


def lines(texts: Sequence[str], layout: Layout, head: str = "", marked: Sequence[str] | None = None) -> tuple[str, ...]:
    """The words on as few lines as possible, of even length, broken at punctuation where that costs no line.

    A word wider than a line stands alone on its line. ``marked`` are the same words with marks that take no room.
    """
    words = [(text, text if marked is None else marked[number]) for number, text in enumerate(texts) if text]
    tokens = [head, *(text for text, _ in words)] if head else [text for text, _ in words]
    written = [head, *(text for _, text in words)] if head else [text for _, text in words]
    columns = [width(token) for token in tokens]
    glues = [blank(before, after) for before, after in itertools.pairwise(tokens)]

    def line(first: int, last: int) -> str:
        return "".join(
            (" " if number > first and glues[number - 1] else "") + written[number] for number in range(first, last)
        )

    if sum(columns) + sum(glues) <= layout.width and len(words) <= layout.words:
        return (line(0, len(tokens)),) if tokens else ()
    bonuses = [_bonus(tokens, first, head) for first in range(len(tokens))]
    best = [_Break(0, 0.0, 0)]
    for last in range(1, len(tokens) + 1):
        options: list[_Break] = []
        used = 0
        for first in range(last - 1, -1, -1):
            used += columns[first] + (glues[first] if first < last - 1 else 0)
            in_line = last - first - (1 if head and first == 0 else 0)
            if (used > layout.width or in_line > layout.words) and last - first > 1:
                break
            unevenness = ((layout.width - used) / layout.width) ** 2
            before = best[first]
            options.append(_Break(before.lines + 1, before.price + unevenness - bonuses[first], first))
        best.append(min(options))
    broken: list[str] = []
    last = len(tokens)
    while last > 0:
        first = best[last].first
        broken.append(line(first, last))
        last = first
    return tuple(reversed(broken))


class _Break(NamedTuple):
    """The best way to break the first tokens: lines, price, and the token that begins the last line.

    Compared in this order.
    """

    lines: int
    price: float
    first: int


def _bonus(tokens: Sequence[str], first: int, head: str) -> float:
    """What a line break before token ``first`` is worth, off the price."""
    if first == 0:
        return 0.0
    if first == 1 and head:
        return -0.5
    return 0.2 if ends_sentence(tokens[first - 1]) or ends_clause(tokens[first - 1]) else 0.0
