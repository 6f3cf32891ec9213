"""How did each of many recordings end? Waiting for jobs, and what came of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dbos import DBOSClient

from meetsplit.jobs.submission import Desk, Slip

ENDED = frozenset({"SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"})


@dataclass(frozen=True, slots=True)
class Ending:
    """How one order ended: ``state`` as people say it, ``result`` of the last step, ``error`` where it failed."""

    slip: Slip
    state: str
    result: Mapping[str, Any]
    error: str | None = None

    @property
    def failed(self) -> bool:
        """Whether there is no result."""
        return self.state in ("failed", "cancelled", "unfinished")


def wait(
    desk: Desk, slips: Iterable[Slip], pause: Callable[[], bool], *, within: float | None = None
) -> dict[str, str]:
    """Wait until every job and its repeats have ended; ``pause`` passes the time, False gives up.

    With ``within``, a repeat that is due in more than so many seconds is not waited for: it stays in the queue.
    The name of each order's newest job by the name on its slip.
    """
    newest = {slip.job: slip.job for slip in slips if slip.outcome in ("queued", "waiting")}
    open_jobs = set(newest)
    while open_jobs:
        states = desk.statuses(newest[job] for job in open_jobs)
        for job in sorted(open_jobs):
            state = states.get(newest[job])
            if state == "SUCCESS" or (state in ENDED and (latest := desk.latest(job)) == (newest[job], state)):
                open_jobs.discard(job)
            elif state in ENDED:
                newest[job] = latest[0]
        if within is not None:
            late = {name for name, seconds in desk.delays(newest[job] for job in open_jobs).items() if seconds > within}
            open_jobs = {job for job in open_jobs if newest[job] not in late}
        if open_jobs and not pause():
            break
    return newest


def endings(client: DBOSClient, slips: Iterable[Slip], newest: Mapping[str, str]) -> tuple[Ending, ...]:
    """What came of every order."""
    listed = list(slips)
    names = list({newest.get(slip.job, slip.job) for slip in listed})
    known: dict[str, Any] = {}
    for at in range(0, len(names), 500):
        known.update(
            (found.workflow_id, found)
            for found in client.list_workflows(workflow_ids=names[at : at + 500], load_input=False)
        )
    found: list[Ending] = []
    for slip in listed:
        workflow = known.get(newest.get(slip.job, slip.job))
        if slip.outcome in ("done", "set aside"):
            state = {"done": "done before", "set aside": "failed before"}[slip.outcome]
        else:
            state = STATES.get(workflow.status if workflow is not None else "", "unfinished")
        result = workflow.output if workflow is not None and isinstance(workflow.output, Mapping) else {}
        error = said(workflow) if workflow is not None else None
        found.append(Ending(slip, state, result, error))
    return tuple(found)


STATES = {"SUCCESS": "done", "ERROR": "failed", "CANCELLED": "cancelled", "MAX_RECOVERY_ATTEMPTS_EXCEEDED": "failed"}
"""DBOS's states that are final, as people say them."""


def said(workflow: Any) -> str | None:
    """Why a job failed, in a sentence; None where it did not."""
    if workflow.status == "MAX_RECOVERY_ATTEMPTS_EXCEEDED":
        return "ended its worker again and again, perhaps for lack of memory"
    return str(workflow.error) if workflow.error is not None else None
