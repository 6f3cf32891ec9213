"""Long mixtures separated in overlapping windows: overlap-add, permutation across windows, mixture consistency.

Arrays of voices have the shape ``(voices, samples)``; everything counts in samples.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.data import Samples


def windows(length: int, size: int, overlap: int) -> tuple[slice, ...]:
    """Windows of equal length, at most ``size``, that cover ``length``; neighbours share at least ``overlap``.

    |---------------|
              |---------------|
                        |---------------|

    >>> windows(10, 6, 2)
    (slice(0, 6, None), slice(4, 10, None))
    """
    if not 0 <= overlap < size:
        raise ValueError(f"windows of {size} cannot share {overlap}")
    if length <= size:
        return (slice(0, length),)
    count = math.ceil((length - overlap) / (size - overlap))
    step = math.ceil((length - overlap) / count)
    return tuple(slice(k * step, min(k * step + step + overlap, length)) for k in range(count))


def overlap_add(
    samples: Samples, separate: Callable[[Samples], Samples], *, size: int, overlap: int, anonymous: bool = False
) -> Samples:
    """``separate`` applied window by window and cross-faded into one array of voices.

    The cross-fade is linear, so where every window's voices add up to its mixture, the whole does. With
    ``anonymous``, a window's voices are put in the order that continues the window before (`best_permutation`).
    """
    first, *later = windows(len(samples), size, overlap)
    window_voices = separate(samples[first])
    voices = np.zeros((len(window_voices), len(samples)), np.float32)
    voices[:, first] = window_voices
    done = first.stop
    for window in later:
        window_voices = separate(samples[window])
        joint, shared = slice(window.start, done), done - window.start
        if anonymous:
            window_voices = window_voices[list(best_permutation(voices[:, joint], window_voices[:, :shared]))]
        fade_in = np.linspace(0.0, 1.0, shared + 2, dtype=np.float32)[1:-1]
        voices[:, joint] += (window_voices[:, :shared] - voices[:, joint]) * fade_in
        voices[:, done : window.stop] = window_voices[:, shared:]
        done = window.stop
    return voices


def best_permutation(tails: Samples, heads: Samples) -> tuple[int, ...]:
    """Index of the head that continues each tail: the permutation with the highest sum of correlations.

    Both are ``(voices, samples)`` of the part that two windows share. Silent voices correlate with nothing; where
    nothing correlates, the order stays.
    """
    norms = np.linalg.norm(tails, axis=1)[:, None] * np.linalg.norm(heads, axis=1)[None]
    correlations = np.where(norms > 0.0, tails @ heads.T / np.where(norms > 0.0, norms, 1.0), 0.0)
    permutations = itertools.permutations(range(len(tails)))
    return max(permutations, key=lambda order: sum(correlations[tail, head] for tail, head in enumerate(order)))


def consistent_with_mixture(voices: Samples, mixture: Samples, *, smooth: int) -> Samples:
    """The voices on the mixture's own scale, adding up to it but for rounding (mixture consistency).

    A gain per voice (least squares over the clip; negative where a network turned the sign) restores the scale that
    networks trained on a scale-free loss lose. The remaining difference is divided by the voices' power around each
    sample (mean over ``smooth`` samples): an error made while only one person speaks stays with that person. Mixture
    consistency after Wisdom et al., "Differentiable consistency constraints for improved deep speech enhancement",
    2019.
    """
    wide = voices.astype(np.float64)
    norms = np.linalg.norm(wide, axis=1, keepdims=True)
    wide /= np.where(norms > 0.0, norms, 1.0)
    gram = wide @ wide.T
    gains = np.linalg.pinv(gram, rcond=1e-4, hermitian=True) @ (wide @ mixture)
    scaled = gains[:, None] * wide
    power = _moving_average(scaled**2, smooth)
    power += 1e-6 * power.mean() + np.finfo(np.float64).tiny
    difference = mixture - scaled.sum(axis=0)
    return np.asarray(scaled + power / power.sum(axis=0) * difference, np.float32)


def _moving_average(rows: npt.NDArray[np.float64], width: int) -> npt.NDArray[np.float64]:
    """The mean over ``width`` samples around each, shorter at the edges; never negative."""
    length = rows.shape[1]
    sums = np.concatenate([np.zeros((len(rows), 1)), np.cumsum(rows, axis=1)], axis=1)
    at = np.arange(length)
    first, last = np.maximum(at - width // 2, 0), np.minimum(at + width // 2 + 1, length)
    means: npt.NDArray[np.float64] = (sums[:, last] - sums[:, first]) / (last - first)
    return np.maximum(means, 0.0)
