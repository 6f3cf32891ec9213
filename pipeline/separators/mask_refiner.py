"""Mask refiner: a small network that corrects the masks which the dictionaries suggest.

For every speaker it gets the mixture's magnitudes, the dictionaries' estimates of them (this speaker's, and the sum
of all others'), and the spectral profiles of both: the mean log spectra of their dictionaries. It answers with a
correction of that speaker's mask; masks are normalised over the speakers. So one set of weights serves any number of
voices, in any order, of people it was not trained on. Its trunk is a stack of dilated convolutions over time, after
Luo and Mesgarani, "Conv-TasNet", 2019.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

LOG_OFFSET = 0.03
"""Added to magnitudes before the logarithm, for mixtures of RMS 1: detail below it is not resolved."""

PRIOR_OFFSET = 1e-3
"""Added to the dictionaries' estimates: where they are silent, the network can still open a mask."""

_FILE_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "in_proj": "enter",
        "speaker_encoder": "look",
        "speaker_proj": "recognise",
        "out_proj": "leave",
        "prior_weight": "trust",
        "dilated": "wide",
        "act": "bend",
        "pointwise": "back",
        "dilation_cycle": "turn",
        "speaker_dim": "portrait",
    }
)
"""Parts of the names of tensors and settings, here and in weights files: files keep the names of the first release."""


@dataclass(frozen=True, slots=True)
class Config:
    """Size of the network: ``bins`` of a spectrum, ``width`` channels, ``blocks`` of dilation 1, 2, 4….

    Dilations begin at 1 again after ``dilation_cycle`` blocks. ``speaker_dim`` numbers encode a speaker's profile.
    """

    bins: int = 513
    width: int = 256
    blocks: int = 8
    dilation_cycle: int = 5
    speaker_dim: int = 32


class Block(nn.Module):
    """A residual block: dilated convolution over three frames, activation, pointwise convolution."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.dilated = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.act = nn.PReLU()
        self.pointwise = nn.Conv1d(width, width, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        """``(batch, frames, width)`` to the same shape."""
        out: Tensor = hidden + _pointwise(self.pointwise, self._activated(self._convolved(self.norm(hidden))))
        return out

    def _activated(self, hidden: Tensor) -> Tensor:
        """The activation, cheaper in a training where its slope is frozen (`Refiner.freeze_slopes`)."""
        if self.act.weight.requires_grad:
            activated: Tensor = self.act(hidden)
            return activated
        return nn.functional.leaky_relu(hidden, self.act.weight.item())

    def _convolved(self, hidden: Tensor) -> Tensor:
        """The dilated convolution as one product of matrices, which a processor computes faster."""
        dilation, frames = self.dilated.dilation[0], hidden.shape[1]
        padded = nn.functional.pad(hidden, (0, 0, dilation, dilation))
        taps = torch.cat([padded[:, tap * dilation :][:, :frames] for tap in range(3)], dim=2)
        weight = self.dilated.weight.transpose(1, 2).flatten(1)
        return nn.functional.linear(taps, weight, self.dilated.bias)


class Refiner(nn.Module):
    """Masks for enrolled speakers from a mixture and the dictionaries' estimates of it.

    Untrained, its masks are those of the estimates alone.
    """

    def __init__(self, config: Config = Config()) -> None:
        super().__init__()
        self.config = config
        self.in_proj = nn.Conv1d(3 * config.bins, config.width, 1)
        self.speaker_encoder = nn.Linear(2 * config.bins, config.speaker_dim)
        self.speaker_proj = nn.Linear(config.speaker_dim, config.width)
        dilations = [2 ** (k % config.dilation_cycle) for k in range(config.blocks)]
        self.blocks = nn.ModuleList([Block(config.width, dilation) for dilation in dilations])
        self.out_proj = nn.Conv1d(config.width, config.bins, 1)
        self.prior_weight = nn.Parameter(torch.tensor(1.3))
        nn.init.zeros_(self.out_proj.weight)
        nn.init.zeros_(self.out_proj.bias)  # type: ignore[arg-type]

    def forward(self, magnitudes: Tensor, estimates: Tensor, profiles: Tensor) -> Tensor:
        """Masks that sum to one over the voices: ``(batch, voices, bins, frames)``.

        ``magnitudes`` are ``(batch, bins, frames)``, of mixtures of RMS 1; ``estimates`` ``(batch, voices, bins,
        frames)``; ``profiles`` ``(batch, voices, bins)`` (see `speaker_profile`).
        """
        masks = self.masks_by_frame(magnitudes.transpose(1, 2), estimates.transpose(2, 3), profiles)
        return masks.transpose(2, 3)

    def freeze_slopes(self) -> None:
        """Keep the activations' slopes as they are in a training, of which they cost a tenth."""
        for block in self.blocks:
            block.act.requires_grad_(False)

    def masks_by_frame(self, magnitudes: Tensor, estimates: Tensor, profiles: Tensor) -> Tensor:
        """The same with frames before bins, ``(batch, voices, frames, bins)``, for which nothing is copied."""
        batch, voices, frames, bins = estimates.shape
        other_estimates = estimates.sum(dim=1, keepdim=True) - estimates
        other_profiles = (profiles.sum(dim=1, keepdim=True) - profiles) / max(voices - 1, 1)
        mixture = magnitudes.unsqueeze(1).expand_as(estimates)
        spectra = torch.cat([mixture, estimates, other_estimates], dim=3)
        features = spectra.clamp_min_(0.0).add_(LOG_OFFSET).log_().flatten(0, 1)
        speaker = torch.tanh(self.speaker_encoder(torch.cat([profiles, other_profiles], dim=2).flatten(0, 1)))
        hidden = _pointwise(self.in_proj, features) + self.speaker_proj(speaker).unsqueeze(1)
        for block in self.blocks:
            hidden = block(hidden)
        correction = _pointwise(self.out_proj, hidden).view(batch, voices, frames, bins)
        prior = self.prior_weight * (estimates + PRIOR_OFFSET).log()
        return torch.softmax(correction + prior, dim=1)


