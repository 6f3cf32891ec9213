"""Whose voice is this? Anonymous voices get the names of diarized speakers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.audio.clip_cache import ClipCache
from meetsplit.pipeline.data import Audio, Speaker, Voice
from meetsplit.pipeline.protocols import Embedder
from meetsplit.speakers.embed import embeddings, voiceprint

CACHE_SIZE = 64
"""Voiceprints kept at once."""


class EmbeddingMatcher:
    """A `Matcher` by the likeness of voices: cosine similarities of embeddings, best joint assignment.

    A speaker's voiceprint is worked out once for the same clips.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._prints = ClipCache[npt.NDArray[np.float32]](CACHE_SIZE)

    def match(self, voices: Sequence[Audio], enrollment: Mapping[Speaker, Sequence[Audio]]) -> Mapping[Speaker, Voice]:
        """One distinct voice per known speaker, such that the sum of the similarities is greatest.

        The margin of a voice with its name is its similarity to that speaker minus the highest similarity to any other
        known speaker; where only one speaker can be compared, minus the highest similarity of any other voice to that
        speaker. It is None for voices and speakers that say nothing (silent, too short) and where there is nothing to
        compare with; they get what is left over, in order. Raises `ValueError` for fewer voices than speakers.
        """
        if len(voices) < len(enrollment):
            raise ValueError(f"{len(voices)} voices cannot belong to {len(enrollment)} speakers")
        if not enrollment:
            return {}
        prints = np.stack(
            [self._prints(clips, lambda clips: voiceprint(self._embedder, clips)) for clips in enrollment.values()]
        )
        similar = prints @ embeddings(self._embedder, voices).T
        from scipy.optimize import linear_sum_assignment  # slow to load, and `meetsplit --help` must not wait for it

        rows, columns = linear_sum_assignment(np.nan_to_num(similar, nan=0.0), maximize=True)
        chosen = dict(zip(rows.tolist(), columns.tolist(), strict=True))
        return {
            speaker: Voice(voices[chosen[index]], _margin(similar, index, chosen[index]))
            for index, speaker in enumerate(enrollment)
        }


def _margin(similar: npt.NDArray[np.float32], speaker: int, voice: int) -> float | None:
    """How much better the pair is than the best other candidate in ``similar``, ``(speakers, voices)``, NaN where unknown."""
    own = similar[speaker, voice]
    others = np.delete(similar[:, voice], speaker)
    if np.isnan(others).all():
        others = np.delete(similar[speaker], voice)
    others = others[np.isfinite(others)]
    return float(own - others.max()) if np.isfinite(own) and len(others) else None
