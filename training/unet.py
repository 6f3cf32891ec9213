"""A U-Net over spectrograms: one mask per known person, with what the dictionaries say of the mixture as channels.

It is asked and answers as `meetsplit.pipeline.separators.mask_refiner.Refiner` does, and learns by the same command
(`python -m meetsplit.training.refiner --network unet`). Unlike there, weights are shared over frequency: neighbouring
bins are channels of a band, and what a band knows of its place is learned. After Ronneberger, Fischer and Brox,
"U-Net", 2015, and Jansson et al., "Singing voice separation with deep U-Net", 2017.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from meetsplit.pipeline.separators.mask_refiner import LOG_OFFSET, PRIOR_OFFSET

CHANNELS_PER_BIN = 3
"""The mixture, the dictionary's estimate of the target, and that of all others."""


@dataclass(frozen=True, slots=True)
class UNetConfig:
    """``bins`` of a spectrum, of which ``band`` neighbours make a band; ``widths`` of the levels, from fine to coarse.

    A last bin that makes no band of its own keeps the dictionary's mask.
    """

    bins: int = 513
    band: int = 8
    widths: Sequence[int] = (32, 48, 64, 96)


class UNetBlock(nn.Module):
    """Convolution over three bands and three frames, with ``stride`` in both, normalisation and activation."""

    def __init__(self, channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3, stride=stride, padding=1)
        self.norm = nn.GroupNorm(1, width)
        self.act = nn.PReLU()

    def forward(self, hidden: Tensor) -> Tensor:
        """``(batch, channels, bands, frames)`` to ``(batch, width, …)``."""
        out: Tensor = self.act(self.norm(self.conv(hidden)))
        return out


class UNet(nn.Module):
    """Masks for enrolled speakers from a mixture and the dictionaries' estimates of it.

    Untrained, its masks are those of the estimates alone.
    """

    def __init__(self, config: UNetConfig = UNetConfig()) -> None:
        super().__init__()
        self.config = config
        widths = tuple(config.widths)
        self.bands = config.bins // config.band
        self.enter = UNetBlock(CHANNELS_PER_BIN * config.band, widths[0])
        self.place = nn.Parameter(torch.zeros(widths[0], self.bands, 1))
        pairs = list(itertools.pairwise(widths))
        self.same = nn.ModuleList([UNetBlock(width, width) for width in widths])
        self.down = nn.ModuleList([UNetBlock(fine, coarse, stride=2) for fine, coarse in pairs])
        self.join = nn.ModuleList([nn.Conv2d(fine + coarse, fine, 1) for fine, coarse in pairs])
        self.up = nn.ModuleList([UNetBlock(fine, fine) for fine, _ in pairs])
        self.leave = nn.Conv2d(widths[0], config.band, 1)
        self.prior_weight = nn.Parameter(torch.tensor(1.3))
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

    def forward(self, magnitudes: Tensor, estimates: Tensor, profiles: Tensor) -> Tensor:
        """Masks that sum to one over the voices: ``(batch, voices, bins, frames)``.

        ``magnitudes`` are ``(batch, bins, frames)``, of mixtures of RMS 1; ``estimates`` ``(batch, voices, bins,
        frames)``. ``profiles`` are not looked at.
        """
        others = estimates.sum(dim=1, keepdim=True) - estimates
        spectra = torch.stack([magnitudes.unsqueeze(1).expand_as(estimates), estimates, others], dim=2)
        features = spectra.clamp_min(0.0).add(LOG_OFFSET).log().flatten(0, 1)
        correction = self._correction(features).view_as(estimates)
        prior = self.prior_weight * (estimates + PRIOR_OFFSET).log()
        return torch.softmax(correction + prior, dim=1)

    def masks_by_frame(self, magnitudes: Tensor, estimates: Tensor, profiles: Tensor) -> Tensor:
        """The same with frames before bins, ``(batch, voices, frames, bins)``, as a `Refiner` has them."""
        masks: Tensor = self(magnitudes.transpose(1, 2), estimates.transpose(2, 3), profiles)
        return masks.transpose(2, 3)

    def _correction(self, features: Tensor) -> Tensor:
        """``(targets, 3, bins, frames)`` to ``(targets, bins, frames)``."""
        band, used = self.config.band, self.bands * self.config.band
        targets, channels, bins, frames = features.shape
        in_bands = features[:, :, :used].reshape(targets, channels, self.bands, band, frames)
        inside = in_bands.transpose(2, 3).flatten(1, 2)
        hidden = self.same[0](self.enter(inside) + self.place)
        levels = [hidden]
        for down, same in zip(self.down, list(self.same)[1:], strict=True):
            hidden = down(hidden)
            hidden = hidden + same(hidden)
            levels.append(hidden)
        for level in reversed(range(len(self.up))):
            fine = levels[level]
            wide = functional.interpolate(hidden, size=fine.shape[2:])
            hidden = self.join[level](torch.cat([fine, wide], dim=1))
            hidden = hidden + self.up[level](hidden)
        out = self.leave(hidden).transpose(1, 2).flatten(1, 2)
        return functional.pad(out, (0, 0, 0, bins - used))


def save(path: Path, network: UNet) -> None:
    """Write the weights in half precision, with the network's size beside them."""
    tensors = {name: tensor.detach().cpu().half().contiguous() for name, tensor in network.state_dict().items()}
    temporary = path.with_suffix(f".{os.getpid()}.part")
    save_file(tensors, temporary, metadata={"unet": json.dumps(asdict(network.config))})
    os.replace(temporary, path)


def is_unet(path: Path) -> bool:
    """Whether a file of weights is one that `save` wrote."""
    with safe_open(path, framework="pt") as file:
        return "unet" in (file.metadata() or {})


def load(path: Path) -> UNet:
    """The network in a file that `save` wrote, in single precision and evaluation mode."""
    with safe_open(path, framework="pt") as file:
        network = UNet(UNetConfig(**json.loads(file.metadata()["unet"])))
        tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    network.load_state_dict(tensors)
    return network.eval()
