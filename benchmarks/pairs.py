"""Pairs of real voices: mixtures with their truth, and what is known of each speaker from elsewhere."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from meetsplit.pipeline.audio.media_types import AUDIO_SUFFIXES
from meetsplit.pipeline.audio.reading import read
from meetsplit.pipeline.data import Audio, Samples

RATE = 16_000
LEVELS = (-3.0, 0.0, 3.0)


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A mixture, its two true voices, and what is known of each speaker."""

    mixture: Audio
    truth: tuple[Samples, Samples]
    enrollment: Mapping[str, Sequence[Audio]]
    same_sex: bool


def voices(data: Path) -> dict[str, list[Audio]]:
    """Utterances by speaker: the folders right below ``data``."""
    folders = sorted(folder for folder in data.iterdir() if folder.is_dir())
    found = {
        f.name: [read(file, RATE) for file in sorted(f.rglob("*")) if file.suffix.lower() in AUDIO_SUFFIXES]
        for f in folders
    }
    return {speaker: utterances for speaker, utterances in found.items() if len(utterances) > 1}


def cases(
    utterances: Mapping[str, Sequence[Audio]], sexes: Mapping[str, str], *, enrol: float, each: int, seed: int
) -> Iterator[Case]:
    """``each`` mixtures for every pair, from one utterance of each; the seed alone draws, so every ``enrol`` hears the same mixtures."""
    for number, pair in enumerate(itertools.combinations(sorted(utterances), 2)):
        draw = np.random.default_rng((seed, number))
        picks = [int(draw.integers(len(utterances[speaker]))) for speaker in pair]
        enrollment = {
            speaker: enrolment(utterances[speaker], pick, enrol) for speaker, pick in zip(pair, picks, strict=True)
        }
        for _ in range(each):
            spoken = [utterances[speaker][pick].samples for speaker, pick in zip(pair, picks, strict=True)]
            length = min(round(draw.uniform(2.0, 6.0) * RATE), *(len(samples) for samples in spoken))
            starts = [int(draw.integers(len(samples) - length + 1)) for samples in spoken]
            first, second = (samples[start : start + length] for samples, start in zip(spoken, starts, strict=True))
            gain = 10 ** (-draw.choice(LEVELS) / 20) * np.linalg.norm(first) / max(float(np.linalg.norm(second)), 1e-9)
            second = (second * gain).astype(np.float32)
            same = sexes.get(pair[0], "?") == sexes.get(pair[1], "!")
            yield Case(Audio(first + second, RATE), (first, second), enrollment, same)


def enrolment(utterances: Sequence[Audio], without: int, seconds: float) -> list[Audio]:
    """Other utterances than ``without``, ``seconds`` in all, the last one cut."""
    clips: list[Audio] = []
    left = round(seconds * RATE)
    for index, utterance in enumerate(utterances):
        if index != without and left > 0:
            clips.append(Audio(utterance.samples[:left], RATE))
            left -= len(clips[-1].samples)
    return clips


def some(given: Sequence[Case], pairs: int | None) -> Sequence[Case]:
    """The cases of ``pairs`` pairs of speakers, evenly from all; of every pair for None."""
    names = list(dict.fromkeys(tuple(case.enrollment) for case in given))
    if pairs is None or pairs >= len(names):
        return given
    kept = {names[index * len(names) // pairs] for index in range(pairs)}
    return [case for case in given if tuple(case.enrollment) in kept]
