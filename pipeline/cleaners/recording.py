"""The channels of a recording cleaned, kept in its stage cache, and what was taken out of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from meetsplit.pipeline.audio.memmap import release_pages, to_memmap
from meetsplit.pipeline.audio.reading import IN_MEMORY, write_wav
from meetsplit.pipeline.audio.wav import HEADER
from meetsplit.pipeline.cache.stage_cache import CleanedChannel, StageCache
from meetsplit.pipeline.cleaners.windowed import RemovedPower, cleaned_blocks
from meetsplit.pipeline.data import Audio, Channels, Samples
from meetsplit.pipeline.errors import OutputError
from meetsplit.pipeline.files import make_folder
from meetsplit.pipeline.protocols import Cleaner
from meetsplit.pipeline.settings import Clean

_BLOCK = 1 << 20
"""Samples that are read at once."""

_FULL_SCALE = np.float32(32768)


@dataclass(frozen=True, slots=True, eq=False)
class CleanedRecording:
    """The channels of a recording cleaned: ``channels`` are the original ones where next to nothing was taken out."""

    channels: Channels
    outcomes: tuple[CleanedChannel, ...]

    @property
    def is_changed(self) -> bool:
        """Whether anything was taken out."""
        return any(outcome.changed for outcome in self.outcomes)

    def summary(self) -> str:
        """A few words about it for people."""
        levels = [one.decibels for one in self.outcomes if one.changed and one.decibels is not None]
        if not self.is_changed:
            return "next to nothing to take out: the recording stays as it is"
        return f"taken out: {-min(levels):.0f} dB beside what is left" if levels else "everything was taken out"


def kinds_of(clean: Clean) -> frozenset[str]:
    """The kinds of sound that the setting takes out.

    >>> sorted(kinds_of("all"))
    ['music', 'noise']
    """
    return frozenset() if clean == "off" else frozenset({"music", "noise"} if clean == "all" else {clean})


def clean_channels(
    channels: Channels,
    cleaner: Cleaner,
    clean: Clean,
    cache: StageCache,
    key: str,
    on_progress: Callable[[float], None],
) -> CleanedRecording:
    """Clean every channel and keep the result; ``on_progress`` is called with seconds of sound that are done.

    What is kept, and what is returned, has 16 bits. Raises `OutputError` where it cannot be kept.
    """
    outcomes: list[CleanedChannel] = []
    cleaned: list[Audio] = []
    done = 0.0
    for number, channel in enumerate(channels):
        power = RemovedPower()

        def blocks(channel: Audio = channel, power: RemovedPower = power, done: float = done) -> Iterator[Samples]:
            first = 0
            for block in cleaned_blocks(channel, cleaner, kinds_of(clean)):
                power.add(channel.samples[first : first + len(block)], block)
                first += len(block)
                yield _rounded(block)
                release_pages(channel)
                on_progress(done + first / channel.rate)

        samples = to_memmap(blocks(), cache.folder, round(IN_MEMORY * channel.rate))
        done += channel.duration
        decibels = power.decibels
        changed = not power.is_next_to_nothing
        outcomes.append(CleanedChannel(decibels if math.isfinite(decibels) else None, changed))
        cleaned.append(channel.replaced(samples) if changed else channel)
        if changed:
            path = cache.cleaned_path(key, number)
            _make_private(path.parent)
            write_wav(path, cleaned[-1])
            path.chmod(0o600)
    cache.save_cleaned(key, outcomes)
    return CleanedRecording(tuple(cleaned), tuple(outcomes))


def kept_channels(
    channels: Channels, outcomes: Sequence[CleanedChannel], cache: StageCache, key: str
) -> CleanedRecording:
    """The same from the stage cache, where ``outcomes`` are those of `StageCache.load_cleaned`."""
    cleaned = [
        channel.replaced(
            to_memmap(_read(cache.cleaned_path(key, number)), cache.folder, round(IN_MEMORY * channel.rate))
        )
        if outcome.changed
        else channel
        for number, (channel, outcome) in enumerate(zip(channels, outcomes, strict=True))
    ]
    return CleanedRecording(tuple(cleaned), tuple(outcomes))


def background(recording: Channels, cleaned: Channels, length: int) -> Iterator[Samples]:
    """What was taken out, in blocks at the channels' rate: their sum, with silence up to ``length`` samples outside the
    stretch that was cleaned.
    """
    rate = recording[0].rate
    first, last = round(recording[0].start * rate), round(recording[0].start * rate) + len(recording[0].samples)
    yield from _silence(first)
    for at in range(0, last - first, _BLOCK):
        block = np.zeros(min(_BLOCK, last - first - at), np.float32)
        for whole, left in zip(recording, cleaned, strict=True):
            part = whole.samples[at : at + _BLOCK] - left.samples[at : at + _BLOCK]
            block[: len(part)] += part
        yield block
    yield from _silence(length - last)


def _silence(length: int) -> Iterator[Samples]:
    for at in range(0, length, _BLOCK):
        yield np.zeros(min(_BLOCK, length - at), np.float32)


def _rounded(samples: Samples) -> Samples:
    return np.asarray(np.clip(np.rint(samples * _FULL_SCALE), -32768, 32767) / _FULL_SCALE, np.float32)


def _read(path: Path) -> Iterator[Samples]:
    count = (path.stat().st_size - HEADER) // 2
    for at in range(0, count, _BLOCK):
        pcm = np.fromfile(path, np.dtype("<i2"), count=min(_BLOCK, count - at), offset=HEADER + 2 * at)
        yield pcm.astype(np.float32) / _FULL_SCALE


def _make_private(folder: Path) -> None:
    try:
        make_folder(folder, private=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror or error}; choose another --cache-dir") from error
