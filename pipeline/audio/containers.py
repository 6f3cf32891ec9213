"""What does a file hold, and when does its clock show zero? Opens recordings and says in a sentence why one cannot be."""

from __future__ import annotations

import codecs
import stat
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import av

from meetsplit.pipeline.audio.content import Content, verified
from meetsplit.pipeline.errors import AudioError

OWN_CLOCK = 60.0
"""A container whose first packet is later than this runs on a clock of its own (a broadcast, a cut of a live stream)."""

FROM_ZERO = frozenset({"mov", "mp4", "matroska", "webm"})
"""Containers whose players count from timestamp zero; players of all others count from the first packet."""

INDEXED = FROM_ZERO | {"wav", "w64", "flac", "aiff", "caf"}
"""Containers that say exactly how long they are."""

GUESSED = frozenset({"aac", "ac3", "eac3", "dts", "loas", "amr"})
"""Bare packets in a row, whose length FFmpeg guesses from the bit rate, often wrongly."""


LOWEST_RATE, HIGHEST_RATE = 1_000, 768_000
"""Hz that sound may have: below, nothing of speech is left; above, nothing records."""

MOST_CHANNELS = 64
"""Channels that a file may have: the largest microphone arrays and mixing desks."""

LISTS = frozenset({"concat", "dash", "hls", "imf", "rtsp", "sdp"})
"""What FFmpeg opens by opening something else."""

TEXT = "holds text, not sound: choose a recording"


@dataclass(frozen=True, slots=True)
class SoundInfo:
    """What a container says about its sound before anything is decoded.

    ``duration`` is where the sound ends on the recording's clock, None where the container does not say; ``start``
    is where it begins; both in seconds. ``streams`` counts the audio streams, of which the default one is used.
    """

    duration: float | None
    channels: int
    rate: int
    codec: str
    start: float
    streams: int


class _Lenient:
    """An open file in which a position before the start is the start: damaged containers ask for one, and PyAV would print a traceback."""

    def __init__(self, file: IO[bytes]) -> None:
        self.name = file.name
        self.read, self.tell = file.read, file.tell
        self._file = file

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to ``offset`` bytes from the start (0), from here (1) or from the end (2); the new position."""
        try:
            return self._file.seek(offset, whence)
        except OSError:
            return self._file.seek(0)


@contextmanager
def opened(path: Path, content: Content | None = None) -> Iterator[tuple[Any, Any]]:
    """The container and its default audio stream. Raises `AudioError` with a sentence for every reason why not.

    With ``content``, also where the file does not hold that any more, or where it changes inside the block.
    """
    with (
        recording(path) as whole,
        nullcontext(_Lenient(whole)) if content is None else verified(whole, path, content) as file,
    ):
        try:
            container = av.open(file, "r", io_open=_nothing_else, metadata_errors="replace")
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise AudioError(_unopened(path)) from error
        with container:
            if container.format.name in LISTS:
                raise AudioError(f"{path} is a list of other files: name the recording itself")
            if not container.streams.audio:
                raise AudioError(
                    f"{path} {TEXT if holds_text(path) else 'has no audio track: choose a file with sound'}"
                )
            stream = next(
                (s for s in container.streams.audio if s.disposition & av.stream.Disposition.default),
                container.streams.audio[0],
            )
            if stream.codec_context is None:
                raise AudioError(
                    f"{path} holds sound in a form that FFmpeg cannot decode: convert it to WAV, FLAC, M4A or MP3 and try again"
                )
            _check_form(path, stream.codec_context)
            yield container, stream


def _check_form(path: Path, context: Any) -> None:
    """Raise `AudioError` for a rate or a number of channels that no recorder writes: a damaged header, or a made-up one."""
    rate, channels = context.sample_rate, context.layout.nb_channels
    if rate and not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise AudioError(
            f"{path} says it has {rate} Hz; {LOWEST_RATE} to {HIGHEST_RATE} Hz can be read: export the recording again"
        )
    if channels > MOST_CHANNELS:
        raise AudioError(
            f"{path} says it has {channels} channels; up to {MOST_CHANNELS} can be read: export those with people in them"
        )


def describe(container: Any, stream: Any) -> SoundInfo:
    """What the container says about this stream, on the recording's clock."""
    zero = origin(container)
    start = 0.0 if stream.start_time is None else float(stream.start_time * stream.time_base) - zero
    context = stream.codec_context
    return SoundInfo(
        _declared(container, stream, zero),
        context.layout.nb_channels,
        context.sample_rate,
        context.name,
        max(start, 0.0),
        len(container.streams.audio),
    )


def holds_text(path: Path) -> bool:
    """Whether the file's first bytes are ordinary text, whatever its name says."""
    with path.open("rb") as file:
        head = file.read(4096)
    try:
        # Incremental, since these bytes may end inside a character.
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return all(letter.isprintable() or letter in "\r\n\t\f\ufeff" for letter in text)


def _unopened(path: Path) -> str:
    with path.open("rb") as file:
        box = file.read(8)[4:]
    if box in {b"ftyp", b"mdat", b"wide", b"free", b"skip"}:
        return f"{path} is incomplete, the index at its end (moov) is missing: copy or record it again"
    if holds_text(path):
        return f"{path} {TEXT}"
    return f"{path} is in no sound or video format that FFmpeg knows: convert it to WAV, FLAC, M4A or MP3 and try again"


def recording(path: Path) -> IO[bytes]:
    """The open file of a recording. Raises `AudioError` for what is no file, is empty or cannot be opened."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise AudioError(f"{path} is a folder: name the recording inside it")
        if not stat.S_ISREG(status.st_mode):
            raise AudioError(f"{path} is not an ordinary file: save the recording to a file first")
        if status.st_size == 0:
            raise AudioError(f"{path} is empty (0 bytes): copy or record it again")
        return path.open("rb", buffering=0)
    except FileNotFoundError as error:
        raise AudioError(f"{path} does not exist: check the name and the folder") from error
    except PermissionError as error:
        raise AudioError(f"{path} may not be read by this user: change its permissions") from error
    except (OSError, ValueError) as error:
        raise AudioError(f"{path!s} cannot be opened: {getattr(error, 'strerror', None) or error}") from error


def _nothing_else(url: str, flags: int, options: dict[str, str]) -> IO[bytes]:
    """A recording is one file: playlists that name others, here or on the network, are not followed."""
    raise PermissionError(f"a recording may not open {url}")


def origin(container: Any) -> float:
    """The timestamp in seconds at which a player's clock shows zero."""
    start = float((container.start_time or 0) / av.time_base)
    return 0.0 if FROM_ZERO & set(container.format.name.split(",")) and start <= OWN_CLOCK else start


def _declared(container: Any, stream: Any, zero: float) -> float | None:
    """Where the sound ends on the recording's clock, as far as the container says."""
    kinds = set(container.format.name.split(","))
    if kinds & GUESSED:
        return None
    if stream.duration:
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base) - zero
    if not container.duration:
        return None
    # Matroska's duration is the time of the end, other containers' the length from the first packet on.
    begin = 0.0 if "matroska" in kinds else float((container.start_time or 0) / av.time_base)
    end = begin + float(container.duration / av.time_base) - zero
    return end if end > 0.0 else None
