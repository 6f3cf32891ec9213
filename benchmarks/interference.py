"""Music and noise made by numbers, to be taken out of meetings again.

Music has chords, a bass, an arpeggio or melody, drums and a room, with other instruments, keys and tempos each time;
noise is of many colours, steady and not: hum, fans, rumble, wind, crackle, typing. Nothing is recorded, so nothing has
a licence; real instruments do more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.data import Samples

_Wave = npt.NDArray[np.float64]

_SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 3, 5, 7, 9, 10), (0, 2, 4, 7, 9, 12, 14))
_PROGRESSIONS = ((0, 4, 5, 3), (0, 5, 3, 4), (5, 3, 0, 4), (0, 3, 0, 4), (0, 0, 3, 3), (1, 4, 0, 0), (0, 6, 5, 4))


@dataclass(frozen=True, slots=True)
class Instrument:
    """A sound with harmonics: amplitudes of the partials, attack and decay in seconds, and how the pitch moves.

    ``decay`` is None for a tone that is held. ``stretch`` makes partials inharmonic, ``detune`` doubles the tone with
    a second one, a few thousandths higher. ``vibrato`` is a share of the pitch at five to six Hz.
    """

    partials: tuple[float, ...]
    attack: float
    decay: float | None
    detune: float
    vibrato: float
    stretch: float

    def tone(self, pitch: float, seconds: float, rate: int, rng: np.random.Generator) -> _Wave:
        """One tone of that pitch in Hz."""
        time = np.arange(round(seconds * rate)) / rate
        phase = 2 * np.pi * pitch * time
        if self.vibrato:
            phase = phase + self.vibrato * pitch / 5.5 * np.sin(2 * np.pi * 5.5 * time + rng.uniform(0, 6))
        wave = np.zeros(len(time))
        for number, amplitude in enumerate(self.partials, 1):
            ratio = number * np.sqrt(1 + self.stretch * number**2)
            if pitch * ratio > 0.45 * rate:
                break
            partial = np.sin(ratio * phase + rng.uniform(0, 2 * np.pi))
            if self.detune:
                partial = partial + np.sin(ratio * phase * (1 + self.detune) + rng.uniform(0, 2 * np.pi))
            if self.decay is not None:
                partial = partial * np.exp(-time / self.decay * (0.6 + 0.4 * number))
            wave += amplitude * partial
        rising = np.minimum(time / self.attack, 1.0)
        falling = np.minimum((seconds - time) / min(0.05, seconds / 4), 1.0)
        return wave * rising * falling


def random_instrument(rng: np.random.Generator, *, held: bool) -> Instrument:
    """Another instrument each time: dull or bright, plucked or held, pure, beating or with vibrato."""
    count = int(rng.integers(2, 14))
    rolloff = rng.uniform(0.5, 2.2)
    partials = np.arange(1, count + 1, dtype=np.float64) ** -rolloff * rng.uniform(0.4, 1.0, count)
    if rng.random() < 0.25:
        partials[1::2] *= 0.1  # like a clarinet or a square wave
    is_held = held or rng.random() < 0.3
    return Instrument(
        partials=tuple(partials.tolist()),
        attack=float(rng.uniform(0.05, 0.4) if held else rng.uniform(0.002, 0.03)),
        decay=None if is_held else float(rng.uniform(0.15, 1.5)),
        detune=float(rng.uniform(0.001, 0.006)) if rng.random() < 0.5 else 0.0,
        vibrato=float(rng.uniform(0.002, 0.012)) if rng.random() < 0.25 else 0.0,
        stretch=float(rng.uniform(0.0, 0.002)) if rng.random() < 0.3 else 0.0,
    )


def _pitch(note: float) -> float:
    """Hz of a MIDI note."""
    return float(440.0 * 2 ** ((note - 69) / 12))


def _add(wave: _Wave, tone: _Wave, at: float, rate: int) -> None:
    first = round(at * rate)
    part = tone[: max(len(wave) - first, 0)]
    wave[first : first + len(part)] += part


def _drum_sounds(rate: int, rng: np.random.Generator) -> tuple[_Wave, _Wave, _Wave]:
    """A bass drum, a snare drum and a cymbal."""
    time = np.arange(round(0.35 * rate)) / rate
    sweep = rng.uniform(40, 60) * time + rng.uniform(2, 5) * (1 - np.exp(-time / 0.03))
    bass = np.sin(2 * np.pi * sweep) * np.exp(-time / rng.uniform(0.06, 0.15))
    hiss = rng.standard_normal(len(time))
    snare = (hiss + np.sin(2 * np.pi * rng.uniform(150, 250) * time)) * np.exp(-time / rng.uniform(0.04, 0.1)) * 0.5
    cymbal = np.diff(rng.standard_normal(len(time) + 2), 2) * np.exp(-time / rng.uniform(0.01, 0.08)) * 0.2
    return bass, snare, cymbal


def _drums(length: int, beat: float, rate: int, rng: np.random.Generator) -> _Wave:
    wave = np.zeros(length)
    sounds = _drum_sounds(rate, rng)
    steps = 16
    patterns = [rng.random(steps) < share for share in (0.2, 0.12, 0.5)]
    patterns[0][[0, 8]] = True
    patterns[1][[4, 12]] = True
    for step in range(int(length / rate / (beat / 4)) + 1):
        for sound, pattern, level in zip(sounds, patterns, (1.0, 0.7, 0.5), strict=True):
            if pattern[step % steps]:
                _add(wave, level * rng.uniform(0.7, 1.0) * sound, step * beat / 4, rate)
    return wave


def _chords(length: int, beat: float, rate: int, rng: np.random.Generator) -> _Wave:
    """Chords, a bass and figures over a progression that comes again."""
    wave = np.zeros(length)
    scale, root = _SCALES[int(rng.integers(len(_SCALES)))], int(rng.integers(48, 60))
    progression = _PROGRESSIONS[int(rng.integers(len(_PROGRESSIONS)))]
    pad, lead, bass = (random_instrument(rng, held=held) for held in (rng.random() < 0.6, False, False))
    levels = rng.uniform(0.0, 1.0, 3)
    levels[int(rng.integers(3))] = 1.0
    bar = beat * 4
    figure, division = rng.integers(0, 5, 16), int(rng.choice([1, 2, 2, 4]))

    def note(degree: int) -> int:
        return root + scale[degree % 7] + 12 * (degree // 7)

    for number in range(int(length / rate / bar) + 1):
        chord = progression[number % len(progression)]
        degrees = [chord, chord + 2, chord + 4, *([chord + 6] if rng.random() < 0.3 else [])]
        for degree in degrees:
            _add(wave, levels[0] * pad.tone(_pitch(note(degree)), bar, rate, rng) / 3, number * bar, rate)
        for step in range(2):
            tone = bass.tone(_pitch(note(chord) - 24), bar / 2, rate, rng)
            _add(wave, levels[1] * tone, number * bar + step * bar / 2, rate)
        for step in range(4 * division):
            degree = degrees[int(figure[step]) % len(degrees)] if figure[step] < 4 else chord + int(rng.integers(8))
            tone = lead.tone(_pitch(note(degree) + 12), min(beat / division * 1.5, 1.5), rate, rng)
            _add(wave, levels[2] * tone, number * bar + step * beat / division, rate)
    return wave


def _filtered(wave: _Wave, gain: Callable[[_Wave], _Wave], rate: int) -> _Wave:
    """The wave under a gain by frequency in Hz."""
    size = len(wave)
    frequencies = np.asarray(np.fft.rfftfreq(size, 1 / rate), np.float64)
    return np.asarray(np.fft.irfft(np.fft.rfft(wave) * gain(frequencies), size), np.float64)


def _equalized(wave: _Wave, rate: int, rng: np.random.Generator, decibels: float) -> _Wave:
    """The wave under a smooth random gain with that standard deviation."""
    points = np.concatenate([[0.0], np.geomspace(60, rate / 2, 8)])
    gains = 10 ** (rng.normal(0.0, decibels, 9) / 20)
    return _filtered(wave, lambda frequency: np.interp(frequency, points, gains), rate)


def decaying_response(rt60: float, rate: int, rng: np.random.Generator, direct: float = 1.0) -> Samples:
    """An impulse response: the direct sound, and noise that decays by 60 dB in ``rt60`` seconds."""
    time = np.arange(round(rt60 * rate)) / rate
    tail = rng.standard_normal(len(time)) * 10 ** (-3 * time / rt60)
    tail[: round(0.002 * rate)] = 0.0
    tail *= 1.0 / max(float(np.sqrt(np.sum(tail**2))), 1e-9)
    tail[0] = direct
    return np.asarray(tail, np.float32)


def convolved(wave: _Wave | Samples, response: Samples) -> _Wave:
    """The wave in that room, as long as before."""
    size = 1 << (len(wave) + len(response) - 1).bit_length()
    product = np.fft.rfft(wave, size) * np.fft.rfft(response, size)
    return np.asarray(np.fft.irfft(product, size)[: len(wave)], np.float64)


def _levelled(wave: _Wave) -> Samples:
    """The wave at RMS 1; silence stays silent."""
    return np.asarray(wave / max(float(np.sqrt(np.mean(wave**2))), 1e-9), np.float32)


def random_music(seconds: float, rate: int, rng: np.random.Generator) -> Samples:
    """A piece of music of RMS 1."""
    length = round(seconds * rate)
    beat = 60 / rng.uniform(70, 150)
    wave = _chords(length, beat, rate, rng) if rng.random() < 0.95 else np.zeros(length)
    wave /= max(float(np.sqrt(np.mean(wave**2))), 1e-9)
    if rng.random() < 0.6 or not wave.any():
        drums = _drums(length, beat, rate, rng)
        wave = wave + rng.uniform(0.2, 1.2) * drums / max(float(np.sqrt(np.mean(drums**2))), 1e-9)
    if rng.random() < 0.6:
        wave = convolved(wave, decaying_response(rng.uniform(0.2, 1.5), rate, rng, direct=rng.uniform(0.5, 3)))
    if rng.random() < 0.5:
        wave = np.tanh(wave * rng.uniform(0.5, 1.5))
    return _levelled(_equalized(wave, rate, rng, 4.0))


def _modulated(length: int, rate: int, rng: np.random.Generator, points_per_second: float, depth: float) -> _Wave:
    """A gain that wanders around 1, by ``depth`` in nepers."""
    count = max(round(length / rate * points_per_second), 2)
    return np.asarray(np.exp(np.interp(np.arange(length), np.linspace(0, length, count), rng.normal(0, depth, count))))


def _coloured(length: int, rate: int, rng: np.random.Generator) -> _Wave:
    slope = rng.uniform(-0.3, 2.0)
    wave = rng.standard_normal(length)
    return _equalized(_filtered(wave, lambda f: np.maximum(f, 40.0) ** (-slope / 2), rate), rate, rng, 5.0)


def _hum(length: int, rate: int, rng: np.random.Generator) -> _Wave:
    base = float(rng.choice([50.0, 60.0, 100.0, 120.0])) if rng.random() < 0.6 else float(rng.uniform(40, 400))
    count = int(rng.integers(3, 24))
    time = np.arange(length) / rate
    levels = rng.uniform(0.1, 1.0, count) * np.arange(1, count + 1) ** -rng.uniform(0.2, 1.5)
    tones = [
        level * np.sin(2 * np.pi * base * number * time + rng.uniform(0, 6))
        for number, level in enumerate(levels, 1)
        if base * number < rate / 2
    ]
    return np.asarray(np.sum(tones, axis=0), np.float64)


def _clicks(length: int, rate: int, rng: np.random.Generator) -> _Wave:
    """Typing, crackle or knocks: short bursts at random times."""
    wave = np.zeros(length)
    per_second, seconds = rng.uniform(1, 15), rng.uniform(0.002, 0.06)
    for at in rng.uniform(0, length / rate, max(round(per_second * length / rate), 1)):
        size = max(round(seconds * rate * rng.uniform(0.5, 1.5)), 8)
        burst = rng.standard_normal(size) * np.exp(-np.arange(size) / size * 5) * rng.uniform(0.3, 1.0)
        _add(wave, burst, at, rate)
    return _equalized(wave, rate, rng, 6.0)


def random_noise(seconds: float, rate: int, rng: np.random.Generator) -> Samples:
    """A noise of RMS 1: one to three kinds together."""
    length = round(seconds * rate)
    wave = np.zeros(length)
    for _ in range(int(rng.integers(1, 4))):
        kind = rng.random()
        if kind < 0.4:
            part = _coloured(length, rate, rng)
        elif kind < 0.65:
            part = _coloured(length, rate, rng) * _modulated(
                length, rate, rng, rng.uniform(0.3, 6), rng.uniform(0.2, 1)
            )
        elif kind < 0.85:
            part = _hum(length, rate, rng)
        else:
            part = _clicks(length, rate, rng)
        wave += rng.uniform(0.2, 1.0) * part / max(float(np.sqrt(np.mean(part**2))), 1e-9)
    return _levelled(wave)
