"""CTranslate2 model folders: the shapes of a Whisper, read from the head of its weights before anything is loaded.

A folder has ``model.bin``, ``config.json`` and a vocabulary. ``model.bin`` begins with the version of its layout, the
model's class and revision, and the number of variables; each variable has a name, a shape, a type and its bytes (see
``ModelSpec._serialize`` in CTranslate2's converters). The values are skipped.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from meetsplit.pipeline.errors import StageError

FILES = ("model.bin", "config.json", "vocabulary.*")
"""What has to be in a folder."""

_WHISPER = "WhisperSpec"
_VERSIONS = range(4, 32)
"""Layouts that are read; 6 is today's."""

_MOST_VARIABLES, _MOST_DIMENSIONS = 100_000, 8


def is_ctranslate2_folder(path: Path) -> bool:
    """Whether a folder looks like a converted model."""
    return (path / "model.bin").is_file()


def whisper_shapes(folder: Path) -> Mapping[str, tuple[int, ...]]:
    """The shape of every variable of the Whisper in a folder by its name, such as ``encoder/conv1/weight``.

    Raises `StageError` with one sentence for a folder that holds no Whisper of CTranslate2's.
    """
    missing = [pattern for pattern in FILES if not any(folder.glob(pattern))]
    if missing:
        raise StageError("transcribe", f"{folder} is no CTranslate2 model: it has no {' and no '.join(missing)}")
    try:
        json.loads((folder / "config.json").read_text("utf-8"))
        with (folder / "model.bin").open("rb") as stream:
            name, shapes = _read_head(stream, (folder / "model.bin").stat().st_size)
    except (OSError, ValueError, RecursionError, struct.error) as error:
        raise StageError(
            "transcribe", f"{folder} is no CTranslate2 model, or damaged: {error}; fetch it again"
        ) from error
    if name != _WHISPER:
        raise StageError(
            "transcribe", f"{folder} holds a CTranslate2 model of another kind ({name[:40]!r}), no Whisper"
        )
    return shapes


def _read_head(stream: BinaryIO, file_size: int) -> tuple[str, dict[str, tuple[int, ...]]]:
    (version,) = _unpack(stream, "<I")
    if version not in _VERSIONS:
        raise ValueError("its model.bin begins otherwise")
    name = _text(stream)
    _, count = _unpack(stream, "<II")
    if count > _MOST_VARIABLES:
        raise ValueError(f"{count} variables")
    shapes: dict[str, tuple[int, ...]] = {}
    for _ in range(count):
        variable = _text(stream)
        (rank,) = _unpack(stream, "<B")
        if rank > _MOST_DIMENSIONS:
            raise ValueError(f"a variable with {rank} dimensions")
        shapes[variable] = _unpack(stream, f"<{rank}I")
        _, size = _unpack(stream, "<BI")
        if stream.seek(size, 1) > file_size:
            raise ValueError("its model.bin is cut short")
    return name, shapes


def _unpack(stream: BinaryIO, layout: str) -> tuple[Any, ...]:
    return struct.unpack(layout, stream.read(struct.calcsize(layout)))


def _text(stream: BinaryIO) -> str:
    (length,) = _unpack(stream, "<H")
    raw = stream.read(length)
    if len(raw) < length:
        raise ValueError("its model.bin is cut short")
    return raw.rstrip(b"\0").decode("utf-8")
