"""Target-speaker activity: each speaker's share of short blocks of a mixture, by dictionaries of clean speech."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import torch

from meetsplit.pipeline.audio.clip_cache import ClipCache
from meetsplit.pipeline.data import Audio, Samples, Span, Speaker, rms
from meetsplit.pipeline.protocols import Unseparated
from meetsplit.pipeline.separators.dictionary import CACHE_SIZE, HOP, DictionarySeparator, Exemplars, NmfOptions
from meetsplit.pipeline.settings import Settings

BINS = 320
"""Of a spectrum's 513: up to 5 kHz, where voices differ most."""

ACTIVITY_OPTIONS = NmfOptions(
    exemplars=500,
    speeds=(0.95, 1.0, 1.05),
    nearest_first=False,
    context=(0,),
    updates=10,
    pruning=((4, 0.5),),
    single_bins=BINS,
)
"""Coarser than for separation: activity comes out nearly the same, in a tenth of the time."""

EXCLUSION_MARGIN = 0.2
"""Seconds around a mixture whose exemplars are excluded, too."""

MIN_EXEMPLARS = 50
"""Exemplars below which a speaker's activity is not estimated."""

SMOOTHING_BLOCKS = 2
"""Blocks on both sides of one that count for it too: within a single sound, shares depend on the sound more than on the
voice."""


class DictionaryActivity:
    """A `SpeakerActivity` by NMF over the dictionaries of all speakers together."""

    def __init__(self, separator: DictionarySeparator) -> None:
        self.rate = separator.rate
        self._separator = separator
        self._exemplars = ClipCache[Exemplars](CACHE_SIZE)

    @classmethod
    def load(cls, settings: Settings, weights: Mapping[str, Path], device: str) -> Self:
        """Needs no weights."""
        return cls(DictionarySeparator(seed=settings.seed, device=device, options=ACTIVITY_OPTIONS))

    @torch.inference_mode()
    def estimate(
        self, mixture: Audio, enrollment: Mapping[Speaker, Sequence[Audio]], block: float
    ) -> Mapping[Speaker, Samples]:
        """Energy of each speaker's masked spectra over the mixture's, one number per block begun; 0 for silence.

        Raises `Unseparated` for a speaker with fewer than `MIN_EXEMPLARS` exemplars outside the mixture.
        """
        count = max(int(np.ceil(mixture.duration / block - 1e-6)), 1)
        loudness = rms(mixture.samples)
        if loudness == 0.0:
            return {speaker: np.zeros(count, np.float32) for speaker in enrollment}
        dictionaries = [self._dictionary(speaker, clips, mixture.span) for speaker, clips in enrollment.items()]
        magnitudes = self._separator.stft(mixture.samples / np.float32(loudness)).abs()[:BINS]
        estimates = self._separator.estimate_magnitudes(magnitudes, dictionaries)
        masks = estimates / estimates.sum(dim=0).clamp_min(1e-9)
        speaker_energies = (masks * magnitudes).square().sum(dim=1).cpu().numpy()
        mixture_energy = magnitudes.square().sum(dim=0).cpu().numpy()

        seconds = np.arange(len(mixture_energy)) * HOP / self.rate
        block_of_frame = np.minimum((seconds / block + 1e-6).astype(int), count - 1)
        total = np.maximum(_energy_per_block(mixture_energy, block_of_frame, count), 1e-12)
        return {
            speaker: (_energy_per_block(energy, block_of_frame, count) / total).astype(np.float32)
            for speaker, energy in zip(enrollment, speaker_energies, strict=True)
        }

    def _dictionary(self, speaker: Speaker, clips: Sequence[Audio], mixture: Span) -> torch.Tensor:
        """Exemplars of the speaker from outside the mixture, each of which sums to one: ``(exemplars, 1, BINS)``."""
        exemplars = self._exemplars(clips, self._make_exemplars)
        dictionary = exemplars.outside(mixture.start, mixture.end, EXCLUSION_MARGIN)
        if len(dictionary) < MIN_EXEMPLARS:
            raise Unseparated(
                "overlap-unresolved", f"too little of {speaker}'s speech is known away from {mixture.start:.1f} s"
            )
        return dictionary

    def _make_exemplars(self, clips: Sequence[Audio]) -> Exemplars:
        if not clips:
            return Exemplars(torch.zeros(0, 1, BINS), torch.zeros(0))
        exemplars = self._separator.exemplars(clips)
        lower = exemplars.magnitudes[..., :BINS]
        return Exemplars(lower / lower.sum(dim=(1, 2), keepdim=True).clamp_min(1e-9), exemplars.times)


def _energy_per_block(
    frame_energy: npt.NDArray[np.float32], block_of_frame: npt.NDArray[np.int64], count: int
) -> npt.NDArray[np.float64]:
    """Energy of frames added up over each of ``count`` blocks and its `SMOOTHING_BLOCKS` neighbours on both sides."""
    blocks = np.bincount(block_of_frame, frame_energy, count)
    summed = np.convolve(blocks, np.ones(2 * SMOOTHING_BLOCKS + 1))
    return np.asarray(summed[SMOOTHING_BLOCKS:-SMOOTHING_BLOCKS], np.float64)
