"""Mixtures of many people for the refiner, with short dictionaries: made once, kept in shards, picked up after a kill."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from meetsplit.pipeline.data import Audio, Samples
from meetsplit.pipeline.resampling import resample
from meetsplit.pipeline.separators.adapted_lessons import unlike
from meetsplit.pipeline.separators.adapted_refiner import Refiner, face
from meetsplit.pipeline.separators.dictionary import DictionarySeparator
from meetsplit.training.rooms import drawn, pink, responses, reverberated, telephoned
from meetsplit.training.speech import recorded

RATE = 16_000
SECONDS = 3.0
"""Length of a mixture."""

LEAST = 3.0
"""Seconds that must be left of a person's speech to make a dictionary of."""

SHARD = 50
"""Lessons in a file."""

ROOMS = 40
"""Pairs of seats that are simulated."""


@dataclass(frozen=True, slots=True)
class Chances:
    """How often a mixture has a room, noise, a telephone; and how often a dictionary knows more than so little speech could teach."""

    room: float = 0.35
    noise: float = 0.3
    telephone: float = 0.05
    knowing: float = 0.6


@dataclass(frozen=True, slots=True, eq=False)
class Lessons:
    """Mixtures of equal length and number of voices, at RMS 1, in half precision.

    ``sounds`` ``(lessons, 1 + voices, samples)``: the mixture, then its voices, which add up to it but for noise. ``parts``
    ``(lessons, voices, bins, frames)``: how dictionaries explain the mixture. ``faces`` ``(lessons, voices, bins)``.
    """

    sounds: Tensor
    parts: Tensor
    faces: Tensor

    def __len__(self) -> int:
        return len(self.sounds)

    def of(self, chosen: Sequence[int]) -> Lessons:
        """Some of them."""
        rows = torch.tensor(chosen)
        return Lessons(self.sounds[rows], self.parts[rows], self.faces[rows])


def joined(several: Sequence[Lessons]) -> Lessons:
    """All of them as one."""
    return Lessons(*(torch.cat([getattr(one, name) for one in several]) for name in ("sounds", "parts", "faces")))


@torch.inference_mode()
def lesson(teacher: DictionarySeparator, mixture: Samples, voices: Samples, dictionaries: Sequence[Tensor]) -> Lessons:
    """One lesson: ``mixture`` ``(samples,)`` of ``voices`` ``(voices, samples)``, explained by a dictionary for each."""
    level = max(float(np.sqrt(np.mean(np.square(mixture, dtype=np.float64)))), 1e-9)
    sounds = (np.concatenate([mixture[None], voices]) / level).astype(np.float16)
    parts = teacher.parts(teacher.spectra(sounds[0].astype(np.float32)).abs(), dictionaries)
    faces = torch.stack([face(dictionary) for dictionary in dictionaries])
    return Lessons(torch.from_numpy(sounds)[None], parts[None].half().cpu(), faces[None].half().cpu())


def missed(refiner: Refiner, teacher: DictionarySeparator, given: Lessons, *, half: bool = False, colour: Tensor | None = None) -> Tensor:
    """What the refiner gets wrong in each lesson: negative SNR in dB, ``(lessons,)``.

    With ``half``, it thinks in bfloat16. ``colour`` is a gain for each lesson's bins, ``(lessons, bins)``: another microphone.
    """
    where = refiner.trust.device
    spectra = torch.stack([torch.stack([teacher.spectra(row.float().numpy()) for row in rows]) for rows in given.sounds]).to(where)
    parts, faces = given.parts.to(where).float(), given.faces.to(where).float()
    if colour is not None:
        spectra, parts = spectra * colour[:, None, :, None], parts * colour[:, None, :, None]
        faces = (faces.exp() * colour.unsqueeze(1)).log()
    with torch.autocast(where.type, torch.bfloat16, enabled=half):
        masks = refiner(spectra[:, 0].abs(), parts, faces)
    return unlike(spectra[:, 0], masks.float(), spectra[:, 1:])


def people(data: Path) -> dict[str, list[Samples]]:
    """Utterances by speaker; those too short for a mixture and a dictionary are left out."""
    found: dict[str, list[Samples]] = {}
    for one in recorded(data):
        samples = one.utterance(RATE).audio.samples
        if len(samples) >= (SECONDS + LEAST) * RATE * 1.15:
            found.setdefault(one.speaker, []).append(samples)
    return found


