"""Who speaks when, where everybody has a channel? Speech in a channel is its person's, unless it leaks in from another.

channel 1   ▁▁▇▇▇▇▁▁▁▁▁▁▂▂▂▂▁▁▁      a turn, then what channel 2 leaves here
channel 2   ▁▁▂▂▂▂▁▁▁▁▁▁▇▇▇▇▁▁▁      what channel 1 leaves here, then a turn
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.audio.crossfade import quietest
from meetsplit.pipeline.audio.memmap import release_pages
from meetsplit.pipeline.channels.crosstalk import cancel_crosstalk
from meetsplit.pipeline.channels.loudness import HOP, WELL_ABOVE, Decibels, Levels, levels, trailing
from meetsplit.pipeline.data import Audio, Diarization, Sound, Span, Speaker, StageRecord, Stream, Turn, timeline
from meetsplit.pipeline.data import labels as labelling
from meetsplit.pipeline.overlap.regions import Clip, RegionOptions, plan

ON, OFF = WELL_ABOVE, 7.0
"""dB above the channel's noise at which speech begins, and below which it has ended."""

RANGE = 35.0
"""dB below the loudest speech of a channel under which nothing in it is speech: steps, pages, the neighbour's radio."""

ABOVE_BLEED = 6.0
"""dB above what another channel usually leaves here from which on the sound is this channel's own."""

BRIDGE, SHORTEST, EDGE = 0.3, 0.12, 0.06
"""Seconds: silences that are filled, bursts that are no speech, and what a turn is widened by for its soft ends."""

_EVIDENCE = 25
"""Frames of another channel's speech from which on its bleed is measured."""

_UNKNOWN, _MOST = -12.0, -6.0
"""dB below its source that bleed is taken to be where it cannot be measured, and that it is at most."""


def turns_of(found: Levels, start: float) -> tuple[Turn, ...]:
    """The turns of all channels, sorted; the speaker is the channel's number, "0" the first.

    A frame begins a turn `ON` above the channel's noise, and ends it below `OFF`; both are measured, in every moment,
    from whatever is greatest: the noise, the least level that counts at all, and the bleed of the other channels.
    """
    turns: list[Turn] = []
    for number in range(len(found.own)):
        base = np.maximum(found.floor[number] + ON, _loud(found, number) - RANGE)
        bleed = _bleed(found, number)
        on = np.maximum(base, bleed)
        off = np.maximum(base - (ON - OFF), bleed - ABOVE_BLEED / 4)
        speaking = _hysteresis(found.own[number] > on, found.own[number] > off)
        turns += [Turn(span, str(number)) for span in _spans(speaking, start)]
    return tuple(sorted(turns))


def diarized(sound: Sound, people: Sequence[str] = ()) -> Diarization:
    """Who speaks when on these channels, and which channel is whose; ``people`` are the channels' names, where they have any."""
    within = clock(sound).span
    found = [
        Turn(span, turn.speaker)
        for turn in turns_of(levels(sound, within), within.start)
        if (span := timeline.intersection(turn.span, sound[int(turn.speaker)].span)) is not None
    ]
    order = dict.fromkeys(int(turn.speaker) for turn in sorted(found))
    labels = labelling.assigned([people[number] for number in order] if people else [""] * len(order))
    whose = tuple(zip(labels, order, strict=True))
    names = labelling.people({label: people[number] for label, number in whose}) if people else ()
    owners = {str(number): label for label, number in whose}
    turns = tuple(sorted(Turn(turn.span, owners[turn.speaker]) for turn in found))
    return Diarization(within.end, turns, names, whose)


def described(found: Diarization) -> str:
    """Which channel is whose, in words.

    >>> described(Diarization(1.0, (), (), (("SPEAKER_00", 1), ("SPEAKER_01", 0))))
    'SPEAKER_00 on channel 2, SPEAKER_01 on channel 1; 0 turns'
    """
    whose = ", ".join(f"{label} on channel {number + 1}" for label, number in found.channels)
    return f"{whose or 'nobody speaks'}; {len(found.turns)} turns"


