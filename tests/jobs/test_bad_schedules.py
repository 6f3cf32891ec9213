"""Schedules that can never run: refused when stored; found in the database, they stop nothing but themselves."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from dbos import DBOSClient

from meetsplit.jobs import schedule
from meetsplit.jobs.database import APPLICATION, SCANS, client, database
from meetsplit.jobs.job_store import JobStore
from meetsplit.jobs.worker import Worker, WorkerOptions
from meetsplit.jobs.workflows import SCAN_WORKFLOW
from meetsplit.pipeline.errors import JobError, SettingsError
from meetsplit.pipeline.events import Notice

NEVER = ("0 0 30 2 *", "0 0 31 4 *", "0 0 0 1 1 * 2020", "R R * * *")
SMALL = ("-f", "json", "--no-tracks")


def store_schedule(connection: DBOSClient, name: str, cron: str, zone: str = "UTC") -> None:
    """Put a schedule into the database as an earlier version would, unchecked."""
    connection.create_schedule(
        schedule_name=name,
        workflow_name=SCAN_WORKFLOW,
        schedule=cron,
        context={"folder": "/calls", "request": {}},
        automatic_backfill=True,
        cron_timezone="UTC",
        queue_name=SCANS,
        application_name=APPLICATION,
    )
    connection._sys_db.update_last_fired_at(name, datetime.now(UTC).isoformat())
    schedules = connection._sys_db.tables.workflow_schedules
    with connection._sys_db.engine.begin() as transaction:
        transaction.execute(schedules.update().where(schedules.c.schedule_name == name).values(cron_timezone=zone))


@pytest.fixture
def connection(workspace: Any) -> Iterator[DBOSClient]:
    store = JobStore(workspace.state).ready()
    with client(database(None, store), store, make=True) as connection:
        yield connection


@pytest.mark.parametrize("cron", NEVER)
def test_a_cron_that_never_runs_is_refused_and_not_stored(workspace: Any, cron: str) -> None:
    add = ("schedule", "add", "calls", "--cron", cron, "--folder", workspace.calls, "--timezone", "UTC")
    output = "\n".join(workspace.run(*add, *workspace.model_free_options(), code=2).lines)
    assert f'--cron "{cron}"' in output
    assert "Traceback" not in output
    store = JobStore(workspace.state).ready()
    with client(database(None, store), store, make=True) as connection:
        assert schedule.list_schedules(connection) == ()


@pytest.mark.parametrize("zone", ["Europe", "../UTC", "", "\0", "x" * 5000, "Mars/Olympus"])
def test_a_zone_that_is_none_is_a_sentence(zone: str) -> None:
    with pytest.raises(SettingsError, match="no such time zone"):
        schedule.next_run("0 2 * * *", zone, datetime.now(UTC))


def test_the_leap_day_is_fine() -> None:
    assert schedule.next_run("0 0 29 2 *", "UTC", datetime(2025, 1, 1, tzinfo=UTC)) == datetime(2028, 2, 29, tzinfo=UTC)


def test_a_time_beyond_the_horizon_is_refused() -> None:
    with pytest.raises(SettingsError, match="would first run in 2050"):
        schedule.next_run("0 0 0 1 1 * 2050", "UTC", datetime(2025, 1, 1, tzinfo=UTC))


def test_a_bad_schedule_in_the_database_is_listed_paused_and_removable(connection: DBOSClient) -> None:
    store_schedule(connection, "never", "0 0 30 2 *")
    store_schedule(connection, "nowhere", "0 2 * * *", "Europe")
    store_schedule(connection, "nightly", "0 2 * * *")
    problems = {info.name: info.problem for info in schedule.list_schedules(connection)}
    assert problems["nightly"] is None
    assert "no date matches it" in str(problems["never"])
    assert "no such time zone" in str(problems["nowhere"])
    assert set(schedule.last_runs(connection)) == {"nightly"}
    sentences = schedule.pause_impossible(connection)
    assert [sentence.partition(":")[0] for sentence in sentences] == [
        "schedule never never runs",
        "schedule nowhere never runs",
    ]
    assert "`meetsplit schedule remove never` removes it" in sentences[0]
    assert {info.name: info.paused for info in schedule.list_schedules(connection)} == {
        "never": True,
        "nowhere": True,
        "nightly": False,
    }
    with pytest.raises(JobError, match="never runs"):
        schedule.resume(connection, "never")
    schedule.remove(connection, "never")
    assert [info.name for info in schedule.list_schedules(connection)] == ["nightly", "nowhere"]


def test_backfill_goes_on_after_a_bad_schedule(connection: DBOSClient) -> None:
    """The bad one was stored while the worker ran, so it is among the last runs."""
    now = datetime.now(UTC)
    before = now - timedelta(minutes=10)
    store_schedule(connection, "a", "0 0 30 2 *")
    store_schedule(connection, "b", "* * * * *")
    connection._sys_db.update_last_fired_at("b", before.isoformat())
    backfill = schedule.backfill_missed(connection, {"a": before, "b": before}, now)
    assert list(backfill.last_runs) == ["b"]
    assert len(connection.list_workflows(schedule_name="b")) >= 8


def test_worker_batch_and_list_go_on_with_bad_schedules_in_the_database(workspace: Any, connection: DBOSClient) -> None:
    store_schedule(connection, "never", "0 0 30 2 *")
    store_schedule(connection, "nowhere", "0 2 * * *", "Europe")
    store_schedule(connection, "twin", "0 0 31 4 *")
    listed = workspace.run("schedule", "list")
    text = "\n".join(listed.lines)
    assert "never runs: " in text
    assert "meetsplit schedule remove never" in text
    rows = json.loads("\n".join(workspace.run("schedule", "list", "--json").lines))
    assert {row["name"]: row["problem"] is None for row in rows} == {"never": False, "nowhere": False, "twin": False}
    workspace.recording("call.wav")
    assert "1 done" in "\n".join(workspace.batch(*SMALL).lines)
    workspace.recording("second.wav", seed=2)
    good = (
        "schedule",
        "add",
        "good",
        "--cron",
        "* * * * * *",
        "--folder",
        workspace.calls,
        "--timezone",
        "UTC",
        "-o",
        workspace.out,
    )
    workspace.run(*good, *workspace.model_free_options(), *SMALL)
    worker = workspace.start("worker")
    worker.until("note: schedule never never runs")
    assert "second.wav" in worker.until("done: ")
    code = worker.signal(signal.SIGTERM)
    assert code == 0
    assert "Traceback" not in "\n".join(worker.lines)


def test_housekeeping_survives_any_error_of_one_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected error is reported once, the other tasks go on, and so does the thread."""
    store = JobStore(tmp_path / "state").ready()
    notices: list[str] = []
    ran_three_times = threading.Event()
    count: list[int] = []
    monkeypatch.setattr("meetsplit.jobs.worker.CHECK_EVERY", 0.01)

    def broken(self: Worker) -> None:
        raise ZeroDivisionError("not foreseen")

    def counted(self: Worker) -> None:
        count.append(1)
        if len(count) == 3:
            ran_three_times.set()

    monkeypatch.setattr(Worker, "_check_cancellation", broken)
    monkeypatch.setattr(Worker, "_recover_jobs", counted)
    monkeypatch.setattr(Worker, "_backfill", lambda self: None)

    def on_event(event: object) -> None:
        if isinstance(event, Notice):
            notices.append(event.text)

    worker = Worker(database(None, store), store, WorkerOptions(on_event=on_event))
    worker._housekeeper.start()
    assert ran_three_times.wait(600)
    worker._over.set()
    worker._housekeeper.join(600)
    (sentence,) = notices
    assert "not foreseen" in sentence
