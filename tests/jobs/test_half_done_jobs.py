"""Jobs of version 0.1.0: one that was killed halfway is finished, its id is still computed alike, its schedule is kept.

`half_done/` holds the database (as SQL) and the job folder that 0.1.0 left when its worker was killed in the stage
`separate`; ``@ROOT@`` stands for the folder in which it ran. The recording is made anew, sample by sample the same.
"""

from __future__ import annotations

import json
import signal
import sqlite3
import time
import wave
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from meetsplit.jobs import schedule
from meetsplit.jobs.database import client, database
from meetsplit.jobs.job import JobSpec
from meetsplit.jobs.job_store import JobStore
from meetsplit.jobs.requests import Request

pytestmark = pytest.mark.slow

HALF_DONE = Path(__file__).parent / "half_done"
JOB = "04a62221690d3e5a.1"
RATE = 16000


@pytest.fixture
def interrupted(workspace: Any) -> Any:
    """The workspace as the killed worker of 0.1.0 left it."""
    tone = 0.3 * np.sin(2 * np.pi * 140 * np.arange(4 * RATE) / RATE) * 32767
    with wave.open(str(workspace.calls / "call.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(tone.astype("<i2").tobytes())
    store = JobStore(workspace.state).ready()
    folder = store.folder(JOB.partition(".")[0])
    folder.mkdir()
    for source in HALF_DONE.iterdir():
        text = source.read_text("utf-8").replace("@ROOT@", str(workspace.root))
        if source.suffix == ".sql":
            with closing(sqlite3.connect(store.database)) as connection:
                connection.executescript(text)
        else:
            ((folder if source.suffix == ".json" else workspace.root) / source.name).write_text(text, "utf-8")
    return workspace


def test_a_half_done_job_of_the_first_version_is_finished(interrupted: Any) -> None:
    """Under its own id, without its finished step being run again, and with its command run at the end."""
    (job,) = interrupted.jobs()
    assert (job["job"], job["state"]) == (JOB, "interrupted")
    interrupted.run("schedule", "pause", "nightly")  # a suite that runs at two o'clock would see its job as well
    worker = interrupted.start("worker")
    worker.until("done: ")
    told = interrupted.root / "told"
    deadline = time.monotonic() + 600
    while not (told.exists() and told.read_text() and interrupted.jobs()[0]["state"] == "done"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    worker.signal(signal.SIGTERM)
    assert told.read_text() == "done call\n"
    (job,) = interrupted.jobs()
    assert (job["job"], job["state"], job["attempt"]) == (JOB, "done", 1)
    assert set(interrupted.files()) == {"call.json", "call.srt", "call/A.wav", "call/B.wav"}
    transcript = json.loads((interrupted.out / "call.json").read_text("utf-8"))
    assert [segment["text"] for segment in transcript["segments"]] == ["good morning", "hello"]
    with closing(sqlite3.connect(interrupted.state / "jobs.sqlite")) as connection:
        steps = connection.execute(
            "SELECT function_name, output FROM operation_outputs WHERE workflow_uuid = ? ORDER BY function_id", (JOB,)
        ).fetchall()
    names = [name for name, _ in steps]
    assert names[:4] == ["diarize", "separate", "transcribe", "write"]
    assert steps[0][1] == '{"seconds":0.058}', "the step that 0.1.0 finished was not run again"


def test_a_stored_job_keeps_its_id() -> None:
    """The id is a hash of the recording's content, settings, outputs and folder; `batch` finds jobs of 0.1.0 by it."""
    row = json.loads((HALF_DONE / "job.json").read_text("utf-8").replace("@ROOT@", "/calls"))
    row["settings"] |= {"rttm": None, "script": None, "diarizer": "auto", "transcriber": "auto"}
    spec = JobSpec.from_json(row)
    assert spec.key == "76c0910bbe7c93ea"
    assert {"job": JOB, **spec.to_json()} == row


def test_a_schedule_of_the_first_version_is_kept_and_has_never_run(interrupted: Any) -> None:
    store = JobStore(interrupted.state)
    with client(database(None, store), store) as connection:
        (info,) = schedule.list_schedules(connection)
        (row,) = connection.list_schedules()
    assert (info.name, info.cron, info.problem, info.last) == ("nightly", "0 2 * * *", None, None)
    request = Request.from_json(row["context"]["request"])
    assert request.to_json() == row["context"]["request"]
    assert request.on_completion.retries == 2
