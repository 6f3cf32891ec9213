"""Loudness of every channel in dBFS per frame, its noise floor, and what makes channels comparable with one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.audio.memmap import release_pages
from meetsplit.pipeline.data import Audio, Span
from meetsplit.pipeline.data.audio import padded_slice

Decibels = npt.NDArray[np.float32]
"""One level per frame, shape ``(frames,)``, or per channel and frame, ``(channels, frames)``."""

Flags = npt.NDArray[np.bool_]
"""One truth value per frame, shape ``(frames,)``, or per channel and frame, ``(channels, frames)``."""

HOP = 0.02
"""Seconds between the starts of two frames; a frame is twice as long."""

BAND = (150.0, 4000.0)
"""Hz between which loudness is measured: hum lies below, hiss above, and a telephone has both edges inside."""

SILENCE = -80.0
"""dBFS; everything quieter is measured as this."""

FLOOR_WINDOW = 45.0
"""Seconds to both sides over which the noise floor is estimated: no speaker goes on as long without a pause."""

ABOVE_FLOOR = 12.0
"""dB above its noise floor from which on a channel is active."""

MAX_GAIN = 20.0
"""dB by which a quiet channel is amplified at most before it is compared with others."""

ECHO_LAG, ECHO_LEAD = 0.24, 0.04
"""Seconds that crosstalk may come later, or earlier, than its source: rooms and networks delay, clocks differ."""

_FRAMES_PER_BLOCK = 2000
"""Frames that are transformed at once."""

_FLOOR_PERCENTILE = 10.0
"""The noise floor is the level that this share of the frames (in percent) stays below."""

_LOUD_PERCENTILE = 95.0
"""The level of loud speech is the one that this share of a channel's active frames (in percent) stays below."""

_OWN_MARGIN = 6.0
"""dB by which a channel, relative to its own loud speech, must exceed every other one to hold speech of its own."""

_LOUD_RANGE = 15.0
"""dB below the loud speech of its channel down to which a frame counts as loud."""

_MIN_OWN_FRAMES = 25
"""Frames (half a second) of speech of its own from which on a channel has a speaker."""


@dataclass(frozen=True, slots=True, eq=False)
class ChannelLevels:
    """Loudness of every channel: ``level`` and ``noise_floor`` in dBFS, both of shape ``(channels, frames)``.

    ``gain_db`` is added to each channel before it is compared with another, shape ``(channels, 1)``: microphones are
    set differently. ``has_own_speech`` says which channels have a speaker, shape ``(channels,)``; the others hold
    crosstalk from those only.
    """

    level: Decibels
    noise_floor: Decibels
    gain_db: Decibels
    has_own_speech: Flags

    @property
    def normalized(self) -> Decibels:
        """Loudness as it would be with equally sensitive microphones, shape ``(channels, frames)``."""
        return np.asarray(self.level + self.gain_db, np.float32)

    @property
    def active(self) -> Flags:
        """Where a channel is `ABOVE_FLOOR`, shape ``(channels, frames)``."""
        return np.asarray(self.level > self.noise_floor + ABOVE_FLOOR)

    def dominant_channel(self, margin: float) -> npt.NDArray[np.int64]:
        """The channel that is ``margin`` dB louder than all others, or -1, for every frame in which any is active."""
        normalized = self.normalized[:, self.active.any(axis=0)]
        ordered = np.sort(normalized, axis=0)
        return np.where(ordered[-1] - ordered[-2] >= margin, normalized.argmax(axis=0), -1)


def channel_levels(channels: Sequence[Audio], within: Span) -> ChannelLevels:
    """Measure channels of one rate; frame ``n`` begins ``n * HOP`` seconds after the start of ``within``."""
    level = np.stack([loudness(channel, within) for channel in channels])
    noise_floor = np.stack([_noise_floor(row) for row in level])
    active = level > noise_floor + ABOVE_FLOOR
    own_speech = _own_speech(level, active)
    has_own_speech = np.asarray(own_speech.any(axis=1))
    speech_level = np.full(len(level), SILENCE)
    for number in np.flatnonzero(has_own_speech):
        speech_level[number] = _loud_level(level[number, own_speech[number]])
    gain = np.where(has_own_speech, np.minimum(speech_level.max() - speech_level, MAX_GAIN), 0.0)
    return ChannelLevels(level, noise_floor, gain[:, None].astype(np.float32), has_own_speech)


