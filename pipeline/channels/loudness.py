"""How loud is each channel, moment by moment, above its own noise and beside the others?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.audio.memmap import release_pages
from meetsplit.pipeline.data import Audio, Samples, Span

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

WELL_ABOVE = 12.0
"""dB above its noise at which a channel sounds."""

RAISED_AT_MOST = 20.0
"""dB by which a quiet channel is raised for a comparison."""

ECHO, AHEAD = 0.24, 0.04
"""Seconds that bleed may come later, or earlier, than its source: rooms and networks delay, clocks differ."""

_BLOCK = 2000
_QUIETEST = 10.0
_OWN, _LOUD, _LEAST = 6.0, 15.0, 25


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """Loudness of every channel: ``own`` in dBFS and its noise ``floor``, both of shape ``(channels, frames)``.

    ``raised`` is what is added to each channel before it is compared with another, shape ``(channels, 1)``: people set
    their microphones differently. ``owned`` says in which channels somebody speaks at all, ``(channels,)``; in the
    others is what the owned ones leave there.
    """

    own: Decibels
    floor: Decibels
    raised: Decibels
    owned: npt.NDArray[np.bool_]

    @property
    def fair(self) -> Decibels:
        """Loudness as it would be with equal microphones."""
        return np.asarray(self.own + self.raised, np.float32)

    @property
    def sounding(self) -> npt.NDArray[np.bool_]:
        """Where a channel is well above its noise, ``(channels, frames)``."""
        return np.asarray(self.own > self.floor + WELL_ABOVE)

    def owners(self, margin: float) -> npt.NDArray[np.int64]:
        """The channel that is ``margin`` dB louder than all others, for every frame in which something sounds; -1 for none."""
        fair = self.fair[:, self.sounding.any(axis=0)]
        ordered = np.sort(fair, axis=0)
        return np.where(ordered[-1] - ordered[-2] >= margin, fair.argmax(axis=0), -1)


def levels(channels: Sequence[Audio], within: Span) -> Levels:
    """Loudness of the channels, which have one rate; frame ``n`` begins ``n * HOP`` after the start of ``within``.

    A channel is somebody's own if, for half a second in all, it is louder for itself than every other is: bleed rises and
    falls with its source, so a channel of bleed alone has no such moment, however much its microphone was turned up.
    """
    own = np.stack([loudness(channel, within) for channel in channels])
    floor = np.stack([_floor(row) for row in own])
    sounding = own > floor + WELL_ABOVE
    relative = np.stack([row - _loudest(row[loud]) for row, loud in zip(own, sounding, strict=True)])
    around = np.stack([trailing(row) for row in relative])
    strong = (relative > -_LOUD) & sounding
    others = [np.delete(around, number, axis=0).max(axis=0, initial=-np.inf) for number in range(len(own))]
    mine = strong & (relative > np.stack(others) + _OWN)
    owned = mine.sum(axis=1) >= _LEAST
    while not owned.all():
        # What no owned channel explains is somebody's: of the others, it is the loudest's.
        left = strong[~owned].any(axis=0) & ~(around[owned] > -_LOUD).any(axis=0)
        if left.sum() < _LEAST:
            break
        best = int(np.argmax(np.where(owned, -np.inf, np.power(10, own[:, left] / 10).sum(axis=1))))
        owned[best], mine[best] = True, left
    loud = np.array(
        [_loudest(row[at]) if at.any() else SILENCE for row, at in zip(own, mine & owned[:, None], strict=True)]
    )
    raised = np.where(owned, np.minimum(loud.max() - loud, RAISED_AT_MOST), 0.0)
    return Levels(own, floor, raised[:, None].astype(np.float32), owned)


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
        if not heard.any():  # hours of silence are no work
            found[at : at + frames] = SILENCE
            continue
        overlapping = np.lib.stride_tricks.sliding_window_view(heard, 2 * hop)[::hop]
        power = np.square(np.abs(np.fft.rfft(overlapping * window, axis=1)[:, band])).sum(axis=1) * scale
        found[at : at + frames] = 10 * np.log10(np.maximum(power, 10 ** (SILENCE / 10)))
        release_pages(audio)
    return found


def between(audio: Audio, first: int, last: int) -> Samples:
    """The samples from index ``first`` to ``last``, with silence where there are none."""
    there = audio.samples[max(first, 0) : max(last, 0)]
    before = min(max(-first, 0), last - first)
    return np.pad(there, (before, last - first - before - len(there)))


def trailing(row: Decibels) -> Decibels:
    """How loud the bleed of a channel may still, or already, be at each frame: the loudest around it."""
    return held(row, round(ECHO / HOP), round(AHEAD / HOP))


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


def _loudest(sounding: Decibels) -> float:
    """The level of loud speech, dBFS: what one in twenty of these frames exceeds."""
    return float(np.percentile(sounding, 95)) if len(sounding) else 0.0
