"""DPRNN-TasNet: blind separation by a dual-path recurrent network over learned filters.

Luo, Chen and Yoshioka, "Dual-path RNN: efficient long sequence modeling for time-domain single-channel speech
separation", 2020; in the architecture of asteroid's checkpoints (`tasnet`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from meetsplit.pipeline.models.asteroid_checkpoint import Arguments
from meetsplit.pipeline.separators.blind import NetworkSeparator
from meetsplit.pipeline.separators.tasnet import (
    ACTIVATIONS,
    MAX_WIDTH,
    NORMS,
    CumulativeNorm,
    TasNet,
    load_tasnet,
    masked,
)
from meetsplit.pipeline.settings import Settings

WINDOW = 10.0
"""Seconds separated at once: filters of two samples make 8000 frames a second."""

_KINDS: Mapping[str, Callable[..., nn.RNNBase]] = {"LSTM": nn.LSTM, "GRU": nn.GRU, "RNN": nn.RNN}


class DprnnSeparator(NetworkSeparator):
    """One DPRNN per number of voices, read from asteroid's files."""

    @classmethod
    def load(cls, settings: Settings, weights: Mapping[str, Path], device: str) -> DprnnSeparator:
        """Each of the weights is a file of asteroid's, or a folder of a hub repository. Raises as `load_tasnet`."""
        return cls.over(
            weights,
            lambda path: load_tasnet(path, settings, device, model_name="DPRNNTasNet", build=build, window=WINDOW),
        )


@dataclass(frozen=True, slots=True)
class _Path:
    """The dimensions of a recurrent layer over ``channels``; ``has_product`` for two whose outputs are multiplied."""

    channels: int
    hidden: int
    kind: str
    layers: int
    norm: str
    has_product: bool


class SingleRnn(nn.Module):
    """A recurrent layer over sequences of shape ``(batch, steps, channels)``."""

    def __init__(self, shape: _Path, *, bidirectional: bool) -> None:
        super().__init__()
        self.rnn = _rnn(shape, bidirectional=bidirectional)
        self.width = shape.hidden * (2 if bidirectional else 1)

    def forward(self, steps: Tensor) -> Tensor:
        """The outputs of the last layer."""
        outputs: Tensor = self.rnn(steps)[0]
        return outputs


class ProductRnn(nn.Module):
    """Two recurrent layers whose outputs are multiplied, beside their input (Nachmani et al., 2020)."""

    def __init__(self, shape: _Path, *, bidirectional: bool) -> None:
        super().__init__()
        self.rnn1 = _rnn(shape, bidirectional=bidirectional)
        self.rnn2 = _rnn(shape, bidirectional=bidirectional)
        self.width = shape.hidden * (2 if bidirectional else 1) + shape.channels

    def forward(self, steps: Tensor) -> Tensor:
        """The product of both outputs, and the input."""
        return torch.cat((self.rnn1(steps)[0] * self.rnn2(steps)[0], steps), 2)


def _rnn(shape: _Path, *, bidirectional: bool) -> nn.RNNBase:
    kind = _KINDS[shape.kind]
    return kind(shape.channels, shape.hidden, num_layers=shape.layers, batch_first=True, bidirectional=bidirectional)


class DualPathBlock(nn.Module):
    """A recurrent layer within each chunk, then one across the chunks, both with residual connections."""

    def __init__(self, shape: _Path, *, bidirectional: bool) -> None:
        super().__init__()
        kind = ProductRnn if shape.has_product else SingleRnn
        self.intra_RNN = kind(shape, bidirectional=True)
        self.inter_RNN = kind(shape, bidirectional=bidirectional)
        self.intra_linear = nn.Linear(self.intra_RNN.width, shape.channels)
        self.intra_norm = NORMS[shape.norm](shape.channels)
        self.inter_linear = nn.Linear(self.inter_RNN.width, shape.channels)
        self.inter_norm = NORMS[shape.norm](shape.channels)

    def forward(self, features: Tensor) -> Tensor:
        """The features of shape ``(batch, channels, chunk, chunks)``, of the same shape."""
        batch, channels, chunk, chunks = features.shape
        within = features.permute(0, 3, 2, 1).reshape(batch * chunks, chunk, channels)
        within = self.intra_linear(self.intra_RNN(within)).reshape(batch, chunks, chunk, channels)
        features = features + self.intra_norm(within.permute(0, 3, 2, 1))
        across = features.permute(0, 2, 3, 1).reshape(batch * chunk, chunks, channels)
        across = self.inter_linear(self.inter_RNN(across)).reshape(batch, chunk, chunks, channels)
        result: Tensor = features + self.inter_norm(across.permute(0, 3, 1, 2).contiguous())
        return result


