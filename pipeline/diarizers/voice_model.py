"""Voice model: how much a speaker embedding varies within one person and between people, and what follows from it.

A two-covariance model (PLDA; Ioffe, 2006) in the space where the variance within a person is one in every direction:
an embedding is a person's own point, drawn with the variances `VoiceModel.between`, plus noise of variance 1. `vbx`
groups embeddings by it: a Gaussian mixture whose means are people, by variational Bayes, in which people who explain
too little disappear (Diez, Burget, Landini, Wang, Černocký, 2020; here without the Markov chain, since
`joint_decoding` has one).

Shapes: embeddings ``(n, dimension)``, features ``(n, directions)``, responsibilities ``(n, people)``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from safetensors import safe_open
from safetensors.numpy import save_file
from scipy.linalg import eigh
from scipy.special import softmax

from meetsplit.pipeline.diarizers.clustering import Floats, Ints, flat_labels, linkage, normalize_rows
from meetsplit.pipeline.errors import blame

VOICE_MODEL = Path(__file__).with_name("weights") / "voices-ge2e.safetensors"
"""The voice model of the GE2E encoder; the model card beside it says how it was made."""

ITERATIONS = 30
"""Iterations of `vbx` at most; most recordings need fewer than ten."""

MAX_CLUSTERED = 1500
"""Rows that `first_groups` links at most; of more, every second, third…"""

START_SIMILARITY = 0.65
"""Cosine down to which `first_groups` merges: so high that each person is several groups."""

MIN_GROUP = 3.0
"""Weight of rows below which a group is no start of a person."""

MOST_GROUPS = 15
"""Groups to start from, at most."""

SAME_PERSON = 0.68
"""Cosine of two people's means down to which they are one: on recordings for tuning the halves of one person's speech
are at 0.73 or more, two people at 0.61 or less."""

ALIKE = 0.6
"""Cosine of two people's means from which their voices could be one: a little less than `SAME_PERSON`. It is no test of
who was split in two: on simulated meetings for tuning those are at 0.39 to 0.5, where different people are as well.
"""

_CONVERGED = 1e-4
"""The greatest change of a person's share after which `vbx` ends."""

_LEAST_SHARE = 1e-3
"""Share of the rows below which `vbx` leaves a person out."""

_LEAST_WEIGHT = 0.05
"""What every row weighs in `first_groups`, at least."""

_SHARPNESS = 10.0
"""How much more a row belongs to the nearest of the first groups."""


@dataclass(frozen=True, slots=True, eq=False)
class VoiceModel:
    """The table of one encoder. ``encoder`` is its name, ``mean`` and ``center`` ``(dimension,)`` are taken off before
    and after embeddings get unit length, ``projection`` ``(dimension, directions)`` whitens, ``between``
    ``(directions,)`` are the variances between people, greatest first.
    """

    encoder: str
    mean: Floats
    center: Floats
    projection: Floats
    between: Floats

    def features(self, embeddings: npt.NDArray[np.floating]) -> Floats:
        """Embeddings where the variance within a person is one."""
        return np.asarray((normalize_rows(embeddings - self.mean) - self.center) @ self.projection, np.float64)

    @classmethod
    def load(cls, path: Path) -> Self:
        """From a file that `save` wrote. Raises `StageError` where it is none."""
        with blame("diarize", f"reading the voice model {path}"), safe_open(path, "np") as file:
            tables = [file.get_tensor(name).astype(np.float64) for name in ("mean", "center", "projection", "between")]
            return cls(file.metadata()["encoder"], *tables)

    def save(self, path: Path) -> None:
        """Write the tables as safetensors, in single precision."""
        tables = {name: getattr(self, name) for name in ("mean", "center", "projection", "between")}
        single = {name: np.ascontiguousarray(table, np.float32) for name, table in tables.items()}
        save_file(single, path, {"encoder": self.encoder})


