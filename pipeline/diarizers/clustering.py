"""Agglomerative clustering of embeddings by weighted average linkage, with cannot-link constraints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

UNASSIGNED = -2
"""Label of a local speaker without a cluster, or inactive: pyannote.audio's own value."""


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

    ``embeddings`` are unit rows, ``seconds`` their weights, ``windows`` the group of each. Clusters with members of
    one group are never merged. Quadratic in memory, and nearly so in time.
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
