"""Speaker embeddings: clips as vectors, and voiceprints of speakers, over any `Embedder`."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.audio.clip_cache import ClipCache
from meetsplit.pipeline.audio.resampling import resample
from meetsplit.pipeline.data import Audio, Span
from meetsplit.pipeline.protocols import Embedder

Embedding: TypeAlias = npt.NDArray[np.float32]
"""A unit vector, shape ``(d,)``, or NaN where the sound says too little."""

MAX_SECONDS = 45.0
"""Seconds of a speaker's speech that make a voiceprint; more changes little and costs time."""

MAX_PIECE = 10.0
"""Longest stretch embedded at once, in seconds: a remark by another speaker in a clip cannot spoil the whole."""

CACHE_SIZE = 64
"""Voiceprints kept at once."""


def embeddings(embedder: Embedder, clips: Sequence[Audio]) -> npt.NDArray[np.float32]:
    """One row per clip, ``(len(clips), d)``, whatever the clips' rates; NaN where a clip is too short or silent."""
    return embedder.embed([resample(clip, embedder.rate) for clip in clips])


def voiceprint(embedder: Embedder, clips: Sequence[Audio], *, max_seconds: float = MAX_SECONDS) -> Embedding:
    """The unit-length mean of a speaker's embeddings, weighted by duration, shape ``(d,)``; NaN where no clip tells.

    The longest clips count first, ``max_seconds`` in all, in pieces of at most `MAX_PIECE` seconds. Pieces without an
    embedding are left out.
    """
    pieces = _pieces(clips, max_seconds)
    if not pieces:
        silence = Audio(np.zeros(1, np.float32), embedder.rate)
        return np.full(embeddings(embedder, [silence]).shape[1], np.nan, np.float32)
    rows = embeddings(embedder, pieces)
    valid = np.all(np.isfinite(rows), axis=1)
    if not valid.any():
        return np.full(rows.shape[1], np.nan, np.float32)
    durations = [piece.duration for piece, is_valid in zip(pieces, valid, strict=True) if is_valid]
    mean = np.average(rows[valid], axis=0, weights=durations)
    norm = float(np.linalg.norm(mean))
    return (mean / norm if norm > 0.0 else np.full_like(mean, np.nan)).astype(np.float32)


class Voiceprints:
    """Voiceprints of speakers; one is computed once for the same clips."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._cache = ClipCache[Embedding](CACHE_SIZE)

    def of(self, clips: Sequence[Audio]) -> Embedding:
        """The voiceprint of the speaker whose clean speech ``clips`` are."""
        return self._cache(clips, lambda clips: voiceprint(self._embedder, clips))


def margin(own: np.floating[Any], others: npt.NDArray[np.floating[Any]]) -> float | None:
    """A similarity less the highest of the finite others; None where it is not finite itself, or none of them is."""
    finite = others[np.isfinite(others)]
    return float(own - finite.max()) if np.isfinite(own) and len(finite) else None


def _pieces(clips: Sequence[Audio], max_seconds: float) -> list[Audio]:
    """The longest clips, ``max_seconds`` in all, in equal pieces of at most `MAX_PIECE` seconds."""
    pieces: list[Audio] = []
    left = max_seconds
    for clip in sorted(clips, key=lambda clip: -clip.duration):
        end = clip.start + min(clip.duration, left)
        count = max(1, -int(-(end - clip.start) // MAX_PIECE))
        edges = np.linspace(clip.start, end, count + 1)
        pieces += [clip.crop(Span(float(first), float(last))) for first, last in itertools.pairwise(edges)]
        left -= end - clip.start
        if left <= 0.0:
            break
    return [piece for piece in pieces if len(piece.samples)]
