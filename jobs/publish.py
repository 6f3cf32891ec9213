"""How do results get to their places? Written whole into a hidden folder beside them, then renamed, one after another."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from meetsplit.jobs.order import Order
from meetsplit.pipeline.errors import OutputError


def staging(order: Order, key: str) -> Path:
    """The hidden folder beside an order's results: always the same one, so that nobody's crash leaves litter."""
    return order.outputs.folder / f".meetsplit-{key}"


def publish(files: Sequence[Path], place: Path, folder: Path) -> tuple[Path, ...]:
    """Move ``files`` from under ``place`` to the same names under ``folder``; the files where they are now.

    Each is whole at every moment. Raises `OutputError`.
    """
    moved: list[Path] = []
    for file in files:
        target = folder / file.relative_to(place)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(file, target)
        except OSError as error:
            raise OutputError(f"{target}: cannot be written: {error.strerror}; make room or choose another folder with -o") from error
        moved.append(target)
    return tuple(moved)


def carry(recording: Path, folder: Path, below: Path) -> Path:
    """Move a finished recording to ``folder/below``, never over another file; where it is now. Raises `OutputError`."""
    target = folder / below / recording.name
    number = 2
    while target.exists():
        target = folder / below / f"{recording.stem}-{number}{recording.suffix}"
        number += 1
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(recording, target)
    except OSError as error:
        raise OutputError(f"{recording}: cannot be moved to {target}: {error.strerror or error}; its results are written") from error
    return target
