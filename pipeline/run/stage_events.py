"""What a stage tells its listener: that it starts, that it has finished, or that its result was kept before."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from meetsplit.pipeline.cache.stage_cache import StageCache
from meetsplit.pipeline.errors import blame
from meetsplit.pipeline.events import EventListener, Finished, Kept, Started


@contextmanager
def stage_events(on_event: EventListener, stage: str, doing: str) -> Iterator[Callable[[str], None]]:
    """Send the events of a stage and translate its exceptions; the block may add to the summary."""
    on_event(Started(stage))
    began, summary = time.monotonic(), list[str]()
    with blame(stage, doing):
        yield summary.append
    on_event(Finished(stage, time.monotonic() - began, ", ".join(summary)))


class KeptStages:
    """The stages of a run whose results were there before it, each told once."""

    def __init__(self, cache: StageCache, on_event: EventListener) -> None:
        self._cache, self._on_event = cache, on_event
        self._reported: set[str] = set()

    def report(self, stage: str, key: str, *, kept: bool) -> None:
        """Send `Kept` where a stage's result was there before this run; once for each stage."""
        if kept and stage not in self._reported:
            self._on_event(Kept(stage, self._cache.kept_since(stage, key)))
        self._reported.add(stage)
