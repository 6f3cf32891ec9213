"""Is there room for another recording? Memory of this process, and room on the disks that a job writes to."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from meetsplit.pipeline.audio import IN_MEMORY, probe
from meetsplit.pipeline.errors import OutputError, SettingsError
from meetsplit.pipeline.settings import Outputs, Settings

SLACK = 64 << 20
"""Bytes that stay free on every disk: transcripts, the database and whatever else the machine writes."""

_RATE, _WIDTH, _DECODED = 16000, 2, 4
_PEOPLE = 2


@dataclass(frozen=True, slots=True)
class Limits:
    """``memory`` is how many bytes this process may hold when it begins a recording; None is no limit."""

    memory: int | None = None

    def full(self) -> bool:
        """Whether this process holds more than it may."""
        return self.memory is not None and resident() > self.memory


def resident() -> int:
    """Bytes of memory that this process holds now; on systems without ``/proc``, the most it ever held."""
    status = Path("/proc/self/statm")
    if status.is_file():
        import resource

        return int(status.read_text("ascii").split()[1]) * resource.getpagesize()
    if sys.platform == "win32":
        raise SettingsError("--max-memory: the memory of a process cannot be told on this system")
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def check_disks(recording: Path, settings: Settings, outputs: Outputs, bench: Path) -> None:
    """See that the tracks of ``recording`` fit on the disk of ``bench`` and the results on that of ``outputs.folder``.

    A track is as long as the recording; without a number of speakers from the settings, two people are assumed. Raises
    `OutputError`, which says what is needed, and `AudioError` for a recording that cannot be read.
    """
    info = probe(recording)
    seconds = info.duration or 0.0
    people = info.channels if settings.channels == "split" else settings.num_speakers or settings.max_speakers or _PEOPLE
    tracks = int(seconds * _RATE * _WIDTH * people)
    copies = 2 * info.channels if settings.channels == "split" else 1
    decoded = int(seconds * _RATE * _DECODED * copies) if seconds > IN_MEMORY else 0
    needed: dict[int, tuple[Path, int]] = {}
    for folder, size_there in ((bench, tracks + decoded), (outputs.folder, tracks if outputs.tracks else 0)):
        place = _existing(folder)
        disk = place.stat().st_dev
        before = needed[disk][1] if disk in needed else SLACK
        needed[disk] = (folder, before + size_there)
    for folder, wanted in needed.values():
        free = shutil.disk_usage(_existing(folder)).free
        if free < wanted:
            raise OutputError(
                f"{folder}: {recording.name} needs about {wanted / 1e6:.0f} MB there (tracks of {people} people, "
                f"{seconds / 60:.0f} min), {free / 1e6:.0f} MB are free: make room, or choose another --output-dir or --state-dir"
            )


def _existing(folder: Path) -> Path:
    absolute = folder.absolute()
    return next(place for place in (absolute, *absolute.parents) if place.exists())
