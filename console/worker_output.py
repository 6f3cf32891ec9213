"""What a working process is told, and what it says: its worker's settings, how jobs ended, when to stop waiting."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from meetsplit.console.job_options import place
from meetsplit.console.terminal import Terminal
from meetsplit.pipeline.errors import MeetsplitError

if TYPE_CHECKING:
    from dbos import DBOSClient

    from meetsplit.console.progress import Reporter
    from meetsplit.jobs.job import JobSpec
    from meetsplit.jobs.requests import Request
    from meetsplit.jobs.worker import Worker, WorkerOptions
    from meetsplit.pipeline.events import EventListener


def worker_options(
    queue: Mapping[str, Any],
    asked: Mapping[str, Any],
    on_event: EventListener,
    finished: Callable[[str, JobSpec, str | None], None],
) -> WorkerOptions:
    """What a worker of this process is told."""
    from meetsplit.console.options import resolve_settings
    from meetsplit.jobs import schedule
    from meetsplit.jobs.resources import MemoryLimit
    from meetsplit.jobs.worker import WorkerOptions
    from meetsplit.jobs.workflows import Listeners
    from meetsplit.pipeline.data.units import size

    settings, _ = resolve_settings({name: asked[name] for name in ("config", *_OWN) if name in asked}, _known_formats())
    own = {name: getattr(settings, name) for name in _OWN if getattr(settings, name) not in (None, "auto", False)}
    _, store = place(queue)
    limits = MemoryLimit(size(queue["max_memory"]) if queue["max_memory"] else None)

    def scan(client: DBOSClient, context: Mapping[str, Any], run: str) -> dict[str, Any]:
        def breathe() -> bool:
            time.sleep(1.0)
            return True

        try:
            found = schedule.scan(client, context, store, breathe)
        except Exception as error:
            why = str(error) if isinstance(error, MeetsplitError) else f"{type(error).__name__}: {error}"
            say(f"failed: the look into {context.get('folder')} of {run}: {why}")
            raise
        print_notes(found["complaints"], found["unsettled"])
        return found

    return WorkerOptions(own, limits, on_event, Listeners(finished, undelivered), scan)


def undelivered(job: str, recording: str, sentence: str) -> None:
    """Say that a command or webhook could not be told of a job's end."""
    say(f"not delivered: {recording} ({job}): {sentence}")


_OWN = ("hf_token", "cache_dir", "offline", "device")
"""Settings that a worker lays over those of an order."""


def _known_formats() -> tuple[str, ...]:
    from meetsplit.pipeline.formats import names

    return names()


def check_models(wanted: Request, on_event: EventListener) -> None:
    """See that the models are here before anything is queued: a missing one is no fault of a recording.

    Raises as `preflight.preflight` does.
    """
    from meetsplit.pipeline.models.selection import preflight

    preflight(wanted.settings, on_event)


def progress(quiet: bool) -> Reporter:
    """Progress on stderr."""
    from meetsplit.console.progress import Reporter

    return Reporter(Terminal(stderr=True), quiet=quiet)


def print_outcomes(
    total: int | None, quiet: bool, failed: list[str] | None = None
) -> Callable[[str, JobSpec, str | None], None]:
    """Says how each job ended, and keeps the failed ones."""
    count: list[str] = []

    def hear(job: str, order: JobSpec, error: str | None) -> None:
        count.append(job)
        if error is not None and failed is not None:
            failed.append(job)
        if error is not None:
            say(f"failed: {order.recording}: {error}")
        elif not quiet:
            say(
                f"done{f' {len(count)} of {total}' if total else ''}: {order.recording} → {order.outputs.folder / order.stem}.*"
            )

    return hear


def pause(worker: Worker, stopped: Callable[[], bool], seconds: float = 0.5) -> Callable[[], bool]:
    """A pause between two looks that ends early when the process is asked to stop; False then."""

    def pause() -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not stopped() and not worker.full:
            time.sleep(min(0.05, seconds))
        return not stopped() and not worker.full

    return pause


def news(worker: Worker, jobs: Iterable[str], pause: Callable[[], bool]) -> None:
    """Let commands and webhooks of these jobs be told before the process ends."""
    asked = [f"{job}.news" for job in jobs]
    while asked:
        found = worker.client.list_workflows(
            workflow_ids=asked, status=["ENQUEUED", "PENDING"], load_input=False, load_output=False
        )
        asked = [workflow.workflow_id for workflow in found]
        if asked and not pause():
            return


def left_over(delays: Mapping[str, float]) -> None:
    """Say how many recordings wait for another attempt that this process does not wait for."""
    if delays:
        many = "1 recording that failed is" if len(delays) == 1 else f"{len(delays)} recordings that failed are"
        seconds = max(0.0, min(delays.values()))
        say(
            f"note: {many} tried again by the next `meetsplit watch` or `meetsplit worker`, in {seconds:.0f} s at the earliest"
        )


def watch_on(look: Callable[[], Any], pause: Callable[[], bool]) -> None:
    """Look until asked to stop; a complaint is said once for as long as it lasts."""
    said: tuple[str, ...] = ()
    while True:
        seen = look()
        if seen.complaints != said:
            print_notes([complaint for complaint in seen.complaints if complaint not in said], 0)
            said = seen.complaints
        if not pause():
            return


def print_notes(complaints: Sequence[str], unsettled: int) -> None:
    """Say what could not be looked at."""
    for complaint in complaints:
        say(f"note: {complaint}")
    if unsettled:
        say(
            f"note: {unsettled} {'file is' if unsettled == 1 else 'files are'} still being written to and left for the next time"
        )


def say(text: str) -> None:
    """One plain line on stderr."""
    Terminal(stderr=True).print(text, highlight=False, markup=False, soft_wrap=True)
