"""Which stretches of speech are one person's? Agglomerative clustering of voices that knows who spoke beside whom.

Two local speakers of one window are two people: the segmentation heard them apart, so they never join, however alike they
sound. With it, thresholds between 0.55 and 0.70 give the same answer where an unconstrained clustering falls apart.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_BLOCK = 4096

_SLIGHT = 0.005
"""A voice below this share of all speech is not believed to be a person of its own."""

_BRIEF, _BRIEF_SHARE = 5.0, 0.02
"""Nor is one with less than so many seconds and less than this share: in a short recording one odd moment is as much."""


def unit(rows: npt.NDArray[np.floating]) -> Floats:
    """The rows at unit length; a row of zeros stays.

    >>> unit(np.array([[3.0, 4.0]])).tolist()
    [[0.6, 0.8]]
    """
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1.0), np.float64)


def joins(voices: Floats, seconds: Floats, windows: Ints) -> tuple[tuple[int, int, float], ...]:
    """Average-linkage joins, most similar pair first: ``(kept, swallowed, similarity)``, until no pair may join.

    ``voices`` are unit rows, ``seconds`` their weights, ``windows`` the window that each was heard in. Members of one window
    never join, nor do groups that hold such members. Quadratic in memory, and nearly so in time.
    """
    count = len(voices)
    similar = voices @ voices.T
    similar[windows[:, None] == windows[None, :]] = -np.inf
    weights = seconds.astype(np.float64).copy()
    best = similar.argmax(axis=1)
    value = similar[np.arange(count), best] if count else np.zeros(0)
    done: list[tuple[int, int, float]] = []
    while len(done) < count - 1:
        keep = int(value.argmax())
        if value[keep] == -np.inf:
            break
        gone = int(best[keep])
        done.append((keep, gone, float(value[keep])))
        merged = (weights[keep] * similar[keep] + weights[gone] * similar[gone]) / (weights[keep] + weights[gone])
        merged[[keep, gone]] = -np.inf
        weights[keep] += weights[gone]
        similar[keep], similar[:, keep] = merged, merged
        similar[gone], similar[:, gone] = -np.inf, -np.inf
        for row in {keep, gone, *np.flatnonzero((best == keep) | (best == gone)).tolist()}:
            best[row] = similar[row].argmax()
            value[row] = similar[row, best[row]]
        risen = merged > value
        best[risen], value[risen] = keep, merged[risen]
    return tuple(done)


def groups(count: int, joined: tuple[tuple[int, int, float], ...]) -> Ints:
    """Group numbers after these joins, counted from 0.

    >>> groups(3, ((0, 2, 0.9),)).tolist()
    [0, 1, 0]
    """
    owner = np.arange(count)
    for keep, gone, _ in joined:
        owner[owner == gone] = keep
    return np.unique(owner, return_inverse=True)[1].astype(np.int64)


def centroids(voices: Floats, seconds: Floats, windows: Ints, bounds: tuple[int, int], threshold: float) -> Floats:
    """One unit row per person. ``bounds`` are the least and greatest number of people, ``threshold`` the similarity of one.

    ``seconds`` add up to those of the recording in which one person speaks alone.

    Where the threshold gives too few people, the joins are taken back one by one; where too many, they go on, and what may
    not be joined is dropped, the slightest voice first. At most as many people as there are voices.
    """
    least, most = bounds
    done = joins(voices, seconds, windows)
    natural = sum(similarity >= threshold for *_, similarity in done)
    cut = natural
    while cut > 0 and len(_people(voices, seconds, done[:cut])) < least:
        cut -= 1
    if cut == natural:
        while cut < len(done) and len(_people(voices, seconds, done[:cut])) > most:
            cut += 1
    found = _people(voices, seconds, done[:cut], everybody=cut == 0)
    return found[:most]


def _people(
    voices: Floats, seconds: Floats, joined: tuple[tuple[int, int, float], ...], *, everybody: bool = False
) -> Floats:
    """Weighted means of the groups, the one with most speech first, without the slight ones unless ``everybody``."""
    labels = groups(len(voices), joined)
    speech = np.bincount(labels, seconds)
    least = max(_SLIGHT * speech.sum(), min(_BRIEF_SHARE * speech.sum(), _BRIEF))
    order = [k for k in np.argsort(-speech, kind="stable") if everybody or speech[k] >= least]
    return unit(np.stack([(voices[labels == k] * seconds[labels == k, None]).sum(axis=0) for k in order]))


def assigned(voices: npt.NDArray[np.floating], windows: Ints, people: Floats) -> Ints:
    """Each voice's person: within a window the best joint assignment, one person per voice; -2 for who is left over.

    The voices need not be of unit length; they are compared a block at a time.
    """
    scores = np.concatenate([unit(voices[at : at + _BLOCK]) @ people.T for at in range(0, len(voices), _BLOCK)])
    labels = np.full(len(voices), -2, np.int64)
    for window in np.unique(windows):
        members = np.flatnonzero(windows == window)
        rows, columns = linear_sum_assignment(scores[members], maximize=True)
        labels[members[rows]] = columns
    return labels
