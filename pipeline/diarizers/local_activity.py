"""What the segmentation's overlapping windows say of each frame of the recording, whoever the local speakers are.

`LocalActivity` lays the windows over one grid of frames: how likely nobody, one or two people are speaking, whose
voice a stretch is, if it is only one, and, once each window's local speakers have been identified, how active each
person is.

window 0   |aaaaaa__bbb|            local speakers a, b
window 1         |cccc___aaaaa|     local speakers a, c
frames     ....................     a of window 1 is who b of window 0 is
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from meetsplit.pipeline.diarizers.clustering import UNASSIGNED, Floats, Ints

JOINED = 2
"""Frames of the segmentation in one frame of the grid."""

_FEW_FRAMES = 10
"""Frames of the segmentation, about 0.2 s: a local speaker with less alone is identified by all of theirs."""

_BLOCK = 64
"""Windows laid over each other at once."""

_ACTIVE = 0.5
"""Probability from which a local speaker is active."""


@dataclass(frozen=True)
class LocalActivity:
    """Activities ``(windows, frames of a window, local speakers)``, 0 to 1, in a recording of ``seconds``.

    Windows begin every ``step`` seconds; their frames, every ``fine_frame`` seconds, and the first one's sound is
    ``offset`` seconds later than its place.
    """

    activities: npt.NDArray[np.float32]
    step: float
    fine_frame: float
    offset: float
    seconds: float

    @property
    def frame(self) -> float:
        """Seconds of a frame of the grid."""
        return JOINED * self.fine_frame

    @cached_property
    def frames(self) -> int:
        """Number of frames of the grid, which cover the recording."""
        return max(1, int(np.ceil(self.seconds / self.frame)))

    @cached_property
    def _starts(self) -> Ints:
        """The first fine frame of each window."""
        return np.asarray(np.rint(np.arange(len(self.activities)) * self.step / self.fine_frame), np.int64)

    @property
    def times(self) -> Floats:
        """Seconds of the middle of each frame."""
        return np.asarray((np.arange(self.frames) + 0.5) * self.frame + self.offset, np.float64)

    def _sum_over_windows(
        self, rows_of: Callable[[slice], npt.NDArray[np.float32]], columns: int
    ) -> npt.NDArray[np.float32]:
        """Rows of windows ``(windows, frames of a window, columns)``, made a block at a time, laid over each other and
        averaged: ``(frames, columns)``.
        """
        count, length, _ = self.activities.shape
        total = np.zeros((max(self.frames * JOINED, int(self._starts[-1]) + length), columns), np.float32)
        for first in range(0, count, _BLOCK):
            block = slice(first, min(first + _BLOCK, count))
            for start, rows in zip(self._starts[block], rows_of(block), strict=True):
                total[start : start + length] += rows
        total = total[: self.frames * JOINED] / self._coverage[:, None]
        return np.asarray(total.reshape(self.frames, JOINED, -1).mean(axis=1), np.float32)

    @cached_property
    def _coverage(self) -> npt.NDArray[np.float32]:
        """Windows over each fine frame, at least one."""
        length = self.activities.shape[1]
        padded = max(self.frames * JOINED, int(self._starts[-1]) + length)
        coverage = np.zeros(padded, np.float32)
        for start in self._starts:
            coverage[start : start + length] += 1
        return np.maximum(coverage[: self.frames * JOINED], 1)

    @cached_property
    def counts(self) -> Floats:
        """How likely no, one, and two or more people speak in each frame: ``(frames, 3)``, rows that add up to one."""
        counts = self._sum_over_windows(lambda block: _counts(self.activities[block]), 3).astype(np.float64)
        counts[counts.sum(axis=1) < 0.5] = (1.0, 0.0, 0.0)  # beyond the last window
        return np.clip(counts, 1e-6, 1.0)

    @cached_property
    def active(self) -> npt.NDArray[np.bool_]:
        """Where each local speaker is active, in the shape of the activities."""
        return self.activities > _ACTIVE

    @cached_property
    def alone(self) -> npt.NDArray[np.bool_]:
        """Where each local speaker is the only active one."""
        return np.asarray(self.active & (self.active.sum(axis=2, keepdims=True, dtype=np.uint8) == 1), np.bool_)

    def _any_alone(self, block: slice) -> npt.NDArray[np.float32]:
        return np.asarray(self.alone[block].any(axis=2, keepdims=True), np.float32)

    @cached_property
    def any_alone(self) -> Floats:
        """How many of the windows over each frame hear one person alone: ``(frames,)``, 0 to 1."""
        return self._sum_over_windows(self._any_alone, 1)[:, 0].astype(np.float64)

    def share(self, values: Floats, first: Floats, seconds: float) -> Floats:
        """The mean of ``values`` of frames over stretches of ``seconds`` that begin at ``first``: ``(n,)`` each."""
        begin = np.clip(np.rint(first / self.frame).astype(np.int64), 0, self.frames)
        end = np.clip(np.rint((first + seconds) / self.frame).astype(np.int64), 0, self.frames)
        total = np.concatenate([[0.0], np.cumsum(values)])
        return np.asarray((total[end] - total[begin]) / (seconds / self.frame), np.float64)

    def purity(self, first: Floats, seconds: float) -> Floats:
        """How much of the speech in stretches is one local speaker's alone, the mean over windows around them.

        Stretches are those of `share`; a stretch that no window holds is half pure.
        """
        fine = self.fine_frame
        count, length, _ = self.activities.shape
        total, windows = np.zeros(len(first)), np.zeros(len(first))
        for window in range(count):
            begin = np.rint(first / fine).astype(np.int64) - self._starts[window]
            end = begin + round(seconds / fine)
            is_edge = window in (0, count - 1)
            rows = np.flatnonzero((end > 0) & (begin < length) if is_edge else (begin >= 0) & (end <= length))
            lower, upper = np.clip(begin[rows], 0, length), np.clip(end[rows], 0, length)
            kept = upper - lower >= round(seconds / fine) / 2
            rows, lower, upper = rows[kept], lower[kept], upper[kept]
            alone = _sums(self.alone[window], lower, upper).max(axis=1)
            active = _sums(self.active[window], lower, upper).sum(axis=1)
            total[rows] += alone / np.maximum(active, 1)
            windows[rows] += 1
        return np.where(windows > 0, total / np.maximum(windows, 1), 0.5)

    def identify(self, shares: npt.NDArray[np.floating]) -> Ints:
        """Each local speaker's person ``(windows, local speakers)``, from each person's share of each frame by voice.

        ``shares`` is ``(frames, people)``. Within a window the best joint assignment: no two are the same person.
        """
        count, length, speakers = self.activities.shape
        people = np.full((count, speakers), UNASSIGNED, np.int64)
        for window in range(count):
            local = np.flatnonzero(self.active[window].any(axis=0))
            if not len(local):
                continue
            frames = np.minimum((self._starts[window] + np.arange(length)) // JOINED, self.frames - 1)
            where = np.where(self.alone[window].sum(axis=0) > _FEW_FRAMES, self.alone[window], self.active[window])
            scores = where[:, local].T.astype(np.float32) @ shares[frames]
            rows, columns = linear_sum_assignment(scores, maximize=True)
            people[window, local[rows]] = columns
        return people

    def activities_of(self, people: Ints, count: int) -> npt.NDArray[np.float32]:
        """How active each of ``count`` people is in each frame, ``(frames, count)``, with `identify`'s answer."""

        def rows_of(block: slice) -> npt.NDArray[np.float32]:
            rows = np.zeros((*self.activities[block].shape[:2], count), np.float32)
            window, speaker = np.nonzero(people[block] != UNASSIGNED)
            rows[window, :, people[block][window, speaker]] = self.activities[block][window, :, speaker]
            return rows

        return self._sum_over_windows(rows_of, count)


def _counts(activities: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """How likely no, one, and more local speakers are active, were they independent: activities, but of 3 columns."""
    silent = np.prod(1.0 - activities, axis=2)
    one = np.zeros_like(silent)
    for speaker in range(activities.shape[2]):
        one += activities[:, :, speaker] * np.prod(1.0 - np.delete(activities, speaker, axis=2), axis=2)
    return np.stack([silent, one, 1.0 - silent - one], axis=2)


def _sums(values: npt.NDArray[np.bool_], begin: Ints, end: Ints) -> Ints:
    """Sums of rows from each begin to each end: ``(stretches, columns)``."""
    total = np.concatenate([np.zeros((1, values.shape[1]), np.int64), np.cumsum(values, axis=0)])
    return np.asarray(total[end] - total[begin], np.int64)
