"""Sound masks: a small network that tells speech, music and noise apart in a spectrogram.

It hears log magnitudes in bands, single bins below 2 kHz and four at a time above, through two bidirectional GRUs, and
answers with three masks that sum to one in every band. Masks over recurrent layers are those of Open-Unmix (Stöter et
al., 2019) and RNNoise (Valin, 2018); this one is as small as the second and tells three kinds of sound apart.
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

FRAME = 1024
"""Samples in a short-time spectrum (64 ms at 16 kHz)."""

HOP = 256
"""Samples between spectra (16 ms)."""

KINDS = ("speech", "music", "noise")
"""What the masks are of, in order."""

LOG_OFFSET = 0.01
"""Added to magnitudes before the logarithm, for sound of RMS 1."""

_SINGLE_BINS = 128
"""Bins that are bands by themselves; above, `_GROUP` bins make a band."""

_GROUP = 4


@dataclass(frozen=True, slots=True)
class Config:
    """Size of the network: ``width`` of the first layer, ``hidden`` units of each GRU and direction, ``layers``."""

    width: int = 128
    hidden: int = 112
    layers: int = 2


def band_count(bins: int = FRAME // 2 + 1) -> int:
    """How many bands ``bins`` bins make."""
    return _SINGLE_BINS + -(-(bins - _SINGLE_BINS) // _GROUP)


def to_bands(magnitudes: Tensor) -> Tensor:
    """Mean magnitudes of each band: ``(batch, bins, frames)`` to ``(batch, bands, frames)``."""
    low, high = magnitudes[:, :_SINGLE_BINS], magnitudes[:, _SINGLE_BINS:]
    full = high.shape[1] // _GROUP * _GROUP
    grouped = high[:, :full].unflatten(1, (-1, _GROUP)).mean(dim=2)
    rest = [high[:, full:].mean(dim=1, keepdim=True)] if full < high.shape[1] else []
    return torch.cat([low, grouped, *rest], dim=1)


def to_bins(bands: Tensor, bins: int = FRAME // 2 + 1) -> Tensor:
    """A mask for each bin from one for each band, over the last dimension but one."""
    low, high = bands[..., :_SINGLE_BINS, :], bands[..., _SINGLE_BINS:, :]
    return torch.cat([low, high.repeat_interleave(_GROUP, dim=-2)[..., : bins - _SINGLE_BINS, :]], dim=-2)


class SoundMasks(nn.Module):
    """Masks of speech, music and noise for magnitudes of a sound of RMS 1."""

    def __init__(self, config: Config = Config()) -> None:
        super().__init__()
        self.config = config
        bands = band_count()
        self.in_proj = nn.Linear(bands, config.width)
        self.act = nn.PReLU()
        self.recurrent = nn.GRU(config.width, config.hidden, config.layers, batch_first=True, bidirectional=True)
        self.out_proj = nn.Linear(2 * config.hidden + config.width, len(KINDS) * bands)

    def forward(self, magnitudes: Tensor) -> Tensor:
        """``(batch, bins, frames)`` to masks ``(batch, kinds, bins, frames)``, in the order of `KINDS`."""
        features = to_bands(magnitudes).add(LOG_OFFSET).log().transpose(1, 2)
        first = self.act(self.in_proj(features))
        hidden, _ = self.recurrent(first)
        scores = self.out_proj(torch.cat([hidden, first], dim=2)).unflatten(2, (len(KINDS), -1))
        return to_bins(torch.softmax(scores, dim=2).permute(0, 2, 3, 1), magnitudes.shape[1])


def save(path: Path, network: SoundMasks) -> None:
    """Write the weights in half precision, with the network's size beside them."""
    tensors = {name: tensor.detach().cpu().half().contiguous() for name, tensor in network.state_dict().items()}
    temporary = path.with_suffix(f".{os.getpid()}.part")
    save_file(tensors, temporary, metadata={"shape": json.dumps(asdict(network.config))})
    temporary.chmod(0o644)  # the library writes for its owner alone
    os.replace(temporary, path)


def load(path: Path) -> SoundMasks:
    """The network in a file that `save` wrote, in single precision and evaluation mode."""
    with safe_open(path, framework="pt") as file:
        network = SoundMasks(Config(**json.loads(file.metadata()["shape"])))
        tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    network.load_state_dict(tensors)
    return network.eval()
