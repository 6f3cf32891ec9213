"""The embedded cleaner: masks of speech, music and noise by the small network that comes with meetsplit."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import torch

from meetsplit.pipeline.cleaners import sound_masks
from meetsplit.pipeline.cleaners.sound_masks import FRAME, HOP, KINDS, SoundMasks
from meetsplit.pipeline.data import Audio, rms
from meetsplit.pipeline.settings import Settings

LEAST = 10 ** (-20 / 20)
"""What a mask leaves of a sound that is to go: silence would be heard as holes, by people and by transcribers."""


class EmbeddedCleaner:
    """A `Cleaner` of music, noise or both. Phases stay the recording's; nothing gets louder."""

    def __init__(self, network: SoundMasks, device: str = "cpu") -> None:
        self.rate: int = 16_000
        self.removes: frozenset[str] = frozenset(KINDS[1:])
        self._network = network.to(device)
        self._device = device

    @classmethod
    def load(cls, settings: Settings, weights: Mapping[str, Path], device: str) -> EmbeddedCleaner:
        """The network in the file ``weights["cleaner"]``."""
        return cls(sound_masks.load(weights["cleaner"]), device)

    @torch.inference_mode()
    def clean(self, audio: Audio, kinds: Collection[str]) -> Audio:
        """The audio without these kinds of sound."""
        if audio.rate != self.rate:
            raise ValueError(f"the embedded cleaner hears at {self.rate} Hz, not {audio.rate} Hz")
        level = np.float32(rms(audio.samples))
        if level == 0.0:
            return audio
        wave = torch.tensor(audio.samples / level, device=self._device)
        window = torch.hann_window(FRAME, device=self._device)
        spectra = torch.stft(wave, FRAME, HOP, window=window, pad_mode="constant", return_complex=True)
        masks = self._network(spectra.abs()[None])[0]
        removed = sum((masks[KINDS.index(kind)] for kind in sorted(kinds)), torch.zeros_like(masks[0]))
        kept = torch.istft(spectra * (1 - (1 - LEAST) * removed), FRAME, HOP, window=window, length=len(wave))
        return audio.replaced(np.asarray(kept.cpu().numpy(), np.float32) * level)
