"""Content of a file: its SHA-256 and that of every block, so that what is decoded is known to be what was hashed.

A recording may be replaced or written to while it is worked on, and put back later. Everything that is cached under
the checksum of its content must come from that content: `Content` is taken once, and a file opened with
`verified_file` gives only blocks that are in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from meetsplit.pipeline.errors import AudioError

BLOCK = 1 << 18
"""Bytes that are hashed, and read again, at a time."""


@dataclass(frozen=True, slots=True)
class Content:
    """``sha256`` of the whole file as hex, ``size`` in bytes, and the SHA-256 of each block of `BLOCK` bytes.

    The last block may be shorter.
    """

    sha256: str
    size: int
    blocks: tuple[bytes, ...] = field(repr=False)


def hash_content(file: IO[bytes]) -> Content:
    """The content of an open file, from its start to its end. Raises `OSError`."""
    whole, size, blocks = hashlib.sha256(), 0, list[bytes]()
    while block := _read_full_block(file):
        whole.update(block)
        size += len(block)
        blocks.append(hashlib.sha256(block).digest())
    return Content(whole.hexdigest(), size, tuple(blocks))


@contextmanager
def verified_file(file: IO[bytes], path: Path, content: Content) -> Iterator[VerifiedFile]:
    """The open recording ``file`` for reading; `AudioError` at the end of the block if some of it was not ``content``.

    That error takes the place of any other: a decoder that was given no more bytes complains about something else.
    """
    reader = VerifiedFile(file, path, content)
    try:
        yield reader
    finally:
        reader.check()


class VerifiedFile:
    """A file object for a decoder. A block that is not as it was hashed is never given: reading ends there.

    FFmpeg loses most exceptions of the file that it reads, and Python's own that end a process: all are kept for
    `check`.
    """

    def __init__(self, file: IO[bytes], path: Path, content: Content) -> None:
        self.name = str(path)
        self._file, self._path, self._content = file, path, content
        self._position = 0
        self._block_number, self._block = -1, b""
        self._failure: BaseException | None = None

    def read(self, size: int = BLOCK) -> bytes:
        """At most ``size`` bytes from here on; none at the end, and none after a failure."""
        if self._failure is not None:
            return b""
        try:
            number, first = divmod(self._position, BLOCK)
            if number != self._block_number:
                self._block = self._read_block(number)
                self._block_number = number
        except BaseException as failure:
            self._failure = failure
            return b""
        part = self._block[first : first + size]
        self._position += len(part)
        return part

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to ``offset`` bytes from the start (0), from here (1) or from the end (2); the new position."""
        self._position = max(0, offset + (0, self._position, self._content.size)[whence])
        return self._position

    def tell(self) -> int:
        """The position in bytes."""
        return self._position

    def check(self) -> None:
        """Raise the failure that ended reading, if any."""
        if isinstance(self._failure, OSError):
            why = self._failure.strerror or self._failure
            raise AudioError(f"{self._path}: cannot be read: {why}") from self._failure
        if self._failure is not None:
            raise self._failure

    def _read_block(self, number: int) -> bytes:
        """The block with this number; empty behind the last. Raises `AudioError` where it is not as it was hashed."""
        if number >= len(self._content.blocks):
            return b""
        self._file.seek(number * BLOCK)
        block = _read_full_block(self._file, self._content.size - number * BLOCK)
        if hashlib.sha256(block).digest() != self._content.blocks[number]:
            raise AudioError(
                f"{self._path}: has changed while it was being read; run again when nothing writes to it any more"
            )
        return block


def _read_full_block(file: IO[bytes], limit: int = BLOCK) -> bytes:
    """The next `BLOCK` bytes, or ``limit``; fewer only at the end: an unbuffered file may read less than requested."""
    parts, count, size = list[bytes](), 0, min(BLOCK, limit)
    while count < size and (part := file.read(size - count)):
        parts.append(part)
        count += len(part)
    return b"".join(parts)
