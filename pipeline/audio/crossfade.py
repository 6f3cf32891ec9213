"""Cutting and joining audio without clicks. The arguments are never changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from meetsplit.pipeline.data import Audio, Samples, Span

FADE = 0.02
"""Seconds of crossfade between the recording and a voice; it lies inside the voice's span."""

FRAME = 0.05
"""Seconds over which `quietest_time` measures loudness."""


@dataclass(frozen=True, slots=True, eq=False)
class Insert:
    """A ``voice`` that replaces the recording during ``span``; ``voice`` may reach further on both sides.

    ``fade_in`` and ``fade_out`` say whether it is crossfaded with the recording at the span's start and end; without
    them the clip itself is cut there.
    """

    span: Span
    voice: Audio
    fade_in: bool = True
    fade_out: bool = True


def ramp(length: int) -> Samples:
    """Rising weights strictly between 0 and 1, shape ``(length,)``.

    Linear, because the two sides are coherent: a voice is a part of its mixture, and equal power would swell.

    >>> ramp(3).tolist()
    [0.25, 0.5, 0.75]
    """
    return np.asarray(np.arange(1, length + 1) / (length + 1), np.float32)


def crossfade(base: Audio, inserts: Sequence[Insert]) -> Audio:
    """``base`` with the inserts' voices in it; outside their spans every sample is the base's own.

    Inserts are sorted and share no time, and have the base's rate. Where two touch, the later voice is faded in over
    the earlier one, as far as that one reaches. Without inserts it is ``base`` itself, not a copy.
    """
    if not inserts:
        return base
    samples = base.samples.copy()
    fade = round(FADE * base.rate)
    for previous, insert, following in zip([None, *inserts[:-1]], inserts, [*inserts[1:], None], strict=True):
        first, last = base.index(insert.span.start), base.index(insert.span.end)
        length = min(fade, (last - first) // 2)
        samples[first:last] = insert.voice.crop(insert.span).samples
        if previous is not None and previous.span.end == insert.span.start:
            earlier = _samples_from(previous.voice, insert.span.start, length)
            _blend(samples[first : first + len(earlier)], earlier, ramp(len(earlier)))
        elif insert.fade_in and first > 0:
            _blend(samples[first : first + length], base.samples[first : first + length], ramp(length))
        touches_next = following is not None and following.span.start == insert.span.end
        if insert.fade_out and last < len(samples) and not touches_next:
            _blend(samples[last - length : last], base.samples[last - length : last], ramp(length)[::-1])
    return base.replaced(samples)


def quietest_time(audio: Audio, span: Span) -> float:
    """The recording time inside ``span`` around which ``audio`` is quietest; the middle where ``span`` is short.

    >>> sound = Audio(np.concatenate([np.ones(8000), np.zeros(1600), np.ones(8000)]).astype(np.float32), 16000)
    >>> 0.5 < quietest_time(sound, Span(0.0, 1.1)) < 0.6
    True
    """
    part = audio.crop(span)
    frame = round(FRAME * audio.rate)
    if len(part.samples) <= frame:
        return (span.start + span.end) / 2
    sums = np.concatenate([[0.0], np.cumsum(np.square(part.samples, dtype=np.float64))])
    at = int(np.argmin(sums[frame:] - sums[:-frame]))
    return part.clock((at + frame / 2) / audio.rate)


def _samples_from(voice: Audio, start: float, length: int) -> Samples:
    """At most ``length`` samples of the voice from recording time ``start`` on."""
    first = voice.index(start)
    return voice.samples[first : first + length]


def _blend(target: Samples, other: Samples, weight: Samples) -> None:
    """Mix in place: ``weight`` of the target, the rest of ``other``."""
    target *= weight
    target += other * (1 - weight)
