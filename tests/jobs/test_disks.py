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

pytestmark = pytest.mark.slow

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


def test_room_is_checked_before_a_job(workspace: Any) -> None:
    call = workspace.recording("call.wav", seconds=100)
    with small_disk(workspace.out, "8m"):
        output = workspace.run("batch", call, *workspace.model_free_options(100), "-o", workspace.out, *FORMATS, code=1)
        assert "call.wav needs about 74 MB there (tracks of 2 people, 2 min), 8 MB are free" in "\n".join(output.lines)
        assert "diarize …" not in output.lines
        assert workspace.files() == {}


@pytest.mark.parametrize(("stage", "where"), [("separate", "state"), ("write", "out")])
def test_disk_fills_up_in_the_middle(workspace: Any, stage: str, where: str) -> None:
    """Room was there when the job began; nothing half-written is left, and with room again the job goes on."""
    call = workspace.recording("call.wav", seconds=400)
    disk = workspace.state / "jobs" if where == "state" else workspace.out
    with small_disk(disk, "120m"):
        command = ("batch", call, *workspace.model_free_options(400), "-o", workspace.out, *FORMATS)
        running = workspace.start(*command)
        running.until("diarize …" if stage == "separate" else "separate …")
        running.process.send_signal(19)
        filler = fill(disk, 300_000)
        running.process.send_signal(18)
        assert running.end() == 1, running.lines
        table = "\n".join(running.lines)
        assert "No space left on device" in table or "the disk is full" in table
        assert workspace.files() == ({} if where == "state" else {"filler": filler.read_bytes()})
        assert not list(disk.rglob("*.part"))
        filler.unlink()
        again = workspace.run(*command)
        assert ("diarize …" in again.lines) is (stage == "diarize")
        assert set(workspace.files()) == {"call.json", "call.srt", "call/A.wav", "call/B.wav"}


def test_database_locked_for_a_while(workspace: Any) -> None:
    """Another program holds the database in the middle of a job: the job waits for it, and ends well."""
    call = workspace.recording("call.wav", seconds=100)
    running = workspace.start("batch", call, *workspace.model_free_options(100), "-o", workspace.out, *FORMATS)
    running.until("decode …")
    with closing(sqlite3.connect(workspace.state / "jobs.sqlite", isolation_level=None, timeout=60)) as other:
        other.execute("BEGIN EXCLUSIVE")
        time.sleep(3)
        assert running.process.poll() is None
        other.execute("ROLLBACK")
    assert running.end() == 0, running.lines
    assert (workspace.out / "call.json").exists()


def test_database_damaged(workspace: Any) -> None:
    call = workspace.recording("call.wav", seconds=200)
    command = ("batch", call, *workspace.model_free_options(200), "-o", workspace.out, *FORMATS)
    running = workspace.start(*command)
    running.until("transcribe …")
    running.kill()
    for extra in ("-wal", "-shm"):
        Path(f"{workspace.state}/jobs.sqlite{extra}").unlink(missing_ok=True)
    database = workspace.state / "jobs.sqlite"
    database.write_bytes(b"SQLite format 3\0" + b"\x17" * 40000)
    for arguments in (command, ("jobs", "list"), ("worker",)):
        output = "\n".join(workspace.run(*arguments, code=1).lines)
        assert "jobs.sqlite: the queue's database is damaged" in output
        assert "finished stages are kept: move the database away and queue the recordings again" in output
        assert "Traceback" not in output
    assert '"recording"' in (workspace.job_folder() / "job.json").read_text()
    database.rename(workspace.root / "damaged")
    again = workspace.run(*command)
    assert "diarize …" not in again.lines, "stages that were finished before the database broke are not repeated"
    assert (workspace.out / "call.json").exists()
    database.unlink()
    for extra in ("-wal", "-shm"):
        Path(f"{database}{extra}").unlink(missing_ok=True)
    assert "1 done before" in "\n".join(workspace.run(*command).lines), (
        "what was done is known from the job's folder alone"
    )


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
def test_clock_steps_back(workspace: Any) -> None:
    """The machine's clock is 25 hours behind when a job is resumed, and right again for the next batch."""
    (workspace.root / "clock.c").write_text(CLOCK)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", "clock.so", "clock.c", "-ldl"], cwd=workspace.root, check=True)
    earlier = {"LD_PRELOAD": str(workspace.root / "clock.so")}
    workspace.recording("one.wav", seconds=200, seed=1)
    command = ("batch", workspace.calls, *workspace.model_free_options(200), "-o", workspace.out, *FORMATS)
    first = workspace.start(*command)
    first.until("separate …")
    first.kill()
    workspace.recording("two.wav", seconds=200, seed=2)
    second = workspace.run(*command, env=earlier)
    assert "2 done" in "\n".join(second.lines)
    assert second.lines.count("diarize …") == 1
    third = workspace.run(*command)
    assert "2 done before" in "\n".join(third.lines)
    one, two = sorted(workspace.jobs(), key=lambda job: job["recording"])
    assert (one["state"], two["state"]) == ("done", "done")
    assert one["queued"] - two["queued"] > 80000, "the clock did step back"
