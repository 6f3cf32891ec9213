"""Time-domain separation (TasNet): learned filters, a network that masks their outputs for each voice, filters back.

The parts that Conv-TasNet and DPRNN share, in the architecture of asteroid (MIT licence; Pariente et al., "Asteroid:
the PyTorch-based audio source separation toolkit for researchers", 2020), with the same names, so that the weights of
its checkpoints fit one to one. Arrays of features have the shape ``(batch, features, frames)``, or with chunks
``(batch, features, chunk, chunks)``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from meetsplit.pipeline.data import Samples
from meetsplit.pipeline.errors import StageError, blame
from meetsplit.pipeline.models.asteroid_checkpoint import STAGE, Arguments, AsteroidCheckpoint, read_asteroid
from meetsplit.pipeline.separators.blind import BlindNetwork
from meetsplit.pipeline.settings import Settings

MAX_WIDTH = 4096
"""The most channels of a layer."""

MAX_NUMBERS = 20_000_000
"""The most numbers per second of sound that a layer may have: 20 s at once are 1.6 GB."""

_EPSILON = 1e-8
_FREE = ("free", "FreeFB")


class _Norm(nn.Module):
    """A normalization with a gain and a bias per channel; ``dims`` are the dimensions that it averages over."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def scaled(self, normalized: Tensor) -> Tensor:
        """The features with each channel's gain and bias."""
        return (self.gamma * normalized.transpose(1, -1) + self.beta).transpose(1, -1)

    def over(self, features: Tensor, dims: tuple[int, ...]) -> Tensor:
        """The features with mean 0 and variance 1 over ``dims``, then scaled."""
        mean = features.mean(dim=dims, keepdim=True)
        variance = torch.var(features, dim=dims, keepdim=True, unbiased=False)
        return self.scaled((features - mean) / torch.sqrt(variance + _EPSILON))


class GlobalNorm(_Norm):
    """Global layer normalization (gLN): over channels and time."""

    def forward(self, features: Tensor) -> Tensor:
        """The normalized features, of the same shape."""
        return self.over(features, tuple(range(1, features.ndim)))


class FeatureNorm(_Norm):
    """Feature-wise normalization (fgLN): over time, for each channel."""

    def forward(self, features: Tensor) -> Tensor:
        """The normalized features, of the same shape."""
        return self.over(features, tuple(range(2, features.ndim)))


class ChannelNorm(_Norm):
    """Channel-wise normalization (cLN): over channels, at each moment."""

    def forward(self, features: Tensor) -> Tensor:
        """The normalized features, of the same shape."""
        return self.over(features, (1,))


class CumulativeNorm(_Norm):
    """Cumulative normalization (cgLN): over channels and all earlier time."""

    def forward(self, features: Tensor) -> Tensor:
        """The normalized features, of the same shape ``(batch, channels, frames)``."""
        _, channels, frames = features.shape
        count = torch.arange(channels, channels * (frames + 1), channels, dtype=features.dtype, device=features.device)
        mean = torch.cumsum(features.sum(1, keepdim=True), dim=-1) / count
        square = torch.cumsum(features.pow(2).sum(1, keepdim=True), dim=-1) / count
        return self.scaled((features - mean) / (square - mean.pow(2) + _EPSILON).sqrt())


class BatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalization for features with and without chunks."""

    def _check_input_dim(self, _: Tensor) -> None:
        pass


class Swish(nn.Module):
    """The activation ``x · sigmoid(x)``."""

    def forward(self, features: Tensor) -> Tensor:
        """The activations, of the same shape."""
        return features * torch.sigmoid(features)


NORMS: Mapping[str, Callable[[int], nn.Module]] = MappingProxyType(
    {
        **dict.fromkeys(("gLN", "GlobLN"), GlobalNorm),
        **dict.fromkeys(("cLN", "ChanLN"), ChannelNorm),
        **dict.fromkeys(("cgLN", "CumLN"), CumulativeNorm),
        **dict.fromkeys(("fgLN", "FeatsGlobLN"), FeatureNorm),
        **dict.fromkeys(("bN", "BatchNorm"), BatchNorm),
    }
)
"""Normalizations by asteroid's names."""

ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = MappingProxyType(
    {
        "linear": nn.Identity,
        "relu": nn.ReLU,
        "prelu": nn.PReLU,
        "leaky_relu": nn.LeakyReLU,
        "sigmoid": nn.Sigmoid,
        "softmax": lambda: nn.Softmax(dim=1),
        "tanh": nn.Tanh,
        "gelu": nn.GELU,
        "swish": Swish,
    }
)
"""Activations by asteroid's names; softmax is over dimension 1."""


class Filterbank(nn.Module):
    """Learned filters of shape ``(filters, 1, length)``; of an encoder, or of a decoder."""

    def __init__(self, filters: int, length: int) -> None:
        super().__init__()
        self._filters = nn.Parameter(torch.zeros(filters, 1, length))


class Encoder(nn.Module):
    """Filters over the sound, ``stride`` samples apart: ``(batch, 1, samples)`` to ``(batch, filters, frames)``."""

    def __init__(self, filterbank: Filterbank, stride: int) -> None:
        super().__init__()
        self.filterbank, self.stride = filterbank, stride

    def forward(self, sound: Tensor) -> Tensor:
        """The outputs of the filters."""
        return functional.conv1d(sound, self.filterbank._filters, stride=self.stride)


class Decoder(nn.Module):
    """Filters added up to sound: ``(batch, filters, frames)`` to ``(batch, samples)``."""

    def __init__(self, filterbank: Filterbank, stride: int) -> None:
        super().__init__()
        self.filterbank, self.stride = filterbank, stride

    def forward(self, features: Tensor) -> Tensor:
        """The sound."""
        return functional.conv_transpose1d(features, self.filterbank._filters, stride=self.stride)[:, 0]


