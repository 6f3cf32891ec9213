"""Voice activity by silero-vad: how likely there is speech in each 32 ms, whoever speaks; in torch alone.

Silero Team (2021), Silero VAD: pre-trained enterprise-grade voice activity detector; the 16 kHz weights and the
arithmetic are those of silero-vad 6.2.3 (MIT), whose probabilities these equal to 1e-4 (`tests/test_silero_vad.py`).
Each chunk is read with the last 4 ms of the chunk before, and an LSTM remembers the recording up to it.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file
from torch import nn

from meetsplit.pipeline.audio.memmap import release_pages
from meetsplit.pipeline.data import Samples
from meetsplit.pipeline.errors import blame

RATE = 16000
"""Hz at which the network was trained."""
CHUNK = 512
"""Samples of which there is one probability: 32 ms."""

_CONTEXT = 64
"""Samples before a chunk that are read with it; as many are mirrored behind it."""
_WINDOW, _HOP, _BINS = 256, 128, 129
"""Samples of a window of the spectrum and between two, and its frequencies."""
_BLOCK_CHUNKS = 1024
"""Chunks computed at once: half a minute."""

State = tuple[torch.Tensor, torch.Tensor]


class SileroVad(nn.Module):
    """Chunks with their context ``(chunks, 576)`` to probabilities ``(chunks,)``; weights named as in the original."""

    def __init__(self) -> None:
        super().__init__()
        self.stft_conv = nn.Conv1d(1, 2 * _BINS, _WINDOW, stride=_HOP, bias=False)
        self.conv1 = nn.Conv1d(_BINS, 128, 3, padding=1)
        self.conv2 = nn.Conv1d(128, 64, 3, stride=2, padding=1)
        self.conv3 = nn.Conv1d(64, 64, 3, stride=2, padding=1)
        self.conv4 = nn.Conv1d(64, 128, 3, padding=1)
        self.lstm_cell = nn.LSTMCell(128, 128)
        self.final_conv = nn.Conv1d(128, 1, 1)

    def forward(self, chunks: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        """The probabilities, and the state after the last chunk, with which the next block goes on."""
        mirrored = nn.functional.pad(chunks[:, None], (0, _CONTEXT), "reflect")
        spectrum = self.stft_conv(mirrored)
        values = torch.hypot(spectrum[:, :_BINS], spectrum[:, _BINS:])
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            values = torch.relu(layer(values))
        hidden = []
        for row in values.squeeze(-1)[:, None]:
            state = cast(State, self.lstm_cell(row, state))
            hidden.append(state[0])
        rows = torch.relu(torch.cat(hidden))[..., None]
        return torch.sigmoid(self.final_conv(rows))[:, 0, 0], state


def load_silero_vad(path: Path) -> SileroVad:
    """The network in a safetensors file of `weights.fetch`. Raises `StageError` for another one."""
    network = SileroVad()
    with blame("diarize", f"loading {path}"):
        network.load_state_dict(load_file(path))
    return network.eval()


@torch.inference_mode()
def speech_probabilities(network: SileroVad, samples: Samples, gain: float = 1.0) -> npt.NDArray[np.float32]:
    """How likely there is speech in each `CHUNK` of the samples at 16 kHz, times ``gain``: ``(chunks,)``.

    The last chunk is filled up with zeros. Samples are read in blocks: memory does not grow with the recording.
    """
    block = _BLOCK_CHUNKS * CHUNK
    probabilities: list[npt.NDArray[np.float32]] = []
    before = np.zeros(_CONTEXT, np.float32)
    state = (torch.zeros(1, 128), torch.zeros(1, 128))
    for at in range(0, len(samples), block):
        part = samples[at : at + block] * np.float32(gain)
        release_pages(samples)
        whole = np.concatenate([before, np.pad(part, (0, -len(part) % CHUNK))])
        before = whole[-_CONTEXT:]
        chunks = torch.from_numpy(whole).unfold(0, _CONTEXT + CHUNK, CHUNK)
        found, state = network(chunks, state)
        probabilities.append(found.numpy())
    return np.concatenate(probabilities) if probabilities else np.zeros(0, np.float32)
