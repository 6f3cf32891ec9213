"""How a result reaches the disk: completely or not at all, and never over another recording's."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from meetsplit.pipeline.errors import OutputError

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


def write(path: Path, content: str | bytes) -> None:
    """Put ``content`` (text as UTF-8) into the file ``path``, whole or not at all. Raises `OutputError`, see `replacing`."""
    with replacing(path) as file:
        file.write(content.encode("utf-8", "replace") if isinstance(content, str) else content)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of ``path`` when the block ends well, and vanishes when it does not.

    It lies under a temporary name in the same folder, which is made if need be; its contents are on the disk before it
    is renamed. An `OSError` inside the block or outside becomes an `OutputError`: not writable, disk full, a directory
    in the way, name too long. A link is followed; what exists and is no regular file is never replaced.
    """
    target = Path(os.path.realpath(path))
    made: list[Path] = []
    done = False
    temporary = target.parent / f".meetsplit-{secrets.token_hex(6)}.part"
    try:
        _check(path, target)
        made = _make(target.parent)
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
        done = True
        _sync(target.parent)
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0) or error.strerror or str(error)
        raise OutputError(f"{path}: cannot be written: {advice}") from error
    finally:
        if not done:
            _clear(temporary, made)


def _check(path: Path, target: Path) -> None:
    """Refuse what a rename would destroy, or would only fail at after the work."""
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OutputError(f"{path}: cannot be written: it is a device or a pipe, not a file; choose another name")


def _make(folder: Path) -> list[Path]:
    """Make ``folder``; the folders that were not there, outermost first."""
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    made: list[Path] = []
    try:
        for parent in reversed(missing):
            parent.mkdir(exist_ok=True)
            made.append(parent)
    except OSError:
        _clear(None, made)
        raise
    return made


def _clear(temporary: Path | None, made: list[Path]) -> None:
    if temporary is not None:
        with suppress(OSError):
            temporary.unlink()
    for folder in reversed(made):
        with suppress(OSError):  # somebody else may have put a file there meanwhile
            folder.rmdir()


def _sync(folder: Path) -> None:
    """Make the rename itself durable; Windows cannot open a folder and does not need it."""
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


def unique_stems(paths: Iterable[Path], folder: Path, suffixes: Iterable[str]) -> Mapping[Path, str]:
    """The stem under which each recording's results go to ``folder``, such that no two results share a name.

    The first recording with a stem keeps it. A later one adds its extension (if no other has the same), its folder's name
    or a number, the first of these that is free: ``call.m4a``, ``call.wav``, ``may/call.m4a`` become ``call``,
    ``call-wav``, ``call-may``.
    Case and composition of letters make no difference, since some disks ignore them. The same file given twice has one
    stem; the recordings themselves are never in the way of their results. ``suffixes`` are those of all results.

    >>> list(unique_stems([Path("a/call.wav"), Path("b/call.wav")], Path("out"), [".srt"]).values())
    ['call', 'call-b']
    """
    kinds = ("", *suffixes)
    files = {path: path.resolve() for path in paths}
    place = folder.resolve()
    taken = {_folded(file.name) for file in files.values() if file.parent == place}
    stems: dict[Path, str] = {}
    distinct = list(dict.fromkeys(files.values()))
    same = Counter(_folded(file.name) for file in distinct)
    for again in (False, True):
        for file in distinct:
            options = _options(file, told_by_extension=same[_folded(file.name)] == 1) if again else [file.stem]
            for stem in () if file in stems else options:
                claimed = {_folded(stem + kind) for kind in kinds}
                if not claimed & taken:
                    stems[file] = stem
                    taken |= claimed
                    break
    return {path: stems[file] for path, file in files.items()}


def _options(file: Path, told_by_extension: bool) -> Iterator[str]:
    if told_by_extension and file.suffix:
        yield f"{file.stem}-{file.suffix[1:]}"
    if file.parent.name:
        yield f"{file.stem}-{file.parent.name}"
    number = 2
    while True:
        yield f"{file.stem}-{number}"
        number += 1


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())
