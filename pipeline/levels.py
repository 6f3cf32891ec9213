"""How loud is each channel, moment by moment, above its own noise and beside the others?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.data import Audio, Samples, Span
from meetsplit.pipeline.mapped import let_go

Decibels = npt.NDArray[np.float32]
"""One number per frame, shape ``(frames,)``, or per channel and frame, ``(channels, frames)``."""

HOP = 0.02
"""Seconds between two frames; a frame hears twice that."""

BAND = (150.0, 4000.0)
"""Hz between which loudness is measured: hum lies below, hiss above, and a telephone has both edges inside."""

SILENCE = -80.0
"""dBFS below which it makes no difference how quiet it is."""

FLOOR_OVER = 45.0
"""Seconds to both sides over which the noise floor is looked for: nobody speaks as long without a breath."""

_BLOCK = 2000
_QUIETEST = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """Loudness of every channel: ``own`` in dBFS and its noise ``floor``, both of shape ``(channels, frames)``.

    ``raised`` is what is added to each channel before it is compared with another, shape ``(channels, 1)``: people set
    their microphones differently.
    """

    own: Decibels
    floor: Decibels
    raised: Decibels

    @property
    def fair(self) -> Decibels:
        """Loudness as it would be with equal microphones."""
        return self.own + self.raised

    @property
    def sounding(self) -> npt.NDArray[np.bool_]:
        """Where a channel is well above its noise, ``(channels, frames)``."""
        return self.own > self.floor + WELL_ABOVE

    def owners(self, margin: float) -> npt.NDArray[np.int64]:
        """The channel that is ``margin`` dB louder than all others, for every frame in which something sounds; -1 for none."""
        fair = self.fair[:, self.sounding.any(axis=0)]
        ordered = np.sort(fair, axis=0)
        return np.where(ordered[-1] - ordered[-2] >= margin, fair.argmax(axis=0), -1)


WELL_ABOVE = 12.0
"""dB above its noise at which a channel sounds."""

RAISED_AT_MOST = 10.0
"""dB by which a quiet channel is raised for a comparison: one in which nobody speaks, but others bleed, stays quiet."""


def levels(channels: Sequence[Audio], within: Span) -> Levels:
    """Loudness of the channels, which have one rate; frame ``n`` begins ``n * HOP`` after the start of ``within``."""
    own = np.stack([loudness(channel, within) for channel in channels])
    floor = np.stack([_floor(row) for row in own])
    loud = np.array([_loudest(row, low) for row, low in zip(own, floor, strict=True)], np.float32)
    raised = np.minimum(loud.max() - loud, RAISED_AT_MOST)
    return Levels(own, floor, raised[:, None].astype(np.float32))


def loudness(audio: Audio, within: Span) -> Decibels:
    """dBFS of every frame in `BAND`, at least `SILENCE`; silence where the sound does not reach."""
    hop = round(HOP * audio.rate)
    count = max(round(within.duration * audio.rate) // hop, 1)
    first = round(within.start * audio.rate) - round(audio.start * audio.rate)
    window = np.hanning(2 * hop).astype(np.float32)
    bins = np.fft.rfftfreq(2 * hop, 1 / audio.rate)
    band = (bins >= BAND[0]) & (bins <= BAND[1])
    scale = 2.0 / (np.square(window).sum() * 2 * hop)
    found = np.empty(count, np.float32)
    for at in range(0, count, _BLOCK):
        frames = min(_BLOCK, count - at)
        heard = between(audio, first + at * hop, first + (at + frames + 1) * hop)
        overlapping = np.lib.stride_tricks.sliding_window_view(heard, 2 * hop)[::hop]
        power = np.square(np.abs(np.fft.rfft(overlapping * window, axis=1)[:, band])).sum(axis=1) * scale
        found[at : at + frames] = 10 * np.log10(np.maximum(power, 10 ** (SILENCE / 10)))
        let_go(audio)
    return found


def between(audio: Audio, first: int, last: int) -> Samples:
    """The samples from index ``first`` to ``last``, with silence where there are none."""
    there = audio.samples[max(first, 0) : max(last, 0)]
    before = min(max(-first, 0), last - first)
    return np.pad(there, (before, last - first - before - len(there)))


def held(row: Decibels, before: int, after: int) -> Decibels:
    """The loudest of the ``before`` frames that came before each frame, itself and the ``after`` that follow.

    >>> held(np.array([0, 0, 5, 0, 0, 0], np.float32), 2, 1).tolist()
    [0.0, 5.0, 5.0, 5.0, 5.0, 0.0]
    """
    padded = np.pad(row, (before, after), mode="edge")
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, before + after + 1).max(axis=-1), np.float32)


def _floor(row: Decibels) -> Decibels:
    """The noise at each frame: what a tenth of the frames around it stay below."""
    step = round(FLOOR_OVER / HOP)
    centres = np.arange(step // 2, max(len(row), step // 2 + 1), step)
    low = [np.percentile(row[max(centre - step, 0) : centre + step], _QUIETEST) for centre in centres]
    return np.interp(np.arange(len(row)), centres, low).astype(np.float32)


def _loudest(row: Decibels, floor: Decibels) -> float:
    """How loud speech is here, dBFS: what one in twenty of the frames well above the noise exceeds."""
    sounding = row[row > floor + WELL_ABOVE]
    return float(np.percentile(sounding, 95)) if len(sounding) else SILENCE
