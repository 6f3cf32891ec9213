"""Training mixtures for the refiner with short dictionaries: made once, kept in shards, resumed after a kill."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import MappingProxyType

import numpy as np
from safetensors.torch import load_file, save_file
from torch import Tensor

from meetsplit.pipeline.audio.resampling import resample
from meetsplit.pipeline.data import Audio, Samples, Speaker
from meetsplit.pipeline.separators.adapted_mixtures import MixtureBatch, concatenate, make_mixture
from meetsplit.pipeline.separators.adapted_speech import SpeakerSpeech
from meetsplit.pipeline.separators.dictionary import DictionarySeparator
from meetsplit.training.acoustics import impulse_responses, pink_noise, random_room, reverberate, telephone_band
from meetsplit.training.speech import find_utterances, without_pauses
from meetsplit.training.vocal_tract import warp_formants

RATE = 16_000
SECONDS = 3.0
"""Length of a mixture, and of the excerpts that shorter ones are cut from."""

MIN_ENROLLMENT = 3.0
"""Seconds of a speaker's speech outside the mixture that a dictionary needs at least."""

MAX_PAUSE = 0.3
"""Seconds of silence that are kept as part of the speech; longer pauses are removed: nothing overlaps in them."""

MAX_SPEED_UP = 1.15
"""Factor by which utterances must be longer than needed, as speed perturbation shortens them by up to 12 %."""

SHARD_SIZE = 50
"""Mixtures in a file."""

PLACES = 4
"""Random places of which the loudest is taken for a mixture shorter than `SECONDS`."""

ROOM_COUNT = 40
"""Rooms that are simulated, with two speakers each."""

RoomResponses = tuple[Samples, Samples]
"""The impulse responses of two speakers in one room."""


@dataclass(frozen=True, slots=True)
class AugmentationProbabilities:
    """The shares of mixtures with a room, noise, and a telephone band."""

    room: float = 0.35
    noise: float = 0.3
    telephone: float = 0.05


PROBABILITIES = AugmentationProbabilities()


@dataclass(frozen=True, slots=True)
class LessonKind:
    """How mixtures are drawn.

    They are ``seconds`` long, at most `SECONDS`; a dictionary is made of at most so many seconds as are drawn from
    ``enrollment`` for each voice; one voice is up to ``level`` dB louder than the other. ``warp`` is by how much the
    vocal tract of half of the voices is made longer or shorter, at most: other people with the same pitch.

    Of each pair of speakers ``per_pair`` mixtures are drawn. Where they are several, all are estimated by smaller
    dictionaries (`DictionarySeparator.quicker`) of what the two say outside the mixture, as an adaptation does it: many
    more mixtures are made in the same time.
    """

    seconds: float = SECONDS
    enrollment: tuple[float, float] = (10.0, 60.0)
    level: float = 5.0
    warp: float = 0.0
    per_pair: int = 1


LESSON_KINDS: Mapping[str, LessonKind] = MappingProxyType(
    {
        "long": LessonKind(),
        "meeting": LessonKind(enrollment=(6.0, 40.0), level=8.0, warp=0.12),
        "second": LessonKind(seconds=1.0, enrollment=(8.0, 20.0)),
        "half-second": LessonKind(seconds=0.5, enrollment=(8.0, 20.0)),
        "pairs": LessonKind(seconds=2.5, enrollment=(6.0, 40.0), level=8.0, warp=0.12, per_pair=10),
    }
)
"""``long`` is what the first shipped weights were made of; ``meeting`` is as uneven, and people as little known, as
overlaps of meetings are; ``pairs`` is the same, and cheap; the others are exams of short overlaps."""


def read_speakers(folder: Path) -> dict[Speaker, list[Samples]]:
    """Utterances by speaker without long pauses; only speakers with enough for a mixture and a dictionary."""
    speakers: dict[Speaker, list[Samples]] = {}
    for file in find_utterances(folder):
        speech = without_pauses(file.read(RATE).audio, MAX_PAUSE)
        if len(speech):
            speakers.setdefault(file.speaker, []).append(speech)
    return {name: clips for name, clips in speakers.items() if _has_enough(clips)}


def _has_enough(clips: Sequence[Samples]) -> bool:
    longest = max(map(len, clips))
    total = sum(map(len, clips))
    min_total = (SECONDS + MIN_ENROLLMENT) * RATE * MAX_SPEED_UP
    return longest >= SECONDS * RATE * MAX_SPEED_UP and total >= min_total


