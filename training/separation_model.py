"""A SepFormer in SpeechBrain's own parts: its dimensions, how it begins, what it gets wrong, and how it is kept.

Subakan et al., "Attention is all you need in speech separation", 2021. It begins knowing that a mixture is a sum of cosines:
encoder and decoder start as a windowed cosine transform and its inverse, the masks near one half, so that before the first
step every voice is the mixture itself and each step counts.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from hyperpyyaml import load_hyperpyyaml
from torch import Tensor, nn

from meetsplit.pipeline.files import replacing, write

RATE = 16_000
PARTS = ("encoder", "masknet", "decoder")

HYPERPARAMS = """\
# SepFormer for SpeechBrain's SepformerSeparation.from_hparams; weights: encoder.ckpt, masknet.ckpt, decoder.ckpt
sample_rate: {rate}
num_spks: {voices}

Encoder: !new:speechbrain.lobes.models.dual_path.Encoder
    kernel_size: {kernel}
    out_channels: {channels}

SBtfintra: !new:speechbrain.lobes.models.dual_path.SBTransformerBlock
    num_layers: {layers}
    d_model: {width}
    nhead: {heads}
    d_ffn: {inner}
    dropout: 0
    use_positional_encoding: true
    norm_before: true

SBtfinter: !new:speechbrain.lobes.models.dual_path.SBTransformerBlock
    num_layers: {layers}
    d_model: {width}
    nhead: {heads}
    d_ffn: {inner}
    dropout: 0
    use_positional_encoding: true
    norm_before: true

MaskNet: !new:speechbrain.lobes.models.dual_path.Dual_Path_Model
    num_spks: !ref <num_spks>
    in_channels: {channels}
    out_channels: {width}
    num_layers: {blocks}
    K: {chunk}
    intra_model: !ref <SBtfintra>
    inter_model: !ref <SBtfinter>
    norm: ln
    linear_layer_after_inter_intra: false
    skip_around_intra: true

Decoder: !new:speechbrain.lobes.models.dual_path.Decoder
    in_channels: {channels}
    out_channels: 1
    kernel_size: {kernel}
    stride: {stride}
    bias: false

modules:
    encoder: !ref <Encoder>
    decoder: !ref <Decoder>
    masknet: !ref <MaskNet>

pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        encoder: !ref <Encoder>
        decoder: !ref <Decoder>
        masknet: !ref <MaskNet>
"""


@dataclass(frozen=True, slots=True)
class Shape:
    """A SepFormer's dimensions. ``kernel`` in samples, half of it is the stride; ``chunk`` in strides.

    ``channels`` are the encoder's filters, at least two per sample of the kernel; ``width`` the transformers' channels;
    ``blocks`` pairs of transformers within and across chunks, of ``layers`` layers each.
    """

    voices: int = 2
    channels: int = 128
    kernel: int = 16
    chunk: int = 250
    width: int = 128
    blocks: int = 2
    layers: int = 4
    heads: int = 8
    inner: int = 512

    def hyperparams(self) -> str:
        """The text of SpeechBrain's ``hyperparams.yaml``."""
        return HYPERPARAMS.format(rate=RATE, stride=self.kernel // 2, **asdict(self))


SIZES: Mapping[str, Shape] = MappingProxyType(
    {
        "tiny": Shape(channels=32, kernel=16, chunk=50, width=16, blocks=1, layers=1, heads=2, inner=32),
        "small": Shape(channels=160, kernel=64, chunk=64, width=64, blocks=2, layers=1, heads=4, inner=256),
        "medium": Shape(),
    }
)
"""``tiny`` is for trying out the recipe, ``small`` learns on a processor, ``medium`` (14 MB) wants a GPU."""


class Sepformer(nn.Module):
    """SpeechBrain's encoder, mask network and decoder, as its inference class puts them together."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        parts: Mapping[str, Any] = load_hyperpyyaml(shape.hyperparams())["modules"]
        self.shape = shape
        self.encoder, self.masknet, self.decoder = (parts[name] for name in PARTS)
        self._begin()

    @torch.no_grad()
    def _begin(self) -> None:
        """The transform, its inverse, and masks of about one half."""
        basis = torch.from_numpy(cosines(self.shape.kernel))
        count = 2 * len(basis)
        self.encoder.conv1d.weight[:count, 0] = torch.cat([basis, -basis])
        self.decoder.weight[:, 0] = 0.0
        self.decoder.weight[:count, 0] = torch.cat([basis, -basis])
        self.masknet.output[0].bias.fill_(1.0)
        last = self.masknet.end_conv1x1.weight
        last.mul_(0.3).add_(0.5 / (np.tanh(1.0) * 0.5 * last.shape[1]))

    def forward(self, mixtures: Tensor) -> Tensor:
        """``(batch, samples)`` to ``(batch, voices, samples)``."""
        heard = self.encoder(mixtures)
        masks = self.masknet(heard)
        voices = torch.stack([self.decoder(heard * mask) for mask in masks], dim=1)
        short = mixtures.shape[1] - voices.shape[2]
        return nn.functional.pad(voices, (0, short)) if short > 0 else voices[..., : mixtures.shape[1]]


def cosines(kernel: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """The rows of a cosine transform of ``kernel`` samples under a sine window: frames half a kernel apart add up again."""
    n = np.arange(kernel)
    rows = np.cos(np.pi / kernel * (n[None] + 0.5) * n[:, None]) * np.sqrt(2 / kernel)
    rows[0] /= np.sqrt(2)
    return np.asarray(rows * np.sin(np.pi * (n + 0.5) / kernel), np.float32)


def si_sdr(found: Tensor, truth: Tensor) -> Tensor:
    """Scale-invariant signal-to-distortion ratio in dB along the last axis: `scoring.separation.si_sdr`, to learn from (not clamped)."""
    found, truth = found.float(), truth.float()
    part = (found * truth).sum(dim=-1, keepdim=True) / (truth.square().sum(dim=-1, keepdim=True) + 1e-8) * truth
    return 10 * torch.log10((part.square().sum(dim=-1) + 1e-8) / ((found - part).square().sum(dim=-1) + 1e-8))


def best_order(found: Tensor, truth: Tensor) -> Tensor:
    """`si_sdr` of each true voice ``(batch, voices)`` under the order of the found ones whose mean is the greatest."""
    table = si_sdr(found[:, None], truth[:, :, None])
    count = truth.shape[1]
    orders = [
        torch.stack([table[:, voice, order[voice]] for voice in range(count)], 1)
        for order in itertools.permutations(range(count))
    ]
    every = torch.stack(orders, 1)
    chosen = every.mean(dim=2).argmax(dim=1)
    return every[torch.arange(len(every), device=every.device), chosen]


def kept(folder: Path, network: Sepformer) -> None:
    """Writes what `--separator sepformer --separator-model FOLDER` reads. Raises `OutputError`."""
    write(folder / "hyperparams.yaml", network.shape.hyperparams())
    for name in PARTS:
        weights = {
            key: tensor.detach().float().cpu().contiguous()
            for key, tensor in getattr(network, name).state_dict().items()
        }
        with replacing(folder / f"{name}.ckpt") as file:
            torch.save(weights, file)
