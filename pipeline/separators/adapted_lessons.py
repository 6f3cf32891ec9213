"""Mixtures of speech whose speakers are known, made on the spot, and how wrong masks on them are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from meetsplit.pipeline.data import Samples, Speaker
from meetsplit.pipeline.separators.dictionary import FRAME, HOP

LOUDER = 5.0
"""Decibels by which one voice of a mixture is louder than another, at most."""


Group = tuple[Speaker, ...]
"""People who speak at once."""

Batches = Sequence[Sequence[Group]]
"""Who speaks in each mixture of each batch; equally many in all of a batch."""


@dataclass(frozen=True, slots=True, eq=False)
class Mixtures:
    """Spectra of equally long mixtures of RMS 1, ``(mixtures, bins, frames)``, and of their voices ``(mixtures, voices, bins, frames)``."""

    spectra: Tensor
    voices: Tensor


def stretch(samples: Samples, length: int, rng: np.random.Generator) -> Samples:
    """A stretch from anywhere in the samples; what is shorter begins again."""
    start = int(rng.integers(max(len(samples) - length, 0) + 1))
    return np.resize(samples[start : start + length], length)


def levelled(voices: Samples, rng: np.random.Generator) -> Samples:
    """Voices ``(voices, samples)`` at random levels, with a mixture of RMS 1."""
    levels = np.sqrt(np.mean(np.square(voices), axis=1, keepdims=True)) + 1e-6
    found = voices / levels * 10 ** (rng.uniform(-LOUDER / 2, LOUDER / 2, (len(voices), 1)) / 20)
    return np.asarray(found / max(float(np.sqrt(np.mean(np.square(found.sum(axis=0))))), 1e-6), np.float32)


def mixed(lessons: Sequence[Samples], device: str | torch.device) -> Mixtures:
    """The mixtures of some lessons, each ``(voices, samples)`` of the same shape."""
    waves = torch.from_numpy(np.stack(lessons)).to(device)
    hann = torch.hann_window(FRAME, device=waves.device)
    flat = torch.stft(waves.flatten(0, 1), FRAME, HOP, window=hann, pad_mode="constant", return_complex=True)
    voices = flat.view(*waves.shape[:2], *flat.shape[1:])
    return Mixtures(voices.sum(dim=1), voices)


def unlike(spectra: Tensor, masks: Tensor, truth: Tensor) -> Tensor:
    """How far masked mixtures are from their true voices: negative SNR in dB, one per mixture, the mean over voices.

    Complex ``spectra`` ``(batch, bins, frames)`` and ``truth`` ``(batch, voices, bins, frames)``. A voice that is silent in a
    mixture costs what is wrongly given to it.
    """
    error = torch.view_as_real(spectra.unsqueeze(1) * masks - truth).square().sum(dim=(2, 3, 4))
    whole = torch.view_as_real(spectra).square().sum(dim=(1, 2, 3)).unsqueeze(1)
    wanted = torch.view_as_real(truth).square().sum(dim=(2, 3, 4)) + 1e-2 * whole
    return 10 * torch.log10((error + 1e-3 * whole) / wanted).mean(dim=1)


def batches(company: Mapping[Group, float], size: int, count: int) -> Batches:
    """``count`` batches of ``size`` groups, shared out by how long they overlap."""
    waiting: dict[int, list[Group]] = defaultdict(list)
    found: list[list[Group]] = []
    for group in shared_out(company, (count + len({len(group) for group in company})) * size):
        waiting[len(group)].append(group)
        if len(waiting[len(group)]) == size:
            found.append(waiting.pop(len(group)))
    return found[:count]


def shared_out(company: Mapping[Group, float], count: int) -> Iterator[Group]:
    """``count`` groups, each as often as its seconds ask for, the most-overlapped first in every round.

    >>> list(shared_out({("A", "B"): 3.0, ("A", "C"): 1.0}, 4))
    [('A', 'B'), ('A', 'B'), ('A', 'C'), ('A', 'B')]
    """
    owed = dict.fromkeys(sorted(company, key=lambda group: (-company[group], group)), 0.0)
    total = sum(company.values())
    for _ in range(count):
        for group in owed:
            owed[group] += company[group] / total
        most = max(owed, key=lambda group: owed[group])
        owed[most] -= 1.0
        yield most
