"""Disks that are full, databases that are locked or broken, clocks that step back."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

FORMATS = ("-f", "json,srt")


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[None]:
    """A disk of that size at ``place``."""
    place.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path, leave: int) -> Path:
    """A file that leaves so many bytes."""
    path = place / "filler"
    path.write_bytes(b"\0" * (shutil.disk_usage(place).free - leave))
    return path


def test_room_is_checked_before_a_job(house: Any) -> None:
    call = house.recording("call.wav", seconds=100)
    with small_disk(house.out, "8m"):
        said = house.run("batch", call, *house.known(100), "-o", house.out, *FORMATS, code=1)
        assert "call.wav needs about 74 MB there (tracks of 2 people, 2 min), 8 MB are free" in "\n".join(said.lines)
        assert "diarize …" not in said.lines
        assert house.files() == {}


@pytest.mark.parametrize(("stage", "where"), [("separate", "state"), ("write", "out")])
def test_disk_fills_up_in_the_middle(house: Any, stage: str, where: str) -> None:
    """Room was there when the job began; nothing half-written is left, and with room again the job goes on."""
    call = house.recording("call.wav", seconds=400)
    disk = house.state / "jobs" if where == "state" else house.out
    with small_disk(disk, "120m"):
        command = ("batch", call, *house.known(400), "-o", house.out, *FORMATS)
        running = house.start(*command)
        running.until("diarize …" if stage == "separate" else "separate …")
        running.process.send_signal(19)
        filler = fill(disk, 300_000)
        running.process.send_signal(18)
        assert running.end() == 1, running.lines
        table = "\n".join(running.lines)
        assert "No space left on device" in table or "the disk is full" in table
        assert house.files() == ({} if where == "state" else {"filler": filler.read_bytes()})
        assert not list(disk.rglob("*.part"))
        filler.unlink()
        again = house.run(*command)
        assert ("diarize …" in again.lines) is (stage == "diarize")
        assert set(house.files()) == {"call.json", "call.srt", "call/SPEAKER_00.wav", "call/SPEAKER_01.wav"}


def test_database_locked_for_a_while(house: Any) -> None:
    """Another program holds the database in the middle of a job: the job waits for it, and ends well."""
    call = house.recording("call.wav", seconds=100)
    running = house.start("batch", call, *house.known(100), "-o", house.out, *FORMATS)
    running.until("decode …")
    with closing(sqlite3.connect(house.state / "jobs.sqlite", isolation_level=None, timeout=60)) as other:
        other.execute("BEGIN EXCLUSIVE")
        time.sleep(3)
        assert running.process.poll() is None
        other.execute("ROLLBACK")
    assert running.end() == 0, running.lines
    assert (house.out / "call.json").exists()


def test_database_damaged(house: Any) -> None:
    call = house.recording("call.wav", seconds=200)
    command = ("batch", call, *house.known(200), "-o", house.out, *FORMATS)
    running = house.start(*command)
    running.until("transcribe …")
    running.kill()
    for extra in ("-wal", "-shm"):
        Path(f"{house.state}/jobs.sqlite{extra}").unlink(missing_ok=True)
    database = house.state / "jobs.sqlite"
    database.write_bytes(b"SQLite format 3\0" + b"\x17" * 40000)
    for arguments in (command, ("jobs", "list"), ("worker",)):
        said = "\n".join(house.run(*arguments, code=1).lines)
        assert "jobs.sqlite: the queue's database is damaged" in said
        assert "finished stages are kept: move the database away and queue the recordings again" in said
        assert "Traceback" not in said
    assert '"recording"' in (house.job_folder() / "job.json").read_text()
    database.rename(house.root / "damaged")
    again = house.run(*command)
    assert "diarize …" not in again.lines, "stages that were finished before the database broke are not repeated"
    assert (house.out / "call.json").exists()
    database.unlink()
    for extra in ("-wal", "-shm"):
        Path(f"{database}{extra}").unlink(missing_ok=True)
    assert "1 done before" in "\n".join(house.run(*command).lines), "what was done is known from the job's folder alone"


CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
#include <sys/time.h>
static const long back = 90000;
int clock_gettime(clockid_t id, struct timespec *t) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int answer = real(id, t);
    if (id == CLOCK_REALTIME) t->tv_sec -= back;
    return answer;
}
int gettimeofday(struct timeval *t, void *zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    t->tv_sec = now.tv_sec; t->tv_usec = now.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *t) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (t) *t = now.tv_sec;
    return now.tv_sec;
}
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="a C compiler is needed to turn back a process's clock")
def test_clock_steps_back(house: Any) -> None:
    """The machine's clock is 25 hours behind when a job is resumed, and right again for the next batch."""
    (house.root / "clock.c").write_text(CLOCK)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", "clock.so", "clock.c", "-ldl"], cwd=house.root, check=True)
    earlier = {"LD_PRELOAD": str(house.root / "clock.so")}
    house.recording("one.wav", seconds=200, seed=1)
    command = ("batch", house.calls, *house.known(200), "-o", house.out, *FORMATS)
    first = house.start(*command)
    first.until("separate …")
    first.kill()
    house.recording("two.wav", seconds=200, seed=2)
    second = house.run(*command, env=earlier)
    assert "2 done" in "\n".join(second.lines)
    assert second.lines.count("diarize …") == 1
    third = house.run(*command)
    assert "2 done before" in "\n".join(third.lines)
    one, two = sorted(house.jobs(), key=lambda job: job["recording"])
    assert (one["state"], two["state"]) == ("done", "done")
    assert one["queued"] - two["queued"] > 80000, "the clock did step back"
