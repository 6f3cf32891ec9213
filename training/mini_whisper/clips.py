"""Training clips: synthesized sentences joined, roughened and cut the way a meeting's streams are cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.fft import irfft, rfft, rfftfreq
from scipy.ndimage import uniform_filter
from scipy.signal import fftconvolve, istft, stft

from meetsplit.pipeline.data import Samples
from meetsplit.training.mini_whisper.corpus import Corpus, Place
from meetsplit.training.mini_whisper.voices import RATE, Spoken, Timed

EMPTY_SHARE = 0.06
"""How many clips hold nothing but noise."""

MARGIN = 0.06
"""Seconds of sound kept before the first and after the last word of a sentence."""


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Sound at 16 kHz with what is said in it.

    ``sentences`` are words with their seconds in the clip; ``phones`` names what is heard when, None where nobody knows;
    ``before`` is text that may have been said earlier.
    """

    samples: Samples
    sentences: tuple[tuple[Timed, ...], ...]
    phones: tuple[tuple[str | None, float, float], ...]
    before: tuple[str, ...]

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.samples) / RATE

    @property
    def text(self) -> str:
        """All sentences."""
        return " ".join(word.text for sentence in self.sentences for word in sentence)


@dataclass(frozen=True, slots=True, eq=False)
class Studio:
    """Where clips are made: a corpus, the sentences of it that may be used, by voice, and some noises."""

    corpus: Corpus
    voices: Mapping[str, tuple[Place, ...]]
    noises: tuple[Samples, ...]

    def noise(self, rng: np.random.Generator, length: int) -> Samples:
        """``length`` samples of one of the noises, of power 1."""
        chosen = self.noises[int(rng.integers(len(self.noises)))]
        first = int(rng.integers(0, len(chosen) - length))
        return chosen[first : first + length]

    def clip(self, rng: np.random.Generator, seconds: float, rough: bool = True) -> Clip:
        """A clip of about ``seconds``: mostly one person's sentences with pauses; ``rough`` adds room, noise and other voices,
        beside this one or taken away from over it."""
        before = tuple(self._any(rng).text for _ in range(int(rng.integers(1, 9))))
        if rng.random() < EMPTY_SHARE:
            quiet = self.noise(rng, round(seconds * RATE)) * 10 ** (rng.uniform(-75, -30) / 20) * (rng.random() < 0.85)
            return Clip(quiet.astype(np.float32), (), (), before)
        parts = self._parts(rng, seconds)
        length = round((parts[-1][0] + len(parts[-1][1].samples) / RATE + rng.uniform(0.05, 1.0)) * RATE)
        samples = np.zeros(length, np.float32)
        for start, part in parts:
            put(samples, part.samples * 10 ** (rng.uniform(-2, 2) / 20), start)
        if rough:
            samples = self._roughened(rng, samples)
        sentences = tuple(moved(part.words, start) for start, part in parts)
        return Clip(samples, sentences, tuple(row for start, part in parts for row in heard(part, start)), before)

    def _any(self, rng: np.random.Generator, voice: str | None = None) -> Place:
        chosen = self.voices[voice or str(rng.choice(tuple(self.voices)))]
        return chosen[int(rng.integers(len(chosen)))]

    def _parts(self, rng: np.random.Generator, seconds: float) -> Sequence[tuple[float, Spoken]]:
        """Sentences, or pieces of sentences, with where they begin."""
        weights = np.array([len(places) for places in self.voices.values()], float)
        voice = str(rng.choice(tuple(self.voices), p=weights / weights.sum()))
        mixed = rng.random() < 0.12
        pace = float(rng.uniform(0.94, 1.07)) if rng.random() < 0.4 else 1.0
        start = float(rng.uniform(0.02, 0.6))
        parts: list[tuple[float, Spoken]] = []
        while not parts or start < seconds - 1.0:
            spoken = self.corpus.spoken(self._any(rng, None if mixed else voice))
            count = len(spoken.words)
            first, last = 0, count
            if rng.random() < 0.25:
                first, last = sorted(rng.choice(count + 1, 2, replace=False).tolist())
            room = spoken.words[first].start + (max(seconds - start, 0.8)) / pace
            last = max(first + 1, min(last, sum(word.end < room for word in spoken.words)))
            part = paced(piece(spoken, first, last), pace)
            parts.append((start, part))
            pause = rng.uniform(1.0, 2.5) if rng.random() < 0.08 else rng.uniform(0.0, 0.8)
            start += len(part.samples) / RATE + float(pause)
        return parts

    def _roughened(self, rng: np.random.Generator, clean: Samples) -> Samples:
        """With a room, somebody else in the background, noise, and another level."""
        samples = reverberated(rng, clean) if rng.random() < 0.3 else clean
        level = float(np.sqrt(np.mean(samples**2)) + 1e-6)
        if rng.random() < 0.35:
            other = np.zeros_like(samples)
            for _ in range(int(rng.integers(1, 1 + max(1, len(samples) // (4 * RATE))))):
                spoken = self.corpus.spoken(self._any(rng))
                put(other, spoken.samples, float(rng.uniform(-1, len(samples) / RATE)))
            loudness = (
                float(np.sqrt(np.mean(other[np.abs(other) > 1e-3] ** 2))) if np.any(np.abs(other) > 1e-3) else 1.0
            )
            other *= np.float32(level / loudness)
            if rng.random() < 0.45:
                samples = parted(rng, samples, other * np.float32(10 ** (rng.uniform(-6, 5) / 20)))
            else:
                samples = samples + other * np.float32(10 ** (rng.uniform(-25, -5) / 20))
        if rng.random() < 0.85:
            samples = samples + self.noise(rng, len(samples)) * np.float32(level * 10 ** (rng.uniform(-50, -12) / 20))
        peak = 10 ** (rng.uniform(-25, -1) / 20) / float(np.abs(samples).max() + 1e-6)
        return (samples * np.float32(peak)).astype(np.float32)


def put(track: Samples, sound: Samples, start: float) -> None:
    """Adds a sound to a track in place, at ``start`` seconds; what lies outside is left out."""
    first = round(start * RATE)
    sound = sound[max(-first, 0) : max(len(track) - first, 0)]
    first = max(first, 0)
    track[first : first + len(sound)] += sound


def piece(spoken: Spoken, first: int, last: int) -> Spoken:
    """The words ``first`` to ``last`` (exclusive) of a sentence, with `MARGIN` around them if nobody speaks there."""
    words = spoken.words[first:last]
    begin = max(words[0].start - MARGIN, spoken.words[first - 1].end if first else 0.0)
    after = spoken.words[last].start if last < len(spoken.words) else len(spoken.samples) / RATE
    end = min(words[-1].end + MARGIN, after)
    phones = (p for p in spoken.phones if p.start < end and p.end > begin)
    cut = tuple(Timed(p.text, max(p.start, begin) - begin, min(p.end, end) - begin) for p in phones)
    return Spoken(spoken.voice, spoken.samples[round(begin * RATE) : round(end * RATE)], moved(words, -begin), cut)


def moved(words: Sequence[Timed], by: float) -> tuple[Timed, ...]:
    """The same words ``by`` seconds later."""
    return tuple(replace(word, start=word.start + by, end=word.end + by) for word in words)


def paced(spoken: Spoken, factor: float) -> Spoken:
    """Slower and lower by ``factor``, as a tape would be."""
    if factor == 1.0:
        return spoken
    at = np.arange(int(len(spoken.samples) * factor)) / factor
    samples = np.interp(at, np.arange(len(spoken.samples)), spoken.samples).astype(np.float32)

    def stretched(rows: Sequence[Timed]) -> tuple[Timed, ...]:
        return tuple(Timed(row.text, row.start * factor, row.end * factor) for row in rows)

    return Spoken(spoken.voice, samples, stretched(spoken.words), stretched(spoken.phones))


def heard(part: Spoken, start: float) -> tuple[tuple[str | None, float, float], ...]:
    """The phones of a part on the clip's clock; one unknown one for a voice that does not tell."""
    if not part.phones:
        return ((None, start, start + len(part.samples) / RATE),)
    return tuple((phone.text, phone.start + start, phone.end + start) for phone in part.phones)


def noises(seconds: int = 64) -> tuple[Samples, ...]:
    """Noises of power 1, from white to brown; always the same ones."""
    rng = np.random.default_rng(0)
    shaped = []
    for slope in np.linspace(0, 1, 9):
        spectrum = (
            rfft(rng.standard_normal(seconds * RATE)) / np.maximum(rfftfreq(seconds * RATE, 1 / RATE), 50.0) ** slope
        )
        sound = irfft(spectrum)
        shaped.append(np.asarray(sound / np.sqrt(np.mean(sound**2)), np.float32))
    return tuple(shaped)


def parted(rng: np.random.Generator, own: Samples, other: Samples) -> Samples:
    """What a separator by masks makes of a voice that another one covers: the Wiener mask of spectra that it only guesses."""
    spectra = [stft(voice, nperseg=1024, noverlap=768)[2] for voice in (own, other)]
    guesses = [
        np.abs(spectrum) * np.exp(uniform_filter(rng.normal(0.0, rng.uniform(1.0, 4.0), spectrum.shape), (3, 5)))
        for spectrum in spectra
    ]
    mine, theirs = (np.power(guess, rng.uniform(1.0, 2.0)) + 1e-9 for guess in guesses)
    found = istft((spectra[0] + spectra[1]) * mine / (mine + theirs), nperseg=1024, noverlap=768)[1]
    return np.asarray(np.pad(found, (0, max(len(own) - len(found), 0)))[: len(own)], np.float32)


def reverberated(rng: np.random.Generator, samples: Samples) -> Samples:
    """In a random room: the direct sound and an exponentially decaying tail."""
    decay = rng.uniform(0.1, 0.45)
    times = np.arange(int(decay * RATE), dtype=np.float32) / RATE
    tail = (
        rng.standard_normal(len(times), np.float32) * 10 ** (-3 * times / decay) * (times > rng.uniform(0.001, 0.008))
    )
    tail *= 10 ** (rng.uniform(-12, -1) / 20) / (np.sqrt(np.sum(tail**2)) + 1e-9)
    tail[0] = 1.0
    return np.asarray(fftconvolve(samples, tail)[: len(samples)], np.float32)
