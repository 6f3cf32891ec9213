"""A SepFormer made of SpeechBrain's modules: configuration, initialisation, loss, and its files.

Subakan et al., "Attention is all you need in speech separation", 2021. Encoder and decoder are initialised as a
windowed cosine transform and its inverse and the masks near one half, so that before the first step every voice is
the mixture itself and no step is spent on learning a transform.
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
MODULES = ("encoder", "masknet", "decoder")

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
class SepformerConfig:
    """A SepFormer's dimensions. ``kernel`` in samples, half of it is the stride; ``chunk`` in strides.

    ``channels`` are the encoder's filters, at least two per sample of the kernel; ``width`` the transformers' channels,
    ``inner`` those of their feed-forward layers; ``blocks`` pairs of transformers within and across chunks, of
    ``layers`` layers each.
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


SIZES: Mapping[str, SepformerConfig] = MappingProxyType(
    {
        "tiny": SepformerConfig(channels=32, kernel=16, chunk=50, width=16, blocks=1, layers=1, heads=2, inner=32),
        "small": SepformerConfig(channels=160, kernel=64, chunk=64, width=64, blocks=2, layers=1, heads=4, inner=256),
        "medium": SepformerConfig(),
    }
)
"""``tiny`` is for trying out the recipe, ``small`` learns on a processor, ``medium`` (14 MB) wants a GPU."""


class Sepformer(nn.Module):
    """SpeechBrain's encoder, mask network and decoder, combined as in its inference class."""

    def __init__(self, config: SepformerConfig) -> None:
        super().__init__()
        modules: Mapping[str, Any] = load_hyperpyyaml(config.hyperparams())["modules"]
        self.config = config
        self.encoder, self.masknet, self.decoder = (modules[name] for name in MODULES)
        self._initialise()

    @torch.no_grad()
    def _initialise(self) -> None:
        """Set encoder and decoder to the cosine transform and its inverse, the masks to about one half."""
        basis = torch.from_numpy(cosine_basis(self.config.kernel))
        filters = torch.cat([basis, -basis])
        self.encoder.conv1d.weight[: len(filters), 0] = filters
        self.decoder.weight[:, 0] = 0.0
        self.decoder.weight[: len(filters), 0] = filters
        self.masknet.output[0].bias.fill_(1.0)
        mask_weight = self.masknet.end_conv1x1.weight
        mask_weight.mul_(0.3).add_(0.5 / (np.tanh(1.0) * 0.5 * mask_weight.shape[1]))

    def forward(self, mixtures: Tensor) -> Tensor:
        """``(batch, samples)`` to ``(batch, voices, samples)``."""
        encoded = self.encoder(mixtures)
        masks = self.masknet(encoded)
        voices = torch.stack([self.decoder(encoded * mask) for mask in masks], dim=1)
        length = mixtures.shape[1]
        missing = length - voices.shape[2]
        return nn.functional.pad(voices, (0, missing)) if missing > 0 else voices[..., :length]


def cosine_basis(kernel: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """The rows of a cosine transform of ``kernel`` samples under a sine window.

    Transformed and inverted, frames half a kernel apart add up to the signal.
    """
    n = np.arange(kernel)
    rows = np.cos(np.pi / kernel * (n[None] + 0.5) * n[:, None]) * np.sqrt(2 / kernel)
    rows[0] /= np.sqrt(2)
    return np.asarray(rows * np.sin(np.pi * (n + 0.5) / kernel), np.float32)


def si_sdr(estimate: Tensor, target: Tensor) -> Tensor:
    """SI-SDR in dB along the last axis: the differentiable, unclamped form of `meetsplit.scoring.separation.si_sdr`."""
    estimate, target = estimate.float(), target.float()
    scale = (estimate * target).sum(dim=-1, keepdim=True) / (target.square().sum(dim=-1, keepdim=True) + 1e-8)
    scaled = scale * target
    power = scaled.square().sum(dim=-1) + 1e-8
    distortion = (estimate - scaled).square().sum(dim=-1) + 1e-8
    return 10 * torch.log10(power / distortion)


def permutation_invariant_si_sdr(estimates: Tensor, targets: Tensor) -> Tensor:
    """`si_sdr` of each target ``(batch, voices)`` under the order of the estimates with the highest mean.

    Permutation-invariant training (PIT): Yu et al., 2017.
    """
    table = si_sdr(estimates[:, None], targets[:, :, None])
    voices = targets.shape[1]
    by_order = torch.stack(
        [
            torch.stack([table[:, target, order[target]] for target in range(voices)], 1)
            for order in itertools.permutations(range(voices))
        ],
        1,
    )
    best = by_order.mean(dim=2).argmax(dim=1)
    return by_order[torch.arange(len(by_order), device=by_order.device), best]


def save(folder: Path, model: Sepformer) -> None:
    """Write the folder that `--separator sepformer --separator-model FOLDER` reads. Raises `OutputError`."""
    write(folder / "hyperparams.yaml", model.config.hyperparams())
    for name in MODULES:
        weights = getattr(model, name).state_dict()
        weights = {key: tensor.detach().float().cpu().contiguous() for key, tensor in weights.items()}
        with replacing(folder / f"{name}.ckpt") as file:
            torch.save(weights, file)
