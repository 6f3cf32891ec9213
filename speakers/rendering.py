"""Rendering of tracks at the recording's own rate and with its own channels, second by second, as it is decoded.

A stream is separated, transcribed and cached at 16 kHz, mono: the cached track. The track that people get is made of
the recording itself and of what the cached track has beyond it:

    track = gain · recording + upsampled(cached track - gain · recording at 16 kHz)

The difference is taken only where something was laid over the recording (`TrackGains.layered`): a separated voice, or
crosstalk taken out of a channel. Everywhere else the track is the recording, sample by sample. At 16 kHz in mono, the
sum is the cached track itself, so whatever was decided about a voice (verified, muted, silenced) holds at every rate.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from meetsplit.pipeline.audio.content import Content
from meetsplit.pipeline.audio.decoding import mixed_down
from meetsplit.pipeline.audio.native import NativeAudio, copies, in_blocks, open_native, resample_channels
from meetsplit.pipeline.audio.resampling import resample, resample_blocks
from meetsplit.pipeline.audio.wav import HEADER
from meetsplit.pipeline.data import Audio, ChannelSamples, Samples, Span, Speaker, StreamInfo, timeline
from meetsplit.pipeline.data.audio import padded_slice
from meetsplit.pipeline.errors import OutputError
from meetsplit.pipeline.overlap.streams import GUARD
from meetsplit.pipeline.settings import TrackChannels, TrackSound
from meetsplit.speakers.track_files import Pcm, TrackFile, format_rate, require_channels, track_file
from meetsplit.speakers.track_gains import TrackGains, track_gains
from meetsplit.speakers.track_gate import TrackGate

Progress: TypeAlias = Callable[[float], None]
"""Called with the share of the work that is done, from 0 to 1."""

CACHED_RATE = 16000
"""Sample rate in Hz of cached tracks."""

_ROUNDING = 0.6 / 32768
"""What a cached track may differ from the recording by, where it was rounded to 16 bits and nothing else."""

_PLACE_SECONDS = 60.0
"""Seconds of a speaker's speech, alone, that tell the speaker's place between the channels."""

_LOUDEST = 32767 / 32768
"""The largest value of 16-bit samples."""


@dataclass(frozen=True, slots=True)
class TrackOptions:
    """How tracks are written: their format, noise gate ("off", "soft" or "hard"), sample rate, channels and sound.

    ``rate`` is in Hz, None for the recording's own; ``channels`` are the recording's, or their mean; ``sound`` is the
    recording's or, where it was cleaned, that of the cached tracks.
    """

    track_format: str = "wav"
    gate: str = "off"
    rate: int | None = None
    channels: TrackChannels = "source"
    sound: TrackSound = "original"


@dataclass(frozen=True, slots=True)
class TrackSource:
    """A file of the recording, and the ``speakers`` whose tracks are made of it.

    ``channel`` is the number of theirs, None for all. ``start`` is the recording time of the file's beginning, a whole
    number of samples at `CACHED_RATE`. ``crosstalk`` are the stretches in which other speakers may have been taken out.
    ``is_cleaned`` says that cached tracks are of the file without its music or noise: the recording itself is heard
    where one person speaks alone, and what is laid over it is cleaned.
    """

    path: Path
    content: Content | None
    speakers: tuple[Speaker, ...]
    channel: int | None = None
    start: float = 0.0
    crosstalk: tuple[Span, ...] = ()
    is_cleaned: bool = False


@dataclass(frozen=True, slots=True)
class CachedTrack:
    """A speaker's track in the stage cache: 16 kHz, mono, 16 bits, ``length`` samples, as long as the recording."""

    path: Path
    length: int

    @classmethod
    def open(cls, path: Path) -> CachedTrack:
        """The track in that file."""
        return cls(path, (path.stat().st_size - HEADER) // 2)

    def window(self, first: int, last: int) -> Samples:
        """The samples ``first`` to ``last``, with silence outside the track. Raises `OutputError`."""
        begin, end = min(max(first, 0), self.length), min(max(last, 0), self.length)
        try:
            pcm = np.fromfile(self.path, np.dtype("<i2"), count=end - begin, offset=HEADER + 2 * begin)
        except OSError as error:
            raise OutputError(f"{self.path}: a cached track cannot be read: {error.strerror or error}") from error
        samples = pcm.astype(np.float32) / np.float32(32768)
        return padded_slice(samples, first - begin, last - begin)


@dataclass(frozen=True, slots=True, eq=False)
class _Track:
    """What one speaker's track is made of."""

    cached: CachedTrack
    gains: TrackGains
    gate: TrackGate | None
    target: Path


@dataclass(frozen=True, slots=True)
class _Layout:
    """Sample rate and number of channels of finished tracks."""

    rate: int
    channels: int

    @property
    def is_cached(self) -> bool:
        """Whether cached tracks have it already."""
        return (self.rate, self.channels) == (CACHED_RATE, 1)


def render_tracks(
    cached: Mapping[Speaker, Path],
    clips: Sequence[StreamInfo],
    sources: Sequence[TrackSource],
    targets: Mapping[Speaker, Path],
    options: TrackOptions = TrackOptions(),
    on_progress: Progress = lambda share: None,
) -> None:
    """Write the tracks of the speakers that have a target: the recording where the speaker speaks alone, the separated
    voice in overlaps, silence elsewhere; as long as the recording, and in step with it.

    ``cached`` and ``clips`` are the result of separation: every speaker's cached track, and the clips of all. Each
    source is decoded once, or twice where voices are to be placed between its channels; memory does not grow with its
    length. Raises `AudioError` for a recording that cannot be read or has changed, and `OutputError`.
    """
    by_speaker: dict[Speaker, list[StreamInfo]] = {}
    for clip in clips:
        by_speaker.setdefault(clip.speaker, []).append(clip)
    turns = {speaker: [turn for clip in own for turn in clip.turns] for speaker, own in by_speaker.items()}
    for number, source in enumerate(sources):
        tracks: dict[Speaker, _Track] = {}
        for speaker in source.speakers:
            if speaker not in cached or speaker not in targets:
                continue
            track = CachedTrack.open(cached[speaker])
            gains = track_gains(by_speaker[speaker], CACHED_RATE, track.length, source.crosstalk)
            own = timeline.support(turns[speaker])
            gate = None if options.gate == "off" else TrackGate(track.path, own, options.gate)
            tracks[speaker] = _Track(track, gains, gate, targets[speaker])
        if not tracks:
            continue
        layout = _layout(source, options)
        share = _Share(on_progress, number, len(sources))
        if layout.is_cached and not source.is_cleaned:
            _copy(tracks, share)
        else:
            _Rendering(source, tracks, layout, share).write(turns)


def render_cached_tracks(
    cached: Mapping[Speaker, Path],
    clips: Sequence[StreamInfo],
    targets: Mapping[Speaker, Path],
    options: TrackOptions = TrackOptions(),
    on_progress: Progress = lambda share: None,
) -> None:
    """Write the cached tracks of the speakers that have a target, in mono: at their own rate unless ``options`` have
    another. Raises `OutputError`.
    """
    rate = format_rate(options.track_format, options.rate or CACHED_RATE)
    tracks: dict[Speaker, _Track] = {}
    for speaker, target in targets.items():
        samples = CachedTrack.open(cached[speaker])
        own = [clip for clip in clips if clip.speaker == speaker]
        turns = timeline.support(turn for clip in own for turn in clip.turns)
        gate = None if options.gate == "off" else TrackGate(samples.path, turns, options.gate)
        tracks[speaker] = _Track(samples, track_gains(own, CACHED_RATE, samples.length), gate, target)
    share = _Share(on_progress, 0, 1)
    if rate == CACHED_RATE:
        _copy(tracks, share)
        return
    for number, track in enumerate(tracks.values()):
        seconds = range(0, track.cached.length, CACHED_RATE)
        blocks = resample_blocks((track.cached.window(at, at + CACHED_RATE) for at in seconds), CACHED_RATE, rate)
        expected = round(track.cached.length * rate / CACHED_RATE)
        with track_file(track.target, rate, 1, expected) as file:
            for block in blocks:
                count = min(len(block), expected - file.position)
                part = block[:count]
                if track.gate is not None:
                    part = part * track.gate.gains(file.position, file.position + count, rate)
                file.write(pcm(part[None]))
                share((number + min(file.position / max(expected, 1), 1.0)) / len(tracks))


def write_sound(target: Path, blocks: Iterable[Samples], rate: int, length: int) -> None:
    """Write a mono sound of ``length`` samples as a WAV file, block by block. Raises `OutputError`."""
    with track_file(target, rate, 1, length) as file:
        for block in blocks:
            file.write(pcm(block[None]))


def _layout(source: TrackSource, options: TrackOptions) -> _Layout:
    """The layout of the tracks made of a source. Raises `OutputError` where their format has too few channels."""
    with open_native(source.path, channel=source.channel, content=source.content) as native:
        channels = native.channels if options.channels == "source" else 1
        require_channels(options.track_format, channels, source.path)
        return _Layout(format_rate(options.track_format, options.rate or native.rate), channels)


class _Share:
    """Progress of one of several equal parts of the work."""

    def __init__(self, on_progress: Progress, number: int, count: int) -> None:
        self._on_progress, self._number, self._count = on_progress, number, count

    def __call__(self, share: float) -> None:
        self._on_progress((self._number + min(share, 1.0)) / self._count)

    def part(self, number: int, count: int) -> _Share:
        """One of several equal parts of this part."""
        return _Share(self, number, count)


def _copy(tracks: Mapping[Speaker, _Track], share: Progress) -> None:
    """Write cached tracks as they are, but for the gate and the format."""
    for number, track in enumerate(tracks.values()):
        length = track.cached.length
        with track_file(track.target, CACHED_RATE, 1, length) as file:
            for first in range(0, length, CACHED_RATE):
                last = min(first + CACHED_RATE, length)
                samples = track.cached.window(first, last)
                if track.gate is not None and samples.any():
                    samples = samples * track.gate.gains(first, last, CACHED_RATE)
                file.write(pcm(samples[None]))
                share((number + last / length) / len(tracks))


class _Rendering:
    """The tracks of one source, at a layout that their cached tracks do not have."""

    def __init__(
        self, source: TrackSource, tracks: Mapping[Speaker, _Track], layout: _Layout, on_progress: _Share
    ) -> None:
        self._source, self._tracks, self._layout, self._on_progress = source, tracks, layout, on_progress
        self._length = max((track.cached.length for track in tracks.values()), default=0)
        self._has_layers = any(track.gains.layered for track in tracks.values())
        self._has_voices = any(track.gains.replaced for track in tracks.values())

    def write(self, turns: Mapping[Speaker, Sequence[Span]]) -> None:
        """Write the tracks; ``turns`` are all speakers', by which voices find their place between the channels."""
        source, rate, channels = self._source, self._layout.rate, self._layout.channels
        place = channels > 1 and self._has_voices
        places = self._places(turns, self._on_progress.part(0, 2)) if place else {}
        on_progress = self._on_progress.part(1, 2) if place else self._on_progress
        offset, expected = round(source.start * rate), round(self._length * rate / CACHED_RATE)
        with ExitStack() as stack, self._open() as native:
            files = {
                speaker: stack.enter_context(track_file(track.target, rate, channels, expected))
                for speaker, track in self._tracks.items()
            }
            for file in files.values():
                file.silence(offset)
            for second, (recording, at_cached_rate) in enumerate(self._seconds(native)):
                for speaker, track in self._tracks.items():
                    layer = self._layer(track, second, at_cached_rate, recording.shape[1])
                    if layer is not None and speaker in places:
                        layer = layer * places[speaker]
                    self._write_second(track, files[speaker], recording, layer)
                on_progress((offset + (second + 1) * rate) / max(expected, 1))
            for file in files.values():
                if expected - file.position > rate / CACHED_RATE + 1:  # another file of the recording ends later
                    file.silence(expected - file.position)

    def _open(self) -> AbstractContextManager[NativeAudio]:
        return open_native(self._source.path, channel=self._source.channel, content=self._source.content)

    def _seconds(self, native: NativeAudio) -> Iterator[tuple[ChannelSamples, Samples | None]]:
        """Each second of the recording at the layout of the tracks.

        With it the same second and those beside it as the cached tracks have them, where anything is laid over it.
        """
        blocks, again = copies(native.seconds(), 2) if self._has_layers else (native.seconds(), iter(()))
        if self._layout.channels < native.channels:
            blocks = (mixed_down(block)[None] for block in blocks)
        resampled = resample_channels(blocks, self._layout.channels, native.rate, self._layout.rate)
        mixed = resample_blocks((mixed_down(block) for block in again), native.rate, CACHED_RATE)
        neighbours = _neighbours(in_blocks((block[None] for block in mixed), CACHED_RATE))
        for second in in_blocks(resampled, self._layout.rate):
            yield second, next(neighbours) if self._has_layers else None

    def _layer(self, track: _Track, second: int, at_cached_rate: Samples | None, count: int) -> Samples | None:
        """What is laid over the recording in the first ``count`` samples of that second; None for nothing."""
        rate = self._layout.rate
        first = round(self._source.start * rate) + second * rate
        mask = track.gains.layer(first, first + count, rate)
        if mask is None or at_cached_rate is None:
            return None
        first = round(self._source.start * CACHED_RATE) + (second - 1) * CACHED_RATE
        last = first + 3 * CACHED_RATE
        inside, gain = track.gains.layer(first, last, CACHED_RATE), track.gains.recording(first, last, CACHED_RATE)
        difference = track.cached.window(first, last)
        if gain is not None:
            difference -= np.clip(gain * at_cached_rate, -1.0, _LOUDEST)
        difference[np.abs(difference) <= _ROUNDING] = 0.0
        if inside is None or not (difference * inside).any():
            return None
        upsampled = resample(Audio(difference * inside, CACHED_RATE), rate).samples
        return upsampled[rate : rate + count] * mask

    def _write_second(
        self, track: _Track, file: TrackFile, recording: ChannelSamples, layer: ChannelSamples | None
    ) -> None:
        first, count = file.position, recording.shape[1]
        gain = track.gains.recording(first, first + count, self._layout.rate)
        if gain is None and layer is None:
            file.silence(count)
            return
        samples = np.zeros_like(recording) if gain is None else recording * gain
        if layer is not None:
            samples = samples + layer
        if track.gate is not None:
            samples = samples * track.gate.gains(first, first + count, self._layout.rate)
        file.write(pcm(samples))

    def _places(self, turns: Mapping[Speaker, Sequence[Span]], on_progress: Progress) -> dict[Speaker, ChannelSamples]:
        """Each speaker's level in each channel relative to their mean, of shape ``(channels, 1)``.

        Least squares over the first `_PLACE_SECONDS` in which that speaker speaks alone: in an overlap, each channel
        would say something of the others' places as well, and a voice would move from one overlap to the next.
        """
        channels = self._layout.channels
        alone = {speaker: _alone(turns, speaker) for speaker, track in self._tracks.items() if track.gains.replaced}
        products = {speaker: np.zeros((channels, 1)) for speaker in alone}
        last = max((spans[-1].end for spans in alone.values() if spans), default=0.0)
        with self._open() as native:
            for second, block in enumerate(native.seconds()):
                if second >= last:
                    break
                here = Span(float(second), second + block.shape[1] / native.rate)
                for speaker, spans in alone.items():
                    for span in timeline.crop(timeline.during(spans, here), here):
                        begin, end = (round((time - second) * native.rate) for time in (span.start, span.end))
                        part = block[:, begin:end].astype(np.float64)
                        products[speaker] += part @ part.mean(axis=0)[:, None]
                on_progress((second + 1) * CACHED_RATE / max(self._length, 1))
        return {
            speaker: (product / product.mean()).astype(np.float32)
            for speaker, product in products.items()
            if product.mean() > 0
        }


def _alone(turns: Mapping[Speaker, Sequence[Span]], speaker: Speaker) -> tuple[Span, ...]:
    """The first `_PLACE_SECONDS` in which the speaker speaks `GUARD` seconds away from all others' turns."""
    others = [turn for other, spans in turns.items() if other != speaker for turn in spans]
    alone: list[Span] = []
    left = _PLACE_SECONDS
    for span in timeline.support(timeline.subtract(turns[speaker], timeline.widened(others, GUARD))):
        alone.append(Span(span.start, min(span.end, span.start + left)))
        left -= alone[-1].duration
        if left <= 0:
            break
    return tuple(alone)


def _neighbours(blocks: Iterable[ChannelSamples]) -> Iterator[Samples]:
    """Each block of `CACHED_RATE` samples, between the one before it and the one after it; silence where there is none,
    and without end.
    """
    silence = np.zeros(CACHED_RATE, np.float32)
    before, here = silence, silence
    for number, block in enumerate(itertools.chain(blocks, itertools.repeat(silence[None]))):
        after = np.pad(block[0], (0, CACHED_RATE - block.shape[1]))
        if number:
            yield np.concatenate([before, here, after])
        before, here = here, after


def pcm(samples: ChannelSamples) -> Pcm:
    """16-bit samples, shape ``(n, channels)``; louder than full scale is clipped."""
    pcm: Pcm = np.clip(np.rint(samples.T * np.float32(32768.0)), -32768, 32767).astype(np.int16)
    return pcm
