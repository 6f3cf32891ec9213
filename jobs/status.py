"""What is in the queue? Rows for people and programs, and what can be done to jobs."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from dbos import DBOSClient

from meetsplit.jobs import deliveries
from meetsplit.jobs.job import Order
from meetsplit.jobs.job_store import Store
from meetsplit.jobs.outcomes import ENDED, STATES, said
from meetsplit.jobs.submission import WORKFLOW, Desk, attempt
from meetsplit.jobs.workflows import SCAN_WORKFLOW
from meetsplit.pipeline.errors import JobError
from meetsplit.pipeline.files.locks import try_lock

INTERRUPTED = "interrupted"
"""A job whose worker lives no more: the next worker goes on with it."""

_LIVE = {"ENQUEUED": "waiting", "PENDING": "running", "DELAYED": "waiting to retry"}


@dataclass(frozen=True, slots=True)
class Row:
    """One job: the newest attempt at an order.

    ``share`` (0–1) and ``left`` (seconds) are of the running ``stage``, None where that cannot be told. ``queued`` is a
    Unix time; ``files`` are what was written, ``note`` why they have another name than the recording. ``delivery`` is how
    its command and its webhook stand; None without any.
    """

    job: str
    state: str
    recording: str
    folder: str
    attempt: int
    queued: float
    stage: str | None = None
    share: float | None = None
    left: float | None = None
    error: str | None = None
    files: tuple[str, ...] = ()
    note: str | None = None
    delivery: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The row for programs."""
        return dataclasses.asdict(self)


Dead: TypeAlias = Callable[[str], bool]
"""Whether the worker of that name lives no more."""


def rows(
    client: DBOSClient, store: Store, *, prefix: str | None = None, dead: Dead = lambda worker: False
) -> tuple[Row, ...]:
    """Every order's newest job, oldest first; those whose name begins with ``prefix``."""
    newest: dict[str, Any] = {}
    for workflow in client.list_workflows(name=WORKFLOW, workflow_id_prefix=prefix):
        key = workflow.workflow_id.partition(".")[0]
        if key not in newest or attempt(newest[key].workflow_id) < attempt(workflow.workflow_id):
            newest[key] = workflow
    told = deliveries.states(client, prefix=prefix)
    ordered = sorted(newest.values(), key=lambda workflow: workflow.created_at or 0)
    return tuple(
        dataclasses.replace(_row(workflow, store, dead), delivery=told.get(workflow.workflow_id))
        for workflow in ordered
    )


def named(client: DBOSClient, store: Store, name: str, *, dead: Dead = lambda worker: False) -> Row:
    """The one job whose name begins with ``name``. Raises `JobError` where there is none, or more than one."""
    found = rows(client, store, prefix=name, dead=dead)
    if len(found) != 1:
        raise JobError(
            f"{name}: {'no job' if not found else f'{len(found)} jobs'} of that name; `meetsplit jobs list` shows them"
        )
    return found[0]


def cancel(client: DBOSClient, jobs: Sequence[Row]) -> tuple[Row, ...]:
    """Cancel what has not ended: a waiting job at once, a running one within seconds. Those that were cancelled."""
    live = tuple(row for row in jobs if row.state in (*_LIVE.values(), INTERRUPTED))
    if live:
        client.cancel_workflows([row.job for row in live])
    return live


def retry(client: DBOSClient, store: Store, jobs: Iterable[Row]) -> tuple[str, ...]:
    """Queue failed and cancelled jobs again, from the stage where they ended; the names of the new jobs."""
    desk = Desk(client, store)
    queued: list[str] = []
    for row in jobs:
        if row.state in ("failed", "cancelled"):
            found = client.list_workflows(workflow_ids=[row.job])
            slip = desk.put(Order.from_json(_asked(found[0])))
            queued += [slip.job] if slip.outcome == "queued" else []
    return tuple(queued)


def clean(client: DBOSClient, store: Store, *, older_than: float, done: bool = True) -> int:
    """Forget jobs that ended more than ``older_than`` seconds ago, folders included; how many.

    What is forgotten is done again when its recording is queued again. Without ``done``, successful jobs stay.
    """
    ended: dict[str, list[Any]] = {}
    before = (time.time() - older_than) * 1000
    looks: list[str] = []
    for workflow in client.list_workflows(load_input=False, load_output=False):
        if workflow.name == SCAN_WORKFLOW:
            looks += [workflow.workflow_id] if workflow.status in ENDED and (workflow.updated_at or 0) <= before else []
        else:
            ended.setdefault(workflow.workflow_id.partition(".")[0], []).append(workflow)
    client.delete_workflows(looks)
    count = 0
    for key, workflows in ended.items():
        own = [workflow for workflow in workflows if workflow.name == WORKFLOW]
        over = all(workflow.status in ENDED and (workflow.updated_at or 0) <= before for workflow in workflows)
        if not own or not over or (not done and any(workflow.status == "SUCCESS" for workflow in own)):
            continue
        lock = try_lock(store.lock(key))
        if lock is not None:
            with lock:
                client.delete_workflows([workflow.workflow_id for workflow in workflows])
                store.forget(key)
            count += 1
    return count


def _row(workflow: Any, store: Store, dead: Dead) -> Row:
    order = _asked(workflow)
    key = workflow.workflow_id.partition(".")[0]
    state = _LIVE.get(workflow.status) or STATES.get(workflow.status, workflow.status.lower())
    if workflow.status == "PENDING" and workflow.executor_id and dead(workflow.executor_id):
        state = INTERRUPTED
    row = Row(
        workflow.workflow_id,
        state,
        str(order.get("recording", "?")),
        str(order.get("outputs", {}).get("folder", Path())),
        attempt(workflow.workflow_id),
        (workflow.created_at or 0) / 1000,
        error=said(workflow),
        files=tuple(workflow.output.get("files", ())) if isinstance(workflow.output, dict) else (),
        note=workflow.output.get("note") if isinstance(workflow.output, dict) else None,
    )
    progress = store.kept(key, "progress") if workflow.status == "PENDING" else None
    if progress is None:
        return row
    done, total = float(progress.get("done") or 0.0), float(progress.get("total") or 0.0)
    share = min(done / total, 1.0) if total else None
    left = float(progress.get("seconds") or 0.0) / share * (1 - share) if share else None
    return dataclasses.replace(row, stage=str(progress.get("stage")), share=share, left=left)


def _asked(workflow: Any) -> dict[str, Any]:
    arguments: Any = (workflow.input or {}).get("args") or ({},)
    return arguments[0] if isinstance(arguments[0], dict) else {}
