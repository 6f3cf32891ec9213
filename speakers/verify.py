"""Speaker verification: how much more a separated voice sounds like its own speaker than like any other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from meetsplit.pipeline.data import Audio, Speaker
from meetsplit.pipeline.protocols import Embedder
from meetsplit.speakers.embed import Voiceprints, embeddings, margin


class EmbeddingVerifier:
    """A `Verifier` by cosine similarities of embeddings. ``load`` is called when the first voice is to be verified.

    The voices of one mixture are embedded together.
    """

    def __init__(self, load: Callable[[], Embedder]) -> None:
        self._load = load
        self._embedder: Embedder | None = None
        self._voiceprints: Voiceprints | None = None

    def margins(
        self, voices: Mapping[Speaker, Audio], enrollment: Mapping[Speaker, Sequence[Audio]]
    ) -> Mapping[Speaker, float | None]:
        """Each voice's similarity to its own speaker minus the highest to any other of ``enrollment``.

        None for a voice without an embedding (silent, too short), for a speaker without clean speech, and where there
        is no other speaker with any.
        """
        if self._embedder is None or self._voiceprints is None:
            self._embedder = self._load()
            self._voiceprints = Voiceprints(self._embedder)
        names = list(enrollment)
        voiceprints = [self._voiceprints.of(clips) for clips in enrollment.values()]
        rows = embeddings(self._embedder, list(voices.values()))
        margins: dict[Speaker, float | None] = {}
        for speaker, row in zip(voices, rows, strict=True):
            similarity = np.array([row @ voiceprint for voiceprint in voiceprints], np.float64)
            own = names.index(speaker)
            margins[speaker] = margin(similarity[own], np.delete(similarity, own))
        return margins
