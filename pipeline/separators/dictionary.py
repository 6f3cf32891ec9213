"""Target-speaker separation by exemplar dictionaries learned from the recording itself (NMF), without trained weights.

A speaker's dictionary is a set of exemplars drawn from that person's own single-speaker speech: short-time spectra of
a few frames in a row. A mixture's spectra are explained as non-negative sums over the joined dictionaries; each
speaker's share of the explanation makes a mask on the mixture. Exemplar-based non-negative separation: Smaragdis,
"Convolutive speech bases and their application to supervised speech separation", 2007; Gemmeke, Virtanen, Hurmalainen,
"Exemplar-based sparse representations for noise robust automatic speech recognition", 2011 (exemplars of several
frames, whose overlapping estimates are added up). The update is that of Lee and Seung, 2001, for the Kullback–Leibler
divergence.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch

from meetsplit.pipeline.audio.clip_cache import ClipCache
from meetsplit.pipeline.audio.resampling import resample
from meetsplit.pipeline.data import Audio, Samples, Speaker, Voice, rms
from meetsplit.pipeline.models.device import has_fast_bfloat16
from meetsplit.pipeline.protocols import Unseparated
from meetsplit.pipeline.separators.chunking import overlap_add
from meetsplit.pipeline.settings import Settings

FRAME = 1024
"""Samples in a short-time spectrum (64 ms): harmonics of a voice stay apart."""

HOP = 256
"""Samples between spectra (16 ms)."""

WINDOW = 20.0
"""Seconds of mixture separated at once; longer ones are cut and cross-faded, so that memory stays bounded."""

WINDOW_OVERLAP = 0.5
"""Seconds that neighbouring windows share."""

CACHE_SIZE = 16
"""Dictionaries held in memory at once, about 12 MB each."""

QUICK_EXEMPLARS, QUICK_UPDATES = 0.375, 0.4
"""Shares of exemplars and updates of a `DictionarySeparator.quicker` one."""

QUICK_PRUNING = ((4, 0.5), (8, 0.7))
"""Its `NmfOptions.pruning`."""

MaskFunction: TypeAlias = Callable[[torch.Tensor, torch.Tensor, Sequence[torch.Tensor]], torch.Tensor]
"""From magnitudes of a mixture of RMS 1, ``(bins, frames)``, the dictionaries' estimates of it, ``(voices, bins,
frames)``, and the dictionaries, to masks that sum to one: ``(voices, bins, frames)``."""

BAND_GROWTH, BAND_STEP = 1.15, 0.3
"""Factor and bins by which each band above `NmfOptions.single_bins` is wider than the one below."""


@dataclass(frozen=True, slots=True)
class NmfOptions:
    """How dictionaries are made and used. The defaults were chosen on voices of `benchmarks/separation.py` and others.

    Dictionaries: at most ``exemplars`` per speaker, around frames not quieter than the quantile ``min_loudness`` of all
    frames, of the clean speech played at each of ``speeds`` (speed perturbation: the next word has another pitch); with
    ``nearest_first``, other speeds only where there is room. An exemplar holds the spectra at the offsets ``context``
    from its frame: what sounds alike for a moment does not go on alike. ``min_seconds`` and ``max_seconds`` of clean
    speech: fewer are refused, more are left out.

    Factorisation: ``updates`` of the activations, ``over_relaxed`` (the same fixed point in fewer steps); after so many
    of them as ``pruning`` says, that share of the exemplars goes on. Spectra are compared in the lowest ``single_bins``
    and in wider and wider bands above, which costs a third and is as good.

    Masks: from amplitudes to the power of ``mask_power``. Between 1 and 1.5 voices come equally near to the truth, and
    the higher, the less is heard of the others.
    """

    exemplars: int = 4000
    min_loudness: float = 0.5
    speeds: tuple[float, ...] = (0.92, 0.96, 1.0, 1.04, 1.08)
    nearest_first: bool = True
    context: tuple[int, ...] = (-2, 0, 2)
    updates: int = 40
    over_relaxed: bool = True
    pruning: tuple[tuple[int, float], ...] = ((6, 0.6), (16, 0.7))
    single_bins: int = 128
    mask_power: float = 1.3
    min_seconds: float = 2.0
    max_seconds: float = 120.0


@dataclass(frozen=True, slots=True, eq=False)
class Exemplars:
    """Magnitude spectra of one speaker, ``(exemplars, context, bins)``, and their times on the recording's clock in
    seconds.
    """

    magnitudes: torch.Tensor
    times: torch.Tensor

    def outside(self, start: float, end: float, margin: float) -> torch.Tensor:
        """The spectra from more than ``margin`` seconds before ``start`` or after ``end``."""
        return self.magnitudes[(self.times < start - margin) | (self.times > end + margin)]

    def normalized(self) -> Exemplars:
        """The same, each of which sums to one, in bfloat16: half the memory, and no voice comes out worse."""
        magnitudes = self.magnitudes / self.magnitudes.sum(dim=(1, 2), keepdim=True)
        return Exemplars(magnitudes.to(torch.bfloat16), self.times)


class DictionarySeparator:
    """A `Separator` for any number of voices. Needs no weights, and no matcher: each dictionary belongs to a speaker.

    The voices of one mixture add up to it but for rounding (masks sum to one), keep its phase and its level. ``device``
    holds the matrices. The same clips, mixture and ``seed`` give the same voices. `separate` raises `Unseparated`
    (``overlap-unresolved``) for a speaker with less than ``options.min_seconds`` of clean speech.
    """

    def __init__(self, *, seed: int = 0, device: str = "cpu", options: NmfOptions | None = None) -> None:
        self.rate: int = 16_000
        self._seed = seed
        self._device = device
        self._options = options or NmfOptions()
        self._factor_type = torch.bfloat16 if has_fast_bfloat16(device) else torch.float32
        self._dictionaries = ClipCache[torch.Tensor](CACHE_SIZE)

    @classmethod
    def load(cls, settings: Settings, weights: Mapping[str, Path], device: str) -> DictionarySeparator:
        """Needs no weights; ``settings.seed`` draws the exemplars."""
        return cls(seed=settings.seed, device=device)

    def quicker(self) -> DictionarySeparator:
        """One with fewer exemplars and updates, a fifth of the cost: estimates that are 20 dB above their difference
        from this one's, enough to train with.
        """
        options = self._options
        quick = replace(
            options,
            exemplars=math.ceil(QUICK_EXEMPLARS * options.exemplars),
            updates=math.ceil(QUICK_UPDATES * options.updates),
            pruning=QUICK_PRUNING,
        )
        return DictionarySeparator(seed=self._seed, device=self._device, options=quick)

    def separate(
        self,
        mixture: Audio,
        enrollment: Mapping[Speaker, Sequence[Audio]],
        *,
        mask_function: MaskFunction | None = None,
    ) -> Mapping[Speaker, Voice]:
        """One voice per enrolled speaker; a speaker alone gets the mixture as it is.

        Masks are `amplitude_masks` unless ``mask_function`` makes others.
        """
        for audio in (mixture, *(clip for clips in enrollment.values() for clip in clips)):
            if audio.rate != self.rate:
                raise ValueError(f"the dictionary separator hears at {self.rate} Hz, not {audio.rate} Hz")
        if len(enrollment) < 2:
            return {speaker: Voice(mixture) for speaker in enrollment}
        dictionaries = [self.dictionary(speaker, clips) for speaker, clips in enrollment.items()]
        level = np.float32(rms(mixture.samples))
        if level == 0.0:
            return {speaker: Voice(mixture) for speaker in enrollment}
        masks = mask_function or self.amplitude_masks
        rows = overlap_add(
            mixture.samples / level,
            lambda samples: self._separate_window(samples, dictionaries, masks),
            size=round(WINDOW * self.rate),
            overlap=round(WINDOW_OVERLAP * self.rate),
        )
        voices = (Voice(mixture.replaced(row * level)) for row in rows)
        return dict(zip(enrollment, voices, strict=True))

    def dictionary(self, speaker: Speaker, clips: Sequence[Audio]) -> torch.Tensor:
        """The exemplars of one speaker, each of which sums to one: ``(exemplars, context, bins)``, in bfloat16.

        Raises `Unseparated` for too little speech, or silence.
        """
        seconds = sum(clip.duration for clip in clips)
        if seconds < self._options.min_seconds:
            need = f"{self._options.min_seconds:g} s are needed to learn a voice"
            raise Unseparated(
                "overlap-unresolved", f"{speaker} speaks alone for only {seconds:.1f} s in this recording; {need}"
            )
        dictionary = self._dictionaries(clips, self._make_dictionary)
        if len(dictionary) == 0:
            raise Unseparated(
                "overlap-unresolved", f"{speaker}'s clean speech is silent: there is nothing to learn the voice from"
            )
        return dictionary

    def _make_dictionary(self, clips: Sequence[Audio]) -> torch.Tensor:
        return self.exemplars(clips).normalized().magnitudes

    def exemplars(self, clips: Sequence[Audio]) -> Exemplars:
        """Exemplars drawn at random from the louder frames of the clips."""
        longest = _longest_clips(clips, self._options.max_seconds)
        played = [
            (clip, speed, self.stft(_at_speed(clip, speed).samples).abs())
            for speed in self._options.speeds
            for clip in longest
        ]
        times = torch.cat([torch.linspace(clip.span.start, clip.span.end, one.shape[1]) for clip, _, one in played])
        changes = torch.cat([torch.full((one.shape[1],), round(abs(speed - 1.0), 6)) for _, speed, one in played])
        reach = max(map(abs, self._options.context))
        padded = [torch.nn.functional.pad(spectrogram, (reach, reach)) for _, _, spectrogram in played]
        spectra = torch.cat(padded, dim=1)
        ends = itertools.accumulate(part.shape[1] for part in padded)
        frames_of_clips = [
            torch.arange(end - part.shape[1] + reach, end - reach) for part, end in zip(padded, ends, strict=True)
        ]
        positions = torch.cat(frames_of_clips).to(spectra.device)
        power = spectra.square().sum(dim=0)[positions]
        is_loud = (power >= torch.quantile(power, self._options.min_loudness)) & (power > 0.0)
        frames = torch.nonzero(is_loud)[:, 0]
        if len(frames) > self._options.exemplars:
            order = torch.randperm(len(frames), generator=torch.Generator().manual_seed(self._seed))
            if self._options.nearest_first:
                order = order[changes[frames.cpu()][order].argsort(stable=True)]
            frames = frames[order[: self._options.exemplars].to(frames.device)]
        by_frame = spectra.T.contiguous()
        magnitudes = torch.stack([by_frame[positions[frames] + offset] for offset in self._options.context], dim=1)
        return Exemplars(magnitudes, times.to(frames.device)[frames])

    def stft(self, samples: Samples) -> torch.Tensor:
        """Complex short-time spectra: ``(bins, frames)``."""
        wave = torch.tensor(samples, device=self._device)
        hann = torch.hann_window(FRAME, device=self._device)
        return torch.stft(wave, FRAME, HOP, window=hann, pad_mode="constant", return_complex=True)

    def estimate_magnitudes(self, magnitudes: torch.Tensor, dictionaries: Sequence[torch.Tensor]) -> torch.Tensor:
        """Each dictionary's share of magnitudes ``(bins, frames)``: non-negative, ``(dictionaries, bins, frames)``.

        The shares add up to the magnitudes.
        """
        return _factorise(magnitudes, dictionaries, self._options, self._factor_type)

    @torch.inference_mode()
    def _separate_window(
        self, samples: Samples, dictionaries: Sequence[torch.Tensor], mask_function: MaskFunction
    ) -> Samples:
        """The voices of one window, one row per dictionary."""
        spectra = self.stft(samples)
        magnitudes = spectra.abs()
        masks = mask_function(magnitudes, self.estimate_magnitudes(magnitudes, dictionaries), dictionaries)
        hann = torch.hann_window(FRAME, device=self._device)
        voices = torch.istft(spectra * masks, FRAME, HOP, window=hann, length=len(samples))
        return np.asarray(voices.cpu().numpy(), np.float32)

    def amplitude_masks(
        self, magnitudes: torch.Tensor, estimates: torch.Tensor, dictionaries: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """A `MaskFunction` that follows the estimates' amplitudes (a Wiener-like ratio mask)."""
        weights = estimates.pow(self._options.mask_power) + 1e-9
        return weights / weights.sum(dim=0)


