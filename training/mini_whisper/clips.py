"""Training clips: synthesized sentences concatenated, augmented and cut as the clips of a meeting's streams are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.fft import irfft, rfft, rfftfreq
from scipy.ndimage import uniform_filter
from scipy.signal import fftconvolve, istft, stft

from meetsplit.pipeline.data import Samples
from meetsplit.pipeline.transcribers.windows import GAP
from meetsplit.training.mini_whisper.corpus import Corpus, CorpusEntry
from meetsplit.training.mini_whisper.voices import RATE, SynthesizedSentence, TimedLabel

NOISE_ONLY_SHARE = 0.06
"""The share of clips without speech."""

MARGIN = 0.06
"""Seconds of sound kept before the first and after the last word of a sentence."""


@dataclass(frozen=True, slots=True)
class TimedPhone:
    """A phone with start and end in seconds of the clip; ``name`` is None for speech without phone labels."""

    name: str | None
    start: float
    end: float


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Samples at 16 kHz with their transcript.

    ``sentences`` are words with their seconds in the clip; ``previous`` is text that may have been said earlier.
    """

    samples: Samples
    sentences: tuple[tuple[TimedLabel, ...], ...]
    phones: tuple[TimedPhone, ...]
    previous: tuple[str, ...]

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.samples) / RATE

    @property
    def text(self) -> str:
        """The text of all sentences."""
        return " ".join(word.text for sentence in self.sentences for word in sentence)


@dataclass(frozen=True, slots=True, eq=False)
class _PlacedSentence:
    """A sentence, or a piece of one, that starts ``start`` seconds into the clip."""

    start: float
    sentence: SynthesizedSentence

    @property
    def duration(self) -> float:
        return len(self.sentence.samples) / RATE

    @property
    def end(self) -> float:
        return self.start + self.duration


