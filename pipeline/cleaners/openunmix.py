"""Open-Unmix: voices out of music (umxhq, umxl) or noise (umxse) by bidirectional LSTMs.

Stöter, Uhlich, Liutkus, Mitsufuji, "Open-Unmix: a reference implementation for music source separation", 2019. The
network is theirs, tensor by tensor, so that their checkpoints are read as they are; of their filters, the first step is
taken: magnitudes of the voices with the phases of the mixture (``niter=0``). Checkpoints are read as data
(`models.checkpoints`), and their sizes say what they are for.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from meetsplit.pipeline.data import Audio, Samples
from meetsplit.pipeline.errors import StageError
from meetsplit.pipeline.models.checkpoints import read_checkpoint
from meetsplit.pipeline.settings import Settings

_LAYOUTS = {
    2049: (44_100, 4096, 1024, "music"),
    513: (16_000, 1024, 512, "noise"),
}
"""By the number of bins: sample rate, samples in a spectrum, samples between spectra, what goes."""

_MOST_HIDDEN = 4096
_MOST_LAYERS = 8


class OpenUnmix(nn.Module):
    """Magnitudes of voices from those of a mixture; names of tensors are those of the package openunmix (1.3)."""

    def __init__(self, *, bins: int, heard_bins: int, channels: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.bins, self.heard_bins, self.channels, self.hidden = bins, heard_bins, channels, hidden
        self.fc1 = nn.Linear(heard_bins * channels, hidden, bias=False)
        self.bn1 = nn.BatchNorm1d(hidden)
        self.lstm = nn.LSTM(hidden, hidden // 2, num_layers=layers, bidirectional=True)
        self.fc2 = nn.Linear(2 * hidden, hidden, bias=False)
        self.bn2 = nn.BatchNorm1d(hidden)
        self.fc3 = nn.Linear(hidden, bins * channels, bias=False)
        self.bn3 = nn.BatchNorm1d(bins * channels)
        self.input_mean = nn.Parameter(torch.zeros(heard_bins))
        self.input_scale = nn.Parameter(torch.ones(heard_bins))
        self.output_scale = nn.Parameter(torch.ones(bins))
        self.output_mean = nn.Parameter(torch.ones(bins))

    def forward(self, magnitudes: Tensor) -> Tensor:
        """``(channels, bins, frames)`` to the same shape."""
        mixture = magnitudes.permute(2, 0, 1)
        frames = mixture.shape[0]
        heard = (mixture[..., : self.heard_bins] + self.input_mean) * self.input_scale
        first = torch.tanh(self.bn1(self.fc1(heard.reshape(frames, -1)))).unsqueeze(1)
        recurrent, _ = self.lstm(first)
        joined = torch.cat([first, recurrent], dim=2).squeeze(1)
        gains = self.bn3(self.fc3(torch.relu(self.bn2(self.fc2(joined)))))
        gains = gains.reshape(frames, self.channels, self.bins) * self.output_scale + self.output_mean
        return (torch.relu(gains) * mixture).permute(1, 2, 0)


class OpenUnmixCleaner:
    """A `Cleaner` of music, or of noise, as its checkpoint was trained."""

    def __init__(self, network: OpenUnmix, device: str = "cpu") -> None:
        self.rate, self._frame, self._hop, kind = _LAYOUTS[network.bins]
        self.removes: frozenset[str] = frozenset({kind})
        self._network, self._device = network.to(device).eval(), device

    @classmethod
    def load(cls, settings: Settings, weights: Mapping[str, Path], device: str) -> OpenUnmixCleaner:
        """The checkpoint ``weights["model"]``.

        Raises `StageError` for a file that is no Open-Unmix, or one that takes out something else than asked for.
        """
        cleaner = cls(load_network(weights["model"]), device)
        kind = "".join(cleaner.removes)
        if settings.clean not in ("off", kind):
            raise StageError(
                "clean", f"{weights['model']} takes out {kind}, and --clean {settings.clean} asks for something else"
            )
        return cleaner

    @torch.inference_mode()
    def clean(self, audio: Audio, kinds: Collection[str]) -> Audio:
        """The voices in the audio, which every channel of the network gets alike."""
        if audio.rate != self.rate:
            raise ValueError(f"this Open-Unmix hears at {self.rate} Hz, not {audio.rate} Hz")
        if not set(kinds) & self.removes or not np.any(audio.samples):
            return audio
        length = len(audio.samples)
        padded = np.pad(audio.samples, (0, max(self._frame - length, 0)))  # it reflects half a spectrum at each edge
        return audio.replaced(self._voices(padded)[:length])

    def _voices(self, samples: Samples) -> Samples:
        wave = torch.tensor(samples, device=self._device).expand(self._network.channels, -1)
        window = torch.hann_window(self._frame, device=self._device)
        spectra = torch.stft(wave, self._frame, self._hop, window=window, pad_mode="reflect", return_complex=True)
        magnitudes = spectra.abs()
        gains = self._network(magnitudes) / magnitudes.clamp_min(1e-10)
        voices = torch.istft(spectra * gains, self._frame, self._hop, window=window, length=len(samples))
        return np.asarray(voices.mean(dim=0).cpu().numpy(), np.float32)


def load_network(path: Path) -> OpenUnmix:
    """The network in a checkpoint of Open-Unmix's. Raises `StageError` for a file that holds none."""
    try:
        tensors = {name: value for name, value in read_checkpoint(path).items() if isinstance(value, np.ndarray)}
    except (pickle.UnpicklingError, EOFError, zipfile.BadZipFile, OSError) as error:
        raise StageError("clean", f"{path} is no checkpoint of Open-Unmix: {error}") from error
    try:
        network = OpenUnmix(**_sizes(tensors))
        own = {name: torch.tensor(np.ascontiguousarray(tensors[name])) for name in network.state_dict()}
        network.load_state_dict(own)
    except (KeyError, IndexError, ValueError, RuntimeError, TypeError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise StageError("clean", f"{path} is no checkpoint of Open-Unmix: {reason}") from error
    if not all(bool(torch.isfinite(tensor).all()) for tensor in own.values()):
        raise StageError("clean", f"{path} holds numbers that are not finite")
    return network


def _sizes(tensors: Mapping[str, Any]) -> dict[str, int]:
    """The sizes of the network, which the shapes of its tensors say. Raises `ValueError` for impossible ones."""
    bins, heard_bins = len(tensors["output_mean"]), len(tensors["input_mean"])
    hidden = len(tensors["fc1.weight"])
    channels = len(tensors["bn3.weight"]) // max(bins, 1)
    layers = sum(name.startswith("lstm.weight_ih_l") and not name.endswith("_reverse") for name in tensors)
    if bins not in _LAYOUTS:
        raise ValueError(f"its spectra have {bins} bins; known are {' and '.join(map(str, sorted(_LAYOUTS)))}")
    if not (1 <= channels <= 2 and 1 <= heard_bins <= bins and 2 <= hidden <= _MOST_HIDDEN and layers <= _MOST_LAYERS):
        raise ValueError("its sizes are none of an Open-Unmix")
    if "lstm.weight_ih_l0_reverse" not in tensors:
        raise ValueError("it is one-directional, for live sound")
    return {"bins": bins, "heard_bins": heard_bins, "channels": channels, "hidden": hidden, "layers": layers}
