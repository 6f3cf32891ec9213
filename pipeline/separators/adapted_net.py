"""A small network for the people of one meeting, taught on the spot: who of them said what of a mixture.

It hears the mixture's log spectra once, for everybody; a stack of dilated convolutions over time (after Luo and Mesgarani,
"Conv-TasNet", 2019) is told who is there, and each speaker's code then picks a mask of its own from what was heard (feature-wise
modulation: Perez et al., "FiLM", 2018). Masks are normalised over the speakers, so one network serves every group of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from meetsplit.pipeline.separators.adapted_refiner import QUIET, Block


@dataclass(frozen=True, slots=True)
class Size:
    """How large the network is: ``width`` channels, ``blocks`` with ``turn`` dilations 1, 2, 4…, then again, ``code`` per speaker."""

    bins: int = 513
    width: int = 256
    blocks: int = 8
    turn: int = 5
    code: int = 64


class Network(nn.Module):
    """Masks for any of ``people`` known speakers, who are numbers here."""

    def __init__(self, people: int, size: Size = Size()) -> None:
        super().__init__()
        self.codes = nn.Embedding(people, size.code)
        self.enter = nn.Conv1d(size.bins, size.width, 1)
        self.company = nn.Linear(size.code, size.width)
        self.blocks = nn.ModuleList([Block(size.width, 2 ** (k % size.turn)) for k in range(size.blocks)])
        self.norm = nn.LayerNorm(size.width)
        self.scale = nn.Linear(size.code, size.width)
        self.shift = nn.Linear(size.code, size.width)
        self.bend = nn.PReLU()
        self.leave = nn.Linear(size.width, size.bins)

    def forward(self, magnitudes: Tensor, who: Tensor) -> Tensor:
        """Masks that sum to one over the voices: ``(batch, voices, bins, frames)``.

        ``magnitudes`` are ``(batch, bins, frames)``, of mixtures of RMS 1; ``who`` are the speakers' numbers, ``(batch, voices)``.
        """
        codes = self.codes(who)
        hidden = self.enter((magnitudes + QUIET).log()) + self.company(codes.mean(dim=1)).unsqueeze(-1)
        for block in self.blocks:
            hidden = block(hidden)
        heard = self.norm(hidden.transpose(1, 2)).unsqueeze(1)
        own = heard * (1 + self.scale(codes)).unsqueeze(2) + self.shift(codes).unsqueeze(2)
        return torch.softmax(self.leave(self.bend(own)).transpose(2, 3), dim=1)


def agreed(first: Tensor, second: Tensor, share: float) -> Tensor:
    """Two opinions on masks ``(…, voices, bins, frames)`` in one: the weighted geometric mean, ``share`` of it the second's."""
    both = (1.0 - share) * first.clamp_min(1e-6).log() + share * second.clamp_min(1e-6).log()
    return torch.softmax(both, dim=-3)
