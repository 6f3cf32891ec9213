"""Noise gate of a track: quieter or silent where its speaker does not speak, without clicks and at the same length.

track   ▂▂▇▇▇▂▇▇▂▂▁▁▁▂▂▇▇▂          ▂ others, breath, the room
gate    __/‾‾‾‾‾‾‾\\____/‾‾\\_          open in the speaker's turns, where it is not much quieter than the speaker
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.audio.reading import pcm16
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

_BLOCK = 1500
"""Frames in memory at once."""

Gains = npt.NDArray[np.float32]


def apply_gate(wav: Path, turns: Sequence[Span], mode: str) -> Iterator[bytes]:
    """The file of a track (plain 44-byte header, 16 bits, mono) with the gate applied, as blocks of bytes to write.

    ``turns`` are the speaker's own, sorted and disjoint. ``mode`` is "soft" (`SOFT_GAIN` outside) or "hard" (silence).
    Where the gate is open every sample is the track's own.
    """
    with wav.open("rb") as file:
        header = file.read(HEADER)
    yield header
    rate = int.from_bytes(header[24:28], "little")
    samples = np.memmap(wav, np.dtype("<i2"), "r", HEADER) if wav.stat().st_size > HEADER else np.zeros(0, np.int16)
    step = round(FRAME * rate)
    gains = _gains(_loudness(samples, step), turns, SOFT_GAIN if mode == "soft" else 0.0)
    for first in range(0, len(gains), _BLOCK):
        part = samples[first * step : (first + _BLOCK) * step]
        gain = _sample_gains(gains, first, min(first + _BLOCK, len(gains)), step)[: len(part)]
        yield pcm16(np.asarray(part, np.float32) / np.float32(32768) * gain)


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


def _sample_gains(gains: Gains, first: int, last: int, step: int) -> Samples:
    """The gain of every sample of these frames. Ramps lie within closed frames: open ones stay as they are."""
    around = np.pad(gains, 1, mode="edge")[first : last + 2, None]
    before, here, after = around[:-2], around[1:-1], around[2:]
    ramp = (np.arange(step, dtype=np.float32) + 0.5) / step
    closing = np.maximum(before, here) * (1 - ramp) + here * ramp
    opening = here * (1 - ramp) + np.maximum(after, here) * ramp
    return np.asarray(np.maximum(closing, opening).reshape(-1), np.float32)
