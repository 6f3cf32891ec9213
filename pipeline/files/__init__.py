"""Durable, atomic file operations: every file that meetsplit keeps or publishes is written through this module.

    with replacing(path) as file: …      temporary file → fsync → rename → fsync of the folder (atomic write)
    write(path, content)                 the same for content in memory
    install(source, target)              rename a finished file into place, with or without replacing what is there
    move(source, target)                 the same across disks: copied under a temporary name first, never over a file
    remove(path), remove_tree(folder)    unlink
    sweep(folder)                        remove temporary files that a killed process left
    sha256(path)                         checksum of a file's content

The system calls whose order decides what a crash or a power loss leaves behind go through `disk`; tests put a
`Disk` in its place that fails at, or loses everything unsynced after, the n-th of them.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO

from meetsplit.pipeline.errors import OutputError

PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700
"""Permissions of files and folders that hold people's speech and are no results: the cache, job folders, logs."""

TEMPORARY = re.compile(r"\.meetsplit-[0-9a-f]{12}\.part")
"""Names of temporary files."""

_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS})
"""Error numbers of disks without hard links."""

_BLOCK = 1 << 20

_ADVICE = {
    errno.EACCES: "permission denied; choose another folder with -o",
    errno.EPERM: "permission denied; choose another folder with -o",
    errno.EROFS: "the disk is read-only; choose another folder with -o",
    errno.ENOSPC: "the disk is full; make room or choose another folder with -o",
    errno.EDQUOT: "the disk quota is used up; make room or choose another folder with -o",
    errno.EFBIG: "the file is too large for this disk; choose another folder with -o",
    errno.EISDIR: "a directory is in the way; remove it or choose another folder with -o",
    errno.ENOTDIR: "a part of this path is a file, not a directory; choose another folder with -o",
    errno.EEXIST: "a part of this path is a file, not a directory; choose another folder with -o",
    errno.ENAMETOOLONG: "the name is too long for this disk; rename the recording",
    errno.EIO: "the disk reports an error; choose another folder with -o",
}


class Disk:
    """The system calls that change a disk or make a change durable, one method each. Every method raises `OSError`."""

    def create(self, path: Path, mode: int) -> BinaryIO:
        """Open a new file for reading and writing; `FileExistsError` where the name is taken."""
        return open(path, "x+b", opener=lambda name, flags: os.open(name, flags, mode))

    def fsync(self, file: IO[bytes]) -> None:
        """Flush a file's content to the disk."""
        file.flush()
        os.fsync(file.fileno())

    def sync_folder(self, folder: Path) -> None:
        """Flush a folder's entries (renames, new names, removals) to the disk. Windows can not and need not."""
        if os.name == "nt":
            return
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        except OSError as error:  # some network and FUSE disks cannot sync a folder: the file itself is safe
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise
        finally:
            os.close(handle)

    def replace(self, source: Path, target: Path) -> None:
        """Rename atomically, replacing ``target``."""
        os.replace(source, target)

    def link(self, source: Path, target: Path) -> None:
        """A second name for ``source``.

        `FileExistsError` where ``target`` exists: the atomic rename without replacing.
        """
        os.link(source, target)

    def unlink(self, path: Path) -> None:
        """Remove a file."""
        path.unlink()

    def mkdir(self, folder: Path, mode: int) -> None:
        """Make one folder."""
        folder.mkdir(mode=mode)

    def rmdir(self, folder: Path) -> None:
        """Remove an empty folder."""
        folder.rmdir()


disk = Disk()
"""The disk that all functions here work on."""


def write(path: Path, content: str | bytes, *, private: bool = False) -> None:
    """Put ``content`` (text as UTF-8) into the file ``path``, whole or not at all.

    Raises `OutputError`, see `replacing`.
    """
    with replacing(path, private=private) as file:
        file.write(content.encode("utf-8", "replace") if isinstance(content, str) else content)


@contextmanager
def replacing(path: Path, *, private: bool = False) -> Iterator[BinaryIO]:
    """A new file that takes the place of ``path`` when the block ends well, and vanishes when it does not.

    It lies under a temporary name in the same folder, which is made if need be; its contents are on the disk before it
    is renamed, and the rename is on the disk when this returns. Permissions are those of the file it replaces; a new
    file is 0600 with ``private`` (a new folder 0700), otherwise what the umask says. Under its temporary name, which is
    where a killed process leaves it, every file is 0600. An `OSError` inside the block or outside becomes an
    `OutputError`: not writable, disk full, a directory in the way, name too long. A link is followed; what exists and
    is no regular file is never replaced.
    """
    target = Path(os.path.realpath(path))
    made: list[Path] = []
    done = False
    temporary = temporary_name(target.parent)
    try:
        mode = _mode_of_replaced(path, target)
        made = make_folder(target.parent, private=private)
        with disk.create(temporary, PRIVATE_FILE if private or mode is not None else 0o666) as file:
            final = stat.S_IMODE(os.fstat(file.fileno()).st_mode) if mode is None else mode
            os.chmod(temporary, PRIVATE_FILE)
            yield file
            os.chmod(temporary, final)
            disk.fsync(file)
        disk.replace(temporary, target)
        done = True
        disk.sync_folder(target.parent)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {advice(error)}") from error
    finally:
        if not done:
            _remove_leftovers(temporary, made)


