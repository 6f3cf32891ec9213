"""How does everybody's own sound get in? From the channels of one file, or from one file each; and would that be wise?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import av
import numpy as np

from meetsplit.pipeline.audio.containers import opened
from meetsplit.pipeline.audio.content import Content
from meetsplit.pipeline.audio.decoding import floats
from meetsplit.pipeline.audio.memmap import release_pages
from meetsplit.pipeline.audio.reading import probe, read
from meetsplit.pipeline.channels.activity import clock
from meetsplit.pipeline.channels.loudness import levels
from meetsplit.pipeline.channels.recording import MultiFileRecording
from meetsplit.pipeline.data import Audio, Sound
from meetsplit.pipeline.errors import AudioError, blame
from meetsplit.pipeline.events import Event, EventListener, Notice

OWN = 6.0
"""dB by which one channel must be louder than all others for a moment to be somebody's own."""

SAME = 0.02
"""Share of the energy by which two channels may differ and still be the same sound twice."""

LOOKS, LOOK = 6, 8.0
"""How many places of a file are listened to for a suggestion, and for how many seconds each."""

_MOSTLY, _SOMEBODY, _LEAST = 0.8, 0.08, 3.0
_BLOCK = 1 << 22


def everybody(
    source: Path | MultiFileRecording,
    rate: int,
    folder: Path,
    on_event: EventListener,
    contents: Mapping[Path, Content] | None = None,
) -> Sound:
    """One person's sound each, at ``rate`` Hz on one clock.

    Of a file these are its channels; of files together each is a person's, and its channels are mixed down. Raises
    `AudioError` for a file that cannot be read, has one channel only, or has the same sound in all of them, and for one that
    does not hold its content of ``contents`` any more.
    """
    once, held = _once(on_event), contents or {}
    if isinstance(source, MultiFileRecording):
        sound = [
            (read(one.path, rate, folder=folder, content=held.get(one.path), on_event=once), one.offset)
            for one in source.microphones
        ]
        channels = tuple(Audio(audio.samples, rate, round(offset * rate) / rate) for audio, offset in sound)
    else:
        count = probe(source, held.get(source)).channels
        if count < 2:
            raise AudioError(
                f"{source} has one channel: it cannot hold a channel per person; drop --channels split to find the people in it"
            )
        channels = tuple(
            read(source, rate, channel=number, folder=folder, content=held.get(source), on_event=once)
            for number in range(count)
        )
        _check_different(source, channels)
    with blame("decode", f"comparing the channels of {source}"):
        owners = levels(channels, clock(channels).span).owners(OWN)
        if len(owners) and float(np.mean(owners >= 0)) < 0.5:
            on_event(
                Notice(
                    f"{source}: most speech is in several channels at once; without --channels split, voices are told apart",
                    "decode",
                )
            )
    return channels


def suggestion(path: Path) -> str | None:
    """A sentence for a file that would better be split into its channels; None for all others.

    Listens to a few places: in most of what is said there, one channel must be much louder than the others, and not
    always the same one.
    """
    try:
        info = probe(path)
        if info.channels < 2 or not info.duration:
            return None
        starts = np.linspace(0.02, 0.9, LOOKS) * max(info.duration - LOOK, 0.0)
        looks = [
            look for start in dict.fromkeys(starts.tolist()) if (look := _look(path, info.start + start)) is not None
        ]
    except (AudioError, av.error.FFmpegError, OSError, ValueError):
        return None  # whatever is wrong with the file is said when it is read
    if not looks:
        return None
    joined = [Audio(np.concatenate([look[number] for look in looks]), info.rate) for number in range(info.channels)]
    found = levels(joined, joined[0].span)
    owners = found.owners(OWN + 4)
    shares = [float(np.mean(owners == number)) if len(owners) else 0.0 for number in range(info.channels)]
    own = sum(share >= _SOMEBODY for share in shares)
    if own < 2 or sum(shares) < _MOSTLY or len(owners) * 0.02 < _LEAST:
        return None
    return f"{path}: its {info.channels} channels hold different people: --channels split makes each a stream of its own, without guessing"


def _look(path: Path, start: float) -> list[np.ndarray] | None:
    """A few seconds of every channel at the file's own rate; None where there is nothing to decode."""
    with opened(path) as (container, stream):
        container.seek(round(start / stream.time_base), stream=stream)
        frames: list[np.ndarray] = []
        rate, held = 0, 0
        for frame in container.decode(stream):
            rate = rate or frame.sample_rate
            frames.append(np.nan_to_num(floats(frame), posinf=0.0, neginf=0.0))
            held += frame.samples
            if held >= LOOK * rate:
                break
    if not frames or len({len(frame) for frame in frames}) > 1:
        return None
    return list(np.concatenate(frames, axis=1)[:, : round(LOOK * rate)])


def _check_different(path: Path, channels: Sequence[Audio]) -> None:
    first = channels[0]
    differ = 0.0
    energy = 0.0
    for other in channels[1:]:
        for at in range(0, len(first.samples), _BLOCK):
            one, two = first.samples[at : at + _BLOCK], other.samples[at : at + _BLOCK]
            differ += float(np.square(one - two, dtype=np.float64).sum())
            energy += float(np.square(one, dtype=np.float64).sum())
            release_pages(first)
            release_pages(other)
    if energy > 0 and differ <= SAME * energy:
        raise AudioError(
            f"{path}: its {len(channels)} channels hold the same sound: drop --channels split to find the people in it"
        )


def _once(on_event: EventListener) -> Callable[[Event], None]:
    """A listener that passes each notice on once: a file is read as often as it has channels."""
    said: set[str] = set()

    def hear(event: Event) -> None:
        if isinstance(event, Notice):
            if event.text in said:
                return
            said.add(event.text)
        on_event(event)

    return hear
