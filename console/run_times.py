"""The times of `meetsplit run` on stderr: an estimate before the work on a recording, what it took afterwards."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterable
from pathlib import Path

from meetsplit.console.estimates import LEAST_TOLD, StageTimes, estimate, keys
from meetsplit.console.progress import Reporter
from meetsplit.console.quantities import about, duration
from meetsplit.console.summary import times_sentence
from meetsplit.console.terminal import Terminal
from meetsplit.pipeline.channels.recording import MultiFileRecording
from meetsplit.pipeline.errors import AudioError
from meetsplit.pipeline.models.selection import BackendSelection
from meetsplit.pipeline.results.disk_space import seconds_of_sound


class RunTimes:
    """The times of a command that works on ``recordings``, told through its ``reporter``.

    ``stretch`` is where the work begins and ends, in seconds. ``cache`` is the folder in which the times of stages are
    kept for later estimates; None: they are not kept.
    """

    def __init__(
        self,
        reporter: Reporter,
        plan: BackendSelection,
        recordings: Iterable[Path | MultiFileRecording],
        *,
        stretch: tuple[float, float | None] = (0.0, None),
        cache: Path | None,
        quiet: bool = False,
    ) -> None:
        self._reporter, self._plan, self._quiet = reporter, plan, quiet
        self._kept_times = StageTimes(cache) if cache is not None else None
        self._lengths = {str(recording): _seconds(recording, stretch) for recording in recordings}
        self._began = time.monotonic()
        reporter.expect(self._lengths)

    def announce(self, recording: Path | MultiFileRecording, stages: Collection[str]) -> None:
        """Say how long the ``stages`` that are left will take, where that is known and worth a word."""
        sound = self._lengths[str(recording)]
        expected = estimate(self._plan, stages, sound, self._kept_times)
        if expected is not None and expected.total >= LEAST_TOLD:
            self._reporter.expect_stages(expected.seconds)
            work = f"about {about(expected.total)} of work, {expected.basis}"
            self._say(f"{recording}: {duration(sound)} of sound, {work}")

    def conclude(self, recording: Path | MultiFileRecording) -> None:
        """A recording is done: say what its stages took, and keep their times."""
        progress = self._reporter.finish(str(recording))
        if progress is None:
            return
        self._say(times_sentence(progress, time.monotonic() - progress.began))
        if self._kept_times is not None:
            stages = keys(self._plan)
            rows = [row for row in progress.stages.values() if row.stage in stages and not row.kept]
            sound = self._lengths[str(recording)]
            self._kept_times.add(sound, {stages[row.stage]: row.seconds for row in rows if row.seconds is not None})

    def conclude_all(self, done: int) -> None:
        """All recordings are through: say how many are ``done``, and what that took."""
        if len(self._lengths) > 1:
            seconds = duration(time.monotonic() - self._began)
            self._say(f"{done} of {len(self._lengths)} recordings done in {seconds}")

    def _say(self, text: str) -> None:
        if not self._quiet:
            Terminal(stderr=True).say(text, style="dim")


def _seconds(recording: Path | MultiFileRecording, stretch: tuple[float, float | None]) -> float:
    """Seconds of sound that a recording is expected to hold in the stretch; 0 where it cannot be read: its own turn
    will tell.
    """
    files = [recording] if isinstance(recording, Path) else [file.path for file in recording.microphones]
    start, end = stretch
    try:
        length = max(seconds_of_sound(file) for file in files)
    except AudioError:
        return 0.0
    return max(0.0, min(length, math.inf if end is None else end) - start)
