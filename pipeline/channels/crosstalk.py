"""What does a channel hold of another one's voice? Fitted where only the other speaks, and taken out.

A microphone hears its neighbour through the air, a line through its echo: later, softer and coloured, which is a short
filter. It is fitted by least squares (the Wiener solution over the stretches in which only the source has a turn), anew
every few seconds, because people move; a filter that does not explain what it was fitted on is not used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.audio.crossfade import ramp
from meetsplit.pipeline.audio.memmap import release_pages, to_memmap
from meetsplit.pipeline.audio.reading import IN_MEMORY
from meetsplit.pipeline.channels.loudness import between
from meetsplit.pipeline.data import Audio, Samples, Span, timeline

BLOCK = 16.0
"""Seconds over which a filter is fitted."""

LATEST, EARLIEST = 0.25, 0.05
"""Seconds that a channel's bleed may lag behind its source, or be ahead of it where clocks differ."""

TAPS, BEFORE = 1024, 128
"""Length of the filter in samples at 16 kHz (64 ms), and how many of them lie before the strongest."""

ENOUGH = 1.0
"""Seconds in which only the source speaks below which a block keeps the filter of the one before."""

EXPLAINED = 0.5
"""Share of the energy there that a filter must explain."""

FADE = 0.02
"""Seconds over which one filter follows another, and bleed begins and ends to be taken out."""

Filter = tuple[int, npt.NDArray[np.float64]]
"""The delay of the first tap in samples, and the taps."""


class _CrosstalkPath:
    """The way from one channel into another: its present filter, and what that foresees for the next block's beginning."""

    def __init__(self, source: Audio, own: Sequence[Span], alone: Sequence[Span]) -> None:
        self._source, self._own, self._alone = source, own, alone
        self._filter: Filter | None = None
        self._tail = np.zeros(0, np.float32)

    def predict(self, heard: Audio) -> Samples | None:
        """What the source leaves in the next block of the target; None for nothing, or nothing that is known.

        The filter is fitted anew where there is enough to fit on, and follows the one before within `FADE` seconds.
        """
        speaks = timeline.crop(
            timeline.support(Span(max(s.start - EARLIEST, 0.0), s.end + LATEST) for s in self._own), heard.span
        )
        tail, self._tail = self._tail, np.zeros(0, np.float32)
        if not speaks:
            return None
        rate, count, fade = heard.rate, len(heard.samples), round(FADE * heard.rate)
        reach = round(LATEST * rate) + TAPS
        first = round(heard.start * rate) - round(self._source.start * rate)
        said = between(self._source, first - reach, first + count + reach)
        release_pages(self._source)
        alone = _inside(timeline.crop(self._alone, heard.span), heard, 0)
        if float(alone.sum()) >= ENOUGH * rate:
            self._filter = fit_fir(said, heard.samples, alone, reach)
        if self._filter is None:
            return None
        whole = apply_fir(self._filter, said, reach, count + fade)
        self._tail = whole[count:]
        length = min(len(tail), count)
        found = whole[:count].copy()
        found[:length] = found[:length] * ramp(length) + tail[:length] * (1 - ramp(length))
        return found * _inside(speaks, heard, fade)


def cancel_crosstalk(channels: Sequence[Audio], own: Sequence[Sequence[Span]], folder: Path) -> tuple[Audio, ...]:
    """The channels without what the others leave in them, same spans and rate.

    ``own`` are the turns of each channel, sorted and disjoint. A sample changes only while another channel has a turn, or
    shortly after. Long sound is put down in ``folder``, and each channel is read one block at a time.
    """
    cleaned: list[Audio] = []
    for number, target in enumerate(channels):
        blocks = _blocks(channels, own, number)
        long = target.duration > IN_MEMORY
        samples = to_memmap(blocks, folder) if long else np.concatenate([*blocks, np.zeros(0, np.float32)])
        cleaned.append(target.replaced(samples))
    return tuple(cleaned)


def _blocks(channels: Sequence[Audio], own: Sequence[Sequence[Span]], number: int) -> Iterator[Samples]:
    target = channels[number]
    step, start = round(BLOCK * target.rate), round(target.start * target.rate)
    others = [other for other in range(len(channels)) if other != number and own[other]]
    paths = [
        _CrosstalkPath(channels[other], own[other], timeline.subtract(own[other], own[number])) for other in others
    ]
    for at in range(0, len(target.samples), step):
        heard = Audio(target.samples[at : at + step], target.rate, (start + at) / target.rate)
        clean = heard.samples
        for path in paths:
            left = path.predict(heard)
            clean = clean if left is None else clean - left
        yield clean
        release_pages(target)


def fit_fir(said: Samples, heard: Samples, mask: Samples, reach: int) -> Filter | None:
    """The filter through which ``said`` is in ``heard`` where ``mask`` is 1; None where it explains too little.

    ``said`` begins ``reach`` samples before ``heard`` and ends as many after it.
    """
    size = 1 << (len(said) + reach - 1).bit_length()
    masked = heard * mask
    source = np.fft.rfft(said, size)
    # said[n + reach] is simultaneous with heard[n]: a bleed that is ``lag`` late has its peak at reach - lag.
    cross = np.fft.irfft(np.conj(np.fft.rfft(masked, size)) * source, size)[: 2 * reach + 1][::-1]
    latest = reach - TAPS
    earliest = -round(latest * EARLIEST / LATEST)
    lag = earliest + int(np.abs(cross[reach + earliest : reach + latest]).argmax())
    first = lag - BEFORE
    heard_of = said[reach - lag : reach - lag + len(heard)] * mask
    auto = np.fft.irfft(np.square(np.abs(np.fft.rfft(heard_of, size))), size)[:TAPS]
    if auto[0] <= 0:
        return None
    wanted = cross[first + reach : first + reach + TAPS]
    matrix = auto[np.abs(np.subtract.outer(np.arange(TAPS), np.arange(TAPS)))] + 1e-3 * auto[0] * np.eye(TAPS)
    found: Filter = (first, np.linalg.solve(matrix, wanted))
    rest = masked - apply_fir(found, said, reach, len(heard)) * mask
    energy = float(np.square(masked, dtype=np.float64).sum())
    return found if float(np.square(rest, dtype=np.float64).sum()) <= (1 - EXPLAINED) * energy else None


def apply_fir(filter_: Filter, said: Samples, reach: int, count: int) -> Samples:
    """``said`` through the filter: ``count`` samples from where ``said`` has its sample number ``reach``."""
    first, taps = filter_
    size = 1 << (len(said) + len(taps) - 1).bit_length()
    whole = np.fft.irfft(np.fft.rfft(said, size) * np.fft.rfft(taps, size), size)
    return whole[reach - first : reach - first + count].astype(np.float32)


def _inside(spans: Sequence[Span], heard: Audio, fade: int) -> Samples:
    """1 inside the spans and 0 outside, with ramps of ``fade`` samples where a span begins or ends within ``heard``."""
    weights = np.zeros(len(heard.samples), np.float32)
    for span in spans:
        first, last = heard.index(span.start), heard.index(span.end)
        length = min(fade, (last - first) // 2)
        weights[first:last] = 1.0
        if span.start > heard.start:
            weights[first : first + length] = ramp(length)
        if span.end < heard.span.end:
            weights[last - length : last] = ramp(length)[::-1]
    return weights
