"""Originals: transcripts as they were before corrections were taken, kept beside them as ``NAME.original.json``.

The second one is ``NAME.original-2.json``, and so on. None is ever replaced or removed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import takewhile
from pathlib import Path

from meetsplit.pipeline import files
from meetsplit.pipeline.data import Transcript
from meetsplit.pipeline.errors import MeetsplitError, OutputError
from meetsplit.pipeline.formats import read_transcript_file
from meetsplit.pipeline.results.ownership import speech_sha256
from meetsplit.pipeline.results.stems import NAME_MAX, shorten


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


def find_original(path: Path, sha256: str) -> Path | None:
    """The original of the transcript at ``path`` with that content; None where it is gone."""
    return next((place for place in _originals(path) if files.sha256(place) == sha256), None)


def last_original(path: Path, transcript: Transcript) -> Path | None:
    """The original that was kept last, of the same run of the recording and with another content than ``path``."""
    for place in reversed(_originals(path)):
        with suppress(MeetsplitError):  # a file of that name that holds none
            is_same_run = speech_sha256(read_transcript_file(place)) == speech_sha256(transcript)
            if is_same_run and not _holds(place, path.read_bytes()):
                return place
    return None


def _originals(path: Path) -> list[Path]:
    """The originals that are there in their order, whichever of them are gone."""
    first = next(_places(path))
    name = re.compile(rf"{re.escape(first.stem)}(?:-(\d+))?\.json")
    matches = {entry: name.fullmatch(entry.name) for entry in first.parent.iterdir()}
    numbers = {entry: int(match[1] or 1) for entry, match in matches.items() if match is not None and entry.is_file()}
    return sorted(numbers, key=lambda entry: numbers[entry])


def _places(path: Path) -> Iterator[Path]:
    stem = shorten(path.stem, NAME_MAX - _ROOM)
    return files.numbered(path.with_name(f"{stem}.original.json"))


_ROOM = 32
"""Bytes of a name that are left to what follows the stem, a number and the suffix of a format included."""


def _holds(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content
