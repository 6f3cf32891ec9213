"""Discovery of recordings: in folders, by globs, by name; and which files have been stable for several polls."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import TypeAlias

from meetsplit.pipeline.audio.containers import open_recording
from meetsplit.pipeline.audio.media_types import MEDIA_SUFFIXES
from meetsplit.pipeline.errors import AudioError, SettingsError
from meetsplit.pipeline.formats.control_characters import shown
from meetsplit.pipeline.results.folder import own_tracks

_TRACK_NAME = "SPEAKER_[0-9][0-9].*"
"""Names of meetsplit's own tracks of people without a name, which are results and no recordings."""

FileSignature: TypeAlias = tuple[int, int, int]
"""A file's size, modification time in nanoseconds and inode: where two are equal, nothing was written between them."""


@dataclass(frozen=True, slots=True)
class Patterns:
    """The files of a folder that count as recordings: names or paths below it like one of ``include`` (by default,
    known suffixes), and not like any of ``exclude``. ``apart`` are folders that are never looked into: those of
    results.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    apart: tuple[Path, ...] = ()

    def matches(self, relative_path: Path) -> bool:
        """Whether the file with this path below the folder counts."""
        name = relative_path.name
        if name.startswith(".") or fnmatch(name, _TRACK_NAME) or _matches_any(relative_path, self.exclude):
            return False
        if self.include:
            return _matches_any(relative_path, self.include)
        return relative_path.suffix.lower() in MEDIA_SUFFIXES


@dataclass(frozen=True, slots=True)
class FoundRecording:
    """A recording, and the subfolder that it was found in."""

    path: Path
    subfolder: Path = Path()


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The recordings of a search, sorted, and ``complaints`` about folders that could not be read."""

    recordings: tuple[FoundRecording, ...]
    complaints: tuple[str, ...] = ()


def search(places: Iterable[str | Path], patterns: Patterns) -> SearchResult:
    """Every recording at ``places``: files as they are, folders with their subfolders, globs where no file has that
    name.

    Raises `AudioError` for a place where nothing is.
    """
    recordings: dict[Path, FoundRecording] = {}
    complaints: list[str] = []
    for place in places:
        path = Path(place).absolute()
        try:
            matches = [path] if path.exists() else _glob(str(place))
        except OSError as error:  # no permission to look there, or a name longer than any
            raise AudioError(f"{shown(str(path))}: cannot be looked at: {error.strerror or error}") from error
        if not matches:
            raise AudioError(f"{shown(str(place))}: no such file or folder")
        for match in matches:
            if not match.is_dir():
                recordings.setdefault(match, FoundRecording(match))
                continue
            for file in _walk(match, patterns, complaints):
                recordings.setdefault(file, FoundRecording(file, file.parent.relative_to(match)))
    return SearchResult(tuple(recordings[path] for path in sorted(recordings)), tuple(complaints))


def is_utf8(path: Path) -> bool:
    """Whether a path is UTF-8, so that it can be kept in the queue, which holds text."""
    return not any("\ud800" <= letter <= "\udfff" for letter in str(path))


def require_utf8(path: Path | None) -> None:
    """Raise `SettingsError` where a path that the queue has to keep is not UTF-8."""
    if path is not None and not is_utf8(path):
        raise SettingsError(f"{shown(str(path))}: its name is not UTF-8: rename it, or choose another")


def refusal(path: Path) -> AudioError | None:
    """Why a file cannot be queued at all, before anything is read of it; None where it can be opened."""
    if not is_utf8(path):
        return AudioError(f"{shown(str(path))}: its name is not UTF-8: rename it")
    try:
        open_recording(path).close()
    except AudioError as error:
        return error
    return None


def file_signature(path: Path) -> FileSignature | None:
    """The file's signature; None for one that is gone, empty, or no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_size, status.st_mtime_ns, status.st_ino) if status.st_size else None


@dataclass(frozen=True, slots=True)
class StabilityTracker:
    """The number of polls in a row at which each file had the same signature; a new value per poll.

    A file is stable after ``polls`` of them. Only equality of signatures counts, no clock: neither a clock that steps
    back nor a copy that keeps old times matters.
    """

    polls: int
    files: Mapping[Path, tuple[FileSignature, int]] = field(default_factory=dict)

    def poll(self, paths: Sequence[Path]) -> StabilityTracker:
        """The tracker after one more poll of ``paths``."""
        files: dict[Path, tuple[FileSignature, int]] = {}
        for path in paths:
            signature = file_signature(path)
            if signature is None:
                continue
            before, times = self.files.get(path, (None, 0))
            files[path] = (signature, times + 1 if signature == before else 1)
        return StabilityTracker(self.polls, files)

    def stable(self) -> dict[Path, FileSignature]:
        """The files that have had the same signature often enough."""
        return {path: signature for path, (signature, times) in self.files.items() if times >= self.polls}


def _glob(pattern: str) -> list[Path]:
    """The matches of a glob, each file by its shortest path: a link to a folder above would lead to it again and
    again.
    """
    matches: dict[tuple[str, str], Path] = {}
    for name in sorted(glob.glob(pattern, recursive=True), key=lambda name: (name.count(os.sep), name)):
        path = Path(name).absolute()
        matches.setdefault((os.path.realpath(path.parent), path.name), path)
    return list(matches.values())


def _walk(folder: Path, patterns: Patterns, complaints: list[str]) -> list[Path]:
    """The files below a folder that ``patterns`` match; folders that cannot be read are added to ``complaints``."""

    def complain(error: OSError) -> None:
        complaints.append(
            f"{shown(str(error.filename))}: cannot be looked into: {error.strerror}; what lies there is left out"
        )

    skipped = {place.absolute() for place in patterns.apart}
    matches: list[Path] = []
    for place, folders, files in os.walk(folder, onerror=complain):
        here = Path(place)
        tracks = own_tracks(here)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and here / name not in skipped)
        matches += [
            here / name for name in files if name not in tracks and patterns.matches((here / name).relative_to(folder))
        ]
    return matches


def _matches_any(relative_path: Path, patterns: Sequence[str]) -> bool:
    return any(
        fnmatch(relative_path.name, pattern) or fnmatch(relative_path.as_posix(), pattern) for pattern in patterns
    )
