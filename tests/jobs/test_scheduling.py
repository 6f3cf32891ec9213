"""Schedules: every run once, across crashes and pauses, in the right time zone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from meetsplit.jobs import schedule
from meetsplit.jobs.database import client, database
from meetsplit.jobs.job_store import JobStore
from meetsplit.jobs.requests import Request
from meetsplit.pipeline.settings import Outputs, Settings

UNITS = Path(__file__).parents[2] / "docs" / "systemd"


def runs(workspace: Any) -> list[datetime]:
    """The times for which runs were queued, those in the future left out."""
    with closing(sqlite3.connect(workspace.state / "jobs.sqlite")) as database:
        rows = database.execute(
            "SELECT workflow_uuid FROM workflow_status WHERE workflow_uuid LIKE 'sched-calls-%' ORDER BY workflow_uuid"
        )
        return [datetime.fromisoformat(name.removeprefix("sched-calls-")) for (name,) in rows]


def test_a_day_in_seconds(workspace: Any) -> None:
    """Twenty-four runs, one each second, while the worker is killed twice and gone for a while: every run, and each
    once.
    """
    workspace.recording("call.wav")
    workspace.run(
        "schedule",
        "add",
        "calls",
        "--cron",
        "* * * * * *",
        "--folder",
        workspace.calls,
        "--timezone",
        "UTC",
        *workspace.model_free_options(),
        "-f",
        "json",
        "--no-tracks",
    )
    began = datetime.now(UTC)
    for _ in range(2):
        worker = workspace.start("worker")
        worker.until("waiting for work")
        time.sleep(3)
        worker.kill()
        time.sleep(2)
    worker = workspace.start("worker")
    worker.until("waiting for work")
    first = min(runs(workspace))
    assert first - began < timedelta(seconds=3)
    day = [first + timedelta(seconds=second) for second in range(24)]
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and not set(day) <= set(runs(workspace)):
        time.sleep(0.5)
    while time.monotonic() < deadline and [job["state"] for job in workspace.jobs()] != ["done"]:
        time.sleep(0.5)
    assert worker.signal(signal.SIGTERM) == 0
    found = runs(workspace)
    assert len(found) == len(set(found))
    assert set(day) <= set(found)
    assert [job["state"] for job in workspace.jobs()] == ["done"], "24 looks at one recording make one job"
    assert (workspace.calls / "transcripts" / "call.json").exists()


def test_life_of_a_schedule(workspace: Any) -> None:
    workspace.calls.joinpath("x").mkdir()
    add = (
        "schedule",
        "add",
        "nightly",
        "--cron",
        "0 2 * * *",
        "--folder",
        workspace.calls,
        "--timezone",
        "Europe/Berlin",
    )
    output = workspace.run(*add, *workspace.model_free_options())
    assert "nightly runs next at" in "\n".join(output.lines)
    assert "there is one already" in "\n".join(workspace.run(*add, *workspace.model_free_options(), code=1).lines)
    listed = json.loads("\n".join(workspace.run("schedule", "list", "--json").lines))
    assert [(row["name"], row["zone"], row["paused"], row["backfill"]) for row in listed] == [
        ("nightly", "Europe/Berlin", False, True)
    ]
    following = datetime.fromisoformat(listed[0]["next"])
    assert following.hour == 2
    assert following.utcoffset() in (timedelta(hours=1), timedelta(hours=2))
    workspace.run("schedule", "pause", "nightly")
    assert json.loads("\n".join(workspace.run("schedule", "list", "--json").lines))[0]["paused"]
    workspace.run("schedule", "resume", "nightly")
    workspace.recording("call.wav")
    assert "sched-nightly-trigger" in "\n".join(workspace.run("schedule", "run-now", "nightly").lines)
    worker = workspace.start("worker")
    worker.until("done: ")
    worker.signal(signal.SIGTERM)
    workspace.run("schedule", "remove", "nightly")
    assert "no such schedule; there are: none" in "\n".join(workspace.run("schedule", "pause", "nightly", code=1).lines)


def test_a_schedule_has_never_run_until_it_runs(workspace: Any) -> None:
    """Neither adding nor resuming it is a run; a run by hand is, and so is one by timetable."""
    store = JobStore(workspace.state).ready()
    with client(database(None, store), store, make=True) as connection:
        nightly = schedule.ScheduleSpec("nightly", "0 2 * * *", workspace.calls, "UTC", backfill=True)
        schedule.add(connection, nightly, Request(Settings(), Outputs(workspace.out)))

        def last_run() -> datetime | None:
            (info,) = schedule.list_schedules(connection)
            return info.last

        assert last_run() is None
        schedule.pause(connection, "nightly")
        schedule.resume(connection, "nightly")
        assert last_run() is None
        assert set(schedule.last_runs(connection)) == {"nightly"}, "runs missed from now on are backfilled"
        listed = workspace.run("schedule", "list").lines
        assert any("nightly" in line and "never" in line for line in listed)
        before = datetime.now(UTC)
        schedule.run_now(connection, "nightly")
        by_hand = last_run()
        assert by_hand is not None
        assert before <= by_hand <= datetime.now(UTC)
        tomorrow = schedule.next_run("0 2 * * *", "UTC", before)
        connection._sys_db.update_last_fired_at("nightly", tomorrow.isoformat())  # as DBOS's scheduler does
        assert last_run() == tomorrow


def test_a_pause_misses_its_runs_for_good(workspace: Any) -> None:
    """Ten runs that a pause missed, and ten of a schedule that never catches up: none is queued afterwards."""
    store = JobStore(workspace.state).ready()
    request = Request(Settings(), Outputs(workspace.out))
    # Five seconds after a run: one that DBOS has not queued yet is queued at once, a worker may be killed any moment.
    now = datetime.now(UTC).replace(second=5)
    before = now - timedelta(minutes=10)
    with client(database(None, store), store, make=True) as connection:
        for name, backfill in (("paused", True), ("forgetful", False), ("careful", True)):
            schedule.add(
                connection, schedule.ScheduleSpec(name, "* * * * *", workspace.calls, "UTC", backfill), request
            )
            connection._sys_db.update_last_fired_at(name, before.isoformat())
        schedule.pause(connection, "paused")
        assert set(schedule.last_runs(connection)) == {"careful"}
        schedule.resume(connection, "paused")
        schedule.backfill_missed(connection, schedule.last_runs(connection), now)
        queued = {
            name: len(connection.list_workflows(schedule_name=name)) for name in ("paused", "forgetful", "careful")
        }
    assert queued["careful"] == 10
    assert (queued["paused"], queued["forgetful"]) == (0, 0)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (("--cron", "every night"), "five fields are needed"),
        (("--timezone", "Mars/Olympus"), "no such time zone"),
        (("--folder", "nowhere"), "no such folder"),
    ],
)
def test_wrong_schedules(workspace: Any, wrong: tuple[str, str], sentence: str) -> None:
    options = {"--cron": "0 2 * * *", "--folder": str(workspace.calls), "--timezone": "UTC"} | dict([wrong])
    output = workspace.run(
        "schedule",
        "add",
        "calls",
        *(part for pair in options.items() for part in pair),
        *workspace.model_free_options(),
        code=2,
    )
    assert sentence in "\n".join(output.lines)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")
def test_units(tmp_path: Path) -> None:
    """systemd understands the documented units; the program's path is the one of a test, since it must exist."""
    program = tmp_path / "meetsplit"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for unit in UNITS.iterdir():
        (tmp_path / unit.name).write_text(unit.read_text().replace("%h/.local/bin/meetsplit", str(program)))
    names = sorted(unit.name for unit in UNITS.iterdir())
    assert names == ["meetsplit-watch.service", "meetsplit-watch.timer", "meetsplit-worker.service"]
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--user", *names],
        cwd=tmp_path,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in checked.stderr.splitlines() if "meetsplit" in line]
    assert (checked.returncode, ours) == (0, []), checked.stderr
