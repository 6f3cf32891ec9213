"""A disk that fails, loses power or ends its process at the n-th operation, and knows what is durable at every moment.

`FaultyDisk` takes the place of `meetsplit.pipeline.files.disk`. It counts every operation that creates, writes, syncs,
renames or removes. Of every file it remembers the content as of the last fsync, of every folder the entries as of the
last sync of that folder. From that `FaultyDisk.image` says what a power loss leaves, in the worst ways that POSIX
allows:

    lost     entries (new names, renames, removals) that were not synced never happened; unsynced content is gone,
             files are empty
    kept     all entries reached the disk, content that was not synced did not: files are cut in half and end in zeros
    mixed    every folder for itself one of the two, drawn by a seed

A file that was written past the layer counts as never synced. Files of SQLite's are durable by themselves and left out.
"""

from __future__ import annotations

import errno
import io
import os
import pickle
import random
import shutil
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, BinaryIO

from meetsplit.pipeline.files import Disk

Key = tuple[int, int]
"""Device and inode."""

POWER = ("lost", "kept", "mixed")
"""What a power loss may leave, see above."""

ERRORS = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC, "full": errno.ENOSPC}
"""Errors by the name of the fault. ``full`` stays: whatever needs room fails from then on."""

FAULTS = (*POWER, "killed", *ERRORS)
"""Everything that can happen at an operation."""

DEAD = 91
"""Exit code of a process that a fault ended."""

_NEED_ROOM = frozenset({"create", "write", "mkdir", "link", "fsync"})


@dataclass(frozen=True, slots=True)
class Entry:
    """What stands under a name: a folder, a file with its content, or a link with its target."""

    kind: str
    mode: int = 0o644
    content: bytes = b""
    changed: int = 0


@dataclass(slots=True)
class _Node:
    """A file or folder that is held open, so that its inode is not given to another one."""

    handle: int
    durable: bytes | None = None
    names: dict[str, Key] = field(default_factory=dict)


class _CountedFile(io.BufferedRandom):
    """A new file that tells the disk of every write before it happens."""

    def __init__(self, path: Path, mode: int, about: Callable[[str, Path], None]) -> None:
        super().__init__(io.FileIO(path, "x+", opener=lambda name, flags: os.open(name, flags, mode)))
        self._about, self._path = about, path

    def write(self, data: Any) -> int:
        self._about("write", self._path)
        return super().write(data)

    def truncate(self, size: int | None = None) -> int:
        self._about("write", self._path)
        return super().truncate(size)


