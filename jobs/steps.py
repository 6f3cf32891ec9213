"""How is one order worked off? Stage by stage in the job's folder, so that whoever resumes it repeats no finished stage."""

from __future__ import annotations

import dataclasses
import errno
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from meetsplit.jobs.job import Order
from meetsplit.jobs.job_store import Store
from meetsplit.jobs.moving import move_finished
from meetsplit.pipeline.cache.content import RecordingContent, hash_recording
from meetsplit.pipeline.cache.stage_cache import StageCache
from meetsplit.pipeline.errors import AudioError, JobError, OutputError
from meetsplit.pipeline.events import Event, EventListener, Progressed, Started, ignore_events
from meetsplit.pipeline.formats.control_characters import shown
from meetsplit.pipeline.results.disk_space import check_disks
from meetsplit.pipeline.results.folder import ResultsFolder
from meetsplit.pipeline.results.stems import FAILED
from meetsplit.pipeline.results.writing import write_results
from meetsplit.pipeline.run import STAGES, Pipeline, RecordingRun
from meetsplit.pipeline.settings import Settings

STEPS = (*STAGES, "write")
"""What is done for one recording, in order. Stored with every job: a change here changes `database.VERSION`."""

_REPORT_EVERY = 1.0


@dataclass(slots=True)
class Listener:
    """Hears a job's events: keeps its progress on the disk, passes them on, and ends the job where it was cancelled."""

    store: Store
    key: str
    on_event: EventListener
    cancelled: Callable[[], bool]
    began: float = field(default_factory=time.monotonic)
    reported: float = 0.0
    stage: str = ""
    total: float | None = None

    def __call__(self, event: Event) -> None:
        """Take one event. Raises `JobError` in a job that was cancelled."""
        if self.cancelled():
            raise JobError("cancelled")
        match event:
            case Started(stage, total, _):
                self.stage, self.total, self.began = stage, total, time.monotonic()
                self._report(0.0)
            case Progressed(_, done, total) if time.monotonic() - self.reported >= _REPORT_EVERY:
                self.total = total or self.total
                self._report(done)
            case _:
                pass
        self.on_event(event)

    def _report(self, done: float) -> None:
        self.reported = time.monotonic()
        self.store.report(
            self.key,
            {"stage": self.stage, "done": done, "total": self.total, "seconds": round(self.reported - self.began, 3)},
        )


