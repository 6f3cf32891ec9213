"""Decoding of a container's packets into samples on the recording's clock.

Time zero is where a player's clock shows zero. Audio that starts later than that, or pauses without packets, is
padded with silence, so that every time in a transcript is the time at which a player plays the word.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np

from meetsplit.pipeline.audio.containers import EXACT_LENGTH, MAX_RATE, MIN_RATE, clock_origin, describe
from meetsplit.pipeline.audio.resampling import resample
from meetsplit.pipeline.data import Audio, ChannelSamples, Samples
from meetsplit.pipeline.errors import AudioError
from meetsplit.pipeline.events import EventListener, Notice

JITTER = 0.05
"""Seconds by which a packet's timestamp may be off before it counts as a pause: coarse clocks wobble by less."""

LONGEST_PAUSE = 3600.0
"""Seconds; the longest pause that a timestamp may make where the container does not declare its length."""

LONGEST_RECORDING = 24 * 3600.0
"""Seconds up to which a recording's pauses may reach. Timestamps that jump beyond are faults."""

NOTICED_PAUSES = 600.0
"""Seconds of pauses in a recording from which on there is a notice."""

MAX_RATIO = 10_000
"""The largest number in the ratio of two sample rates within one recording: 44 100 to 48 000 Hz is 147 to 160."""

RESAMPLED_AT_ONCE = 10.0
"""Seconds that are resampled together where a recording changes its rate."""

FULL_SCALE = {"u8": 2.0**7, "s16": 2.0**15, "s32": 2.0**31}
"""The value of 1.0 in FFmpeg's integer sample formats; 24-bit audio is decoded as s32."""

_LENGTH_TOLERANCE = 1.0
"""Seconds by which audio may end before or after its declared length."""

_MAX_PADDING = 0.1
"""Seconds by which a lossy codec may fill its last packet."""

MAX_PLANES = 8
"""Planes of a frame that PyAV reads within their bounds."""

NOT_IN_NUMPY = frozenset({"s64", "s64p"})
"""FFmpeg's sample formats that PyAV makes no NumPy array of."""


