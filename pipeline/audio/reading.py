"""Reading recordings: any container that PyAV opens becomes `Audio`. Writing WAV files."""

from __future__ import annotations

import itertools
import tempfile
import wave
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from meetsplit.pipeline import files
from meetsplit.pipeline.audio.containers import TEXT_FILE, SoundInfo, describe, holds_text, open_container
from meetsplit.pipeline.audio.content import Content
from meetsplit.pipeline.audio.decoding import StreamDecoder
from meetsplit.pipeline.audio.memmap import to_memmap
from meetsplit.pipeline.audio.resampling import resample, resample_blocks
from meetsplit.pipeline.data import Audio, Samples
from meetsplit.pipeline.errors import AudioError
from meetsplit.pipeline.events import EventListener, Notice, Progressed, ignore_events

__all__ = ["SoundInfo", "pcm16", "probe", "read", "resample", "write_wav"]

BLOCK = 1.0
"""Seconds of audio collected from a container's small frames before they are resampled."""

PROGRESS_INTERVAL = 30.0
"""Seconds of audio between two progress events."""

IN_MEMORY = 300.0
"""Seconds up to which audio is held in memory instead of a memory map: 19 MB at 16 kHz."""


def probe(path: Path, content: Content | None = None) -> SoundInfo:
    """What the file declares about its audio. Raises `AudioError`, also where it does not hold ``content`` any more."""
    with open_container(path, content) as (container, stream):
        return describe(container, stream)


def read(
    path: Path,
    rate: int = 16000,
    *,
    channel: int | None = None,
    folder: Path | None = None,
    content: Content | None = None,
    on_event: EventListener = ignore_events,
) -> Audio:
    """The file's audio at ``rate`` Hz, mono, from recording time 0 on; the file itself is never changed.

    Channels are averaged, or one is picked by ``channel`` (0 is the first). Samples that are not numbers become
    silence and damaged packets are left out; both are noticed, as is a file that ends earlier than it declares.
    Decodes in blocks; audio longer than `IN_MEMORY` is not in memory but mapped from a nameless file in ``folder``
    (the system's folder for temporary files by default) and read-only, see `to_memmap`. Raises `AudioError` where
    nothing can be decoded, and where the file is not the ``content`` that was hashed before; `OutputError` where
    ``folder`` has no room.
    """
    with open_container(path, content) as (container, stream):
        info = describe(container, stream)
        if channel is not None and not 0 <= channel < info.channels:
            raise AudioError(f"{path} has {info.channels} channel(s), numbered from 0: there is no channel {channel}")
        if info.streams > 1:
            on_event(Notice(f"{path} has {info.streams} audio tracks: only the default one is used", "decode"))
        decoder = StreamDecoder(container, stream, channel)
        frames = decoder.frames()
        first = first_frame(path, frames)
        native = _join_blocks(decoder.samples(itertools.chain([first], frames)), round(BLOCK * first.sample_rate))
        resampled = resample_blocks(native, first.sample_rate, rate)
        blocks = _with_progress(resampled, rate, info.duration, on_event)
        samples = to_memmap(blocks, folder or Path(tempfile.gettempdir()), round(IN_MEMORY * rate))
    decoder.report(path, on_event)
    return Audio(samples[: decoder.length(rate)], rate)


def first_frame(path: Path, frames: Iterator[Any]) -> Any:
    """The first of the decoded frames of a file. Raises `AudioError` where there is none."""
    first = next(frames, None)
    if first is None:
        undecodable = "has an audio track, but nothing in it can be decoded: record or export it again"
        raise AudioError(f"{path} {TEXT_FILE if holds_text(path) else undecodable}")
    return first


def write_wav(path: Path, audio: Audio, *, private: bool = False) -> None:
    """Write ``audio`` as 16-bit PCM, atomically, see `files.replacing`. Raises `OutputError`."""
    with files.replacing(path, private=private) as file, wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(audio.rate)
        out.setnframes(len(audio.samples))
        for at in range(0, len(audio.samples), 1 << 20):
            out.writeframesraw(pcm16(audio.samples[at : at + (1 << 20)]))


def pcm16(samples: Samples) -> bytes:
    """Little-endian 16-bit PCM; louder than full scale is clipped.

    >>> pcm16(np.array([0.0, 0.5, 2.0], np.float32)).hex()
    '00000040ff7f'
    """
    scaled = np.clip(np.rint(samples * np.float32(32768.0)), -32768, 32767)
    return bytes(scaled.astype("<i2").tobytes())


def _join_blocks(blocks: Iterable[Samples], size: int) -> Iterator[Samples]:
    """The same samples in blocks of at least ``size``; the last may be shorter."""
    pending: list[Samples] = []
    count = 0
    for block in blocks:
        pending.append(block)
        count += len(block)
        if count >= size:
            yield np.concatenate(pending)
            pending, count = [], 0
    if pending:
        yield np.concatenate(pending)


def _with_progress(
    blocks: Iterable[Samples], rate: int, total: float | None, on_event: EventListener
) -> Iterator[Samples]:
    """The blocks, with a progress event every `PROGRESS_INTERVAL`."""
    done = reported = 0.0
    for block in blocks:
        yield block
        done += len(block) / rate
        if done - reported >= PROGRESS_INTERVAL:
            reported = done
            on_event(Progressed("decode", done, total))
