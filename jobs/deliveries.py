"""Deliveries of a job's end: what a command and a webhook answered, attempt by attempt, read from the queue's database."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from dbos import DBOSClient

State: TypeAlias = Literal["pending", "delivered", "failed"]

NEWS_WORKFLOW = "news"
"""The name of the workflow that delivers a job's end; stored with every delivery, so it never changes."""

KINDS = ("command", "webhook")
"""The listeners, which are also the names of the workflow's steps."""

ATTEMPTS = {"command": 1, "webhook": 5}
"""How often each is tried."""

FIRST_PAUSE, PAUSE_FACTOR = 1.0, 3.0
"""Seconds before the second attempt, and how much longer each further pause is."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """The end of one job as delivered to one listener: whether it arrived, and the last answer."""

    kind: str
    delivered: bool
    answer: str

    def to_json(self) -> dict[str, Any]:
        """The delivery for the database."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a delivery: to which ``kind`` of listener, when it ended (Unix time), and what it answered."""

    kind: str
    at: float
    delivered: bool
    answer: str


def workflow(job: str) -> str:
    """The name of the workflow that delivers the end of ``job``."""
    return f"{job}.news"


def states(client: DBOSClient, *, prefix: str | None = None) -> dict[str, State]:
    """How the deliveries of each job stand, for the jobs that have any and whose names begin with ``prefix``."""
    listed = client.list_workflows(name=NEWS_WORKFLOW, workflow_id_prefix=prefix, load_input=False)
    return {found.workflow_id.removesuffix(".news"): _state(found) for found in listed}


def failures(client: DBOSClient, jobs: Iterable[str]) -> dict[str, str]:
    """For each of the ``jobs`` with a failed delivery, what the listeners answered."""
    asked = [workflow(job) for job in jobs]
    failed: dict[str, str] = {}
    for at in range(0, len(asked), 500):
        for found in client.list_workflows(workflow_ids=asked[at : at + 500], load_input=False):
            if _state(found) == "failed":
                said = [delivery.answer for delivery in _deliveries(found) if not delivery.delivered]
                failed[found.workflow_id.removesuffix(".news")] = "; ".join(said) or str(
                    found.error or "the delivery failed"
                )
    return failed


def attempts(client: DBOSClient, job: str) -> tuple[Attempt, ...]:
    """Every attempt to deliver the end of one job, in order."""
    made: list[Attempt] = []
    for step in client.list_workflow_steps(workflow(job)):
        if step["function_name"] in KINDS:
            failure = step["error"]
            answer = str(failure if failure is not None else step["output"])
            made.append(
                Attempt(step["function_name"], (step["completed_at_epoch_ms"] or 0) / 1000, failure is None, answer)
            )
    return tuple(made)


def _state(found: Any) -> State:
    if found.status in ("ENQUEUED", "PENDING", "DELAYED"):
        return "pending"
    failed = found.status != "SUCCESS" or any(not delivery.delivered for delivery in _deliveries(found))
    return "failed" if failed else "delivered"


def _deliveries(found: Any) -> tuple[Delivery, ...]:
    """The workflow's output. Version 0.1.0 kept sentences only; those about failures begin alike."""
    output = found.output if isinstance(found.output, list) else []
    made: list[Delivery] = []
    for row in output:
        if isinstance(row, Mapping):
            made.append(Delivery(str(row.get("kind")), bool(row.get("delivered")), str(row.get("answer"))))
        else:
            made.append(Delivery("", not str(row).startswith(("--on-done", "--webhook", "Step ")), str(row)))
    return tuple(made)
