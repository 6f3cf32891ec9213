"""Disk space for one recording: what its tracks and its decoded sound need, compared with what is free, before any work."""

from __future__ import annotations

import shutil
from pathlib import Path

from meetsplit.pipeline.audio.decoding import LONGEST_RECORDING
from meetsplit.pipeline.audio.reading import IN_MEMORY, probe
from meetsplit.pipeline.channels.recording import MultiFileRecording
from meetsplit.pipeline.errors import AudioError, OutputError
from meetsplit.pipeline.settings import Outputs, Settings

SLACK = 64 << 20
"""Bytes that stay free on every disk: transcripts, the database and whatever else the machine writes."""

LEAST_BITRATE = 400
"""Bits per second of the thriftiest speech codecs: a file cannot hold more seconds of sound than this makes of its size."""

_RATE, _WIDTH, _DECODED = 16000, 2, 4
_PEOPLE = 2


def seconds_of_sound(recording: Path) -> float:
    """How much sound a file can be expected to hold: what it says, but not more than its size allows; 0 where it does not say.

    Raises `AudioError` for a recording that cannot be read.
    """
    declared = probe(recording).duration or 0.0
    try:
        size = recording.stat().st_size
    except OSError as error:
        raise AudioError(f"{recording}: cannot be read: {error.strerror or error}") from error
    return min(declared, LONGEST_RECORDING, size * 8 / LEAST_BITRATE)


def check_disks(
    recording: Path | MultiFileRecording, settings: Settings, outputs: Outputs, open_cache: Path, *, elsewhere: str
) -> None:
    """See that the tracks of ``recording`` fit on the disk of ``open_cache`` and the results on that of ``outputs.folder``.

    A track is as long as the recording; without a number of speakers from the settings, two people are assumed.
    ``elsewhere`` names the options that choose other folders. Raises `OutputError`, which says what is needed, and
    `AudioError` for a recording that cannot be read.
    """
    if isinstance(recording, MultiFileRecording):
        lengths = [seconds_of_sound(one.path) for one in recording.microphones]
        name, people, seconds, copies = recording.stem, len(lengths), max(lengths), 2 * len(lengths)
    else:
        channels, seconds, name = probe(recording).channels, seconds_of_sound(recording), recording.name
        split = settings.channels == "split"
        people = channels if split else settings.num_speakers or settings.max_speakers or _PEOPLE
        copies = 2 * channels if split else 1
    tracks = int(seconds * _RATE * _WIDTH * people)
    decoded = int(seconds * _RATE * _DECODED * copies) if seconds > IN_MEMORY else 0
    needed: dict[int, tuple[Path, int]] = {}
    for folder, size in ((open_cache, tracks + decoded), (outputs.folder, tracks if outputs.tracks else 0)):
        disk = _existing(folder).stat().st_dev
        before = needed[disk][1] if disk in needed else SLACK
        needed[disk] = (folder, before + size)
    for folder, wanted in needed.values():
        free = shutil.disk_usage(_existing(folder)).free
        if free < wanted:
            raise OutputError(
                f"{folder}: {name} needs about {wanted / 1e6:.0f} MB there (tracks of {people} people, "
                f"{seconds / 60:.0f} min), {free / 1e6:.0f} MB are free: make room, or choose another {elsewhere}"
            )


def _existing(folder: Path) -> Path:
    absolute = folder.absolute()
    return next(place for place in (absolute, *absolute.parents) if place.exists())
