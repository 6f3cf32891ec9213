"""A recording cleaned window by window, so that memory does not grow with its length.

|---------------|
              |---------------|          neighbouring windows share a second, in which one fades into the other
                        |---------------|

Every window goes to the cleaner at its rate and comes back; in between, the sound is the recording's samples.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator

import numpy as np

from meetsplit.pipeline.audio.crossfade import ramp
from meetsplit.pipeline.audio.resampling import resample
from meetsplit.pipeline.data import Audio, Samples
from meetsplit.pipeline.errors import BrokenPromise
from meetsplit.pipeline.protocols import Cleaner
from meetsplit.pipeline.separators.chunking import windows

WINDOW = 30.0
"""Seconds that are cleaned at once, at most."""

OVERLAP = 1.0
"""Seconds that neighbouring windows share."""

NEXT_TO_NOTHING = 20.0
"""dB by which what is left must be louder than what was taken out for the recording to stay as it is: a hundredth of
the energy hides no words."""


class RemovedPower:
    """The power of what is left of a recording and of what was taken out of it, over all blocks so far."""

    def __init__(self) -> None:
        self._left = self._removed = 0.0

    def add(self, recording: Samples, cleaned: Samples) -> None:
        """Count one block of the recording and the same one cleaned."""
        self._left += float(np.square(cleaned, dtype=np.float64).sum())
        self._removed += float(np.square(recording - cleaned, dtype=np.float64).sum())

    @property
    def decibels(self) -> float:
        """How much louder what is left is than what was taken out; infinite where that is nothing."""
        if self._removed == 0.0:
            return math.inf
        return 10 * math.log10(self._left / self._removed) if self._left > 0.0 else -math.inf

    @property
    def is_next_to_nothing(self) -> bool:
        """Whether so little was taken out that the recording had better stay as it is."""
        return self.decibels >= NEXT_TO_NOTHING


def cleaned_blocks(audio: Audio, cleaner: Cleaner, kinds: Collection[str]) -> Iterator[Samples]:
    """The audio without these kinds of sound, in blocks; together they are as long as ``audio``.

    Raises `BrokenPromise` for a cleaner that answers with another span, or with what is no number.
    """
    overlap = round(OVERLAP * audio.rate)
    tail = np.zeros(0, np.float32)
    spans = windows(len(audio.samples), round(WINDOW * audio.rate), overlap)
    for number, window in enumerate(spans):
        cleaned = _clean_window(audio.slice(window.start, window.stop), cleaner, kinds)
        last = window.stop if number == len(spans) - 1 else spans[number + 1].start
        if len(tail):
            rising = ramp(len(tail))
            cleaned[: len(tail)] = cleaned[: len(tail)] * rising + tail * (1 - rising)
        yield cleaned[: last - window.start]
        tail = cleaned[last - window.start :]


def _clean_window(window: Audio, cleaner: Cleaner, kinds: Collection[str]) -> Samples:
    """One window cleaned, a copy of its own."""
    if not np.any(window.samples):
        return window.samples.copy()
    heard = resample(window, cleaner.rate)
    answer = cleaner.clean(heard, kinds)
    if answer.rate != heard.rate or len(answer.samples) != len(heard.samples):
        raise BrokenPromise(
            "clean",
            f"the cleaner answered with {answer.duration:.3f} s to {heard.duration:.3f} s at {heard.start:.1f} s",
        )
    if not np.all(np.isfinite(answer.samples)):
        raise BrokenPromise("clean", f"the cleaner answered with numbers that are not finite at {heard.start:.1f} s")
    samples = resample(answer, window.rate).samples[: len(window.samples)]
    return np.pad(samples, (0, len(window.samples) - len(samples))).astype(np.float32)
