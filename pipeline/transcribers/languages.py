"""The language that one speaker speaks, from region to region, smoothed.

A model is often wrong about the language of a short region. But who begins to speak another language goes on in it. So
a region changes its speaker's language only where the evidence is enough: its seconds times the logarithm of how much
more probable the other language is, summed over the regions in a row that point away from the language so far. This is
the cumulative sum test for a change (E. S. Page, "Continuous inspection schemes", Biometrika 41, 1954).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

EVIDENCE = 10.0
"""Seconds times nats from which a speaker's language changes: three seconds where the other is 30 times as probable."""

MOST_NATS = 4.0
"""What a second counts at most: a model that is certain of a cough's language must not decide alone."""

LEAST_PROBABILITY = 0.5
"""Below this probability no language is evidence: laughter sounds a little like many."""


class SpokenLanguage:
    """The language of one speaker's regions in order; ``current`` is that of the latest one."""

    def __init__(self, first: str) -> None:
        self.current = first
        self._evidence: dict[str, float] = {}

    def of_region(self, probabilities: Mapping[str, float], seconds: float) -> str:
        """The language of the next region, which lasts so many seconds, from the probability of each by its code."""
        best = max(sorted(probabilities), key=probabilities.__getitem__)
        rivals = {*self._evidence, best} - {self.current}
        for rival in rivals:
            is_clear = rival != best or probabilities[best] >= LEAST_PROBABILITY
            gain = seconds * self._nats(probabilities, rival) if is_clear else 0.0
            self._evidence[rival] = max(self._evidence.get(rival, 0.0) + gain, 0.0)
        if self._evidence.get(best, 0.0) >= EVIDENCE:
            self.current = best
            self._evidence.clear()
        return self.current

    def _nats(self, probabilities: Mapping[str, float], rival: str) -> float:
        """How much more probable the rival is than the language so far, as a logarithm."""
        theirs, own = (max(probabilities.get(language, 0.0), 1e-6) for language in (rival, self.current))
        return min(max(math.log(theirs / own), -MOST_NATS), MOST_NATS)
