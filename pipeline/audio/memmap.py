"""Long audio in a nameless file that is memory-mapped: the system holds only the pages that are being read."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import numpy as np

from meetsplit.pipeline.data import Audio, Samples
from meetsplit.pipeline.errors import OutputError


def to_memmap(blocks: Iterable[Samples], folder: Path, in_memory: int = 0) -> Samples:
    """The blocks joined, as a memory map of a nameless file: read-only, and gone with the last view of it.

    Up to ``in_memory`` samples stay in memory instead. Blocks of silence are holes in the file: they take
    neither room on file systems that know sparse files, nor time. The file has no name, so a killed process leaves
    nothing behind. Raises `OutputError` where ``folder`` has no room.
    """
    remaining = iter(blocks)
    buffered: list[Samples] = []
    count = 0
    for block in remaining:
        buffered.append(block)
        count += len(block)
        if count > in_memory:
            break
    else:
        return np.concatenate([*buffered, np.zeros(0, np.float32)])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            while buffered:
                _append(file, buffered.pop(0))
            for block in remaining:
                _append(file, block)
            size = file.truncate()
            return np.frombuffer(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ), np.float32)
    except OSError as error:
        why = error.strerror or str(error)
        raise OutputError(
            f"{folder}: the decoded sound cannot be put down there: {why}; make room, or choose another folder"
        ) from error


def _append(file: IO[bytes], block: Samples) -> None:
    """Write the block; seek past it where it is silent."""
    if block.any():
        file.write(np.ascontiguousarray(block, np.float32).data)
    else:
        file.seek(4 * len(block), os.SEEK_CUR)


def release_pages(audio: Audio | Samples) -> None:
    """Release the memory of the pages read so far of memory-mapped audio; reading them again loads them again.

    Does nothing to audio in memory, nor on systems without ``MADV_DONTNEED``.
    """
    base: object = audio.samples if isinstance(audio, Audio) else audio
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, memoryview) and isinstance(base.obj, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.obj.madvise(mmap.MADV_DONTNEED)
