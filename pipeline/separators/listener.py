"""Whose voices are in a mixture? What everybody's own speech explains of it, by the dictionaries of `dictionary`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch

from meetsplit.pipeline.data import Audio, Speaker
from meetsplit.pipeline.separators.dictionary import DictionarySeparator, Recipe
from meetsplit.pipeline.settings import Settings

RECIPE = Recipe(exemplars=1000, updates=15)
"""Coarser than for taking apart: shares over whole overlaps come out the same, in a quarter of the time."""


class DictionaryListener:
    """A `Listener`: the dictionaries of all who may speak explain the mixture together, and each one's part is a share."""

    def __init__(self, separator: DictionarySeparator) -> None:
        self.rate = separator.rate
        self._separator = separator

    @classmethod
    def load(cls, settings: Settings, weights: Mapping[str, Path], device: str) -> Self:
        """Needs no weights."""
        return cls(DictionarySeparator(seed=settings.seed, device=device, recipe=RECIPE))

    @torch.inference_mode()
    def shares(self, mixture: Audio, known: Mapping[Speaker, Sequence[Audio]]) -> Mapping[Speaker, float]:
        """Energy of each person's masked spectra over the mixture's, 0 to 1; all 0 for silence. Raises `Unseparated`."""
        dictionaries = [self._separator.dictionary(speaker, clips) for speaker, clips in known.items()]
        loudness = float(np.sqrt(np.mean(np.square(mixture.samples, dtype=np.float64)))) if len(mixture.samples) else 0.0
        if loudness == 0.0:
            return dict.fromkeys(known, 0.0)
        magnitudes = self._separator.spectra(mixture.samples / np.float32(loudness)).abs()
        parts = self._separator.parts(magnitudes, dictionaries)
        masks = parts / parts.sum(dim=0).clamp_min(1e-9)
        found = (masks * magnitudes).square().sum(dim=(1, 2)) / magnitudes.square().sum()
        return dict(zip(known, found.tolist(), strict=True))
