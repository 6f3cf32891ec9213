"""Crosstalk cancellation: another speaker's voice in a channel is predicted by a FIR filter and subtracted.

A microphone picks up its neighbour through the air, a line through its echo: later, softer and coloured, which is a
short filter. It is fitted by least squares (the Wiener solution over the stretches in which only the source has a
turn), anew every few seconds, because people move; a filter that explains too little of what it was fitted on is not
used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.audio.crossfade import ramp
from meetsplit.pipeline.audio.memmap import release_pages, to_memmap
from meetsplit.pipeline.audio.reading import IN_MEMORY
from meetsplit.pipeline.data import Audio, Samples, Span, timeline
from meetsplit.pipeline.data.audio import padded_slice

BLOCK = 16.0
"""Seconds over which a filter is fitted."""

MAX_LAG, MAX_LEAD = 0.25, 0.05
"""Seconds that crosstalk may come after its source, or before it where clocks differ."""

TAPS, TAPS_BEFORE_PEAK = 1024, 128
"""Length of the filter in samples (64 ms at 16 kHz), and how many of them lie before the strongest."""

MIN_FIT_SECONDS = 1.0
"""Seconds in which only the source has a turn; a block with fewer keeps the filter of the one before."""

MIN_EXPLAINED = 0.5
"""Share of the energy there that a filter must explain."""

REGULARIZATION = 1e-3
"""Added to the diagonal of the normal equations, as a share of the source's energy."""

FADE = 0.02
"""Seconds over which one filter follows another, and the prediction begins and ends to be subtracted."""


@dataclass(frozen=True, slots=True, eq=False)
class FirFilter:
    """``taps`` of shape ``(TAPS,)``; the first one delays by ``delay`` samples, which may be negative."""

    delay: int
    taps: npt.NDArray[np.float64]


def cancel_crosstalk(channels: Sequence[Audio], turns: Sequence[Sequence[Span]], folder: Path) -> tuple[Audio, ...]:
    """The channels without crosstalk from one another, same spans and rate.

    ``turns`` are those of each channel's own speaker, sorted and disjoint. A sample changes only while another channel
    has a turn, or shortly after. Long channels are memory-mapped in ``folder``, and each is read one block at a time.
    """
    cleaned: list[Audio] = []
    for number, target in enumerate(channels):
        blocks = _cleaned_blocks(channels, turns, number)
        long = target.duration > IN_MEMORY
        samples = to_memmap(blocks, folder) if long else np.concatenate([*blocks, np.zeros(0, np.float32)])
        cleaned.append(target.replaced(samples))
    return tuple(cleaned)


def crosstalk_spans(turns: Iterable[Span]) -> tuple[Span, ...]:
    """Where speakers with these turns may be heard in others' channels, sorted and disjoint; nothing changes outside
    it.
    """
    return timeline.support(Span(max(turn.start - MAX_LEAD, 0.0), turn.end + MAX_LAG) for turn in turns)


def _cleaned_blocks(channels: Sequence[Audio], turns: Sequence[Sequence[Span]], number: int) -> Iterator[Samples]:
    """The channel with this number in blocks of `BLOCK` seconds, without what the others leave in it."""
    target = channels[number]
    paths = [
        _CrosstalkPath(channels[other], turns[other], timeline.subtract(turns[other], turns[number]))
        for other in range(len(channels))
        if other != number and turns[other]
    ]
    step = round(BLOCK * target.rate)
    for at in range(0, len(target.samples), step):
        block = target.slice(at, at + step)
        clean = block.samples
        for path in paths:
            crosstalk = path.predict(block)
            if crosstalk is not None:
                clean = clean - crosstalk
        yield clean
        release_pages(target)


