"""Merging of people who are one person: by the similarity of their voices, and where that does not decide it, by the
likelihood of their voices and by what the segmentation hears.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.diarizers.clustering import Floats, normalize_rows
from meetsplit.pipeline.diarizers.local_activity import LocalActivity, SpeakerSeconds
from meetsplit.pipeline.diarizers.voice_model import SPEECH, same_person_log_ratio

SAME_PERSON = 0.68
"""Cosine of two people's means down to which they are one: on recordings for tuning the halves of one person's speech
are at 0.73 or more, two people at 0.61 or less."""

SAME_GROUP = (0.77, SAME_PERSON)
"""The same before anything is decoded, of little speech and of much (`SPEECH`). Groups of a few seconds are better told
apart once it is decoded who speaks when; in much speech that leaves people in two."""

PERHAPS_SAME = 0.64
"""Cosine of two people's means from which they are one where `OnePersonTest` says so, too."""

MIN_LOG_RATIO = -15.0
"""`same_person_log_ratio` from which the voices of two people could be one: in half minutes for tuning, most people who
were really two had less than -50."""

MIN_TOGETHER = 0.6
"""Seconds which the segmentation takes for one local speaker's, at least, for two people to be one."""

MAX_APART = 0.05
"""Share of the speech of two people in the same window that the segmentation takes for two local speakers', at most."""

ALIKE = 0.6
"""Cosine of two people's means from which their voices could be one: a little less than `SAME_PERSON`. It is no test of
who was split in two: on simulated meetings for tuning those are at 0.39 to 0.5, where different people are as well.
"""

Group = Sequence[int]
"""Numbers of people who have been found to be one."""


def same_group(speech: float) -> float:
    """`SAME_GROUP` for so many seconds of speech."""
    return float(np.interp(speech, SPEECH, SAME_GROUP))


@dataclass(frozen=True, eq=False)
class OnePersonTest:
    """Whether two people of similar voices are one, by the likelihood of their voices and by the segmentation.

    ``own`` ``(windows, people)`` says how much each voice window is each person's, ``features`` are the windows' ones,
    ``between`` the voice model's variances. Voice windows begin every ``step`` seconds.
    """

    own: Floats
    features: npt.NDArray[np.floating]
    between: Floats
    local: LocalActivity
    step: float

    @cached_property
    def _seconds(self) -> SpeakerSeconds:
        nearest = np.clip(np.rint(self.local.times / self.step).astype(np.int64), 0, len(self.own) - 1)
        shares = (self.own / np.maximum(self.own.sum(axis=1, keepdims=True), 1e-9)).astype(np.float32)
        return self.local.speaker_seconds(shares[nearest])

    def __call__(self, first: Group, second: Group) -> bool:
        """Whether these two groups are one person."""
        together, apart = self._seconds.together_and_apart(first, second)
        if together < MIN_TOGETHER or apart > MAX_APART * (together + apart):
            return False
        (mean_1, rows_1), (mean_2, rows_2) = self._mean(first), self._mean(second)
        return same_person_log_ratio(mean_1, mean_2, (rows_1, rows_2), self.between) >= MIN_LOG_RATIO

    def _mean(self, group: Group) -> tuple[Floats, float]:
        """A group's mean features, and how many rows it has."""
        weights = self.own[:, group].sum(axis=1)
        total = float(weights.sum())
        return np.asarray(weights @ self.features / max(total, 1e-9), np.float64), total


def merge_alike(
    responsibilities: Floats,
    rows: npt.NDArray[np.float32],
    row_weights: Floats,
    bounds: tuple[int, int],
    *,
    same_person: float = SAME_PERSON,
    is_one: Callable[[Group, Group], bool] | None = None,
) -> Floats:
    """Responsibilities ``(n, people)`` after the people most alike are made one, again and again.

    Alike are those whose mean unit rows (`directions`) have a cosine of ``same_person``, or of `PERHAPS_SAME` where
    ``is_one`` says so. Never below the least number of ``bounds``, and further to the greatest.
    """
    fewest, most = bounds
    sums = np.asarray((responsibilities * row_weights[:, None]).T.astype(np.float32) @ rows, np.float64)
    groups = [[person] for person in range(len(sums))]
    while len(groups) > fewest:
        pairs = _by_similarity(sums)
        alike = (
            (kept, absorbed)
            for kept, absorbed, similarity in pairs
            if similarity >= same_person
            or (is_one is not None and similarity >= PERHAPS_SAME and is_one(groups[kept], groups[absorbed]))
        )
        pair = next(alike, None)
        if pair is None:
            if len(groups) <= most:
                break
            pair = pairs[0][:2]
        kept, absorbed = pair
        groups[kept] += groups.pop(absorbed)
        sums[kept] += sums[absorbed]
        sums = np.delete(sums, absorbed, axis=0)
    return np.stack([responsibilities[:, group].sum(axis=1) for group in groups], axis=1)


def _by_similarity(sums: Floats) -> list[tuple[int, int, float]]:
    """All pairs of rows and the cosine of each, the most similar first."""
    means = normalize_rows(sums)
    similarities = means @ means.T
    first, second = np.triu_indices(len(means), 1)
    order = np.argsort(-similarities[first, second], kind="stable")
    return [(int(first[n]), int(second[n]), float(similarities[first[n], second[n]])) for n in order]


def alike_pairs(own_weights: Floats, rows: npt.NDArray[np.float32]) -> tuple[tuple[int, int], ...]:
    """Pairs of people whose mean unit rows (`directions`) are as near as `ALIKE`, the nearest first.

    ``own_weights`` ``(n, people)`` says how much each row counts for each; who has none is like no one.
    """
    sums = np.asarray(own_weights.T.astype(np.float32) @ rows, np.float64)
    return tuple((first, second) for first, second, similarity in _by_similarity(sums) if similarity >= ALIKE)
