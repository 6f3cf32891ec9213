"""Where does long sound wait? In a nameless file beside the results, mapped: the system holds only what is being heard."""

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
    """All blocks in a row, as samples that stand on the disk: read-only, and gone with the last view of them.

    Sound of up to ``in_memory`` samples stays in memory instead. Blocks of silence are holes in the file: they take
    neither room on file systems that know sparse files, nor time. The file has no name, so a killed process leaves
    nothing behind. Raises `OutputError` where ``folder`` has no room.
    """
    arriving = iter(blocks)
    first: list[Samples] = []
    held = 0
    for block in arriving:
        first.append(block)
        held += len(block)
        if held > in_memory:
            break
    else:
        return np.concatenate([*first, np.zeros(0, np.float32)])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            while first:
                _append(file, first.pop(0))
            for block in arriving:
                _append(file, block)
            size = file.truncate()
            return np.frombuffer(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ), np.float32)
    except OSError as error:
        why = error.strerror or str(error)
        raise OutputError(
            f"{folder}: the decoded sound cannot be put down there: {why}; make room, or choose another folder"
        ) from error


def _append(file: IO[bytes], block: Samples) -> None:
    if block.any():
        file.write(np.ascontiguousarray(block, np.float32).data)
    else:
        file.seek(4 * len(block), os.SEEK_CUR)


def release_pages(sound: Audio | Samples) -> None:
    """Give back the memory of what was heard of this sound, where it stands on the disk; whoever hears it again reads it again.

    Nothing happens to sound in memory, nor on systems that cannot be told.
    """
    base: object = sound.samples if isinstance(sound, Audio) else sound
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, memoryview) and isinstance(base.obj, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.obj.madvise(mmap.MADV_DONTNEED)
