"""Originals: transcripts as they were before corrections were taken, kept beside them as ``NAME.original.json``.

The second one is ``NAME.original-2.json``, and so on. None is ever replaced or removed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import takewhile
from pathlib import Path

from meetsplit.pipeline import files
from meetsplit.pipeline.data import Transcript
from meetsplit.pipeline.errors import MeetsplitError, OutputError
from meetsplit.pipeline.formats import read_transcript_file
from meetsplit.pipeline.results.ownership import speech_sha256


def keep_original(path: Path) -> Path:
    """A file beside the transcript at ``path`` with its very content: one that is there, or a new one.

    Raises `OutputError`.
    """
    content = path.read_bytes()
    place = next(place for place in _places(path) if not os.path.lexists(place) or _holds(place, content))
    if os.path.lexists(place):
        return place
    temporary = files.temporary_name(path.parent)
    try:
        with files.disk.create(temporary, path.stat().st_mode & 0o666) as file:
            file.write(content)
            files.disk.fsync(file)
        files.install(temporary, place, overwrite=False)
        files.disk.sync_folder(path.parent)
    except OSError as error:
        raise OutputError(f"{place}: cannot be written: {files.advice(error)}") from error
    finally:
        files.remove(temporary)
    return place


def first_original(path: Path, transcript: Transcript) -> Transcript:
    """The transcript at ``path`` as its run wrote it: the first original of the same run, or itself."""
    for place in takewhile(os.path.lexists, _places(path)):
        with suppress(MeetsplitError):  # a file of that name that holds none
            original = read_transcript_file(place)
            if speech_sha256(original) == speech_sha256(transcript):
                return original
    return transcript


def _places(path: Path) -> Iterator[Path]:
    return files.numbered(path.with_name(f"{path.stem}.original.json"))


def _holds(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content