def estimate_voice_model(
    encoder: str, embeddings: npt.NDArray[np.floating], people: Ints, *, directions: int = 128, shrinkage: float = 0.1
) -> VoiceModel:
    """The model of embeddings of known ``people`` (one number a row), at least two rows of each.

    The covariance within people is shrunk towards a round one by ``shrinkage``, since rows are few; that between
    people is the means' covariance less what the rows' noise adds to it.
    """
    mean = embeddings.mean(axis=0, dtype=np.float64)
    rows = normalize_rows(embeddings - mean)
    center = rows.mean(axis=0)
    rows -= center
    _, owners, counts = np.unique(people, return_inverse=True, return_counts=True)
    means = np.zeros((len(counts), rows.shape[1]))
    np.add.at(means, owners, rows)
    means /= counts[:, None]
    deviations = rows - means[owners]
    within = deviations.T @ deviations / (len(rows) - len(counts))
    between = np.cov(means.T) - within * np.mean(1.0 / counts)
    within = (1.0 - shrinkage) * within + shrinkage * np.trace(within) / len(within) * np.eye(len(within))
    variances, axes = eigh(between, within)
    greatest = np.argsort(-variances)[:directions]
    return VoiceModel(encoder, mean, center, axes[:, greatest], np.maximum(variances[greatest], 1e-6))


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """What is known of each person's own point: its mean ``(people, directions)`` and variance, of a Gaussian."""

    means: Floats
    variances: Floats

    def __len__(self) -> int:
        return len(self.means)

    def log_ratios(self, features: npt.NDArray[np.floating], between: Floats) -> Floats:
        """Log-likelihood of each row as each person's, less that of noise around the mean of all people."""
        factors = (self.means * np.sqrt(between)).T.astype(features.dtype)
        return np.asarray(features @ factors - 0.5 * ((self.variances + np.square(self.means)) @ between), np.float64)

    def select(self, chosen: npt.NDArray[np.bool_] | Ints) -> People:
        """Some of them."""
        return People(self.means[chosen], self.variances[chosen])


@dataclass(frozen=True, slots=True)
class Weights:
    """How much evidence counts in `vbx`. ``evidence`` is the worth of a row (overlapping windows tell the same thing
    several times), ``complexity`` what another person costs: greater, and there are fewer people.
    """

    evidence: float = 0.3
    complexity: float = 3.0


WEIGHTS = Weights()
"""For people's points. Chosen, as `LITTLE` and `MUCH` are, on AMI's `trn` and on simulated meetings of the people who
were left out of the model."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """How voices are grouped into people: ``complexity`` is that of `vbx`, ``same_group`` the cosine down to which
    groups are one before anything is decoded, ``perhaps_same`` that down to which people are one afterwards, if their
    `same_person_log_ratio` is at least `MIN_LOG_RATIO`, too.
    """

    complexity: float
    same_group: float
    perhaps_same: float

    @classmethod
    def of_speech(cls, seconds: float) -> Grouping:
        """The grouping of so many seconds of speech: `LITTLE`, `MUCH`, or in proportion between them."""
        rows = zip(astuple(LITTLE), astuple(MUCH), strict=True)
        return cls(*(float(np.interp(seconds, SPEECH, row)) for row in rows))


LITTLE = Grouping(complexity=1.5, same_group=0.72, perhaps_same=0.5)
MUCH = Grouping(complexity=2.0, same_group=SAME_PERSON, perhaps_same=SAME_PERSON)
"""For little speech and for much. `vbx` finds fewer people than there are with the complexity of `WEIGHTS`. Of little
speech, people are found more surely where their groups are merged only after it is decoded who speaks when."""

SPEECH = (45.0, 75.0)
"""Seconds of speech up to which it is little, and from which on it is much."""

MIN_LOG_RATIO = -15.0
"""`same_person_log_ratio` from which two people could be one. In half minutes for tuning, most people who were really
two had less than -50."""


def estimate_people(
    features: npt.NDArray[np.floating], weights: Floats, between: Floats, prior: Weights = WEIGHTS
) -> People:
    """Each person's point from rows that count for them with ``weights`` ``(n, people)``; without any, the average."""
    ratio = prior.evidence / prior.complexity
    variances = 1.0 / (1.0 + ratio * weights.sum(axis=0)[:, None] * between)
    return People(ratio * variances * (weights.T.astype(features.dtype) @ features) * np.sqrt(between), variances)


def vbx(
    features: npt.NDArray[np.floating],
    row_weights: Floats,
    start: Floats,
    between: Floats,
    prior: Weights,
    fewest: int = 1,
) -> Floats:
    """Responsibilities ``(n, people)`` of people for rows, from the responsibilities ``start``.

    ``row_weights`` says how much each row counts. People whose share has fallen below a thousandth are left out, but
    for the ``fewest`` with most.
    """
    responsibilities = start
    shares = np.full(start.shape[1], 1.0 / start.shape[1])
    for _ in range(ITERATIONS):
        people = estimate_people(features, responsibilities * row_weights[:, None], between, prior)
        scores = prior.evidence * row_weights[:, None] * people.log_ratios(features, between)
        responsibilities = softmax(scores + np.log(shares + 1e-30), axis=1)
        before, shares = shares, responsibilities.T @ row_weights / row_weights.sum()
        if np.abs(shares - before).max() < _CONVERGED:
            break
    ranking = np.argsort(-shares, kind="stable")
    left = ranking[: max(fewest, int((shares > _LEAST_SHARE).sum()))]
    return np.asarray(responsibilities[:, np.sort(left)], np.float64)


def directions(features: npt.NDArray[np.floating], between: Floats) -> npt.NDArray[np.float32]:
    """Features as unit rows, in which directions count by how much people differ in them: their cosines compare."""
    rows = features * np.sqrt(between / (1.0 + between)).astype(np.float32)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    return np.asarray(rows, np.float32)


