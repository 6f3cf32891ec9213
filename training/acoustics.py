"""Room impulse responses, noise, telephone band and codecs for simulated meetings."""

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

Position: TypeAlias = npt.NDArray[np.float64]
"""Metres, shape ``(3,)``."""

MAX_REFLECTIONS = 20
"""Highest order of the image-source method."""


@dataclass(frozen=True, slots=True)
class Codec:
    """A codec of PyAV: container format, encoder, the sample rate it needs (None: any), bits per second."""

    container: str
    encoder: str
    rate: int | None
    bit_rate: int


CODECS: Mapping[str, Codec] = {
    "aac": Codec("ipod", "aac", None, 64000),
    "mp3": Codec("mp3", "libmp3lame", None, 48000),
    "opus": Codec("ogg", "libopus", 48000, 24000),
    "g711": Codec("wav", "pcm_mulaw", 8000, 64000),
}

TELEPHONE_BAND = (300.0, 3400.0)
"""The telephone's pass band in Hz (ITU-T G.712)."""


@dataclass(frozen=True, slots=True)
class Room:
    """A shoebox room: sides in metres, reverberation time (RT60) in seconds, range of speakers' distances in metres."""

    sides: tuple[float, float, float]
    rt60: float
    distance: tuple[float, float]


def random_room(rng: np.random.Generator, distance: tuple[float, float] = (0.5, 3.0)) -> Room:
    """A meeting room of 3 to 8 by 3 to 6 metres with an RT60 of 0.2 to 0.6 s."""
    sides = (float(rng.uniform(3, 8)), float(rng.uniform(3, 6)), float(rng.uniform(2.4, 3.5)))
    return Room(sides, float(rng.uniform(0.2, 0.6)), distance)


def impulse_responses(
    room: Room, speakers: tuple[Speaker, ...], rate: int, rng: np.random.Generator
) -> dict[Speaker, Samples]:
    """One room impulse response per speaker, from the direct sound on, so that a voice keeps its time; 1 at one metre.

    Image-source method of Allen and Berkley, 1979, by pyroomacoustics. Raises `MissingDependency` without it.
    """
    with blame("simulate", "simulating a room"):
        import pyroomacoustics

        absorption, order = pyroomacoustics.inverse_sabine(room.rt60, room.sides)
        shoebox = pyroomacoustics.ShoeBox(
            room.sides,
            fs=rate,
            materials=pyroomacoustics.Material(absorption),
            max_order=min(order, MAX_REFLECTIONS),
        )
        microphone = np.array([*(side * rng.uniform(0.4, 0.6) for side in room.sides[:2]), 0.8])
        positions = [_random_position(room, microphone, rng) for _ in speakers]
        for position in positions:
            shoebox.add_source(position)
        shoebox.add_microphone(microphone)
        shoebox.compute_rir()
        speed_of_sound = pyroomacoustics.constants.get("c")
        # The library's direct sound comes after the delay of its interpolation filter.
        filter_delay = pyroomacoustics.constants.get("frac_delay_length") // 2
        responses = [np.asarray(shoebox.rir[0][index], np.float32) for index in range(len(speakers))]
    result = {}
    for speaker, position, response in zip(speakers, positions, responses, strict=True):
        metres = float(np.linalg.norm(position - microphone))
        direct = filter_delay + round(metres / speed_of_sound * rate)
        result[speaker] = _from_direct_sound(response, direct, metres)
    return result


def _from_direct_sound(response: Samples, direct: int, metres: float) -> Samples:
    """The response from 8 samples before its direct sound on, which becomes 1 / distance at any scale."""
    peak = float(np.abs(response[max(direct - 1, 0) : direct + 2]).max())
    return np.asarray(response[max(direct - 8, 0) :] / (peak * metres), np.float32)


def _random_position(room: Room, microphone: Position, rng: np.random.Generator) -> Position:
    """A speaker's mouth at the room's distance from the microphone, at least 20 cm from every wall."""
    metres = rng.uniform(*room.distance)
    angle = rng.uniform(0, 2 * np.pi)
    position = microphone + np.array([metres * np.cos(angle), metres * np.sin(angle), 0.4])
    return np.asarray(np.clip(position, 0.2, np.asarray(room.sides) - 0.2))


def reverberate(stem: Samples, response: Samples) -> Samples:
    """The stem convolved with an impulse response, of the stem's length."""
    size = _fft_size(len(stem) + len(response))
    spectrum = np.fft.rfft(stem, size) * np.fft.rfft(response, size)
    return np.asarray(np.fft.irfft(spectrum, size)[: len(stem)], np.float32)


def pink_noise(length: int, rate: int, rng: np.random.Generator) -> Samples:
    """Room noise of RMS 1: its power falls by 3 dB per octave above 50 Hz."""
    size = _fft_size(length)
    spectrum = np.fft.rfft(rng.standard_normal(size))
    spectrum /= np.sqrt(np.maximum(np.fft.rfftfreq(size, 1 / rate), 50.0))
    noise = np.fft.irfft(spectrum, size)[:length]
    return np.asarray(noise / max(float(np.sqrt(np.mean(noise**2))), 1e-9), np.float32)


def telephone_band(samples: Samples, rate: int) -> Samples:
    """The samples in the telephone band, with edges of 100 Hz; linear, so that stems still sum to their mixture."""
    size = _fft_size(len(samples))
    frequency = np.fft.rfftfreq(size, 1 / rate)
    low, high = TELEPHONE_BAND
    gain = np.clip((frequency - low + 50) / 100, 0, 1) * np.clip((high + 50 - frequency) / 100, 0, 1)
    return np.asarray(np.fft.irfft(np.fft.rfft(samples, size) * gain, size)[: len(samples)], np.float32)


def _fft_size(length: int) -> int:
    """A size of at least ``length`` whose Fourier transform is fast: a power of two, or three quarters of one."""
    power_of_two = 1 << max(length - 1, 1).bit_length()
    three_quarters = power_of_two * 3 // 4
    return three_quarters if three_quarters >= length else power_of_two


def apply_codec(audio: Audio, name: str) -> Audio:
    """The audio encoded and decoded: same start, rate and length. Raises `SettingsError` for an unknown codec."""
    if name not in CODECS:
        raise SettingsError(f"--codec {name}: {nearest(name, CODECS)}")
    codec = CODECS[name]
    with blame("simulate", f"encoding with {codec.encoder}"):
        decoded = _decode(_encode(audio, codec), audio.rate)
    samples = np.zeros(len(audio.samples), np.float32)
    samples[: len(decoded)] = decoded[: len(samples)]
    return audio.replaced(samples)


def _encode(audio: Audio, codec: Codec) -> io.BytesIO:
    buffer = io.BytesIO()
    rate = codec.rate or audio.rate
    with av.open(buffer, "w", format=codec.container) as container:
        stream = container.add_stream(codec.encoder, rate=rate, layout="mono")
        stream.bit_rate = codec.bit_rate
        frame = av.AudioFrame.from_ndarray(audio.samples[None], format="fltp", layout="mono")
        frame.rate = audio.rate
        frame.pts, frame.time_base = 0, Fraction(1, audio.rate)
        resampler = av.AudioResampler(stream.format, "mono", rate)
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    buffer.seek(0)
    return buffer


def _decode(buffer: io.BytesIO, rate: int) -> Samples:
    with av.open(buffer) as container:
        resampler = av.AudioResampler("fltp", "mono", rate)
        frames = [piece for frame in container.decode(audio=0) for piece in resampler.resample(frame)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])
