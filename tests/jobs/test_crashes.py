"""A job whose process dies goes on at the stage that was running, and ends as if nothing had happened."""

from __future__ import annotations

import re
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

LONG = 400.0
FORMATS = ("-f", "json,srt,rttm")
STAGES = ("decode", "diarize", "separate", "transcribe", "write")


@pytest.fixture(scope="module")
def undisturbed(make_workspace: Callable[[Path], Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What `meetsplit run` makes of the long recording; stages long enough to die in."""
    workspace = make_workspace(tmp_path_factory.mktemp("undisturbed"))
    long = workspace.recording("long.wav", seconds=LONG)
    workspace.run("run", long, *workspace.model_free_options(LONG), "-o", workspace.out, *FORMATS, "--no-cache", "-q")
    return workspace


@pytest.mark.parametrize("stage", STAGES)
def test_killed_in_every_stage(workspace: Any, undisturbed: Any, stage: str) -> None:
    long = workspace.recording("long.wav", seconds=LONG)
    command = ("batch", long, *undisturbed.model_free_options(LONG), "-o", workspace.out, *FORMATS)
    first = workspace.start(*command)
    first.until(f"{stage} …")
    first.kill()
    assert workspace.files() == {} or stage == "write"
    second = workspace.run(*command)
    for finished in STAGES[1 : max(1, STAGES.index(stage))]:
        assert f"{finished} …" not in second.lines, f"{finished} was done before the process was killed in {stage}"
    assert f"{stage} …" in second.lines
    assert workspace.files() == undisturbed.files()
    assert {path.name for path in workspace.job_folder().iterdir()} == {"job.json", "done.json", "lock"}
    (job,) = workspace.jobs()
    assert (job["state"], job["attempt"]) == ("done", 1)


def recording_of(line: str) -> str:
    """The recording that a line is about."""
    match = re.search(r"call\d", line)
    assert match is not None, line
    return match[0]


def test_two_workers_share_and_one_is_killed(workspace: Any) -> None:
    for number in range(6):
        workspace.recording(f"call{number}.wav", seconds=100, seed=number)
    workspace.batch("--queue-only", "-f", "json", seconds=100)
    workers = [workspace.start("worker"), workspace.start("worker")]
    workers[0].until("separate …")
    workers[0].kill()
    done = [recording_of(line) for line in workers[0].lines if line.startswith("done")]
    while len(set(done)) < 6:
        done.append(recording_of(workers[1].until("done: ")))
    patience = time.monotonic() + 600
    while {job["state"] for job in workspace.jobs()} != {"done"} and time.monotonic() < patience:
        time.sleep(0.3)
    assert workers[1].signal(signal.SIGTERM) == 0
    assert {job["state"] for job in workspace.jobs()} == {"done"}
    assert len(done) <= 7, "only what was told as done at the very moment of the kill may be told again"
    assert sorted(path.name for path in workspace.out.glob("*.json")) == [f"call{number}.json" for number in range(6)]


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_asked_to_stop(workspace: Any, undisturbed: Any, number: int, expected: int) -> None:
    long = workspace.recording("long.wav", seconds=LONG)
    command = ("batch", long, *undisturbed.model_free_options(LONG), "-o", workspace.out, *FORMATS)
    first = workspace.start(*command)
    first.until("separate …")
    code = first.signal(number)
    assert code == expected
    assert "Traceback" not in "\n".join(first.lines)
    second = workspace.run(*command)
    assert "diarize …" not in second.lines
    assert workspace.files() == undisturbed.files()


SLOWLY_RECORDED = """
import time
from meetsplit.jobs.workflows import Workflows

recording = Workflows.recording

def slowly_recorded(*arguments):
    result = recording(*arguments)
    time.sleep(1.0)
    return result

Workflows.recording = slowly_recorded
"""


def test_asked_to_stop_between_the_last_stage_and_its_record(workspace: Any) -> None:
    """On a busy machine a second can pass between a job's last line and the queue's record that it is done."""
    for number in range(2):
        workspace.recording(f"call{number}.wav", seed=number)
    workspace.batch("--queue-only", "-f", "json")
    worker = workspace.start("worker", first=SLOWLY_RECORDED)
    worker.until("done: ")
    assert worker.signal(signal.SIGTERM) == 0
    assert sorted(job["state"] for job in workspace.jobs()) in (["done", "interrupted"], ["done", "waiting"])


def test_asked_to_stop_in_a_stage_that_takes_long(workspace: Any) -> None:
    """The process ends around the stage, and the job does not count as failed."""
    call = workspace.recording("call.wav", seconds=1200)
    slow = [option if option != "none" else "dictionary" for option in workspace.model_free_options(1200)]
    running = workspace.start("batch", call, *slow, "-o", workspace.out)
    running.until("separate …")
    assert running.signal(signal.SIGTERM) == 143
    assert [(job["state"], job["stage"]) for job in workspace.jobs()] == [("interrupted", "separate")]
    assert not (workspace.job_folder() / "stage.json").exists(), "a stop is no crash"
    assert workspace.files() == {}


def test_an_upgrade_between_crash_and_restart(workspace: Any, tmp_path: Path) -> None:
    """Another version of the package on the path, as pip leaves it: the job is resumed, nothing of two versions
    mixes.
    """
    call = workspace.recording("call.wav", seconds=LONG)
    command = ("batch", call, *workspace.model_free_options(LONG), "-o", workspace.out, *FORMATS)
    first = workspace.start(*command)
    first.until("transcribe …")
    first.kill()
    newer = tmp_path / "newer"
    info = newer / "meetsplit-9.9.9.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: meetsplit\nVersion: 9.9.9\n")
    second = workspace.run(*command, env={"PYTHONPATH": str(newer)})
    assert "diarize …" in second.lines, "results of another version are not continued"
    assert b'"version": "9.9.9"' in (workspace.out / "call.json").read_bytes()
    (job,) = workspace.jobs()
    assert (job["state"], job["attempt"]) == ("done", 1)


def test_the_database_of_an_unfinished_job(workspace: Any) -> None:
    """What a crash leaves in DBOS's table carries our version, not a hash of the code."""
    call = workspace.recording("call.wav", seconds=300)
    first = workspace.start("batch", call, *workspace.model_free_options(300), "-o", workspace.out)
    first.until("separate …")
    first.kill()
    with sqlite3.connect(workspace.state / "jobs.sqlite") as database:
        rows = database.execute("SELECT status, application_version, application_name FROM workflow_status").fetchall()
    database.close()
    assert rows == [("PENDING", "jobs-1", "meetsplit")]