class _CrosstalkPath:
    """The acoustic path from one channel into another: its current filter, and the end of its last prediction.

    ``turns`` are those of the source's speaker; in ``alone`` the target's speaker has none.
    """

    def __init__(self, source: Audio, turns: Sequence[Span], alone: Sequence[Span]) -> None:
        self._source, self._alone = source, alone
        self._audible = crosstalk_spans(turns)
        self._filter: FirFilter | None = None
        self._tail = np.zeros(0, np.float32)

    def predict(self, block: Audio) -> Samples | None:
        """The crosstalk in the next block of the target, one value per sample; None where there is none or no filter.

        The filter is fitted anew where there is enough to fit on, and follows the one before within `FADE` seconds.
        """
        audible = timeline.crop(self._audible, block.span)
        previous_tail, self._tail = self._tail, np.zeros(0, np.float32)
        if not audible:
            return None
        rate, count, fade = block.rate, len(block.samples), round(FADE * block.rate)
        margin = round(MAX_LAG * rate) + TAPS
        source = self._source_around(block, margin)
        alone = _weights(timeline.crop(self._alone, block.span), block, 0)
        if float(alone.sum()) >= MIN_FIT_SECONDS * rate:
            self._filter = fit_fir(source, block.samples, alone, margin)
        if self._filter is None:
            return None
        crosstalk = apply_fir(self._filter, source, margin, count + fade)
        crosstalk, self._tail = crosstalk[:count].copy(), crosstalk[count:]
        length = min(len(previous_tail), count)
        rising = ramp(length)
        crosstalk[:length] = crosstalk[:length] * rising + previous_tail[:length] * (1 - rising)
        return crosstalk * _weights(audible, block, fade)

    def _source_around(self, block: Audio, margin: int) -> Samples:
        """The source during the block, and ``margin`` samples before and after it."""
        first = round(block.start * block.rate) - round(self._source.start * block.rate)
        samples = padded_slice(self._source.samples, first - margin, first + len(block.samples) + margin)
        release_pages(self._source)
        return samples


def fit_fir(source: Samples, target: Samples, mask: Samples, margin: int) -> FirFilter | None:
    """The filter that predicts ``target`` from ``source`` where ``mask`` is 1; None where it explains too little.

    ``source`` begins ``margin`` samples before ``target`` and ends as many after it. Solves the normal equations: the
    source's autocorrelation matrix times the taps is its cross-correlation with the target. The filter is placed around
    the lag at which that correlation is strongest.
    """
    from scipy.linalg import solve_toeplitz  # here, so that ``import meetsplit`` stays quick

    masked = target * mask
    size = _fft_size(len(source) + margin)
    # correlation[margin + lag] is that of the target with the source ``lag`` samples earlier, -margin <= lag <= margin.
    spectrum = np.conj(np.fft.rfft(masked, size)) * np.fft.rfft(source, size)
    correlation = np.fft.irfft(spectrum, size)[: 2 * margin + 1][::-1]
    max_lag = margin - TAPS
    max_lead = round(max_lag * MAX_LEAD / MAX_LAG)
    lag = int(np.abs(correlation[margin - max_lead : margin + max_lag]).argmax()) - max_lead
    delay = lag - TAPS_BEFORE_PEAK

    delayed = source[margin - lag : margin - lag + len(target)] * mask
    power = np.square(np.abs(np.fft.rfft(delayed, size)))
    autocorrelation = np.fft.irfft(power, size)[:TAPS].astype(np.float64)
    energy = autocorrelation[0]
    if energy <= 0:
        return None
    autocorrelation[0] += REGULARIZATION * energy
    fitted = FirFilter(delay, solve_toeplitz(autocorrelation, correlation[margin + delay : margin + delay + TAPS]))

    residual = masked - apply_fir(fitted, source, margin, len(target)) * mask
    allowed = (1 - MIN_EXPLAINED) * float(np.square(masked, dtype=np.float64).sum())
    return fitted if float(np.square(residual, dtype=np.float64).sum()) <= allowed else None


def apply_fir(fir: FirFilter, source: Samples, margin: int, count: int) -> Samples:
    """``source`` through the filter: ``count`` samples from the time of ``source[margin]`` on."""
    size = _fft_size(len(source) + len(fir.taps))
    filtered = np.fft.irfft(np.fft.rfft(source, size) * np.fft.rfft(fir.taps, size), size)
    first = margin - fir.delay
    return filtered[first : first + count].astype(np.float32)


def _fft_size(length: int) -> int:
    """The smallest power of two that holds ``length`` samples."""
    return 1 << (length - 1).bit_length()


def _weights(spans: Sequence[Span], block: Audio, fade: int) -> Samples:
    """1 inside the spans and 0 outside, with ramps of ``fade`` samples where a span begins or ends within the block."""
    weights = np.zeros(len(block.samples), np.float32)
    for span in spans:
        first, last = block.index(span.start), block.index(span.end)
        length = min(fade, (last - first) // 2)
        weights[first:last] = 1.0
        if span.start > block.start:
            weights[first : first + length] = ramp(length)
        if span.end < block.span.end:
            weights[last - length : last] = ramp(length)[::-1]
    return weights
