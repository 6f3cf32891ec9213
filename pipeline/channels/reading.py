"""Reading a channel per speaker: the channels of one file, or one file per speaker; and when to suggest that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import av
import numpy as np

from meetsplit.pipeline.audio.containers import open_container
from meetsplit.pipeline.audio.content import Content
from meetsplit.pipeline.audio.decoding import float_samples
from meetsplit.pipeline.audio.memmap import release_pages
from meetsplit.pipeline.audio.reading import probe, read
from meetsplit.pipeline.channels.activity import timebase
from meetsplit.pipeline.channels.loudness import HOP, channel_levels
from meetsplit.pipeline.channels.recording import MultiFileRecording, SpeakerFile
from meetsplit.pipeline.data import Audio, Channels, Samples
from meetsplit.pipeline.errors import AudioError, blame
from meetsplit.pipeline.events import Event, EventListener, Notice

DOMINANT_MARGIN = 6.0
"""dB by which one channel must be louder than all others for a frame to be its speaker's alone."""

SAME_SOUND = 0.02
"""Share of the energy by which two channels may differ and still be the same sound twice."""

EXCERPTS, EXCERPT_SECONDS = 6, 8.0
"""How many excerpts of a file are decoded before splitting it is suggested, and the length of each in seconds."""

_SUGGESTION_MARGIN = DOMINANT_MARGIN + 4.0
"""dB by which one channel must be louder than all others in a frame for a suggestion."""

_MIN_DOMINATED_SHARE = 0.8
"""Share of the active frames that must belong to one channel each for a suggestion."""

_MIN_SPEAKER_SHARE = 0.08
"""Share of the active frames from which on a channel has a speaker; a suggestion needs two such channels."""

_MIN_ACTIVE_SECONDS = 3.0
"""Seconds of active frames that a suggestion needs."""

_COMPARED_SAMPLES = 1 << 22
"""Samples that are compared at once."""


def read_channels(
    source: Path | MultiFileRecording,
    rate: int,
    folder: Path,
    on_event: EventListener,
    contents: Mapping[Path, Content] | None = None,
) -> Channels:
    """One speaker's audio each, at ``rate`` Hz on one clock; long audio is memory-mapped in ``folder``.

    Of a file these are its channels. Of a recording of several files, each file is a speaker's, and its channels are
    mixed down. Raises `AudioError` for a file that cannot be read, has one channel only, or has the same sound in all
    of them, and for one that does not hold its content of ``contents`` any more.
    """
    notify_once, checksums = _without_repeated_notices(on_event), contents or {}
    if isinstance(source, MultiFileRecording):
        channels = tuple(
            _read_speaker_file(file, rate, folder, checksums.get(file.path), notify_once) for file in source.microphones
        )
    else:
        content = checksums.get(source)
        count = probe(source, content).channels
        require_channels(source, count)
        channels = tuple(
            read(source, rate, channel=number, folder=folder, content=content, on_event=notify_once)
            for number in range(count)
        )
        _check_different(source, channels)
    with blame("decode", f"comparing the channels of {source}"):
        dominant = channel_levels(channels, timebase(channels).span).dominant_channel(DOMINANT_MARGIN)
        if len(dominant) and float(np.mean(dominant >= 0)) < 0.5:
            shared = "most speech is in several channels at once; without --channels split, voices are told apart"
            on_event(Notice(f"{source}: {shared}", "decode"))
    return channels


def require_channels(path: Path, count: int) -> None:
    """Raise `AudioError` for a file whose number of channels is one."""
    if count < 2:
        raise AudioError(
            f"{path} has one channel: it cannot hold a channel per person; "
            "drop --channels split to find the people in it"
        )


def suggest_split(path: Path) -> str | None:
    """A sentence for a file that would better be split into its channels; None for all others.

    Decodes a few excerpts: in most of their active frames one channel must be much louder than the others, and not
    always the same one.
    """
    try:
        info = probe(path)
        if info.channels < 2 or not info.duration:
            return None
        starts = dict.fromkeys((np.linspace(0.02, 0.9, EXCERPTS) * max(info.duration - EXCERPT_SECONDS, 0.0)).tolist())
        excerpts = [_excerpt(path, info.start + start) for start in starts]
    except (AudioError, av.error.FFmpegError, OSError, ValueError):
        return None  # whatever is wrong with the file is said when it is read
    decoded = [excerpt for excerpt in excerpts if excerpt is not None]
    if not decoded:
        return None
    channels = [
        Audio(np.concatenate([excerpt[number] for excerpt in decoded]), info.rate) for number in range(info.channels)
    ]
    dominant = channel_levels(channels, channels[0].span).dominant_channel(_SUGGESTION_MARGIN)
    if not len(dominant) or len(dominant) * HOP < _MIN_ACTIVE_SECONDS:
        return None
    shares = [float(np.mean(dominant == number)) for number in range(info.channels)]
    if sum(share >= _MIN_SPEAKER_SHARE for share in shares) < 2 or sum(shares) < _MIN_DOMINATED_SHARE:
        return None
    return (
        f"{path}: its {info.channels} channels hold different people: "
        "--channels split makes each a stream of its own, without guessing"
    )


def sample_time(offset: float, rate: int) -> float:
    """The time of the sample at ``rate`` nearest to ``offset`` seconds: where a file that begins then is put."""
    return round(offset * rate) / rate


def _read_speaker_file(
    file: SpeakerFile, rate: int, folder: Path, content: Content | None, on_event: EventListener
) -> Audio:
    """The file mixed down to mono, at its place on the meeting's clock."""
    audio = read(file.path, rate, folder=folder, content=content, on_event=on_event)
    return Audio(audio.samples, rate, sample_time(file.offset, rate))


def _excerpt(path: Path, start: float) -> list[Samples] | None:
    """`EXCERPT_SECONDS` of every channel at the file's own rate; None where there is nothing to decode."""
    with open_container(path) as (container, stream):
        container.seek(round(start / stream.time_base), stream=stream)
        frames: list[Samples] = []
        rate = decoded = 0
        for frame in container.decode(stream):
            rate = rate or frame.sample_rate
            frames.append(np.nan_to_num(float_samples(frame), posinf=0.0, neginf=0.0))
            decoded += frame.samples
            if decoded >= EXCERPT_SECONDS * rate:
                break
    if not frames or len({len(frame) for frame in frames}) > 1:
        return None
    return list(np.concatenate(frames, axis=1)[:, : round(EXCERPT_SECONDS * rate)])


def _check_different(path: Path, channels: Sequence[Audio]) -> None:
    """Raise `AudioError` where all channels hold the `SAME_SOUND`."""
    first = channels[0]
    difference = energy = 0.0
    for other in channels[1:]:
        for at in range(0, len(first.samples), _COMPARED_SAMPLES):
            one, two = first.samples[at : at + _COMPARED_SAMPLES], other.samples[at : at + _COMPARED_SAMPLES]
            difference += float(np.square(one - two, dtype=np.float64).sum())
            energy += float(np.square(one, dtype=np.float64).sum())
            release_pages(first)
            release_pages(other)
    if energy > 0 and difference <= SAME_SOUND * energy:
        raise AudioError(
            f"{path}: its {len(channels)} channels hold the same sound: drop --channels split to find the people in it"
        )


def _without_repeated_notices(on_event: EventListener) -> Callable[[Event], None]:
    """A listener that passes each notice on once: a file is read as often as it has channels."""
    texts: set[str] = set()

    def listen(event: Event) -> None:
        if isinstance(event, Notice):
            if event.text in texts:
                return
            texts.add(event.text)
        on_event(event)

    return listen
