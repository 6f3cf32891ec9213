"""Mixtures of two real voices with their stems, and enrollment of both speakers from other utterances."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from meetsplit.pipeline.audio.reading import read
from meetsplit.pipeline.data import Audio, Samples
from meetsplit.training.speech import audio_files

RATE = 16_000
LEVELS = (-3.0, 0.0, 3.0)
"""Levels of the first voice over the second in dB."""

SECONDS = (2.0, 6.0)
"""Range of a mixture's length."""


TRIES = 4
"""Random excerpts of which the loudest is taken for a mixture of a given length."""


@dataclass(frozen=True, slots=True, eq=False)
class TwoSpeakerMixture:
    """A mixture, its two true voices, and enrollment of each speaker, in the order of the voices."""

    mixture: Audio
    voices: tuple[Samples, Samples]
    enrollment: Mapping[str, Sequence[Audio]]
    same_sex: bool

    @property
    def speakers(self) -> tuple[str, ...]:
        """The names of the two speakers."""
        return tuple(self.enrollment)


def read_speakers(folder: Path) -> dict[str, list[Audio]]:
    """Utterances by speaker, for speakers with two or more: the folders right below ``folder``."""
    folders = sorted(path for path in folder.iterdir() if path.is_dir())
    utterances = {path.name: [read(file, RATE) for file in audio_files(path)] for path in folders}
    return {speaker: clips for speaker, clips in utterances.items() if len(clips) > 1}


def make_mixtures(
    utterances: Mapping[str, Sequence[Audio]],
    sexes: Mapping[str, str],
    *,
    seconds: float,
    each: int,
    seed: int,
    lengths: Sequence[float] = (),
) -> Iterator[TwoSpeakerMixture]:
    """``each`` mixtures for every pair of speakers, from one utterance of each, with ``seconds`` of enrollment.

    With ``lengths``, ``each`` of every length in seconds, where both speak throughout (`_spoken_excerpts`). The seed
    alone decides the mixtures: they are the same for any length of enrollment.
    """
    for pair, rng in _pairs(utterances, sexes, seconds, seed):
        clips = [utterances[speaker][pick].samples for speaker, pick in pair.picks.items()]
        for length in [length for length in lengths or (None,) for _ in range(each)]:
            voices = _random_excerpts(clips, rng) if length is None else _spoken_excerpts(clips, length, rng)
            yield pair.mixture(voices)


def spare_mixtures(
    utterances: Mapping[str, Sequence[Audio]],
    sexes: Mapping[str, str],
    *,
    seconds: float,
    each: int,
    seed: int,
    longest: float,
) -> Iterator[TwoSpeakerMixture]:
    """``each`` mixtures more for every pair of speakers, known as in `make_mixtures`.

    They are of random utterances that neither its mixtures are made of nor ``longest`` seconds of enrollment reach. A
    pair with a speaker who has no such utterance has none.
    """
    for number, (pair, _) in enumerate(_pairs(utterances, sexes, seconds, seed)):
        spare = [_spare_utterances(utterances[speaker], pick, longest) for speaker, pick in pair.picks.items()]
        rng = np.random.default_rng((seed, number, 1))
        for _ in range(each if all(spare) else 0):
            clips = [own[int(rng.integers(len(own)))].samples for own in spare]
            yield pair.mixture(_random_excerpts(clips, rng))


@dataclass(frozen=True, slots=True, eq=False)
class _Pair:
    """Two speakers: the number of an utterance of each, and their enrollment without these."""

    picks: Mapping[str, int]
    enrollment: Mapping[str, Sequence[Audio]]
    same_sex: bool

    def mixture(self, voices: tuple[Samples, Samples]) -> TwoSpeakerMixture:
        """The mixture of a voice of each."""
        return TwoSpeakerMixture(Audio(voices[0] + voices[1], RATE), voices, self.enrollment, self.same_sex)


def _pairs(
    utterances: Mapping[str, Sequence[Audio]], sexes: Mapping[str, str], seconds: float, seed: int
) -> Iterator[tuple[_Pair, np.random.Generator]]:
    """Every pair of speakers, with random utterances, and the generator that drew them."""
    for number, pair in enumerate(itertools.combinations(sorted(utterances), 2)):
        rng = np.random.default_rng((seed, number))
        picks = {speaker: int(rng.integers(len(utterances[speaker]))) for speaker in pair}
        enrollment = {speaker: enrollment_clips(utterances[speaker], pick, seconds) for speaker, pick in picks.items()}
        same_sex = sexes.get(pair[0], "?") == sexes.get(pair[1], "!")
        yield _Pair(picks, enrollment, same_sex), rng


def _spoken_excerpts(clips: Sequence[Samples], seconds: float, rng: np.random.Generator) -> tuple[Samples, Samples]:
    """An excerpt of each clip of so many ``seconds``, the loudest of a few random ones: short overlaps of real meetings
    have both people in them."""
    length = min(round(seconds * RATE), *(len(samples) for samples in clips))
    excerpts = []
    for samples in clips:
        starts = rng.integers(len(samples) - length + 1, size=TRIES)
        excerpts.append(max((samples[start : start + length] for start in starts), key=np.linalg.norm))
    return _at_random_level(excerpts[0], excerpts[1], rng)


def _random_excerpts(clips: Sequence[Samples], rng: np.random.Generator) -> tuple[Samples, Samples]:
    """An excerpt of each clip, equally long, the second one at a random level to the first."""
    length = min(round(rng.uniform(*SECONDS) * RATE), *(len(samples) for samples in clips))
    starts = [int(rng.integers(len(samples) - length + 1)) for samples in clips]
    first, second = (samples[start : start + length] for samples, start in zip(clips, starts, strict=True))
    return _at_random_level(first, second, rng)


def _at_random_level(first: Samples, second: Samples, rng: np.random.Generator) -> tuple[Samples, Samples]:
    """Both, the second at one of `LEVELS` below the first."""
    gain = 10 ** (-rng.choice(LEVELS) / 20) * np.linalg.norm(first) / max(float(np.linalg.norm(second)), 1e-9)
    return first, (second * gain).astype(np.float32)


def enrollment_clips(utterances: Sequence[Audio], without: int, seconds: float) -> list[Audio]:
    """Utterances other than number ``without``, ``seconds`` in all, the last one cut."""
    clips: list[Audio] = []
    missing = round(seconds * RATE)
    for index, utterance in enumerate(utterances):
        if index != without and missing > 0:
            clips.append(Audio(utterance.samples[:missing], RATE))
            missing -= len(clips[-1].samples)
    return clips


def _spare_utterances(utterances: Sequence[Audio], without: int, seconds: float) -> list[Audio]:
    """Utterances other than number ``without`` that ``seconds`` of enrollment do not reach."""
    reached = len(enrollment_clips(utterances, without, seconds))
    return [utterance for index, utterance in enumerate(utterances) if index != without][reached:]


def subset_of_pairs(mixtures: Sequence[TwoSpeakerMixture], count: int | None) -> Sequence[TwoSpeakerMixture]:
    """The mixtures of ``count`` pairs of speakers, evenly from all; of every pair for None."""
    pairs = list(dict.fromkeys(mixture.speakers for mixture in mixtures))
    if count is None or count >= len(pairs):
        return mixtures
    chosen = {pairs[index * len(pairs) // count] for index in range(count)}
    return [mixture for mixture in mixtures if mixture.speakers in chosen]
