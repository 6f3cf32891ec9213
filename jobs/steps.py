"""The steps of a job: the stages of its recording, then writing.

Finished stages are kept in the job's folder and not repeated.
"""

from __future__ import annotations

import dataclasses
import errno
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from meetsplit.jobs.job import JobSpec
from meetsplit.jobs.job_store import JobStore
from meetsplit.jobs.moving import move_recording
from meetsplit.jobs.submission import key_of
from meetsplit.pipeline.cache.content import RecordingContent, hash_recording
from meetsplit.pipeline.cache.stage_cache import STAGES, StageCache
from meetsplit.pipeline.errors import AudioError, JobError, OutputError
from meetsplit.pipeline.events import Event, EventListener, Progressed, Started, ignore_events
from meetsplit.pipeline.formats.control_characters import shown
from meetsplit.pipeline.results.disk_space import check_disks
from meetsplit.pipeline.results.folder import ResultsFolder
from meetsplit.pipeline.results.stems import FAILED
from meetsplit.pipeline.results.writing import write_results
from meetsplit.pipeline.run import Pipeline, RecordingRun
from meetsplit.pipeline.settings import Settings

STEPS = (*STAGES, "write")
"""The steps of a job, in order. Stored with every job: a change here changes `database.VERSION`."""

_WRITE_EVERY = 1.0
"""Seconds between two writes of a job's progress."""


@dataclass(slots=True)
class ProgressRecorder:
    """Event listener of one job: writes its progress to the job's folder, passes events on, and ends a cancelled
    job.
    """

    store: JobStore
    key: str
    on_event: EventListener
    cancelled: Callable[[], bool]
    stage: str = ""
    total: float | None = None
    stage_began: float = field(default_factory=time.monotonic)
    written: float = 0.0

    def __call__(self, event: Event) -> None:
        """Take one event. Raises `JobError` in a job that was cancelled."""
        if self.cancelled():
            raise JobError("cancelled")
        match event:
            case Started(stage, total, _):
                self.stage, self.total, self.stage_began = stage, total, time.monotonic()
                self._write(0.0)
            case Progressed(_, done, total) if time.monotonic() - self.written >= _WRITE_EVERY:
                self.total = total or self.total
                self._write(done)
            case _:
                pass
        self.on_event(event)

    def _write(self, done: float) -> None:
        self.written = time.monotonic()
        seconds = round(self.written - self.stage_began, 3)
        row = {"stage": self.stage, "done": done, "total": self.total, "seconds": seconds}
        self.store.write_progress(self.key, row)


