"""Tracks of an edited transcript: put together from the tracks that there are, nothing is separated again.

A moment of a track goes to whoever says by the new turns what its speaker said by the old ones:

    old turns    A |--1--|        |--2--|          new turns   A |--1--|
                                                               D                |--2--|
    track of A   ->  to A until the middle of the pause, then to D

So merged speakers' tracks are added up, each being silent where the other one speaks, and a split speaker's track is
cut inside pauses. What several people say at once stays with the speaker in whose track it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from meetsplit.pipeline.audio.decoding import mixed_down
from meetsplit.pipeline.audio.native import NativeAudio, in_blocks, open_native, resample_channels
from meetsplit.pipeline.audio.reading import probe
from meetsplit.pipeline.data import ChannelSamples, Span, Speaker, Turn, timeline
from meetsplit.speakers.rendering import pcm
from meetsplit.speakers.track_files import format_rate, track_file

_END = 1e9
"""Seconds after the end of every track."""


@dataclass(frozen=True, slots=True)
class TrackPart:
    """What a track is made of: ``spans`` of the ``old`` speaker's track, disjoint and sorted; None for all of it."""

    old: Speaker
    spans: tuple[Span, ...] | None = None


def track_parts(old: Sequence[Turn], new: Sequence[Turn]) -> dict[Speaker, list[TrackPart]]:
    """The parts of each new speaker's track, by the turns before and after an edit; of those who have any."""
    before, after = timeline.by_speaker(old), timeline.by_speaker(new)
    parts: dict[Speaker, list[TrackPart]] = {}
    for speaker in before:
        claims = sorted(_claims(speaker, before, after), key=lambda claim: claim[0])
        owners = list(dict.fromkeys(owner for _, owner in claims))
        if len(owners) == 1:
            parts.setdefault(owners[0], []).append(TrackPart(speaker))
            continue
        for owner in owners:
            spans = tuple(span for span, one in _stretches(claims) if one == owner)
            parts.setdefault(owner, []).append(TrackPart(speaker, spans))
    return parts


def _claims(
    speaker: Speaker, before: Mapping[Speaker, tuple[Span, ...]], after: Mapping[Speaker, tuple[Span, ...]]
) -> Iterator[tuple[Span, Speaker]]:
    """The speaker's old speech in pieces, each with the new speaker whose it is."""
    others = [other for other in after if other != speaker]
    gained = [(other, timeline.subtract(after[other], before.get(other, ()))) for other in others]
    rest = before[speaker]
    # Whoever keeps it; then whoever has got it; then, in overlaps, whoever speaks there now as before.
    for owner, speech in ((speaker, after.get(speaker, ())), *gained, *((other, after[other]) for other in others)):
        left = timeline.subtract(rest, speech)
        yield from ((span, owner) for span in timeline.subtract(rest, left))
        rest = left


def _stretches(claims: Sequence[tuple[Span, Speaker]]) -> Iterator[tuple[Span, Speaker]]:
    """The whole time, cut in the middle of the pauses between pieces of different owners."""
    start = 0.0
    for (span, owner), (after, other) in itertools.pairwise(claims):
        if other != owner:
            cut = (span.end + after.start) / 2
            yield Span(start, cut), owner
            start = cut
    yield Span(start, _END), claims[-1][1]


def compose_track(
    parts: Sequence[tuple[Path, tuple[Span, ...] | None]],
    target: Path,
    on_progress: Callable[[float], None] = lambda share: None,
) -> None:
    """Write a track that is the sum of parts of other tracks, in the format of its suffix.

    ``parts`` are files, each with the spans that count of it, or None for all. Tracks of one run have one rate and
    number of channels, and then every sample is the sum of theirs; others are resampled to the greatest rate and mixed
    down. The noise of several lossy tracks adds up. Raises `AudioError` and `OutputError`.
    """
    with ExitStack() as stack:
        opened = [(stack.enter_context(open_native(path)), spans) for path, spans in parts]
        rate = format_rate(target.suffix[1:], max(native.rate for native, _ in opened))
        channels = {native.channels for native, _ in opened}
        count = channels.pop() if len(channels) == 1 else 1
        length = max(probe(path).duration or 0.0 for path, _ in parts)
        with track_file(target, rate, count, round(length * rate)) as file:
            voices = [_blocks(native, spans, rate, count) for native, spans in opened]
            for blocks in itertools.zip_longest(*voices):
                present = [block for block in blocks if block is not None]
                total = np.zeros((count, max(block.shape[1] for block in present)), np.float32)
                for block in present:
                    total[:, : block.shape[1]] += block
                file.write(pcm(total))
                on_progress(min(file.position / rate / max(length, 1e-9), 1.0))


def _blocks(native: NativeAudio, spans: tuple[Span, ...] | None, rate: int, count: int) -> Iterator[ChannelSamples]:
    """A file's samples second by second in the rate and channels of the new track, silent outside of the spans."""
    seconds = native.seconds()
    if native.channels != count:
        seconds = (mixed_down(block)[None] for block in seconds)
    at = 0
    for block in in_blocks(resample_channels(seconds, count, native.rate, rate), rate):
        yield block if spans is None else block * _mask(at, block.shape[1], spans, rate)
        at += block.shape[1]


def _mask(first: int, count: int, spans: Sequence[Span], rate: int) -> ChannelSamples:
    mask = np.zeros((1, count), np.float32)
    for span in timeline.during(spans, Span(first / rate, (first + count) / rate)):
        begin, end = round(span.start * rate) - first, round(span.end * rate) - first
        mask[:, max(begin, 0) : max(end, 0)] = 1.0
    return mask