def _longest_clips(clips: Sequence[Audio], seconds: float) -> Sequence[Audio]:
    """The longest clips, up to ``seconds`` in all, in their own order; none shorter than a frame unless all are."""
    chosen: list[int] = []
    total = 0.0
    for index in sorted(range(len(clips)), key=lambda index: -clips[index].duration):
        if total >= seconds or (chosen and len(clips[index].samples) < FRAME):
            break
        chosen.append(index)
        total += clips[index].duration
    return [clips[index] for index in sorted(chosen)]


def _at_speed(clip: Audio, speed: float) -> Audio:
    """The clip played at another speed: pitch and formants move together, as on a tape."""
    return resample(Audio(clip.samples, round(clip.rate * speed)), clip.rate)


def _factorise(
    magnitudes: torch.Tensor,
    dictionaries: Sequence[torch.Tensor],
    options: NmfOptions,
    factor_type: torch.dtype,
) -> torch.Tensor:
    """Magnitudes ``(bins, frames)`` as one non-negative estimate per dictionary, near in Kullback–Leibler divergence.

    Exemplars sum to one, so the multiplicative update needs no denominator. Those with the least activation after a few
    updates are dropped. The last update is not over-relaxed: over-relaxed ones overshoot in turn. A frame's estimate is
    the sum over all exemplars that reach into it. Dictionaries and activations are in ``factor_type``; voices come
    out within 0.02 dB of those in single precision.
    """
    bands = _bands(magnitudes.shape[0], options.single_bins, magnitudes.device)
    target = torch.cat([_shifted(bands @ magnitudes, offset) for offset in options.context])
    to_bands = bands.T.to(factor_type)
    transposed = torch.cat([(dictionary.to(factor_type) @ to_bands).flatten(1) for dictionary in dictionaries])
    factor = transposed.T.contiguous()
    kept = torch.arange(len(transposed), device=transposed.device)
    level = (target.sum(dim=0, keepdim=True) / len(kept)).to(factor_type)
    activations = level.expand(len(kept), -1).clone()
    pruning = dict(options.pruning)
    for update in range(options.updates):
        if update in pruning:
            count = math.ceil(pruning[update] * len(kept))
            strongest = activations.float().sum(dim=1).topk(count).indices.sort().values
            kept, activations, transposed = kept[strongest], activations[strongest], transposed[strongest]
            factor = transposed.T.contiguous()
        explained = (factor @ activations).float()
        growth = transposed @ (target / explained.clamp_min(1e-10)).to(factor_type)
        is_last = update == options.updates - 1
        activations *= _relaxed(growth) if options.over_relaxed and not is_last else growth
    estimates: list[torch.Tensor] = []
    first = 0
    for dictionary in dictionaries:
        end = first + len(dictionary)
        own = (kept >= first) & (kept < end)
        active = dictionary[kept[own] - first].to(factor_type)
        estimates.append(_estimate(active, activations[own], options.context))
        first = end
    shares = torch.stack(estimates)
    return shares * (magnitudes / shares.sum(dim=0).clamp_min(1e-10))


