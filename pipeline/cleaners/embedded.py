"""The embedded cleaner: music and noise told from speech by their spectra, window by window.

A window whose quiet moments are quiet enough has neither, and stays as it is, bit by bit: what is taken out of clean
speech is speech.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from meetsplit.pipeline.cleaners import music
from meetsplit.pipeline.cleaners.noise import noise_gains
from meetsplit.pipeline.data import Audio, Samples
from meetsplit.pipeline.settings import Settings

FRAME = 512
"""Samples in a short-time spectrum for noise (32 ms): short enough for consonants."""

HOP = 128
"""Samples between spectra (8 ms)."""

QUIET = 0.1
"""Share of the moments of a window that are its quiet ones: pauses, between words if nowhere else."""

QUIET_ENOUGH = 14.0
"""dB by which a window must be louder than its quiet moments for it to stay as it is. Clean meetings
had 15 to 31 dB in windows of 30 s, in rooms as well; music or noise 10 dB below the speech leaves 10 to 13."""

FULL_STRENGTH = 10.5
"""dB of the same down to which all is taken out that the masks say. Above it the less, the quieter the pauses: where
music is far below the speech, the masks take out more of the speech than of the music."""

_MOMENT = 0.064
"""Seconds of a moment."""


class EmbeddedCleaner:
    """A `Cleaner` of music, noise or both. Phases stay the recording's; nothing gets louder.

    ``speech`` are spectra of speech, ``(bins, spectra)``; the same sound and ``seed`` give the same answer.
    """

    def __init__(self, speech: Tensor, seed: int = 0) -> None:
        self.rate: int = 16_000
        self.removes: frozenset[str] = frozenset({"music", "noise"})
        self._speech, self._seed = speech, seed

    @classmethod
    def load(cls, settings: Settings, weights: Mapping[str, Path], device: str) -> EmbeddedCleaner:
        """The spectra in the file ``weights["speech"]``; computes on the CPU."""
        return cls(music.load_speech(weights["speech"]), settings.seed)

    @torch.inference_mode()
    def clean(self, audio: Audio, kinds: Collection[str]) -> Audio:
        """The audio without these kinds of sound."""
        if audio.rate != self.rate:
            raise ValueError(f"the embedded cleaner hears at {self.rate} Hz, not {audio.rate} Hz")
        quiet = quietness(audio)
        if quiet >= QUIET_ENOUGH:
            return audio
        samples = audio.samples
        if "music" in kinds:
            strength = min((QUIET_ENOUGH - quiet) / (QUIET_ENOUGH - FULL_STRENGTH), 1.0)
            samples = self._without_music(samples, strength)
        if "noise" in kinds:
            samples = _without_noise(samples)
        return audio.replaced(samples)

    def _without_music(self, samples: Samples, strength: float) -> Samples:
        spectra, window = _stft(samples, music.FRAME, music.HOP)
        gains = music.music_gains(spectra.abs(), self._speech, self._seed)
        return _istft(spectra * (1.0 - strength * (1.0 - gains)), window, music.HOP, len(samples))


def quietness(audio: Audio) -> float:
    """How many dB louder the audio is than its quiet moments; infinite where these are silent."""
    size = round(_MOMENT * audio.rate)
    count = len(audio.samples) // size
    if count == 0:
        return math.inf
    power = np.square(audio.samples[: count * size], dtype=np.float64).reshape(count, size).mean(axis=1)
    quiet = float(np.quantile(power, QUIET))
    return 10 * math.log10(float(power.mean()) / quiet) if quiet > 0.0 else math.inf


def _without_noise(samples: Samples) -> Samples:
    spectra, window = _stft(samples, FRAME, HOP)
    gains = noise_gains(spectra.abs().square().double().numpy(), 16_000 / HOP)
    return _istft(spectra * torch.from_numpy(gains).float(), window, HOP, len(samples))


def _stft(samples: Samples, frame: int, hop: int) -> tuple[Tensor, Tensor]:
    window = torch.hann_window(frame)
    wave = torch.tensor(samples)
    return torch.stft(wave, frame, hop, window=window, pad_mode="constant", return_complex=True), window


def _istft(spectra: Tensor, window: Tensor, hop: int, length: int) -> Samples:
    frame = len(window)
    return np.asarray(torch.istft(spectra, frame, hop, window=window, length=length).numpy(), np.float32)
