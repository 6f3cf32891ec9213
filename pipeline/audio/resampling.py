"""Sample rate conversion: block-wise, band-limited, of exactly the expected length."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from meetsplit.pipeline.data import Audio, Samples

BLOCK = 4.0
"""Seconds of audio converted at once."""

CONTEXT = 0.25
"""Seconds of context on both sides of a block, so that its edges ring as if there were none."""

ROLL_OFF = 0.92
"""Everything below this share of the lower Nyquist frequency passes unchanged; above, a raised cosine falls to zero."""


def resample(audio: Audio, rate: int) -> Audio:
    """``audio`` at ``rate`` Hz, in the same place on the clock, of ``round(n * rate / audio.rate)`` samples.

    >>> resample(Audio(np.ones(16000, np.float32), 16000), 8000).samples.shape
    (8000,)
    """
    if rate == audio.rate:
        return audio
    step = max(round(BLOCK * audio.rate), 1)
    blocks = (audio.samples[at : at + step] for at in range(0, len(audio.samples), step))
    pieces = list(resample_blocks(blocks, audio.rate, rate))
    return Audio(np.concatenate(pieces) if pieces else np.zeros(0, np.float32), rate, audio.start)


def resample_blocks(blocks: Iterable[Samples], old: int, new: int) -> Iterator[Samples]:
    """Consecutive blocks at ``old`` Hz as consecutive blocks at ``new`` Hz.

    Each block is taken with context on both sides, changed in length in the frequency domain and cut back to itself;
    the cuts fall on samples that both rates share, so that nothing drifts.
    """
    if old == new:
        yield from blocks
        return
    up, down = new // math.gcd(old, new), old // math.gcd(old, new)
    core, edge = math.ceil(BLOCK * old / down) * down, math.ceil(CONTEXT * old / down) * down
    middle = slice(edge // down * up, (edge + core) // down * up)
    pending = np.zeros(edge, np.float32)
    received = sent = 0
    for block in blocks:
        received += len(block)
        pending = np.concatenate([pending, block])
        while len(pending) >= core + 2 * edge:
            yield _convert(pending[: core + 2 * edge], up, down)[middle]
            sent += middle.stop - middle.start
            pending = pending[core:]
    due = (2 * received * up + down) // (2 * down)
    while sent < due:
        # The last window is as short as possible: clips of a fraction of a second are the common case.
        length = min(math.ceil((len(pending) - edge) / down) * down + 2 * edge, core + 2 * edge)
        window = np.pad(pending[:length], (0, max(length - len(pending), 0)))
        piece = _convert(window, up, down)[middle][: due - sent]
        yield piece
        sent += len(piece)
        pending = pending[core:]


def _convert(window: Samples, up: int, down: int) -> Samples:
    """The window, a multiple of ``down`` samples, at ``up / down`` times its rate: its spectrum is cut or padded."""
    n = len(window)
    length = n // down * up
    if not window.any():  # hours of silence are no work
        return np.zeros(length, np.float32)
    bins = min(n, length) // 2 + 1
    frequency = np.arange(bins) / (min(n, length) / 2)
    fade = np.clip((frequency - ROLL_OFF) / (1.0 - ROLL_OFF), 0.0, 1.0)
    spectrum = np.fft.rfft(window)[:bins] * (0.5 + 0.5 * np.cos(np.pi * fade)).astype(np.float32)
    return (np.fft.irfft(spectrum, length) * (length / n)).astype(np.float32)
