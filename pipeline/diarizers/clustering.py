"""Agglomerative clustering of local speakers' embeddings into speakers, with cannot-link constraints.

Two local speakers of one window are different speakers: the segmentation told them apart, so they are never merged,
however similar their embeddings. With these constraints, thresholds between 0.55 and 0.70 give the same answer where
an unconstrained clustering falls apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

UNASSIGNED = -2
"""Label of a local speaker without a cluster, or inactive: pyannote.audio's own value."""

_BLOCK = 4096
"""Embeddings compared with the centroids at once."""

_MIN_SPEECH_SHARE = 0.005
"""The share of all speech below which a cluster is not taken for a speaker."""

_BRIEF_SECONDS, _BRIEF_SHARE = 5.0, 0.02
"""Nor is one with less than so many seconds and less than this share: in a short recording, one odd moment has it."""


@dataclass(frozen=True, slots=True)
class Merge:
    """One merge of average linkage: the cluster of ``absorbed`` goes into that of ``kept``; both are row numbers."""

    kept: int
    absorbed: int
    similarity: float


def normalize_rows(rows: npt.NDArray[np.floating]) -> Floats:
    """The rows at unit length; a row of zeros stays.

    >>> normalize_rows(np.array([[3.0, 4.0]])).tolist()
    [[0.6, 0.8]]
    """
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1.0), np.float64)


def linkage(embeddings: Floats, seconds: Floats, windows: Ints) -> tuple[Merge, ...]:
    """Merges of weighted average linkage, the most similar clusters first, until no pair may be merged.

    ``embeddings`` are unit rows, ``seconds`` their weights, ``windows`` the window of each. Clusters with members of
    one window are never merged. Quadratic in memory, and nearly so in time.
    """
    count = len(embeddings)
    similarities = embeddings @ embeddings.T
    similarities[windows[:, None] == windows[None, :]] = -np.inf
    weights = seconds.astype(np.float64).copy()
    nearest = similarities.argmax(axis=1)
    nearest_similarity = similarities[np.arange(count), nearest] if count else np.zeros(0)
    merges: list[Merge] = []
    while len(merges) < count - 1:
        kept = int(nearest_similarity.argmax())
        if nearest_similarity[kept] == -np.inf:
            break
        absorbed = int(nearest[kept])
        merges.append(Merge(kept, absorbed, float(nearest_similarity[kept])))
        weighted = weights[kept] * similarities[kept] + weights[absorbed] * similarities[absorbed]
        merged = weighted / (weights[kept] + weights[absorbed])
        merged[[kept, absorbed]] = -np.inf
        weights[kept] += weights[absorbed]
        similarities[kept], similarities[:, kept] = merged, merged
        similarities[absorbed], similarities[:, absorbed] = -np.inf, -np.inf
        # Rows whose nearest cluster has changed are searched anew; others only compare it with the merged cluster.
        outdated = np.flatnonzero((nearest == kept) | (nearest == absorbed)).tolist()
        for row in {kept, absorbed, *outdated}:
            nearest[row] = similarities[row].argmax()
            nearest_similarity[row] = similarities[row, nearest[row]]
        nearer = merged > nearest_similarity
        nearest[nearer], nearest_similarity[nearer] = kept, merged[nearer]
    return tuple(merges)


def flat_labels(count: int, merges: Sequence[Merge]) -> Ints:
    """Cluster of each of ``count`` rows after these merges, numbered from 0.

    >>> flat_labels(3, (Merge(0, 2, 0.9),)).tolist()
    [0, 1, 0]
    """
    labels = np.arange(count)
    for merge in merges:
        labels[labels == merge.absorbed] = merge.kept
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def centroids(embeddings: Floats, seconds: Floats, windows: Ints, bounds: tuple[int, int], threshold: float) -> Floats:
    """One unit row per speaker, the one with most speech first.

    ``bounds`` are the least and greatest number of speakers, ``threshold`` the cosine similarity down to which clusters
    are merged. ``seconds`` add up to those of the recording in which one person speaks alone.

    Where the threshold gives too few speakers, merges are taken back one by one; where too many, merging goes on, and
    what must not be merged is dropped, the cluster with least speech first. At most as many speakers as embeddings.
    """
    fewest, most = bounds
    merges = linkage(embeddings, seconds, windows)

    def speakers(merged: int) -> Floats:
        return _cluster_centroids(embeddings, seconds, merges[:merged])

    by_threshold = sum(merge.similarity >= threshold for merge in merges)
    merged = by_threshold
    while merged > 0 and len(speakers(merged)) < fewest:
        merged -= 1
    if merged == by_threshold:
        while merged < len(merges) and len(speakers(merged)) > most:
            merged += 1
    return _cluster_centroids(embeddings, seconds, merges[:merged], with_brief=merged == 0)[:most]


def _cluster_centroids(
    embeddings: Floats, seconds: Floats, merges: Sequence[Merge], *, with_brief: bool = False
) -> Floats:
    """Weighted means of the clusters, the one with most speech first, without brief ones unless ``with_brief``."""
    labels = flat_labels(len(embeddings), merges)
    speech = np.bincount(labels, seconds)
    total = speech.sum()
    min_speech = max(_MIN_SPEECH_SHARE * total, min(_BRIEF_SHARE * total, _BRIEF_SECONDS))
    by_speech = np.argsort(-speech, kind="stable")
    clusters = [k for k in by_speech if with_brief or speech[k] >= min_speech]
    sums = [(embeddings[labels == k] * seconds[labels == k, None]).sum(axis=0) for k in clusters]
    return normalize_rows(np.stack(sums))


def assign(embeddings: npt.NDArray[np.floating], windows: Ints, centroids: Floats) -> Ints:
    """Each local speaker's cluster: within a window the best joint assignment, at most one local speaker per cluster.

    `UNASSIGNED` where a window has more local speakers than there are clusters. The embeddings need not be of unit
    length; they are compared a block at a time.
    """
    blocks = [embeddings[at : at + _BLOCK] for at in range(0, len(embeddings), _BLOCK)]
    similarities = np.concatenate([normalize_rows(block) @ centroids.T for block in blocks])
    labels = np.full(len(embeddings), UNASSIGNED, np.int64)
    for window in np.unique(windows):
        members = np.flatnonzero(windows == window)
        rows, clusters = linear_sum_assignment(similarities[members], maximize=True)
        labels[members[rows]] = clusters
    return labels
