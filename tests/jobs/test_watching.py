"""A watched folder: what is there, what comes, what is still being copied, what fails."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from meetsplit.jobs.job_store import JobStore
from meetsplit.jobs.watch import single_watch_lock

OPTIONS = ("-f", "json", "--no-tracks", "--poll", "0.2")


def test_existing_then_new_then_growing(workspace: Any) -> None:
    workspace.recording("first.wav", seed=1)
    running = workspace.start("watch", workspace.calls, *workspace.model_free_options(), *OPTIONS)
    assert "first.wav" in running.until("done: ")
    workspace.recording("monday/second.wav", seed=2)
    assert "monday/second.wav" in running.until("done: ")
    whole = workspace.recording("../whole.wav", seconds=30, seed=3).read_bytes()
    copying = workspace.calls / "third.wav"
    with copying.open("wb") as file:
        for at in range(0, len(whole), len(whole) // 12):
            file.write(whole[at : at + len(whole) // 12])
            file.flush()
            time.sleep(0.25)
    assert "third.wav" in running.until("done: ")
    assert running.signal(signal.SIGTERM) == 0
    transcript = json.loads((workspace.calls / "transcripts" / "third.json").read_text())
    assert transcript["duration"] == 30.0, "the file was taken when it was complete"
    assert not any(line.startswith("failed") for line in running.lines)
    assert (workspace.calls / "transcripts" / "monday" / "second.json").exists()
    assert sorted(job["recording"].rpartition("/")[2] for job in workspace.jobs()) == [
        "first.wav",
        "second.wav",
        "third.wav",
    ]

    again = workspace.run("watch", workspace.calls, *workspace.model_free_options(), *OPTIONS, "--once")
    assert "diarize …" not in again.lines


def test_once_leaves_what_grows(workspace: Any) -> None:
    workspace.recording("whole.wav", seed=1)
    growing = workspace.calls / "growing.wav"
    stop = threading.Event()

    def write() -> None:
        with growing.open("ab") as file:
            while not stop.wait(0.05):
                file.write(b"\0" * 100)
                file.flush()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        running = workspace.run("watch", workspace.calls, *workspace.model_free_options(), *OPTIONS, "--once")
    finally:
        stop.set()
        writer.join()
    assert "note: 1 file is still being written to and left for the next time" in running.lines
    assert [Path(job["recording"]).name for job in workspace.jobs()] == ["whole.wav"]


def test_poison_is_set_aside_by_record(workspace: Any) -> None:
    workspace.recording("good.wav")
    poison = workspace.calls / "poison.wav"
    poison.write_bytes(b"RIFF\x00\x00\x00\x00WAVEnothing to hear here")
    quick = (*workspace.model_free_options(), *OPTIONS, "--once", "--retry-delay", "0.1", "--retries", "1")
    first = workspace.run("watch", workspace.calls, *quick, code=1)
    assert sum(line.startswith("failed: ") for line in first.lines) == 2
    reason = workspace.calls / "transcripts" / "poison.failed.txt"
    assert "was tried 2 times and set aside:" in reason.read_text()
    assert "meetsplit jobs retry" in reason.read_text()
    assert poison.exists()
    second = workspace.run("watch", workspace.calls, *quick)
    assert not any(line.startswith("failed: ") for line in second.lines), "what was set aside is left alone"
    shutil.copy(workspace.recording("../fine.wav", seed=9), poison)
    workspace.run("watch", workspace.calls, *quick)
    assert (workspace.calls / "transcripts" / "poison.json").exists(), "a file that was replaced is a new recording"
    assert not reason.exists()


def test_once_leaves_a_late_retry_to_the_next_process(workspace: Any) -> None:
    """A timer starts the next one anyway; each ends when it has done what can be done now."""
    poison = workspace.calls / "poison.wav"
    poison.write_bytes(b"RIFF\x00\x00\x00\x00WAVEnothing to hear here")
    command = (
        "watch",
        workspace.calls,
        *workspace.model_free_options(),
        *OPTIONS,
        "--once",
        "--retries",
        "1",
        "--retry-delay",
        "3600",
    )
    first = workspace.run(*command, code=1)
    assert sum(line.startswith("failed: ") for line in first.lines) == 1
    assert any(line.startswith("note: 1 recording that failed is tried again by the next") for line in first.lines)
    assert [job["state"] for job in workspace.jobs()] == ["waiting to retry"]
    assert not (workspace.calls / "transcripts" / "poison.failed.txt").exists()
    early = workspace.run(*command)
    assert not any(line.startswith("failed: ") for line in early.lines)
    with closing(sqlite3.connect(workspace.state / "jobs.sqlite")) as database, database:  # an hour later
        database.execute("UPDATE workflow_status SET delay_until_epoch_ms = 1 WHERE status = 'DELAYED'")
    last = workspace.run(*command, code=1)
    assert sum(line.startswith("failed: ") for line in last.lines) == 1
    assert [job["state"] for job in workspace.jobs()] == ["failed"]
    assert "was tried 2 times" in (workspace.calls / "transcripts" / "poison.failed.txt").read_text()


def test_once_runs_once_at_a_time(workspace: Any) -> None:
    """A timer that starts the next watch while one is at work gets a note; another results folder is another watch."""
    workspace.recording("call.wav")
    store = JobStore(workspace.state)
    lock = single_watch_lock(store, workspace.calls, workspace.calls / "transcripts")
    assert lock is not None
    with lock:
        assert single_watch_lock(store, workspace.calls / "." / "", workspace.calls / "transcripts") is None
        output = workspace.run("watch", workspace.calls, *workspace.model_free_options(), *OPTIONS, "--once")
        assert output.lines == [
            f"note: another `meetsplit watch --once` is still at work on {workspace.calls}; this one ends"
        ]
        other = workspace.run(
            "watch", workspace.calls, *workspace.model_free_options(), *OPTIONS, "--once", "-o", workspace.out
        )
        assert any(line.startswith("done: ") for line in other.lines)
    assert any(
        line.startswith("done: ")
        for line in workspace.run("watch", workspace.calls, *workspace.model_free_options(), *OPTIONS, "--once").lines
    )


def test_patterns_and_moving(workspace: Any) -> None:
    for name in ("keep.wav", "skip-me.wav", "other.ogg", ".hidden.wav", "SPEAKER_00.wav"):
        workspace.recording(name, seed=len(name))
    workspace.run(
        "watch",
        workspace.calls,
        *workspace.model_free_options(),
        *OPTIONS,
        "--once",
        "--include",
        "*.wav",
        "--exclude",
        "skip*",
        "--move-done",
        workspace.root / "done",
    )
    assert sorted(path.name for path in workspace.calls.iterdir()) == [
        ".hidden.wav",
        "SPEAKER_00.wav",
        "other.ogg",
        "skip-me.wav",
        "transcripts",
    ]
    assert [path.name for path in (workspace.root / "done").iterdir()] == ["keep.wav"]


def test_a_later_recording_never_takes_the_place_of_an_earlier_ones_results(workspace: Any) -> None:
    """Of the same name with another ending, and of the same path: a recorder that begins again at 1, finished
    recordings moved.
    """
    watch = (
        "watch",
        workspace.calls,
        *workspace.model_free_options(),
        *OPTIONS,
        "--once",
        "-o",
        workspace.out,
        "--move-done",
        workspace.root / "done",
    )
    workspace.recording("call.wav", seed=1)
    workspace.run(*watch)
    first = (workspace.out / "call.json").read_bytes()
    workspace.recording("call.aiff", seed=2)
    workspace.run(*watch)
    workspace.recording("call.wav", seed=3)
    third = workspace.run(*watch)
    assert workspace.files().keys() == {"call.json", "call-aiff.json", "call-2.json"}
    assert (workspace.out / "call.json").read_bytes() == first
    assert workspace.files(workspace.root / "done").keys() == {"call.wav", "call.aiff", "call-2.wav"}
    assert any(line.endswith(f"{workspace.out}/call-2.*") for line in third.lines), "it is said where the results are"
    notes = {job["recording"].rpartition("/")[2]: job["note"] for job in workspace.jobs() if job["note"]}
    assert "call-2.*, because call.* are the results of an earlier recording at the same path" in notes["call.wav"]


def test_the_reason_of_a_failure_replaces_no_file_of_the_users(workspace: Any) -> None:
    (workspace.calls / "poison.wav").write_bytes(b"RIFF\x00\x00\x00\x00WAVEnothing to hear here")
    (workspace.calls / f"{'n' * 251}.wav").write_bytes(b"RIFF\x00\x00\x00\x00WAVEnothing to hear there")
    workspace.out.mkdir()
    (workspace.out / "poison.failed.txt").write_text("what I know about it")
    quick = ("--once", "--retry-delay", "0.1", "--retries", "1", "-o", workspace.out)
    workspace.run("watch", workspace.calls, *workspace.model_free_options(), *OPTIONS, *quick, code=1)
    found = workspace.files()
    assert found.pop("poison.failed.txt") == b"what I know about it"
    assert b"poison.wav" in found.pop("poison-2.failed.txt")
    ((name, text),) = found.items()
    assert name.startswith("n" * 200)
    assert b"was tried 2 times and set aside" in text


def test_watch_refuses(workspace: Any) -> None:
    output = workspace.run("watch", workspace.calls, *workspace.model_free_options(), "-o", workspace.calls, code=2)
    assert "results cannot go to the watched folder itself" in "\n".join(output.lines)
    output = workspace.run("watch", workspace.root / "nowhere", *workspace.model_free_options(), code=1)
    assert "nowhere: no such folder" in "\n".join(output.lines)


@pytest.mark.skipif(not hasattr(os, "getpriority"), reason="this system has no niceness")
def test_nice_by_default(workspace: Any) -> None:
    running = workspace.start("watch", workspace.calls, *workspace.model_free_options(), *OPTIONS)
    workspace.recording("call.wav")
    running.until("done: ")
    assert os.getpriority(os.PRIO_PROCESS, running.process.pid) >= min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)
    running.signal(signal.SIGTERM)
