"""GE2E speaker embeddings of 256 numbers: a three-layer LSTM over mel frames, in torch alone.

Wan, Wang, Papir, Moreno (2018), Generalized end-to-end loss for speaker verification; the weights and the arithmetic
are those of Resemblyzer 0.1.4 (Apache-2.0), whose output on the same samples this one equals to 1e-5
(`tests/test_ge2e.py`). Its voice activity detection is left out, because it needs a compiler: clips come from a
diarizer and hold speech.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
import torchaudio
from safetensors.torch import load_file
from torch import nn

from meetsplit.pipeline.data import Audio, Samples, rms
from meetsplit.pipeline.errors import blame
from meetsplit.pipeline.settings import Settings

RATE = 16000
"""Hz at which the encoder was trained."""
HOP = 160
"""Samples between two mel frames: 10 ms."""
PARTIAL_FRAMES = 160
"""Mel frames of a partial, which the encoder reads at once: 1.6 s."""
DIMENSION = 256
"""Numbers in an embedding."""

_WINDOW = 400
"""Samples in the window of a mel frame: 25 ms."""
_BLOCK_FRAMES = 6000
"""Mel frames computed at once: a minute."""
_MELS = 40
"""Mel bands."""
_TARGET_RMS = 10.0 ** (-30.0 / 20.0)
"""Root mean square to which quieter clips are raised, as in the encoder's training: -30 dBFS."""
_MIN_SECONDS = 0.3
"""Seconds below which a clip is not embedded."""
_SILENCE_RMS = 1e-5
"""Root mean square below which a clip is silence: -100 dBFS."""
_PARTIAL_STRIDE = 77
"""Mel frames between two partials of one utterance: 1.3 a second."""


class Encoder(nn.Module):
    """Mel frames ``(batch, frames, 40)`` to unit vectors ``(batch, 256)``; weights named as in the original."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(_MELS, DIMENSION, num_layers=3, batch_first=True)
        self.linear = nn.Linear(DIMENSION, DIMENSION)

    def forward(self, mels: torch.Tensor) -> torch.Tensor:
        """The last layer's last state through a linear layer and ReLU, at unit length."""
        _, (hidden, _) = self.lstm(mels)
        return nn.functional.normalize(torch.relu(self.linear(hidden[-1])), dim=1)


def mel_frames(
    samples: torch.Tensor | Samples, first: int = 0, last: int | None = None, gain: float = 1.0
) -> torch.Tensor:
    """Power of 40 mel bands every 10 ms, shape ``(frames, 40)``: not logarithmic, windows of 25 ms, zeros around.

    There are ``1 + n // 160`` frames; only those from ``first`` to ``last`` are made, of samples times ``gain``. The
    filters are Slaney's, librosa's default. Works a minute at a time.
    """
    device = samples.device if isinstance(samples, torch.Tensor) else torch.device("cpu")
    window, filters = torch.hann_window(_WINDOW, device=device), _mel_filters().to(device)
    count = 1 + len(samples) // HOP
    stop = count if last is None else min(last, count)
    edges = [*range(first, stop, _BLOCK_FRAMES), stop]
    blocks = []
    for begin, end in itertools.pairwise(edges):
        first_sample, last_sample = begin * HOP - _WINDOW // 2, (end - 1) * HOP + _WINDOW // 2
        part = samples[max(first_sample, 0) : last_sample]
        part = part if isinstance(part, torch.Tensor) else torch.from_numpy(np.array(part))
        before, after = max(-first_sample, 0), last_sample - max(first_sample, 0) - len(part)
        padded = nn.functional.pad(part * float(gain), (before, after))
        spectrum = torch.stft(padded, _WINDOW, HOP, window=window, center=False, return_complex=True)
        blocks.append(spectrum.abs().square().T @ filters)
    return torch.cat(blocks) if blocks else torch.zeros((0, _MELS), device=device)


