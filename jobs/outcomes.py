"""Outcomes of submitted jobs: waiting until they have ended, retries included, and what came of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dbos import DBOSClient

from meetsplit.jobs.submission import IDS_PER_QUERY, JobQueue, Submission

FINAL_STATES = {
    "SUCCESS": "done",
    "ERROR": "failed",
    "CANCELLED": "cancelled",
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": "failed",
}
"""DBOS's states of a job that has ended, and ours, which people read."""

_EARLIER = {"done": "done before", "set aside": "failed before"}
"""The states of submissions that queued nothing because the job had ended before."""


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """The end of one submission: its ``state`` for people, the ``result`` of its last step, the ``error`` where it
    failed.
    """

    submission: Submission
    state: str
    result: Mapping[str, Any]
    error: str | None = None

    @property
    def failed(self) -> bool:
        """Whether there is no result."""
        return self.state in ("failed", "cancelled", "unfinished")


def wait(
    queue: JobQueue, submissions: Iterable[Submission], pause: Callable[[], bool], *, within: float | None = None
) -> dict[str, str]:
    """Wait until every job and its retries have ended; ``pause`` passes the time between two polls, False from it gives
    up.

    With ``within``, a retry that is due in more than so many seconds is not waited for: it stays in the queue.
    Returns the id of each job's newest attempt by the id that its submission has.
    """
    newest = {submission.job: submission.job for submission in submissions if submission.is_to_do}
    unfinished = set(newest)
    while unfinished:
        statuses = queue.statuses(newest[job] for job in unfinished)
        for job in sorted(unfinished):
            status = statuses.get(newest[job])
            if status == "SUCCESS":
                unfinished.discard(job)
            elif status in FINAL_STATES:  # over, unless another attempt follows
                attempt, attempt_status = queue.newest_attempt(job)
                if (attempt, attempt_status) == (newest[job], status):
                    unfinished.discard(job)
                newest[job] = attempt
        if within is not None:
            delays = queue.delays(newest[job] for job in unfinished)
            unfinished = {job for job in unfinished if delays.get(newest[job], 0.0) <= within}
        if unfinished and not pause():
            break
    return newest


def outcomes(
    client: DBOSClient, submissions: Iterable[Submission], newest: Mapping[str, str]
) -> tuple[JobOutcome, ...]:
    """The outcome of every submission, by its ``newest`` attempt as `wait` returned it."""
    listed = list(submissions)
    ids = list({newest.get(submission.job, submission.job) for submission in listed})
    workflows: dict[str, Any] = {}
    for start in range(0, len(ids), IDS_PER_QUERY):
        for workflow in client.list_workflows(workflow_ids=ids[start : start + IDS_PER_QUERY], load_input=False):
            workflows[workflow.workflow_id] = workflow
    return tuple(
        _outcome(submission, workflows.get(newest.get(submission.job, submission.job))) for submission in listed
    )


def failure_reason(workflow: Any) -> str | None:
    """Why a job failed, in a sentence; None where it did not."""
    if workflow.status == "MAX_RECOVERY_ATTEMPTS_EXCEEDED":
        return "ended its worker again and again, perhaps for lack of memory"
    return str(workflow.error) if workflow.error is not None else None


def _outcome(submission: Submission, workflow: Any | None) -> JobOutcome:
    """The outcome of a submission whose newest attempt is ``workflow``; None where the queue knows none."""
    status = workflow.status if workflow is not None else ""
    state = _EARLIER.get(submission.outcome) or FINAL_STATES.get(status, "unfinished")
    if workflow is None:
        return JobOutcome(submission, state, {})
    result = workflow.output if isinstance(workflow.output, Mapping) else {}
    return JobOutcome(submission, state, result, failure_reason(workflow))
