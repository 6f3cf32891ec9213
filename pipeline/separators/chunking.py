"""Long mixtures in windows: cut, keep every voice on its own row, cross-fade. And voices that add up to their mixture.

Arrays of voices have the shape ``(voices, samples)``; everything counts in samples.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.data import Samples


def windows(length: int, size: int, shared: int) -> tuple[slice, ...]:
    """Windows of equal length, at most ``size``, that cover ``length``; neighbours share at least ``shared``.

    |---------------|
              |---------------|
                        |---------------|

    >>> windows(10, 6, 2)
    (slice(0, 6, None), slice(4, 10, None))
    """
    if not 0 <= shared < size:
        raise ValueError(f"windows of {size} cannot share {shared}")
    if length <= size:
        return (slice(0, length),)
    count = math.ceil((length - shared) / (size - shared))
    step = math.ceil((length - shared) / count)
    return tuple(slice(k * step, min(k * step + step + shared, length)) for k in range(count))


def in_windows(
    samples: Samples, separate: Callable[[Samples], Samples], *, size: int, shared: int, anonymous: bool = False
) -> Samples:
    """``separate`` applied window by window and cross-faded into one array of voices.

    The cross-fade is linear, so where every window's voices add up to its mixture, the whole does. With ``anonymous``, a
    window's voices are put in the order that goes on best from the window before (`continuing`).
    """
    first, *later = windows(len(samples), size, shared)
    piece = separate(samples[first])
    whole = np.zeros((len(piece), len(samples)), np.float32)
    whole[:, first] = piece
    done = first.stop
    for window in later:
        piece = separate(samples[window])
        joint = slice(window.start, done)
        heads = piece[:, : done - window.start]
        if anonymous:
            piece = piece[list(continuing(whole[:, joint], heads))]
            heads = piece[:, : done - window.start]
        rise = np.linspace(0.0, 1.0, heads.shape[1] + 2, dtype=np.float32)[1:-1]
        whole[:, joint] += (heads - whole[:, joint]) * rise
        whole[:, done : window.stop] = piece[:, done - window.start :]
        done = window.stop
    return whole


def continuing(tails: Samples, heads: Samples) -> tuple[int, ...]:
    """Which head goes on each tail: the permutation with the highest sum of correlations over the shared part.

    Both are ``(voices, shared)``. Silent voices correlate with nothing; where nothing correlates, the order stays.
    """
    norms = np.linalg.norm(tails, axis=1)[:, None] * np.linalg.norm(heads, axis=1)[None]
    alike = np.where(norms > 0.0, tails @ heads.T / np.where(norms > 0.0, norms, 1.0), 0.0)
    orders = itertools.permutations(range(len(tails)))
    return max(orders, key=lambda order: sum(alike[tail, head] for tail, head in enumerate(order)))


def summing(voices: Samples, mixture: Samples, *, smooth: int) -> Samples:
    """The voices on the mixture's own scale, adding up to it but for rounding.

    A gain per voice (least squares over the clip; negative where a network turned the sign) restores the scale that
    networks trained on a scale-free loss lose. What is still missing is shared out by the voices' power around each
    sample (mean over ``smooth`` samples): an error made while only one person speaks stays with that person. Mixture
    consistency after Wisdom et al., "Differentiable consistency constraints for improved deep speech enhancement", 2019.
    """
    wide = voices.astype(np.float64)
    norms = np.linalg.norm(wide, axis=1, keepdims=True)
    wide /= np.where(norms > 0.0, norms, 1.0)
    gram = wide @ wide.T
    gains = np.linalg.pinv(gram, rcond=1e-4, hermitian=True) @ (wide @ mixture)
    scaled = gains[:, None] * wide
    power = _smoothed(scaled**2, smooth)
    power += 1e-6 * power.mean() + np.finfo(np.float64).tiny
    missing = mixture - scaled.sum(axis=0)
    return np.asarray(scaled + power / power.sum(axis=0) * missing, np.float32)


def _smoothed(rows: npt.NDArray[np.float64], width: int) -> npt.NDArray[np.float64]:
    """The mean over ``width`` samples around each, shorter at the edges; never negative."""
    length = rows.shape[1]
    sums = np.concatenate([np.zeros((len(rows), 1)), np.cumsum(rows, axis=1)], axis=1)
    at = np.arange(length)
    first, last = np.maximum(at - width // 2, 0), np.minimum(at + width // 2 + 1, length)
    means: npt.NDArray[np.float64] = (sums[:, last] - sums[:, first]) / (last - first)
    return np.maximum(means, 0.0)
