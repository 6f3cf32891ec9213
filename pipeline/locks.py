"""Who is at work here? Locks that the system itself takes back when a process ends, however it ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from meetsplit.pipeline.errors import OutputError

if sys.platform == "win32":
    import msvcrt

    def _take(file: BinaryIO, *, wait: bool) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _take(file: BinaryIO, *, wait: bool) -> None:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)


def try_lock(path: Path) -> BinaryIO | None:
    """The open file that holds the lock at ``path`` until it is closed; None where somebody else holds it.

    The file stays behind: removing it would let two processes lock two files of the same name. Raises `OutputError`.
    """
    file = _opened(path)
    try:
        _take(file, wait=False)
    except OSError:
        file.close()
        return None
    return file


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock at ``path``; waits for as long as somebody else holds it. Raises `OutputError`."""
    file = _opened(path)
    try:
        try:
            _take(file, wait=True)
        except OSError as error:
            raise OutputError(f"{path}: cannot be locked: {error.strerror}; choose a folder on another disk") from error
        yield
    finally:
        file.close()


def _opened(path: Path) -> BinaryIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}; choose another folder") from error