class StreamDecoder:
    """One pass over an audio stream: its samples at its own rate from recording time 0 on, and what is wrong with them.

    ``declared`` is the length in seconds that the container declares, or None; ``rate`` is that of the first frame, in
    Hz. ``channel`` is a channel's number, or None for all of them.
    """

    def __init__(self, container: Any, stream: Any, channel: int | None) -> None:
        self.declared = describe(container, stream).duration
        self.rate = 0
        self._container, self._stream, self._channel = container, stream, channel
        self._exact_length = bool(EXACT_LENGTH & set(container.format.name.split(",")))
        self._origin = clock_origin(container)
        self._position = 0  # samples so far, pauses included: where the next one lies on the recording's clock
        self._clock_shift = 0  # samples by which timestamps are moved, because the stream's clock jumped
        self._decoded = 0
        self._padded = 0
        self._not_finite = 0
        self._first_not_finite = 0.0
        self._damaged_packets = 0
        self._failure: str | None = None

    def frames(self) -> Iterator[Any]:
        """Decoded frames; a damaged packet is counted and left out, a file that cannot be read on ends here."""
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, OSError) as error:
                self._failure = getattr(error, "strerror", None) or str(error)
                return
            except IndexError:  # PyAV does not know streams that a transport stream announces later
                self._failure = "another stream begins in the middle of the file"
                return
            if packet is None:
                return
            try:
                decoded = packet.decode()
            except av.error.FFmpegError:
                self._damaged_packets += 1
                continue
            yield from (frame for frame in decoded if frame.samples)

    def samples(self, frames: Iterable[Any]) -> Iterator[Samples]:
        """The frames' samples in order, the channel or the mean of all, pauses filled with silence."""
        for block in self.channels(frames, 1):
            yield block[0]

    def channels(self, frames: Iterable[Any], count: int) -> Iterator[ChannelSamples]:
        """The same in each of ``count`` channels: the channel, or all of them, of shape ``(count, n)``.

        A frame with another number of channels has the same in each, the mean of all.
        """
        for rate, of_one_rate in itertools.groupby(frames, key=lambda frame: frame.sample_rate):
            self.rate = self.rate or rate
            self._check_rate(rate)
            # Frames of the first rate need no more than themselves; others would have edges where each begins and ends.
            longest = 0.0 if rate == self.rate else RESAMPLED_AT_ONCE
            for run in _consecutive(of_one_rate, longest):
                yield from self._run_samples(run, rate, count)

    def _run_samples(self, run: Sequence[Any], rate: int, count: int) -> Iterator[ChannelSamples]:
        """Frames that follow each other directly, at `rate`, after the pause before them."""
        seconds = self._position / self.rate
        parts = []
        for frame in run:
            parts.append(self._frame_samples(frame, count, seconds))
            seconds += frame.samples / rate
        samples = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        if rate != self.rate:
            samples = np.stack([resample(Audio(row, rate), self.rate).samples for row in samples])
        offset = self._offset(run[0])
        pause, samples = max(offset, 0), samples[:, max(-offset, 0) :]
        self._padded += pause
        for at in range(0, pause, self.rate):
            yield np.zeros((count, min(self.rate, pause - at)), np.float32)
        yield samples
        self._position += pause + samples.shape[1]

    def length(self, rate: int) -> int:
        """Samples of the whole recording at ``rate``: as declared, where a lossy codec has filled its last packet."""
        decoded = round(self._position * rate / self.rate)
        if self.declared is None or not self._exact_length:
            return decoded
        declared = round(self.declared * rate)
        return declared if 0 < decoded - declared <= _MAX_PADDING * rate else decoded

    def report(self, path: Path, on_event: EventListener) -> None:
        """Notices of what was wrong in this pass. Raises `AudioError` where no sample is a number."""
        if self._not_finite and self._not_finite == self._decoded:
            raise AudioError(
                f"{path}: none of its samples is a number (all are NaN or infinite): export the recording again"
            )
        end = self._position / self.rate
        if self._not_finite:
            what = f"{self._not_finite} sample(s) that are not numbers, the first at {self._first_not_finite:.2f} s"
            on_event(Notice(f"{path} has {what}: silence is put in their place", "decode"))
        if self._damaged_packets:
            what = f"{self._damaged_packets} packet(s) could not be decoded and were left out"
            on_event(Notice(f"{path} is damaged: {what}", "decode"))
        if self._padded > NOTICED_PAUSES * self.rate:
            share = f"{self._padded / self.rate / 60:.0f} of its {end / 60:.0f} min"
            what = f"{share} are pauses in its timestamps, without sound; they are taken as silence"
            on_event(Notice(f"{path}: {what}", "decode"))
        if self._failure is not None or self._ends_early(end):
            instead = "" if self.declared is None else f" instead of {self.declared:.1f} s"
            because = f" ({self._failure})" if self._failure else ""
            what = f"its sound ends at {end:.1f} s{instead}{because}; what is there is used"
            on_event(Notice(f"{path} is incomplete: {what}", "decode"))

    def _ends_early(self, end: float) -> bool:
        """Whether the samples end, at ``end`` seconds, before a length that the container declares exactly."""
        return self._exact_length and self.declared is not None and self.declared - end > _LENGTH_TOLERANCE

    def _frame_samples(self, frame: Any, count: int, start: float) -> ChannelSamples:
        """The samples of a frame that begins at ``start`` seconds, ``count`` channels of them; those that are not
        finite become 0.
        """
        channels = float_samples(frame)
        if self._channel is not None:
            channels = channels[min(self._channel, len(channels) - 1)][None]
        self._decoded += channels.shape[1]
        if frame.format.name.removesuffix("p") not in FULL_SCALE:
            channels = self._finite(channels, start, frame.sample_rate)
        if len(channels) != count:
            channels = np.repeat(mixed_down(channels)[None], count, axis=0)
        return channels

    def _finite(self, channels: ChannelSamples, start: float, rate: int) -> ChannelSamples:
        """The samples with 0 in place of those that are not finite, which are counted."""
        finite = np.isfinite(channels)
        if finite.all():
            return channels
        damaged = ~finite.all(axis=0)
        if not self._not_finite:
            self._first_not_finite = start + int(damaged.argmax()) / rate
        self._not_finite += int(damaged.sum())
        return np.where(finite, channels, np.float32(0.0))

    def _check_rate(self, rate: int) -> None:
        """Raise `AudioError` for an implausible rate, and for a change to one that has no simple ratio."""
        if not MIN_RATE <= rate <= MAX_RATE or max(rate, self.rate) // math.gcd(rate, self.rate) > MAX_RATIO:
            was = f", after {self.rate} Hz" if rate != self.rate else ""
            raise AudioError(
                f"{self._container.name}: its sound has {rate} Hz{was}, which no recorder writes: "
                "export the recording again"
            )

    def _offset(self, frame: Any) -> int:
        """Samples from the current position to the frame's timestamp: a pause if positive, a repetition if negative.

        0 where the frame follows directly, as far as its timestamp is exact. A timestamp that jumps far back, or
        beyond any plausible end, is a fault of the clock and not a pause: from there on, timestamps are moved so that
        the frame follows directly.
        """
        if frame.pts is None:
            return 0
        seconds = frame.pts * frame.time_base.numerator / frame.time_base.denominator - self._origin
        offset: int = round(seconds * self.rate) + self._clock_shift - self._position
        at_start = self._position == 0
        jumps_back = offset < -self.rate and not at_start
        jumps_ahead = self._position + offset > self._latest_end() * self.rate
        if jumps_back or jumps_ahead:
            self._clock_shift -= offset
            return 0
        if abs(offset) <= JITTER * self.rate and not at_start:
            return 0
        return offset

    def _latest_end(self) -> float:
        """Seconds up to which a pause that begins at the current position may reach."""
        now = self._position / self.rate
        end = now + LONGEST_PAUSE
        if self.declared is not None and now < self.declared + _LENGTH_TOLERANCE:
            end = self.declared + _LENGTH_TOLERANCE
        return min(end, max(LONGEST_RECORDING, now))


