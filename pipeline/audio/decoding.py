"""A container's packets as sound on the recording's clock.

Time zero is where a player's clock shows zero. Sound that starts later than that, or pauses without packets, is
padded with silence, so that every time in a transcript is the time at which a player plays the word.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np

from meetsplit.pipeline.audio.containers import HIGHEST_RATE, INDEXED, LOWEST_RATE, describe, origin
from meetsplit.pipeline.audio.resampling import resample
from meetsplit.pipeline.data import Audio, Samples
from meetsplit.pipeline.errors import AudioError
from meetsplit.pipeline.events import EventListener, Notice

JITTER = 0.05
"""Seconds by which a packet's timestamp may be off before it counts as a pause: coarse clocks wobble by less."""

LONGEST_PAUSE = 3600.0
"""The longest pause in seconds that a timestamp is believed where the container does not say how long it is."""

LONGEST_RECORDING = 24 * 3600.0
"""Seconds up to which a recording's pauses may reach. Timestamps that jump beyond, and places of files beyond, are mistakes."""

TOLD_PAUSES = 600.0
"""Seconds of pauses in a recording from which on a person is told of them."""

MOST_STEPS = 10_000
"""The largest ratio of whole numbers between two sample rates within one recording: 44 100 to 48 000 Hz is 147 to 160."""

FULL_SCALE = {"u8": 2.0**7, "s16": 2.0**15, "s32": 2.0**31}
"""What 1.0 is in FFmpeg's integer sample formats; 24-bit sound comes as s32."""


