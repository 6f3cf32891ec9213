"""The same people across recordings: voices of several meetings in groups, by how alike they sound.

Average linkage: the two groups whose voices score highest on average become one, again and again, while that average
is a confirmation (`Calibration.confirmed`). So a voice joins all of a group, not the one in it that it happens to be
like: chains of likeness link nobody. Two people of one meeting, and two who have different names, are never linked.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.data import Speaker
from meetsplit.speakers.voiceprints import VoiceEmbeddings, VoiceScorer


@dataclass(frozen=True, slots=True, eq=False)
class MeetingVoice:
    """A person of a meeting, by number: the ``labels`` (several with one name are one person), ``name`` and voice."""

    meeting: int
    labels: tuple[Speaker, ...]
    name: str | None
    voice: VoiceEmbeddings


@dataclass(frozen=True, slots=True)
class LinkedVoices:
    """Groups of voices by their numbers, each with at least one, in order of the first.

    ``scores`` has a row and a column per voice (`VoiceScorer.score`; NaN for a voice without embeddings).
    """

    groups: tuple[tuple[int, ...], ...]
    scores: npt.NDArray[np.float64]

    def score(self, one: Sequence[int], other: Sequence[int]) -> float | None:
        """The mean score of the voices of one group with those of another; None where there is none."""
        pairs = [self.scores[a, b] for a in one for b in other if a != b]
        return float(np.mean(pairs)) if pairs and np.all(np.isfinite(pairs)) else None


def link_voices(voices: Sequence[MeetingVoice], scorer: VoiceScorer) -> LinkedVoices:
    """The voices in groups of one person each, see the module."""
    embeddings = [one.voice for one in voices]
    linked = LinkedVoices(tuple((number,) for number in range(len(voices))), scorer.matrix(embeddings, embeddings))
    while True:
        candidates = [
            (score, first, second)
            for first, second in itertools.combinations(linked.groups, 2)
            if may_be_one([voices[number] for number in (*first, *second)])
            and (score := linked.score(first, second)) is not None
            and score >= scorer.calibration.confirmed
        ]
        if not candidates:
            return linked
        _, first, second = max(candidates, key=lambda one: (one[0], *(-number for number in (*one[1], *one[2]))))
        rest = (group for group in linked.groups if group not in (first, second))
        linked = LinkedVoices(tuple(sorted((*rest, tuple(sorted((*first, *second)))))), linked.scores)


def may_be_one(voices: Sequence[MeetingVoice]) -> bool:
    """Whether voices can be one person's: each of another meeting, and no two different names."""
    meetings = [one.meeting for one in voices]
    return len(set(meetings)) == len(meetings) and len({one.name for one in voices if one.name is not None}) < 2
