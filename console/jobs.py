"""Commands that look at jobs and change them: list, show, cancel, retry, clean."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table

from meetsplit.console.cache import ago, print_line, wide
from meetsplit.console.job_options import place, queue_options
from meetsplit.pipeline.errors import JobError
from meetsplit.pipeline.formats.control_characters import json_escaped

if TYPE_CHECKING:
    from meetsplit.jobs.status import JobStatus

jobs_app = typer.Typer(no_args_is_help=True, help="What is queued, running, done and failed.")
Names = Annotated[list[str] | None, typer.Argument(help="Jobs, by the beginning of their names.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]


@jobs_app.command("list")
@queue_options("state_dir", "database")
def list_jobs(
    *,
    state: Annotated[
        str | None, typer.Option(help="Only waiting, running, interrupted, done, failed or cancelled ones.")
    ] = None,
    limit: Annotated[int, typer.Option(help="At most this many, the newest; 0 for all.", min=0)] = 0,
    as_json: Json = False,
    queue: Mapping[str, Any],
) -> None:
    """List every job with its stage, how far it is, the time left, and why it failed."""
    from meetsplit.jobs.database import NoQueue, client
    from meetsplit.jobs.liveness import worker_lock
    from meetsplit.jobs.status import job_statuses

    base, store = place(queue)
    found: list[JobStatus] = []
    try:
        with client(base, store) as opened, closing(worker_lock(base, store.ready())) as own:
            found = [row for row in job_statuses(opened, store, is_free=own.is_free) if state is None or row.state.startswith(state)]
    except NoQueue as nothing:
        if not as_json:
            print_line(str(nothing))
            return
    shown = found[-limit:] if limit else found
    if as_json:
        print_json([row.to_json() for row in shown])
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("job", "recording", "state", "stage", "left", "queued", "told", "why"):
        table.add_column(heading, overflow="fold")
    for row in shown:
        stage = f"{row.stage} {100 * row.share:.0f} %" if row.stage and row.share is not None else row.stage or ""
        left = ago(row.left) if row.left is not None else ""
        about = row.error or row.note or ""
        table.add_row(row.job, row.recording, row.state, stage, left, _when(row.queued), row.delivery or "", about)
    wide().print(table)
    print_line(f"{len(found)} jobs")
    failed = [row for row in shown if row.delivery == "failed"]
    if failed:
        sums = "1 delivery" if len(failed) == 1 else f"{len(failed)} deliveries"
        print_line(f"{sums} failed: `meetsplit jobs show {failed[-1].job}` says why")


@jobs_app.command("show")
@queue_options("state_dir", "database")
def show(
    name: Annotated[str, typer.Argument(help="The job, by the beginning of its name.")],
    *,
    as_json: Json = False,
    queue: Mapping[str, Any],
) -> None:
    """Show everything about one job."""
    from meetsplit.jobs.database import client
    from meetsplit.jobs.deliveries import attempts
    from meetsplit.jobs.liveness import worker_lock
    from meetsplit.jobs.status import find_job

    base, store = place(queue)
    with client(base, store) as opened, closing(worker_lock(base, store.ready())) as own:
        row = find_job(opened, store, name, is_free=own.is_free)
        steps = [step["function_name"] for step in opened.list_workflow_steps(row.job) if step["error"] is None]
        worker_options = [dataclasses.asdict(attempt) for attempt in attempts(opened, row.job)]
    facts = {
        **row.to_json(),
        "finished": steps,
        "attempts": worker_options,
        "job_folder": str(store.folder(row.job.partition(".")[0])),
    }
    if as_json:
        print_json(facts)
        return
    facts["attempts"] = [f"{_when(attempt['at'])} {attempt['kind']}: {attempt['answer']}" for attempt in worker_options]
    for label, value in facts.items():
        if label == "attempts":
            for line in value:
                print_line(f"{'told':>10}  {line}")
        elif value not in (None, "", (), []):
            listed = isinstance(value, list | tuple)
            shown = _when(row.queued) if label == "queued" else ", ".join(map(str, value)) if listed else str(value)
            print_line(f"{label:>10}  {shown}")


@jobs_app.command("cancel")
@queue_options("state_dir", "database")
def cancel(
    names: Names = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All that have not ended.")] = False,
    queue: Mapping[str, Any],
) -> None:
    """Cancel jobs: waiting ones at once, running ones at their next sign of life. Finished stages are kept."""
    from meetsplit.jobs import status
    from meetsplit.jobs.database import client

    base, store = place(queue)
    with client(base, store) as opened:
        for row in status.cancel(opened, _chosen(opened, store, names, everything=every)):
            print_line(f"{row.job} cancelled: {row.recording}")


@jobs_app.command("retry")
@queue_options("state_dir", "database")
def retry(
    names: Names = None,
    *,
    failed: Annotated[bool, typer.Option("--failed", help="All that failed.")] = False,
    queue: Mapping[str, Any],
) -> None:
    """Queue failed or cancelled jobs again; they go on at the stage where they ended."""
    from meetsplit.jobs import status
    from meetsplit.jobs.database import client

    base, store = place(queue)
    with client(base, store) as opened:
        chosen = _chosen(opened, store, names, everything=failed)
        again = [row for row in chosen if row.state == "failed" or not failed]
        for job in status.retry(opened, store, again):
            print_line(f"{job} queued")


@jobs_app.command("clean")
@queue_options("state_dir", "database")
def clean(
    *,
    older_than: Annotated[float, typer.Option(help="Only what ended more than this many days ago.", min=0)] = 30.0,
    keep_done: Annotated[bool, typer.Option("--keep-done", help="Forget only what failed or was cancelled.")] = False,
    queue: Mapping[str, Any],
) -> None:
    """Forget old jobs and remove their folders.

    Transcripts stay; a forgotten recording is new to `batch` and `watch`.
    """
    from meetsplit.jobs import status
    from meetsplit.jobs.database import client

    base, store = place(queue)
    with client(base, store) as opened:
        print_line(f"{status.clean(opened, store, older_than=older_than * 86400, done=not keep_done)} jobs forgotten")


def print_json(value: Any) -> None:
    """A value for programs on stdout, as it is; control characters only as JSON's escapes."""
    typer.echo(json_escaped(json.dumps(value, ensure_ascii=False, indent=1)))


def _chosen(opened: Any, store: Any, names: list[str] | None, *, everything: bool) -> list[JobStatus]:
    from meetsplit.jobs.status import find_job, job_statuses

    if bool(names) == everything:
        raise JobError("name jobs, or ask for all of them: `meetsplit jobs list` shows them")
    return list(job_statuses(opened, store)) if everything else [find_job(opened, store, name) for name in names or ()]


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
