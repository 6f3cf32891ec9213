"""Mixtures of many people for the refiner, with short dictionaries: made once, kept in shards, picked up after a kill."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.torch import load_file, save_file
from torch import Tensor

from meetsplit.pipeline.audio.resampling import resample
from meetsplit.pipeline.data import Audio, Samples
from meetsplit.pipeline.separators.adapted_mixtures import MixtureBatch, concatenate, make_mixture
from meetsplit.pipeline.separators.dictionary import DictionarySeparator
from meetsplit.training.acoustics import drawn, pink, responses, reverberated, telephoned
from meetsplit.training.speech import recorded, voiced

RATE = 16_000
SECONDS = 3.0
"""Length of a mixture."""

LEAST = 3.0
"""Seconds that must be left of a person's speech to make a dictionary of."""

MOST = (10.0, 60.0)
"""Seconds that a dictionary is made of at most, drawn for every voice anew: fewer where there are no more."""

PAUSE = 0.3
"""Seconds of silence that belong to the speech; longer ones are left out: there is nothing to take apart."""

SHARD = 50
"""Mixtures in a file."""

ROOMS = 40
"""Pairs of seats that are simulated."""


@dataclass(frozen=True, slots=True)
class Chances:
    """How often a mixture has a room, noise, a telephone."""

    room: float = 0.35
    noise: float = 0.3
    telephone: float = 0.05


def people(data: Path) -> dict[str, list[Samples]]:
    """Utterances by speaker, without their pauses; who says too little for a mixture and a dictionary is left out."""
    found: dict[str, list[Samples]] = {}
    for one in recorded(data):
        audio = one.utterance(RATE).audio
        spans = voiced(audio, PAUSE)
        if spans:
            found.setdefault(one.speaker, []).append(np.concatenate([audio.crop(span).samples for span in spans]))
    fit: dict[str, list[Samples]] = {}
    for name, own in found.items():
        enough = (SECONDS + LEAST) * RATE * 1.15
        if max(map(len, own)) >= SECONDS * RATE * 1.15 and sum(map(len, own)) >= enough:
            fit[name] = own
    return fit


def shards(speakers: Mapping[str, Sequence[Samples]], folder: Path, count: int, seed: int) -> Iterator[Path]:
    """Files of `SHARD` lessons each, ``count`` in all; what is there already is not made again."""
    folder.mkdir(parents=True, exist_ok=True)
    seats: list[tuple[Samples, Samples]] = []
    for number in range(-(-count // SHARD)):
        path = folder / f"lessons-{seed}-{number:04d}.safetensors"
        if not path.exists():
            seats = seats or _seats(np.random.default_rng(seed))
            rng = np.random.default_rng((seed, number))
            made = concatenate([_drawn(speakers, seats, rng, Chances()) for _ in range(SHARD)])
            fresh = path.with_suffix(f".{os.getpid()}.part")
            save_file(_tensors(made), fresh)
            os.replace(fresh, path)
        yield path


def opened(paths: Sequence[Path]) -> MixtureBatch:
    """The lessons in these files."""
    return concatenate([_batch(load_file(path)) for path in paths])


def _tensors(batch: MixtureBatch) -> dict[str, Tensor]:
    """What a shard holds, by the names of the first release."""
    return {"sounds": batch.waveforms, "parts": batch.estimates, "faces": batch.profiles}


def _batch(tensors: Mapping[str, Tensor]) -> MixtureBatch:
    """The inverse of `_tensors`."""
    return MixtureBatch(tensors["sounds"], tensors["parts"], tensors["faces"])


def _seats(rng: np.random.Generator) -> list[tuple[Samples, Samples]]:
    found = [responses(drawn(rng, (0.4, 2.0)), ("a", "b"), RATE, rng) for _ in range(ROOMS)]
    return [(one["a"], one["b"]) for one in found]


def _drawn(
    speakers: Mapping[str, Sequence[Samples]],
    seats: Sequence[tuple[Samples, Samples]],
    rng: np.random.Generator,
    odds: Chances,
) -> MixtureBatch:
    """One mixture of two people, with dictionaries of what else they say; who has more utterances is drawn more often."""
    often = np.sqrt([len(speakers[name]) for name in sorted(speakers)])
    pair = rng.choice(sorted(speakers), 2, replace=False, p=often / often.sum())
    room = seats[int(rng.integers(len(seats)))] if rng.random() < odds.room else None
    phone = rng.random() < odds.telephone
    spoken: list[tuple[Samples, list[Samples]]] = []
    for index, name in enumerate(pair):
        spoken.append(
            _cut([_heard(clip, room[index] if room else None, phone) for clip in _told(speakers[name], rng)], rng)
        )
    first, second = (segment for segment, _ in spoken)
    second = second * np.float32(
        10 ** (rng.uniform(-5, 5) / 20) * np.linalg.norm(first) / max(float(np.linalg.norm(second)), 1e-6)
    )
    voices = np.stack([first, second])
    mixture = voices.sum(axis=0)
    if rng.random() < odds.noise:
        mixture = mixture + pink(len(mixture), RATE, rng) * np.float32(
            mixture.std() * 10 ** (-rng.uniform(12, 35) / 20)
        )
    teacher = DictionarySeparator(seed=int(rng.integers(2**31)))
    enrollment = [
        teacher.dictionary(name, [Audio(clip, RATE) for clip in clips])
        for name, (_, clips) in zip(pair, spoken, strict=True)
    ]
    return make_mixture(teacher, mixture.astype(np.float32), voices, enrollment)


def _told(own: Sequence[Samples], rng: np.random.Generator) -> list[Samples]:
    """One person's utterances at another speed: first one long enough for a mixture, then others, as many as a dictionary is made of."""
    speed, most = float(rng.uniform(0.88, 1.12)), rng.uniform(*MOST) * RATE
    fit = [number for number, clip in enumerate(own) if len(clip) >= SECONDS * RATE * 1.15]
    first = int(rng.choice(fit))
    found = [_at_speed(own[first], speed)]
    for number in rng.permutation(len(own)).tolist():
        if number != first and sum(map(len, found)) < most + SECONDS * RATE:
            found.append(_at_speed(own[number], speed))
    return found


def _heard(samples: Samples, response: Samples | None, phone: bool) -> Samples:
    there = samples if response is None else reverberated(samples, response)
    return telephoned(there, RATE) if phone else there


def _cut(clips: Sequence[Samples], rng: np.random.Generator) -> tuple[Samples, list[Samples]]:
    """A stretch of the first clip for the mixture, and the rest to make a dictionary of."""
    first = clips[0]
    length = round(SECONDS * RATE)
    start = int(rng.integers(len(first) - length + 1))
    rest = [clip for clip in (first[:start], first[start + length :], *clips[1:]) if len(clip) > RATE // 10]
    return first[start : start + length], rest


def _at_speed(samples: Samples, speed: float) -> Samples:
    return resample(Audio(samples, round(RATE * speed)), RATE).samples