class TasNet(nn.Module):
    """Encoder, masker and decoder. ``masker`` maps features to masks of shape ``(batch, voices, filters, frames)``."""

    def __init__(self, encoder: Encoder, masker: nn.Module, decoder: Decoder, activation: str) -> None:
        super().__init__()
        self.encoder, self.masker, self.decoder = encoder, masker, decoder
        self.enc_activation = ACTIVATIONS[activation]()

    def forward(self, sound: Tensor) -> Tensor:
        """The voices of a mixture, ``(samples,)`` to ``(voices, samples)``."""
        features = self.enc_activation(self.encoder(sound[None, None]))
        voices: Tensor = self.decoder((self.masker(features) * features[:, None])[0])
        return functional.pad(voices, (0, len(sound) - voices.shape[-1]))


def masked(arguments: Arguments, make_masker: Callable[[int, int], nn.Module], *, filters: int) -> TasNet:
    """The network around a masker, ``make_masker(filters, voices)``; ``filters`` is how many a file means without word.

    Raises `StageError` for arguments that cannot be.
    """
    voices = arguments.number("n_src", None, least=2, most=8)
    arguments.word("fb_name", "free", _FREE)
    filters = arguments.number("n_filters", filters, most=MAX_WIDTH)
    length = arguments.number("kernel_size", 16, most=512)
    stride = arguments.number("stride", max(length // 2, 1), most=length)
    rate = sample_rate(arguments)
    for name in ("in_chan", "out_chan"):
        if arguments.number(name, filters, most=MAX_WIDTH) != filters:
            arguments.refuse(f"{name} is not n_filters, {filters}")
    activation = arguments.word("encoder_activation", "linear", ACTIVATIONS)
    masker = make_masker(filters, voices)
    arguments.check_known()
    widest = max(filters, *(max(weight.shape[:2]) for weight in masker.parameters() if weight.ndim > 1))
    if widest * voices * rate / stride > MAX_NUMBERS:
        arguments.refuse(f"{widest} channels for {rate // stride} frames a second do not fit into memory")
    encoder, decoder = Encoder(Filterbank(filters, length), stride), Decoder(Filterbank(filters, length), stride)
    return TasNet(encoder, masker, decoder, activation)


def sample_rate(arguments: Arguments) -> int:
    """The sample rate in Hz; asteroid's default for files that do not say it."""
    return arguments.number("sample_rate", 8_000, least=4_000, most=48_000)


def fill(network: torch.nn.Module, checkpoint: AsteroidCheckpoint) -> None:
    """Give a network that was built on torch's device ``meta`` its weights, every one of the shape that it expects.

    So a file never makes the network larger than the file itself. Raises `StageError` for weights that are missing, too
    many, or of other shapes.
    """
    expected, state = network.state_dict(), checkpoint.state
    absent, surplus = sorted(expected.keys() - state.keys()), sorted(state.keys() - expected.keys())
    other = next((key for key in expected if key in state and tuple(expected[key].shape) != state[key].shape), None)
    for problem, key in (("lacks", absent[:1]), ("has more than it should:", surplus[:1])):
        if key:
            raise StageError(STAGE, f"{checkpoint.path} {problem} {key[0][:60]} of a {checkpoint.model_name}'s weights")
    if other is not None:
        shapes = f"{list(state[other].shape)}, and its model_args say {list(expected[other].shape)}"
        raise StageError(STAGE, f"{checkpoint.path}: the weights of {other} have the shape {shapes}")
    tensors = {
        key: torch.from_numpy(np.ascontiguousarray(weight)).reshape(weight.shape).to(expected[key].dtype)
        for key, weight in state.items()
    }
    network.load_state_dict(tensors, assign=True)


def load_tasnet(
    path: Path, settings: Settings, device: str, *, model_name: str, build: Callable[[Arguments], TasNet], window: float
) -> BlindNetwork:
    """The network in an asteroid checkpoint, ready to separate. ``build`` makes it from the arguments.

    A folder of SpeechBrain's, which trains such networks too, is read as `load_network` does. Raises `MissingWeights`
    where there is neither, `StageError` for one of another network, or one whose arguments and weights do not go
    together.
    """
    if (path / "hyperparams.yaml").is_file():
        from meetsplit.pipeline.separators.speechbrain_network import load_network  # loads speechbrain

        return load_network(model_name, path, settings, device, window=window)
    with blame("separate", f"loading the {model_name} in {path}"):
        checkpoint = read_asteroid(path)
        if checkpoint.model_name != model_name:
            raise StageError("separate", f"{checkpoint.path} holds {_described(checkpoint, model_name)}")
        with torch.device("meta"):
            network = build(checkpoint.arguments)
        fill(network, checkpoint)
        network = network.eval().to(device)

    def separate(mixture: Samples) -> Samples:
        with torch.inference_mode():
            voices: Samples = network(torch.tensor(mixture, device=device)).cpu().numpy()
        return voices

    voices = checkpoint.arguments.number("n_src", None, most=8)
    return BlindNetwork(model_name, checkpoint.path, voices, sample_rate(checkpoint.arguments), window, separate)


_SEPARATORS = MappingProxyType({"ConvTasNet": "convtasnet", "DPRNNTasNet": "dprnn"})
"""Separators by the networks of asteroid's that they read."""


def _described(checkpoint: AsteroidCheckpoint, expected: str) -> str:
    """What the checkpoint of another network than ``expected`` is, and what reads it."""
    name = checkpoint.model_name[:60]
    if name in _SEPARATORS:
        return f"a {name}: use --separator {_SEPARATORS[name]}"
    return f"a {name!r}, not a {expected}; of asteroid's networks, {' and '.join(_SEPARATORS)} can be read"
