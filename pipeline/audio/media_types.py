"""Suffixes of audio and video files. What a file holds is found out by opening it."""

from __future__ import annotations

from pathlib import Path

MEDIA_SUFFIXES = frozenset(
    f".{kind}"
    for group in (
        ("aac", "ac3", "aif", "aiff", "amr", "avi", "caf", "flac", "m4a", "m4b", "mka", "mkv", "mov", "mp2", "mp3"),
        ("mp4", "mpeg", "mpg", "oga", "ogg", "opus", "ts", "wav", "webm", "wma", "wmv"),
    )
    for kind in group
)
"""Suffixes of recordings, for telling them from other files in a folder."""

AUDIO_SUFFIXES = frozenset({".flac", ".wav", ".mp3", ".m4a", ".ogg", ".opus"})
"""Suffixes of audio files in data sets."""

LOSSLESS_SUFFIXES = frozenset({".wav", ".flac"})
"""Suffixes of audio files whose samples are exact."""


def recordings_called(folder: Path, stem: str) -> list[Path]:
    """The files in a folder that are called ``stem`` with a recording's suffix, sorted; none without the folder."""
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    return [one for one in entries if one.stem == stem and one.suffix.lower() in MEDIA_SUFFIXES and one.is_file()]
