"""Which words were never said? Guards against what a transcriber makes up in silence and at the edges of a clip."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from meetsplit.pipeline.data import Audio, Samples, Span, Word

SILENCE = 1e-5
"""Samples no louder than this (-100 dB of full scale) are digital silence, give or take rounding."""

FAINT = 10 ** (-50 / 20)
"""A word all of whose sound is this much weaker than the clip's loudest moment was not spoken."""

FRAME = 0.02
"""Seconds over which loudness is measured."""

SLACK = 0.15
"""Seconds by which a word's times may be off when its sound is looked for."""

INSTANT = 0.02
"""The shortest time in seconds that a word takes."""

PILE = 3
"""So many words in a row without any duration are a loop of the decoder and not speech."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A word as a model gives it: ``start`` and ``end`` in seconds into the clip, in any state."""

    start: float
    end: float
    text: str
    confidence: float


def audible(clip: Audio) -> Audio:
    """The clip without the digital silence at its edges; empty where there is nothing else."""
    loud = np.flatnonzero(np.abs(clip.samples) > SILENCE)
    if not len(loud):
        return Audio(clip.samples[:0], clip.rate, clip.start)
    first, last = int(loud[0]), int(loud[-1]) + 1
    return Audio(clip.samples[first:last], clip.rate, clip.clock(first / clip.rate))


def trustworthy(claims: Iterable[Claim], clip: Audio) -> tuple[Word, ...]:
    """The claims that can be true, as words on the recording's clock, sorted, inside the clip and one after another.

    Left out are empty texts, words beyond the clip's end or in its silence, and piles of words that take no time.
    """
    levels = _levels(clip.samples, clip.rate)
    words: list[Word] = []
    at = 0.0
    for claim in _possible(claims, clip.duration):
        start, end = _standing(claim, at, clip.duration)
        if start < end and _sounds(levels, start, end):
            at = end
            span = Span(clip.clock(start), max(min(clip.clock(end), clip.span.end), clip.clock(start)))
            words.append(Word(span, claim.text.strip(), min(max(claim.confidence, 0.0), 1.0)))
    return tuple(words)


def _possible(claims: Iterable[Claim], duration: float) -> Iterator[Claim]:
    inside = (claim for claim in claims if claim.text.strip() and claim.start < duration)
    for instant, run in itertools.groupby(inside, key=lambda claim: claim.end <= claim.start):
        group = list(run)
        if not instant or (len(group) < PILE and group[0].start < duration - INSTANT):
            yield from group


def _standing(claim: Claim, at: float, duration: float) -> tuple[float, float]:
    """The word's time inside the clip, not before ``at``, and where there is room not too short to be shown."""
    start = min(max(claim.start, at), duration)
    end = min(max(claim.end, start + INSTANT), duration)
    return max(min(start, end - INSTANT), at), end


def _levels(samples: Samples, rate: int) -> Samples:
    """Root mean square of each frame of `FRAME` seconds."""
    size = max(round(FRAME * rate), 1)
    padded = np.pad(samples, (0, -len(samples) % size)).reshape(-1, size)
    levels: Samples = np.sqrt(np.mean(np.square(padded, dtype=np.float32), axis=1))
    return levels


def _sounds(levels: Samples, start: float, end: float) -> bool:
    first, last = int(max(start - SLACK, 0.0) / FRAME), int((end + SLACK) / FRAME) + 1
    near = levels[first:last]
    return bool(len(near) and near.max() > max(SILENCE, FAINT * float(levels.max())))
