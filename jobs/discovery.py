"""Which recordings lie in a folder, match a glob, or are named? And which of them does nobody write to any more?"""

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

_OWN_TRACK = "SPEAKER_[0-9][0-9].*"
"""Our own results are no recordings."""

Signature: TypeAlias = tuple[int, int, int]
"""A file's size, time of change in nanoseconds and number on its disk: two equal ones, and nothing was written."""


@dataclass(frozen=True, slots=True)
class Patterns:
    """Which files of a folder count: names or paths below it like one of ``include`` (by default, known suffixes), and not
    like any of ``exclude``. ``apart`` are folders that are never looked into: our own results.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    apart: tuple[Path, ...] = ()

    def fit(self, below: Path) -> bool:
        """Whether the file with this path below the folder counts."""
        if below.name.startswith(".") or fnmatch(below.name, _OWN_TRACK) or _like(below, self.exclude):
            return False
        return _like(below, self.include) if self.include else below.suffix.lower() in MEDIA_SUFFIXES


@dataclass(frozen=True, slots=True)
class Found:
    """A recording, and the subfolder it was found in."""

    path: Path
    below: Path = Path()


@dataclass(frozen=True, slots=True)
class Search:
    """What was found, sorted, and ``complaints`` about folders that could not be read."""

    found: tuple[Found, ...]
    complaints: tuple[str, ...] = ()


def search(places: Iterable[str | Path], patterns: Patterns) -> Search:
    """Every recording at ``places``: files as they are, folders with their subfolders, globs where no file has that name.

    Raises `AudioError` for a place where nothing is.
    """
    found: dict[Path, Found] = {}
    complaints: list[str] = []
    for place in places:
        path = Path(place).absolute()
        try:
            paths = [path] if path.exists() else _globbed(str(place))
        except OSError as error:  # no permission to look there, or a name longer than any
            raise AudioError(f"{shown(str(path))}: cannot be looked at: {error.strerror or error}") from error
        if not paths:
            raise AudioError(f"{shown(str(place))}: no such file or folder")
        for one in paths:
            if not one.is_dir():
                found.setdefault(one, Found(one))
                continue
            for inner in _walk(one, patterns, complaints):
                found.setdefault(inner, Found(inner, inner.parent.relative_to(one)))
    return Search(tuple(found[path] for path in sorted(found)), tuple(complaints))


def is_text(path: Path) -> bool:
    """Whether a path is UTF-8, so that it can be kept in the queue, which holds text."""
    return not any("\ud800" <= letter <= "\udfff" for letter in str(path))


def named_in_text(path: Path | None) -> None:
    """Raise `SettingsError` where a path that the queue has to keep is not UTF-8."""
    if path is not None and not is_text(path):
        raise SettingsError(f"{shown(str(path))}: its name is not UTF-8: rename it, or choose another")


def obstacle(path: Path) -> AudioError | None:
    """Why a file cannot be taken at all, before anything is read of it; None where it can be opened."""
    if not is_text(path):
        return AudioError(f"{shown(str(path))}: its name is not UTF-8: rename it")
    try:
        open_recording(path).close()
    except AudioError as error:
        return error
    return None


def signature(path: Path) -> Signature | None:
    """The file's signature; None for one that is gone, empty, or no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_size, status.st_mtime_ns, status.st_ino) if status.st_size else None


@dataclass(frozen=True, slots=True)
class Settling:
    """How many looks in a row each file has looked the same; one value per look.

    Only equality of signatures counts, no clock: neither a clock that steps back nor a copy that keeps old times matters.
    """

    looks: int
    seen: Mapping[Path, tuple[Signature, int]] = field(default_factory=dict)

    def look(self, paths: Sequence[Path]) -> Settling:
        """After one more look at ``paths``."""
        now: dict[Path, tuple[Signature, int]] = {}
        for path in paths:
            seen = signature(path)
            if seen is not None:
                before = self.seen.get(path)
                now[path] = (seen, before[1] + 1 if before is not None and before[0] == seen else 1)
        return Settling(self.looks, now)

    def settled(self) -> dict[Path, Signature]:
        """The files that have held still for long enough."""
        return {path: seen for path, (seen, times) in self.seen.items() if times >= self.looks}


def _globbed(pattern: str) -> list[Path]:
    """What matches a glob, each file by its shortest path: a link to a folder above would lead to it again and again."""
    found: dict[tuple[str, str], Path] = {}
    for name in sorted(glob.glob(pattern, recursive=True), key=lambda name: (name.count(os.sep), name)):
        path = Path(name).absolute()
        found.setdefault((os.path.realpath(path.parent), path.name), path)
    return list(found.values())


def _walk(folder: Path, patterns: Patterns, complaints: list[str]) -> list[Path]:
    def complain(error: OSError) -> None:
        complaints.append(
            f"{shown(str(error.filename))}: cannot be looked into: {error.strerror}; what lies there is left out"
        )

    apart = {place.absolute() for place in patterns.apart}
    found: list[Path] = []
    for place, folders, files in os.walk(folder, onerror=complain):
        here = Path(place)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and here / name not in apart)
        found += [here / name for name in files if patterns.fit((here / name).relative_to(folder))]
    return found


def _like(below: Path, patterns: Sequence[str]) -> bool:
    return any(fnmatch(below.name, pattern) or fnmatch(below.as_posix(), pattern) for pattern in patterns)
