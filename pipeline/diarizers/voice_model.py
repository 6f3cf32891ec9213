"""Voice model: how much a speaker embedding varies within one person and between people, and what follows from it.

A two-covariance model (PLDA; Ioffe, 2006) in the space where the variance within a person is one in every direction:
an embedding is a person's own point, drawn with the variances `VoiceModel.between`, plus noise of variance 1. `vbx`
groups embeddings by it: a Gaussian mixture whose means are people, by variational Bayes, in which people who explain
too little disappear (Diez, Burget, Landini, Wang, Černocký, 2020; here without the Markov chain, since
`joint_decoding` has one).

Shapes: embeddings ``(n, dimension)``, features ``(n, directions)``, responsibilities ``(n, people)``.
"""

from __future__ import annotations

from dataclasses import dataclass
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
"""For people's points. Chosen, as `GROUPING` is, on simulated meetings of the people that the model is made of (those
left out of it) and AMI's `trn`."""

GROUPING = Weights(complexity=2.0)
"""For `vbx`, which finds fewer people than there are with `WEIGHTS`."""


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
    prior: Weights = GROUPING,
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
    means = normalize_rows(np.asarray(own_weights.T.astype(np.float32) @ rows, np.float64))
    similarities = means @ means.T
    first, second = np.nonzero(np.triu(similarities >= ALIKE, 1))
    order = np.argsort(-similarities[first, second], kind="stable")
    return tuple((int(first[pair]), int(second[pair])) for pair in order)


def merge_alike(
    responsibilities: Floats, rows: npt.NDArray[np.float32], row_weights: Floats, bounds: tuple[int, int]
) -> Floats:
    """Responsibilities after the people most alike are made one, again and again.

    Down to `SAME_PERSON`, the cosine of two people's mean unit rows (`directions`), but never below the least number
    of ``bounds``, and further to the greatest.
    """
    fewest, most = bounds
    sums = np.asarray((responsibilities * row_weights[:, None]).T.astype(np.float32) @ rows, np.float64)
    groups = [[person] for person in range(len(sums))]
    while len(groups) > fewest:
        means = normalize_rows(sums)
        similarities = means @ means.T - 2.0 * np.eye(len(means))
        kept, absorbed = sorted(int(n) for n in np.unravel_index(similarities.argmax(), similarities.shape))
        if similarities[kept, absorbed] < SAME_PERSON and len(groups) <= most:
            break
        groups[kept] += groups.pop(absorbed)
        sums[kept] += sums[absorbed]
        sums = np.delete(sums, absorbed, axis=0)
    return np.stack([responsibilities[:, group].sum(axis=1) for group in groups], axis=1)
