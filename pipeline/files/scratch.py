"""Temporary folders that outlive no process: gone at the end of their block, swept by the next start after a kill.

Each holds a file that its process keeps locked. A folder whose lock is free belongs to a process that was killed; so does an
empty one, whose process was killed before it made that file or after it removed it.
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
"""The file inside that a living process holds; a folder with anything else in it, and not this file, is none of ours."""

_PREFIX, _ATTEMPTS = "meetsplit-", 5


@contextmanager
def scratch(within: Path | None = None, prefix: str = _PREFIX) -> Iterator[Path]:
    """A new folder, 0700, in ``within`` or the system's folder for temporary files; first removes leftovers of the kind there.

    Raises `OSError` where it cannot be made.
    """
    place = within or Path(tempfile.gettempdir())
    sweep(place, prefix)
    folder, lock = _made(place, prefix)
    with lock:
        try:
            yield folder
        finally:
            with suppress(OSError):  # whatever cannot go now is swept by a later start
                remove_locked(folder, folder / LOCK)


def sweep(place: Path | None = None, prefix: str = _PREFIX) -> None:
    """Remove this user's folders of killed processes in ``place``; what cannot be removed stays."""
    place = place or Path(tempfile.gettempdir())
    pattern = re.compile(re.escape(prefix) + r"[a-z0-9_]{8}")
    with suppress(OSError):
        for entry in list(os.scandir(place)):
            if pattern.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                _remove_dead(place / entry.name)


def _remove_dead(folder: Path) -> None:
    with suppress(OSError, OutputError):  # another process is faster, or it is another user's
        if not _ours(folder):
            return
        if not os.path.lexists(folder / LOCK):
            files.disk.rmdir(folder)  # only if it is empty
            return
        if not _ours(folder / LOCK):
            return
        held = try_lock(folder / LOCK)
        if held is not None:
            with held:
                remove_locked(folder, folder / LOCK)


def _ours(path: Path) -> bool:
    owner = path.lstat().st_uid
    return not hasattr(os, "getuid") or owner == os.getuid()


def _private(folder: Path) -> bool:
    """Whether the folder is still the one that `mkdtemp` made: between that and the lock, anything may have taken its place."""
    with suppress(FileNotFoundError):
        return os.name == "nt" or (_ours(folder) and stat.S_IMODE(folder.lstat().st_mode) == files.PRIVATE_FOLDER)
    return False


def _made(place: Path, prefix: str) -> tuple[Path, AbstractContextManager[object]]:
    """A new folder and its held lock; another process that sweeps may take the folder first, and then another one is made.

    On a disk without locks there is none, and nothing there is ever swept.
    """
    for _ in range(_ATTEMPTS):
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
        held = try_lock(folder / LOCK)
        if held is not None:
            if _private(folder):
                return folder, held
            held.close()
        with suppress(OSError):
            remove_locked(folder, folder / LOCK)
    return Path(tempfile.mkdtemp(prefix=prefix, dir=place)), nullcontext()
