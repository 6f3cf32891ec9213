"""No separation: everybody's voice is the mixture itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from meetsplit.pipeline.data import Audio, Speaker, Voice
from meetsplit.pipeline.settings import Settings


class NoSeparator:
    """A `Separator` that separates nothing: the baseline to compare with, and the choice of whoever wants no change.

    Every known speaker's voice is the mixture, sample for sample, with no margin; the engine flags such stretches.
    """

    rate = 16_000

    @classmethod
    def load(cls, settings: Settings, weights: Mapping[str, Path], device: str) -> NoSeparator:
        """Needs nothing."""
        return cls()

    def separate(self, mixture: Audio, enrollment: Mapping[Speaker, Sequence[Audio]]) -> Mapping[Speaker, Voice]:
        """The mixture for each."""
        return {speaker: Voice(mixture) for speaker in enrollment}