@functools.cache
def _bands(bins: int, single: int, device: torch.device) -> torch.Tensor:
    """What sums bins into bands, ``(bands, bins)``: the lowest ``single`` bins alone, wider and wider ones above."""
    edges, width = list(range(min(single, bins))), 1.0
    while edges[-1] + int(width) < bins:
        edges.append(edges[-1] + int(width))
        width = width * BAND_GROWTH + BAND_STEP
    matrix = torch.zeros(len(edges), bins, device=device)
    for row, (first, end) in enumerate(itertools.pairwise([*edges, bins])):
        matrix[row, first:end] = 1.0
    return matrix


def _shifted(spectra: torch.Tensor, offset: int) -> torch.Tensor:
    """The spectra ``(bins, frames)`` that are ``offset`` frames later; silence beyond the ends."""
    frames = spectra.shape[1]
    return torch.nn.functional.pad(spectra, (max(-offset, 0), max(offset, 0)))[:, max(offset, 0) :][:, :frames]


def _estimate(exemplars: torch.Tensor, activations: torch.Tensor, context: Sequence[int]) -> torch.Tensor:
    """The sum of active exemplars ``(exemplars, context, bins)``, each at the frames that it reaches."""
    parts = (exemplars.flatten(1).T @ activations).float().view(*exemplars.shape[1:], activations.shape[1])
    return torch.stack([_shifted(part, -offset) for part, offset in zip(parts, context, strict=True)]).sum(dim=0)


def _relaxed(growth: torch.Tensor) -> torch.Tensor:
    """Growth to the power of 1.75, in place, by roots, which are much faster than `torch.pow`."""
    root = growth.sqrt()
    return growth.mul_(root).mul_(root.sqrt_())
