"""A command or webhook that cannot be told of a job's end is seen: by the batch, in `jobs list`, `jobs show`, and
the log.
"""

from __future__ import annotations

import itertools
import json
import signal
import sqlite3
from contextlib import closing
from typing import Any

from meetsplit.jobs import deliveries
from meetsplit.jobs.database import client, database
from meetsplit.jobs.job_store import JobStore

OPTIONS = ("-f", "json", "--no-tracks")
FAILING = "sh -c 'echo no such channel; exit 3'"


def test_a_failed_delivery_is_seen_everywhere_and_fails_no_job(workspace: Any) -> None:
    workspace.recording("call.wav")
    batch = workspace.batch(*OPTIONS, "--on-done", FAILING, code=0)
    output = "\n".join(batch.lines)
    assert any(line.startswith("not delivered: ") and "exit code 3: no such channel" in line for line in batch.lines)
    assert "1 done, 1 delivery failed" in output
    (job,) = workspace.jobs()
    assert (job["state"], job["delivery"]) == ("done", "failed")
    listed = "\n".join(workspace.run("jobs", "list").lines)
    assert "1 delivery failed: `meetsplit jobs show" in listed
    shown = "\n".join(workspace.run("jobs", "show", job["job"]).lines)
    assert "command: --on-done sh: failed with exit code 3: no such channel" in shown
    attempts = json.loads("\n".join(workspace.run("jobs", "show", "--json", job["job"]).lines))["attempts"]
    assert [(attempt["kind"], attempt["delivered"]) for attempt in attempts] == [("command", False)]
    assert "not delivered" in (workspace.state / "log.txt").read_text()


def test_every_attempt_at_a_webhook_is_shown(workspace: Any) -> None:
    workspace.recording("call.wav")
    workspace.batch(*OPTIONS, "--webhook", "http://127.0.0.1:9/", "--on-done", "true", first=workspace.short_pauses)
    (job,) = workspace.jobs()
    assert job["delivery"] == "failed"
    attempts = json.loads("\n".join(workspace.run("jobs", "show", "--json", job["job"]).lines))["attempts"]
    assert [(attempt["kind"], attempt["delivered"]) for attempt in attempts] == [("command", True)] + [
        ("webhook", False)
    ] * 5
    assert all(attempt["at"] > 1e9 for attempt in attempts)
    pauses = [later["at"] - earlier["at"] for earlier, later in itertools.pairwise(attempts[1:])]
    assert all(pause > shortest for pause, shortest in zip(pauses, (0.09, 0.29, 0.89, 2.69), strict=True))
    assert "127.0.0.1" in attempts[-1]["answer"]


def test_a_delivery_that_arrived_is_no_failure(workspace: Any) -> None:
    workspace.recording("call.wav")
    batch = workspace.batch(*OPTIONS, "--on-done", "true")
    assert "not delivered" not in "\n".join(batch.lines)
    assert [job["delivery"] for job in workspace.jobs()] == ["delivered"]


def test_a_worker_says_what_it_could_not_deliver(workspace: Any) -> None:
    workspace.recording("call.wav")
    workspace.batch(*OPTIONS, "--on-done", FAILING, "--queue-only")
    worker = workspace.start("worker", "--quiet")
    assert "call.wav" in worker.until("not delivered: ")
    worker.signal(signal.SIGTERM)


def test_deliveries_of_the_first_version_are_understood(workspace: Any) -> None:
    """It kept the sentences only."""
    workspace.recording("call.wav")
    workspace.batch(*OPTIONS, "--on-done", "true")
    (job,) = workspace.jobs()
    for output, state in ((["true: done"], "delivered"), (["true: done", "--webhook h: answered 500"], "failed")):
        with closing(sqlite3.connect(workspace.state / "jobs.sqlite")) as direct, direct:
            direct.execute(
                "UPDATE workflow_output SET output = ? WHERE workflow_uuid LIKE '%.news'", (json.dumps(output),)
            )
        assert [row["delivery"] for row in workspace.jobs()] == [state]
    store = JobStore(workspace.state)
    with client(database(None, store), store) as connection:
        assert deliveries.failures(connection, [job["job"]]) == {job["job"]: "--webhook h: answered 500"}
