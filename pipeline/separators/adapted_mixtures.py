"""Training mixtures for the mask refiner: true voices, their mixture, and the dictionaries' estimates of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from meetsplit.pipeline.data import Samples, Speaker, rms
from meetsplit.pipeline.separators.dictionary import FRAME, HOP, DictionarySeparator
from meetsplit.pipeline.separators.mask_refiner import speaker_profile

MAX_LEVEL_DIFFERENCE = 5.0
"""Decibels by which one voice of a mixture is louder than another, at most."""

MIN_POWER_SHARE = 0.1
"""Power that an excerpt must have, as a share of the mean power of its source: a pause trains nothing."""

MAX_BEST_MASK = 50.0
"""Largest value of a real mask that is aimed at: where the mixture cancels, none comes near."""

MAX_DRAWS = 5
"""How often an excerpt is drawn until it has that power."""


SpeakerGroup = tuple[Speaker, ...]
"""Speakers who speak at once, sorted."""


@dataclass(frozen=True, slots=True, eq=False)
class MixtureBatch:
    """Mixtures of equal length and number of voices, at RMS 1, in half precision.

    ``waveforms`` ``(mixtures, 1 + voices, samples)``: the mixture, then its voices, which add up to it but for noise.
    ``estimates`` ``(mixtures, voices, bins, frames)``: the dictionaries' estimates of the mixture's magnitudes.
    ``profiles`` ``(mixtures, voices, bins)``: see `speaker_profile`.
    """

    waveforms: Tensor
    estimates: Tensor
    profiles: Tensor

    def __len__(self) -> int:
        return len(self.waveforms)

    def select(self, indices: Sequence[int]) -> MixtureBatch:
        """Some of the mixtures."""
        rows = torch.tensor(indices)
        return MixtureBatch(self.waveforms[rows], self.estimates[rows], self.profiles[rows])

    def cut(self, first: int, frames: int) -> MixtureBatch:
        """A part of each mixture, at RMS 1 again: ``frames`` of the estimates from the ``first`` on."""
        waveforms = self.waveforms[:, :, first * HOP : (first + frames - 1) * HOP].float()
        levels = waveforms[:, 0].square().mean(dim=1).sqrt().clamp_min(1e-3)[:, None, None]
        estimates = self.estimates[..., first : first + frames].float() / levels.unsqueeze(-1)
        return MixtureBatch((waveforms / levels).half(), estimates.half(), self.profiles)


class MasksByFrame(Protocol):
    """A network that is asked as a `Refiner` is."""

    def masks_by_frame(self, magnitudes: Tensor, estimates: Tensor, profiles: Tensor) -> Tensor:
        """See `Refiner.masks_by_frame`."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """Its weights."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class SpectralBatch:
    """Mixtures as the steps of a training take them: their spectra once and for all, frames before bins.

    ``magnitudes`` ``(mixtures, frames, bins)``; ``estimates`` ``(mixtures, voices, frames, bins)`` and ``profiles`` as
    of a `MixtureBatch`. ``best_masks`` ``(mixtures, voices, frames, bins)`` are the real masks that come nearest to the
    true voices: phase-sensitive ones (Erdogan, Hershey, Watanabe, Le Roux, "Phase-sensitive and recognition-boosted
    speech separation using deep recurrent neural networks", 2015). ``least_error`` ``(mixtures, voices)`` is the power
    that is wrong even so, ``voice_power`` that of the true voices.
    """

    magnitudes: Tensor
    estimates: Tensor
    profiles: Tensor
    best_masks: Tensor
    least_error: Tensor
    voice_power: Tensor

    @classmethod
    @torch.inference_mode()
    def from_mixtures(cls, mixtures: MixtureBatch, equalizer: Tensor | None = None) -> SpectralBatch:
        """The spectra of the mixtures, in half precision.

        ``equalizer`` is a gain for the bins of each mixture, ``(mixtures, bins)``: another microphone.
        """
        spectra = _spectra(mixtures.waveforms.float()).transpose(2, 3)
        estimates, profiles = mixtures.estimates.transpose(2, 3), mixtures.profiles
        if equalizer is not None:
            spectra = spectra * equalizer[:, None, None]
            estimates = (estimates.float() * equalizer[:, None, None]).half()
            profiles = (profiles.float() + equalizer.log().unsqueeze(1)).half()
        mixture, truth = spectra[:, 0], spectra[:, 1:]
        magnitudes = mixture.abs().half()
        power = magnitudes.float().square().unsqueeze(1)
        in_phase = (mixture.conj().unsqueeze(1) * truth).real
        best_masks = (in_phase / power.clamp_min(1e-8)).clamp(-MAX_BEST_MASK, MAX_BEST_MASK).half()
        voice_power = truth.abs().square().sum(dim=(2, 3))
        least_error = voice_power - (power * best_masks.float().square()).sum(dim=(2, 3))
        return cls(magnitudes, estimates.contiguous(), profiles, best_masks, least_error, voice_power)

    def __len__(self) -> int:
        return len(self.magnitudes)

    @property
    def voices(self) -> int:
        """Voices in each mixture."""
        return self.estimates.shape[1]

    def loss(self, refiner: MasksByFrame, *, bfloat16: bool = False) -> Tensor:
        """The same as `refiner_loss` but for rounding, in three quarters of its time: negative SNR, ``(mixtures,)``.

        With ``bfloat16``, the network runs in that precision.
        """
        device = next(refiner.parameters()).device
        magnitudes, estimates = self.magnitudes.to(device).float(), self.estimates.to(device).float()
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            masks = refiner.masks_by_frame(magnitudes, estimates, self.profiles.to(device).float())
        power = magnitudes.square().unsqueeze(1)
        more_error = (power * (masks.float() - self.best_masks.to(device).float()).square()).sum(dim=(2, 3))
        error_power = more_error + self.least_error.to(device)
        return snr_loss(error_power, self.voice_power.to(device), power.sum(dim=(2, 3)))


