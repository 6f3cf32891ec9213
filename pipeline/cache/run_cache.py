"""What is kept of recordings between runs? One workbench per recording under ``runs`` in the cache folder.

The folder is named after the recording's content, so a moved or renamed recording finds its results again. The tracks
on a workbench are speech of the people in the recording: whoever may not keep that clears the shelf.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from meetsplit.pipeline import files
from meetsplit.pipeline.cache.stage_cache import StageCache, fingerprint
from meetsplit.pipeline.channels.recording import MultiFileRecording
from meetsplit.pipeline.data.units import days_or_none, size_or_none
from meetsplit.pipeline.errors import OutputError
from meetsplit.pipeline.events import EventListener, Notice, ignore_events
from meetsplit.pipeline.files import write
from meetsplit.pipeline.files.locks import locked, remove_locked, try_lock
from meetsplit.pipeline.files.scratch import scratch
from meetsplit.pipeline.files.scratch import sweep as sweep_scratch
from meetsplit.pipeline.models.weights import default_cache
from meetsplit.pipeline.settings import Settings

_LOCK, _NAME = "lock", "recording.txt"


@dataclass(frozen=True, slots=True)
class CachedRun:
    """What is kept of one recording: its ``name`` when it was last run, ``size`` in bytes on the disk, ``age`` in seconds."""

    folder: Path
    name: str
    size: int
    age: float


@dataclass(frozen=True, slots=True)
class ClearResult:
    """What was removed, what is in use and stayed, and what could not be removed, with the reason."""

    gone: tuple[CachedRun, ...] = ()
    busy: tuple[CachedRun, ...] = ()
    failed: tuple[tuple[CachedRun, str], ...] = ()


def runs_folder(settings: Settings) -> Path:
    """The shelf under these settings."""
    return (settings.cache_dir or default_cache()) / "runs"


@contextmanager
def open_cache(
    path: Path | MultiFileRecording, settings: Settings, *, keep: bool = True, on_event: EventListener = ignore_events
) -> Iterator[StageCache]:
    """The workbench of the recording at ``path``, ours alone inside the block; without ``keep``, a scratch one.

    Waits, and says so, where another process is at work on the same recording. A block that ends well is followed by `prune`
    with the limits of ``settings``. Raises `AudioError` for a recording that cannot be read, `OutputError` where the shelf
    cannot be written.
    """
    sweep_scratch()
    if not keep:
        with scratch() as folder:
            yield StageCache(folder, on_event)
        return
    runs = runs_folder(settings)
    folder = runs / fingerprint(path)[:16]
    try:
        files.make_folder(runs, private=True)
        files.make_private(runs)
    except OSError as error:
        raise OutputError(
            f"{runs}: cannot be made: {error.strerror or error}; choose another --cache-dir, or --no-cache"
        ) from error
    with locked(
        folder / _LOCK,
        lambda: on_event(Notice(f"waiting for another meetsplit that works on the same recording: {path}")),
    ):
        try:
            files.make_tree_private(folder)
            if (folder / _NAME).is_dir():
                files.remove_tree(folder / _NAME)
        except OSError as error:
            raise OutputError(
                f"{folder}: cannot be used: {error.strerror or error}; meetsplit cache clear removes it"
            ) from error
        write(folder / _NAME, path.name, private=True)
        _sweep(folder)
        yield StageCache(folder, on_event)
    _prune_after(runs, folder, settings, on_event)


def cached_runs(folder: Path) -> tuple[CachedRun, ...]:
    """What is kept on the shelf ``folder``, most recently used first; what else lies there is shown by its own name."""
    now = time.time()
    found = []
    for entry in _entries(folder):
        place = folder / entry.name
        with suppress(FileNotFoundError):  # another process removes it
            about = place.lstat()
            name, used = f"{entry.name} (no recording)", about.st_mtime
            if entry.is_dir(follow_symlinks=False):
                name, used = _name(place, used)
            found.append(CachedRun(place, name, size_on_disk(place), max(0.0, now - used)))
    return tuple(sorted(found, key=lambda kept: kept.age))


def clear(folder: Path, *, older_than: float = 0.0) -> ClearResult:
    """Remove what was last used more than ``older_than`` seconds ago; what cannot be removed does not stop the rest."""
    done = ClearResult()
    for kept in cached_runs(folder):
        if kept.age >= older_than:
            done = _removed(kept, done)
    return done


def prune(folder: Path, *, size: int | None, age: float | None) -> ClearResult:
    """Remove what was last used more than ``age`` seconds ago, and then what was used longest ago until ``size`` bytes are left.

    None is no limit. What another process works on stays, and counts. The recording that was used last goes last; where it
    alone is larger than ``size``, it goes too. Also removes what killed runs left half-written.
    """
    done = ClearResult()
    kept = cached_runs(folder)
    total = sum(one.size for one in kept)
    for one in reversed(kept):
        if (age is not None and one.age >= age) or (size is not None and total > size):
            done = _removed(one, done)
            if done.gone and done.gone[-1] is one:
                total -= one.size
        elif (one.folder / _LOCK).is_file():
            lock = try_lock(one.folder / _LOCK)
            if lock is not None:
                with lock:
                    _sweep(one.folder)
    return done


def _prune_after(runs: Path, own: Path, settings: Settings, on_event: EventListener) -> None:
    """Hold the shelf to its limits after a run; what goes wrong is told, for the run itself went well."""
    size, age = size_or_none(settings.cache_size, "--cache-size"), days_or_none(settings.cache_age, "--cache-age")
    try:
        done = prune(runs, size=size, age=age)
    except OutputError as error:
        on_event(Notice(f"the cache could not be held to its size: {error}"))
        return
    for kept, why in done.failed:
        on_event(Notice(f"{kept.folder} is to be removed from the cache, and cannot be: {why}"))
    for kept in done.gone:
        if kept.folder == own and size and kept.size > size:
            limit = f"more than --cache-size {settings.cache_size}"
            on_event(
                Notice(f"finished stages of {kept.name} are not kept: they take {kept.size / 1e6:.0f} MB, {limit}")
            )


def size_on_disk(place: Path) -> int:
    """Bytes that a file or folder takes: silence in tracks takes none where the file system has sparse files."""
    total = 0
    for file in (place, *(place.rglob("*") if place.is_dir() and not place.is_symlink() else ())):
        with suppress(OSError):  # another process may be at work here
            status = file.lstat()
            if not stat.S_ISDIR(status.st_mode):
                total += getattr(status, "st_blocks", status.st_size // 512) * 512
    return total


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        return list(os.scandir(folder))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise OutputError(f"{folder}: cannot be read: {error.strerror or error}") from error


def _name(place: Path, used: float) -> tuple[str, float]:
    """What a recording was called when it was last run, and when that was; "?" where the disk has damaged it."""
    try:
        return (place / _NAME).read_text("utf-8", "replace"), (place / _NAME).stat().st_mtime
    except OSError:
        return "?", used


def _removed(kept: CachedRun, done: ClearResult) -> ClearResult:
    """Remove one thing from the shelf, unless it is in use; ``done`` with what became of it."""
    try:
        if kept.folder.is_symlink() or not kept.folder.is_dir():
            files.remove(kept.folder)
        elif (kept.folder / _LOCK).is_dir():
            files.remove_tree(kept.folder)
        else:
            lock = try_lock(kept.folder / _LOCK)
            if lock is None:
                return replace(done, busy=(*done.busy, kept))
            with lock:
                remove_locked(kept.folder, kept.folder / _LOCK)
    except (OSError, OutputError) as error:
        why = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        return replace(done, failed=(*done.failed, (kept, why)))
    return replace(done, gone=(*done.gone, kept))


def _sweep(folder: Path) -> None:
    """Remove what a killed run left half-written; the lock says that nobody is writing now."""
    for part in folder.rglob(".*.part"):
        with suppress(OSError):  # tried again next time
            files.remove_tree(part)
    for tracks in folder.glob("separate-*/"):
        if not tracks.with_suffix(".json").is_file():
            with suppress(OSError):
                files.remove_tree(tracks)
