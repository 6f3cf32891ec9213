"""Voice activity detection with a channel per speaker: speech in a channel is its speaker's, unless it is crosstalk.

channel 1   ▁▁▇▇▇▇▁▁▁▁▁▁▂▂▂▂▁▁▁      a turn, then crosstalk from channel 2
channel 2   ▁▁▂▂▂▂▁▁▁▁▁▁▇▇▇▇▁▁▁      crosstalk from channel 1, then a turn
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from meetsplit.pipeline.audio.crossfade import quietest_time
from meetsplit.pipeline.audio.memmap import release_pages
from meetsplit.pipeline.channels.crosstalk import cancel_crosstalk
from meetsplit.pipeline.channels.loudness import (
    ABOVE_FLOOR,
    HOP,
    ChannelLevels,
    Decibels,
    Flags,
    channel_levels,
    echo_envelope,
)
from meetsplit.pipeline.data import Audio, Channels, Diarization, Span, Speaker, StageRecord, Stream, Turn, timeline
from meetsplit.pipeline.data.labels import assign_labels, person_names
from meetsplit.pipeline.overlap.regions import Clip, RegionOptions, plan

ONSET, OFFSET = ABOVE_FLOOR, 7.0
"""dB above the channel's noise floor at which speech begins, and below which it has ended."""

DYNAMIC_RANGE = 35.0
"""dB below the loudest speech of a channel under which nothing in it is speech: steps, pages, the neighbour's radio."""

ABOVE_CROSSTALK = 6.0
"""dB above the usual crosstalk of another channel from which on a sound is the channel's own."""

MAX_PAUSE, MIN_SPEECH, PADDING = 0.3, 0.12, 0.06
"""Seconds: pauses that are filled, bursts that are no speech, and what a turn is widened by for its soft ends."""

_MIN_CROSSTALK_FRAMES = 25
"""Frames of another channel's speech from which on the attenuation of its crosstalk is measured."""

_DEFAULT_ATTENUATION, _MIN_ATTENUATION = 12.0, 6.0
"""dB below its source that crosstalk is assumed to be where that cannot be measured, and that it is at least."""


def detect_speech(levels: ChannelLevels, start: float) -> tuple[tuple[Span, ...], ...]:
    """The speech of each channel's own speaker, sorted and disjoint, one item per channel. Frame 0 begins at ``start``.

    Speech begins `ONSET` above the channel's noise floor and ends below `OFFSET`. Both count, in every frame, from the
    greatest of these: the noise floor, the least level that can be speech, and the crosstalk from other channels.
    """
    speech: list[tuple[Span, ...]] = []
    for number, level in enumerate(levels.level):
        base = np.maximum(levels.noise_floor[number] + ONSET, _loudest_speech(levels, number) - DYNAMIC_RANGE)
        crosstalk = _max_crosstalk(levels, number)
        onset = np.maximum(base, crosstalk)
        offset = np.maximum(base - (ONSET - OFFSET), crosstalk - ABOVE_CROSSTALK / 4)
        speech.append(_spans(_hysteresis(level > onset, level > offset), start))
    return tuple(speech)


def diarize_channels(channels: Channels, speaker_names: Sequence[str] = (), within: Span | None = None) -> Diarization:
    """Who speaks when, and which channel is whose; ``speaker_names`` are by channel, where there are any.

    ``within`` is the stretch of the recording that the channels are taken from, by default all of it.
    """
    whole = timebase(channels).span if within is None else within
    speech = detect_speech(channel_levels(channels, whole), whole.start)
    by_channel = {
        number: timeline.crop(spans, channel.span)
        for number, (spans, channel) in enumerate(zip(speech, channels, strict=True))
    }
    first_speech = {number: spans[0] for number, spans in by_channel.items() if spans}
    order = sorted(first_speech, key=lambda number: (first_speech[number], str(number)))
    labels = assign_labels([speaker_names[number] if speaker_names else "" for number in order])
    owners = tuple(zip(labels, order, strict=True))
    turns = tuple(sorted(Turn(span, label) for label, number in owners for span in by_channel[number]))
    names = person_names({label: speaker_names[number] for label, number in owners}) if speaker_names else ()
    return Diarization(whole.end, turns, names, owners)


def describe_channels(diarization: Diarization) -> str:
    """Which channel is whose, and the number of turns, for people.

    >>> describe_channels(Diarization(1.0, (), (), (("SPEAKER_00", 1), ("SPEAKER_01", 0))))
    'SPEAKER_00 on channel 2, SPEAKER_01 on channel 1; 0 turns'
    """
    return f"{_channel_owners(diarization) or 'nobody speaks'}; {len(diarization.turns)} turns"