def _consecutive(frames: Iterable[Any], longest: float) -> Iterator[list[Any]]:
    """The frames of one rate in runs that follow each other directly, as far as their timestamps are exact; a run ends
    when it is ``longest`` seconds long, or more.
    """
    run: list[Any] = []
    length = 0.0
    for frame in frames:
        if run and (length >= longest or not _follows(run[0], length, frame)):
            yield run
            run, length = [], 0.0
        run.append(frame)
        length += frame.samples / frame.sample_rate
    if run:
        yield run


def _follows(first: Any, seconds: float, frame: Any) -> bool:
    """Whether a frame begins where the ``seconds`` from ``first`` on end."""
    if first.pts is None or frame.pts is None:
        return True
    time: float = (frame.pts - first.pts) * frame.time_base.numerator / frame.time_base.denominator
    return abs(time - seconds) <= JITTER


def mixed_down(channels: ChannelSamples) -> Samples:
    """The mean of channels of shape ``(channels, n)``; a single one is itself, not a copy."""
    mono: Samples = channels[0] if len(channels) == 1 else channels.mean(axis=0, dtype=np.float64).astype(np.float32)
    return mono


def float_samples(frame: Any) -> ChannelSamples:
    """The frame's samples of shape ``(channels, n)``, full scale at 1."""
    if frame.format.name in NOT_IN_NUMPY or (frame.format.is_planar and frame.layout.nb_channels > MAX_PLANES):
        return np.concatenate([float_samples(part) for part in _interleaved(frame)], axis=1)
    name = frame.format.name.removesuffix("p")
    rows = frame.to_ndarray()
    channels = rows if frame.format.is_planar else rows.reshape(-1, frame.layout.nb_channels).T
    with np.errstate(over="ignore", invalid="ignore"):
        samples: ChannelSamples = channels.astype(np.float32)
    if name == "u8":
        samples -= np.float32(FULL_SCALE[name])
    samples /= np.float32(FULL_SCALE.get(name, 1.0))
    return samples


def _interleaved(frame: Any) -> list[Any]:
    """The same samples in interleaved frames that PyAV reads, made by FFmpeg; whole numbers of 64 bits get 32.

    FFmpeg holds up to eight planes in the frame itself, and more of them in a list whose end PyAV looks for in vain:
    it reads past that list and can end the process.
    """
    name = "s32" if frame.format.name in NOT_IN_NUMPY else frame.format.packed.name
    converter = av.AudioResampler(name, frame.layout.name, frame.sample_rate)
    return [*converter.resample(frame), *converter.resample(None)]