Batch = TypeVar("Batch", MixtureBatch, SpectralBatch)


def concatenate(batches: Sequence[Batch]) -> Batch:
    """All mixtures of the batches as one batch."""
    kind = type(batches[0])
    return kind(*(torch.cat([getattr(batch, field.name) for batch in batches]) for field in fields(kind)))


@torch.inference_mode()
def make_mixture(
    separator: DictionarySeparator, mixture: Samples, voices: Samples, dictionaries: Sequence[Tensor]
) -> MixtureBatch:
    """A batch of one: ``mixture`` ``(samples,)`` of ``voices`` ``(voices, samples)``, with a dictionary per voice."""
    level = max(rms(mixture), 1e-9)
    waveforms = (np.concatenate([mixture[None], voices]) / level).astype(np.float16)
    magnitudes = separator.stft(waveforms[0].astype(np.float32)).abs()
    estimates = separator.estimate_magnitudes(magnitudes, dictionaries)
    profiles = torch.stack([speaker_profile(dictionary) for dictionary in dictionaries])
    return MixtureBatch(torch.from_numpy(waveforms)[None], estimates[None].half().cpu(), profiles[None].half().cpu())


def refiner_loss(refiner: nn.Module, batch: MixtureBatch) -> Tensor:
    """`masked_snr_loss` of the masks of a `Refiner` or a network like it: negative SNR in dB, ``(mixtures,)``."""
    device = next(refiner.parameters()).device
    waveforms = batch.waveforms.to(device).float()
    spectra = _spectra(waveforms)
    estimates, profiles = batch.estimates.to(device).float(), batch.profiles.to(device).float()
    mixture, truth = spectra[:, 0], spectra[:, 1:]
    return masked_snr_loss(mixture, refiner(mixture.abs(), estimates, profiles), truth)


