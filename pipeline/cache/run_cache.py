"""Run cache: one stage cache per recording, locked while in use; all together are limited in size and age.

    ~/.cache/meetsplit/runs/<hash>/lock, recording.txt, and the files of `stage_cache`

The folder is named after the recording's content, so a moved or renamed recording finds its results again. The tracks
in it are speech of the people in the recording: where that may not be kept, clear the cache or run with ``--no-cache``.
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
from meetsplit.pipeline.cache.content import recording_sha256
from meetsplit.pipeline.cache.stage_cache import StageCache
from meetsplit.pipeline.channels.recording import MultiFileRecording
from meetsplit.pipeline.data.units import days_or_none, size_or_none
from meetsplit.pipeline.errors import OutputError
from meetsplit.pipeline.events import EventListener, Notice, ignore_events
from meetsplit.pipeline.files.locks import hold_lock, remove_locked, try_lock
from meetsplit.pipeline.files.scratch import scratch_folder
from meetsplit.pipeline.files.scratch import sweep as sweep_scratch
from meetsplit.pipeline.models.weights import default_cache
from meetsplit.pipeline.settings import Settings

_LOCK, _NAME = "lock", "recording.txt"


@dataclass(frozen=True, slots=True)
class CachedRun:
    """One recording's stage cache: its ``name`` when last run, ``size`` in bytes on the disk, ``age`` in seconds."""

    folder: Path
    name: str
    size: int
    age: float


@dataclass(frozen=True, slots=True)
class ClearResult:
    """What was removed, what is in use and was left, and what could not be removed, with the reason."""

    removed: tuple[CachedRun, ...] = ()
    in_use: tuple[CachedRun, ...] = ()
    failed: tuple[tuple[CachedRun, str], ...] = ()


def cached_runs_folder(settings: Settings) -> Path:
    """The folder of all cached runs under these settings."""
    return (settings.cache_dir or default_cache()) / "runs"


@contextmanager
def open_cache(
    recording: Path | MultiFileRecording,
    settings: Settings,
    *,
    keep: bool = True,
    sha256: str | None = None,
    on_event: EventListener = ignore_events,
) -> Iterator[StageCache]:
    """The stage cache of a recording, locked inside the block; without ``keep``, one in a scratch folder.

    ``sha256`` is its `recording_sha256`, where that was computed before. Waits, with a notice, where another process
    works on the same recording. A block that ends well is followed by `prune` with the limits of ``settings``. Raises
    `AudioError` for a recording that cannot be read, `OutputError` where the cache cannot be written.
    """
    sweep_scratch()
    if not keep:
        with scratch_folder() as folder:
            yield StageCache(folder, on_event)
        return
    runs = cached_runs_folder(settings)
    folder = runs / (sha256 or recording_sha256(recording))[:16]
    try:
        files.make_folder(runs, private=True)
        files.make_private(runs)
    except OSError as error:
        raise OutputError(
            f"{runs}: cannot be made: {error.strerror or error}; choose another --cache-dir, or --no-cache"
        ) from error
    waiting = Notice(f"waiting for another meetsplit that works on the same recording: {recording}")
    with hold_lock(folder / _LOCK, lambda: on_event(waiting)):
        _prepare(folder, recording.name)
        yield StageCache(folder, on_event)
    _apply_limits(runs, folder, settings, on_event)


def _prepare(folder: Path, name: str) -> None:
    """Make the folder private, write the recording's name into it and remove what a killed run left half-written."""
    try:
        files.make_tree_private(folder)
        if (folder / _NAME).is_dir():
            files.remove_tree(folder / _NAME)
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be used: {error.strerror or error}; meetsplit cache clear removes it"
        ) from error
    files.write(folder / _NAME, name, private=True)
    _sweep(folder)


def cached_runs(folder: Path) -> tuple[CachedRun, ...]:
    """The cached runs in ``folder``, most recently used first.

    Anything else that lies there is listed by its own name.
    """
    now = time.time()
    runs = []
    for entry in _scan(folder):
        path = folder / entry.name
        with suppress(FileNotFoundError):  # another process removes it
            name, used = f"{entry.name} (no recording)", path.lstat().st_mtime
            if entry.is_dir(follow_symlinks=False):
                name, used = _name_and_last_use(path, used)
            runs.append(CachedRun(path, name, size_on_disk(path), max(0.0, now - used)))
    return tuple(sorted(runs, key=lambda run: run.age))


