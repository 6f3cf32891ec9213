"""When cues end: long enough to be read, with a gap before the next one, and never more than `LONGEST`.

A cue always begins with its first word. It stays until its last word has ended and beyond, for as long as it takes to
read it (at most `LONGEST_LINGER`), and up to the next one where only a short gap would be left.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace

from meetsplit.pipeline.data import Speaker
from meetsplit.pipeline.formats.cues import LEAST, LONGEST, LONGEST_LINGER, Cue, Timing
from meetsplit.pipeline.formats.text import milliseconds
from meetsplit.pipeline.settings import Outputs

CHAIN = 500
"""Milliseconds below which a gap between two cues is closed to the least gap: a short pause in the picture is jerky."""

TOUCH = 300
"""Milliseconds of overlap below which two people only touch: the first cue ends before the second begins."""

FLASH_SHARE = 0.8
"""The part of the shortest duration for which a cue is shown, even beside the cue of the person who speaks next."""


def timing_of(outputs: Outputs) -> Timing:
    """The rules that the options give."""
    return Timing(milliseconds(outputs.min_gap), milliseconds(outputs.min_duration), 1000 / outputs.max_cps)


def in_turn(shown: Sequence[Cue], timing: Timing, duration: int) -> tuple[Cue, ...]:
    """The cues, sorted by start, with their ends such that no two are shown at once.

    A cue lingers not beyond ``duration``, the end of the recording in milliseconds.
    """
    limits = [*(cue.start - timing.gap for cue in shown[1:]), None]
    return tuple(
        replace(cue, end=_chained(cue, _target(cue, limit, timing, duration)[0], limit))
        for cue, limit in zip(shown, limits, strict=bool(shown))
    )


def side_by_side(shown: Sequence[Cue], timing: Timing, duration: int) -> tuple[Cue, ...]:
    """The cues of one speaker each, sorted by start, with their ends such that no speaker has two cues at once.

    People who speak at once are shown at once. Otherwise a cue ends before another person's begins, except where it
    would only flash by.
    """
    starts = sorted({cue.start for cue in shown})
    limits = _own_limits(shown, timing)
    return tuple(
        replace(cue, end=_end_beside(cue, limit, starts, timing, duration))
        for cue, limit in zip(shown, limits, strict=True)
    )


def _own_limits(shown: Sequence[Cue], timing: Timing) -> list[int | None]:
    """For each cue, when its speaker's next one needs it to have ended; None for the last."""
    later: dict[Speaker, int] = {}
    limits: list[int | None] = []
    for cue in reversed(shown):
        speaker = cue.words[0].speaker
        limits.append(later.get(speaker))
        later[speaker] = cue.start - timing.gap
    return limits[::-1]


def _target(cue: Cue, limit: int | None, timing: Timing, duration: int) -> tuple[int, int]:
    """When the cue ends with nothing else in its way than ``limit``, and when its last word does."""
    latest = cue.start + LONGEST if limit is None else min(limit, cue.start + LONGEST)
    speech = min(cue.end, latest)
    read = min(cue.start + _reading(cue, timing), speech + LONGEST_LINGER, duration)
    return max(min(max(speech, read), latest), cue.start + LEAST), speech


def _reading(cue: Cue, timing: Timing) -> int:
    """Milliseconds for which the cue should be shown."""
    return max(timing.shortest, round(cue.columns * timing.per_column))


def _chained(cue: Cue, end: int, limit: int | None) -> int:
    """The end, or the limit, where the gap between them is short."""
    if limit is not None and end < limit < end + CHAIN:
        return min(limit, cue.start + LONGEST)
    return end


def _end_beside(cue: Cue, own: int | None, starts: Sequence[int], timing: Timing, duration: int) -> int:
    end, speech = _target(cue, own, timing, duration)
    shortest = max(round(FLASH_SHARE * timing.shortest), LEAST)
    first = max(bisect_right(starts, cue.start), bisect_left(starts, speech - TOUCH))
    for start in starts[first : bisect_left(starts, end + timing.gap)]:
        if start - timing.gap >= end:
            break
        if start - timing.gap - cue.start >= shortest:
            return start - timing.gap
        end = min(end, max(speech, cue.start + max(timing.shortest, LEAST)))
    after = bisect_left(starts, end + timing.gap)
    limits = [
        limit for limit in (own, starts[after] - timing.gap if after < len(starts) else None) if limit is not None
    ]
    return _chained(cue, end, min(limits, default=None))
