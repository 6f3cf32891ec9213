"""A recording of several files: one file per speaker, each at its place on one clock."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from meetsplit.pipeline.errors import SettingsError

LONGEST_MEETING = 24 * 3600.0
"""Seconds after the beginning of a meeting up to which a speaker's file may begin."""


@dataclass(frozen=True, slots=True)
class SpeakerFile:
    """One speaker's file. ``offset`` is the time of the meeting in seconds at which the file begins.

    Raises `SettingsError` for an offset that is negative, not finite or beyond `LONGEST_MEETING`.
    """

    path: Path
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.offset) and self.offset >= 0):
            raise SettingsError(
                f"{self.path}: begins at {self.offset} s: the file that begins first has 0, the others count from there"
            )
        if self.offset > LONGEST_MEETING:
            hours = f"{LONGEST_MEETING / 3600:.0f} h"
            raise SettingsError(
                f"{self.path}: begins at {self.offset:g} s: a meeting lasts {hours} at most; the number is in seconds"
            )

    @classmethod
    def parse(cls, text: str) -> SpeakerFile:
        """From ``file`` or ``file@seconds``; the whole text is the path where a file of that name exists.

        >>> SpeakerFile.parse("ben.wav@1.5").offset
        1.5
        """
        name, at, offset = text.rpartition("@")
        if not at or Path(text).exists():
            return cls(Path(text))
        try:
            return cls(Path(name), float(offset))
        except ValueError:
            raise SettingsError(
                f"{text}: {offset!r} is no number of seconds: write {name}@1.5, or the name of a file"
            ) from None


@dataclass(frozen=True, slots=True)
class MultiFileRecording:
    """A meeting called ``stem`` with a microphone and a file per speaker. Raises `SettingsError` for fewer than two."""

    stem: str
    microphones: tuple[SpeakerFile, ...]

    def __post_init__(self) -> None:
        if self.stem in ("", ".", "..") or Path(self.stem).name != self.stem:
            raise SettingsError(f"--together {self.stem}: a name for the results is needed, without a folder")
        if len(self.microphones) < 2:
            raise SettingsError(
                f"--together {self.stem}: one file is nobody's meeting: name everybody's, or drop --together"
            )

    @property
    def name(self) -> str:
        """The stem and the names of the files, for people."""
        return f"{self.stem} ({', '.join(file.path.name for file in self.microphones)})"

    @property
    def speaker_names(self) -> tuple[str, ...]:
        """The names of the files without their extensions: the speakers' names."""
        return tuple(file.path.stem for file in self.microphones)

    def __str__(self) -> str:
        return self.name


def together(stem: str, files: Sequence[str | Path]) -> MultiFileRecording:
    """The meeting ``stem`` of these files, each ``file`` or ``file@seconds``."""
    return MultiFileRecording(stem, tuple(SpeakerFile.parse(str(file)) for file in files))
