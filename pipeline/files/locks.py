"""Locks on files that the system itself releases when their process ends, however it ends.

A lock file may be removed by its holder only: a process that waited for it then finds that the file at its path is
another one, or none, and begins anew. So two processes never hold the lock at the same path.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from meetsplit.pipeline import files
from meetsplit.pipeline.errors import OutputError

_ATTEMPTS = 100
"""How often a lock file is made again whose folder another process removes at the same moment."""

_POLL_EVERY = 0.1
"""Seconds between two attempts where the system cannot wait for a lock."""

if sys.platform == "win32":
    import msvcrt

    def _lock(file: BinaryIO, *, wait: bool) -> None:
        # LK_LOCK would give up after ten seconds.
        while True:
            try:
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
                return
            except PermissionError as error:
                if not wait:
                    raise BlockingIOError(error.errno, error.strerror) from error
            time.sleep(_POLL_EVERY)
else:
    import fcntl

    def _lock(file: BinaryIO, *, wait: bool) -> None:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)


def try_lock(path: Path) -> BinaryIO | None:
    """The open file that holds the lock at ``path`` until it is closed; None where another process holds it.

    Raises `OutputError` where the file cannot be made.
    """
    try:
        return _acquire(path, wait=False)
    except OSError:
        return None


@contextmanager
def hold_lock(path: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock at ``path``; calls ``on_wait`` and waits where another process holds it. Raises `OutputError`."""
    try:
        try:
            file = _acquire(path, wait=False)
        except BlockingIOError:
            on_wait()
            file = _acquire(path, wait=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be locked: {error.strerror}; choose a folder on another disk") from error
    with file:
        yield


def remove_locked(folder: Path, lock: Path) -> None:
    """Remove ``folder`` and all that is in it, its file ``lock`` last; the caller holds that lock.

    Another process that waits for the lock makes both anew. Removes what it can, and then raises the first `OSError`.
    """
    failures: list[OSError] = []
    for entry in list(os.scandir(folder)):
        if entry.name != lock.name:
            try:
                files.remove_tree(folder / entry.name)
            except OSError as error:
                failures.append(error)
    if failures:
        raise failures[0]
    files.remove(lock)
    with suppress(OSError):  # another process works there again
        files.disk.rmdir(folder)


def _acquire(path: Path, *, wait: bool) -> BinaryIO:
    """The open and locked file that is at ``path`` now. Raises `OSError` where the lock cannot be had."""
    while True:
        file = _open_lock_file(path)
        try:
            _lock(file, wait=wait)
            if _is_file_at(file, path):
                return file
        except BaseException:
            file.close()
            raise
        file.close()


def _is_file_at(file: BinaryIO, path: Path) -> bool:
    """Whether the open file is the one at ``path``: its holder may have removed it while we waited."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _open_lock_file(path: Path) -> BinaryIO:
    for attempt in range(_ATTEMPTS):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, files.PRIVATE_FILE), "r+b")
        except (FileNotFoundError, FileExistsError) as error:  # the folder was removed after, or while, mkdir saw it
            if attempt == _ATTEMPTS - 1:
                raise OutputError(f"{path}: cannot be written: {error.strerror}; choose another folder") from error
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror}; choose another folder") from error
    raise AssertionError
