"""Content of a recording as its SHA-256, by which cached stages and result sets are found, whatever its name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from meetsplit.pipeline.audio.containers import open_recording
from meetsplit.pipeline.audio.content import Content, hash_content
from meetsplit.pipeline.channels.recording import MultiFileRecording
from meetsplit.pipeline.errors import AudioError


@dataclass(frozen=True, slots=True)
class RecordingContent:
    """The content of every file of a recording, by path, and one ``sha256`` that stands for all of it."""

    sha256: str
    files: Mapping[Path, Content]


def hash_recording(source: Path | MultiFileRecording) -> RecordingContent:
    """The content of a recording now. Every file is read once, whole; a run does this once, at its start.

    The SHA-256 of a file is that of its bytes; that of several files covers their contents, offsets and names.
    Raises `AudioError` where a file cannot be read.
    """
    if not isinstance(source, MultiFileRecording):
        content = _hash_file(source)
        return RecordingContent(content.sha256, {source: content})
    files = {file.path: _hash_file(file.path) for file in source.microphones}
    parts = [(files[file.path].sha256, file.offset, file.path.stem) for file in source.microphones]
    return RecordingContent(hashlib.sha256(json.dumps(parts).encode()).hexdigest(), files)


def recording_sha256(source: Path | MultiFileRecording) -> str:
    """The SHA-256 that stands for a recording's content, see `hash_recording`. Raises `AudioError`."""
    return hash_recording(source).sha256


def _hash_file(path: Path) -> Content:
    try:
        with open_recording(path) as file:
            return hash_content(file)
    except OSError as error:
        raise AudioError(f"{path}: cannot be read: {error.strerror or error}") from error