class FaultyDisk(Disk):
    """A disk on which ``fault`` (one of `FAULTS`, None for none) happens at operation number ``at``, counted from 0.

    ``root`` is the folder whose state matters. Where the fault ends the process, what is left of ``root`` is pickled to
    ``image`` first. `operations` holds the name of every operation so far.
    """

    def __init__(self, root: Path, *, fault: str | None = None, at: int = -1, image: Path | None = None) -> None:
        self.root, self._fault, self._at, self._image = root, fault, at, image
        self.operations: list[str] = []
        self._lock = threading.RLock()
        self._nodes: dict[Key, _Node] = {}
        self._learn(root)

    def create(self, path: Path, mode: int) -> BinaryIO:
        self._about("create", path)
        with self._lock:
            file = _CountedFile(path, mode, self._about)
            self._hold(path)
        return file

    def fsync(self, file: IO[bytes]) -> None:
        self._about("fsync", Path(str(getattr(file, "name", "?"))))
        with self._lock:
            super().fsync(file)
            node = self._nodes.get(_key(os.fstat(file.fileno())))
            if node is not None:
                node.durable = _content(node.handle)

    def sync_folder(self, folder: Path) -> None:
        self._about("sync_folder", folder)
        with self._lock:
            super().sync_folder(folder)
            self._hold(folder).names = _names(folder)

    def replace(self, source: Path, target: Path) -> None:
        self._about("replace", target)
        with self._lock:
            super().replace(source, target)

    def link(self, source: Path, target: Path) -> None:
        self._about("link", target)
        with self._lock:
            super().link(source, target)

    def unlink(self, path: Path) -> None:
        self._about("unlink", path)
        with self._lock:
            super().unlink(path)

    def mkdir(self, folder: Path, mode: int) -> None:
        self._about("mkdir", folder)
        with self._lock:
            super().mkdir(folder, mode)
            self._hold(folder)

    def rmdir(self, folder: Path) -> None:
        self._about("rmdir", folder)
        with self._lock:
            super().rmdir(folder)

    def image(self, how: str) -> dict[str, Entry]:
        """What is left of ``root`` by relative path when the power goes now: ``how`` of `POWER`, or "killed" for all
        that is there.
        """
        with self._lock:
            return dict(self._left(self.root, self._key_of(self.root), "", how))

    def _about(self, operation: str, path: Path) -> None:
        """Count an operation that is about to happen; the fault happens instead."""
        path = path.absolute()  # commands are given relative folders
        if self.root not in path.parents and path != self.root:
            return
        with self._lock:
            number = len(self.operations)
            self.operations.append(f"{operation} {path.relative_to(self.root)}")
            if self._fault in ERRORS:
                if number == self._at or (self._fault == "full" and number > self._at >= 0 and operation in _NEED_ROOM):
                    raise OSError(ERRORS[self._fault], os.strerror(ERRORS[self._fault]), str(path))
            elif self._fault is not None and number == self._at:
                if self._image is not None:
                    self._image.write_bytes(pickle.dumps(self.image(self._fault)))
                os._exit(DEAD)

    def _learn(self, folder: Path) -> None:
        """Take what is there now as durable."""
        node = self._hold(folder)
        node.names = _names(folder)
        for name in node.names:
            path = folder / name
            if path.is_symlink():
                continue
            if path.is_dir():
                self._learn(path)
            elif path.is_file():
                held = self._hold(path)
                held.durable = _content(held.handle)

    def _hold(self, path: Path) -> _Node:
        key = self._key_of(path)
        if key not in self._nodes:
            self._nodes[key] = _Node(os.open(path, os.O_RDONLY))
        return self._nodes[key]

    def _key_of(self, path: Path) -> Key:
        return _key(path.stat())

    def _left(self, place: Path, key: Key, at: str, how: str) -> Iterator[tuple[str, Entry]]:
        """Everything below a folder; ``place`` is where it is now, for what the layer does not know."""
        node = self._nodes.get(key)
        seed = f"{at} {len(self.operations)}"
        mine = random.Random(seed).choice(("lost", "kept")) if how == "mixed" else how
        durable_names = node.names if node is not None else {}
        names = durable_names if mine == "lost" else _names(node.handle if node is not None else place)
        for name, inner in sorted(names.items()):
            if name.startswith("jobs.sqlite"):
                continue
            below, path = f"{at}/{name}" if at else name, place / name
            known = self._nodes.get(inner)
            if known is None and not path.is_symlink() and not path.exists():
                continue  # removed past the layer, before it was ever synced
            status = os.fstat(known.handle) if known is not None else path.lstat()
            mode, changed = stat.S_IMODE(status.st_mode), status.st_mtime_ns
            if stat.S_ISDIR(status.st_mode):
                yield below, Entry("folder", mode, b"", changed)
                yield from self._left(path, inner, below, how)
            elif stat.S_ISLNK(status.st_mode):
                yield below, Entry("link", mode, os.fsencode(os.readlink(path)), changed)
            elif stat.S_ISREG(status.st_mode):
                try:
                    now = _content(known.handle) if known is not None else path.read_bytes()
                except FileNotFoundError:  # another thread removed it past the layer
                    continue
                durable = known.durable if known is not None else None
                yield below, Entry("file", mode, now if how == "killed" else _unsynced(now, durable, mine), changed)


def _unsynced(now: bytes, durable: bytes | None, how: str) -> bytes:
    """The content of a file after a power loss."""
    if durable is not None:
        return durable
    return b"" if how == "lost" else now[: len(now) // 2] + bytes(len(now) - len(now) // 2)


def restore(root: Path, left: Mapping[str, Entry]) -> None:
    """Make ``root`` hold exactly what was ``left``, but for files of SQLite's, which stay as they are."""
    for path in sorted(root.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif not path.name.startswith("jobs.sqlite"):
            path.unlink()
    for name, entry in left.items():
        path = root / name
        if entry.kind == "folder":
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(entry.mode)
        elif entry.kind == "link":
            path.symlink_to(os.fsdecode(entry.content))
        else:
            path.write_bytes(entry.content)
            path.chmod(entry.mode)
            os.utime(path, ns=(entry.changed, entry.changed))


def copied(template: Path, root: Path) -> None:
    """Make ``root`` a copy of ``template``."""
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(template, root, symlinks=True)


def _key(status: os.stat_result) -> Key:
    return status.st_dev, status.st_ino


def _names(folder: Path | int) -> dict[str, Key]:
    with os.scandir(folder) as entries:
        return {entry.name: _key(entry.stat(follow_symlinks=False)) for entry in entries}


def _content(handle: int) -> bytes:
    return os.pread(handle, os.fstat(handle).st_size, 0)