def masked_snr_loss(mixtures: Tensor, masks: Tensor, truth: Tensor) -> Tensor:
    """Negative SNR in dB of masked mixtures against their true voices, one per mixture, the mean over voices.

    Complex ``mixtures`` ``(batch, bins, frames)`` and ``truth`` ``(batch, voices, bins, frames)``.
    """
    error_power = torch.view_as_real(mixtures.unsqueeze(1) * masks - truth).square().sum(dim=(2, 3, 4))
    mixture_power = torch.view_as_real(mixtures).square().sum(dim=(1, 2, 3)).unsqueeze(1)
    return snr_loss(error_power, torch.view_as_real(truth).square().sum(dim=(2, 3, 4)), mixture_power)


def snr_loss(error_power: Tensor, voice_power: Tensor, mixture_power: Tensor) -> Tensor:
    """Negative SNR in dB from powers ``(mixtures, voices)``, that of a mixture ``(mixtures, 1)``: the mean over voices.

    A voice that is silent in a mixture costs what is wrongly given to it.
    """
    ratio = (error_power.clamp_min(0.0) + 1e-3 * mixture_power) / (voice_power + 1e-2 * mixture_power)
    return 10 * torch.log10(ratio).mean(dim=1)


def _spectra(waveforms: Tensor) -> Tensor:
    """Short-time spectra of ``(mixtures, waveforms, samples)``: ``(mixtures, waveforms, bins, frames)``."""
    hann = torch.hann_window(FRAME, device=waveforms.device)
    flat = torch.stft(waveforms.flatten(0, 1), FRAME, HOP, window=hann, pad_mode="constant", return_complex=True)
    return flat.view(*waveforms.shape[:2], *flat.shape[1:])


def random_excerpt(samples: Samples, length: int, rng: np.random.Generator) -> tuple[int, Samples]:
    """An excerpt of ``length`` from a random place, and the index it begins at; samples too short are repeated.

    Drawn up to `MAX_DRAWS` times until it has power.
    """
    min_power = MIN_POWER_SHARE * float(np.mean(np.square(samples, dtype=np.float64)))
    for _ in range(MAX_DRAWS):
        start = int(rng.integers(max(len(samples) - length, 0) + 1))
        if float(np.mean(np.square(samples[start : start + length], dtype=np.float64))) >= min_power:
            break
    return start, np.resize(samples[start : start + length], length)


def at_random_levels(voices: Samples, rng: np.random.Generator) -> Samples:
    """Voices ``(voices, samples)`` at random levels, with a mixture of RMS 1."""
    levels = np.sqrt(np.mean(np.square(voices), axis=1, keepdims=True)) + 1e-6
    gains_db = rng.uniform(-MAX_LEVEL_DIFFERENCE / 2, MAX_LEVEL_DIFFERENCE / 2, (len(voices), 1))
    scaled = voices / levels * 10 ** (gains_db / 20)
    mixture_level = max(float(np.sqrt(np.mean(np.square(scaled.sum(axis=0))))), 1e-6)
    return np.asarray(scaled / mixture_level, np.float32)


def weighted_round_robin(overlap_seconds: Mapping[SpeakerGroup, float], count: int) -> Iterator[SpeakerGroup]:
    """``count`` groups, each as often as its seconds weigh, the most-overlapped first in every round.

    >>> list(weighted_round_robin({("A", "B"): 3.0, ("A", "C"): 1.0}, 4))
    [('A', 'B'), ('A', 'B'), ('A', 'C'), ('A', 'B')]
    """
    by_seconds = sorted(overlap_seconds, key=lambda group: (-overlap_seconds[group], group))
    credit = dict.fromkeys(by_seconds, 0.0)
    total = sum(overlap_seconds.values())
    for _ in range(count):
        for group in credit:
            credit[group] += overlap_seconds[group] / total
        highest = max(credit, key=lambda group: credit[group])
        credit[highest] -= 1.0
        yield highest
