"""A recording as it was recorded: its own rate and channels, second by second, so that hours take little memory."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from meetsplit.pipeline.audio.containers import open_container
from meetsplit.pipeline.audio.content import Content
from meetsplit.pipeline.audio.decoding import StreamDecoder
from meetsplit.pipeline.audio.reading import first_frame
from meetsplit.pipeline.audio.resampling import resample_blocks
from meetsplit.pipeline.data import ChannelSamples, Samples

_HELD = 2
"""Seconds that are held back until the end is known: a lossy codec fills its last packet, which is cut off again."""


class NativeAudio:
    """The audio of an open recording at its own ``rate`` in Hz, in ``channels`` channels, from recording time 0 on."""

    def __init__(self, decoder: StreamDecoder, frames: Iterator[object], rate: int, channels: int) -> None:
        self.rate, self.channels = rate, channels
        self._decoder, self._frames = decoder, frames

    def seconds(self) -> Iterator[ChannelSamples]:
        """The samples in blocks of a second, the last one shorter; together as long as `reading.read` says, once."""
        blocks = in_blocks(self._decoder.channels(self._frames, self.channels), self.rate)
        held: deque[ChannelSamples] = deque()
        sent = 0
        for block in blocks:
            held.append(block)
            if len(held) > _HELD:
                sent += held[0].shape[1]
                yield held.popleft()
        rest = np.concatenate([np.zeros((self.channels, 0), np.float32), *held], axis=1)
        yield from in_blocks([rest[:, : max(self._decoder.length(self.rate) - sent, 0)]], self.rate)


@contextmanager
def open_native(path: Path, *, channel: int | None = None, content: Content | None = None) -> Iterator[NativeAudio]:
    """The recording's audio as it was recorded, all channels or the one with the number ``channel``.

    What is wrong with the file is noticed by `reading.read`, which reads the same samples. Raises `AudioError` where
    nothing can be decoded, and where the file is not the ``content`` that was hashed before.
    """
    with open_container(path, content) as (container, stream):
        decoder = StreamDecoder(container, stream, channel)
        frames = decoder.frames()
        first = first_frame(path, frames)
        channels = first.layout.nb_channels if channel is None else 1
        yield NativeAudio(decoder, itertools.chain([first], frames), first.sample_rate, channels)


def in_blocks(blocks: Iterable[ChannelSamples], size: int) -> Iterator[ChannelSamples]:
    """The same samples in blocks of exactly ``size``, shape ``(channels, size)``; the last one may be shorter."""
    pending: list[ChannelSamples] = []
    count = 0
    for block in blocks:
        pending.append(block)
        count += block.shape[1]
        if count >= size:
            joined = np.concatenate(pending, axis=1)
            whole = count // size * size
            for at in range(0, whole, size):
                yield joined[:, at : at + size]
            pending, count = [joined[:, whole:]], count - whole
    if count:
        yield np.concatenate(pending, axis=1)


def resample_channels(blocks: Iterable[ChannelSamples], channels: int, old: int, new: int) -> Iterator[ChannelSamples]:
    """Consecutive blocks of ``channels`` channels at ``old`` Hz as consecutive blocks at ``new`` Hz."""
    if old == new:
        yield from blocks
        return
    rows = [resample_blocks(_row(copy, number), old, new) for number, copy in enumerate(copies(blocks, channels))]
    for parts in zip(*rows, strict=True):
        yield np.stack(parts)


def copies(blocks: Iterable[ChannelSamples], count: int) -> tuple[Iterator[ChannelSamples], ...]:
    """``count`` iterators over the same blocks. Only blocks that one has given and another has not are held, where
    `itertools.tee` holds 57 at a time.
    """
    source = iter(blocks)
    waiting: tuple[deque[ChannelSamples], ...] = tuple(deque() for _ in range(count))

    def copy(own: deque[ChannelSamples]) -> Iterator[ChannelSamples]:
        while True:
            if not own:
                block = next(source, None)
                if block is None:
                    return
                for queue in waiting:
                    queue.append(block)
            yield own.popleft()

    return tuple(copy(own) for own in waiting)


def _row(blocks: Iterable[ChannelSamples], number: int) -> Iterator[Samples]:
    for block in blocks:
        yield block[number]
