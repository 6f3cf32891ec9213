"""Checksums of model files: read once per process for as long as a file's size and times stay the same."""

from __future__ import annotations

import functools
import hashlib
import re
from pathlib import Path

from meetsplit.pipeline import files

_BLOCK = 1 << 20


def intact(path: Path, sha256: str) -> bool:
    """Whether the file at ``path`` can be read and has this SHA-256 (hex)."""
    try:
        return _sha256(path, _stamp(path)) == sha256
    except OSError:
        return False


def intact_blob(path: Path) -> bool:
    """Whether a file of the Hugging Face cache is the one that was downloaded, as far as its blob's name tells.

    A blob is named by the server's ETag: SHA-256 of a large file, git's SHA-1 of a small one (a few mirrors give the
    plain SHA-1). Any other name says nothing about the content.
    """
    blob = path.resolve()
    try:
        if re.fullmatch(r"[0-9a-f]{64}", blob.name):
            return _sha256(blob, _stamp(blob)) == blob.name
        if re.fullmatch(r"[0-9a-f]{40}", blob.name):
            return blob.name in _sha1s(blob, _stamp(blob))
        return blob.is_file()
    except OSError:
        return False


def sidecar(path: Path) -> Path:
    """The path of a file's checksum file, in the format of sha256sum."""
    return path.with_name(f"{path.name}.sha256")


def write_sidecar(path: Path) -> str:
    """Write the `sidecar` of a file and return its SHA-256. Raises `OSError`."""
    checksum = files.sha256(path)
    sidecar(path).write_text(f"{checksum}  {path.name}\n", "utf-8")
    return checksum


def intact_by_sidecar(path: Path) -> bool:
    """Whether the file has the SHA-256 in its `sidecar`."""
    try:
        expected = sidecar(path).read_text("ascii").split()
    except (OSError, UnicodeDecodeError):
        return False
    return len(expected) == 2 and intact(path, expected[0])


def of_weights(path: Path) -> str:
    """SHA-256 of a model's file, or of the names and contents of all files in its folder. Raises `OSError`."""
    if path.is_file():
        return _sha256(path, _stamp(path))
    whole = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        if file.is_file():
            whole.update(f"{file.relative_to(path).as_posix()}\0{_sha256(file, _stamp(file))}\n".encode())
    return whole.hexdigest()


def _stamp(path: Path) -> tuple[int, int, int, int]:
    """Inode, size and times: what changes when the file does."""
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


@functools.lru_cache(maxsize=256)
def _sha256(path: Path, stamp: tuple[int, int, int, int]) -> str:
    return files.sha256(path)


@functools.lru_cache(maxsize=256)
def _sha1s(path: Path, stamp: tuple[int, int, int, int]) -> tuple[str, str]:
    """SHA-1 as git computes it for a blob, and of the content alone."""
    plain = hashlib.sha1(usedforsecurity=False)
    blob = hashlib.sha1(f"blob {stamp[1]}\0".encode(), usedforsecurity=False)
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            plain.update(block)
            blob.update(block)
    return blob.hexdigest(), plain.hexdigest()
