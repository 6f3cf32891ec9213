"""Progress of a run on stderr: a bar per stage on a terminal, plain lines elsewhere."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from meetsplit.pipeline.events import Event, Finished, Notice, Progressed, Started
from meetsplit.pipeline.formats.control_characters import shown

_QUARTERS = 4


class Reporter:
    """Event listener that prints progress; a context manager, because bars must be stopped even after an error."""

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self._console = console
        self._quiet = quiet
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._totals: dict[str, float | None] = {}
        self._quarter: dict[str, int] = {}
        self.notices: list[Notice] = []

    def __enter__(self) -> Reporter:
        if not self._quiet and self._console.is_terminal:
            columns = (
                TextColumn("{task.description:>12}"),
                BarColumn(),
                TextColumn("{task.fields[note]}", markup=False),
                TimeElapsedColumn(),
            )
            self._bars = Progress(*columns, TimeRemainingColumn(), console=self._console)
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, Notice):
            self.notices.append(event)
        if self._quiet:
            return
        if self._bars is None:
            self._line(event)
        else:
            self._bar(event, self._bars)

    def _bar(self, event: Event, bars: Progress) -> None:
        match event:
            case Started(stage, total, _):
                bars.update(self._task(stage, bars), total=total)
            case Progressed(stage, done, total):
                task = self._task(stage, bars)
                bars.update(task, completed=done, total=total)
            case Finished(stage, _, summary):
                bars.update(self._task(stage, bars), total=1, completed=1, note=shown(summary))
                del self._tasks[stage]
            case Notice(text, stage):
                self._console.print(
                    f"note: {f'{stage}: ' if stage else ''}{text}", style="yellow", highlight=False, markup=False
                )

    def _task(self, stage: str, bars: Progress) -> TaskID:
        if stage not in self._tasks:
            self._tasks[stage] = bars.add_task(stage, total=None, note="")
        return self._tasks[stage]

    def _line(self, event: Event) -> None:
        match event:
            case Started(stage, total, _):
                if stage not in self._totals:  # a stage that learns later how much there is says so by starting again
                    self._say(f"{stage} …")
                self._totals[stage], self._quarter[stage] = total, 0
            case Progressed(stage, done, total):
                total = total or self._totals.get(stage)
                quarter = int(_QUARTERS * done / total) if total else 0
                if self._quarter.get(stage, 0) < quarter < _QUARTERS:
                    self._quarter[stage] = quarter
                    self._say(f"{stage} {100 * quarter // _QUARTERS} %")
            case Finished(stage, seconds, summary):
                self._totals.pop(stage, None)
                self._say(f"{stage} done in {seconds:.1f} s" + (f": {summary}" if summary else ""))
            case Notice(text, stage):
                self._say(f"note: {f'{stage}: ' if stage else ''}{text}")

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)
