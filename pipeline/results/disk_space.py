"""Disk space for one recording: the size of its tracks and decoded sound against what is free, before any work."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from meetsplit.pipeline.audio.decoding import LONGEST_RECORDING
from meetsplit.pipeline.audio.reading import IN_MEMORY, probe
from meetsplit.pipeline.cache.stage_cache import STAGES
from meetsplit.pipeline.channels.recording import MultiFileRecording
from meetsplit.pipeline.errors import AudioError, OutputError
from meetsplit.pipeline.results.page_sound import expected_bytes, has_page_sound, is_embedded
from meetsplit.pipeline.settings import Outputs, Settings
from meetsplit.speakers.track_files import LOSSY_FORMATS, require_channels

SLACK = 64 << 20
"""Bytes that stay free on every disk: transcripts, the database and what else the machine writes."""

LEAST_BITRATE = 400
"""Bits per second of the thriftiest speech codecs; with the size of a file, a bound on its length in seconds."""

_RATE, _TRACK_WIDTH, _DECODED_WIDTH = 16000, 2, 4
_ASSUMED_SPEAKERS = 2

_LOSSY_BYTES = 16000
"""Bytes per second of a lossy track, silence included."""

_AS_TEXT = 4 / 3
"""Bytes of base64 for a byte."""

_SPEAKING = 2
"""People at most who speak at once for long: the rest of a WAV or FLAC track is silence, which takes next to no room.
"""


@dataclass(frozen=True, slots=True)
class _Size:
    """Expected seconds of sound, number of tracks, number of channels that are decoded, bytes per second of a finished
    track, and the length in seconds with pauses that the file declares without holding them.
    """

    seconds: float
    tracks: int
    channels: int
    track_width: int
    declared: float

    @property
    def cached_bytes(self) -> int:
        """Bytes of the tracks in the stage cache."""
        return int(self.seconds * _RATE * _TRACK_WIDTH * self.tracks)

    def page_bytes(self, outputs: Outputs) -> int:
        """Bytes of a page with its sound, compressed once and then written as text, or of the recording beside it."""
        if not has_page_sound(outputs):
            return 0
        speech = [self.seconds] * min(self.tracks, _SPEAKING) if outputs.tracks else []
        if outputs.html_audio == "embed" and is_embedded(self.seconds, speech):
            return int(expected_bytes(self.seconds, speech) * (1 + _AS_TEXT))
        return int(expected_bytes(self.seconds, ()))

    def result_bytes(self, outputs: Outputs) -> int:
        """Bytes of the tracks among the results, and of the page."""
        return self.page_bytes(outputs) + self._track_bytes(outputs)

    def _track_bytes(self, outputs: Outputs) -> int:
        if not outputs.tracks:
            return 0
        if outputs.track_format in LOSSY_FORMATS:
            return int(self.declared * _LOSSY_BYTES * self.tracks)
        return int(self.seconds * self.track_width * min(self.tracks, _SPEAKING))

    @property
    def decoded_bytes(self) -> int:
        """Bytes of decoded sound on the disk: none for a recording that is held in memory."""
        return int(self.seconds * _RATE * _DECODED_WIDTH * self.channels) if self.seconds > IN_MEMORY else 0


def seconds_of_sound(recording: Path) -> float:
    """Seconds of sound that a file can be expected to hold: what it declares, but not more than its size allows; or 0.

    Raises `AudioError` for a recording that cannot be read.
    """
    declared = _declared(recording)
    try:
        size = recording.stat().st_size
    except OSError as error:
        raise AudioError(f"{recording}: cannot be read: {error.strerror or error}") from error
    return min(declared, size * 8 / LEAST_BITRATE)


def _declared(recording: Path) -> float:
    return min(probe(recording).duration or 0.0, LONGEST_RECORDING)


def check_disks(
    recording: Path | MultiFileRecording,
    settings: Settings,
    outputs: Outputs,
    cache_folder: Path,
    *,
    elsewhere: str,
    stages: Collection[str] = STAGES,
) -> None:
    """Raise `OutputError`, with the size needed, where a run's files do not fit on their disks.

    Cached tracks and decoded sound go to ``cache_folder``, finished tracks to ``outputs.folder``. ``stages`` are those
    that are still to be done, see `RecordingRun.remaining_stages`: finished ones write nothing. A track is as long as
    the recording; without a number of speakers from the settings, two are assumed. ``elsewhere`` names the options that
    choose other folders. Raises `AudioError` for a recording that cannot be read, and `OutputError` also where its
    tracks cannot have the format that is asked for.
    """
    size = _expected_size(recording, settings, outputs)
    if settings.clean != "off":  # cleaned channels, in memory maps and in the cache
        size = replace(size, channels=3 * size.channels)
    cache_bytes = (size.cached_bytes if "separate" in stages else 0) + (
        size.decoded_bytes if {"diarize", "separate"} & set(stages) else 0
    )
    results_bytes = size.result_bytes(outputs)
    needed: dict[int, int] = {}
    folders: dict[int, Path] = {}
    for folder, folder_bytes in ((cache_folder, cache_bytes), (outputs.folder, results_bytes)):
        disk = _existing_parent(folder).stat().st_dev
        needed[disk] = needed.get(disk, SLACK) + folder_bytes
        folders[disk] = folder
    name = recording.stem if isinstance(recording, MultiFileRecording) else recording.name
    for disk, folder in folders.items():
        free = shutil.disk_usage(_existing_parent(folder)).free
        if free < needed[disk]:
            raise OutputError(
                f"{folder}: {name} needs about {needed[disk] / 1e6:.0f} MB there (tracks of {size.tracks} people, "
                f"{size.declared / 60:.0f} min), {free / 1e6:.0f} MB are free: make room, or choose another {elsewhere}"
            )


def _expected_size(recording: Path | MultiFileRecording, settings: Settings, outputs: Outputs) -> _Size:
    """The size of a recording's sound. A channel with crosstalk is decoded, and written again without it."""
    if isinstance(recording, MultiFileRecording):
        paths = [file.path for file in recording.microphones]
        width = max(_track_width(path, None, outputs) for path in paths)
        seconds, declared = max(map(seconds_of_sound, paths)), max(map(_declared, paths))
        return _Size(seconds, len(paths), channels=2 * len(paths), track_width=width, declared=declared)
    channels, seconds, declared = probe(recording).channels, seconds_of_sound(recording), _declared(recording)
    if settings.channels == "split":
        width = _track_width(recording, 0, outputs)
        return _Size(seconds, channels, channels=2 * channels, track_width=width, declared=declared)
    speakers = settings.num_speakers or settings.max_speakers or _ASSUMED_SPEAKERS
    width = _track_width(recording, None, outputs)
    return _Size(seconds, speakers, channels=1, track_width=width, declared=declared)


def _track_width(recording: Path, channel: int | None, outputs: Outputs) -> int:
    """Bytes per second of a track made of one channel of a file, or of all. Raises `OutputError` for a format that
    cannot hold it.
    """
    info = probe(recording)
    channels = info.channels if channel is None and outputs.track_channels == "source" else 1
    if outputs.tracks:
        require_channels(outputs.track_format, channels, recording)
    rate = info.rate if outputs.track_rate == "source" else int(outputs.track_rate)
    return rate * channels * _TRACK_WIDTH


def _existing_parent(folder: Path) -> Path:
    absolute = folder.absolute()
    return next(path for path in (absolute, *absolute.parents) if path.exists())
