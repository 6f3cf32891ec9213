"""Commands about jobs: list, show, cancel, retry, clean."""

from __future__ import annotations

import dataclasses
import json
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table

from meetsplit.console.job_options import QueueOptions, open_store, queue_options
from meetsplit.console.quantities import ago, counted
from meetsplit.console.terminal import print_line, wide
from meetsplit.pipeline.errors import JobError

if TYPE_CHECKING:
    from dbos import DBOSClient

    from meetsplit.jobs.job_store import JobStore
    from meetsplit.jobs.status import JobStatus

Names = Annotated[
    list[str] | None,
    typer.Argument(help="Jobs, by the beginning of their names.", show_default=False, metavar="JOB"),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@queue_options("state_dir", "database")
def list_jobs(
    *,
    state: Annotated[
        str | None,
        typer.Option(help="Only waiting, running, interrupted, done, failed or cancelled ones.", metavar="STATE"),
    ] = None,
    limit: Annotated[int, typer.Option(help="At most this many, the newest; 0 for all.", min=0, metavar="N")] = 0,
    as_json: Json = False,
    queue: QueueOptions,
) -> None:
    """List every job with its stage, how far it is, the time left, and why it failed."""
    from meetsplit.jobs.database import NoQueue, client
    from meetsplit.jobs.liveness import worker_lock
    from meetsplit.jobs.status import job_statuses

    base, store = open_store(queue)
    jobs: list[JobStatus] = []
    try:
        with client(base, store) as connection, closing(worker_lock(base, store.ready())) as lock:
            jobs = list(job_statuses(connection, store, is_dead=lock.is_free))
    except NoQueue as no_queue:
        if not as_json:
            print_line(str(no_queue))
            return
    jobs = [job for job in jobs if state is None or job.state.startswith(state)]
    shown = jobs[-limit:] if limit else jobs
    if as_json:
        print_json([job.to_json() for job in shown])
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("job", "recording", "state", "stage", "left", "queued", "told", "why"):
        table.add_column(heading, overflow="fold")
    for job in shown:
        stage = f"{job.stage} {100 * job.share:.0f} %" if job.stage and job.share is not None else job.stage or ""
        left = ago(job.left) if job.left is not None else ""
        reason = job.error or job.note or ""
        table.add_row(job.job, job.recording, job.state, stage, left, _when(job.queued), job.delivery or "", reason)
    wide().print(table)
    print_line(counted(len(jobs), "job"))
    undelivered = [job for job in shown if job.delivery == "failed"]
    if undelivered:
        count = "1 delivery" if len(undelivered) == 1 else f"{len(undelivered)} deliveries"
        print_line(f"{count} failed: `meetsplit jobs show {undelivered[-1].job}` says why")


@queue_options("state_dir", "database")
def show(
    name: Annotated[str, typer.Argument(help="The job, by the beginning of its name.", metavar="JOB")],
    *,
    as_json: Json = False,
    queue: QueueOptions,
) -> None:
    """Show everything about one job."""
    from meetsplit.jobs.database import client
    from meetsplit.jobs.deliveries import attempts
    from meetsplit.jobs.liveness import worker_lock
    from meetsplit.jobs.status import find_job
    from meetsplit.jobs.submission import key_of

    base, store = open_store(queue)
    with client(base, store) as connection, closing(worker_lock(base, store.ready())) as lock:
        job = find_job(connection, store, name, is_dead=lock.is_free)
        steps = [step["function_name"] for step in connection.list_workflow_steps(job.job) if step["error"] is None]
        deliveries = [dataclasses.asdict(attempt) for attempt in attempts(connection, job.job)]
    facts = {
        **job.to_json(),
        "finished": steps,
        "attempts": deliveries,
        "job_folder": str(store.folder(key_of(job.job))),
    }
    if as_json:
        print_json(facts)
        return
    for label, value in facts.items():
        if label == "attempts":
            for attempt in deliveries:
                print_line(f"{'told':>10}  {_when(attempt['at'])} {attempt['kind']}: {attempt['answer']}")
        elif label == "queued":
            print_line(f"{label:>10}  {_when(job.queued)}")
        elif value not in (None, "", (), []):
            text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            print_line(f"{label:>10}  {text}")


@queue_options("state_dir", "database")
def cancel(
    names: Names = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All that have not ended.")] = False,
    queue: QueueOptions,
) -> None:
    """Cancel jobs: waiting ones at once, running ones at their next sign of life. Finished stages are kept."""
    from meetsplit.jobs import status
    from meetsplit.jobs.database import client

    base, store = open_store(queue)
    with client(base, store) as connection:
        for job in status.cancel(connection, _chosen(connection, store, names, everything=every)):
            print_line(f"{job.job} cancelled: {job.recording}")


@queue_options("state_dir", "database")
def retry(
    names: Names = None,
    *,
    failed: Annotated[bool, typer.Option("--failed", help="All that failed.")] = False,
    queue: QueueOptions,
) -> None:
    """Queue failed or cancelled jobs again; they go on at the stage where they ended."""
    from meetsplit.jobs import status
    from meetsplit.jobs.database import client

    base, store = open_store(queue)
    with client(base, store) as connection:
        chosen = _chosen(connection, store, names, everything=failed)
        to_retry = [job for job in chosen if job.state == "failed" or not failed]
        for job in status.retry(connection, store, to_retry):
            print_line(f"{job} queued")


@queue_options("state_dir", "database")
def clean(
    *,
    older_than: Annotated[
        float, typer.Option(help="Only what ended more than this many days ago.", min=0, metavar="DAYS")
    ] = 30.0,
    keep_done: Annotated[bool, typer.Option("--keep-done", help="Forget only what failed or was cancelled.")] = False,
    queue: QueueOptions,
) -> None:
    """Forget old jobs and remove their folders. Transcripts stay; a forgotten recording is new to `batch` and
    `watch`.
    """
    from meetsplit.jobs import status
    from meetsplit.jobs.database import client

    base, store = open_store(queue)
    with client(base, store) as connection:
        forgotten = status.clean(connection, store, older_than=older_than * 86400, done=not keep_done)
        print_line(f"{counted(forgotten, 'job')} forgotten")


def print_json(value: Any) -> None:
    """Print a value as JSON on stdout; control characters only as JSON's escapes."""
    from meetsplit.pipeline.formats.control_characters import json_escaped

    typer.echo(json_escaped(json.dumps(value, ensure_ascii=False, indent=1)))


def _chosen(connection: DBOSClient, store: JobStore, names: list[str] | None, *, everything: bool) -> list[JobStatus]:
    """The jobs that a command is about: the named ones, or ``everything``.

    Raises `JobError` for neither and for both.
    """
    from meetsplit.jobs.status import find_job, job_statuses

    if bool(names) == everything:
        raise JobError("name jobs, or ask for all of them: `meetsplit jobs list` shows them")
    if everything:
        return list(job_statuses(connection, store))
    return [find_job(connection, store, name) for name in names or ()]


def _when(seconds: float) -> str:
    """A Unix time in the local time zone."""
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
