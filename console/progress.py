"""Progress of a run on stderr: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from types import TracebackType

from meetsplit.console.quantities import kept_sentence
from meetsplit.console.recording_progress import RecordingProgress, WorkProgress
from meetsplit.console.terminal import Terminal, stop_bars, time_of_day
from meetsplit.pipeline.events import Event, Finished, Kept, Notice, Opened, Progressed, Started

_QUARTERS = 4


class Reporter:
    """Event listener that shows progress; a context manager, because bars must be taken away even after an error.

    With ``is_log``, lines elsewhere than on a terminal begin with the time of day and the recording's name, for
    processes that run for days. ``keeps`` says that finished stages are kept, which is told after Ctrl-C.
    """

    def __init__(self, console: Terminal, *, quiet: bool = False, is_log: bool = False, keeps: bool = True) -> None:
        self._console, self._quiet, self._is_log, self._keeps = console, quiet, is_log, keeps
        self._work = WorkProgress()
        self._lines: StageLines | None = None

    def __enter__(self) -> Reporter:
        if self._quiet:
            return self
        if self._console.is_interactive:
            from meetsplit.console.bars import draw

            self._console.start_bars(lambda: draw(self._work, time.monotonic(), self._console.width))
        else:
            self._lines = StageLines(self._say)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stop_bars()
        if kind is KeyboardInterrupt and not self._quiet:
            self._say_what_is_kept()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        # The last step of a job opens its recording anew, and what this process has just done is kept then.
        is_told = isinstance(event, Kept) and self._work.has_stage(event.stage)
        self._work.take(event, time.monotonic())
        if self._quiet or is_told:
            return
        if self._lines is not None:
            self._lines(event)
        elif isinstance(event, Notice):
            text = f"{self._name_prefix()}{notice_sentence(event)}"
            self._console.say(text, style="yellow")

    def expect(self, lengths: Mapping[str, float]) -> None:
        """Tell which recordings are to come, by the name that `Opened` has, and each one's part of the work."""
        self._work.lengths = dict(lengths)

    def expect_stages(self, seconds: Mapping[str, float]) -> None:
        """Tell how many seconds each stage of the recording at hand will take."""
        if self._work.current is not None:
            self._work.current.expected = dict(seconds)

    def finish(self, name: str) -> RecordingProgress | None:
        """A recording has ended, well or not: its bars go. Returns it, where it was at hand."""
        return self._work.finish(name)

    def _say_what_is_kept(self) -> None:
        from meetsplit.pipeline.cache.stage_cache import KEPT_STAGES

        recording = self._work.current
        if recording is None or not recording.name:
            return
        stages = [row.stage for row in recording.stages.values() if row.has_ended and row.stage in KEPT_STAGES]
        name = os.path.basename(recording.name)
        if not self._keeps:
            self._console.print(f"stopped: nothing of {name} is kept (--no-cache)", soft_wrap=True)
        elif stages:
            are = "is" if len(stages) == 1 else "are"
            self._console.say(
                f"stopped: of {name}, {' and '.join(stages)} {are} kept; the same command goes on from there"
            )
        else:
            self._console.say(f"stopped: no stage of {name} was finished")

    def _say(self, text: str) -> None:
        moment = f"{time_of_day()} " if self._is_log else ""
        self._console.say(f"{moment}{self._name_prefix()}{text}")

    def _name_prefix(self) -> str:
        """The name of the recording at hand, where it is not the only one."""
        recording = self._work.current
        if recording is None or not recording.name or not (self._is_log or self._work.total > 1):
            return ""
        return f"{os.path.basename(recording.name)}: "


class StageLines:
    """Event listener that says when stages begin, pass each quarter and end."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._totals: dict[str, float | None] = {}
        self._quarter: dict[str, int] = {}

    def __call__(self, event: Event) -> None:
        """Say one event."""
        match event:
            case Started(stage, total, _):
                if stage not in self._totals:  # a stage that learns later how much there is says so by starting again
                    self._say(f"{stage} …")
                self._totals[stage], self._quarter[stage] = total, 0
            case Progressed(stage, done, total):
                self._say_quarter(stage, done, total or self._totals.get(stage))
            case Finished(stage, seconds, summary):
                self._totals.pop(stage, None)
                self._say(f"{stage} done in {seconds:.1f} s" + (f": {summary}" if summary else ""))
            case Kept(stage, since):
                self._say(f"{stage} {kept_sentence(since)}")
            case Notice():
                self._say(notice_sentence(event))
            case Opened():
                self._totals.clear()  # of stages that failed

    def _say_quarter(self, stage: str, done: float, total: float | None) -> None:
        quarter = int(_QUARTERS * done / total) if total else 0
        if self._quarter.get(stage, 0) < quarter < _QUARTERS:
            self._quarter[stage] = quarter
            self._say(f"{stage} {100 * quarter // _QUARTERS} %")


def notice_sentence(notice: Notice) -> str:
    """A notice as it is printed."""
    return f"note: {f'{notice.stage}: ' if notice.stage else ''}{notice.text}"
