"""Progress events and notices that a run passes to its listener. Nothing in `pipeline/` prints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


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
