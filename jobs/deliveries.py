"""Deliveries of notifications about a job's end: the answers of command and webhook, attempt by attempt, from the
database.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from dbos import DBOSClient

from meetsplit.jobs.submission import IDS_PER_QUERY, LIVE_STATES

State: TypeAlias = Literal["pending", "delivered", "failed"]

NOTIFY_WORKFLOW = "news"
"""The name of the workflow that delivers a notification; stored with every delivery, so it never changes."""

_SUFFIX = ".news"

KINDS = ("command", "webhook")
"""The receivers of notifications, which are also the stored names of the workflow's steps."""

ATTEMPTS = {"command": 1, "webhook": 5}
"""The most attempts at a delivery, by kind."""

FIRST_PAUSE, PAUSE_FACTOR = 1.0, 3.0
"""Seconds before the second attempt, and the factor by which each further pause is longer (exponential backoff)."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """The notification of one job's end to one receiver: whether it arrived, and the last answer."""

    kind: str
    delivered: bool
    answer: str

    def to_json(self) -> dict[str, Any]:
        """The delivery for the database."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a delivery: the ``kind`` of receiver, when the attempt ended (Unix time), and the answer."""

    kind: str
    at: float
    delivered: bool
    answer: str


def notification_id(job: str) -> str:
    """The id of the workflow that delivers the notification of the end of ``job``."""
    return f"{job}{_SUFFIX}"


def states(client: DBOSClient, *, prefix: str | None = None) -> dict[str, State]:
    """The state of each job's deliveries, for the jobs that have any and whose ids begin with ``prefix``."""
    listed = client.list_workflows(name=NOTIFY_WORKFLOW, workflow_id_prefix=prefix, load_input=False)
    return {workflow.workflow_id.removesuffix(_SUFFIX): _state(workflow) for workflow in listed}


def failures(client: DBOSClient, jobs: Iterable[str]) -> dict[str, str]:
    """For each of the ``jobs`` with a failed delivery, the answers of its receivers."""
    ids = [notification_id(job) for job in jobs]
    failed: dict[str, str] = {}
    for start in range(0, len(ids), IDS_PER_QUERY):
        for workflow in client.list_workflows(workflow_ids=ids[start : start + IDS_PER_QUERY], load_input=False):
            if _state(workflow) == "failed":
                answers = [delivery.answer for delivery in _deliveries(workflow) if not delivery.delivered]
                reason = "; ".join(answers) or str(workflow.error or "the delivery failed")
                failed[workflow.workflow_id.removesuffix(_SUFFIX)] = reason
    return failed


def attempts(client: DBOSClient, job: str) -> tuple[Attempt, ...]:
    """Every attempt to notify of the end of one job, in order."""
    made: list[Attempt] = []
    for step in client.list_workflow_steps(notification_id(job)):
        if step["function_name"] in KINDS:
            failure = step["error"]
            answer = str(failure if failure is not None else step["output"])
            ended = (step["completed_at_epoch_ms"] or 0) / 1000
            made.append(Attempt(step["function_name"], ended, failure is None, answer))
    return tuple(made)


def _state(workflow: Any) -> State:
    if workflow.status in LIVE_STATES:
        return "pending"
    failed = workflow.status != "SUCCESS" or any(not delivery.delivered for delivery in _deliveries(workflow))
    return "failed" if failed else "delivered"


def _deliveries(workflow: Any) -> tuple[Delivery, ...]:
    """The workflow's output. Version 0.1.0 stored sentences only; those about failures begin alike."""
    output = workflow.output if isinstance(workflow.output, list) else []
    made: list[Delivery] = []
    for row in output:
        if isinstance(row, Mapping):
            made.append(Delivery(str(row.get("kind")), bool(row.get("delivered")), str(row.get("answer"))))
        else:
            made.append(Delivery("", not str(row).startswith(("--on-done", "--webhook", "Step ")), str(row)))
    return tuple(made)