def _own_speech(level: Decibels, active: Flags) -> Flags:
    """Frames that hold speech of the channel's own speaker; none in channels without one, ``(channels, frames)``.

    First come channels that are, in `_MIN_OWN_FRAMES` frames, louder relative to their own loud speech than every other
    one: crosstalk rises and falls with its source, so a channel of crosstalk alone has no such frames, however much its
    microphone was turned up. Two microphones in front of one speaker have none either. Loud speech that none of the
    channels found so far explains has a speaker, too: it is given to the loudest of the remaining channels, one channel
    per round, until too little of it is left.
    """
    relative = np.stack([row - _loud_level(row[mask]) for row, mask in zip(level, active, strict=True)])
    envelope = np.stack([echo_envelope(row) for row in relative])
    loud = (relative > -_LOUD_RANGE) & active
    own_speech = loud & (relative > _loudest_other(envelope) + _OWN_MARGIN)
    has_own_speech = own_speech.sum(axis=1) >= _MIN_OWN_FRAMES
    while not has_own_speech.all():
        explained = (envelope[has_own_speech] > -_LOUD_RANGE).any(axis=0)
        unexplained = loud[~has_own_speech].any(axis=0) & ~explained
        if unexplained.sum() < _MIN_OWN_FRAMES:
            break
        energy = np.power(10, level[:, unexplained] / 10).sum(axis=1)
        best = int(np.argmax(np.where(has_own_speech, -np.inf, energy)))
        has_own_speech[best] = True
        own_speech[best] = unexplained
    return np.asarray(own_speech & has_own_speech[:, None])


def _loudest_other(envelope: Decibels) -> Decibels:
    """For every channel and frame, the loudest of all other channels."""
    return np.stack(
        [np.delete(envelope, number, axis=0).max(axis=0, initial=-np.inf) for number in range(len(envelope))]
    )


def loudness(audio: Audio, within: Span) -> Decibels:
    """dBFS of every frame in `BAND`, at least `SILENCE`; silence where ``within`` reaches beyond the audio."""
    hop = round(HOP * audio.rate)
    count = max(round(within.duration * audio.rate) // hop, 1)
    first = round(within.start * audio.rate) - round(audio.start * audio.rate)
    window = np.hanning(2 * hop).astype(np.float32)
    bins = np.fft.rfftfreq(2 * hop, 1 / audio.rate)
    band = (bins >= BAND[0]) & (bins <= BAND[1])
    scale = 2.0 / (np.square(window).sum() * 2 * hop)
    level = np.empty(count, np.float32)
    for at in range(0, count, _FRAMES_PER_BLOCK):
        frames = min(_FRAMES_PER_BLOCK, count - at)
        samples = padded_slice(audio.samples, first + at * hop, first + (at + frames + 1) * hop)
        if not samples.any():  # hours of silence are no work
            level[at : at + frames] = SILENCE
            continue
        overlapping = np.lib.stride_tricks.sliding_window_view(samples, 2 * hop)[::hop]
        power = np.square(np.abs(np.fft.rfft(overlapping * window, axis=1)[:, band])).sum(axis=1) * scale
        level[at : at + frames] = 10 * np.log10(np.maximum(power, 10 ** (SILENCE / 10)))
        release_pages(audio)
    return level


def echo_envelope(level: Decibels) -> Decibels:
    """How loud crosstalk from a channel may be at each frame: the maximum from `ECHO_LAG` before to `ECHO_LEAD` on."""
    return running_max(level, round(ECHO_LAG / HOP), round(ECHO_LEAD / HOP))


def running_max(level: Decibels, before: int, after: int) -> Decibels:
    """The maximum over the ``before`` frames before each frame, itself and the ``after`` frames after it.

    >>> running_max(np.array([0, 0, 5, 0, 0, 0], np.float32), 2, 1).tolist()
    [0.0, 5.0, 5.0, 5.0, 5.0, 0.0]
    """
    padded = np.pad(level, (before, after), mode="edge")
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, before + after + 1).max(axis=-1), np.float32)


def _noise_floor(level: Decibels) -> Decibels:
    """The noise floor at each frame: `_FLOOR_PERCENTILE` of the frames within `FLOOR_WINDOW`, interpolated linearly."""
    step = round(FLOOR_WINDOW / HOP)
    centres = np.arange(step // 2, max(len(level), step // 2 + 1), step)
    low = [np.percentile(level[max(centre - step, 0) : centre + step], _FLOOR_PERCENTILE) for centre in centres]
    return np.interp(np.arange(len(level)), centres, low).astype(np.float32)


def _loud_level(level: Decibels) -> float:
    """The level of loud speech in dBFS: `_LOUD_PERCENTILE` of the given frames; 0 without any."""
    return float(np.percentile(level, _LOUD_PERCENTILE)) if len(level) else 0.0