def _mel_filters() -> torch.Tensor:
    """Slaney's triangular filters: ``(201, 40)``."""
    filters: torch.Tensor = torchaudio.functional.melscale_fbanks(
        _WINDOW // 2 + 1, 0.0, RATE / 2, _MELS, RATE, norm="slaney", mel_scale="slaney"
    )
    return filters


def partial_starts(samples: int, coverage: float = 0.75) -> list[int]:
    """First mel frames of the partials of an utterance: a last one counts when at least ``coverage`` of it is sound.

    >>> partial_starts(16000), partial_starts(4 * 16000)
    ([0], [0, 77, 154, 231])
    """
    frames = -(-(samples + 1) // HOP)
    starts = list(range(0, max(1, frames - PARTIAL_FRAMES + _PARTIAL_STRIDE + 1), _PARTIAL_STRIDE))
    covered = (samples - starts[-1] * HOP) / (PARTIAL_FRAMES * HOP)
    if covered < coverage and len(starts) > 1:
        starts.pop()
    return starts


class GE2EEmbedder:
    """The encoder as an `Embedder`: one unit-length row of 256 numbers per clip."""

    def __init__(self, encoder: Encoder, device: str) -> None:
        self.rate = RATE
        self.device = device
        self._encoder = encoder.to(device).eval()

    @classmethod
    def load(cls, settings: Settings, weights: Mapping[str, Path], device: str) -> Self:
        """From ``weights["embedder"]``, a safetensors file. Raises `StageError` for a file that is none."""
        return cls(load_encoder(weights["embedder"], "match"), device)

    def embed(self, clips: Sequence[Audio]) -> npt.NDArray[np.float32]:
        """One row per clip; a clip below 0.3 s or -100 dBFS is a row of NaN. Raises ValueError at another rate."""
        rows = np.full((len(clips), DIMENSION), np.nan, np.float32)
        for row, clip in enumerate(clips):
            if clip.rate != self.rate:
                raise ValueError(f"the voice encoder hears {self.rate} Hz, not {clip.rate}")
            if clip.duration >= _MIN_SECONDS and rms(clip.samples) > _SILENCE_RMS:
                rows[row] = self.embed_utterance(normalize_volume(clip.samples))
        return rows

    def embed_utterance(self, samples: Samples) -> npt.NDArray[np.float32]:
        """The mean over partials of 1.6 s, at unit length; equal to Resemblyzer's function of that name."""
        starts = partial_starts(len(samples))
        length = (starts[-1] + PARTIAL_FRAMES) * HOP
        padded = torch.from_numpy(np.pad(samples, (0, max(0, length - len(samples))))).to(self.device)
        frames = mel_frames(padded)
        partials = torch.stack([frames[start : start + PARTIAL_FRAMES] for start in starts])
        mean = self.encode(partials).mean(axis=0)
        return np.asarray(mean / np.linalg.norm(mean), np.float32)

    def encode(self, mels: torch.Tensor, batch: int = 256) -> npt.NDArray[np.float32]:
        """One unit row per partial, ``(n, frames, 40)`` to ``(n, 256)``, in batches."""
        with torch.inference_mode():
            rows = [self._encoder(mels[at : at + batch].to(self.device)).cpu() for at in range(0, len(mels), batch)]
        return np.asarray(torch.cat(rows).numpy(), np.float32) if rows else np.zeros((0, DIMENSION), np.float32)


def load_encoder(path: Path, stage: str) -> Encoder:
    """The encoder with the weights at ``path``. Raises `StageError` where they are not the encoder's."""
    encoder = Encoder()
    with blame(stage, f"reading the voice encoder {path}"):
        tensors = load_file(path)
        encoder.load_state_dict({name: tensors[name] for name in encoder.state_dict()})
    return encoder


def normalize_volume(samples: Samples) -> Samples:
    """The samples at -30 dBFS or louder: only quiet clips change, as in the encoder's training."""
    level = rms(samples)
    return samples if level >= _TARGET_RMS else np.asarray(samples * np.float32(_TARGET_RMS / level), np.float32)
