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


def test_existing_then_new_then_growing(house: Any) -> None:
    house.recording("first.wav", seed=1)
    running = house.start("watch", house.calls, *house.known(), *OPTIONS)
    assert "first.wav" in running.until("done: ")
    house.recording("monday/second.wav", seed=2)
    assert "monday/second.wav" in running.until("done: ")
    whole = house.recording("../whole.wav", seconds=30, seed=3).read_bytes()
    copying = house.calls / "third.wav"
    with copying.open("wb") as file:
        for at in range(0, len(whole), len(whole) // 12):
            file.write(whole[at : at + len(whole) // 12])
            file.flush()
            time.sleep(0.25)
    assert "third.wav" in running.until("done: ")
    assert running.signal(signal.SIGTERM)[0] == 0
    transcript = json.loads((house.calls / "transcripts" / "third.json").read_text())
    assert transcript["duration"] == 30.0, "the file was taken when it was complete"
    assert not any(line.startswith("failed") for line in running.lines)
    assert (house.calls / "transcripts" / "monday" / "second.json").exists()
    assert sorted(job["recording"].rpartition("/")[2] for job in house.jobs()) == [
        "first.wav",
        "second.wav",
        "third.wav",
    ]

    again = house.run("watch", house.calls, *house.known(), *OPTIONS, "--once")
    assert "diarize …" not in again.lines


def test_once_leaves_what_grows(house: Any) -> None:
    house.recording("whole.wav", seed=1)
    growing = house.calls / "growing.wav"
    stop = threading.Event()

    def write() -> None:
        with growing.open("ab") as file:
            while not stop.wait(0.05):
                file.write(b"\0" * 100)
                file.flush()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        running = house.run("watch", house.calls, *house.known(), *OPTIONS, "--once")
    finally:
        stop.set()
        writer.join()
    assert "note: 1 file is still being written to and left for the next time" in running.lines
    assert [Path(job["recording"]).name for job in house.jobs()] == ["whole.wav"]


def test_poison_is_set_aside_by_record(house: Any) -> None:
    house.recording("good.wav")
    poison = house.calls / "poison.wav"
    poison.write_bytes(b"RIFF\x00\x00\x00\x00WAVEnothing to hear here")
    quick = (*house.known(), *OPTIONS, "--once", "--retry-delay", "0.1", "--retries", "1")
    first = house.run("watch", house.calls, *quick, code=1)
    assert sum(line.startswith("failed: ") for line in first.lines) == 2
    reason = house.calls / "transcripts" / "poison.failed.txt"
    assert "was tried 2 times and set aside:" in reason.read_text()
    assert "meetsplit jobs retry" in reason.read_text()
    assert poison.exists()
    second = house.run("watch", house.calls, *quick)
    assert not any(line.startswith("failed: ") for line in second.lines), "what was set aside is left alone"
    shutil.copy(house.recording("../fine.wav", seed=9), poison)
    house.run("watch", house.calls, *quick)
    assert (house.calls / "transcripts" / "poison.json").exists(), "a file that was replaced is a new recording"
    assert not reason.exists()


def test_once_leaves_a_late_retry_to_the_next_process(house: Any) -> None:
    """A timer starts the next one anyway; each ends when it has done what can be done now."""
    poison = house.calls / "poison.wav"
    poison.write_bytes(b"RIFF\x00\x00\x00\x00WAVEnothing to hear here")
    command = ("watch", house.calls, *house.known(), *OPTIONS, "--once", "--retries", "1", "--retry-delay", "3600")
    first = house.run(*command, code=1)
    assert sum(line.startswith("failed: ") for line in first.lines) == 1
    assert any(line.startswith("note: 1 recording that failed is tried again by the next") for line in first.lines)
    assert [job["state"] for job in house.jobs()] == ["waiting to retry"]
    assert not (house.calls / "transcripts" / "poison.failed.txt").exists()
    early = house.run(*command)
    assert not any(line.startswith("failed: ") for line in early.lines)
    with closing(sqlite3.connect(house.state / "jobs.sqlite")) as database, database:  # an hour later
        database.execute("UPDATE workflow_status SET delay_until_epoch_ms = 1 WHERE status = 'DELAYED'")
    last = house.run(*command, code=1)
    assert sum(line.startswith("failed: ") for line in last.lines) == 1
    assert [job["state"] for job in house.jobs()] == ["failed"]
    assert "was tried 2 times" in (house.calls / "transcripts" / "poison.failed.txt").read_text()


def test_once_runs_once_at_a_time(house: Any) -> None:
    """A timer that starts the next watch while one is at work gets a note; another results folder is another watch."""
    house.recording("call.wav")
    store = JobStore(house.state)
    lock = single_watch_lock(store, house.calls, house.calls / "transcripts")
    assert lock is not None
    with lock:
        assert single_watch_lock(store, house.calls / "." / "", house.calls / "transcripts") is None
        said = house.run("watch", house.calls, *house.known(), *OPTIONS, "--once")
        assert said.lines == [
            f"note: another `meetsplit watch --once` is still at work on {house.calls}; this one ends"
        ]
        other = house.run("watch", house.calls, *house.known(), *OPTIONS, "--once", "-o", house.out)
        assert any(line.startswith("done: ") for line in other.lines)
    assert any(
        line.startswith("done: ") for line in house.run("watch", house.calls, *house.known(), *OPTIONS, "--once").lines
    )


def test_patterns_and_moving(house: Any) -> None:
    for name in ("keep.wav", "skip-me.wav", "other.ogg", ".hidden.wav", "SPEAKER_00.wav"):
        house.recording(name, seed=len(name))
    house.run(
        "watch",
        house.calls,
        *house.known(),
        *OPTIONS,
        "--once",
        "--include",
        "*.wav",
        "--exclude",
        "skip*",
        "--move-done",
        house.root / "done",
    )
    assert sorted(path.name for path in house.calls.iterdir()) == [
        ".hidden.wav",
        "SPEAKER_00.wav",
        "other.ogg",
        "skip-me.wav",
        "transcripts",
    ]
    assert [path.name for path in (house.root / "done").iterdir()] == ["keep.wav"]


def test_a_later_recording_never_takes_the_place_of_an_earlier_ones_results(house: Any) -> None:
    """Of the same name with another ending, and of the same path: a recorder that begins again at 1, finished recordings moved."""
    watch = (
        "watch",
        house.calls,
        *house.known(),
        *OPTIONS,
        "--once",
        "-o",
        house.out,
        "--move-done",
        house.root / "done",
    )
    house.recording("call.wav", seed=1)
    house.run(*watch)
    first = (house.out / "call.json").read_bytes()
    house.recording("call.aiff", seed=2)
    house.run(*watch)
    house.recording("call.wav", seed=3)
    third = house.run(*watch)
    assert house.files().keys() == {"call.json", "call-aiff.json", "call-2.json"}
    assert (house.out / "call.json").read_bytes() == first
    assert house.files(house.root / "done").keys() == {"call.wav", "call.aiff", "call-2.wav"}
    assert any(line.endswith(f"{house.out}/call-2.*") for line in third.lines), "it is said where the results are"
    print_notes = {job["recording"].rpartition("/")[2]: job["note"] for job in house.jobs() if job["note"]}
    assert "call-2.*, because call.* are the results of an earlier recording at the same path" in print_notes["call.wav"]


def test_the_reason_of_a_failure_replaces_no_file_of_the_users(house: Any) -> None:
    (house.calls / "poison.wav").write_bytes(b"RIFF\x00\x00\x00\x00WAVEnothing to hear here")
    (house.calls / f"{'n' * 251}.wav").write_bytes(b"RIFF\x00\x00\x00\x00WAVEnothing to hear there")
    house.out.mkdir()
    (house.out / "poison.failed.txt").write_text("what I know about it")
    quick = ("--once", "--retry-delay", "0.1", "--retries", "1", "-o", house.out)
    house.run("watch", house.calls, *house.known(), *OPTIONS, *quick, code=1)
    found = house.files()
    assert found.pop("poison.failed.txt") == b"what I know about it"
    assert b"poison.wav" in found.pop("poison-2.failed.txt")
    ((name, text),) = found.items()
    assert name.startswith("n" * 200)
    assert b"was tried 2 times and set aside" in text


def test_watch_refuses(house: Any) -> None:
    said = house.run("watch", house.calls, *house.known(), "-o", house.calls, code=2)
    assert "results cannot go to the watched folder itself" in "\n".join(said.lines)
    said = house.run("watch", house.root / "nowhere", *house.known(), code=1)
    assert "nowhere: no such folder" in "\n".join(said.lines)


@pytest.mark.skipif(not hasattr(os, "getpriority"), reason="this system has no niceness")
def test_nice_by_default(house: Any) -> None:
    running = house.start("watch", house.calls, *house.known(), *OPTIONS)
    house.recording("call.wav")
    running.until("done: ")
    assert os.getpriority(os.PRIO_PROCESS, running.process.pid) >= min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)
    running.signal(signal.SIGTERM)