@dataclass(frozen=True, slots=True, eq=False)
class ClipGenerator:
    """Random clips from a part of a corpus (``entries`` by voice) and some noises."""

    corpus: Corpus
    entries: Mapping[str, tuple[CorpusEntry, ...]]
    noises: tuple[Samples, ...]

    def noise(self, rng: np.random.Generator, length: int) -> Samples:
        """``length`` samples of one of the noises, of power 1."""
        noise = self.noises[int(rng.integers(len(self.noises)))]
        first = int(rng.integers(0, len(noise) - length))
        return noise[first : first + length]

    def packed_clip(self, rng: np.random.Generator, seconds: float, augmented_share: float) -> Clip:
        """Clips of one voice with silences of `GAP` between, up to about ``seconds``: as clips of a stream are packed.

        Each clip has its own room and noise, and lasts as long as turns do; ``augmented_share`` are augmented.
        """
        voice = self._random_voice(rng)
        packed = Clip(np.zeros(0, np.float32), (), (), ())
        while not packed.duration or packed.duration + GAP + 0.6 < seconds:
            longest = max(seconds - packed.duration - GAP, 0.6)
            length = min(float(np.clip(rng.lognormal(1.0, 0.8), 0.6, 20.0)), longest)
            clip = self.clip(rng, length, bool(rng.random() < augmented_share), voice=voice)
            packed = joined(packed, clip) if packed.duration else clip
        return packed

    def clip(
        self, rng: np.random.Generator, seconds: float, augmented: bool = True, *, voice: str | None = None
    ) -> Clip:
        """A clip of about ``seconds``: mostly one voice's sentences with pauses, a random ``voice`` by default.

        ``augmented`` adds reverberation, noise and other voices, in the background or as residue of a separation.
        """
        previous = tuple(self._random_entry(rng).text for _ in range(int(rng.integers(1, 9))))
        if rng.random() < NOISE_ONLY_SHARE:
            noise = self.noise(rng, round(seconds * RATE))
            noise = noise * 10 ** (rng.uniform(-75, -30) / 20) * (rng.random() < 0.85)
            return Clip(noise.astype(np.float32), (), (), previous)
        placed = self._random_sentences(rng, seconds, voice or self._random_voice(rng))
        samples = np.zeros(round((placed[-1].end + rng.uniform(0.05, 1.0)) * RATE), np.float32)
        for item in placed:
            add_at(samples, item.sentence.samples * 10 ** (rng.uniform(-2, 2) / 20), item.start)
        if augmented:
            samples = self._augment(rng, samples)
        sentences = tuple(shifted(item.sentence.words, item.start) for item in placed)
        phones = tuple(phone for item in placed for phone in _phones(item))
        return Clip(samples, sentences, phones, previous)

    def _random_entry(self, rng: np.random.Generator, voice: str | None = None) -> CorpusEntry:
        entries = self.entries[voice or str(rng.choice(tuple(self.entries)))]
        return entries[int(rng.integers(len(entries)))]

    def _random_voice(self, rng: np.random.Generator) -> str:
        """A voice, as often as it has sentences."""
        counts = np.array([len(entries) for entries in self.entries.values()], float)
        return str(rng.choice(tuple(self.entries), p=counts / counts.sum()))

    def _random_sentences(self, rng: np.random.Generator, seconds: float, voice: str) -> Sequence[_PlacedSentence]:
        """Sentences, or pieces of sentences, with pauses between them, up to about ``seconds``."""
        any_voice = rng.random() < 0.12
        pace = float(rng.uniform(0.94, 1.07)) if rng.random() < 0.4 else 1.0
        start = float(rng.uniform(0.02, 0.6))
        placed: list[_PlacedSentence] = []
        while not placed or start < seconds - 1.0:
            sentence = self.corpus.read(self._random_entry(rng, None if any_voice else voice))
            max_seconds = max(seconds - start, 0.8) / pace
            placed.append(_PlacedSentence(start, stretched(_random_piece(sentence, rng, max_seconds), pace)))
            pause = rng.uniform(1.0, 2.5) if rng.random() < 0.08 else rng.uniform(0.0, 0.8)
            start += placed[-1].duration + float(pause)
        return placed

    def _augment(self, rng: np.random.Generator, clean: Samples) -> Samples:
        """The clip with reverberation, other voices, noise, and another level, each at random."""
        samples = add_reverberation(rng, clean) if rng.random() < 0.3 else clean
        level = float(np.sqrt(np.mean(samples**2)) + 1e-6)
        if rng.random() < 0.35:
            other = self._other_voices(rng, len(samples))
            active = np.abs(other) > 1e-3
            other_level = float(np.sqrt(np.mean(other[active] ** 2))) if np.any(active) else 1.0
            other *= np.float32(level / other_level)
            if rng.random() < 0.45:
                samples = separate_imperfectly(rng, samples, other * np.float32(10 ** (rng.uniform(-6, 5) / 20)))
            else:
                samples = samples + other * np.float32(10 ** (rng.uniform(-25, -5) / 20))
        if rng.random() < 0.85:
            samples = samples + self.noise(rng, len(samples)) * np.float32(level * 10 ** (rng.uniform(-50, -12) / 20))
        peak = 10 ** (rng.uniform(-25, -1) / 20) / float(np.abs(samples).max() + 1e-6)
        return (samples * np.float32(peak)).astype(np.float32)

    def _other_voices(self, rng: np.random.Generator, length: int) -> Samples:
        """Random sentences at random times, one or more for every four seconds."""
        track = np.zeros(length, np.float32)
        for _ in range(int(rng.integers(1, 1 + max(1, length // (4 * RATE))))):
            sentence = self.corpus.read(self._random_entry(rng))
            add_at(track, sentence.samples, float(rng.uniform(-1, length / RATE)))
        return track


def joined(first: Clip, second: Clip) -> Clip:
    """Two clips as one, with `GAP` seconds of digital silence between them."""
    offset = (len(first.samples) + round(GAP * RATE)) / RATE
    return Clip(
        np.concatenate([first.samples, np.zeros(round(GAP * RATE), np.float32), second.samples]),
        (*first.sentences, *(shifted(sentence, offset) for sentence in second.sentences)),
        (*first.phones, *(replace(p, start=p.start + offset, end=p.end + offset) for p in second.phones)),
        first.previous,
    )


def add_at(track: Samples, samples: Samples, start: float) -> None:
    """Add samples to a track in place, at ``start`` seconds; what lies outside the track is dropped."""
    first = round(start * RATE)
    samples = samples[max(-first, 0) : max(len(track) - first, 0)]
    first = max(first, 0)
    track[first : first + len(samples)] += samples


def _random_piece(sentence: SynthesizedSentence, rng: np.random.Generator, max_seconds: float) -> SynthesizedSentence:
    """The sentence, or now and then some words of it, cut so that about ``max_seconds`` remain."""
    count = len(sentence.words)
    first, last = 0, count
    if rng.random() < 0.25:
        first, last = sorted(rng.choice(count + 1, 2, replace=False).tolist())
    latest_end = sentence.words[first].start + max_seconds
    fitting = sum(word.end < latest_end for word in sentence.words)
    last = max(first + 1, min(last, fitting))
    return cut_words(sentence, first, last)


def cut_words(sentence: SynthesizedSentence, first: int, last: int) -> SynthesizedSentence:
    """The words ``first`` to ``last`` (exclusive) of a sentence, with at most `MARGIN` of silence around them."""
    words = sentence.words[first:last]
    previous_end = sentence.words[first - 1].end if first else 0.0
    next_start = sentence.words[last].start if last < len(sentence.words) else len(sentence.samples) / RATE
    start = max(words[0].start - MARGIN, previous_end)
    end = min(words[-1].end + MARGIN, next_start)
    phones = tuple(
        TimedLabel(phone.text, max(phone.start, start) - start, min(phone.end, end) - start)
        for phone in sentence.phones
        if phone.start < end and phone.end > start
    )
    samples = sentence.samples[round(start * RATE) : round(end * RATE)]
    return SynthesizedSentence(sentence.voice, samples, shifted(words, -start), phones)


def shifted(labels: Sequence[TimedLabel], seconds: float) -> tuple[TimedLabel, ...]:
    """The same labels ``seconds`` later."""
    return tuple(replace(label, start=label.start + seconds, end=label.end + seconds) for label in labels)


def stretched(sentence: SynthesizedSentence, factor: float) -> SynthesizedSentence:
    """The sentence slower and lower by ``factor``, by resampling."""
    if factor == 1.0:
        return sentence
    times = np.arange(int(len(sentence.samples) * factor)) / factor
    samples = np.interp(times, np.arange(len(sentence.samples)), sentence.samples).astype(np.float32)

    def stretched_labels(labels: Sequence[TimedLabel]) -> tuple[TimedLabel, ...]:
        return tuple(TimedLabel(label.text, label.start * factor, label.end * factor) for label in labels)

    return SynthesizedSentence(
        sentence.voice, samples, stretched_labels(sentence.words), stretched_labels(sentence.phones)
    )


def _phones(item: _PlacedSentence) -> tuple[TimedPhone, ...]:
    """The phones of a sentence on the clip's clock; one without a name for a voice that has no phone labels."""
    if not item.sentence.phones:
        return (TimedPhone(None, item.start, item.end),)
    return tuple(
        TimedPhone(phone.text, phone.start + item.start, phone.end + item.start) for phone in item.sentence.phones
    )


def make_noises(seconds: int = 64) -> tuple[Samples, ...]:
    """Noises of power 1, from white to brown; always the same ones."""
    rng = np.random.default_rng(0)
    noises = []
    for slope in np.linspace(0, 1, 9):
        spectrum = rfft(rng.standard_normal(seconds * RATE))
        spectrum = spectrum / np.maximum(rfftfreq(seconds * RATE, 1 / RATE), 50.0) ** slope
        samples = irfft(spectrum)
        noises.append(np.asarray(samples / np.sqrt(np.mean(samples**2)), np.float32))
    return tuple(noises)


def separate_imperfectly(rng: np.random.Generator, target: Samples, interference: Samples) -> Samples:
    """The target as a mask-based separator estimates it: by the Wiener mask of randomly distorted spectra."""
    target_spectrum, other_spectrum = (stft(voice, nperseg=1024, noverlap=768)[2] for voice in (target, interference))
    estimates = []
    for spectrum in (target_spectrum, other_spectrum):
        error = rng.normal(0.0, rng.uniform(1.0, 4.0), spectrum.shape)
        estimates.append(np.abs(spectrum) * np.exp(uniform_filter(error, (3, 5))))
    target_power, other_power = (np.power(estimate, rng.uniform(1.0, 2.0)) + 1e-9 for estimate in estimates)
    mixture = target_spectrum + other_spectrum
    separated = istft(mixture * target_power / (target_power + other_power), nperseg=1024, noverlap=768)[1]
    padded = np.pad(separated, (0, max(len(target) - len(separated), 0)))
    return np.asarray(padded[: len(target)], np.float32)


def add_reverberation(rng: np.random.Generator, samples: Samples) -> Samples:
    """The samples in a random room: the direct sound and an exponentially decaying tail."""
    rt60 = rng.uniform(0.1, 0.45)
    times = np.arange(int(rt60 * RATE), dtype=np.float32) / RATE
    noise = rng.standard_normal(len(times), np.float32)
    response = noise * 10 ** (-3 * times / rt60) * (times > rng.uniform(0.001, 0.008))
    response *= 10 ** (rng.uniform(-12, -1) / 20) / (np.sqrt(np.sum(response**2)) + 1e-9)
    response[0] = 1.0
    return np.asarray(fftconvolve(samples, response)[: len(samples)], np.float32)
