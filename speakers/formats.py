"""Track files: wav, or encoded by pydub and ffmpeg, the system's or the one in `imageio-ffmpeg`."""

from __future__ import annotations

import mmap
import secrets
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from meetsplit.pipeline.data import Span, Speaker, Turn, timeline
from meetsplit.pipeline.errors import OutputError
from meetsplit.pipeline.files import read_blocks, replacing, write_sparse
from meetsplit.speakers.track_gate import apply_gate

WAV_LIMIT = 2**32 - 1
"""Bytes in the largest WAV file."""

_FFMPEG_NAMES = {"flac": "flac", "mp3": "mp3", "m4a": "ipod"}
"""ffmpeg's names of the encoded formats."""


def encode(wav: Path, target: Path, track_format: str) -> None:
    """Write ``wav`` (44-byte header, 16-bit PCM mono) as ``target`` in ``track_format``: flac, mp3 or m4a.

    The samples are mapped from the disk, not read into memory. flac keeps every sample; mp3 and m4a are lossy, and
    their decoders may add a few hundredths of a second at the end. Raises `OutputError`.
    """
    if track_format not in _FFMPEG_NAMES:
        raise OutputError(f"{target}: tracks are wav, {', '.join(_FFMPEG_NAMES)}, not {track_format}")
    with warnings.catch_warnings():
        # pydub warns at its first import about audioop, its own docstrings and a missing ffmpeg, which is not missing.
        warnings.simplefilter("ignore")
        from pydub import AudioSegment
        from pydub.exceptions import CouldntEncodeError
    with (
        wav.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        memoryview(mapped) as view,
    ):
        rate = int.from_bytes(view[24:28], "little")
        with view[44:] as samples:
            segment = AudioSegment(data=samples, sample_width=2, frame_rate=rate, channels=1)
            segment.converter = ffmpeg()
            try:
                with target.open("wb+") as out:
                    segment.export(out, format=_FFMPEG_NAMES[track_format])
            except CouldntEncodeError as error:
                reason = str(error).strip().splitlines()[-1]
                raise OutputError(
                    f"{target}: ffmpeg could not write {track_format}: {reason}; use --track-format wav"
                ) from error
            finally:
                del segment


def ffmpeg() -> str:
    """The path of an ffmpeg program, never one in the current folder, where Windows looks first.

    Raises `OutputError` where there is none.
    """
    program = shutil.which("ffmpeg")
    if program is not None and Path(program).is_absolute():
        return program
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise OutputError(
            "no ffmpeg found for compressed tracks: pip install imageio-ffmpeg, or use --track-format wav"
        ) from error


def write_track(wav: Path, target: Path) -> Path:
    """Write a finished track to ``target``, in the format of its suffix, atomically; returns ``target``.

    Raises `OutputError`.
    """
    with replacing(target) as file:
        if target.suffix == ".wav":
            with wav.open("rb") as source:
                write_sparse(file, read_blocks(source))
        else:
            encode(wav, Path(file.name), target.suffix[1:])
    return target


@contextmanager
def _gated_track(wav: Path, turns: Sequence[Span], gate: str) -> Iterator[Path]:
    """The track itself, or a file beside it with the noise gate applied, removed after the block."""
    if gate == "off":
        yield wav
        return
    part = wav.with_name(f".{wav.stem}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            write_sparse(file, apply_gate(wav, turns, gate))
        yield part
    except OSError as error:
        raise OutputError(
            f"{part}: a track cannot be put behind its gate: {error.strerror or error}; make room"
        ) from error
    finally:
        part.unlink(missing_ok=True)


def write_tracks(
    tracks: Mapping[Speaker, Path], folder: Path, track_format: str, *, gate: str = "off", turns: Sequence[Turn] = ()
) -> list[Path]:
    """Write every speaker's track into ``folder``, with a noise ``gate`` (see `track_gate`) opened by its ``turns``.

    Returns the files. Raises `OutputError`.
    """
    turns_of = timeline.by_speaker(turns)
    paths: list[Path] = []
    for speaker, wav in tracks.items():
        with _gated_track(wav, turns_of.get(speaker, ()), gate) as source:
            paths.append(write_track(source, folder / f"{speaker}.{track_format}"))
    return paths
