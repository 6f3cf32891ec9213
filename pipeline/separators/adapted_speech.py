"""Clean speech of a meeting's speakers, and the training mixtures that an adaptation draws from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from meetsplit.pipeline.data import Audio, Samples, Speaker
from meetsplit.pipeline.separators.adapted_mixtures import (
    MixtureBatch,
    SpeakerGroup,
    at_random_levels,
    make_mixture,
    random_excerpt,
    weighted_round_robin,
)
from meetsplit.pipeline.separators.dictionary import DictionarySeparator, Exemplars

MIXTURE_SECONDS = 2.0
"""Length of a training mixture."""

EXCLUSION_MARGIN = 0.25
"""Seconds around a training excerpt whose exemplars are excluded from its speaker's dictionary."""

TRAIN_SHARE = 0.8
"""The share of each speaker's clean speech, and of the training mixtures, that trains while the rest validates."""

WHOLE, TRAINING, VALIDATION = (0.0, 1.0), (0.0, TRAIN_SHARE), (TRAIN_SHARE, 1.0)
"""Where parts of a speaker's speech begin and end, as shares of its length."""


@dataclass(frozen=True, slots=True, eq=False)
class Excerpt:
    """Samples of one speaker for a mixture, and where they lie in that speaker's speech, in seconds."""

    samples: Samples
    start: float
    end: float


@dataclass(frozen=True, slots=True, eq=False)
class SpeakerSpeech:
    """The clean speech of one speaker end to end, at ``rate`` Hz, and its exemplars."""

    samples: Samples
    rate: int
    exemplars: Exemplars

    @classmethod
    def from_clips(cls, clips: Sequence[Audio], separator: DictionarySeparator) -> SpeakerSpeech:
        """The clips one after another, with the exemplars that the separator takes of them."""
        samples = np.concatenate([clip.samples for clip in clips])
        return cls(samples, separator.rate, separator.exemplars([Audio(samples, separator.rate)]).normalized())

    @property
    def is_silent(self) -> bool:
        """Whether there is nothing to make a dictionary of."""
        return len(self.exemplars.magnitudes) == 0

    def excerpt(
        self, rng: np.random.Generator, part: tuple[float, float] = WHOLE, seconds: float = MIXTURE_SECONDS
    ) -> Excerpt:
        """A random excerpt of a part of the speech."""
        begin, end = (round(share * len(self.samples)) for share in part)
        length = round(seconds * self.rate)
        start, samples = random_excerpt(self.samples[begin:end], length, rng)
        first = begin + start
        return Excerpt(samples, first / self.rate, (first + min(length, end - begin)) / self.rate)

    def dictionary_for(self, excerpt: Excerpt) -> Tensor:
        """A dictionary ``(exemplars, context, bins)`` of the speech away from the excerpt; of all speech where nothing
        is left.
        """
        exemplars = self.exemplars.outside(excerpt.start, excerpt.end, EXCLUSION_MARGIN)
        return exemplars if len(exemplars) else self.exemplars.magnitudes


@dataclass(frozen=True, slots=True, eq=False)
class MeetingMixtures:
    """Mixtures of a meeting's speakers, the most-overlapped groups most, drawn at random from their clean speech."""

    separator: DictionarySeparator
    overlap_seconds: Mapping[SpeakerGroup, float]
    speech: Mapping[Speaker, SpeakerSpeech]

    @property
    def speakers(self) -> int:
        """How many speakers have a dictionary."""
        return len(self.speech)

    def drawn(self, count: int, rng: np.random.Generator, *, training: bool) -> Iterator[MixtureBatch]:
        """``count`` mixtures of the speech that trains, or of the speech that validates."""
        for group in weighted_round_robin(self.overlap_seconds, count):
            group_speech = [self.speech[speaker] for speaker in group]
            excerpts = [speech.excerpt(rng, TRAINING if training else VALIDATION) for speech in group_speech]
            dictionaries = [
                speech.dictionary_for(excerpt) for speech, excerpt in zip(group_speech, excerpts, strict=True)
            ]
            voices = at_random_levels(np.stack([excerpt.samples for excerpt in excerpts]), rng)
            yield make_mixture(self.separator, voices.sum(axis=0), voices, dictionaries)
