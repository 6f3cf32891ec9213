"""Noise gate of a track: quieter or silent where its speaker does not speak, without clicks and at the same length.

track   ▂▂▇▇▇▂▇▇▂▂▁▁▁▂▂▇▇▂          ▂ others, breath, the room
gate    __/‾‾‾‾‾‾‾\\____/‾‾\\_          open in the speaker's turns, where it is not much quieter than the speaker
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.audio.wav import HEADER
from meetsplit.pipeline.data import Samples, Span

SOFT_GAIN = 0.1
"""Gain of a closed soft gate: -20 dB."""

FRAME = 0.02
"""Seconds over which loudness is measured, and within which the gate opens and closes."""

HOLD = 6
"""Hold time: frames before and after own speech in which the gate is open, since words begin and end softly."""

THRESHOLD = 32.0
"""dB below the speaker's loud speech under which the gate closes."""

_FRAMES = round(1 / FRAME)
"""Frames per second."""

_BLOCK = 1500
"""Frames in memory at once."""

Gains = npt.NDArray[np.float32]


class TrackGate:
    """The gate of one track: measured on the file of the track in the stage cache, the same at every sample rate.

    ``wav`` (plain 44-byte header, 16 bits, mono) is that file; ``turns`` are the speaker's own, sorted and disjoint.
    ``mode`` is "soft" (`SOFT_GAIN` outside) or "hard" (silence).
    """

    def __init__(self, wav: Path, turns: Sequence[Span], mode: str) -> None:
        with wav.open("rb") as file:
            rate = int.from_bytes(file.read(HEADER)[24:28], "little")
        pcm = np.memmap(wav, np.dtype("<i2"), "r", HEADER) if wav.stat().st_size > HEADER else np.zeros(0, np.int16)
        self._frames = _gains(_loudness(pcm, round(rate / _FRAMES)), turns, SOFT_GAIN if mode == "soft" else 0.0)

    def gains(self, first: int, last: int, rate: int) -> Samples:
        """The gain of the samples ``first`` to ``last`` at ``rate``. Ramps lie within closed frames: open ones stay as
        they are.
        """
        if not len(self._frames):
            return np.ones(last - first, np.float32)
        samples = np.arange(first, last, dtype=np.int64)
        frames = samples * _FRAMES // rate
        ramp = ((samples + 0.5) * (_FRAMES / rate) - frames).astype(np.float32)
        before, here, after = (self._frames[np.clip(frames + step, 0, len(self._frames) - 1)] for step in (-1, 0, 1))
        closing = np.maximum(before, here) * (1 - ramp) + here * ramp
        opening = here * (1 - ramp) + np.maximum(after, here) * ramp
        return np.asarray(np.maximum(closing, opening), np.float32)


def _loudness(samples: npt.NDArray[np.int16], step: int) -> Gains:
    """dBFS of every frame; -inf for silence."""
    loudness = np.full(-(-len(samples) // step), -np.inf, np.float32)
    for first in range(0, len(loudness), _BLOCK):
        part = np.asarray(samples[first * step : (first + _BLOCK) * step], np.float32) / np.float32(32768)
        frames = np.pad(part, (0, -len(part) % step)).reshape(-1, step)
        with np.errstate(divide="ignore"):
            loudness[first : first + len(frames)] = 10 * np.log10(np.mean(np.square(frames), axis=1))
    return loudness


def _gains(loudness: Gains, turns: Sequence[Span], closed: float) -> Gains:
    """1 for frames in which the gate is open, ``closed`` for all others."""
    in_turn = np.zeros(len(loudness), bool)
    for turn in turns:
        in_turn[int(turn.start / FRAME) : int(np.ceil(turn.end / FRAME))] = True
    if not len(loudness):
        return np.zeros(0, np.float32)
    speech = loudness[in_turn & np.isfinite(loudness)]
    threshold = float(np.percentile(speech, 90)) - THRESHOLD if len(speech) else np.inf
    loud = np.pad(in_turn & (loudness >= threshold), HOLD)
    is_open = np.lib.stride_tricks.sliding_window_view(loud, 2 * HOLD + 1).any(axis=1)
    return np.where(is_open, 1.0, closed).astype(np.float32)