def make_shards(
    speakers: Mapping[Speaker, Sequence[Samples]], folder: Path, count: int, seed: int, kind: LessonKind = LessonKind()
) -> Iterator[Path]:
    """Files of `SHARD_SIZE` mixtures each, ``count`` in all; files that exist are not made again."""
    folder.mkdir(parents=True, exist_ok=True)
    rooms: list[RoomResponses] = []
    for number in range(-(-count // SHARD_SIZE)):
        path = folder / f"lessons-{seed}-{number:04d}.safetensors"
        if not path.exists():
            rooms = rooms or _random_rooms(np.random.default_rng(seed))
            rng = np.random.default_rng((seed, number))
            mixtures = concatenate(list(islice(_random_mixtures(speakers, rooms, kind, rng), SHARD_SIZE)))
            part = path.with_suffix(f".{os.getpid()}.part")
            save_file(_to_tensors(mixtures), part)
            os.replace(part, path)
        yield path


def load(paths: Sequence[Path]) -> MixtureBatch:
    """The mixtures in files of `make_shards`."""
    return concatenate([_from_tensors(load_file(path)) for path in paths])


def _to_tensors(mixtures: MixtureBatch) -> dict[str, Tensor]:
    """The content of a shard; its names are those of version 0.1.0."""
    return {"sounds": mixtures.waveforms, "parts": mixtures.estimates, "faces": mixtures.profiles}


def _from_tensors(tensors: Mapping[str, Tensor]) -> MixtureBatch:
    return MixtureBatch(tensors["sounds"], tensors["parts"], tensors["faces"])


def _random_rooms(rng: np.random.Generator) -> list[RoomResponses]:
    rooms = []
    for _ in range(ROOM_COUNT):
        responses = impulse_responses(random_room(rng, (0.4, 2.0)), ("a", "b"), RATE, rng)
        rooms.append((responses["a"], responses["b"]))
    return rooms


@dataclass(frozen=True, slots=True)
class _Voice:
    """A speaker's excerpt in a mixture, and other speech of the same speaker for a dictionary."""

    excerpt: Samples
    enrollment: Sequence[Samples]


def _random_mixtures(
    speakers: Mapping[Speaker, Sequence[Samples]],
    rooms: Sequence[RoomResponses],
    kind: LessonKind,
    rng: np.random.Generator,
) -> Iterator[MixtureBatch]:
    """Mixtures of random pairs of speakers, without end."""
    while True:
        pair = _random_pair(speakers, rooms, kind, rng)
        if kind.per_pair == 1:
            voices = {name: _split_excerpt(clips, kind, limit, rng) for name, clips, limit in pair}
            yield _separate_mixture(voices, kind, rng)
        else:
            length = round(kind.seconds * RATE)
            yield from _mixtures_of_pair([_first_samples(clips, limit + length) for _, clips, limit in pair], kind, rng)


def _random_pair(
    speakers: Mapping[Speaker, Sequence[Samples]],
    rooms: Sequence[RoomResponses],
    kind: LessonKind,
    rng: np.random.Generator,
) -> Iterator[tuple[Speaker, list[Samples], int]]:
    """Two speakers, clips of each, and how many samples a dictionary may have of each. Who has more utterances is drawn
    more often. The second one's clips are drawn when they are asked for.
    """
    names = sorted(speakers)
    weights = np.sqrt([len(speakers[name]) for name in names])
    pair = rng.choice(names, 2, replace=False, p=weights / weights.sum())
    room = rooms[int(rng.integers(len(rooms)))] if rng.random() < PROBABILITIES.room else None
    telephone = rng.random() < PROBABILITIES.telephone
    for index, name in enumerate(pair):
        response = room[index] if room else None
        change = _random_change(kind, rng)
        limit = round(rng.uniform(*kind.enrollment) * RATE)
        picked = _pick_utterances(speakers[name], limit, rng)
        yield name, [_apply_channel(change(clip), response, telephone) for clip in picked], limit


def _separate_mixture(voices: Mapping[Speaker, _Voice], kind: LessonKind, rng: np.random.Generator) -> MixtureBatch:
    """A mixture of two excerpts, estimated by dictionaries of their own."""
    first, second = (voice.excerpt for voice in voices.values())
    stems, mixture = _mixed(first, second, kind, rng)
    separator = DictionarySeparator(seed=int(rng.integers(2**31)))
    dictionaries = [
        separator.dictionary(name, [Audio(clip, RATE) for clip in voice.enrollment]) for name, voice in voices.items()
    ]
    return make_mixture(separator, mixture, stems, dictionaries)


def _mixtures_of_pair(
    clips: Sequence[Sequence[Samples]], kind: LessonKind, rng: np.random.Generator
) -> Iterator[MixtureBatch]:
    """Mixtures of two speakers' clips, each estimated by smaller dictionaries of what the two say elsewhere."""
    separator = DictionarySeparator(seed=int(rng.integers(2**31))).quicker()
    speech = [SpeakerSpeech.from_clips([Audio(clip, RATE) for clip in own], separator) for own in clips]
    for _ in range(kind.per_pair):
        first, second = (voice.excerpt(rng, seconds=kind.seconds) for voice in speech)
        stems, mixture = _mixed(first.samples, second.samples, kind, rng)
        dictionaries = [voice.dictionary_for(own) for voice, own in zip(speech, (first, second), strict=True)]
        yield make_mixture(separator, mixture, stems, dictionaries)


def _mixed(first: Samples, second: Samples, kind: LessonKind, rng: np.random.Generator) -> tuple[Samples, Samples]:
    """Both excerpts at a random difference of level, ``(2, samples)``, and their sum, some with noise."""
    level = 10 ** (rng.uniform(-kind.level, kind.level) / 20)
    second = second * np.float32(level * np.linalg.norm(first) / max(float(np.linalg.norm(second)), 1e-6))
    stems = np.stack([first, second])
    mixture = stems.sum(axis=0)
    if rng.random() < PROBABILITIES.noise:
        noise = pink_noise(len(mixture), RATE, rng)
        mixture = mixture + noise * np.float32(mixture.std() * 10 ** (-rng.uniform(12, 35) / 20))
    return stems, mixture.astype(np.float32)


def _pick_utterances(clips: Sequence[Samples], limit: int, rng: np.random.Generator) -> list[Samples]:
    """Utterances of a speaker: one long enough for a mixture, then others for about ``limit`` samples of dictionary."""
    long_enough = [number for number, clip in enumerate(clips) if len(clip) >= SECONDS * RATE * MAX_SPEED_UP]
    first = int(rng.choice(long_enough))
    picked = [clips[first]]
    for number in rng.permutation(len(clips)).tolist():
        if number != first and sum(map(len, picked)) < limit + SECONDS * RATE:
            picked.append(clips[number])
    return picked


def _random_change(kind: LessonKind, rng: np.random.Generator) -> Callable[[Samples], Samples]:
    """A random speed, and for half of the voices of a kind with ``warp`` another length of the vocal tract."""
    speed = float(rng.uniform(0.88, 1.12))
    warp = 1.0
    if kind.warp > 0.0 and rng.random() < 0.5:
        warp = float(rng.uniform(1.0 - kind.warp, 1.0 + kind.warp))

    def change(samples: Samples) -> Samples:
        changed = _change_speed(samples, speed)
        return changed if warp == 1.0 else warp_formants(changed, RATE, warp)

    return change


def _apply_channel(samples: Samples, response: Samples | None, telephone: bool) -> Samples:
    """The samples with the room's reverberation and the telephone's band."""
    reverberant = samples if response is None else reverberate(samples, response)
    return telephone_band(reverberant, RATE) if telephone else reverberant


def _split_excerpt(clips: Sequence[Samples], kind: LessonKind, limit: int, rng: np.random.Generator) -> _Voice:
    """A random excerpt of the first clip for the mixture; the rest, ``limit`` samples at most, is for the dictionary.

    Of a shorter excerpt, the loudest of a few places in those seconds is taken: in an overlap both speak.
    """
    first = clips[0]
    length = round(SECONDS * RATE)
    start = int(rng.integers(len(first) - length + 1))
    rest = [first[:start], first[start + length :], *clips[1:]]
    excerpt = _loudest_part(first[start : start + length], round(kind.seconds * RATE), rng)
    return _Voice(excerpt, _first_samples([clip for clip in rest if len(clip) > RATE // 10], limit))


def _loudest_part(samples: Samples, length: int, rng: np.random.Generator) -> Samples:
    """The loudest of `PLACES` random parts of so many samples; all of them where there are no more."""
    if length >= len(samples):
        return samples
    starts = rng.integers(len(samples) - length + 1, size=PLACES)
    return max((samples[start : start + length] for start in starts), key=np.linalg.norm)


def _first_samples(clips: Sequence[Samples], limit: int) -> list[Samples]:
    """The clips up to ``limit`` samples in all, the last one cut."""
    taken: list[Samples] = []
    for clip in clips:
        if limit >= RATE // 10:
            taken.append(clip[:limit])
            limit -= len(taken[-1])
    return taken


def _change_speed(samples: Samples, speed: float) -> Samples:
    return resample(Audio(samples, round(RATE * speed)), RATE).samples
