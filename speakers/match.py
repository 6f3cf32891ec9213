"""Speaker matching: anonymous voices are assigned to enrolled speakers by their embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from meetsplit.pipeline.data import Audio, Speaker, Voice
from meetsplit.pipeline.protocols import Embedder
from meetsplit.speakers.embed import Voiceprints, embeddings, margin


class EmbeddingMatcher:
    """A `Matcher` by cosine similarities of embeddings: the best joint assignment."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._voiceprints = Voiceprints(embedder)

    def match(self, voices: Sequence[Audio], enrollment: Mapping[Speaker, Sequence[Audio]]) -> Mapping[Speaker, Voice]:
        """One distinct voice per enrolled speaker, such that the sum of the similarities is greatest.

        The margin of a voice with its name is its similarity to that speaker minus the highest similarity to any other
        enrolled speaker; where only one speaker can be compared, minus the highest similarity of any other voice to
        that speaker. It is None for voices and speakers without an embedding (silent, too short) and where there is
        nothing to compare with; they get what is left over, in order. Raises `ValueError` for fewer voices than
        speakers.
        """
        if len(voices) < len(enrollment):
            raise ValueError(f"{len(voices)} voices cannot belong to {len(enrollment)} speakers")
        if not enrollment:
            return {}
        voiceprints = np.stack([self._voiceprints.of(clips) for clips in enrollment.values()])
        similarity = voiceprints @ embeddings(self._embedder, voices).T  # (speakers, voices), NaN where unknown
        from scipy.optimize import linear_sum_assignment  # slow to load, and `meetsplit --help` must not wait for it

        rows, columns = linear_sum_assignment(np.nan_to_num(similarity, nan=0.0), maximize=True)
        voice_of = dict(zip(rows.tolist(), columns.tolist(), strict=True))
        matched: dict[Speaker, Voice] = {}
        for row, speaker in enumerate(enrollment):
            column = voice_of[row]
            other_speakers = np.delete(similarity[:, column], row)
            other_voices = np.delete(similarity[row], column)
            others = other_voices if np.isnan(other_speakers).all() else other_speakers
            matched[speaker] = Voice(voices[column], margin(similarity[row, column], others))
        return matched