def with_channel_owners(record: StageRecord, diarization: Diarization) -> StageRecord:
    """The diarizer's record with which channel is whose, where turns come from channels; any other record as it is."""
    if record.stage != "diarizer" or not diarization.channels:
        return record
    return dataclasses.replace(record, why=f"one channel per person: {_channel_owners(diarization)}")


def _channel_owners(diarization: Diarization) -> str:
    return ", ".join(f"{label} on channel {number + 1}" for label, number in diarization.channels)


def timebase(channels: Channels) -> Audio:
    """Audio that covers the whole recording: the channel itself, or silence as long as several channels together.

    The silence takes no memory.
    """
    if len(channels) == 1:
        return channels[0]
    rate = channels[0].rate
    last = max(round(audio.start * rate) + len(audio.samples) for audio in channels)
    return Audio(np.broadcast_to(np.zeros(1, np.float32), (last,)), rate)


def streams(channels: Channels, diarization: Diarization, folder: Path) -> Iterator[Stream]:
    """Every speaker's stream clip by clip, sorted by start, then speaker: the speaker's own channel without crosstalk.

    Where no other speaker has a turn, or had one a moment ago, every sample is the channel's own. Long channels are
    memory-mapped in ``folder``.
    """
    spans = timeline.by_speaker(diarization.turns)
    speakers = {number: label for label, number in diarization.channels}
    turns = [spans.get(speakers.get(number, ""), ()) for number in range(len(channels))]
    cleaned = cancel_crosstalk(channels, turns, folder)
    own_channel = {label: cleaned[number] for label, number in diarization.channels}
    clips = itertools.chain.from_iterable(
        _clips(speaker, channel, diarization) for speaker, channel in own_channel.items()
    )
    for clip in sorted(clips, key=lambda clip: (clip.span.start, clip.speaker)):
        channel = own_channel[clip.speaker]
        audio = channel.crop(clip.span)
        if len(audio.samples):
            yield Stream(clip.speaker, audio, clip.turns)
        release_pages(channel)


def _clips(speaker: Speaker, channel: Audio, diarization: Diarization) -> Iterator[Clip]:
    """The speaker's clips; long turns are cut where the speaker's own channel is quiet."""
    planned = plan(
        diarization.turns,
        diarization.span,
        options=RegionOptions("off"),
        cut_point=lambda span: quietest_time(channel, span),
    )
    yield from (clip for clip in planned.clips if clip.speaker == speaker)


def _loudest_speech(levels: ChannelLevels, number: int) -> float:
    """The level of loud speech in a channel, in its own dBFS; infinite where it is never active."""
    active = levels.level[number][levels.active[number]]
    return float(np.percentile(active, 95)) if len(active) else np.inf


def _max_crosstalk(levels: ChannelLevels, number: int) -> Decibels:
    """The level, in this channel's own dBFS, up to which its sound may be crosstalk, shape ``(frames,)``."""
    envelopes = np.stack([echo_envelope(row) for row in levels.normalized])
    limit = np.full(envelopes.shape[1], -np.inf, np.float32)
    for other in range(len(envelopes)):
        if other == number or not levels.has_own_speech[other]:
            continue
        # Envelopes are compared, not frames: how much later than its source crosstalk comes is not known.
        dominates = levels.active[other] & (envelopes[other] > envelopes[number])
        attenuation = _DEFAULT_ATTENUATION
        if dominates.sum() >= _MIN_CROSSTALK_FRAMES:
            attenuation = float(np.median(envelopes[other][dominates] - envelopes[number][dominates]))
        attenuation = max(attenuation, _MIN_ATTENUATION)
        limit = np.maximum(limit, envelopes[other] + np.float32(ABOVE_CROSSTALK - attenuation))
    return np.asarray(limit - levels.gain_db[number], np.float32)


def _hysteresis(starts: Flags, continues: Flags) -> Flags:
    """True from a frame that starts until the first that does not continue."""
    frames = np.arange(len(starts))
    last_start = np.maximum.accumulate(np.where(starts, frames, -1))
    last_stop = np.maximum.accumulate(np.where(continues, -1, frames))
    return np.asarray(last_start > last_stop)


def _spans(speaking: Flags, start: float) -> tuple[Span, ...]:
    """Runs of true frames as spans; short pauses are filled, short bursts dropped, the rest padded."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], speaking.astype(np.int8), [0]])))
    runs = [
        Span(start + HOP * int(first), start + HOP * (int(last) + 1))
        for first, last in zip(edges[::2], edges[1::2], strict=True)
    ]
    joined = timeline.support(runs, MAX_PAUSE)
    return timeline.widened((span for span in joined if span.duration >= MIN_SPEECH), PADDING)