class Listening:
    """One pass over a stream: its sound at its own rate from recording time 0 on, and what went wrong on the way."""

    def __init__(self, container: Any, stream: Any, channel: int | None) -> None:
        self.declared = describe(container, stream).duration
        self.rate = 0
        self._container, self._stream, self._channel = container, stream, channel
        self._trusted = bool(INDEXED & set(container.format.name.split(",")))
        self._origin = origin(container)
        self._position = self._shift = 0
        self._heard = self._broken = self._damaged = self._padded = 0
        self._broken_at = 0.0
        self._stopped: str | None = None

    def frames(self) -> Iterator[Any]:
        """Decoded frames; a damaged packet is counted and left out, a file that cannot be read on ends here."""
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, OSError) as error:
                self._stopped = getattr(error, "strerror", None) or str(error)
                return
            except IndexError:  # PyAV does not know streams that a transport stream announces later
                self._stopped = "another stream begins in the middle of the file"
                return
            if packet is None:
                return
            try:
                decoded = packet.decode()
            except av.error.FFmpegError:
                self._damaged += 1
                continue
            yield from (frame for frame in decoded if frame.samples)

    def sound(self, frames: Iterable[Any]) -> Iterator[Samples]:
        """The frames' samples in order, pauses filled with silence."""
        for frame in frames:
            self.rate = self.rate or frame.sample_rate
            self._check_rate(frame.sample_rate)
            ahead, samples = self._placed(frame, self._mono(frame))
            self._padded += ahead
            for at in range(0, ahead, self.rate):
                yield np.zeros(min(self.rate, ahead - at), np.float32)
            yield samples
            self._position += ahead + len(samples)

    def end(self, rate: int) -> int:
        """Where the sound ends in samples at ``rate``: lossy codecs fill their last packet, the container knows better."""
        decoded = round(self._position * rate / self.rate)
        declared = decoded if self.declared is None or not self._trusted else round(self.declared * rate)
        return declared if 0 < decoded - declared <= 0.1 * rate else decoded

    def report(self, path: Path, on_event: EventListener) -> None:
        """EventListener what a person should know about this pass; raise where no sample is a number."""
        if self._broken and self._broken == self._heard:
            raise AudioError(
                f"{path}: none of its samples is a number (all are NaN or infinite): export the recording again"
            )
        if self._broken:
            what = f"{self._broken} sample(s) that are not numbers, the first at {self._broken_at:.2f} s"
            on_event(Notice(f"{path} has {what}: silence is put in their place", "decode"))
        if self._damaged:
            on_event(
                Notice(f"{path} is damaged: {self._damaged} packet(s) could not be decoded and were left out", "decode")
            )
        end = self._position / self.rate
        if self._padded > TOLD_PAUSES * self.rate:
            silent = f"{self._padded / self.rate / 60:.0f} of its {end / 60:.0f} min"
            on_event(
                Notice(
                    f"{path}: {silent} are pauses in its timestamps, without sound; they are taken as silence", "decode"
                )
            )
        if self._stopped is not None or (self._trusted and self.declared is not None and self.declared - end > 1.0):
            whole = "" if self.declared is None else f" instead of {self.declared:.1f} s"
            because = f" ({self._stopped})" if self._stopped else ""
            on_event(
                Notice(
                    f"{path} is incomplete: its sound ends at {end:.1f} s{whole}{because}; what is there is used",
                    "decode",
                )
            )

    def _mono(self, frame: Any) -> Samples:
        channels = floats(frame)
        if self._channel is not None:
            channels = channels[min(self._channel, len(channels) - 1)][None]
        self._heard += channels.shape[1]
        is_float = frame.format.name.removesuffix("p") not in FULL_SCALE
        if is_float and not (good := np.isfinite(channels)).all():
            bad = ~good.all(axis=0)
            if not self._broken:
                self._broken_at = (self._position + int(bad.argmax())) / self.rate
            self._broken += int(bad.sum())
            channels = np.where(good, channels, np.float32(0.0))
        mono: Samples = (
            channels[0] if len(channels) == 1 else channels.mean(axis=0, dtype=np.float64).astype(np.float32)
        )
        return mono if frame.sample_rate == self.rate else resample(Audio(mono, frame.sample_rate), self.rate).samples

    def _check_rate(self, rate: int) -> None:
        """Raise `AudioError` for a rate that nobody records at, and for a change to one that has no simple ratio."""
        if not LOWEST_RATE <= rate <= HIGHEST_RATE or max(rate, self.rate) // math.gcd(rate, self.rate) > MOST_STEPS:
            was = f", after {self.rate} Hz" if rate != self.rate else ""
            raise AudioError(
                f"{self._container.name}: its sound has {rate} Hz{was}, which no recorder writes: export the recording again"
            )

    def _placed(self, frame: Any, samples: Samples) -> tuple[int, Samples]:
        """How much silence goes before these samples, and the part of them that is still to come.

        A timestamp that jumps far back, or beyond the container's end or the `LONGEST_RECORDING`, is a fault of the clock
        and not of the sound.
        """
        if frame.pts is None:
            return 0, samples
        base = frame.time_base
        at = round((frame.pts * base.numerator / base.denominator - self._origin) * self.rate) + self._shift
        ahead = at - self._position
        now = self._position / self.rate
        end = self.declared + 1.0 if self.declared is not None and now < self.declared + 1.0 else now + LONGEST_PAUSE
        end = min(end, max(LONGEST_RECORDING, now))
        if at > end * self.rate or (self._position and ahead < -self.rate):
            self._shift -= ahead
            return 0, samples
        if self._position and abs(ahead) <= JITTER * self.rate:
            return 0, samples
        return max(ahead, 0), samples[max(-ahead, 0) :]


def floats(frame: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Samples of shape ``(channels, n)``, full scale at 1."""
    name = frame.format.name.removesuffix("p")
    raw = frame.to_ndarray()
    channels = raw if frame.format.is_planar else raw.reshape(-1, frame.layout.nb_channels).T
    with np.errstate(over="ignore", invalid="ignore"):
        floats: np.ndarray[Any, np.dtype[np.float32]] = channels.astype(np.float32)
    if name == "u8":
        floats -= np.float32(FULL_SCALE[name])
    floats /= np.float32(FULL_SCALE.get(name, 1.0))
    return floats