class StepRunner:
    """Runs the steps of one job at a time and keeps its models loaded from one job to the next.

    ``worker_settings`` are settings of this machine (token, cache folder), laid over every job's. ``on_event`` gets the
    events of all stages. The job whose id is in ``cancelled`` ends at its next event.
    """

    def __init__(
        self, store: JobStore, worker_settings: Mapping[str, Any], on_event: EventListener = ignore_events
    ) -> None:
        self._store, self._worker_settings, self._on_event = store, dict(worker_settings), on_event
        self._recorder: EventListener = ignore_events
        self._pipeline: Pipeline | None = None
        self._run: tuple[str, RecordingRun] | None = None
        self.cancelled: str | None = None

    def run(self, name: str, spec: JobSpec, job: str) -> dict[str, Any]:
        """Run one of `STEPS`; the result is stored with the job. Raises what the stage raises, and `JobError`."""
        began = time.monotonic()
        recorder = ProgressRecorder(self._store, key_of(job), self._on_event, lambda: self.cancelled == job)
        self._recorder = recorder
        try:
            if name == "write":
                return self._write(spec, job, recorder)
            run = self._recording_run(spec, job)
            stage: Callable[[], object] = {
                "diarize": run.diarize,
                "separate": run.separate,
                "transcribe": run.transcribe,
            }[name]
            stage()
        finally:
            self._recorder = ignore_events
        return {"seconds": round(time.monotonic() - began, 3)}

    def close(self, job: str) -> None:
        """Release a job's audio; the models stay loaded."""
        if self._run is not None and self._run[0] == job:
            self._run = None

    def unload(self) -> None:
        """Release the models, too."""
        self._pipeline = None

    def _recording_run(self, spec: JobSpec, job: str) -> RecordingRun:
        """The job's run: the one that is open, else a new one after checks of the recording and the disks."""
        if self._run is not None and self._run[0] == job:
            return self._run[1]
        folder = self._store.folder(key_of(job))
        run = self._open(spec, StageCache(folder, self._relay))
        check_disks(
            spec.recording,
            spec.settings,
            spec.outputs,
            folder,
            elsewhere="--output-dir or --state-dir",
            stages=run.remaining_stages(),
        )
        self._run = job, run
        return run

    def _open(self, spec: JobSpec, stage_cache: StageCache) -> RecordingRun:
        """A run of the job's recording, which has to be the one that was queued."""
        content = _check_unchanged(spec)
        return self._pipeline_for(spec.settings).open(spec.recording, stage_cache, content, outputs=spec.outputs)

    def _pipeline_for(self, settings: Settings) -> Pipeline:
        """The pipeline with these settings; the one before is released when they differ."""
        merged = dataclasses.replace(settings, **self._worker_settings)
        if self._pipeline is None or self._pipeline.settings != merged:
            self._pipeline = None  # before the next one loads its models
            self._pipeline = Pipeline(merged, on_event=self._relay)
        return self._pipeline

    def _relay(self, event: Event) -> None:
        """Pass an event to the recorder of the job that is running: a pipeline outlives its jobs."""
        self._recorder(event)

    def _write(self, spec: JobSpec, job: str, on_event: EventListener) -> dict[str, Any]:
        """Publish the results, then write ``done.json``. Idempotent: a part that a crash left undone is done again."""
        key = key_of(job)
        result = self._store.read(key, "done")
        if result is None or result.get("job") != job:
            result = {"job": job, **self._publish_results(spec, key, on_event)}
            self._store.write(key, "done", result)
        (self._store.folder(key) / "failed.txt").unlink(missing_ok=True)
        move_to = spec.on_completion.move_to
        if move_to is not None:
            move_recording(spec, move_to / spec.outputs.folder.relative_to(spec.root))
        self._store.clear(key)
        return result

    def _publish_results(self, spec: JobSpec, key: str, on_event: EventListener) -> dict[str, Any]:
        run = self._open(spec, StageCache(self._store.folder(key), on_event))
        folder = ResultsFolder(spec.outputs.folder)
        with folder.reservation(spec.result_request(), before=lambda: _check_unchanged(spec)) as reservation:
            written = write_results(run, spec.outputs, reservation, on_event)
        transcript, placement = written.transcript, written.placement
        note = None
        if placement.reason is not None:
            note = f"results are called {placement.stem}.*, because {placement.reason}"
        return {
            "stem": placement.stem,
            "note": note,
            "files": [str(file) for file in written.files],
            "duration": transcript.duration,
            "people": len(transcript.speakers),
            "words": sum(len(segment.words) for segment in transcript.segments),
            "check": sum(bool(segment.review) for segment in transcript.segments),
        }


def mark_failed(spec: JobSpec, job: str, sentence: str, times: int) -> str | None:
    """Write NAME.failed.txt beside the results; returns why it could not be written, where it could not."""
    text = (
        f"{spec.recording}\n\nwas tried {times} {'time' if times == 1 else 'times'} and set aside:\n\n{sentence}\n\n"
        f"The recording was neither moved nor changed. When the cause is gone: meetsplit jobs retry {job}\n"
    )
    request = dataclasses.replace(spec.result_request(), suffixes=(FAILED,), tracks=False, overwrite=False)
    try:
        with ResultsFolder(spec.outputs.folder).reservation(request) as reservation:
            reservation.publish(lambda label: {FAILED: shown(text)})
    except OutputError as error:
        return str(error)
    return None


def _check_unchanged(spec: JobSpec) -> RecordingContent:
    """The recording's content. Raises `AudioError` where it is gone or is not the one that was queued."""
    try:
        content = hash_recording(spec.recording)
    except AudioError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno == errno.ENOENT:
            raise AudioError(f"{spec.recording}: is no longer there; put it back, or cancel the job") from error
        raise
    if content.sha256 != spec.content:
        raise AudioError(
            f"{spec.recording}: has changed since it was queued; queue it again when nothing writes to it any more"
        )
    return content
