"""Voices learned from this very recording: exemplar dictionaries, no trained weights.

A speaker's dictionary is a set of short-time spectra drawn from that person's own single-speaker speech. A mixture's
spectra are explained as non-negative sums over the joined dictionaries; each speaker's part of the explanation makes a
mask on the mixture. Exemplar-based non-negative separation: Smaragdis, "Convolutive speech bases and their application to
supervised speech separation", 2007; Virtanen, Gemmeke, Raj, "Active-set Newton algorithm for overcomplete non-negative
representations of audio", 2013. The update is that of Lee and Seung, 2001, for the Kullback–Leibler divergence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch

from meetsplit.pipeline.audio.clip_cache import ClipCache
from meetsplit.pipeline.audio.resampling import resample
from meetsplit.pipeline.data import Audio, Samples, Speaker, Voice, rms
from meetsplit.pipeline.protocols import Unseparated
from meetsplit.pipeline.separators.chunking import in_windows
from meetsplit.pipeline.settings import Settings

FRAME = 1024
"""Samples in a short-time spectrum (64 ms): harmonics of a voice stay apart."""

HOP = 256
"""Samples between spectra (16 ms)."""

WINDOW = 20.0
"""Seconds of mixture taken apart at once; longer ones are cut and cross-faded, so that memory stays bounded."""

SHARED = 0.5
"""Seconds that neighbouring windows share."""

CACHE_SIZE = 16
"""Dictionaries kept at once, about 8 MB each."""

Masks: TypeAlias = Callable[[torch.Tensor, torch.Tensor, Sequence[torch.Tensor]], torch.Tensor]
"""From magnitudes of a mixture of RMS 1, ``(bins, frames)``, the parts that the dictionaries explain, and the dictionaries, to
masks that sum to one: ``(voices, bins, frames)``."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How dictionaries are made and used. The defaults were chosen with `benchmarks/separation.py`.

    ``exemplars`` per speaker at most, from frames not quieter than the share ``quietest`` of all frames, of the clean speech
    played at each of the speeds ``warps``: nobody says the next word at quite the same pitch. ``updates`` of the activations,
    each stretched by the exponent ``stride`` (over-relaxation: the same fixed point in fewer steps); the share ``kept`` of the
    exemplars goes on after ``trial`` of them. Masks from amplitudes to the power of ``power``: between 1 and 1.5 voices come
    equally near to the truth, and the higher, the less is heard of the others. ``least`` and ``most`` are seconds of clean
    speech: fewer are refused, more are left out.
    """

    exemplars: int = 4000
    quietest: float = 0.5
    warps: tuple[float, ...] = (0.95, 1.0, 1.05)
    updates: int = 25
    stride: float = 1.7
    trial: int = 4
    kept: float = 0.5
    power: float = 1.3
    least: float = 2.0
    most: float = 120.0


class DictionarySeparator:
    """A `Separator` for any number of voices that needs no weights and no matching: it knows whose voice is whose.

    The voices of one mixture add up to it but for rounding (masks sum to one), keep its phase and its level. ``device``
    holds the matrices. The same clips, mixture and ``seed`` give the same voices. `separate` raises `Unseparated`
    (``overlap-unresolved``) for a speaker with less than ``recipe.least`` seconds of clean speech.
    """

    def __init__(self, *, seed: int = 0, device: str = "cpu", recipe: Recipe | None = None) -> None:
        self.rate: int = 16_000
        self._seed = seed
        self._device = device
        self._recipe = recipe or Recipe()
        self._dictionaries = ClipCache[torch.Tensor](CACHE_SIZE)

    @classmethod
    def load(cls, settings: Settings, weights: Mapping[str, Path], device: str) -> DictionarySeparator:
        """Needs no weights; ``settings.seed`` draws the exemplars."""
        return cls(seed=settings.seed, device=device)

    def separate(
        self, mixture: Audio, enrollment: Mapping[Speaker, Sequence[Audio]], *, masks: Masks | None = None
    ) -> Mapping[Speaker, Voice]:
        """One voice per known speaker; a speaker alone gets the mixture as it is. Without ``masks``, amplitudes make them."""
        for audio in (mixture, *(clip for clips in enrollment.values() for clip in clips)):
            if audio.rate != self.rate:
                raise ValueError(f"the dictionary separator hears at {self.rate} Hz, not {audio.rate} Hz")
        if len(enrollment) < 2:
            return {speaker: Voice(mixture) for speaker in enrollment}
        dictionaries = [self.dictionary(speaker, clips) for speaker, clips in enrollment.items()]
        loudness = rms(mixture.samples)
        if loudness == 0.0:
            return {speaker: Voice(mixture) for speaker in enrollment}
        rows = in_windows(
            mixture.samples / np.float32(loudness),
            lambda samples: self._take_apart(samples, dictionaries, masks or self.by_amplitude),
            size=round(WINDOW * self.rate),
            shared=round(SHARED * self.rate),
        )
        return {
            speaker: Voice(mixture.replaced(row * np.float32(loudness)))
            for speaker, row in zip(enrollment, rows, strict=True)
        }

    def dictionary(self, speaker: Speaker, clips: Sequence[Audio]) -> torch.Tensor:
        """The spectra of one speaker, as columns that sum to one: ``(bins, exemplars)``. Raises `Unseparated` for too little speech."""
        seconds = sum(clip.duration for clip in clips)
        if seconds < self._recipe.least:
            need = f"{self._recipe.least:g} s are needed to learn a voice"
            raise Unseparated(
                "overlap-unresolved", f"{speaker} speaks alone for only {seconds:.1f} s in this recording; {need}"
            )
        dictionary = self._dictionaries(clips, self._learn)
        if dictionary.shape[1] == 0:
            raise Unseparated(
                "overlap-unresolved", f"{speaker}'s clean speech is silent: there is nothing to learn the voice from"
            )
        return dictionary

    def _learn(self, clips: Sequence[Audio]) -> torch.Tensor:
        """Exemplars as columns that sum to one: ``(bins, exemplars)``."""
        chosen, _ = self.exemplars(clips)
        return chosen / chosen.sum(dim=0)

    def exemplars(self, clips: Sequence[Audio]) -> tuple[torch.Tensor, torch.Tensor]:
        """Spectra drawn from the louder frames, ``(bins, exemplars)``, and when on the recording's clock each was heard."""
        kept = _longest(clips, self._recipe.most)
        heard = [
            (self.spectra(_played(clip, speed).samples).abs(), clip) for speed in self._recipe.warps for clip in kept
        ]
        frames = torch.cat([spectra for spectra, _ in heard], dim=1)
        moments = torch.cat(
            [torch.linspace(clip.span.start, clip.span.end, spectra.shape[1]) for spectra, clip in heard]
        )
        power = frames.square().sum(dim=0)
        loud = torch.nonzero((power >= torch.quantile(power, self._recipe.quietest)) & (power > 0.0))[:, 0]
        if len(loud) > self._recipe.exemplars:
            order = torch.randperm(len(loud), generator=torch.Generator().manual_seed(self._seed))
            loud = loud[order[: self._recipe.exemplars].to(loud.device)]
        return frames[:, loud], moments.to(loud.device)[loud]

    def spectra(self, samples: Samples) -> torch.Tensor:
        """Complex short-time spectra: ``(bins, frames)``."""
        wave = torch.tensor(samples, device=self._device)
        hann = torch.hann_window(FRAME, device=self._device)
        return torch.stft(wave, FRAME, HOP, window=hann, pad_mode="constant", return_complex=True)

    def parts(self, magnitudes: torch.Tensor, dictionaries: Sequence[torch.Tensor]) -> torch.Tensor:
        """What each dictionary explains of ``(bins, frames)``: non-negative, ``(dictionaries, bins, frames)``."""
        return torch.stack(_explained(magnitudes, dictionaries, self._recipe))

    @torch.inference_mode()
    def _take_apart(self, samples: Samples, dictionaries: Sequence[torch.Tensor], masks: Masks) -> Samples:
        """The voices of one window, one row per dictionary."""
        spectra = self.spectra(samples)
        magnitudes = spectra.abs()
        masked = spectra * masks(magnitudes, self.parts(magnitudes, dictionaries), dictionaries)
        hann = torch.hann_window(FRAME, device=self._device)
        voices = torch.istft(masked, FRAME, HOP, window=hann, length=len(samples))
        return np.asarray(voices.cpu().numpy(), np.float32)

    def by_amplitude(
        self, magnitudes: torch.Tensor, parts: torch.Tensor, dictionaries: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """`Masks` that follow the parts' amplitudes."""
        weights = parts.pow(self._recipe.power) + 1e-9
        return weights / weights.sum(dim=0)


def _longest(clips: Sequence[Audio], seconds: float) -> Sequence[Audio]:
    """The longest clips, up to ``seconds`` in all, in their own order; none shorter than a frame unless all are."""
    kept: list[int] = []
    total = 0.0
    for index in sorted(range(len(clips)), key=lambda index: -clips[index].duration):
        if total >= seconds or (kept and len(clips[index].samples) < FRAME):
            break
        kept.append(index)
        total += clips[index].duration
    return [clips[index] for index in sorted(kept)]


def _played(clip: Audio, speed: float) -> Audio:
    """The clip at another speed: pitch and formants move together, as on a tape."""
    return resample(Audio(clip.samples, round(clip.rate * speed)), clip.rate)


def _explained(spectra: torch.Tensor, dictionaries: Sequence[torch.Tensor], recipe: Recipe) -> list[torch.Tensor]:
    """Magnitudes ``(bins, frames)`` as one non-negative part per dictionary, near in Kullback–Leibler divergence.

    The columns of the dictionaries sum to one, so the update needs no denominator. Exemplars that say little about this
    mixture after a few updates are dropped. The last update is not stretched, so that the parts add up to every frame.
    """
    joined = torch.cat(list(dictionaries), dim=1)
    owner = torch.repeat_interleave(
        torch.arange(len(dictionaries), device=joined.device),
        torch.tensor([d.shape[1] for d in dictionaries], device=joined.device),
    )
    total = spectra.sum(dim=0, keepdim=True)
    activations = (total / joined.shape[1]).expand(joined.shape[1], -1).clone()
    turned = joined.T.contiguous()
    for update in range(recipe.updates):
        if update == recipe.trial:
            kept = activations.sum(dim=1).topk(math.ceil(recipe.kept * len(owner))).indices.sort().values
            joined, owner, activations = joined[:, kept], owner[kept], activations[kept]
            turned = joined.T.contiguous()
        growth = turned @ (spectra / (joined @ activations).clamp_min(1e-10))
        activations *= growth.pow(recipe.stride) if update < recipe.updates - 1 else growth
    return [joined[:, owner == index] @ activations[owner == index] for index in range(len(dictionaries))]
