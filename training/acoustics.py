"""What a room, a telephone and a codec do to voices."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import av
import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.data import Audio, Samples, Speaker
from meetsplit.pipeline.errors import SettingsError, blame, nearest

Place: TypeAlias = npt.NDArray[np.float64]
"""Metres, shape ``(3,)``."""

CODECS: Mapping[str, tuple[str, str, int | None, int]] = {
    "aac": ("ipod", "aac", None, 64000),
    "mp3": ("mp3", "libmp3lame", None, 48000),
    "opus": ("ogg", "libopus", 48000, 24000),
    "g711": ("wav", "pcm_mulaw", 8000, 64000),
}
"""Name: container, encoder, sample rate it needs, bits per second."""

BAND = (300.0, 3400.0)
"""The telephone's pass band in Hz (ITU-T G.712)."""


@dataclass(frozen=True, slots=True)
class Room:
    """A shoebox room: sides in metres, seconds until an echo has fallen by 60 dB, and how far away people sit (least, most)."""

    sides: tuple[float, float, float]
    echo: float
    distance: tuple[float, float]


def drawn(rng: np.random.Generator, distance: tuple[float, float] = (0.5, 3.0)) -> Room:
    """A meeting room of 3 to 8 by 3 to 6 metres with an echo of 0.2 to 0.6 s."""
    sides = (float(rng.uniform(3, 8)), float(rng.uniform(3, 6)), float(rng.uniform(2.4, 3.5)))
    return Room(sides, float(rng.uniform(0.2, 0.6)), distance)


def responses(room: Room, speakers: tuple[Speaker, ...], rate: int, rng: np.random.Generator) -> dict[Speaker, Samples]:
    """One impulse response per speaker, from the direct sound on, so that a voice keeps its time; 1 at one metre.

    Image-source method of Allen and Berkley, 1979, by pyroomacoustics. Raises `MissingDependency` without it.
    """
    with blame("simulate", "simulating a room"):
        import pyroomacoustics

        absorption, order = pyroomacoustics.inverse_sabine(room.echo, room.sides)
        box = pyroomacoustics.ShoeBox(
            room.sides, fs=rate, materials=pyroomacoustics.Material(absorption), max_order=min(order, 20)
        )
        microphone = np.array([*(side * rng.uniform(0.4, 0.6) for side in room.sides[:2]), 0.8])
        places = [_seat(room, microphone, rng) for _ in speakers]
        for place in places:
            box.add_source(place)
        box.add_microphone(microphone)
        box.compute_rir()
        speed, delay = pyroomacoustics.constants.get("c"), pyroomacoustics.constants.get("frac_delay_length") // 2
        found = [np.asarray(box.rir[0][index], np.float32) for index in range(len(speakers))]
    metres = [float(np.linalg.norm(place - microphone)) for place in places]
    # The library's direct sound comes after the delay of its interpolation filter.
    direct = [delay + round(far / speed * rate) for far in metres]
    pairs = zip(speakers, found, direct, metres, strict=True)
    return {speaker: _from_direct_sound(response, first, far) for speaker, response, first, far in pairs}


def _from_direct_sound(response: Samples, first: int, metres: float) -> Samples:
    """The response from 8 samples before its direct sound on, which becomes 1 / distance whatever the library's scale is."""
    peak = float(np.abs(response[max(first - 1, 0) : first + 2]).max())
    return np.asarray(response[max(first - 8, 0) :] / (peak * metres), np.float32)


def _seat(room: Room, microphone: Place, rng: np.random.Generator) -> Place:
    """A mouth at the wanted distance from the microphone, at least 20 cm from every wall."""
    far = rng.uniform(*room.distance)
    angle = rng.uniform(0, 2 * np.pi)
    wanted = microphone + np.array([far * np.cos(angle), far * np.sin(angle), 0.4])
    return np.asarray(np.clip(wanted, 0.2, np.asarray(room.sides) - 0.2))


def reverberated(stem: Samples, response: Samples) -> Samples:
    """The stem as heard in the room, of the stem's length."""
    size = _fast(len(stem) + len(response))
    spectrum = np.fft.rfft(stem, size) * np.fft.rfft(response, size)
    return np.asarray(np.fft.irfft(spectrum, size)[: len(stem)], np.float32)


def pink(length: int, rate: int, rng: np.random.Generator) -> Samples:
    """Room noise of RMS 1: its power falls by 3 dB per octave above 50 Hz."""
    size = _fast(length)
    spectrum = np.fft.rfft(rng.standard_normal(size))
    spectrum /= np.sqrt(np.maximum(np.fft.rfftfreq(size, 1 / rate), 50.0))
    noise = np.fft.irfft(spectrum, size)[:length]
    return np.asarray(noise / max(float(np.sqrt(np.mean(noise**2))), 1e-9), np.float32)


def telephoned(samples: Samples, rate: int) -> Samples:
    """Only the telephone band, with edges of 100 Hz; linear, so that stems still sum to their mixture."""
    size = _fast(len(samples))
    frequency = np.fft.rfftfreq(size, 1 / rate)
    low, high = BAND
    gain = np.clip((frequency - low + 50) / 100, 0, 1) * np.clip((high + 50 - frequency) / 100, 0, 1)
    return np.asarray(np.fft.irfft(np.fft.rfft(samples, size) * gain, size)[: len(samples)], np.float32)


def _fast(length: int) -> int:
    """A length of at least this one whose Fourier transform is fast: a power of two, or three quarters of one."""
    whole = 1 << max(length - 1, 1).bit_length()
    return whole * 3 // 4 if whole * 3 // 4 >= length else whole


def coded(audio: Audio, codec: str) -> Audio:
    """The sound after encoding and decoding: same place, rate and length. Raises `SettingsError` for an unknown codec."""
    if codec not in CODECS:
        raise SettingsError(f"--codec {codec}: {nearest(codec, CODECS)}")
    container_format, encoder, needed, bits = CODECS[codec]
    rate = needed or audio.rate
    with blame("simulate", f"encoding with {encoder}"):
        buffer = io.BytesIO()
        with av.open(buffer, "w", format=container_format) as container:
            stream = container.add_stream(encoder, rate=rate, layout="mono")
            stream.bit_rate = bits
            frame = av.AudioFrame.from_ndarray(audio.samples[None], format="fltp", layout="mono")
            frame.rate = audio.rate
            frame.pts, frame.time_base = 0, Fraction(1, audio.rate)
            resampler = av.AudioResampler(stream.format, "mono", rate)
            for piece in (*resampler.resample(frame), *resampler.resample(None)):
                container.mux(stream.encode(piece))
            container.mux(stream.encode(None))
        buffer.seek(0)
        with av.open(buffer) as container:
            resampler = av.AudioResampler("fltp", "mono", audio.rate)
            frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
            sound = np.concatenate([out.to_ndarray()[0] for out in (*frames, *resampler.resample(None))])
    whole = np.zeros(len(audio.samples), np.float32)
    whole[: len(sound)] = sound[: len(whole)]
    return audio.replaced(whole)
