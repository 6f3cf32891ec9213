"""Dynamically mixed training data for separation: random speakers, rooms, noise, levels and tempo in every step.

Speakers are held out as a whole: no speaker of a validation mixture is trained on.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.audio.resampling import resample
from meetsplit.pipeline.data import Audio, Samples, rms
from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.separators.blind import INPUT_RMS
from meetsplit.training import acoustics
from meetsplit.training.separation_model import RATE
from meetsplit.training.speech import UtteranceFile, utterances_by_speaker

Stems: TypeAlias = npt.NDArray[np.float32]
"""True voices, shape ``(voices, samples)``."""

SPEEDS = (0.9, 0.95, 1.0, 1.05, 1.1)
"""Factors of speed perturbation: pitch and tempo together."""

LEVEL_SPREAD = 5.0
"""Greatest deviation of a voice's level from the usual one in dB."""

SNR = (15.0, 40.0)
"""Range of the voices' level over the noise in dB."""

ROOM_PROBABILITY = 0.5
NOISE_PROBABILITY = 0.5

CACHE_SIZE = 512
"""Utterances that stay in memory."""

EXCERPT_ATTEMPTS = 8
"""Random excerpts of an utterance that are tried to find one that is no pause."""

MIN_EXCERPT_LEVEL = 0.2
"""RMS of an excerpt that is no pause, as a share of its utterance's RMS."""


@dataclass(frozen=True, slots=True)
class SpeakerSet:
    """The utterance files of several speakers, sorted by speaker."""

    speakers: tuple[tuple[UtteranceFile, ...], ...]

    @property
    def file_count(self) -> int:
        """The number of utterances of all speakers."""
        return sum(len(files) for files in self.speakers)


def split_speakers(folder: Path, held_out_share: float, voices: int) -> tuple[SpeakerSet, SpeakerSet]:
    """Training and held-out speakers: always the same split, by a hash of their names.

    Each part has at least ``voices`` speakers. Raises `SettingsError` where there are too few for that.
    """
    files = utterances_by_speaker(folder)
    if len(files) < 2 * voices:
        raise SettingsError(
            f"{folder}: utterances of {len(files)} people; it takes {2 * voices} at least, half of them held out "
            "(one folder per speaker, LibriSpeech's layout, or speaker-….flac)"
        )
    order = sorted(files, key=lambda speaker: (zlib.crc32(speaker.encode()), speaker))
    held_out = min(max(round(held_out_share * len(order)), voices), len(order) - voices)

    def speaker_set(speakers: Sequence[str]) -> SpeakerSet:
        return SpeakerSet(tuple(tuple(files[speaker]) for speaker in sorted(speakers)))

    return speaker_set(order[held_out:]), speaker_set(order[:held_out])


class MixtureGenerator:
    """Random mixtures of the speakers of a set.

    ``rooms`` is the number of different rooms, 0 for none; each is simulated when it is first drawn.
    """

    def __init__(self, speaker_set: SpeakerSet, voices: int, *, rooms: int = 0, seed: int = 0) -> None:
        self.speaker_set = speaker_set
        self.voices = voices
        self.rooms = rooms
        self._samples: Callable[[UtteranceFile], Samples] = lru_cache(CACHE_SIZE)(
            lambda file: file.read(RATE).audio.samples
        )
        self._responses: Callable[[int], Sequence[Samples]] = lru_cache(None)(
            lambda room: _impulse_responses(voices, np.random.default_rng((seed, room)))
        )

    def augmented(self, rng: np.random.Generator, seconds: float) -> tuple[Samples, Stems]:
        """A training mixture and its voices, with random speed, levels, room and noise."""
        stems = self._stems(rng, seconds, SPEEDS, lambda: float(rng.uniform(-LEVEL_SPREAD, LEVEL_SPREAD)))
        if self.rooms and rng.random() < ROOM_PROBABILITY:
            responses = self._responses(int(rng.integers(self.rooms)))
            pairs = zip(stems, responses, strict=True)
            stems = np.stack([acoustics.reverberate(stem, response) for stem, response in pairs])
        mixture = stems.sum(axis=0)
        if rng.random() < NOISE_PROBABILITY:
            noise = acoustics.pink_noise(len(mixture), RATE, rng)
            mixture = mixture + noise * _level(mixture) * np.float32(10 ** (-rng.uniform(*SNR) / 20))
        scale = np.float32(INPUT_RMS / _level(mixture))
        return mixture * scale, stems * scale

    def clean(self, rng: np.random.Generator, seconds: float) -> tuple[Samples, Stems]:
        """A mixture of unprocessed voices at 0 or ±3 dB, as in the benchmark of separators."""
        stems = self._stems(rng, seconds, (1.0,), lambda: float(rng.choice((-1.5, 0.0, 1.5))))
        mixture = stems.sum(axis=0)
        scale = np.float32(INPUT_RMS / _level(mixture))
        return mixture * scale, stems * scale

    def _stems(
        self, rng: np.random.Generator, seconds: float, speeds: Sequence[float], draw_level: Callable[[], float]
    ) -> Stems:
        """Excerpts of different speakers at RMS 1 plus a random level in dB."""
        stems = []
        for index in rng.choice(len(self.speaker_set.speakers), self.voices, replace=False):
            files = self.speaker_set.speakers[index]
            file = files[int(rng.integers(len(files)))]
            excerpt = self._excerpt(file, rng, round(seconds * RATE), float(rng.choice(speeds)))
            stems.append(excerpt * np.float32(10 ** (draw_level() / 20) / _level(excerpt)))
        return np.stack(stems)

    def _excerpt(self, file: UtteranceFile, rng: np.random.Generator, length: int, speed: float) -> Samples:
        """``length`` samples of an utterance, not a pause of it; a shorter utterance at a random place in silence."""
        samples = self._samples(file)
        source_length = round(length * speed)
        min_rms = MIN_EXCERPT_LEVEL * _level(samples)
        for _ in range(EXCERPT_ATTEMPTS):
            start = int(rng.integers(max(len(samples) - source_length, 0) + 1))
            excerpt = samples[start : start + source_length]
            if _level(excerpt) > min_rms:
                break
        if speed != 1.0:
            excerpt = resample(Audio(excerpt, round(RATE * speed)), RATE).samples
        padded = np.zeros(length, np.float32)
        first = int(rng.integers(max(length - len(excerpt), 0) + 1))
        padded[first : first + len(excerpt)] = excerpt[:length]
        return padded


def _impulse_responses(voices: int, rng: np.random.Generator) -> Sequence[Samples]:
    """One impulse response per voice in a random room."""
    names = tuple(str(number) for number in range(voices))
    responses = acoustics.impulse_responses(acoustics.random_room(rng), names, RATE, rng)
    return [responses[name] for name in names]


def _level(samples: Samples) -> float:
    """RMS of the samples, never 0."""
    return max(rms(samples), 1e-6)
