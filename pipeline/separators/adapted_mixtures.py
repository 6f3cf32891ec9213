"""Mixtures of speech whose speakers are known, as dictionaries explain them: what a refiner learns from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from meetsplit.pipeline.data import Samples, Speaker, rms
from meetsplit.pipeline.separators.dictionary import FRAME, HOP, DictionarySeparator
from meetsplit.pipeline.separators.mask_refiner import Refiner, face

LOUDER = 5.0
"""Decibels by which one voice of a mixture is louder than another, at most."""

AUDIBLE = 0.1
"""The share of somebody's mean power that a stretch must have: a pause teaches nothing."""

DRAWS = 5
"""How often a stretch is drawn anew for that."""


Group = tuple[Speaker, ...]
"""People who speak at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Lessons:
    """Mixtures of equal length and number of voices, at RMS 1, in half precision.

    ``sounds`` ``(lessons, 1 + voices, samples)``: the mixture, then its voices, which add up to it but for noise. ``parts``
    ``(lessons, voices, bins, frames)``: how dictionaries explain the mixture. ``faces`` ``(lessons, voices, bins)``.
    """

    sounds: Tensor
    parts: Tensor
    faces: Tensor

    def __len__(self) -> int:
        return len(self.sounds)

    def of(self, chosen: Sequence[int]) -> Lessons:
        """Some of them."""
        rows = torch.tensor(chosen)
        return Lessons(self.sounds[rows], self.parts[rows], self.faces[rows])


def joined(several: Sequence[Lessons]) -> Lessons:
    """All of them as one."""
    return Lessons(*(torch.cat([getattr(one, name) for one in several]) for name in ("sounds", "parts", "faces")))


@torch.inference_mode()
def lesson(teacher: DictionarySeparator, mixture: Samples, voices: Samples, dictionaries: Sequence[Tensor]) -> Lessons:
    """One lesson: ``mixture`` ``(samples,)`` of ``voices`` ``(voices, samples)``, explained by a dictionary for each."""
    level = max(rms(mixture), 1e-9)
    sounds = (np.concatenate([mixture[None], voices]) / level).astype(np.float16)
    parts = teacher.parts(teacher.spectra(sounds[0].astype(np.float32)).abs(), dictionaries)
    faces = torch.stack([face(dictionary) for dictionary in dictionaries])
    return Lessons(torch.from_numpy(sounds)[None], parts[None].half().cpu(), faces[None].half().cpu())


def missed(refiner: Refiner, given: Lessons, *, half: bool = False, colour: Tensor | None = None) -> Tensor:
    """What the refiner gets wrong in each lesson: negative SNR in dB, ``(lessons,)``.

    With ``half``, it thinks in bfloat16. ``colour`` is a gain for each lesson's bins, ``(lessons, bins)``: another microphone.
    """
    where = refiner.trust.device
    waves = given.sounds.to(where).float()
    hann = torch.hann_window(FRAME, device=where)
    flat = torch.stft(waves.flatten(0, 1), FRAME, HOP, window=hann, pad_mode="constant", return_complex=True)
    spectra, parts, faces = (
        flat.view(*waves.shape[:2], *flat.shape[1:]),
        given.parts.to(where).float(),
        given.faces.to(where).float(),
    )
    if colour is not None:
        spectra, parts = spectra * colour[:, None, :, None], parts * colour[:, None, :, None]
        faces = (faces.exp() * colour.unsqueeze(1)).log()
    with torch.autocast(where.type, torch.bfloat16, enabled=half):
        masks = refiner(spectra[:, 0].abs(), parts, faces)
    return unlike(spectra[:, 0], masks.float(), spectra[:, 1:])


def stretch(samples: Samples, length: int, rng: np.random.Generator) -> tuple[int, Samples]:
    """A stretch from anywhere in the samples, where somebody is heard if that is soon found, and where it begins.

    What is shorter begins again.
    """
    least = AUDIBLE * float(np.mean(np.square(samples, dtype=np.float64)))
    for _ in range(DRAWS):
        start = int(rng.integers(max(len(samples) - length, 0) + 1))
        if float(np.mean(np.square(samples[start : start + length], dtype=np.float64))) >= least:
            break
    return start, np.resize(samples[start : start + length], length)


def levelled(voices: Samples, rng: np.random.Generator) -> Samples:
    """Voices ``(voices, samples)`` at random levels, with a mixture of RMS 1."""
    levels = np.sqrt(np.mean(np.square(voices), axis=1, keepdims=True)) + 1e-6
    found = voices / levels * 10 ** (rng.uniform(-LOUDER / 2, LOUDER / 2, (len(voices), 1)) / 20)
    return np.asarray(found / max(float(np.sqrt(np.mean(np.square(found.sum(axis=0))))), 1e-6), np.float32)


def unlike(spectra: Tensor, masks: Tensor, truth: Tensor) -> Tensor:
    """How far masked mixtures are from their true voices: negative SNR in dB, one per mixture, the mean over voices.

    Complex ``spectra`` ``(batch, bins, frames)`` and ``truth`` ``(batch, voices, bins, frames)``. A voice that is silent in a
    mixture costs what is wrongly given to it.
    """
    error = torch.view_as_real(spectra.unsqueeze(1) * masks - truth).square().sum(dim=(2, 3, 4))
    whole = torch.view_as_real(spectra).square().sum(dim=(1, 2, 3)).unsqueeze(1)
    wanted = torch.view_as_real(truth).square().sum(dim=(2, 3, 4)) + 1e-2 * whole
    return 10 * torch.log10((error + 1e-3 * whole) / wanted).mean(dim=1)


def shared_out(overlap_seconds: Mapping[Group, float], count: int) -> Iterator[Group]:
    """``count`` groups, each as often as its seconds ask for, the most-overlapped first in every round.

    >>> list(shared_out({("A", "B"): 3.0, ("A", "C"): 1.0}, 4))
    [('A', 'B'), ('A', 'B'), ('A', 'C'), ('A', 'B')]
    """
    owed = dict.fromkeys(sorted(overlap_seconds, key=lambda group: (-overlap_seconds[group], group)), 0.0)
    total = sum(overlap_seconds.values())
    for _ in range(count):
        for group in owed:
            owed[group] += overlap_seconds[group] / total
        most = max(owed, key=lambda group: owed[group])
        owed[most] -= 1.0
        yield most
