"""Separation: the streams of a recording written into its speakers' tracks as they come."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from meetsplit.pipeline.audio.memmap import release_pages
from meetsplit.pipeline.data import Audio, Channels, Stream, StreamInfo
from meetsplit.speakers.tracks import TrackWriter


def write_streams(streams: Iterable[Stream], folder: Path, audio: Channels, whole: Audio) -> tuple[StreamInfo, ...]:
    """Write each clip of each stream into its speaker's track as it comes; only its description stays in memory.

    A track is as long as ``whole``, the recording, whatever stretch of it is processed: ``audio``, whose pages are
    given back to the system after every clip.
    """
    clips: list[StreamInfo] = []
    with TrackWriter(folder, whole) as tracks:
        for stream in streams:
            tracks.write(stream)
            clips.append(stream.info)
            for channel in audio:
                release_pages(channel)
        tracks.finish()
    return tuple(clips)