def shards(speakers: Mapping[str, Sequence[Samples]], folder: Path, count: int, seed: int) -> Iterator[Path]:
    """Files of `SHARD` lessons each, ``count`` in all; what is there already is not made again."""
    folder.mkdir(parents=True, exist_ok=True)
    seats: list[tuple[Samples, Samples]] = []
    for number in range(-(-count // SHARD)):
        path = folder / f"lessons-{seed}-{number:04d}.safetensors"
        if not path.exists():
            seats = seats or _seats(np.random.default_rng(seed))
            rng = np.random.default_rng((seed, number))
            made = joined([_drawn(speakers, seats, rng, Chances()) for _ in range(SHARD)])
            fresh = path.with_suffix(f".{os.getpid()}.part")
            save_file({"sounds": made.sounds, "parts": made.parts, "faces": made.faces}, fresh)
            os.replace(fresh, path)
        yield path


def opened(paths: Sequence[Path]) -> Lessons:
    """The lessons in these files."""
    return joined([Lessons(**load_file(path)) for path in paths])


def _seats(rng: np.random.Generator) -> list[tuple[Samples, Samples]]:
    found = [responses(drawn(rng, (0.4, 2.0)), ("a", "b"), RATE, rng) for _ in range(ROOMS)]
    return [(one["a"], one["b"]) for one in found]


def _drawn(
    speakers: Mapping[str, Sequence[Samples]], seats: Sequence[tuple[Samples, Samples]], rng: np.random.Generator, odds: Chances
) -> Lessons:
    """One mixture of two people, with dictionaries of what else they say."""
    pair = rng.choice(sorted(speakers), 2, replace=False)
    room = seats[int(rng.integers(len(seats)))] if rng.random() < odds.room else None
    phone = rng.random() < odds.telephone
    spoken: list[tuple[Samples, list[Samples]]] = []
    for index, name in enumerate(pair):
        own = speakers[name]
        samples = _at_speed(own[int(rng.integers(len(own)))], float(rng.uniform(0.88, 1.12)))
        samples = reverberated(samples, room[index]) if room is not None else samples
        samples = telephoned(samples, RATE) if phone else samples
        spoken.append(_cut(samples, rng, odds))
    first, second = (segment for segment, _ in spoken)
    second = second * np.float32(10 ** (rng.uniform(-5, 5) / 20) * np.linalg.norm(first) / max(float(np.linalg.norm(second)), 1e-6))
    voices = np.stack([first, second])
    mixture = voices.sum(axis=0)
    if rng.random() < odds.noise:
        mixture = mixture + pink(len(mixture), RATE, rng) * np.float32(mixture.std() * 10 ** (-rng.uniform(12, 35) / 20))
    teacher = DictionarySeparator(seed=int(rng.integers(2**31)))
    known = [teacher.dictionary(name, [Audio(clip, RATE) for clip in clips]) for name, (_, clips) in zip(pair, spoken, strict=True)]
    return lesson(teacher, mixture.astype(np.float32), voices, known)


def _cut(samples: Samples, rng: np.random.Generator, odds: Chances) -> tuple[Samples, list[Samples]]:
    """A stretch for the mixture, and the rest to learn from.

    Somebody heard for a minute has said most sounds at most pitches. An utterance of fifteen seconds has not; so often a piece
    of the mixture's own voice, at another speed, is told as well, for dictionaries as good as longer speech would make them.
    """
    length = round(SECONDS * RATE)
    start = int(rng.integers(len(samples) - length + 1))
    segment = samples[start : start + length]
    rest = [clip for clip in (samples[:start], samples[start + length :]) if len(clip) > RATE // 10]
    if rng.random() < odds.knowing:
        size = int(length * rng.uniform(0.2, 1.0))
        begin = int(rng.integers(length - size + 1))
        speed = float(rng.choice([-1, 1]) * rng.uniform(0.08, 0.12) + 1)
        rest.append(_at_speed(segment[begin : begin + size], speed))
    return segment, rest


def _at_speed(samples: Samples, speed: float) -> Samples:
    return resample(Audio(samples, round(RATE * speed)), RATE).samples
