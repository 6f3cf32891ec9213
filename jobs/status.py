"""Status of the jobs in the queue, for people and programs; cancelling, retrying and forgetting them."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from dbos import DBOSClient

from meetsplit.jobs import deliveries
from meetsplit.jobs.job import JobSpec
from meetsplit.jobs.job_store import JobStore
from meetsplit.jobs.outcomes import FINAL_STATES, failure_reason
from meetsplit.jobs.submission import WORKFLOW, JobQueue, attempt_number, key_of
from meetsplit.jobs.workflows import SCAN_WORKFLOW
from meetsplit.pipeline.errors import JobError
from meetsplit.pipeline.files.locks import try_lock

INTERRUPTED = "interrupted"
"""A job whose worker is dead: the next worker resumes it."""

_LIVE = {"ENQUEUED": "waiting", "PENDING": "running", "DELAYED": "waiting to retry"}


@dataclass(frozen=True, slots=True)
class JobStatus:
    """One job: the newest attempt at a specification.

    ``share`` (0–1) and ``left`` (seconds) are of the running ``stage``, None where that cannot be told. ``queued`` is a
    Unix time; ``files`` are what was written, ``note`` why they have another name than the recording. ``delivery`` is
    the state of its command and its webhook; None without any. The fields' names are those of ``jobs list --json``.
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
        """The status for programs."""
        return dataclasses.asdict(self)


IsDead: TypeAlias = Callable[[str], bool]
"""Whether the worker of that name is dead: whether its lock is free."""


def job_statuses(
    client: DBOSClient, store: JobStore, *, prefix: str | None = None, is_dead: IsDead = lambda worker: False
) -> tuple[JobStatus, ...]:
    """The status of every specification's newest job, oldest first; of those whose id begins with ``prefix``."""
    newest: dict[str, Any] = {}
    for workflow in client.list_workflows(name=WORKFLOW, workflow_id_prefix=prefix):
        key = key_of(workflow.workflow_id)
        if key not in newest or attempt_number(newest[key].workflow_id) < attempt_number(workflow.workflow_id):
            newest[key] = workflow
    delivery_states = deliveries.states(client, prefix=prefix)
    ordered = sorted(newest.values(), key=lambda workflow: workflow.created_at or 0)
    return tuple(
        dataclasses.replace(_status(workflow, store, is_dead), delivery=delivery_states.get(workflow.workflow_id))
        for workflow in ordered
    )


def find_job(client: DBOSClient, store: JobStore, name: str, *, is_dead: IsDead = lambda worker: False) -> JobStatus:
    """The one job whose id begins with ``name``. Raises `JobError` where there is none, or more than one."""
    matches = job_statuses(client, store, prefix=name, is_dead=is_dead)
    if len(matches) != 1:
        count = "no job" if not matches else f"{len(matches)} jobs"
        raise JobError(f"{name}: {count} of that name; `meetsplit jobs list` shows them")
    return matches[0]


def cancel(client: DBOSClient, jobs: Sequence[JobStatus]) -> tuple[JobStatus, ...]:
    """Cancel the jobs that have not ended: a waiting one at once, a running one within seconds.

    Returns those cancelled.
    """
    live = tuple(job for job in jobs if job.state in (*_LIVE.values(), INTERRUPTED))
    if live:
        client.cancel_workflows([job.job for job in live])
    return live


def retry(client: DBOSClient, store: JobStore, jobs: Iterable[JobStatus]) -> tuple[str, ...]:
    """Queue failed and cancelled jobs again, from the stage where they ended; the ids of the new jobs."""
    queue = JobQueue(client, store)
    queued: list[str] = []
    for job in jobs:
        if job.state in ("failed", "cancelled"):
            (workflow,) = client.list_workflows(workflow_ids=[job.job])
            submission = queue.submit(JobSpec.from_json(_stored_spec(workflow)))
            if submission.outcome == "queued":
                queued.append(submission.job)
    return tuple(queued)


def clean(client: DBOSClient, store: JobStore, *, older_than: float, done: bool = True) -> int:
    """Delete jobs that ended more than ``older_than`` seconds ago, folders included; returns how many.

    A deleted job is done again when its recording is queued again. Without ``done``, successful jobs stay.
    """
    limit = (time.time() - older_than) * 1000

    def is_old(workflow: Any) -> bool:
        return workflow.status in FINAL_STATES and (workflow.updated_at or 0) <= limit

    by_key: dict[str, list[Any]] = {}
    scans: list[str] = []
    for workflow in client.list_workflows(load_input=False, load_output=False):
        if workflow.name != SCAN_WORKFLOW:
            by_key.setdefault(key_of(workflow.workflow_id), []).append(workflow)
        elif is_old(workflow):
            scans.append(workflow.workflow_id)
    client.delete_workflows(scans)
    count = 0
    for key, workflows in by_key.items():
        attempts = [workflow for workflow in workflows if workflow.name == WORKFLOW]
        if not attempts or not all(is_old(workflow) for workflow in workflows):
            continue
        if not done and any(workflow.status == "SUCCESS" for workflow in attempts):
            continue
        lock = try_lock(store.lock(key))
        if lock is not None:
            with lock:
                client.delete_workflows([workflow.workflow_id for workflow in workflows])
                store.remove(key)
            count += 1
    return count


def _status(workflow: Any, store: JobStore, is_dead: IsDead) -> JobStatus:
    """The status of the job that DBOS's record ``workflow`` is about."""
    spec = _stored_spec(workflow)
    state = _LIVE.get(workflow.status) or FINAL_STATES.get(workflow.status, workflow.status.lower())
    if workflow.status == "PENDING" and workflow.executor_id and is_dead(workflow.executor_id):
        state = INTERRUPTED
    result = workflow.output if isinstance(workflow.output, dict) else {}
    status = JobStatus(
        workflow.workflow_id,
        state,
        str(spec.get("recording", "?")),
        str(spec.get("outputs", {}).get("folder", Path())),
        attempt_number(workflow.workflow_id),
        (workflow.created_at or 0) / 1000,
        error=failure_reason(workflow),
        files=tuple(result.get("files", ())),
        note=result.get("note"),
    )
    progress = store.read(key_of(workflow.workflow_id), "progress") if workflow.status == "PENDING" else None
    if progress is None:
        return status
    done, total = float(progress.get("done") or 0.0), float(progress.get("total") or 0.0)
    share = min(done / total, 1.0) if total else None
    left = float(progress.get("seconds") or 0.0) / share * (1 - share) if share else None
    return dataclasses.replace(status, stage=str(progress.get("stage")), share=share, left=left)


def _stored_spec(workflow: Any) -> dict[str, Any]:
    """The job specification in a workflow's input, as JSON; empty where there is none."""
    arguments: Any = (workflow.input or {}).get("args") or ({},)
    return arguments[0] if isinstance(arguments[0], dict) else {}
