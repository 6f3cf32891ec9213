"""What the refiner learns from: mixtures whose voices are known, with what dictionaries say of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from meetsplit.pipeline.data import Samples
from meetsplit.pipeline.separators.adapted_net import Refiner, portrait, unlike
from meetsplit.pipeline.separators.dictionary import DictionarySeparator


@dataclass(frozen=True, slots=True, eq=False)
class Lessons:
    """Mixtures of equal length and number of voices, at RMS 1, in half precision.

    ``sounds`` ``(lessons, 1 + voices, samples)``: the mixture, then its voices, which add up to it but for noise. ``parts``
    ``(lessons, voices, bins, frames)``: how dictionaries explain the mixture. ``portraits`` ``(lessons, voices, bins)``.
    """

    sounds: Tensor
    parts: Tensor
    portraits: Tensor

    def __len__(self) -> int:
        return len(self.sounds)

    def of(self, chosen: Sequence[int]) -> Lessons:
        """Some of them."""
        rows = torch.tensor(chosen)
        return Lessons(self.sounds[rows], self.parts[rows], self.portraits[rows])


def joined(several: Sequence[Lessons]) -> Lessons:
    """All of them as one."""
    return Lessons(*(torch.cat([getattr(one, name) for one in several]) for name in ("sounds", "parts", "portraits")))


@torch.inference_mode()
def lesson(teacher: DictionarySeparator, mixture: Samples, voices: Samples, dictionaries: Sequence[Tensor]) -> Lessons:
    """One lesson: ``mixture`` ``(samples,)`` of ``voices`` ``(voices, samples)``, explained by a dictionary for each."""
    level = max(float(np.sqrt(np.mean(np.square(mixture, dtype=np.float64)))), 1e-9)
    sounds = (np.concatenate([mixture[None], voices]) / level).astype(np.float16)
    parts = teacher.parts(teacher.spectra(sounds[0].astype(np.float32)).abs(), dictionaries)
    faces = torch.stack([portrait(dictionary) for dictionary in dictionaries])
    return Lessons(torch.from_numpy(sounds)[None], parts[None].half().cpu(), faces[None].half().cpu())


def missed(refiner: Refiner, teacher: DictionarySeparator, given: Lessons, *, half: bool = False, colour: Tensor | None = None) -> Tensor:
    """What the refiner gets wrong in each lesson: negative SNR in dB, ``(lessons,)``.

    With ``half``, it thinks in bfloat16. ``colour`` is a gain for each lesson's bins, ``(lessons, bins)``: another microphone.
    """
    where = refiner.trust.device
    spectra = torch.stack([torch.stack([teacher.spectra(row.float().numpy()) for row in rows]) for rows in given.sounds]).to(where)
    parts, portraits = given.parts.to(where).float(), given.portraits.to(where).float()
    if colour is not None:
        spectra, parts = spectra * colour[:, None, :, None], parts * colour[:, None, :, None]
        portraits = (portraits.exp() * colour.unsqueeze(1)).log()
    with torch.autocast(where.type, torch.bfloat16, enabled=half):
        masks = refiner(spectra[:, 0].abs(), parts, portraits)
    return unlike(spectra[:, 0], masks.float(), spectra[:, 1:])