def _pointwise(convolution: nn.Conv1d, hidden: Tensor) -> Tensor:
    """A convolution over single frames of ``(batch, frames, channels)``."""
    return nn.functional.linear(hidden, convolution.weight.squeeze(2), convolution.bias)


def speaker_profile(dictionary: Tensor) -> Tensor:
    """The mean log spectrum ``(bins,)`` of a dictionary ``(exemplars, context, bins)`` in its exemplars' own frames."""
    middle = dictionary[:, dictionary.shape[1] // 2].float()
    share = middle / middle.sum(dim=1, keepdim=True).clamp_min(1e-9)
    return (share * share.shape[1] + LOG_OFFSET).log().mean(dim=0)


def save(path: Path, refiner: Refiner) -> None:
    """Write the weights in half precision, with the network's size beside them."""
    tensors = {
        _in_file(name): tensor.detach().cpu().half().contiguous() for name, tensor in refiner.state_dict().items()
    }
    sizes = {_in_file(name): size for name, size in asdict(refiner.config).items()}
    temporary = path.with_suffix(f".{os.getpid()}.part")
    save_file(tensors, temporary, metadata={"shape": json.dumps(sizes)})
    temporary.chmod(0o644)  # the library writes for its owner alone
    os.replace(temporary, path)


def load(path: Path) -> Refiner:
    """The refiner in a file that `save` wrote, in single precision and evaluation mode."""
    with safe_open(path, framework="pt") as file:
        sizes = json.loads(file.metadata()["shape"])
        refiner = Refiner(Config(**{current_name(name): size for name, size in sizes.items()}))
        tensors = {current_name(name): file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    refiner.load_state_dict(tensors)
    return refiner.eval()


def _in_file(name: str) -> str:
    """A tensor's or setting's name as weights files have it; ``blocks.0.act.weight`` is ``blocks.0.bend.weight``."""
    return ".".join(_FILE_NAMES.get(part, part) for part in name.split("."))


def current_name(name: str) -> str:
    """The inverse of `_in_file`: a name of the first release as it is here; names of today stay."""
    ours = {theirs: ours for ours, theirs in _FILE_NAMES.items()}
    return ".".join(ours.get(part, part) for part in name.split("."))
