"""Track files: one speaker's stream, silence elsewhere, exactly as long as the recording."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np

from meetsplit.pipeline import files
from meetsplit.pipeline.audio.crossfade import ramp
from meetsplit.pipeline.audio.reading import pcm16
from meetsplit.pipeline.audio.wav import HEADER
from meetsplit.pipeline.data import Audio, Samples, Speaker, Stream
from meetsplit.pipeline.errors import OutputError
from meetsplit.speakers.track_files import WAV_LIMIT

FADE = 0.005
"""Seconds over which a stretch fades in from silence and out again."""


@dataclass(slots=True)
class _Track:
    """An unfinished track: ``end`` is the sample after the last written, ``tail`` its last samples before the fade."""

    part: Path
    file: BinaryIO
    end: int = 0
    tail: Samples = field(default_factory=lambda: np.zeros(0, np.float32))


class TrackWriter:
    """Writes streams as they come, one 16-bit PCM file per speaker.

    Memory does not grow with the recording or the number of speakers; silence takes no room on file systems with
    sparse files. A stretch fades in and out over `FADE` seconds at its own edges, which lie in its padding; only where
    another speaker speaks right up to a turn there is no padding, and the turn's first 5 ms fade. Everywhere else the
    samples are the stream's own, and 16-bit recordings come back bit by bit. Nothing has its final name before
    `finish`; leaving the ``with`` block without it leaves nothing behind.

    Raises `OutputError` where a file cannot be written.
    """

    def __init__(self, folder: Path, recording: Audio) -> None:
        if 2 * len(recording.samples) + HEADER > WAV_LIMIT:
            raise OutputError(
                f"{folder}: a track of {recording.duration / 3600:.0f} h is more than a WAV file can hold; "
                "cut the recording"
            )
        self._folder = folder
        self._clock = recording
        self._tracks: dict[Speaker, _Track] = {}
        self._new_folders: list[Path] = []

    def __enter__(self) -> TrackWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()

    def write(self, stream: Stream) -> None:
        """Write one stretch into its speaker's track; stretches of one speaker come sorted by start."""
        with self._disk_errors(stream.speaker):
            track = self._tracks.get(stream.speaker) or self._open(stream.speaker)
            first = self._clock.index(stream.audio.start)
            samples = stream.audio.samples[: len(self._clock.samples) - first]
            continues = 0 < first <= track.end
            if continues:
                self._write_samples(track, track.end - len(track.tail), track.tail)
            last = first + len(samples)
            length = min(round(FADE * self._clock.rate), len(samples) // 2)
            faded = samples.copy()
            if first > 0 and not continues:
                faded[:length] *= ramp(length)
            if last < len(self._clock.samples):
                faded[len(faded) - length :] *= ramp(length)[::-1]
            if last >= track.end:
                track.end, track.tail = last, samples[len(samples) - length :].copy()
            self._write_samples(track, first, faded)

    def finish(self) -> dict[Speaker, Path]:
        """Complete all tracks; the files by speaker, in place under their final names ``SPEAKER_00.wav``…"""
        paths: dict[Speaker, tuple[Path, Path]] = {}
        for speaker, track in sorted(self._tracks.items()):
            with self._disk_errors(speaker):
                files.disk.fsync(track.file)
                track.file.close()
                paths[speaker] = (track.part, self._path(speaker))
        for speaker, (part, path) in paths.items():
            with self._disk_errors(speaker):
                files.disk.replace(part, path)
        if paths:
            with self._disk_errors(next(iter(paths))):
                files.disk.sync_folder(self._folder)
        self._tracks, self._new_folders = {}, []
        return {speaker: path for speaker, (_, path) in paths.items()}

    def abort(self) -> None:
        """Remove what is not finished, and the folders made for it; what cannot be removed is swept by the next run."""
        for track in self._tracks.values():
            with suppress(OSError):
                track.file.close()
            with suppress(OSError):
                files.remove(track.part)
        for folder in reversed(self._new_folders):
            with suppress(OSError):
                files.disk.rmdir(folder)
        self._tracks, self._new_folders = {}, []

    def _path(self, speaker: Speaker) -> Path:
        return self._folder / f"{speaker}.wav"

    def _open(self, speaker: Speaker) -> _Track:
        self._new_folders += files.make_folder(self._folder, private=True)
        part = files.temporary_name(self._folder)
        file = files.disk.create(part, files.PRIVATE_FILE)
        self._tracks[speaker] = track = _Track(part, file)
        size, rate = 2 * len(self._clock.samples), self._clock.rate
        layout = struct.pack("<IHHIIHH", 16, 1, 1, rate, 2 * rate, 2, 16)
        file.write(
            b"RIFF" + struct.pack("<I", size + HEADER - 8) + b"WAVEfmt " + layout + b"data" + struct.pack("<I", size)
        )
        file.truncate(HEADER + size)
        return track

    def _write_samples(self, track: _Track, first: int, samples: Samples) -> None:
        track.file.seek(HEADER + 2 * first)
        track.file.write(pcm16(samples))

    @contextmanager
    def _disk_errors(self, speaker: Speaker) -> Iterator[None]:
        """Raise errors of the disk as `OutputError` with the track's path."""
        try:
            yield
        except OSError as error:
            reason = error.strerror or str(error)
            raise OutputError(
                f"{self._path(speaker)} cannot be written: {reason}; choose another folder or make room"
            ) from error
