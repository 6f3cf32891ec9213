"""Route: how a recording is decoded, diarized and turned into one stream per speaker.

There are two: `mixed_recording` and `channel_per_speaker`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

from meetsplit.pipeline.cache.content import RecordingContent
from meetsplit.pipeline.data import Audio, Channels, Diarization, Speaker, Stream
from meetsplit.speakers.rendering import CACHED_RATE, TrackSource

RATE = CACHED_RATE
"""Sample rate in Hz at which a recording is decoded, mono; a stage that needs another gets it resampled."""

KeptClips: TypeAlias = Mapping[Speaker, Sequence[Audio]]
"""Clean speech of enrolled people from elsewhere, by the speaker of this recording who they are."""


class Route(Protocol):
    """How a recording is decoded, diarized and turned into one stream per speaker."""

    def read(self, folder: Path, content: RecordingContent) -> Channels:
        """The recording's channels on one clock; long ones are memory-mapped in ``folder``.

        Only ``content`` is decoded.
        """

    def diarize(self, audio: Channels, sha256: str | None) -> Diarization:
        """The turns of every speaker. ``sha256`` is the checksum that a file of given turns must have."""

    def streams(self, audio: Channels, diarization: Diarization, folder: Path, kept: KeptClips) -> Iterator[Stream]:
        """Every speaker's stream, clip by clip, sorted by start for each speaker; ``kept`` is speech from elsewhere."""

    def track_sources(self, diarization: Diarization, content: RecordingContent) -> tuple[TrackSource, ...]:
        """The files and channels that the speakers' tracks are made of."""
