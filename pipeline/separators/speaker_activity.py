"""Whose voices are in a mixture, and when? What everybody's own speech explains of it, by exemplars as in `dictionary`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self, TypeAlias

import numpy as np
import torch

from meetsplit.pipeline.audio.clip_cache import ClipCache
from meetsplit.pipeline.data import Audio, Samples, Span, Speaker, rms
from meetsplit.pipeline.protocols import Unseparated
from meetsplit.pipeline.separators.dictionary import CACHE_SIZE, HOP, DictionarySeparator, Recipe
from meetsplit.pipeline.settings import Settings

RECIPE = Recipe(exemplars=500, updates=10)
"""Coarser than for taking apart: who speaks comes out nearly the same, in a tenth of the time."""

BINS = 320
"""Of a spectrum's 513: up to 5 kHz, where voices differ most."""

AWAY = 0.2
"""Seconds next to a mixture from which no exemplars are taken either."""

LEAST = 50
"""Exemplars by which a voice is told."""

AROUND = 2
"""Blocks on both sides of one that count for it too: within a sound, shares say more about the sound than about the voice."""

Exemplars: TypeAlias = tuple[torch.Tensor, torch.Tensor]
"""Spectra as columns that sum to one, and when each was heard."""


class DictionaryActivity:
    """A `Listener`: the dictionaries of all who may speak explain the mixture together, and each one's part is a share."""

    def __init__(self, separator: DictionarySeparator) -> None:
        self.rate = separator.rate
        self._separator = separator
        self._exemplars = ClipCache[Exemplars](CACHE_SIZE)

    @classmethod
    def load(cls, settings: Settings, weights: Mapping[str, Path], device: str) -> Self:
        """Needs no weights."""
        return cls(DictionarySeparator(seed=settings.seed, device=device, recipe=RECIPE))

    @torch.inference_mode()
    def estimate(
        self, mixture: Audio, enrollment: Mapping[Speaker, Sequence[Audio]], block: float
    ) -> Mapping[Speaker, Samples]:
        """Energy of each person's masked spectra over the mixture's, one number per block begun; 0 for silence. Raises `Unseparated`."""
        count = max(int(np.ceil(mixture.duration / block - 1e-6)), 1)
        loudness = rms(mixture.samples)
        if loudness == 0.0:
            return {speaker: np.zeros(count, np.float32) for speaker in enrollment}
        dictionaries = [self._dictionary(speaker, clips, mixture.span) for speaker, clips in enrollment.items()]
        magnitudes = self._separator.spectra(mixture.samples / np.float32(loudness)).abs()[:BINS]
        parts = self._separator.parts(magnitudes, dictionaries)
        masks = parts / parts.sum(dim=0).clamp_min(1e-9)
        energies = (
            torch.cat([(masks * magnitudes).square().sum(dim=1), magnitudes.square().sum(dim=0, keepdim=True)])
            .cpu()
            .numpy()
        )
        at = np.minimum((np.arange(energies.shape[1]) * HOP / self.rate / block + 1e-6).astype(int), count - 1)
        summed = np.stack(
            [np.convolve(np.bincount(at, row, count), np.ones(2 * AROUND + 1))[AROUND:-AROUND] for row in energies]
        )
        found = (summed[:-1] / np.maximum(summed[-1], 1e-12)).astype(np.float32)
        return dict(zip(enrollment, found, strict=True))

    def _dictionary(self, speaker: Speaker, clips: Sequence[Audio], where: Span) -> torch.Tensor:
        exemplars, moments = self._exemplars(clips, self._learn)
        away = exemplars[:, (moments < where.start - AWAY) | (moments > where.end + AWAY)]
        if away.shape[1] < LEAST:
            raise Unseparated(
                "overlap-unresolved", f"too little of {speaker}'s speech is known away from {where.start:.1f} s"
            )
        return away

    def _learn(self, clips: Sequence[Audio]) -> Exemplars:
        if not clips:
            return torch.zeros(BINS, 0), torch.zeros(0)
        exemplars, moments = self._separator.exemplars(clips)
        lower = exemplars[:BINS]
        return lower / lower.sum(dim=0).clamp_min(1e-9), moments
