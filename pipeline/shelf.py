"""What is kept of recordings between runs? One workbench per recording under ``runs`` in the cache folder.

The folder is named after the recording's content, so a moved or renamed recording finds its results again. The tracks
on a workbench are speech of the people in the recording: whoever may not keep that clears the shelf.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from meetsplit.pipeline.errors import OutputError
from meetsplit.pipeline.events import Tell, nobody
from meetsplit.pipeline.files import write
from meetsplit.pipeline.locks import locked, try_lock
from meetsplit.pipeline.settings import Settings
from meetsplit.pipeline.together import Together
from meetsplit.pipeline.weights import default_cache
from meetsplit.pipeline.workbench import Workbench, fingerprint

_LOCK, _NAME = "lock", "recording.txt"


@dataclass(frozen=True, slots=True)
class Shelved:
    """What is kept of one recording: its ``name`` when it was last run, ``size`` in bytes on the disk, ``age`` in seconds."""

    folder: Path
    name: str
    size: int
    age: float


def runs_folder(settings: Settings) -> Path:
    """The shelf under these settings."""
    return (settings.cache_dir or default_cache()) / "runs"


@contextmanager
def bench(path: Path | Together, settings: Settings, *, keep: bool = True, tell: Tell = nobody) -> Iterator[Workbench]:
    """The workbench of the recording at ``path``, ours alone inside the block; without ``keep``, a scratch one.

    Waits where another process is at work on the same recording. Raises `AudioError` for a recording that cannot be
    read, `OutputError` where the shelf cannot be written.
    """
    if not keep:
        with TemporaryDirectory(prefix="meetsplit-") as scratch:
            yield Workbench(Path(scratch), tell)
        return
    folder = runs_folder(settings) / fingerprint(path)[:16]
    with locked(folder / _LOCK):
        write(folder / _NAME, path.name)
        _sweep(folder)
        yield Workbench(folder, tell)


def shelved(folder: Path) -> tuple[Shelved, ...]:
    """What is kept on the shelf ``folder``, most recently used first."""
    now = time.time()
    found = []
    for place in folder.iterdir() if folder.is_dir() else ():
        if place.is_dir():
            name = place / _NAME
            used = name.stat().st_mtime if name.is_file() else place.stat().st_mtime
            found.append(Shelved(place, name.read_text("utf-8") if name.is_file() else "?", size_on_disk(place), max(0.0, now - used)))
    return tuple(sorted(found, key=lambda kept: kept.age))


def clear(folder: Path, *, older_than: float = 0.0) -> tuple[tuple[Shelved, ...], tuple[Shelved, ...]]:
    """Remove what was last used more than ``older_than`` seconds ago; gives what went and what is in use and stayed."""
    gone, busy = [], []
    for kept in shelved(folder):
        if kept.age < older_than:
            continue
        lock = try_lock(kept.folder / _LOCK)
        if lock is None:
            busy.append(kept)
            continue
        with lock:
            try:
                shutil.rmtree(kept.folder)
            except OSError as error:
                raise OutputError(f"{kept.folder}: cannot be removed: {error.strerror}") from error
        gone.append(kept)
    return tuple(gone), tuple(busy)


def size_on_disk(folder: Path) -> int:
    """Bytes that a folder takes: silence in tracks takes none where the file system has sparse files."""
    total = 0
    for file in folder.rglob("*"):
        with suppress(FileNotFoundError):  # somebody may be at work here
            status = file.lstat()
            total += getattr(status, "st_blocks", status.st_size // 512) * 512
    return total


def _sweep(folder: Path) -> None:
    """Remove what a killed run left half-written; the lock says that nobody is writing now."""
    for part in folder.rglob(".*.part"):
        part.unlink(missing_ok=True)
    for tracks in folder.glob("separate-*/"):
        if not tracks.with_suffix(".json").is_file():
            shutil.rmtree(tracks, ignore_errors=True)
