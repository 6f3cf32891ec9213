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


def stored(opened: DBOSClient, name: str, cron: str, zone: str = "UTC") -> None:
    """Put a schedule into the database as an earlier version would, unchecked."""
    opened.create_schedule(
        schedule_name=name,
        workflow_name=SCAN_WORKFLOW,
        schedule=cron,
        context={"folder": "/calls", "request": {}},
        automatic_backfill=True,
        cron_timezone="UTC",
        queue_name=SCANS,
        application_name=APPLICATION,
    )
    opened._sys_db.update_last_fired_at(name, datetime.now(UTC).isoformat())
    schedules = opened._sys_db.tables.workflow_schedules
    with opened._sys_db.worker.begin() as connection:
        connection.execute(schedules.update().where(schedules.c.schedule_name == name).values(cron_timezone=zone))


@pytest.fixture
def opened(house: Any) -> Iterator[DBOSClient]:
    store = JobStore(house.state).ready()
    with client(database(None, store), store, make=True) as connected:
        yield connected


@pytest.mark.parametrize("cron", NEVER)
def test_a_cron_that_never_runs_is_refused_and_not_stored(house: Any, cron: str) -> None:
    add = ("schedule", "add", "calls", "--cron", cron, "--folder", house.calls, "--timezone", "UTC")
    said = "\n".join(house.run(*add, *house.known(), code=2).lines)
    assert f'--cron "{cron}"' in said
    assert "Traceback" not in said
    store = JobStore(house.state).ready()
    with client(database(None, store), store, make=True) as connected:
        assert schedule.list_schedules(connected) == ()


@pytest.mark.parametrize("zone", ["Europe", "../UTC", "", "\0", "x" * 5000, "Mars/Olympus"])
def test_a_zone_that_is_none_is_a_sentence(zone: str) -> None:
    with pytest.raises(SettingsError, match="no such time zone"):
        schedule.next_run("0 2 * * *", zone, datetime.now(UTC))


def test_the_leap_day_is_fine() -> None:
    assert schedule.next_run("0 0 29 2 *", "UTC", datetime(2025, 1, 1, tzinfo=UTC)) == datetime(2028, 2, 29, tzinfo=UTC)


def test_a_time_beyond_the_horizon_is_refused() -> None:
    with pytest.raises(SettingsError, match="would first run in 2050"):
        schedule.next_run("0 0 0 1 1 * 2050", "UTC", datetime(2025, 1, 1, tzinfo=UTC))


def test_a_bad_schedule_in_the_database_is_listed_paused_and_removable(opened: DBOSClient) -> None:
    stored(opened, "never", "0 0 30 2 *")
    stored(opened, "nowhere", "0 2 * * *", "Europe")
    stored(opened, "nightly", "0 2 * * *")
    problems = {table.name: table.problem for table in schedule.list_schedules(opened)}
    assert problems["nightly"] is None
    assert "no date matches it" in str(problems["never"])
    assert "no such time zone" in str(problems["nowhere"])
    assert set(schedule.last_runs(opened)) == {"nightly"}
    sentences = schedule.isolate(opened)
    assert [sentence.partition(":")[0] for sentence in sentences] == [
        "schedule never never runs",
        "schedule nowhere never runs",
    ]
    assert "`meetsplit schedule remove never` removes it" in sentences[0]
    assert {table.name: table.paused for table in schedule.list_schedules(opened)} == {
        "never": True,
        "nowhere": True,
        "nightly": False,
    }
    with pytest.raises(JobError, match="never runs"):
        schedule.resume(opened, "never")
    schedule.remove(opened, "never")
    assert [table.name for table in schedule.list_schedules(opened)] == ["nightly", "nowhere"]


def test_catching_up_goes_on_after_a_bad_schedule(opened: DBOSClient) -> None:
    """The bad one was stored while the worker ran, so it is among the marks."""
    now = datetime.now(UTC)
    before = now - timedelta(minutes=10)
    stored(opened, "a", "0 0 30 2 *")
    stored(opened, "b", "* * * * *")
    opened._sys_db.update_last_fired_at("b", before.isoformat())
    caught_up = schedule.backfill_missed(opened, {"a": before, "b": before}, now)
    assert list(caught_up.last_runs) == ["b"]
    assert len(opened.list_workflows(schedule_name="b")) >= 8


def test_worker_batch_and_list_go_on_with_bad_schedules_in_the_database(house: Any, opened: DBOSClient) -> None:
    stored(opened, "never", "0 0 30 2 *")
    stored(opened, "nowhere", "0 2 * * *", "Europe")
    stored(opened, "twin", "0 0 31 4 *")
    listed = house.run("schedule", "list")
    text = "\n".join(listed.lines)
    assert "never runs: " in text
    assert "meetsplit schedule remove never" in text
    job_statuses = json.loads("\n".join(house.run("schedule", "list", "--json").lines))
    assert {row["name"]: row["problem"] is None for row in job_statuses} == {"never": False, "nowhere": False, "twin": False}
    house.recording("call.wav")
    assert "1 done" in "\n".join(house.run("batch", house.calls, *house.known(), "-o", house.out, *SMALL).lines)
    house.recording("second.wav", seed=2)
    good = (
        "schedule",
        "add",
        "good",
        "--cron",
        "* * * * * *",
        "--folder",
        house.calls,
        "--timezone",
        "UTC",
        "-o",
        house.out,
    )
    house.run(*good, *house.known(), *SMALL)
    worker = house.start("worker")
    worker.until("note: schedule never never runs")
    assert "second.wav" in worker.until("done: ")
    code, _ = worker.signal(signal.SIGTERM)
    assert code == 0
    assert "Traceback" not in "\n".join(worker.lines)


def test_the_watching_thread_survives_any_error_of_one_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that raises what nobody foresaw is said once, the other looks go on, and so does the thread."""
    store = JobStore(tmp_path / "state").ready()
    said: list[str] = []
    looked = threading.Event()
    count: list[int] = []
    monkeypatch.setattr("meetsplit.jobs.worker.LOOK_EVERY", 0.01)

    def broken(self: Worker) -> None:
        raise ZeroDivisionError("not foreseen")

    def counted(self: Worker) -> None:
        count.append(1)
        if len(count) == 3:
            looked.set()

    monkeypatch.setattr(Worker, "_hear_cancellation", broken)
    monkeypatch.setattr(Worker, "_take_over", counted)
    monkeypatch.setattr(Worker, "_catch_up", lambda self: None)

    def on_event(event: object) -> None:
        if isinstance(event, Notice):
            said.append(event.text)

    worker = Worker(database(None, store), store, WorkerOptions(on_event=on_event))
    worker._watching.start()
    assert looked.wait(30)
    worker._over.set()
    worker._watching.join(30)
    assert [sentence for sentence in said if "not foreseen" in sentence] == said
    assert len(said) == 1
