"""Temporary folders that outlive no process: gone at the end of their block, swept by the next start after a kill.

Each holds a file that its process keeps locked. A folder whose lock is free belongs to a process that was killed; so
does an empty one, whose process was killed before it made that file or after it removed it.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path

from meetsplit.pipeline import files
from meetsplit.pipeline.errors import OutputError
from meetsplit.pipeline.files.locks import remove_locked, try_lock

LOCK = "meetsplit.lock"
"""The lock file of a scratch folder. A folder that holds other files, but not this one, is not ours."""

_PREFIX, _ATTEMPTS = "meetsplit-", 5


@contextmanager
def scratch_folder(within: Path | None = None, prefix: str = _PREFIX) -> Iterator[Path]:
    """A new folder, 0700, in ``within`` or the system's folder for temporary files.

    First removes those that killed processes left there.

    Raises `OSError` where it cannot be made.
    """
    parent = within or Path(tempfile.gettempdir())
    sweep(parent, prefix)
    folder, lock = _make_locked(parent, prefix)
    with lock:
        try:
            yield folder
        finally:
            with suppress(OSError):  # swept by a later start
                remove_locked(folder, folder / LOCK)


def sweep(parent: Path | None = None, prefix: str = _PREFIX) -> None:
    """Remove this user's folders of killed processes in ``parent``; what cannot be removed stays."""
    parent = parent or Path(tempfile.gettempdir())
    pattern = re.compile(re.escape(prefix) + r"[a-z0-9_]{8}")
    with suppress(OSError):
        for entry in list(os.scandir(parent)):
            if pattern.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                _remove_dead(parent / entry.name)


def _remove_dead(folder: Path) -> None:
    with suppress(OSError, OutputError):  # another process is faster, or it is another user's
        if not _is_of_this_user(folder):
            return
        if not os.path.lexists(folder / LOCK):
            files.disk.rmdir(folder)  # only if it is empty
            return
        if not _is_of_this_user(folder / LOCK):
            return
        held = try_lock(folder / LOCK)
        if held is not None:
            with held:
                remove_locked(folder, folder / LOCK)


def _is_of_this_user(path: Path) -> bool:
    owner = path.lstat().st_uid
    return not hasattr(os, "getuid") or owner == os.getuid()


def _is_private(folder: Path) -> bool:
    """Whether the folder is still the one that `mkdtemp` made: until it is locked, another may take its place."""
    with suppress(FileNotFoundError):
        return os.name == "nt" or (
            _is_of_this_user(folder) and stat.S_IMODE(folder.lstat().st_mode) == files.PRIVATE_FOLDER
        )
    return False


def _make_locked(parent: Path, prefix: str) -> tuple[Path, AbstractContextManager[object]]:
    """A new folder and its held lock.

    Another process that sweeps may take the folder first, and then another one is made.

    On a disk without locks there is none, and nothing there is ever swept.
    """
    for _ in range(_ATTEMPTS):
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        held = try_lock(folder / LOCK)
        if held is not None:
            if _is_private(folder):
                return folder, held
            held.close()
        with suppress(OSError):
            remove_locked(folder, folder / LOCK)
    return Path(tempfile.mkdtemp(prefix=prefix, dir=parent)), nullcontext()