def first_groups(rows: npt.NDArray[np.float32], row_weights: Floats, fewest: int) -> Floats:
    """Responsibilities to start from: many more groups than people, of unit rows (`directions`) by average linkage.

    Groups are as alike inside as `START_SIMILARITY`; brief ones are left to the others, the greatest `MOST_GROUPS` are
    kept. At least ``fewest``, where there are as many rows.
    """
    sample = np.arange(0, len(rows), -(-len(rows) // MAX_CLUSTERED))
    weights = np.maximum(row_weights[sample], _LEAST_WEIGHT)
    merges = linkage(rows[sample].astype(np.float64), weights, np.arange(len(sample)))
    merged = sum(merge.similarity >= START_SIMILARITY for merge in merges)
    merged = max(0, min(merged, len(sample) - fewest))
    labels = flat_labels(len(sample), merges[:merged])
    sizes = np.bincount(labels, weights)
    ranking = np.argsort(-sizes, kind="stable")
    count = int(np.clip((sizes >= MIN_GROUP).sum(), fewest, max(fewest, MOST_GROUPS)))
    sums = [weights[labels == group] @ rows[sample][labels == group] for group in ranking[:count]]
    return np.asarray(softmax(_SHARPNESS * rows @ normalize_rows(np.stack(sums)).T, axis=1), np.float64)


def alike_pairs(own_weights: Floats, rows: npt.NDArray[np.float32]) -> tuple[tuple[int, int], ...]:
    """Pairs of people whose mean unit rows (`directions`) are as near as `ALIKE`, the nearest first.

    ``own_weights`` ``(n, people)`` says how much each row counts for each; who has none is like no one.
    """
    sums = np.asarray(own_weights.T.astype(np.float32) @ rows, np.float64)
    return tuple((first, second) for first, second, similarity in _by_similarity(sums) if similarity >= ALIKE)


def same_person_log_ratio(
    first: Floats, second: Floats, rows: tuple[float, float], between: Floats, prior: Weights = WEIGHTS
) -> float:
    """Log-likelihood ratio of two people being one against being two, from the mean features of each and their number
    of rows (PLDA scoring; Ioffe, 2006).
    """
    noise_1, noise_2 = (between + 1.0 / (prior.evidence * count + 1e-3) for count in rows)
    determinant = noise_1 * noise_2 - np.square(between)
    one = noise_2 * np.square(first) - 2.0 * between * first * second + noise_1 * np.square(second)
    two = np.square(first) / noise_1 + np.square(second) / noise_2
    return float(0.5 * (np.log(noise_1 * noise_2 / determinant) + two - one / determinant).sum())


@dataclass(frozen=True, slots=True, eq=False)
class LikelyOne:
    """Whether groups of people are likely to be one person, by `same_person_log_ratio`; never below a cosine.

    ``own_weights`` ``(n, people)`` says how much each row of ``features`` counts for each.
    """

    own_weights: Floats
    features: npt.NDArray[np.floating]
    between: Floats
    least_cosine: float

    def __call__(self, first: Sequence[int], second: Sequence[int], cosine: float) -> bool:
        """Whether the people with the numbers ``first`` and those with ``second`` are likely to be one."""
        if cosine < self.least_cosine:
            return False
        (mean_1, rows_1), (mean_2, rows_2) = self._mean(first), self._mean(second)
        return same_person_log_ratio(mean_1, mean_2, (rows_1, rows_2), self.between) >= MIN_LOG_RATIO

    def _mean(self, people: Sequence[int]) -> tuple[Floats, float]:
        """Their mean features, and how many rows they have."""
        weights = self.own_weights[:, people].sum(axis=1)
        total = float(weights.sum())
        return np.asarray(weights @ self.features / max(total, 1e-9), np.float64), total


def merge_alike(
    responsibilities: Floats,
    rows: npt.NDArray[np.float32],
    row_weights: Floats,
    bounds: tuple[int, int],
    *,
    same_person: float = SAME_PERSON,
    is_one: Callable[[Sequence[int], Sequence[int], float], bool] | None = None,
) -> Floats:
    """Responsibilities after the people most alike are made one, again and again.

    Alike are those whose mean unit rows (`directions`) have a cosine of ``same_person`` or more, and those of whose
    numbers and cosine ``is_one`` says so. Never below the least number of ``bounds``, and further to the greatest.
    """
    fewest, most = bounds
    sums = np.asarray((responsibilities * row_weights[:, None]).T.astype(np.float32) @ rows, np.float64)
    groups = [[person] for person in range(len(sums))]
    while len(groups) > fewest:
        pairs = _by_similarity(sums)
        alike = (
            (kept, absorbed)
            for kept, absorbed, similarity in pairs
            if similarity >= same_person or (is_one is not None and is_one(groups[kept], groups[absorbed], similarity))
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
