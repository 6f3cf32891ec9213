"""Mixtures to learn separation from, made up anew in every step: voices of different people, rooms, noise, levels, tempo.

People are held out whole: nobody who is heard in an exam has been trained on.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.audio.resampling import resample
from meetsplit.pipeline.data import Audio, Samples, Speaker
from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.separators.sepformer import INPUT_RMS
from meetsplit.training import acoustics
from meetsplit.training.separation_model import RATE
from meetsplit.training.speech import Recorded, recorded

Stems: TypeAlias = npt.NDArray[np.float32]
"""True voices, shape ``(voices, samples)``."""

SPEEDS = (0.9, 0.95, 1.0, 1.05, 1.1)
"""How fast an utterance is played: pitch and tempo together."""

SPREAD = 5.0
"""dB by which a voice may be louder or quieter than the others."""

NOISE = (15.0, 40.0)
"""dB by which the voices are above the noise."""

IN_A_ROOM, WITH_NOISE = 0.5, 0.5
"""How often there is a room, and how often noise."""

KEPT = 512
"""Utterances that stay in memory."""


@dataclass(frozen=True, slots=True)
class Cast:
    """Whose utterances there are, sorted."""

    people: tuple[tuple[Recorded, ...], ...]

    @property
    def files(self) -> int:
        """How many utterances."""
        return sum(len(own) for own in self.people)


def parted(folder: Path, share: float, voices: int) -> tuple[Cast, Cast]:
    """Who is trained on, and who, about ``share`` of the people, is held out: always the same people, told by their names.

    Raises `SettingsError` where there are not enough people for both.
    """
    found: dict[Speaker, list[Recorded]] = {}
    for one in recorded(folder):
        found.setdefault(one.speaker, []).append(one)
    if len(found) < 2 * voices:
        raise SettingsError(
            f"{folder}: utterances of {len(found)} people; it takes {2 * voices} at least, half of them held out "
            "(one folder per speaker, LibriSpeech's layout, or speaker-….flac)"
        )
    order = sorted(found, key=lambda speaker: (zlib.crc32(speaker.encode()), speaker))
    held = min(max(round(share * len(order)), voices), len(order) - voices)
    casts = (Cast(tuple(tuple(found[speaker]) for speaker in sorted(part))) for part in (order[held:], order[:held]))
    return next(casts), next(casts)


class Studio:
    """Where mixtures of a cast are made. ``rooms`` is the number of different rooms, 0 for none; each is made when first needed."""

    def __init__(self, cast: Cast, voices: int, *, rooms: int = 0, seed: int = 0) -> None:
        self.cast = cast
        self.voices = voices
        self.rooms = rooms
        self._sound: Callable[[Recorded], Samples] = lru_cache(KEPT)(lambda one: one.utterance(RATE).audio.samples)
        self._room: Callable[[int], Sequence[Samples]] = lru_cache(None)(
            lambda number: _room(voices, np.random.default_rng((seed, number)))
        )

    def rough(self, rng: np.random.Generator, seconds: float) -> tuple[Samples, Stems]:
        """A mixture and its voices as they are trained on: any speed, level, room and noise."""
        stems = self._stems(rng, seconds, SPEEDS, lambda: float(rng.uniform(-SPREAD, SPREAD)))
        if self.rooms and rng.random() < IN_A_ROOM:
            echoes = self._room(int(rng.integers(self.rooms)))
            stems = np.stack([acoustics.reverberated(stem, echo) for stem, echo in zip(stems, echoes, strict=True)])
        mixture = stems.sum(axis=0)
        if rng.random() < WITH_NOISE:
            mixture = mixture + acoustics.pink(len(mixture), RATE, rng) * _rms(mixture) * np.float32(
                10 ** (-rng.uniform(*NOISE) / 20)
            )
        scale = np.float32(INPUT_RMS / _rms(mixture))
        return mixture * scale, stems * scale

    def clean(self, rng: np.random.Generator, seconds: float) -> tuple[Samples, Stems]:
        """A mixture of untouched voices at 0 or ±3 dB, as in the benchmark of separators."""
        stems = self._stems(rng, seconds, (1.0,), lambda: float(rng.choice((-1.5, 0.0, 1.5))))
        scale = np.float32(INPUT_RMS / _rms(stems.sum(axis=0)))
        return stems.sum(axis=0) * scale, stems * scale

    def _stems(
        self, rng: np.random.Generator, seconds: float, speeds: Sequence[float], level: Callable[[], float]
    ) -> Stems:
        """Different people at their levels, in dB of each other."""
        chosen = rng.choice(len(self.cast.people), self.voices, replace=False)
        rows = []
        for index in chosen:
            own = self.cast.people[index]
            row = self._piece(own[int(rng.integers(len(own)))], rng, round(seconds * RATE), float(rng.choice(speeds)))
            rows.append(row * np.float32(10 ** (level() / 20) / _rms(row)))
        return np.stack(rows)

    def _piece(self, one: Recorded, rng: np.random.Generator, length: int, speed: float) -> Samples:
        """``length`` samples of an utterance, not a pause of it; a shorter one somewhere in silence."""
        sound, wanted = self._sound(one), round(length * speed)
        loud = _rms(sound)
        for _ in range(8):
            start = int(rng.integers(max(len(sound) - wanted, 0) + 1))
            piece = sound[start : start + wanted]
            if _rms(piece) > 0.2 * loud:
                break
        if speed != 1.0:
            piece = resample(Audio(piece, round(RATE * speed)), RATE).samples
        row = np.zeros(length, np.float32)
        first = int(rng.integers(max(length - len(piece), 0) + 1))
        row[first : first + len(piece)] = piece[:length]
        return row


def _room(voices: int, rng: np.random.Generator) -> Sequence[Samples]:
    names = tuple(str(number) for number in range(voices))
    found: Mapping[Speaker, Samples] = acoustics.responses(acoustics.drawn(rng), names, RATE, rng)
    return [found[name] for name in names]


def _rms(samples: Samples) -> float:
    return max(float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))), 1e-6)
