"""The protocol of a scoring: the rules and versions that must stand beside every number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from meetsplit.pipeline.errors import SettingsError, nearest
from meetsplit.pipeline.versions import version
from meetsplit.scoring.normalize import Normalizer

PACKAGES = ("meeteval", "pyannote.metrics", "openai-whisper")


@dataclass(frozen=True, slots=True)
class Protocol:
    """The rules of a scoring.

    ``collar``: seconds forgiven on each side of every reference turn's edge; ``skip_overlap``: leave out of the turns'
    scores where the reference overlaps; ``uem``: name of the file with the stretches to score, None for everything.
    ``normalizer``: ``english``, ``basic`` or ``none``; ``word_collar``: seconds by which a hypothesis word may lie
    off in the time-constrained word error rate. Raises `SettingsError` for values that make no sense.
    """

    collar: float = 0.0
    skip_overlap: bool = False
    uem: str | None = None
    normalizer: str = "english"
    word_collar: float = 5.0

    def __post_init__(self) -> None:
        if self.normalizer not in get_args(Normalizer):
            raise SettingsError(f"--normalizer {self.normalizer}: {nearest(self.normalizer, get_args(Normalizer))}")
        if not 0.0 <= self.collar < float("inf"):
            raise SettingsError(f"--collar {self.collar:g}: seconds forgiven on each side of a turn's edge, 0 or more")
        if not 0.0 < self.word_collar < float("inf"):
            raise SettingsError(f"a collar of {self.word_collar:g} s for words: it must be more than 0, usually 5")

    @property
    def versions(self) -> tuple[tuple[str, str], ...]:
        """The packages that count, with their versions."""
        return tuple((name, version(name) or "not installed") for name in PACKAGES)

    def lines(self) -> tuple[str, ...]:
        """The protocol for people, one rule a line."""
        everything = "from the first to the last turn of reference or hypothesis"
        scored = f"the stretches of {self.uem}" if self.uem else everything
        overlap = "skipped" if self.skip_overlap else "scored"
        return (
            f"turns: collar {self.collar:g} s on each side of reference edges; overlap {overlap}; scored: {scored}",
            f"words: {self.normalizer} normaliser on both sides; tcpWER within {self.word_collar:g} s",
            "overlap: where two or more people speak at once in the reference; "
            "a missed or wrong word counts where it was said, an invented one where it was heard",
            "word times: the file's own where every word has one, otherwise by number of characters within the segment",
            "pooled: sums of errors over sums of lengths, never means of percentages",
            "versions: " + ", ".join(f"{name} {number}" for name, number in self.versions),
        )
