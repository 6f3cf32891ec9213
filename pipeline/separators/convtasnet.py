"""Conv-TasNet: blind separation by a temporal convolutional network over learned filters.

Luo and Mesgarani, "Conv-TasNet: surpassing ideal time-frequency magnitude masking for speech separation", 2019; in the
architecture of asteroid's checkpoints (`tasnet`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from meetsplit.pipeline.models.asteroid_checkpoint import Arguments
from meetsplit.pipeline.separators.blind import NetworkSeparator
from meetsplit.pipeline.separators.tasnet import (
    ACTIVATIONS,
    MAX_WIDTH,
    NORMS,
    ChannelNorm,
    CumulativeNorm,
    TasNet,
    load_tasnet,
    masked,
)
from meetsplit.pipeline.settings import Settings

WINDOW = 20.0
"""Seconds separated at once."""

_MAX_REACH = 65_536
"""Frames that the widest convolution may span."""


class ConvTasNetSeparator(NetworkSeparator):
    """One Conv-TasNet per number of voices, read from asteroid's files."""

    @classmethod
    def load(cls, settings: Settings, weights: Mapping[str, Path], device: str) -> ConvTasNetSeparator:
        """Each of the weights is a file of asteroid's, or a folder of a hub repository. Raises as `load_tasnet`."""
        return cls.over(
            weights,
            lambda path: load_tasnet(path, settings, device, model_name="ConvTasNet", build=build, window=WINDOW),
        )


@dataclass(frozen=True, slots=True)
class _Block:
    """The dimensions of a `ConvBlock`; ``skip`` is 0 where there is no skip connection."""

    channels: int
    hidden: int
    skip: int
    kernel: int
    norm: str
    is_causal: bool


class _Chop(nn.Module):
    """Drops the last frames, which a causal convolution's padding added."""

    def __init__(self, frames: int) -> None:
        super().__init__()
        self._frames = frames

    def forward(self, features: Tensor) -> Tensor:
        """The features without their last frames."""
        return features[..., : -self._frames] if self._frames else features


class ConvBlock(nn.Module):
    """Depthwise dilated convolution between two pointwise ones, with a residual and a skip output."""

    def __init__(self, shape: _Block, dilation: int) -> None:
        super().__init__()
        reach = (shape.kernel - 1) * dilation
        depthwise: nn.Module = nn.Conv1d(
            shape.hidden,
            shape.hidden,
            shape.kernel,
            padding=reach if shape.is_causal else reach // 2,
            dilation=dilation,
            groups=shape.hidden,
        )
        if shape.is_causal:
            depthwise = nn.Sequential(depthwise, _Chop(reach))
        self.shared_block = nn.Sequential(
            nn.Conv1d(shape.channels, shape.hidden, 1),
            nn.PReLU(),
            NORMS[shape.norm](shape.hidden),
            depthwise,
            nn.PReLU(),
            NORMS[shape.norm](shape.hidden),
        )
        self.res_conv = nn.Conv1d(shape.hidden, shape.channels, 1)
        self.skip_conv = nn.Conv1d(shape.hidden, shape.skip, 1) if shape.skip else None

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor | None]:
        """The residual, and what skips the rest of the network."""
        shared = self.shared_block(features)
        return self.res_conv(shared), None if self.skip_conv is None else self.skip_conv(shared)


class TemporalConvNet(nn.Module):
    """Repeats of blocks with dilations 1, 2, 4 …, and a mask per voice."""

    def __init__(self, filters: int, voices: int, shape: _Block, blocks: int, repeats: int, activation: str) -> None:
        super().__init__()
        self._voices = voices
        self.bottleneck = nn.Sequential(NORMS[shape.norm](filters), nn.Conv1d(filters, shape.channels, 1))
        self.TCN = nn.ModuleList(ConvBlock(shape, 2**block) for _ in range(repeats) for block in range(blocks))
        self.mask_net = nn.Sequential(nn.PReLU(), nn.Conv1d(shape.skip or shape.channels, voices * filters, 1))
        self.output_act = ACTIVATIONS[activation]()

    def forward(self, features: Tensor) -> Tensor:
        """The masks, ``(batch, voices, filters, frames)``."""
        output, skipped = self.bottleneck(features), None
        for block in self.TCN:
            residual, skip = block(output)
            output = output + residual
            if skip is not None:
                skipped = skip if skipped is None else skipped + skip
        scores = self.mask_net(output if skipped is None else skipped)
        masks: Tensor = self.output_act(scores.unflatten(1, (self._voices, -1)))
        return masks


def build(arguments: Arguments) -> TasNet:
    """asteroid's ``ConvTasNet`` with these arguments; raises `StageError` for some that cannot be."""
    is_causal = arguments.flag("causal", default=False)
    norm = arguments.word("norm_type", "gLN", NORMS)
    if is_causal and NORMS[norm] not in (CumulativeNorm, ChannelNorm):
        norm = "cLN"
    shape = _Block(
        channels=arguments.number("bn_chan", 128, most=MAX_WIDTH),
        hidden=arguments.number("hid_chan", 512, most=MAX_WIDTH),
        skip=0 if arguments.is_none("skip_chan") else arguments.number("skip_chan", 128, least=0, most=MAX_WIDTH),
        kernel=arguments.number("conv_kernel_size", 3, most=63),
        norm=norm,
        is_causal=is_causal,
    )
    blocks = arguments.number("n_blocks", 8, most=16)
    repeats = arguments.number("n_repeats", 3, most=16)
    if (shape.kernel - 1) * 2 ** (blocks - 1) > _MAX_REACH:
        arguments.refuse(f"{blocks} blocks with kernels of {shape.kernel} span more than {_MAX_REACH} frames")
    activation = arguments.word("mask_act", "sigmoid", ACTIVATIONS)

    def make_masker(filters: int, voices: int) -> nn.Module:
        return TemporalConvNet(filters, voices, shape, blocks, repeats, activation)

    return masked(arguments, make_masker, filters=512)
