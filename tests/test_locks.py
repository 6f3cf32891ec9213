"""Locks on files: one holder at a time, also where the file is removed, and whoever waits can say so."""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from meetsplit.jobs.job_store import JobStore
from meetsplit.pipeline.cache import run_cache
from meetsplit.pipeline.errors import OutputError
from meetsplit.pipeline.files import locks
from meetsplit.pipeline.files.locks import hold_lock, remove_locked, try_lock


def waiting_for(path: Path) -> tuple[threading.Thread, threading.Event, threading.Event]:
    """A thread that takes the lock: the thread, whether it has it, and what lets it go."""
    has, go, waits = threading.Event(), threading.Event(), threading.Event()

    def hold() -> None:
        with hold_lock(path, waits.set):
            has.set()
            go.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    assert waits.wait(60)
    return thread, has, go


def removed_file(path: Path) -> None:
    path.unlink()


def removed_folder(path: Path) -> None:
    (path.parent / "other").write_text("x")
    remove_locked(path.parent, path)


@pytest.mark.parametrize("remove", [removed_file, removed_folder])
def test_a_removed_lock_file_never_lets_two_in(tmp_path: Path, remove: Callable[[Path], None]) -> None:
    path = tmp_path / "call" / "lock"
    held = try_lock(path)
    assert held is not None
    thread, has, go = waiting_for(path)
    with held:
        remove(path)
    assert has.wait(60)
    assert try_lock(path) is None, "the one who waited holds the lock that is there now"
    go.set()
    thread.join(60)
    again = try_lock(path)
    assert again is not None
    again.close()


def test_a_job_folder_is_removed_lock_last(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "state").ready()
    store.write("key", "job", {})
    held = try_lock(store.lock("key"))
    assert held is not None
    thread, has, go = waiting_for(store.lock("key"))
    with held:
        store.remove("key")
        assert not store.folder("key").exists()
    assert has.wait(60)
    assert try_lock(store.lock("key")) is None
    go.set()
    thread.join(60)


def test_what_cannot_be_removed_keeps_its_lock_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = try_lock(tmp_path / "lock")
    assert held is not None
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text("x")
    real = locks.files.remove_tree

    def refuse(path: Path) -> None:
        if path.name == "b":
            raise PermissionError(13, "Permission denied")
        real(path)

    monkeypatch.setattr(locks.files, "remove_tree", refuse)
    with held, pytest.raises(PermissionError):
        remove_locked(tmp_path, tmp_path / "lock")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "lock"]


def test_a_folder_that_another_process_took_again_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "call" / "lock"
    held = try_lock(path)
    assert held is not None
    real = locks.files.remove

    def and_another_comes(lock: Path) -> None:
        real(lock)
        (lock.parent / "recording.txt").write_text("new")

    monkeypatch.setattr(locks.files, "remove", and_another_comes)
    with held:
        remove_locked(path.parent, path)
    assert (path.parent / "recording.txt").read_text() == "new"


def test_a_folder_that_another_process_removes_meanwhile_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "call" / "lock"
    path.parent.mkdir()
    real = os.mkdir
    removals: list[bool] = []

    def remove_right_after(folder: Path, *args: Any) -> None:
        """First the folder is there and goes, then it is made and goes; at last nobody removes it."""
        try:
            real(folder, *args)
        finally:
            if len(removals) < 3:
                removals.append(True)
                path.parent.rmdir()

    monkeypatch.setattr(os, "mkdir", remove_right_after)
    held = try_lock(path)
    assert held is not None
    held.close()
    assert path.exists()
    assert len(removals) == 3


def test_a_lock_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot be written"), hold_lock(tmp_path / "file" / "lock"):
        pass
    with pytest.raises(OutputError, match="cannot be written"):
        try_lock(tmp_path / "file" / "lock")


class FakeMsvcrt(types.ModuleType):
    """Windows' own locks: a second try raises `PermissionError`, as long as the first holder has its file open."""

    LK_NBLCK = 2

    def __init__(self) -> None:
        super().__init__("msvcrt")
        self.held: set[int] = set()

    def locking(self, handle: int, mode: int, size: int) -> None:
        assert (mode, size) == (self.LK_NBLCK, 1)
        if os.fstat(handle).st_ino in self.held:
            raise PermissionError(13, "Permission denied")
        self.held.add(os.fstat(handle).st_ino)


def test_on_windows_a_lock_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = FakeMsvcrt()
    monkeypatch.setitem(sys.modules, "msvcrt", system)
    monkeypatch.setattr(sys, "platform", "win32")
    spec = importlib.util.find_spec(locks.__name__)
    assert spec is not None
    assert spec.loader is not None
    windows = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(windows)
    monkeypatch.undo()
    path = tmp_path / "lock"
    held = windows.try_lock(path)
    assert held is not None
    assert windows.try_lock(path) is None
    waits: list[int] = []

    def sleep(seconds: float) -> None:
        waits.append(len(waits))
        if len(waits) == 20:
            system.held.clear()  # the holder's end, later than the ten seconds after which LK_LOCK gives up

    monkeypatch.setattr(windows.time, "sleep", sleep)
    calls: list[str] = []
    with windows.hold_lock(path, lambda: calls.append("waiting")):
        assert (len(waits), calls) == (20, ["waiting"])
    held.close()


def test_waiting_for_another_run_of_the_same_recording_is_said(call: Any) -> None:
    call.run()
    (folder,) = run_cache.cached_runs_folder(call.settings).iterdir()
    held = try_lock(folder / "lock")
    assert held is not None
    events: list[Any] = []

    def hear(event: Any) -> None:
        events.append(event)
        held.close()

    with run_cache.open_cache(call.path, call.settings, on_event=hear):
        pass
    assert [event.text for event in events] == [
        f"waiting for another meetsplit that works on the same recording: {call.path}"
    ]
