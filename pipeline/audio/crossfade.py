"""How is sound cut and joined without a click? Works on samples and never changes what it is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from meetsplit.pipeline.data import Audio, Samples, Span

FADE = 0.02
"""Seconds of cross-fade between the recording and a voice; it lies inside the voice's span."""

FRAME = 0.05
"""Seconds over which `quietest` measures loudness."""


@dataclass(frozen=True, slots=True, eq=False)
class Insert:
    """A ``voice`` to be heard during ``span`` in place of the recording; ``voice`` may reach further on both sides.

    ``opens`` and ``closes`` say that the span's start and end are where the voice is wanted from and until; otherwise
    the stretch itself is cut there, and nothing is faded.
    """

    span: Span
    voice: Audio
    opens: bool = True
    closes: bool = True


def ramp(length: int) -> Samples:
    """Rising weights strictly between 0 and 1, shape ``(length,)``.

    Linear, because what is cross-faded is coherent: a voice is a part of its mixture, and equal power would swell.

    >>> ramp(3).tolist()
    [0.25, 0.5, 0.75]
    """
    return np.asarray(np.arange(1, length + 1) / (length + 1), np.float32)


def crossfade(base: Audio, inserts: Sequence[Insert]) -> Audio:
    """``base`` with the voices in it; outside the inlays' spans every sample is the base's own.

    Inlays are sorted and share no time, and have the base's rate. Where two touch, the later voice rises out of the
    earlier one, as far as that one reaches. Without inlays it is ``base`` itself, not a copy.
    """
    if not inserts:
        return base
    samples = base.samples.copy()
    fade = round(FADE * base.rate)
    for number, inlay in enumerate(inserts):
        first, last = base.index(inlay.span.start), base.index(inlay.span.end)
        before = inserts[number - 1] if number and inserts[number - 1].span.end == inlay.span.start else None
        touched = number + 1 < len(inserts) and inserts[number + 1].span.start == inlay.span.end
        length = min(fade, (last - first) // 2)
        samples[first:last] = inlay.voice.crop(inlay.span).samples
        if before is not None or (inlay.opens and first > 0):
            under = (
                base.samples[first : first + length]
                if before is None
                else _from(before.voice, inlay.span.start, length)
            )
            _blend(samples[first : first + len(under)], under, ramp(len(under)))
        if inlay.closes and last < len(samples) and not touched:
            _blend(samples[last - length : last], base.samples[last - length : last], ramp(length)[::-1])
    return base.replaced(samples)


def quietest(audio: Audio, span: Span) -> float:
    """The recording time inside ``span`` around which ``audio`` is least loud; the middle where ``span`` is short.

    >>> sound = Audio(np.concatenate([np.ones(8000), np.zeros(1600), np.ones(8000)]).astype(np.float32), 16000)
    >>> 0.5 < quietest(sound, Span(0.0, 1.1)) < 0.6
    True
    """
    part = audio.crop(span)
    frame = round(FRAME * audio.rate)
    if len(part.samples) <= frame:
        return (span.start + span.end) / 2
    sums = np.concatenate([[0.0], np.cumsum(np.square(part.samples, dtype=np.float64))])
    at = int(np.argmin(sums[frame:] - sums[:-frame]))
    return part.clock((at + frame / 2) / audio.rate)


def _from(voice: Audio, start: float, length: int) -> Samples:
    first = voice.index(start)
    return voice.samples[first : first + length]


def _blend(target: Samples, under: Samples, weight: Samples) -> None:
    target *= weight
    target += under * (1 - weight)