@dataclass(frozen=True, slots=True)
class _Network:
    """The dimensions of a `DualPathRnn`: ``chunk`` and ``hop`` in frames, ``blocks`` of ``path``'s dimensions."""

    path: _Path
    chunk: int
    hop: int
    blocks: int
    bidirectional: bool
    activation: str


class DualPathRnn(nn.Module):
    """Frames cut into overlapping chunks, dual-path blocks over them, and a mask per voice."""

    def __init__(self, filters: int, voices: int, shape: _Network) -> None:
        super().__init__()
        channels = shape.path.channels
        self._voices, self._filters, self._chunk, self._hop = voices, filters, shape.chunk, shape.hop
        self.bottleneck = nn.Sequential(NORMS[shape.path.norm](filters), nn.Conv1d(filters, channels, 1))
        blocks = (DualPathBlock(shape.path, bidirectional=shape.bidirectional) for _ in range(shape.blocks))
        self.net = nn.Sequential(*blocks)
        self.first_out = nn.Sequential(nn.PReLU(), nn.Conv2d(channels, voices * channels, 1))
        self.net_out = nn.Sequential(nn.Conv1d(channels, channels, 1), nn.Tanh())
        self.net_gate = nn.Sequential(nn.Conv1d(channels, channels, 1), nn.Sigmoid())
        self.mask_net = nn.Conv1d(channels, filters, 1, bias=False)
        self.output_act = ACTIVATIONS[shape.activation]()

    def forward(self, features: Tensor) -> Tensor:
        """The masks, ``(batch, voices, filters, frames)``."""
        batch, _, frames = features.shape
        output = self.bottleneck(features)
        channels = output.shape[1]
        cut = {"kernel_size": (self._chunk, 1), "padding": (self._chunk, 0), "stride": (self._hop, 1)}
        chunks = functional.unfold(output[..., None], **cut).reshape(batch, channels, self._chunk, -1)
        masks = self.first_out(self.net(chunks)).reshape(batch * self._voices, channels * self._chunk, -1)
        joined = functional.fold(masks, (frames, 1), **cut)[..., 0]
        # As in asteroid, softmax is over the filters here and over the voices in Conv-TasNet.
        scores = self.output_act(self.mask_net(self.net_out(joined) * self.net_gate(joined)))
        voices: Tensor = scores.reshape(batch, self._voices, self._filters, frames)
        return voices


def build(arguments: Arguments) -> TasNet:
    """asteroid's ``DPRNNTasNet`` with these arguments; raises `StageError` for some that cannot be."""
    norms = [name for name, norm in NORMS.items() if norm is not CumulativeNorm]
    path = _Path(
        channels=arguments.number("bn_chan", 128, most=MAX_WIDTH),
        hidden=arguments.number("hid_size", 128, most=MAX_WIDTH),
        kind=arguments.word("rnn_type", "LSTM", _KINDS),
        layers=arguments.number("num_layers", 1, most=8),
        norm=arguments.word("norm_type", "gLN", norms),
        has_product=arguments.flag("use_mulcat", default=False),
    )
    chunk = arguments.number("chunk_size", 100, most=2000)
    shape = _Network(
        path=path,
        chunk=chunk,
        hop=arguments.number("hop_size", max(chunk // 2, 1), least=-(-chunk // 4), most=chunk),
        blocks=arguments.number("n_repeats", 6, most=32),
        bidirectional=arguments.flag("bidirectional", default=True),
        activation=arguments.word("mask_act", "sigmoid", ACTIVATIONS),
    )
    arguments.ignore("dropout")
    return masked(arguments, lambda filters, voices: DualPathRnn(filters, voices, shape), filters=64)
