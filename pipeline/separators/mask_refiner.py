"""A small network that corrects what the dictionaries say: the refiner.

For every speaker it hears the mixture's magnitudes and how the dictionaries explain them (the speaker's part, everybody else's
part), and the faces of both: their mean log spectra. It answers with a correction of that speaker's mask; masks are normalised
over the speakers. So one set of weights serves any number of voices, in any order, and nobody in particular. Its trunk is a
stack of dilated convolutions over time, after Luo and Mesgarani, "Conv-TasNet", 2019.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

QUIET = 0.03
"""Added to magnitudes before the logarithm, for mixtures of RMS 1: what is below is not heard as detail."""

LEAST = 1e-3
"""Added to the dictionaries' parts: where they are silent, the network still has a say."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How large the network is: ``bins`` of a spectrum, ``width`` channels, ``blocks`` with ``turn`` dilations 1, 2, 4…, then again."""

    bins: int = 513
    width: int = 256
    blocks: int = 8
    turn: int = 5
    portrait: int = 32


class Block(nn.Module):
    """Three frames, ``dilation`` apart, seen together; added to what was there."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.wide = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.bend = nn.PReLU()
        self.back = nn.Conv1d(width, width, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        """``(batch, width, frames)`` to the same shape."""
        seen = self.wide(self.norm(hidden.transpose(1, 2)).transpose(1, 2))
        out: Tensor = hidden + self.back(self.bend(seen))
        return out


class Refiner(nn.Module):
    """Masks for known speakers from a mixture and its explanation. Untrained, it repeats the dictionaries' own masks."""

    def __init__(self, shape: Shape = Shape()) -> None:
        super().__init__()
        self.shape = shape
        self.enter = nn.Conv1d(3 * shape.bins, shape.width, 1)
        self.look = nn.Linear(2 * shape.bins, shape.portrait)
        self.recognise = nn.Linear(shape.portrait, shape.width)
        self.blocks = nn.ModuleList([Block(shape.width, 2 ** (k % shape.turn)) for k in range(shape.blocks)])
        self.leave = nn.Conv1d(shape.width, shape.bins, 1)
        self.trust = nn.Parameter(torch.tensor(1.3))
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

    def forward(self, magnitudes: Tensor, parts: Tensor, faces: Tensor) -> Tensor:
        """Masks that sum to one over the voices: ``(batch, voices, bins, frames)``.

        ``magnitudes`` are ``(batch, bins, frames)``, of mixtures of RMS 1; ``parts`` ``(batch, voices, bins, frames)``;
        ``faces`` ``(batch, voices, bins)`` (see `face`).
        """
        batch, voices, bins, frames = parts.shape
        rest = parts.sum(dim=1, keepdim=True) - parts
        others = (faces.sum(dim=1, keepdim=True) - faces) / max(voices - 1, 1)
        heard = magnitudes.unsqueeze(1).expand_as(parts)
        seen = torch.cat([heard, parts, rest], dim=2).clamp_min(0.0).add(QUIET).log().flatten(0, 1)
        both = torch.cat([faces, others], dim=2).flatten(0, 1)
        hidden = self.enter(seen) + self.recognise(torch.tanh(self.look(both))).unsqueeze(-1)
        for block in self.blocks:
            hidden = block(hidden)
        correction = self.leave(hidden).view(batch, voices, bins, frames)
        return torch.softmax(correction + self.trust * (parts + LEAST).log(), dim=1)


def face(dictionary: Tensor) -> Tensor:
    """A dictionary's mean log spectrum, ``(bins,)``, from columns ``(bins, exemplars)`` that sum to one."""
    return (dictionary * dictionary.shape[0] + QUIET).log().mean(dim=1)


def kept(path: Path, refiner: Refiner) -> None:
    """Write the weights in half precision, with their shape beside them."""
    tensors = {name: tensor.detach().cpu().half().contiguous() for name, tensor in refiner.state_dict().items()}
    fresh = path.with_suffix(f".{os.getpid()}.part")
    save_file(tensors, fresh, metadata={"shape": json.dumps(asdict(refiner.shape))})
    fresh.chmod(0o644)  # the library writes for its owner alone
    os.replace(fresh, path)


def opened(path: Path) -> Refiner:
    """The refiner in a file that `kept` wrote, in single precision, ready to be asked."""
    with safe_open(path, framework="pt") as file:
        refiner = Refiner(Shape(**json.loads(file.metadata()["shape"])))
        refiner.load_state_dict({name: file.get_tensor(name).float() for name in file.keys()})  # noqa: SIM118
    return refiner.eval()
