"""How does an order get into the queue, once? Job numbers, repeats, and what the queue knows about a recording."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from dbos import DBOSClient, EnqueueOptions

from meetsplit.jobs.database import APPLICATION, RECORDINGS, VERSION
from meetsplit.jobs.job import Order
from meetsplit.jobs.job_store import Store

WORKFLOW = "recording"
"""The name of the workflow that works on one order; stored with every job, so it never changes."""

Repeat: TypeAlias = Literal["never", "failed", "always"]
"""Which finished jobs are queued again: none; those that failed or were cancelled; those that succeeded, too."""

Outcome: TypeAlias = Literal["queued", "waiting", "done", "set aside"]
"""What became of an order: queued now; in the queue already; done before; failed before and not repeated."""

PRIORITIES = {"high": 1, "normal": 10, "low": 100}
"""What people say, and DBOS's number: the lowest goes first."""

_LIVE = frozenset({"ENQUEUED", "PENDING", "DELAYED"})
_BATCH = 64


@dataclass(frozen=True, slots=True)
class Slip:
    """One order at the desk: the number of its newest job, and what became of it."""

    order: Order
    job: str
    outcome: Outcome


class Desk:
    """Takes orders for one queue."""

    def __init__(self, client: DBOSClient, store: Store) -> None:
        self._client, self._store = client, store

    def put(self, order: Order, *, repeat: Repeat = "failed") -> Slip:
        """Queue the order, unless the same one is in the queue or done already. Two processes may do it at once."""
        key = order.key
        newest, status = self._newest(key)
        if status in _LIVE:
            return Slip(order, number(key, newest), "waiting")
        if repeat != "always":
            if status == "SUCCESS" or (status is None and self._store.kept(key, "done") is not None):
                return Slip(order, number(key, newest), "done")
            if status is not None and repeat == "never":
                return Slip(order, number(key, newest), "set aside")
        job = number(key, newest + 1)
        self._store.keep(key, "job", {"job": job, **order.to_json()})
        self._client.enqueue(options(job, order.priority), order.to_json(), 0)
        return Slip(order, job, "queued")

    def put_all(self, orders: Iterable[Order], *, repeat: Repeat = "failed") -> tuple[Slip, ...]:
        """The same for many."""
        return tuple(self.put(order, repeat=repeat) for order in orders)

    def statuses(self, jobs: Iterable[str]) -> dict[str, str]:
        """The state of each job that the queue knows."""
        asked = list(jobs)
        known: dict[str, str] = {}
        for at in range(0, len(asked), 500):
            found = self._client.list_workflows(workflow_ids=asked[at : at + 500], load_input=False, load_output=False)
            known |= {workflow.workflow_id: workflow.status for workflow in found}
        return known

    def delays(self, jobs: Iterable[str]) -> dict[str, float]:
        """For each of the jobs that waits for its next attempt, in how many seconds that is due."""
        asked, now = list(jobs), time.time()
        left: dict[str, float] = {}
        for at in range(0, len(asked), 500):
            found = self._client.list_workflows(
                workflow_ids=asked[at : at + 500], status="DELAYED", load_input=False, load_output=False
            )
            left |= {workflow.workflow_id: (workflow.delay_until_epoch_ms or 0) / 1000 - now for workflow in found}
        return left

    def latest(self, job: str) -> tuple[str, str | None]:
        """The newest attempt at the same order and its state; None where the queue knows none."""
        key = job.partition(".")[0]
        newest, status = self._newest(key)
        return number(key, newest), status

    def _newest(self, key: str) -> tuple[int, str | None]:
        first, newest, status = 1, 0, None
        while True:
            known = self.statuses(number(key, at) for at in range(first, first + _BATCH))
            for job, found in known.items():
                if attempt(job) > newest:
                    newest, status = attempt(job), found
            if len(known) < _BATCH:
                return newest, status
            first += _BATCH


def number(key: str, attempt: int) -> str:
    """The name of a job: the order's key and how often it was queued."""
    return f"{key}.{attempt}"


def attempt(job: str) -> int:
    """How often the order was queued when it got this number.

    >>> attempt("0a1b2c3d4e5f6a7b.3")
    3
    """
    return int(job.rpartition(".")[2])


def options(job: str, priority: int, *, delay: float | None = None) -> EnqueueOptions:
    """How DBOS is asked for a job."""
    asked: EnqueueOptions = {
        "workflow_name": WORKFLOW,
        "queue_name": RECORDINGS,
        "workflow_id": job,
        "app_version": VERSION,
        "application_name": APPLICATION,
        "priority": priority,
    }
    if delay is not None:
        asked["delay_seconds"] = delay
    return asked
