"""Progress events and notices that a run passes to its listener, and listeners: the log, tqdm bars, none.

Nothing else in `pipeline/` prints, and nothing sets up logging.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, TypeAlias


@dataclass(frozen=True, slots=True)
class Opened:
    """A recording is opened: the events that follow are about it. May come again for the one that is open already."""

    recording: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A stage is not repeated: its result is in the stage cache, since the Unix time ``since`` where that is known."""

    stage: str
    since: float | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """A stage starts; ``total`` is its amount of work in ``unit``, where known."""

    stage: str
    total: float | None = None
    unit: str = "s"


@dataclass(frozen=True, slots=True)
class Progressed:
    """``done`` of ``total`` units of a stage's work are finished."""

    stage: str
    done: float
    total: float | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """A stage ended after ``seconds`` of wall clock time; ``summary`` is a few words for people."""

    stage: str
    seconds: float
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """A message for people that does not stop the run."""

    text: str
    stage: str | None = None


Event: TypeAlias = Opened | Kept | Started | Progressed | Finished | Notice
EventListener: TypeAlias = Callable[[Event], None]


def ignore_events(event: Event) -> None:
    """A listener that does nothing."""


LOGGER = logging.getLogger("meetsplit")
"""Where `log_events` writes. Without any set-up, Python prints its warnings, hence our notices, on stderr."""


def log_events(event: Event) -> None:
    """A listener that logs: notices as warnings, what a stage did as info. What `Pipeline` does without a listener."""
    match event:
        case Notice(text, stage):
            LOGGER.warning("%s", _printable(f"{stage}: {text}" if stage else text))
        case Finished(stage, seconds, summary):
            LOGGER.info("%s", _printable(f"{stage} done in {seconds:.1f} s" + (f": {summary}" if summary else "")))


class TqdmListener:
    """A listener with a tqdm bar for each stage, in a terminal or a notebook; notices stand between the bars.

    ``options`` go to ``tqdm.auto.tqdm`` (``file``, ``disable``, ``ncols`` …). Bars of a stage that failed are closed by
    `close`, or at the end of a ``with`` block.

    >>> from meetsplit import Pipeline
    >>> pipeline = Pipeline(on_event=TqdmListener(leave=False))
    """

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._bars: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        match event:
            case Started(stage, total, unit):
                bar = self._bar(stage, unit)
                bar.reset(total=total)
            case Progressed(stage, done, total):
                bar = self._bar(stage)
                bar.total = total or bar.total
                bar.update(done - bar.n)
            case Finished(stage, _, summary):
                bar = self._bar(stage)
                bar.total = bar.total or 1
                bar.update(bar.total - bar.n)
                bar.set_postfix_str(_printable(summary))
                self._bars.pop(stage).close()
            case Notice(text, stage):
                from tqdm import tqdm

                file = self._options.get("file") or sys.stderr
                tqdm.write(_printable(f"{stage}: {text}" if stage else text), file=file)

    def close(self) -> None:
        """Close every bar that is still open."""
        while self._bars:
            self._bars.popitem()[1].close()

    def _bar(self, stage: str, unit: str = "s") -> Any:
        if stage not in self._bars:
            from tqdm.auto import tqdm

            shape = "{desc:>12} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"
            self._bars[stage] = tqdm(**{"desc": stage, "unit": unit, "bar_format": shape, **self._options})
        return self._bars[stage]


def _printable(text: str) -> str:
    """The text with control characters, which a terminal would obey, written out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
