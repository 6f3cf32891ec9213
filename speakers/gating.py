"""What remains of a track where its person does not speak? Quieter, or nothing: no click, and not a sample less.

track   ▂▂▇▇▇▂▇▇▂▂▁▁▁▂▂▇▇▂          ▂ others, breath, the room
gate    __/‾‾‾‾‾‾‾\\____/‾‾\\_          open in the person's turns, where it is not much quieter than the person
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.audio.reading import pcm16
from meetsplit.pipeline.audio.wav import HEADER
from meetsplit.pipeline.data import Samples, Span

SOFT = 0.1
"""What is left of the amplitude behind a soft gate: -20 dB."""

FRAME = 0.02
"""Seconds over which loudness is measured, and within which the gate opens and closes."""

HOLD = 6
"""Frames before and after own speech in which the gate is open: words begin and end softly."""

RANGE = 32.0
"""dB below the person's loud speech under which sound is not the person's."""

_BLOCK = 1500
Gains = npt.NDArray[np.float32]


def gated(wav: Path, turns: Sequence[Span], mode: str) -> Iterator[bytes]:
    """The file of a track (plain 44-byte header, 16 bits, mono) behind a gate, as blocks of bytes to write.

    ``turns`` are the person's own, sorted and disjoint. ``mode`` is "soft" (`SOFT` outside) or "hard" (silence outside).
    Where the gate is open every sample is the track's own.
    """
    with wav.open("rb") as file:
        header = file.read(HEADER)
    yield header
    rate = int.from_bytes(header[24:28], "little")
    samples = np.memmap(wav, np.dtype("<i2"), "r", HEADER) if wav.stat().st_size > HEADER else np.zeros(0, np.int16)
    step = round(FRAME * rate)
    gains = _gains(_loudness(samples, step), turns, SOFT if mode == "soft" else 0.0)
    for first in range(0, len(gains), _BLOCK):
        part = samples[first * step : (first + _BLOCK) * step]
        weight = _smooth(gains, first, min(first + _BLOCK, len(gains)), step)[: len(part)]
        yield pcm16(np.asarray(part, np.float32) / np.float32(32768) * weight)


def _loudness(samples: npt.NDArray[np.int16], step: int) -> Gains:
    """dBFS of every frame; -inf for silence."""
    found = np.full(-(-len(samples) // step), -np.inf, np.float32)
    for first in range(0, len(found), _BLOCK):
        part = np.asarray(samples[first * step : (first + _BLOCK) * step], np.float32) / np.float32(32768)
        frames = np.pad(part, (0, -len(part) % step)).reshape(-1, step)
        with np.errstate(divide="ignore"):
            found[first : first + len(frames)] = 10 * np.log10(np.mean(np.square(frames), axis=1))
    return found


def _gains(loudness: Gains, turns: Sequence[Span], closed: float) -> Gains:
    """1 for frames in which the person may be heard, ``closed`` for all others."""
    own = np.zeros(len(loudness), bool)
    for turn in turns:
        own[int(turn.start / FRAME) : int(np.ceil(turn.end / FRAME))] = True
    sounding = loudness[own & np.isfinite(loudness)]
    least = float(np.percentile(sounding, 90)) - RANGE if len(sounding) else np.inf
    open_ = np.pad(own & (loudness >= least), HOLD)
    held = np.lib.stride_tricks.sliding_window_view(open_, 2 * HOLD + 1).any(axis=1) if len(own) else open_[:0]
    return np.where(held, 1.0, closed).astype(np.float32)


def _smooth(gains: Gains, first: int, last: int, step: int) -> Samples:
    """The gain of every sample of these frames. The gate moves within the closed frames: open ones stay as they are."""
    around = np.pad(gains, 1, mode="edge")[first : last + 2, None]
    before, here, after = around[:-2], around[1:-1], around[2:]
    ramp = (np.arange(step, dtype=np.float32) + 0.5) / step
    closing = np.maximum(before, here) * (1 - ramp) + here * ramp
    opening = here * (1 - ramp) + np.maximum(after, here) * ramp
    return np.asarray(np.maximum(closing, opening).reshape(-1), np.float32)