def of_channels(record: StageRecord, found: Diarization) -> StageRecord:
    """The record of how turns were found, with which channel is whose where that is how."""
    if record.stage != "diarizer" or not found.channels:
        return record
    return dataclasses.replace(record, why=f"one channel per person: {described(found).partition(';')[0]}")


def clock(sound: Sound) -> Audio:
    """The recording's clock as sound: of several channels, silence as long as all of them, which takes no memory."""
    if len(sound) == 1:
        return sound[0]
    rate = sound[0].rate
    last = max(round(audio.start * rate) + len(audio.samples) for audio in sound)
    return Audio(np.broadcast_to(np.zeros(1, np.float32), (last,)), rate)


def streams(sound: Sound, found: Diarization, folder: Path) -> Iterator[Stream]:
    """Every speaker's stream in stretches sorted by start, then speaker: the speaker's own channel, without bleed.

    Where nobody else has a turn, or had one a moment ago, every sample is the channel's own. Long sound is put down in
    ``folder``.
    """
    spans = timeline.by_speaker(found.turns)
    owners = {number: label for label, number in found.channels}
    cleaned = cancel_crosstalk(sound, [spans.get(owners.get(number, ""), ()) for number in range(len(sound))], folder)
    channels = {label: cleaned[number] for label, number in found.channels}
    clips = itertools.chain.from_iterable(_clips(speaker, channel, found) for speaker, channel in channels.items())
    for clip in sorted(clips, key=lambda clip: (clip.span.start, clip.speaker)):
        audio = channels[clip.speaker].crop(clip.span)
        if len(audio.samples):
            yield Stream(clip.speaker, audio, clip.turns)
        release_pages(channels[clip.speaker])


def _clips(speaker: Speaker, channel: Audio, found: Diarization) -> Iterator[Clip]:
    planned = plan(
        found.turns, found.span, options=RegionOptions("off"), cut_point=lambda span: quietest(channel, span)
    )
    yield from (clip for clip in planned.clips if clip.speaker == speaker)


def _loud(found: Levels, number: int) -> float:
    """The level of loud speech in a channel, in its own dBFS."""
    row = found.own[number]
    sounding = row[found.sounding[number]]
    return float(np.percentile(sounding, 95)) if len(sounding) else np.inf


def _bleed(found: Levels, number: int) -> Decibels:
    """The level, in this channel's own dBFS, up to which its sound may be another channel's."""
    fair = found.fair
    peaks = np.stack([trailing(row) for row in fair])
    limit = np.full(fair.shape[1], -np.inf, np.float32)
    for other in range(len(fair)):
        if other == number or not found.owned[other]:
            continue
        # Peaks are compared with peaks: the bleed of a frame comes later, how much later is not known.
        speaks = found.sounding[other] & (peaks[other] > peaks[number])
        drop = float(np.median(peaks[number][speaks] - peaks[other][speaks])) if speaks.sum() >= _EVIDENCE else _UNKNOWN
        limit = np.maximum(limit, peaks[other] + np.float32(min(drop, _MOST) + ABOVE_BLEED))
    return np.asarray(limit - found.raised[number], np.float32)


def _hysteresis(begins: npt.NDArray[np.bool_], goes_on: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """True from a frame that begins until the first that does not go on."""
    frames = np.arange(len(begins))
    last_begin = np.maximum.accumulate(np.where(begins, frames, -1))
    last_stop = np.maximum.accumulate(np.where(goes_on, -1, frames))
    return np.asarray(last_begin > last_stop)


def _spans(speaking: npt.NDArray[np.bool_], start: float) -> tuple[Span, ...]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], speaking.astype(np.int8), [0]])))
    raw = [
        Span(start + HOP * int(first), start + HOP * (int(last) + 1))
        for first, last in zip(edges[::2], edges[1::2], strict=True)
    ]
    bridged = timeline.support(raw, BRIDGE)
    return timeline.widened((span for span in bridged if span.duration >= SHORTEST), EDGE)
