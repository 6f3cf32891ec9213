"""Opening recordings with PyAV: the default audio stream, where its clock is zero, and why a file cannot be opened."""

from __future__ import annotations

import codecs
import stat
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import av

from meetsplit.pipeline.audio.content import Content, verified_file
from meetsplit.pipeline.errors import AudioError

MAX_START = 60.0
"""Seconds; a container whose first packet is later runs on a clock of its own (a broadcast, a cut of a live stream)."""

ZERO_BASED = frozenset({"mov", "mp4", "matroska", "webm"})
"""Containers whose players count from timestamp zero; players of all others count from the first packet."""

EXACT_LENGTH = ZERO_BASED | {"wav", "w64", "flac", "aiff", "caf"}
"""Containers that declare exactly how long they are."""

GUESSED_LENGTH = frozenset({"aac", "ac3", "eac3", "dts", "loas", "amr"})
"""Bare packets in a row, whose length FFmpeg guesses from the bit rate, often wrongly."""

MIN_RATE, MAX_RATE = 1_000, 768_000
"""Hz that a recording may have: below, nothing of speech is left; above, nothing records."""

MAX_CHANNELS = 64
"""Channels that a file may have: the largest microphone arrays and mixing desks."""

PLAYLISTS = frozenset({"concat", "dash", "hls", "imf", "rtsp", "sdp"})
"""Formats that FFmpeg opens by opening other files."""

TEXT_FILE = "holds text, not sound: choose a recording"
"""What is said of a text file in place of a recording, after its name."""


@dataclass(frozen=True, slots=True)
class SoundInfo:
    """What a container declares about its audio, before anything is decoded.

    ``duration`` is where the audio ends on the recording's clock, None where the container does not say; ``start``
    is where it begins; both in seconds. ``streams`` counts the audio streams, of which the default one is used.
    """

    duration: float | None
    channels: int
    rate: int
    codec: str
    start: float
    streams: int


class _ClampedSeek:
    """An open file in which a position before the start is the start.

    Damaged containers seek to one, and PyAV would print a traceback.
    """

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
def open_container(path: Path, content: Content | None = None) -> Iterator[tuple[Any, Any]]:
    """The container and its default audio stream. Raises `AudioError`, with a sentence for each cause.

    With ``content``, also where the file does not hold that any more, or where it changes inside the ``with`` block.
    """
    with (
        open_recording(path) as recording,
        nullcontext(_ClampedSeek(recording)) if content is None else verified_file(recording, path, content) as file,
    ):
        try:
            container = av.open(file, "r", io_open=_refuse_other_files, metadata_errors="replace")
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise AudioError(_why_not_opened(path)) from error
        with container:
            if container.format.name in PLAYLISTS:
                raise AudioError(f"{path} is a list of other files: name the recording itself")
            if not container.streams.audio:
                raise AudioError(
                    f"{path} {TEXT_FILE if holds_text(path) else 'has no audio track: choose a file with sound'}"
                )
            stream = next(
                (s for s in container.streams.audio if s.disposition & av.stream.Disposition.default),
                container.streams.audio[0],
            )
            if stream.codec_context is None:
                raise AudioError(
                    f"{path} holds sound in a form that FFmpeg cannot decode: "
                    "convert it to WAV, FLAC, M4A or MP3 and try again"
                )
            _check_plausible(path, stream.codec_context)
            yield container, stream


def _check_plausible(path: Path, context: Any) -> None:
    """Raise `AudioError` for a rate or a number of channels that no recorder writes: the header is damaged."""
    rate, channels = context.sample_rate, context.layout.nb_channels
    if rate and not MIN_RATE <= rate <= MAX_RATE:
        raise AudioError(
            f"{path} says it has {rate} Hz; {MIN_RATE} to {MAX_RATE} Hz can be read: export the recording again"
        )
    if channels > MAX_CHANNELS:
        raise AudioError(
            f"{path} says it has {channels} channels; up to {MAX_CHANNELS} can be read: "
            "export those with people in them"
        )


def describe(container: Any, stream: Any) -> SoundInfo:
    """What the container declares about this stream, on the recording's clock."""
    zero = clock_origin(container)
    start = 0.0 if stream.start_time is None else float(stream.start_time * stream.time_base) - zero
    context = stream.codec_context
    return SoundInfo(
        _declared_end(container, stream, zero),
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


def _why_not_opened(path: Path) -> str:
    """A sentence about a file in which FFmpeg finds no container."""
    with path.open("rb") as file:
        box = file.read(8)[4:]
    if box in {b"ftyp", b"mdat", b"wide", b"free", b"skip"}:
        return f"{path} is incomplete, the index at its end (moov) is missing: copy or record it again"
    if holds_text(path):
        return f"{path} {TEXT_FILE}"
    return f"{path} is in no sound or video format that FFmpeg knows: convert it to WAV, FLAC, M4A or MP3 and try again"


def open_recording(path: Path) -> IO[bytes]:
    """The file, open for unbuffered reading. Raises `AudioError` for what is no file, is empty or cannot be opened."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise AudioError(f"{path} is a folder: name the recording inside it, or `meetsplit batch` for all of them")
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


def _refuse_other_files(url: str, flags: int, options: dict[str, str]) -> IO[bytes]:
    """Raise `PermissionError`: playlists that name other files, here or on the network, are not followed."""
    raise PermissionError(f"a recording may not open {url}")


def clock_origin(container: Any) -> float:
    """The timestamp in seconds at which a player's clock shows zero."""
    start = float((container.start_time or 0) / av.time_base)
    return 0.0 if ZERO_BASED & set(container.format.name.split(",")) and start <= MAX_START else start


def _declared_end(container: Any, stream: Any, zero: float) -> float | None:
    """Where the audio ends on the recording's clock, None where the container does not say or only guesses."""
    formats = set(container.format.name.split(","))
    if formats & GUESSED_LENGTH:
        return None
    if stream.duration:
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base) - zero
    if not container.duration:
        return None
    # Matroska's duration is the time of the end, other containers' the length from the first packet on.
    begin = 0.0 if "matroska" in formats else float((container.start_time or 0) / av.time_base)
    end = begin + float(container.duration / av.time_base) - zero
    return end if end > 0.0 else None
