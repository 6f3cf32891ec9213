"""What does a channel hold of another one's voice? Fitted where only the other speaks, and taken out.

A microphone hears its neighbour through the air, a line through its echo: later, softer and coloured, which is a short
filter. It is fitted by least squares (the Wiener solution over the stretches in which only the source has a turn), anew
every few seconds, because people move; a filter that does not explain what it was fitted on is not used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from meetsplit.pipeline import timeline
from meetsplit.pipeline.audio import IN_MEMORY
from meetsplit.pipeline.data import Audio, Samples, Span, Turn
from meetsplit.pipeline.levels import between
from meetsplit.pipeline.mapped import laid_down, let_go
from meetsplit.pipeline.splice import ramp

BLOCK = 16.0
"""Seconds over which a filter is fitted."""

LATEST, EARLIEST = 0.25, 0.05
"""Seconds that a channel's bleed may lag behind its source, or be ahead of it where clocks differ."""

TAPS, BEFORE = 384, 96
"""Length of the filter in samples at 16 kHz (24 ms), and how many of them lie before the strongest."""

ENOUGH = 1.0
"""Seconds in which only the source speaks below which a block keeps the filter of the one before."""

EXPLAINED = 0.5
"""Share of the energy there that a filter must explain."""

FADE = 0.02
"""Seconds over which one filter follows another, and bleed begins and ends to be taken out."""

Filter = tuple[int, npt.NDArray[np.float64]]
"""The delay of the first tap in samples, and the taps."""


@dataclass(slots=True)
class _Path:
    """The way from one channel into another: its present filter, and what it foresees for the next block's beginning."""

    filter: Filter | None = None
    tail: Samples = field(default_factory=lambda: np.zeros(0, np.float32))


def unbled(channels: Sequence[Audio], turns: Sequence[Turn], folder: Path) -> tuple[Audio, ...]:
    """The channels without what the others leave in them, same spans and rate.

    ``turns`` say which channel ("0" the first) speaks when. A sample changes only while another channel has a turn, or
    shortly after. Long sound is put down in ``folder``, and each channel is read one block at a time.
    """
    spans = timeline.by_speaker(turns)
    own = [spans.get(str(number), ()) for number in range(len(channels))]
    cleaned: list[Audio] = []
    for number, target in enumerate(channels):
        blocks = _blocks(channels, own, number)
        long = target.duration > IN_MEMORY
        samples = laid_down(blocks, folder) if long else np.concatenate([*blocks, np.zeros(0, np.float32)])
        cleaned.append(target.replaced(samples))
    return tuple(cleaned)


def _blocks(channels: Sequence[Audio], own: Sequence[Sequence[Span]], number: int) -> Iterator[Samples]:
    target = channels[number]
    step, fade = round(BLOCK * target.rate), round(FADE * target.rate)
    paths = {other: _Path() for other in range(len(channels)) if other != number and own[other]}
    for at in range(0, len(target.samples), step):
        heard = Audio(target.samples[at : at + step], target.rate, (round(target.start * target.rate) + at) / target.rate)
        clean = heard.samples
        for other, path in paths.items():
            speaks = timeline.crop(timeline.widened(own[other], LATEST), heard.span)
            foreseen = _foreseen(path, channels[other], heard, timeline.subtract(own[other], own[number]), fade) if speaks else None
            if foreseen is not None:
                clean = clean - foreseen * _gate(speaks, heard, fade)
            let_go(channels[other])
        let_go(target)
        yield clean


def _foreseen(path: _Path, source: Audio, heard: Audio, alone: Sequence[Span], fade: int) -> Samples | None:
    """What ``source`` leaves in the block, None where nothing is known; fits the path's filter where there is enough to fit on."""
    rate, count = heard.rate, len(heard.samples)
    first = round(heard.start * rate) - round(source.start * rate)
    reach = round(LATEST * rate) + TAPS
    said = between(source, first - reach, first + count + reach)
    mask = np.zeros(count, np.float32)
    for span in timeline.crop(alone, heard.span):
        mask[heard.index(span.start) : heard.index(span.end)] = 1.0
    before = path.filter
    if mask.sum() >= ENOUGH * rate:
        path.filter = fitted(said, heard.samples, mask, reach)
    if path.filter is None:
        path.tail = np.zeros(0, np.float32)
        return None
    whole = through(path.filter, said, reach, count + fade)
    found, tail = whole[:count], path.tail[:count]
    if path.filter is not before:
        weight = ramp(min(fade, count))
        found = found.copy()
        found[: len(weight)] *= weight
        found[: min(len(tail), len(weight))] += (tail * (1 - ramp(fade))[: len(tail)])[: len(weight)] if len(tail) else np.float32(0)
    path.tail = whole[count:]
    return found


def fitted(said: Samples, heard: Samples, mask: Samples, reach: int) -> Filter | None:
    """The filter through which ``said`` is in ``heard`` where ``mask`` is 1; None where it explains too little.

    ``said`` begins ``reach`` samples before ``heard`` and ends as many after it.
    """
    size = 1 << (len(said) + reach - 1).bit_length()
    masked = heard * mask
    source = np.fft.rfft(said, size)
    inside = np.fft.rfft(said[reach : reach + len(heard)] * mask, size)
    # said[n + reach] is simultaneous with heard[n]: a bleed that is ``lag`` late has its peak at reach - lag.
    cross = np.fft.irfft(np.conj(np.fft.rfft(masked, size)) * source, size)[: 2 * reach + 1][::-1] if reach else np.zeros(1)
    auto = np.fft.irfft(np.square(np.abs(inside)), size)[:TAPS]
    lags = np.arange(-reach, reach + 1)
    early, late = np.searchsorted(lags, [-(reach - TAPS) // 5, reach - TAPS])
    first = int(lags[early + int(np.abs(cross[early:late]).argmax())]) - BEFORE
    if auto[0] <= 0:
        return None
    wanted = cross[first + reach : first + reach + TAPS]
    matrix = auto[np.abs(np.subtract.outer(np.arange(TAPS), np.arange(TAPS)))] + 1e-3 * auto[0] * np.eye(TAPS)
    found: Filter = (first, np.linalg.solve(matrix, wanted))
    rest = masked - through(found, said, reach, len(heard)) * mask
    energy = float(np.square(masked, dtype=np.float64).sum())
    return found if float(np.square(rest, dtype=np.float64).sum()) <= (1 - EXPLAINED) * energy else None


def through(filter_: Filter, said: Samples, reach: int, count: int) -> Samples:
    """``said`` through the filter: ``count`` samples from where ``said`` has its sample number ``reach``."""
    first, taps = filter_
    size = 1 << (len(said) + len(taps) - 1).bit_length()
    whole = np.fft.irfft(np.fft.rfft(said, size) * np.fft.rfft(taps, size), size)
    return whole[reach - first : reach - first + count].astype(np.float32)


def _gate(speaks: Sequence[Span], heard: Audio, fade: int) -> Samples:
    """1 while the source speaks, 0 elsewhere, with ramps inside."""
    gate = np.zeros(len(heard.samples), np.float32)
    for span in speaks:
        first, last = heard.index(span.start), heard.index(span.end)
        length = min(fade, (last - first) // 2)
        gate[first:last] = 1.0
        if span.start > heard.start:
            gate[first : first + length] = ramp(length)
        if span.end < heard.span.end:
            gate[last - length : last] = ramp(length)[::-1]
    return gate