def clear(folder: Path, *, older_than: float = 0.0) -> ClearResult:
    """Remove runs last used more than ``older_than`` seconds ago; one that cannot be removed does not stop the rest."""
    result = ClearResult()
    for run in cached_runs(folder):
        if run.age >= older_than:
            result = _remove(run, result)
    return result


def prune(folder: Path, *, size: int | None, age: float | None) -> ClearResult:
    """Remove runs last used more than ``age`` seconds ago, then the least recently used until ``size`` bytes are left.

    None is no limit. A run that another process works on stays, and counts. The run that was used last goes last; where
    it alone is larger than ``size``, it goes too. Also removes what killed runs left half-written.
    """
    result = ClearResult()
    runs = cached_runs(folder)
    total = sum(run.size for run in runs)
    for run in reversed(runs):
        if (age is not None and run.age >= age) or (size is not None and total > size):
            result = _remove(run, result)
            if run in result.removed:
                total -= run.size
        elif (run.folder / _LOCK).is_file():
            lock = try_lock(run.folder / _LOCK)
            if lock is not None:
                with lock:
                    _sweep(run.folder)
    return result


def _apply_limits(runs: Path, current: Path, settings: Settings, on_event: EventListener) -> None:
    """Prune after a run, whose folder is ``current``; failures are notices, because the run itself went well."""
    size, age = size_or_none(settings.cache_size, "--cache-size"), days_or_none(settings.cache_age, "--cache-age")
    try:
        result = prune(runs, size=size, age=age)
    except OutputError as error:
        on_event(Notice(f"the cache could not be held to its size: {error}"))
        return
    for run, reason in result.failed:
        on_event(Notice(f"{run.folder} is to be removed from the cache, and cannot be: {reason}"))
    for run in result.removed:
        if run.folder == current and size and run.size > size:
            limit = f"more than --cache-size {settings.cache_size}"
            on_event(Notice(f"finished stages of {run.name} are not kept: they take {run.size / 1e6:.0f} MB, {limit}"))


def size_on_disk(path: Path) -> int:
    """Bytes that a file or folder takes: silence in tracks takes none where the file system has sparse files."""
    total = 0
    for file in (path, *(path.rglob("*") if path.is_dir() and not path.is_symlink() else ())):
        with suppress(OSError):  # another process may be at work here
            status = file.lstat()
            if not stat.S_ISDIR(status.st_mode):
                total += getattr(status, "st_blocks", status.st_size // 512) * 512
    return total


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    try:
        return list(os.scandir(folder))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise OutputError(f"{folder}: cannot be read: {error.strerror or error}") from error


def _name_and_last_use(folder: Path, modified: float) -> tuple[str, float]:
    """The recording's name when it was last run, and when that was.

    "?" and ``modified`` where the disk has damaged it.
    """
    try:
        return (folder / _NAME).read_text("utf-8", "replace"), (folder / _NAME).stat().st_mtime
    except OSError:
        return "?", modified


def _remove(run: CachedRun, result: ClearResult) -> ClearResult:
    """Remove one run, unless it is in use; ``result`` with the outcome added."""
    lock_path = run.folder / _LOCK
    try:
        if run.folder.is_symlink() or not run.folder.is_dir():
            files.remove(run.folder)
        elif lock_path.is_dir():
            files.remove_tree(run.folder)
        else:
            lock = try_lock(lock_path)
            if lock is None:
                return replace(result, in_use=(*result.in_use, run))
            with lock:
                remove_locked(run.folder, lock_path)
    except OSError as error:
        return replace(result, failed=(*result.failed, (run, error.strerror or str(error))))
    except OutputError as error:
        return replace(result, failed=(*result.failed, (run, str(error))))
    return replace(result, removed=(*result.removed, run))


def _sweep(folder: Path) -> None:
    """Remove what a killed run left half-written; the caller holds the lock."""
    for temporary in folder.rglob(".*.part"):
        with suppress(OSError):  # tried again next time
            files.remove_tree(temporary)
    for tracks in (*folder.glob("separate-*/"), *folder.glob("clean-*/")):
        if not tracks.with_suffix(".json").is_file():
            with suppress(OSError):
                files.remove_tree(tracks)
