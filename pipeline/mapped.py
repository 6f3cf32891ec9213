"""Where does long sound wait? In a nameless file beside the results, mapped: the system holds only what is being heard."""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from meetsplit.pipeline.data import Audio, Samples
from meetsplit.pipeline.errors import OutputError


def laid_down(blocks: Iterable[Samples], folder: Path) -> Samples:
    """All blocks in a row, as samples that stand on the disk: read-only, and gone with the last view of them.

    The file has no name, so a killed process leaves nothing behind. Raises `OutputError` where ``folder`` has no room.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            held = sum(file.write(np.ascontiguousarray(block, np.float32).data) for block in blocks)
            file.flush()
            if held == 0:
                return np.zeros(0, np.float32)
            return np.frombuffer(mmap.mmap(file.fileno(), held, access=mmap.ACCESS_READ), np.float32)
    except OSError as error:
        why = error.strerror or str(error)
        raise OutputError(f"{folder}: the decoded sound cannot be put down there: {why}; make room, or choose another folder") from error


def let_go(sound: Audio | Samples) -> None:
    """Give back the memory of what was heard of this sound, where it stands on the disk; whoever hears it again reads it again.

    Nothing happens to sound in memory, nor on systems that cannot be told.
    """
    base: object = sound.samples if isinstance(sound, Audio) else sound
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, memoryview) and isinstance(base.obj, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.obj.madvise(mmap.MADV_DONTNEED)
