"""Whether sound can hold a voice: tests of the sound alone, which no probability of a model overrules.

A model's own probability of no speech stays low on digital silence where its language is forced, and its text for a fan
or an organ reads like any other. What these tests refuse nobody could understand: sound below `FAINTEST`, sound whose
level does not move (noise, hum), and sound whose spectrum does not move (held notes). Syllables move both.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy.fft import rfft

from meetsplit.pipeline.data import Audio, Samples

FAINTEST = 10 ** (-75 / 20)
"""Level of the loudest 20 ms below which sound is taken for the recorder's own: six steps of 16 bits."""

FRAME, HOP = 0.064, 0.032
"""Seconds of a spectrum, and from one to the next."""

BAND = (150.0, 4000.0)
"""Hz between which voices are told from other sound: below it there is hum, above it mostly noise."""

STRETCH = 1.5
"""Seconds over which levels and spectra have to move; shorter sound is not judged by them."""

LEAST_RANGES = (5.5, 2.5)
"""dB between the quiet and the loud frames (5th and 95th percentile) of a stretch with speech, of the sound as it is
and with its treble raised by 6 dB per octave; noise has less of both. White noise has 1 and 1, brown noise 3.5 (seldom
4.6) and 1; of speech with as much white noise 95 % of the stretches have 4.2 and more as it is, of clean speech 99 %
have 14."""

HELD = 0.965
"""Similarity of spectra `FRAME` seconds apart from which a note is held. Its median over a stretch of speech is at most
0.93, noisy or not; over a stretch of four notes a second it is 0.99."""

MOST_HELD = 0.5
"""Share of a stretch that held notes may fill in speech."""


class VoiceEvidence:
    """Where in a clip's sound there can be a voice."""

    def __init__(self, clip: Audio) -> None:
        self._duration = clip.duration
        self.is_audible = is_audible(clip)
        self._stretches = list(_stretches(clip.samples, clip.rate)) if self.is_audible else []

    @property
    def anywhere(self) -> bool:
        """Whether there can be a voice in the clip."""
        return self.is_audible and self.between(0.0, self._duration)

    def between(self, start: float, end: float) -> bool:
        """Whether there can be a voice between two times in seconds into the clip."""
        near = [can for first, last, can in self._stretches if first <= end and start <= last]
        return any(near) or not near


def is_audible(clip: Audio) -> bool:
    """Whether the loudest 20 ms are louder than `FAINTEST`."""
    size = max(round(0.02 * clip.rate), 1)
    frames = np.pad(clip.samples, (0, -len(clip.samples) % size)).reshape(-1, size)
    return bool(np.max(np.mean(np.square(frames, dtype=np.float32), axis=1), initial=0.0) > FAINTEST**2)


def _stretches(samples: Samples, rate: int) -> Iterator[tuple[float, float, bool]]:
    """Overlapping stretches of `STRETCH` seconds: their start and end, and whether a voice can be in them."""
    size, hop = round(FRAME * rate), round(HOP * rate)
    count = round(STRETCH / HOP)
    if len(samples) < size + (count - 1) * hop:
        return
    spectra = _spectra(samples, rate, size, hop)
    raised = spectra * np.arange(1, spectra.shape[1] + 1, dtype=np.float32)
    levels = 10 * np.log10(np.stack([np.sum(np.square(own), axis=1) for own in (spectra, raised)]) + 1e-12)
    shapes = np.sqrt(spectra)
    shapes /= np.maximum(np.linalg.norm(shapes, axis=1, keepdims=True), 1e-9)
    apart = round(FRAME / HOP)
    is_held = np.sum(shapes[:-apart] * shapes[apart:], axis=1) > HELD
    last = len(spectra) - count
    for first in [*range(0, last, count // 2), last]:
        quiet, loud = np.percentile(levels[:, first : first + count], (5, 95), axis=1)
        moves = bool(np.any(loud - quiet >= LEAST_RANGES))
        is_music = float(np.mean(is_held[first : first + count - apart])) > MOST_HELD
        yield first * HOP, first * HOP + STRETCH, moves and not is_music


def _spectra(samples: Samples, rate: int, size: int, hop: int) -> npt.NDArray[np.float32]:
    """Magnitudes in `BAND` of each frame, shape (frames, bins)."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[::hop]
    first, last = (round(frequency * size / rate) for frequency in BAND)
    window = np.hanning(size).astype(np.float32)
    return np.concatenate(
        [np.abs(rfft(frames[at : at + 512] * window)[:, first:last]) for at in range(0, len(frames), 512)]
    )
