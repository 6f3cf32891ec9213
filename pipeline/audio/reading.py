"""How does sound get in and out? Any container that PyAV opens becomes `Audio`; `Audio` becomes a WAV file."""

from __future__ import annotations

import itertools
import wave
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from meetsplit.pipeline import files
from meetsplit.pipeline.audio.containers import TEXT, SoundInfo, describe, holds_text, opened
from meetsplit.pipeline.audio.content import Content
from meetsplit.pipeline.audio.decoding import Listening
from meetsplit.pipeline.audio.memmap import to_memmap
from meetsplit.pipeline.audio.resampling import resample, resampled
from meetsplit.pipeline.data import Audio, Samples
from meetsplit.pipeline.errors import AudioError
from meetsplit.pipeline.events import EventListener, Notice, Progressed, ignore_events

__all__ = ["SoundInfo", "pcm16", "probe", "read", "resample", "write_wav"]

BLOCK = 1.0
"""Seconds of sound collected from a container's small frames before they travel on."""

TELL_EVERY = 30.0
"""Seconds of sound between two reports of progress."""

RESERVE_AT_MOST = 4 * 3600.0
"""Seconds of sound for which memory is reserved on a container's word alone; more is reserved as it comes."""

IN_MEMORY = 300.0
"""Seconds of sound up to which a recording is held in memory, wherever it might be put down: 19 MB at 16 kHz."""


def probe(path: Path, content: Content | None = None) -> SoundInfo:
    """What the file says about its sound, without decoding it. Raises `AudioError`, also where it does not hold ``content``."""
    with opened(path, content) as (container, stream):
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
    """The file's sound at ``rate`` Hz, mono, from recording time 0 on; the file itself is never touched.

    Channels are averaged, or one is picked by ``channel`` (0 is the first). Samples that are not numbers become
    silence and damaged packets are left out; both are told, as is a file that ends earlier than it says. Decodes in
    blocks into one buffer: the sound is never in memory twice. With a ``folder``, sound longer than `IN_MEMORY` is not
    in memory at all, see `mapped`. Raises `AudioError` where nothing can be heard, and where some of what is decoded is not
    the ``content`` that was hashed before.
    """
    with opened(path, content) as (container, stream):
        info = describe(container, stream)
        if channel is not None and not 0 <= channel < info.channels:
            raise AudioError(f"{path} has {info.channels} channel(s), numbered from 0: there is no channel {channel}")
        if info.streams > 1:
            on_event(Notice(f"{path} has {info.streams} audio tracks: only the default one is used", "decode"))
        listening = Listening(container, stream, channel)
        frames = listening.frames()
        first = next(frames, None)
        if first is None:
            nothing = "has an audio track, but nothing in it can be decoded: record or export it again"
            raise AudioError(f"{path} {TEXT if holds_text(path) else nothing}")
        blocks = _joined(listening.sound(itertools.chain([first], frames)), round(BLOCK * first.sample_rate))
        sound = _told(resampled(blocks, first.sample_rate, rate), rate, info.duration, on_event)
        if folder is not None:
            samples = to_memmap(sound, folder, round(IN_MEMORY * rate))
        else:
            samples = _gathered(sound, round(min(info.duration or 0.0, RESERVE_AT_MOST) * rate) + rate)
    listening.report(path, on_event)
    return Audio(samples[: listening.end(rate)], rate)


def write_wav(path: Path, audio: Audio) -> None:
    """``audio`` as 16-bit PCM, whole or not at all, see `files.replacing`. Raises `OutputError`."""
    with files.replacing(path) as file, wave.open(file, "wb") as out:
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
    whole = np.clip(np.rint(samples * np.float32(32768.0)), -32768, 32767)
    return bytes(whole.astype("<i2").tobytes())


def _joined(pieces: Iterable[Samples], size: int) -> Iterator[Samples]:
    """The same sound in blocks of at least ``size`` samples."""
    pending: list[Samples] = []
    held = 0
    for piece in pieces:
        pending.append(piece)
        held += len(piece)
        if held >= size:
            yield np.concatenate(pending)
            pending, held = [], 0
    if pending:
        yield np.concatenate(pending)


def _told(blocks: Iterable[Samples], rate: int, total: float | None, on_event: EventListener) -> Iterator[Samples]:
    done = told = 0.0
    for block in blocks:
        yield block
        done += len(block) / rate
        if done - told >= TELL_EVERY:
            told = done
            on_event(Progressed("decode", done, total))


def _gathered(blocks: Iterable[Samples], expected: int) -> Samples:
    """All blocks in one array that grows in place: ``resize`` moves pages where the system can, it does not copy."""
    buffer = np.empty(expected, np.float32)
    held = 0
    for block in blocks:
        if held + len(block) > len(buffer):
            buffer.resize(max(held + len(block), len(buffer) * 5 // 4), refcheck=False)
        buffer[held : held + len(block)] = block
        held += len(block)
    buffer.resize(held, refcheck=False)
    return buffer
