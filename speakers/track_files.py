"""Track files being written from their start to their end: WAV, or FLAC, MP3, M4A, WebM by FFmpeg's encoders (PyAV)."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, Protocol, TypeAlias

import av
import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.audio.wav import HEADER
from meetsplit.pipeline.errors import OutputError
from meetsplit.pipeline.files import advice, replacing

Pcm: TypeAlias = npt.NDArray[np.int16]
"""16-bit samples, shape ``(n, channels)``."""

WAV_LIMIT = 2**32 - 1
"""Bytes in the largest WAV file. A longer track is RF64 (EBU Tech 3306), the same with 64-bit sizes."""

_LIMIT_SLACK = 1 << 20
"""Bytes below the limit from which a track is RF64: its length is known only at its end, to a sample or two."""

_SILENCE = 1 << 16
"""Samples of silence that an encoder is given at once."""


@dataclass(frozen=True, slots=True)
class TrackEncoding:
    """FFmpeg's ``container`` and ``codec`` of a track format, and what it can hold.

    ``rates`` are the sample rates in Hz, ascending (none: any); ``layouts`` the channel layouts by number of channels,
    from 1 on. ``options`` are those of the codec, ``bit_rate`` is in bits per second, 0 for the codec's own.
    """

    container: str
    codec: str
    rates: tuple[int, ...]
    layouts: tuple[str, ...]
    options: tuple[tuple[str, str], ...] = ()
    bit_rate: int = 0


_AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
ENCODINGS = {
    "flac": TrackEncoding("flac", "flac", (), ("mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1")),
    "mp3": TrackEncoding("mp3", "libmp3lame", _AAC_RATES[:9], ("mono", "stereo")),
    "m4a": TrackEncoding("ipod", "aac", _AAC_RATES, ("mono", "stereo", "3.0", "4.0", "5.0", "5.1")),
    # Of a page: packets of 60 ms, so that silence is 2 kbit/s, and little effort, of which speech loses nothing.
    "webm": TrackEncoding(
        "webm",
        "libopus",
        (8000, 12000, 16000, 24000, 48000),
        ("mono", "stereo"),
        (("compression_level", "2"), ("frame_duration", "60")),
        bit_rate=24000,
    ),
}
"""The track formats besides WAV, and Opus in WebM for pages. FLAC keeps every sample; the others are lossy, and
decoders may add a few hundredths of a second at their end."""


LOSSY_FORMATS = frozenset({"mp3", "m4a"})
"""The formats that do not keep every sample."""


def format_rate(track_format: str, rate: int) -> int:
    """The sample rate nearest to ``rate`` from above that the format can hold, else the highest.

    >>> format_rate("wav", 96000), format_rate("mp3", 96000), format_rate("mp3", 9000)
    (96000, 48000, 11025)
    """
    rates = ENCODINGS[track_format].rates if track_format in ENCODINGS else ()
    return next((possible for possible in rates if possible >= rate), rates[-1] if rates else rate)


def require_channels(track_format: str, channels: int, recording: Path) -> None:
    """Raise `OutputError` where the format cannot hold so many channels."""
    encoding = ENCODINGS.get(track_format)
    if encoding is not None and channels > len(encoding.layouts):
        raise OutputError(
            f"{recording} has {channels} channels, {track_format} tracks hold {len(encoding.layouts)} at most: "
            "use --track-channels mono or --track-format wav"
        )


class TrackFile(Protocol):
    """A track being written, from its first sample to its last."""

    position: int
    """Samples so far, in each channel."""

    def write(self, pcm: Pcm) -> None:
        """Add samples."""

    def silence(self, count: int) -> None:
        """Add ``count`` samples of silence."""


@contextmanager
def track_file(path: Path, rate: int, channels: int, expected: int) -> Iterator[TrackFile]:
    """A track in the format of the suffix of ``path``, in its place once the block has ended well, see `replacing`.

    ``expected`` is about how many samples it will have. Raises `OutputError`, which names this very track.
    """
    with replacing(path) as file:
        if path.suffix == ".wav":
            wav = _WavTrack(path, file, rate, channels, expected)
            yield wav
            wav.finish()
        else:
            with _EncodedTrack(path, Path(file.name), rate, channels) as encoded:
                yield encoded
                encoded.finish()


class _WavTrack:
    """16-bit PCM; silence takes no room on file systems with sparse files."""

    def __init__(self, path: Path, file: BinaryIO, rate: int, channels: int, expected: int) -> None:
        self.position = 0
        self._path, self._file, self._rate, self._channels = path, file, rate, channels
        self._is_rf64 = HEADER + expected * 2 * channels > WAV_LIMIT - _LIMIT_SLACK
        self._file.seek(len(self._header()))

    def write(self, pcm: Pcm) -> None:
        if not pcm.any():
            self.silence(len(pcm))
            return
        with _write_errors(self._path):
            self._file.write(np.ascontiguousarray(pcm, "<i2").data)
        self.position += len(pcm)

    def silence(self, count: int) -> None:
        with _write_errors(self._path):
            self._file.seek(2 * self._channels * count, os.SEEK_CUR)
        self.position += count

    def finish(self) -> None:
        """Write the header, now that the length is known."""
        header = self._header()
        with _write_errors(self._path):
            self._file.truncate(len(header) + 2 * self._channels * self.position)
            self._file.seek(0)
            self._file.write(header)

    def _header(self) -> bytes:
        width = 2 * self._channels
        size = width * self.position
        layout = b"fmt " + struct.pack("<IHHIIHH", 16, 1, self._channels, self._rate, width * self._rate, width, 16)
        if not self._is_rf64:
            return b"RIFF" + struct.pack("<I", size + HEADER - 8) + b"WAVE" + layout + b"data" + struct.pack("<I", size)
        sizes = b"ds64" + struct.pack("<IQQQI", 28, size + HEADER + 36 - 8, size, self.position, 0)
        unknown = struct.pack("<I", WAV_LIMIT)
        return b"RF64" + unknown + b"WAVE" + sizes + layout + b"data" + unknown


class _EncodedTrack:
    """FFmpeg's encoder for one file, which it writes at ``place``."""

    def __init__(self, path: Path, place: Path, rate: int, channels: int) -> None:
        encoding = ENCODINGS[path.suffix[1:]]
        self.position = 0
        self._path, self._rate, self._channels = path, rate, channels
        self._layout = encoding.layouts[channels - 1]
        with _write_errors(path):
            self._container = av.open(str(place), "w", format=encoding.container)
            options = dict(encoding.options)
            self._stream = self._container.add_stream(encoding.codec, rate=rate, layout=self._layout, options=options)
            if encoding.bit_rate:
                self._stream.bit_rate = encoding.bit_rate

    def __enter__(self) -> _EncodedTrack:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(av.error.FFmpegError, OSError):  # closed well by `finish`, or given up
            self._container.close()

    def write(self, pcm: Pcm) -> None:
        packed = np.ascontiguousarray(pcm, np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format="s16", layout=self._layout)
        frame.sample_rate, frame.pts, frame.time_base = self._rate, self.position, Fraction(1, self._rate)
        with _write_errors(self._path):
            self._container.mux(self._stream.encode(frame))
        self.position += len(pcm)

    def silence(self, count: int) -> None:
        for at in range(0, count, _SILENCE):
            self.write(np.zeros((min(_SILENCE, count - at), self._channels), np.int16))

    def finish(self) -> None:
        """Write what the encoder still holds, and the file's index."""
        with _write_errors(self._path):
            self._container.mux(self._stream.encode(None))
            self._container.close()


@contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    """Raise errors of the disk and of the encoder as `OutputError`: of several open tracks, each names itself."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {advice(error)}") from error
    except av.error.FFmpegError as error:
        raise OutputError(f"{path}: cannot be encoded: {error.strerror}; use --track-format wav") from error
