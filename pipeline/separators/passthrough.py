"""The separator `none`: the mixture itself as every speaker's voice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from meetsplit.pipeline.data import Audio, Speaker, Voice
from meetsplit.pipeline.settings import Settings


class PassthroughSeparator:
    """A `Separator` that separates nothing: the baseline to compare with.

    Every enrolled speaker's voice is the mixture, sample for sample, with no margin; such overlaps are marked for
    review.
    """

    rate = 16_000

    @classmethod
    def load(cls, settings: Settings, weights: Mapping[str, Path], device: str) -> PassthroughSeparator:
        """Needs nothing."""
        return cls()

    def separate(self, mixture: Audio, enrollment: Mapping[Speaker, Sequence[Audio]]) -> Mapping[Speaker, Voice]:
        """The mixture for each speaker."""
        return {speaker: Voice(mixture) for speaker in enrollment}
