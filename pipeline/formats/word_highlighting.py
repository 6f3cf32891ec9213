"""Words underlined while they are spoken, as in karaoke: a cue is shown as a row of cues with the same text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from typing import NamedTuple

from meetsplit.pipeline.data import Speaker
from meetsplit.pipeline.formats.cue_timing import CHAIN
from meetsplit.pipeline.formats.cues import Cue

_OPEN, _CLOSE = "\x01", "\x02"
"""Marks around an underlined word until the line is escaped: control characters, which no word of a cue holds."""


class Moment(NamedTuple):
    """A part of a cue in milliseconds, and the numbers of those of its words that are spoken then."""

    start: int
    end: int
    spoken: frozenset[int]


def moments(cue: Cue, highlight: bool) -> Iterator[Moment]:
    """The parts of a cue, each with other words spoken; the whole cue with none where nothing is highlighted.

    A word is spoken until its speaker's next one begins, if that follows soon, and no longer than the cue is shown.
    """
    if not highlight:
        yield Moment(cue.start, cue.end, frozenset())
        return
    changes: dict[int, list[int]] = {}
    following: dict[Speaker, int] = {}
    for number in range(len(cue.words) - 1, -1, -1):
        word = cue.words[number]
        after = following.get(word.speaker)
        end = after if after is not None and after < word.end + CHAIN else word.end
        following[word.speaker] = word.start
        start, end = min(word.start, cue.end), min(end, cue.end)
        if start < end:
            changes.setdefault(start, []).append(number)
            changes.setdefault(end, []).append(~number)
    spoken: set[int] = set()
    at = cue.start
    for moment in sorted({*changes, cue.end}):
        if moment > at:
            yield Moment(at, moment, frozenset(spoken))
            at = moment
        for number in changes.get(moment, ()):
            if number >= 0:
                spoken.add(number)
            else:
                spoken.discard(~number)


def marked(texts: Sequence[str], numbers: Sequence[int], spoken: Set[int]) -> list[str]:
    """The words with marks around those that are spoken; ``numbers`` are their places in the cue."""
    return [f"{_OPEN}{text}{_CLOSE}" if number in spoken else text for text, number in zip(texts, numbers, strict=True)]


def underlined(escaped: str) -> str:
    """An escaped line with its marks as tags, which SubRip and WebVTT have in common."""
    return escaped.replace(_OPEN, "<u>").replace(_CLOSE, "</u>")
