"""A process that works on the queue: its worker's options, its messages about jobs, and the pauses of its loops."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meetsplit.console.job_options import QueueOptions, open_store
from meetsplit.console.options import GivenOptions, resolve_settings
from meetsplit.console.terminal import Terminal, stop_bars, time_of_day
from meetsplit.pipeline.errors import MeetsplitError

if TYPE_CHECKING:
    from dbos import DBOSClient

    from meetsplit.console.progress import Reporter
    from meetsplit.jobs.job import JobSpec
    from meetsplit.jobs.requests import Request
    from meetsplit.jobs.watch import ScanResult
    from meetsplit.jobs.worker import Worker, WorkerOptions
    from meetsplit.pipeline.events import EventListener

_WORKER_SETTINGS = ("hf_token", "cache_dir", "offline", "device", "model_dir", "threads", "batch_size")
"""Settings of a worker that are laid over those of a job."""


def worker_options(
    queue: QueueOptions,
    options: GivenOptions,
    on_event: EventListener,
    finished: Callable[[str, JobSpec, str | None], None],
) -> WorkerOptions:
    """The options of the worker in this process."""
    from meetsplit.jobs import schedule
    from meetsplit.jobs.resources import MemoryLimit
    from meetsplit.jobs.worker import WorkerOptions
    from meetsplit.jobs.workflows import JobListeners
    from meetsplit.pipeline.data.units import size
    from meetsplit.pipeline.formats import names

    settings, _ = resolve_settings(options, names())
    overrides = {name: getattr(settings, name) for name in _WORKER_SETTINGS}
    overrides = {name: value for name, value in overrides.items() if value not in (None, "auto", False)}
    _, store = open_store(queue)

    def scan(client: DBOSClient, context: Mapping[str, Any], run: str) -> dict[str, Any]:
        try:
            result = schedule.scan(client, context, store, _one_second)
        except Exception as error:
            why = str(error) if isinstance(error, MeetsplitError) else f"{type(error).__name__}: {error}"
            say(f"failed: the scan of {context.get('folder')} of {run}: {why}")
            raise
        print_notes(result["complaints"], result["unsettled"])
        return result

    memory_limit = MemoryLimit(size(queue.max_memory) if queue.max_memory else None)
    listeners = JobListeners(finished, print_undelivered)
    return WorkerOptions(overrides, memory_limit, on_event, listeners, scan, before_exit=stop_bars)


def _one_second() -> bool:
    """The pause between two scans of a scheduled folder."""
    time.sleep(1.0)
    return True


def print_undelivered(job: str, recording: str, sentence: str) -> None:
    """Say that the notification of a job's end could not be delivered."""
    say(f"not delivered: {recording} ({job}): {sentence}")


def check_models(request: Request, on_event: EventListener) -> None:
    """Check that the models are here before anything is queued: a missing one is no fault of a recording.

    Raises as `selection.preflight` does.
    """
    from meetsplit.pipeline.models.selection import preflight

    preflight(request.settings, on_event)


def progress(quiet: bool) -> Reporter:
    """Progress on stderr; a log where that is no terminal."""
    from meetsplit.console.progress import Reporter

    return Reporter(Terminal(stderr=True), quiet=quiet, is_log=True)


def outcome_printer(
    reporter: Reporter, quiet: bool, *, total: int | None = None, failed: list[str] | None = None
) -> Callable[[str, JobSpec, str | None], None]:
    """A listener for the end of jobs: takes a job's bars away, prints how it ended, and adds its id to ``failed`` where
    it failed.
    """
    ended: list[str] = []

    def print_outcome(job: str, spec: JobSpec, error: str | None) -> None:
        ended.append(job)
        reporter.finish(str(spec.recording))
        path = _nearby(spec.recording)
        if error is not None:
            if failed is not None:
                failed.append(job)
            reason = error.removeprefix(str(spec.recording))
            say(f"failed: {path}{reason}" if reason != error else f"failed: {path}: {error}")
        elif not quiet:
            count = f" {len(ended)} of {total}" if total else ""
            say(f"done{count}: {path} → {_nearby(spec.outputs.folder / spec.stem)}.*")

    return print_outcome


def _nearby(path: Path) -> str:
    """The path from the current folder on, where it lies there and a person reads it; a log has it whole."""
    if not Terminal(stderr=True).is_terminal:
        return str(path)
    try:
        return str(path.relative_to(Path.cwd()))
    except (OSError, ValueError):  # the current folder is gone, or it is another one
        return str(path)


def pause(worker: Worker, stop_requested: Callable[[], bool], seconds: float = 0.5) -> Callable[[], bool]:
    """A pause between two polls that ends early when the process is asked to stop; False then."""

    def wait() -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not stop_requested() and not worker.full:
            time.sleep(min(0.05, seconds))
        return not stop_requested() and not worker.full

    return wait


def wait_for_notifications(worker: Worker, jobs: Iterable[str], pause: Callable[[], bool]) -> None:
    """Wait until the commands and webhooks of these jobs have been run, before the process ends."""
    from meetsplit.jobs.deliveries import notification_id

    pending = [notification_id(job) for job in jobs]
    while pending:
        workflows = worker.client.list_workflows(
            workflow_ids=pending, status=["ENQUEUED", "PENDING"], load_input=False, load_output=False
        )
        pending = [workflow.workflow_id for workflow in workflows]
        if pending and not pause():
            return


def print_late_retries(delays: Mapping[str, float]) -> None:
    """Say how many recordings have a retry that this process does not wait for; ``delays`` in seconds by job."""
    if delays:
        many = "1 recording that failed is" if len(delays) == 1 else f"{len(delays)} recordings that failed are"
        seconds = max(0.0, min(delays.values()))
        say(
            f"note: {many} tried again by the next `meetsplit watch` or `meetsplit worker`, "
            f"in {seconds:.0f} s at the earliest"
        )


def watch_forever(scan: Callable[[], ScanResult], pause: Callable[[], bool]) -> None:
    """Scan until asked to stop; a complaint is printed once for as long as it lasts."""
    printed: tuple[str, ...] = ()
    while True:
        result = scan()
        if result.complaints != printed:
            print_notes([complaint for complaint in result.complaints if complaint not in printed], 0)
            printed = result.complaints
        if not pause():
            return


def print_notes(complaints: Sequence[str], unsettled: int) -> None:
    """Say what could not be read, and how many files are still being written to."""
    for complaint in complaints:
        say(f"note: {complaint}")
    if unsettled:
        files = "file is" if unsettled == 1 else "files are"
        say(f"note: {unsettled} {files} still being written to and left for the next time")


def say(text: str) -> None:
    """Print one plain line on stderr, with the time of day where that is a log."""
    terminal = Terminal(stderr=True)
    moment = "" if terminal.is_terminal else f"{time_of_day()} "
    terminal.say(f"{moment}{text}")
