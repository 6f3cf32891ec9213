"""Does a separated voice sound like the person it is said to be?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.audio.clip_cache import ClipCache
from meetsplit.pipeline.data import Audio, Speaker
from meetsplit.pipeline.protocols import Embedder
from meetsplit.speakers.embed import embeddings, voiceprint

CACHE_SIZE = 64
"""Voiceprints kept at once."""


class EmbeddingVerifier:
    """A `Verifier` by the likeness of voices. The embedder is loaded when the first voice is to be verified.

    A speaker's voiceprint is worked out once for the same clips; the voices of one mixture are embedded together.
    """

    def __init__(self, embedder: Callable[[], Embedder]) -> None:
        self._load = embedder
        self._embedder: Embedder | None = None
        self._prints = ClipCache[npt.NDArray[np.float32]](CACHE_SIZE)

    def margins(
        self, voices: Mapping[Speaker, Audio], enrollment: Mapping[Speaker, Sequence[Audio]]
    ) -> Mapping[Speaker, float | None]:
        """Each voice's similarity to its own speaker minus the highest to any other of ``enrollment``.

        None for a voice that says nothing (silent, too short), for a speaker without clean speech, and where nobody
        else's is known.
        """
        if self._embedder is None:
            self._embedder = self._load()
        embedder = self._embedder
        prints = {
            speaker: self._prints(clips, lambda clips: voiceprint(embedder, clips))
            for speaker, clips in enrollment.items()
        }
        rows = embeddings(embedder, list(voices.values()))
        return {speaker: _margin(speaker, row, prints) for speaker, row in zip(voices, rows, strict=True)}


def _margin(
    speaker: Speaker, row: npt.NDArray[np.float32], prints: Mapping[Speaker, npt.NDArray[np.float32]]
) -> float | None:
    own = float(row @ prints[speaker])
    others = [float(row @ other) for name, other in prints.items() if name != speaker]
    others = [similarity for similarity in others if np.isfinite(similarity)]
    return own - max(others) if np.isfinite(own) and others else None
