"""Spans of time and mono audio, both on the recording's clock."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

Samples: TypeAlias = npt.NDArray[np.float32]
"""Mono samples, shape ``(n,)``, nominally between -1 and 1."""

ChannelSamples: TypeAlias = npt.NDArray[np.float32]
"""Samples of several channels, shape ``(channels, n)``."""

LATEST = 1e9
"""Seconds (30 years) beyond which a time in a file is a mistake: no recording is as long, no format can write it."""


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A half-open stretch of time ``[start, end)`` in seconds, ``0 <= start <= end``.

    >>> Span(1.0, 2.5).duration
    1.5
    """

    start: float
    end: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start) and math.isfinite(self.end) and 0.0 <= self.start <= self.end):
            raise ValueError(f"a span needs 0 <= start <= end in seconds, not {self.start}–{self.end}")

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.end - self.start


class HasSpan:
    """A value with a ``span``, such as a turn or a word: its ``start``, ``end`` and ``duration`` are the span's."""

    __slots__ = ()

    if TYPE_CHECKING:  # a field or a property of the class itself

        @property
        def span(self) -> Span:
            """Its stretch of time."""

    @property
    def start(self) -> float:
        """Its start in seconds."""
        return self.span.start

    @property
    def end(self) -> float:
        """Its end in seconds."""
        return self.span.end

    @property
    def duration(self) -> float:
        """Its length in seconds."""
        return self.span.duration


def decimal_sum(start: float, duration: float) -> float:
    """``start + duration`` as decimal numbers, rounded to the nearest float: what a file means by a start and a length.

    Files hold times as decimals. Added as floats, 0.1 and 0.2 are more than 0.3, and turns that touch would overlap.

    >>> 0.1 + 0.2 > 0.3, decimal_sum(0.1, 0.2) > 0.3
    (True, False)
    """
    return float(Decimal(repr(float(start))) + Decimal(repr(float(duration))))


@dataclass(frozen=True, slots=True, eq=False)
class Audio:
    """Mono audio with its place on the recording's clock.

    ``samples`` is float32 of shape ``(n,)`` and is made read-only; ``rate`` is in Hz; ``start`` is the recording
    time of the first sample. Cropping gives views, never copies.

    >>> clip = Audio(np.zeros(16000, np.float32), 16000).crop(Span(0.25, 0.75))
    >>> clip.start, clip.duration, clip.clock(0.1)
    (0.25, 0.5, 0.35)
    """

    samples: Samples
    rate: int
    start: float = 0.0

    def __post_init__(self) -> None:
        if self.samples.ndim != 1 or self.samples.dtype != np.float32:
            raise ValueError(f"audio is float32 of shape (n,), not {self.samples.dtype} {self.samples.shape}")
        if self.rate <= 0:
            raise ValueError(f"a sample rate is positive, not {self.rate}")
        view = self.samples.view()
        view.flags.writeable = False
        object.__setattr__(self, "samples", view)

    def __repr__(self) -> str:
        return f"<Audio: {len(self.samples)} samples at {self.rate} Hz from {self.start} s>"

    def _repr_html_(self) -> str:
        """A player in a notebook, see `notebook.audio_html`."""
        from meetsplit.pipeline.data.notebook import audio_html

        return audio_html(self, "Audio")

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.rate

    @property
    def span(self) -> Span:
        """The stretch of the recording's clock that this audio covers."""
        return Span(self.start, self.start + self.duration)

    def clock(self, t: float) -> float:
        """Recording time of ``t`` seconds into this clip."""
        return self.start + t

    def index(self, t: float) -> int:
        """Index of the sample at recording time ``t``, clamped to ``0..n``."""
        return min(max(round(t * self.rate) - round(self.start * self.rate), 0), len(self.samples))

    def crop(self, span: Span) -> Audio:
        """The part inside ``span`` as a view; parts of ``span`` outside this clip are left out."""
        return self.slice(self.index(span.start), self.index(span.end))

    def part(self, span: Span) -> Audio:
        """The same as `crop`; where nothing lies inside, no samples, and they begin with ``span``."""
        inside = self.crop(span)
        return inside if len(inside.samples) else Audio(inside.samples, self.rate, span.start)

    def slice(self, first: int, last: int) -> Audio:
        """The samples ``first`` to ``last`` (not included) as a view; ``first`` is 0 or more."""
        return Audio(self.samples[first:last], self.rate, (round(self.start * self.rate) + first) / self.rate)

    def replaced(self, samples: Samples) -> Audio:
        """The same place and rate with other samples of the same number. Raises `ValueError` for another number."""
        if samples.shape != self.samples.shape:
            raise ValueError(f"replacing {self.samples.shape} samples by {samples.shape}")
        return Audio(np.asarray(samples, np.float32), self.rate, self.start)


Channels: TypeAlias = tuple[Audio, ...]
"""A recording's channels on one clock: a single one with everybody mixed, or one per speaker."""


def padded_slice(samples: Samples, first: int, last: int) -> Samples:
    """``samples[first:last]`` with silence where the indices lie outside, of ``last - first`` samples.

    >>> padded_slice(np.ones(3, np.float32), -2, 2).tolist()
    [0.0, 0.0, 1.0, 1.0]
    """
    part = samples[max(first, 0) : max(last, 0)]
    before = min(max(-first, 0), last - first)
    return np.pad(part, (before, last - first - before - len(part)))


def rms(samples: Samples) -> float:
    """Root mean square of the samples, summed in double precision; 0 where there are none.

    >>> rms(np.array([1.0, -7.0], np.float32))
    5.0
    """
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if samples.size else 0.0