def temporary_name(folder: Path) -> Path:
    """A name for a file in the making, which `sweep` knows."""
    return folder / f".meetsplit-{secrets.token_hex(6)}.part"


def advice(error: OSError) -> str:
    """What went wrong with a file and what to do about it, as the end of a sentence."""
    return _ADVICE.get(error.errno or 0) or error.strerror or str(error)


def make_folder(folder: Path, *, private: bool = False) -> list[Path]:
    """Make ``folder`` durably; the folders that were not there, outermost first.

    Raises `OSError`, and leaves none then.
    """
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    made: list[Path] = []
    try:
        for parent in reversed(missing):
            with suppress(FileExistsError):  # another process was faster
                disk.mkdir(parent, PRIVATE_FOLDER if private else 0o777)
                made.append(parent)
                disk.sync_folder(parent.parent)
    except OSError:
        _remove_leftovers(None, made)
        raise
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    return made


def create_private(path: Path) -> None:
    """An empty file that only its owner may read, unless there is one; one that is there is made private.

    Raises `OSError`.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE))
    make_private(path)


def make_private(path: Path) -> None:
    """Take the permissions of a file or folder from all users but its owner.

    What is not there or another user's stays as it is.
    """
    with suppress(FileNotFoundError, PermissionError):
        mode = path.lstat().st_mode
        if stat.S_IMODE(mode) & 0o077 and not stat.S_ISLNK(mode):
            path.chmod(stat.S_IMODE(mode) & PRIVATE_FOLDER)


def make_tree_private(folder: Path) -> None:
    """The same for a folder and all that is in it; links are not followed. Raises `OSError`."""
    make_private(folder)
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            make_private(Path(place) / name)


def install(source: Path, target: Path, *, overwrite: bool) -> None:
    """Rename the finished and synced file ``source`` to ``target`` on the same disk; durable once the folder is synced.

    Without ``overwrite``, `FileExistsError` where there is something at ``target``, with no moment in which another
    process could put a file there. Raises `OSError`; the file then has its old name and no other.
    """
    if overwrite:
        disk.replace(source, target)
        return
    try:
        disk.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # No hard links on this disk (FAT, some shares): an empty file claims the name, then the real one replaces it.
        with disk.create(target, 0o666):
            pass
        with _removing_on_failure(source, target):
            disk.replace(source, target)
    else:
        with _removing_on_failure(source, target):
            disk.unlink(source)


@contextmanager
def _removing_on_failure(source: Path, target: Path) -> Iterator[None]:
    """Remove ``target`` again where the block fails before ``source`` is gone."""
    try:
        yield
    except BaseException:
        if os.path.lexists(source):
            with suppress(OSError):  # the first error is the one to report
                disk.unlink(target)
        raise


class AnotherFile(OSError):
    """Another file has taken the path of the one that was to be moved; it is where it was."""


def move(
    source: Path,
    target: Path,
    *,
    expected: os.stat_result | None = None,
    temporary: Path | None = None,
    aside: Path | None = None,
) -> None:
    """Move a file, across disks too: ``target`` appears whole or not at all, and ``source`` goes only after that.

    Only the file with the status ``expected`` (of `Path.lstat`; by default the one of this moment) is moved or removed:
    `AnotherFile` where another one has taken its path before it was moved, and one that takes it later stays. For
    that, the source gets the name ``aside``, in its own folder, before it is removed. ``temporary`` names the file in
    the making on the other disk, beside ``target``. `FileExistsError` where there is something at ``target``. Raises
    `OSError`; the source is then where it was.
    """
    expected = expected or source.lstat()
    aside = aside or source.parent / f".meetsplit-{secrets.token_hex(6)}.moved"
    make_folder(target.parent)
    try:
        disk.link(source, target)
    except OSError as error:
        if error.errno == errno.EXDEV:
            _copy(source, target, expected, temporary or temporary_name(target.parent))
        elif error.errno in _NO_LINKS:
            _move_without_links(source, target, expected, aside)
            return
        else:
            raise
    else:
        if not _is_same(target.lstat(), expected):
            disk.unlink(target)
            raise AnotherFile(errno.ESTALE, "another file has taken its place", str(source))
    with _removing_on_failure(source, target):
        disk.sync_folder(target.parent)
        _take_aside(source, aside)
    _remove_aside(source, expected, aside)


def remove_if_same(path: Path, expected: os.stat_result, aside: Path) -> None:
    """Remove a file, but not another one that takes its path; see `move`. Raises `OSError`."""
    _take_aside(path, aside)
    _remove_aside(path, expected, aside)


def _take_aside(path: Path, aside: Path) -> None:
    if path != aside:
        disk.replace(path, aside)


def _remove_aside(path: Path, expected: os.stat_result, aside: Path) -> None:
    if _is_same(aside.lstat(), expected):
        disk.unlink(aside)
    else:
        put_back(aside, path)
    disk.sync_folder(path.parent)


def put_back(aside: Path, path: Path) -> Path:
    """Give a file its name again, or one like it where that is taken; that name. Raises `OSError`."""
    names = numbered(path)
    while True:
        place = next(names)
        with suppress(FileExistsError):
            install(aside, place, overwrite=False)
            disk.sync_folder(place.parent)
            return place


def numbered(path: Path) -> Iterator[Path]:
    """The path, then ``name-2``, ``name-3`` and so on beside it, for a file whose name is taken.

    >>> names = numbered(Path("call.wav"))
    >>> next(names).name, next(names).name
    ('call.wav', 'call-2.wav')
    """
    yield path
    for number in itertools.count(2):
        yield path.with_name(f"{path.stem}-{number}{path.suffix}")


def _is_same(status: os.stat_result, expected: os.stat_result) -> bool:
    """Whether these are of the same file, unchanged."""
    return (status.st_ino, status.st_size, status.st_mtime_ns) == (
        expected.st_ino,
        expected.st_size,
        expected.st_mtime_ns,
    )


def _copy(source: Path, target: Path, expected: os.stat_result, temporary: Path) -> None:
    """Copy a file to ``target`` on another disk, durably. Raises `AnotherFile` where it is not the expected one."""
    if stat.S_ISLNK(expected.st_mode):
        expected = source.stat()
    try:
        with source.open("rb") as old, disk.create(temporary, PRIVATE_FILE) as new:
            shutil.copyfileobj(old, new, _BLOCK)
            if not _is_same(os.fstat(old.fileno()), expected):
                raise AnotherFile(errno.ESTALE, "another file has taken its place", str(source))
            status = os.fstat(old.fileno())
            disk.fsync(new)
        os.chmod(temporary, stat.S_IMODE(status.st_mode))
        os.utime(temporary, ns=(status.st_atime_ns, status.st_mtime_ns))
        install(temporary, target, overwrite=False)
    finally:
        with suppress(FileNotFoundError):
            disk.unlink(temporary)


def _move_without_links(source: Path, target: Path, expected: os.stat_result, aside: Path) -> None:
    """Move a file on a disk without hard links (FAT, some shares): taken aside first, so that it is known which."""
    _take_aside(source, aside)
    try:
        if not _is_same(aside.lstat(), expected):
            raise AnotherFile(errno.ESTALE, "another file has taken its place", str(source))
        install(aside, target, overwrite=False)
    except BaseException:
        if os.path.lexists(aside):
            put_back(aside, source)
        raise
    disk.sync_folder(target.parent)
    disk.sync_folder(source.parent)


def remove(path: Path) -> None:
    """Remove a file if it is there. Raises `OSError`."""
    with suppress(FileNotFoundError):
        disk.unlink(path)


def remove_tree(folder: Path) -> None:
    """Remove a folder and all that is in it; a link is removed, never followed. Raises `OSError`."""
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    except NotADirectoryError:
        remove(folder)
        return
    if folder.is_symlink():
        remove(folder)
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            remove_tree(folder / entry.name)
        else:
            remove(folder / entry.name)
    with suppress(FileNotFoundError):
        disk.rmdir(folder)


def sweep(folder: Path) -> None:
    """Remove the temporary files of killed processes in ``folder``.

    The caller knows that no other process writes there.
    """
    for entry in os.scandir(folder) if folder.is_dir() else ():
        if TEMPORARY.fullmatch(entry.name):
            with suppress(OSError):  # what cannot go stays hidden and is tried again next time
                remove(folder / entry.name)


def sha256(path: Path) -> str:
    """SHA-256 of a file's content as hex. Raises `OSError`."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _mode_of_replaced(path: Path, target: Path) -> int | None:
    """The permissions of the file to be replaced, None for a new one; an error for what is no file."""
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OutputError(f"{path}: cannot be written: it is a device or a pipe, not a file; choose another name")
    return stat.S_IMODE(mode)


def _remove_leftovers(temporary: Path | None, made: list[Path]) -> None:
    """Remove the temporary file and the new folders of a write that failed."""
    if temporary is not None:
        with suppress(OSError):
            disk.unlink(temporary)
    for folder in reversed(made):
        with suppress(OSError):  # another process may have put a file there meanwhile
            disk.rmdir(folder)
