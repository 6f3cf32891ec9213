"""How far the work on recordings is: the stages of the one at hand, their times, and the share of the whole.

All times are seconds of a monotonic clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from meetsplit.pipeline.events import Event, Finished, Kept, Notice, Opened, Progressed, Started

USUAL_SECONDS: Mapping[str, float] = MappingProxyType(
    {"decode": 0.001, "clean": 0.1, "diarize": 0.107, "separate": 0.187, "transcribe": 0.75, "write": 0.02}
)
"""Seconds of work per second of sound, by stage: docs/benchmarks.md, speed, 60 min; of writing, the sound
of a page; of cleaning, music and noise by `embedded`. Only their proportions count, for each stage's part of the
overall bar where this machine has no times of its own.
"""

MIN_SHARE = 0.02
"""Part of a stage that has to be done before its time left is told: before that, it jumps."""

MIN_SECONDS = 2.0
"""The same in seconds."""


@dataclass(slots=True)
class StageProgress:
    """One stage: ``done`` of ``total`` units, counted from a moment; ``seconds`` once it has ended.

    ``kept`` says that it is not repeated, ``kept_since`` the Unix time of its result.
    """

    stage: str
    began: float
    counted_from: float
    total: float | None = None
    done: float = 0.0
    seconds: float | None = None
    note: str = ""
    kept: bool = False
    kept_since: float | None = None

    @property
    def has_ended(self) -> bool:
        """Whether nothing of it is left to do."""
        return self.kept or self.seconds is not None

    @property
    def share(self) -> float | None:
        """The part that is done, 0 to 1; None where its total is unknown."""
        if self.has_ended:
            return 1.0
        return min(self.done / self.total, 1.0) if self.total else None

    def elapsed(self, now: float) -> float:
        """Seconds of work so far, or in all."""
        return now - self.began if self.seconds is None else self.seconds

    def left(self, now: float) -> float | None:
        """Seconds of work left at the pace so far; None while that is unknown."""
        share, elapsed = self.share, now - self.counted_from
        if self.has_ended or share is None or share < MIN_SHARE or elapsed < MIN_SECONDS:
            return None
        return elapsed * (1 - share) / share


@dataclass(slots=True)
class RecordingProgress:
    """One recording: its stages so far, in order, and the seconds that are ``expected`` of each, where there is a basis
    for an estimate.
    """

    name: str
    began: float
    stages: dict[str, StageProgress] = field(default_factory=dict)
    expected: Mapping[str, float] = field(default_factory=dict)

    def take(self, event: Event, now: float) -> None:
        """Take one event of this recording."""
        match event:
            case Started(stage, total, _):  # again, by a stage that learns later how much there is
                row = self._stage(stage, now)
                row.total, row.done, row.counted_from, row.seconds = total, 0.0, now, None
            case Progressed(stage, done, total):
                row = self._stage(stage, now)
                row.done, row.total = done, total or row.total
            case Finished(stage, seconds, summary):
                row = self._stage(stage, now)
                row.seconds, row.note = seconds, summary
            case Kept(stage, since) if stage not in self.stages:  # else it was done by this process
                row = self._stage(stage, now)
                row.kept, row.kept_since = True, since
            case Opened() | Notice() | Kept():
                pass

    def _stage(self, stage: str, now: float) -> StageProgress:
        if stage not in self.stages:
            self.stages[stage] = StageProgress(stage, now, now)
        return self.stages[stage]

    def share(self, now: float) -> float:
        """The part of the work that is done, 0 to 1; what is kept is no work."""
        weights = dict(self.expected or USUAL_SECONDS)
        if not self.expected and "clean" not in self.stages:
            del weights["clean"]  # few recordings are cleaned
        done = 0.0
        for stage, weight in tuple(weights.items()):
            row = self.stages.get(stage)
            if row is not None and row.kept:
                del weights[stage]
            elif row is not None:
                done += weight * self._share_of(row, now)
        total = sum(weights.values())
        return done / total if total else 1.0

    def _share_of(self, row: StageProgress, now: float) -> float:
        """The part of a stage that is done, by its time where it does not say."""
        if row.share is not None:
            return row.share
        expected = self.expected.get(row.stage)
        return min(row.elapsed(now) / expected, 0.95) if expected else 0.0

    def left(self, now: float) -> float | None:
        """Seconds of work left; None where nothing is expected of the stages."""
        if not self.expected:
            return None
        left = 0.0
        for stage, expected in self.expected.items():
            row = self.stages.get(stage)
            if row is None:
                left += expected
            elif not row.has_ended:
                by_pace = row.left(now)
                left += max(expected - row.elapsed(now), 0.0) if by_pace is None else by_pace
        return left


class WorkProgress:
    """All recordings of a command, of which one is at hand at a time.

    ``lengths`` are the recordings to come, each with its part of the work; empty where they are not known, as in a
    watched folder.
    """

    def __init__(self) -> None:
        self.lengths: dict[str, float] = {}
        self.current: RecordingProgress | None = None
        self._finished: set[str] = set()
        self._began: float | None = None

    def take(self, event: Event, now: float) -> None:
        """Take one event. What is not about a recording, such as fetching models, is shown until one is opened."""
        match event:
            case Opened(name):
                if self.current is None or self.current.name != name:
                    self.current = RecordingProgress(name, now)
                self._began = now if self._began is None else self._began
            case Started() | Progressed() | Finished() | Kept():
                if self.current is None:
                    self.current = RecordingProgress("", now)
                self.current.take(event, now)
            case Notice():
                pass

    def has_stage(self, stage: str) -> bool:
        """Whether the recording at hand has been through a stage, or is in it."""
        return self.current is not None and stage in self.current.stages

    def finish(self, name: str) -> RecordingProgress | None:
        """A recording has ended, well or not; returns it where it was at hand."""
        if name in self.lengths:  # of days of watching, nothing is collected
            self._finished.add(name)
        ended = self.current
        if ended is None or ended.name != name:
            return None
        self.current = None
        return ended

    @property
    def total(self) -> int:
        """How many recordings there are; 0 where that is unknown."""
        return len(self.lengths)

    @property
    def number(self) -> int:
        """The number of the recording at hand, from 1."""
        return min(len(self._finished) + 1, max(self.total, 1))

    def elapsed(self, now: float) -> float:
        """Seconds since the first recording began."""
        if self.total > 1:
            return now - self._began if self._began is not None else 0.0
        return now - self.current.began if self.current is not None else 0.0

    def share(self, now: float) -> float:
        """The part of all work that is done, 0 to 1."""
        current = self.current.share(now) if self.current is not None else 0.0
        whole = sum(self.lengths.values())
        if self.total <= 1 or not whole:
            return current
        done = sum(length for name, length in self.lengths.items() if name in self._finished)
        if self.current is not None and self.current.name not in self._finished:
            done += current * self.lengths.get(self.current.name, 0.0)
        return done / whole

    def left(self, now: float) -> float | None:
        """Seconds left of all work: of one recording by what is expected of its stages, of several by the pace of those
        that are done. None while there is no basis.
        """
        if self.total <= 1:
            return self.current.left(now) if self.current is not None else None
        share, elapsed = self.share(now), self.elapsed(now)
        if not self._finished or share < MIN_SHARE or elapsed < MIN_SECONDS:
            return None
        return elapsed * (1 - share) / share