class Workshop:
    """Works on one recording at a time and keeps its models loaded from one to the next.

    ``own`` are settings of this machine (token, cache folder), laid over every order's. ``on_event`` hears what happens. Whoever
    sets ``cancelled`` to a job's name ends that job at its next event.
    """

    def __init__(self, store: Store, own: Mapping[str, Any], on_event: EventListener = ignore_events) -> None:
        self._store, self._own, self._on_event = store, dict(own), on_event
        self._heard: EventListener = ignore_events
        self._pipeline: Pipeline | None = None
        self._run: tuple[str, RecordingRun] | None = None
        self.cancelled: str | None = None

    def step(self, name: str, order: Order, job: str) -> dict[str, Any]:
        """Do one of `STEPS`; gives what a person wants to know of it. Raises what the stage raises, and `JobError`."""
        key = job.partition(".")[0]
        began = time.monotonic()
        listener = Listener(self._store, key, self._on_event, lambda: self.cancelled == job)
        self._heard = listener
        try:
            if name == "write":
                return self._write(order, job, listener)
            run = self._run[1] if self._run is not None and self._run[0] == job else self._begin(order, job)
            stage: Callable[[], object] = {
                "diarize": run.diarize,
                "separate": run.separate,
                "transcribe": run.transcribe,
            }[name]
            stage()
        finally:
            self._heard = ignore_events
        return {"seconds": round(time.monotonic() - began, 3)}

    def close(self, job: str) -> None:
        """Let go of a job's sound; its models stay."""
        if self._run is not None and self._run[0] == job:
            self._run = None

    def unload(self) -> None:
        """Let go of the models, too."""
        self._pipeline = None

    def _begin(self, order: Order, job: str) -> RecordingRun:
        """Check the recording and open its run."""
        folder = self._store.folder(job.partition(".")[0])
        content = _same(order)
        run = self._loaded(order.settings).open(order.recording, StageCache(folder, self._relay), content)
        check_disks(
            order.recording,
            order.settings,
            order.outputs,
            folder,
            elsewhere="--output-dir or --state-dir",
            stages=run.remaining_stages(),
        )
        self._run = job, run
        return run

    def _loaded(self, settings: Settings) -> Pipeline:
        """The pipeline with these settings; the one before is let go when they differ."""
        wanted = dataclasses.replace(settings, **self._own)
        if self._pipeline is None or self._pipeline.settings != wanted:
            self._pipeline = None
            self._pipeline = Pipeline(wanted, on_event=self._relay)
        return self._pipeline

    def _relay(self, event: Event) -> None:
        self._heard(event)

    def _write(self, order: Order, job: str, on_event: EventListener) -> dict[str, Any]:
        """Put the results in their places, then say so in the job's folder; whichever half a crash left is done again."""
        key = job.partition(".")[0]
        result = self._store.kept(key, "done")
        if result is None or result.get("job") != job:
            result = {"job": job, **self._filed(order, key, on_event)}
            self._store.keep(key, "done", result)
        (self._store.folder(key) / "failed.txt").unlink(missing_ok=True)
        if order.afterwards.move_to is not None:
            move_finished(order, order.afterwards.move_to / order.outputs.folder.relative_to(order.root))
        self._store.clear(key)
        return result

    def _filed(self, order: Order, key: str, on_event: EventListener) -> dict[str, Any]:
        content = _same(order)
        stage_cache = StageCache(self._store.folder(key), on_event)
        run = self._loaded(order.settings).open(order.recording, stage_cache, content)
        with ResultsFolder(order.outputs.folder).reservation(
            order.result_request(), before=lambda: _same(order)
        ) as reserved:
            written = write_results(run, order.outputs, reserved, on_event)
        transcript, placement = written.transcript, written.placement
        return {
            "stem": placement.stem,
            "note": (
                f"results are called {placement.stem}.*, because {placement.reason}"
                if placement.reason is not None
                else None
            ),
            "files": [str(file) for file in written.files],
            "duration": transcript.duration,
            "people": len(transcript.speakers),
            "words": sum(len(segment.words) for segment in transcript.segments),
            "check": sum(bool(segment.review) for segment in transcript.segments),
        }


def set_aside(order: Order, job: str, sentence: str, times: int) -> str | None:
    """Write NAME.failed.txt beside the results; why it could not be written, where it could not."""
    text = (
        f"{order.recording}\n\nwas tried {times} {'time' if times == 1 else 'times'} and set aside:\n\n{sentence}\n\n"
        f"The recording was neither moved nor changed. When the cause is gone: meetsplit jobs retry {job}\n"
    )
    wanted = dataclasses.replace(order.result_request(), suffixes=(FAILED,), tracks=False, overwrite=False)
    try:
        with ResultsFolder(order.outputs.folder).reservation(wanted) as reserved:
            reserved.publish(lambda label: {FAILED: shown(text)})
    except OutputError as error:
        return str(error)
    return None


def _same(order: Order) -> RecordingContent:
    """The recording's content. Raises `AudioError` where it is gone or is not the one that was queued."""
    try:
        content = hash_recording(order.recording)
    except AudioError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno == errno.ENOENT:
            raise AudioError(f"{order.recording}: is no longer there; put it back, or cancel the job") from error
        raise
    if content.sha256 != order.content:
        raise AudioError(
            f"{order.recording}: has changed since it was queued; queue it again when nothing writes to it any more"
        )
    return content
