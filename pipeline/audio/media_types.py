"""Suffixes of audio and video files. What a file holds is found out by opening it."""

from __future__ import annotations

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
