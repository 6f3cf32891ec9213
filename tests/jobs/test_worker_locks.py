"""Locks of living workers: those of the dead are removed by the next, and a new one cannot lose its own."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from meetsplit.jobs.job_store import JobStore
from meetsplit.jobs.liveness import FileWorkerLock
from meetsplit.pipeline.files import locks


def test_a_worker_removes_the_locks_of_killed_ones_and_no_others(tmp_path: Path) -> None:
    store = JobStore(tmp_path).ready()
    killed = [store.state / "workers" / f"host-{number}-abc.lock" for number in range(3)]
    for path in killed:
        path.touch()
    with (
        closing(FileWorkerLock(store, "host-7-def")) as living,
        closing(FileWorkerLock(store, "host-8-def")) as next_one,
    ):
        assert sorted(path.name for path in (store.state / "workers").iterdir()) == [
            "host-7-def.lock",
            "host-8-def.lock",
        ]
        assert not next_one.is_free("host-7-def")
        assert not living.is_free("host-8-def")
    assert list((store.state / "workers").iterdir()) == []


def test_a_lock_that_another_worker_removed_at_that_moment_is_taken_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one looks for dead workers between the creation of our file and its locking."""
    store = JobStore(tmp_path).ready()
    lock = locks._lock
    taken: list[Path] = []

    def removed_first(file: BinaryIO, *, wait: bool) -> None:
        taken.append(store.state / "workers" / "host-7-def.lock")
        if len(taken) == 1:
            taken[0].unlink()
        lock(file, wait=wait)

    monkeypatch.setattr(locks, "_lock", removed_first)
    with closing(FileWorkerLock(store, "host-7-def")) as living:
        monkeypatch.undo()
        assert len(taken) == 2
        assert (store.state / "workers" / "host-7-def.lock").exists()
        assert locks.try_lock(store.state / "workers" / "host-7-def.lock") is None
        assert living.worker == "host-7-def"


def test_a_worker_removes_what_a_killed_idle_worker_left(workspace: Any) -> None:
    idle = workspace.start("worker")
    idle.until("waiting for work")
    idle.kill()
    assert len(list((workspace.state / "workers").iterdir())) == 1
    workspace.run("jobs", "list")
    assert list((workspace.state / "workers").iterdir()) == []
