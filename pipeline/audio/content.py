"""Content of a file: its SHA-256 and that of every block, so that what is decoded is known to be what was hashed.

A recording may be replaced or written to while it is worked on, and put back later. Whatever is kept under the checksum of
its content must come from that content: `Content` is taken once, and a file opened with `verified` gives only blocks that
are in it.
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
    """``sha256`` of the whole as hex, ``size`` in bytes, and the SHA-256 of each block of `BLOCK` bytes; the last may be shorter."""

    sha256: str
    size: int
    blocks: tuple[bytes, ...] = field(repr=False)


def content_of(file: IO[bytes]) -> Content:
    """The content of an open file, from its start to its end. Raises `OSError`."""
    whole, size, blocks = hashlib.sha256(), 0, list[bytes]()
    while block := _full_block(file):
        whole.update(block)
        size += len(block)
        blocks.append(hashlib.sha256(block).digest())
    return Content(whole.hexdigest(), size, tuple(blocks))


@contextmanager
def verified(file: IO[bytes], path: Path, content: Content) -> Iterator[VerifiedFile]:
    """The open recording ``file`` for reading; `AudioError` at the end of the block if some of it was not ``content``.

    That error takes the place of any other: a decoder that was given no more bytes complains about something else.
    """
    source = VerifiedFile(file, path, content)
    try:
        yield source
    finally:
        source.check()


class VerifiedFile:
    """A recording as a decoder reads it. A block that is not as it was hashed is never given: reading ends there.

    FFmpeg loses most exceptions of the file that it reads, and Python's own that end a process: all are kept for `check`.
    """

    def __init__(self, file: IO[bytes], path: Path, content: Content) -> None:
        self.name = str(path)
        self._file, self._path, self._content = file, path, content
        self._position = 0
        self._at, self._block = -1, b""
        self._failure: BaseException | None = None

    def read(self, size: int = BLOCK) -> bytes:
        """At most ``size`` bytes from here on; none at the end, and none after a failure."""
        if self._failure is not None:
            return b""
        try:
            at, first = divmod(self._position, BLOCK)
            if at != self._at:
                self._block = self._read_block(at)
                self._at = at
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
        """Raise what kept `read` from giving more."""
        if isinstance(self._failure, OSError):
            why = self._failure.strerror or self._failure
            raise AudioError(f"{self._path}: cannot be read: {why}") from self._failure
        if self._failure is not None:
            raise self._failure

    def _read_block(self, at: int) -> bytes:
        if at >= len(self._content.blocks):
            return b""
        self._file.seek(at * BLOCK)
        block = _full_block(self._file, self._content.size - at * BLOCK)
        if hashlib.sha256(block).digest() != self._content.blocks[at]:
            raise AudioError(
                f"{self._path}: has changed while it was being read; run again when nothing writes to it any more"
            )
        return block


def _full_block(file: IO[bytes], most: int = BLOCK) -> bytes:
    """The next `BLOCK` bytes, or ``most``; fewer only at the end: an unbuffered file may give less than it is asked for."""
    parts, held, wanted = list[bytes](), 0, min(BLOCK, most)
    while held < wanted and (part := file.read(wanted - held)):
        parts.append(part)
        held += len(part)
    return b"".join(parts)
