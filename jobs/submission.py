"""The job queue: each job specification is submitted once (deduplicated), under a numbered job id."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from dbos import DBOSClient, EnqueueOptions

from meetsplit.jobs.database import APPLICATION, RECORDINGS, VERSION
from meetsplit.jobs.job import JobSpec
from meetsplit.jobs.job_store import JobStore

WORKFLOW = "recording"
"""The name of the workflow that works on one job; stored with every job, so it never changes."""

Repeat: TypeAlias = Literal["never", "failed", "always"]
"""Which finished jobs are queued again: none; those that failed or were cancelled; those that succeeded, too."""

Outcome: TypeAlias = Literal["queued", "waiting", "done", "set aside"]
"""What became of a submission: queued now; in the queue already; done before; failed before and not repeated."""

PRIORITIES = {"high": 1, "normal": 10, "low": 100}
"""The values of ``--priority``, and DBOS's numbers: the lowest goes first."""

LIVE_STATES = frozenset({"ENQUEUED", "PENDING", "DELAYED"})
"""DBOS's states of a job that has not ended."""

IDS_PER_QUERY = 500
"""How many job ids one query of the database asks for."""

_ATTEMPTS_PER_QUERY = 64


@dataclass(frozen=True, slots=True)
class Submission:
    """A submitted job specification: the id of its newest job, and what became of the submission."""

    spec: JobSpec
    job: str
    outcome: Outcome

    @property
    def is_to_do(self) -> bool:
        """Whether the job is in the queue."""
        return self.outcome in ("queued", "waiting")


class JobQueue:
    """The queue of recordings in DBOS's database, as seen by a process that submits to it."""

    def __init__(self, client: DBOSClient, store: JobStore) -> None:
        self._client, self._store = client, store

    def submit(self, spec: JobSpec, *, repeat: Repeat = "failed") -> Submission:
        """Queue the job, unless the same one is in the queue or done already. Safe if two processes do it at once."""
        key = spec.key
        number, status = self._newest_attempt(key)
        if status in LIVE_STATES:
            return Submission(spec, job_id(key, number), "waiting")
        if repeat != "always":
            if status == "SUCCESS" or (status is None and self._store.read(key, "done") is not None):
                return Submission(spec, job_id(key, number), "done")
            if status is not None and repeat == "never":
                return Submission(spec, job_id(key, number), "set aside")
        job = job_id(key, number + 1)
        self._store.write(key, "job", {"job": job, **spec.to_json()})
        self._client.enqueue(enqueue_options(job, spec.priority), spec.to_json(), 0)
        return Submission(spec, job, "queued")

    def submit_all(self, specs: Iterable[JobSpec], *, repeat: Repeat = "failed") -> tuple[Submission, ...]:
        """`submit` for many jobs."""
        return tuple(self.submit(spec, repeat=repeat) for spec in specs)

    def statuses(self, jobs: Iterable[str]) -> dict[str, str]:
        """DBOS's status of each job that the queue knows, by job id."""
        return {workflow.workflow_id: workflow.status for workflow in self._workflows(jobs)}

    def delays(self, jobs: Iterable[str]) -> dict[str, float]:
        """For each of the jobs that waits for its next attempt, the seconds until that is due."""
        now = time.time()
        return {
            workflow.workflow_id: (workflow.delay_until_epoch_ms or 0) / 1000 - now
            for workflow in self._workflows(jobs, status="DELAYED")
        }

    def newest_attempt(self, job: str) -> tuple[str, str | None]:
        """The newest job of the same specification and its status; None where the queue knows none."""
        key = key_of(job)
        number, status = self._newest_attempt(key)
        return job_id(key, number), status

    def _workflows(self, jobs: Iterable[str], status: str | None = None) -> list[Any]:
        """DBOS's records of the jobs that the queue knows; with ``status``, of those that have it."""
        ids = list(jobs)
        workflows: list[Any] = []
        for start in range(0, len(ids), IDS_PER_QUERY):
            workflows += self._client.list_workflows(
                workflow_ids=ids[start : start + IDS_PER_QUERY], status=status, load_input=False, load_output=False
            )
        return workflows

    def _newest_attempt(self, key: str) -> tuple[int, str | None]:
        """The highest attempt number of a key and its status; 0 and None where there is none."""
        first, newest, newest_status = 1, 0, None
        while True:
            statuses = self.statuses(job_id(key, number) for number in range(first, first + _ATTEMPTS_PER_QUERY))
            for job, status in statuses.items():
                if attempt_number(job) > newest:
                    newest, newest_status = attempt_number(job), status
            if len(statuses) < _ATTEMPTS_PER_QUERY:
                return newest, newest_status
            first += _ATTEMPTS_PER_QUERY


def job_id(key: str, attempt: int) -> str:
    """The id of a job: the key of its specification and the number of the attempt.

    >>> job_id("0a1b2c3d4e5f6a7b", 3)
    '0a1b2c3d4e5f6a7b.3'
    """
    return f"{key}.{attempt}"


def key_of(job: str) -> str:
    """The key in a job's id.

    >>> key_of("0a1b2c3d4e5f6a7b.3")
    '0a1b2c3d4e5f6a7b'
    """
    return job.partition(".")[0]


def attempt_number(job: str) -> int:
    """The number of the attempt in a job's id.

    >>> attempt_number("0a1b2c3d4e5f6a7b.3")
    3
    """
    return int(job.rpartition(".")[2])


def enqueue_options(job: str, priority: int, *, delay: float | None = None) -> EnqueueOptions:
    """DBOS's options for queueing a job, ``delay`` seconds from now."""
    options: EnqueueOptions = {
        "workflow_name": WORKFLOW,
        "queue_name": RECORDINGS,
        "workflow_id": job,
        "app_version": VERSION,
        "application_name": APPLICATION,
        "priority": priority,
    }
    if delay is not None:
        options["delay_seconds"] = delay
    return options
