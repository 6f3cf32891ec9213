"""Which files look like recordings, by their names alone?"""

from __future__ import annotations

MEDIA = frozenset(
    f".{kind}"
    for group in (
        ("aac", "ac3", "aif", "aiff", "amr", "avi", "caf", "flac", "m4a", "m4b", "mka", "mkv", "mov", "mp2", "mp3"),
        ("mp4", "mpeg", "mpg", "oga", "ogg", "opus", "ts", "wav", "webm", "wma", "wmv"),
    )
    for kind in group
)
"""Suffixes of recordings, for telling them from other files in a folder; what a file holds is told by opening it."""
