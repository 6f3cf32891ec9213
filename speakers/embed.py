"""What does a voice look like as numbers? Voiceprints over any `Embedder`."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.audio.resampling import resample
from meetsplit.pipeline.data import Audio, Span
from meetsplit.pipeline.protocols import Embedder

MOST = 45.0
"""Seconds of a person's speech that make a voiceprint; more changes little and costs time."""

PIECE = 10.0
"""Longest stretch embedded at once, in seconds: one remark in somebody else's words cannot spoil the whole."""


def embeddings(embedder: Embedder, clips: Sequence[Audio]) -> npt.NDArray[np.float32]:
    """One row per clip, ``(len(clips), d)``, whatever the clips' rates; NaN where a clip is too short or silent to tell."""
    return embedder.embed([resample(clip, embedder.rate) for clip in clips])


def voiceprint(embedder: Embedder, clips: Sequence[Audio], *, most: float = MOST) -> npt.NDArray[np.float32]:
    """The unit-length mean of a person's embeddings, weighted by duration, shape ``(d,)``; NaN where no clip tells.

    The longest clips count first, ``most`` seconds in all, in pieces of at most `PIECE` seconds. Pieces without an
    embedding are left out.
    """
    pieces = _pieces(clips, most)
    if not pieces:
        return np.full(
            embeddings(embedder, [Audio(np.zeros(1, np.float32), embedder.rate)]).shape[1], np.nan, np.float32
        )
    rows = embeddings(embedder, pieces)
    told = np.all(np.isfinite(rows), axis=1)
    if not told.any():
        return np.full(rows.shape[1], np.nan, np.float32)
    mean = np.average(
        rows[told], axis=0, weights=[piece.duration for piece, tells in zip(pieces, told, strict=True) if tells]
    )
    norm = float(np.linalg.norm(mean))
    return (mean / norm if norm > 0.0 else np.full_like(mean, np.nan)).astype(np.float32)


def _pieces(clips: Sequence[Audio], most: float) -> list[Audio]:
    pieces: list[Audio] = []
    left = most
    for clip in sorted(clips, key=lambda clip: -clip.duration):
        end = clip.start + min(clip.duration, left)
        count = max(1, -int(-(end - clip.start) // PIECE))
        edges = np.linspace(clip.start, end, count + 1)
        pieces += [clip.crop(Span(float(first), float(last))) for first, last in itertools.pairwise(edges)]
        left -= end - clip.start
        if left <= 0.0:
            break
    return [piece for piece in pieces if len(piece.samples)]
