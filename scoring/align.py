"""Alignment of reference and hypothesis words with the fewest errors, in memory that stays linear.

Levenshtein (1966) by Hirschberg's divide and conquer (1975). Of the alignments with equally few errors it takes the one
with the most correct words, and of these the one whose word pairs lie closest in time: every error has a place on the
recording's clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from meetsplit.scoring.normalize import Token


class Match(NamedTuple):
    """Positions of a reference and a hypothesis word; None on one side is an insertion or a deletion."""

    reference: int | None
    hypothesis: int | None


SMALL = 250_000
"""Cells of the distance matrix that are held at once; larger problems are halved."""

FAR = 60.0
"""Seconds beyond which all pairs of words count as equally far apart."""

Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class _Words:
    """Words as arrays of shape ``(n,)``: equal texts have equal ``symbols``; times in seconds."""

    symbols: npt.NDArray[np.int64]
    starts: Floats
    ends: Floats
    middles: Floats

    def part(self, first: int, last: int) -> _Words:
        part = slice(first, last)
        return _Words(self.symbols[part], self.starts[part], self.ends[part], self.middles[part])

    def reversed(self) -> _Words:
        return _Words(self.symbols[::-1], self.starts[::-1], self.ends[::-1], self.middles[::-1])

    def __len__(self) -> int:
        return len(self.symbols)


@dataclass(frozen=True, slots=True)
class _Costs:
    """What a pair of words costs. An insertion or a deletion costs 1.

    A substitution costs ``nudge`` more than that, distance in time a nudge of a nudge at most: over all words, neither
    adds up to an error. ``constrained``: pairs whose times do not overlap cost infinitely much.
    """

    nudge: float
    constrained: bool

    def of_pairs(self, reference: _Words, at: int, hypothesis: _Words) -> Floats:
        """The cost of pairing the reference word ``at`` with each hypothesis word."""
        costs: Floats = (hypothesis.symbols != reference.symbols[at]) * (1.0 + self.nudge)
        distances = np.abs(hypothesis.middles - reference.middles[at])
        costs += self.nudge * self.nudge * np.minimum(distances / FAR, 1.0)
        if self.constrained:
            meet = (reference.starts[at] < hypothesis.ends) & (reference.ends[at] > hypothesis.starts)
            costs = np.where(meet, costs, np.inf)
        return costs


def align(reference: Sequence[Token], hypothesis: Sequence[Token], collar: float | None = None) -> tuple[Match, ...]:
    """The words of two streams matched in order with the fewest insertions, deletions and substitutions.

    With a ``collar`` in seconds a pair may only stand for each other where the reference word's time and the middle of
    the hypothesis word, widened by the collar on both sides, overlap: the rule of meeteval's time-constrained metrics.
    """
    texts = (token.text for token in (*reference, *hypothesis))
    symbols = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    words = _words(reference, symbols, [(float(token.start), float(token.end)) for token in reference])
    others = _words(hypothesis, symbols, time_limits(hypothesis, collar or 0.0))
    costs = _Costs(0.25 / (len(words) + len(others) + 1), constrained=collar is not None)
    return tuple(_align_by_halves(words, others, costs))


def time_limits(hypothesis: Sequence[Token], collar: float) -> list[tuple[float, float]]:
    """The stretch in which each hypothesis word may match: its middle, widened by ``collar`` seconds on both sides."""
    width = Decimal(repr(float(collar)))
    return [(float(token.middle - width), float(token.middle + width)) for token in hypothesis]


def _words(tokens: Sequence[Token], symbols: dict[str, int], times: Sequence[tuple[float, float]]) -> _Words:
    edges = np.array(times, np.float64).reshape(-1, 2)
    numbers = np.array([symbols[token.text] for token in tokens], np.int64)
    middles = np.array([float(token.middle) for token in tokens], np.float64)
    return _Words(numbers, edges[:, 0], edges[:, 1], middles)


class _Part(NamedTuple):
    """Words from ``reference`` up to ``reference_end``, to be aligned with those from ``hypothesis`` to its end."""

    reference: int
    reference_end: int
    hypothesis: int
    hypothesis_end: int


def _align_by_halves(reference: _Words, hypothesis: _Words, costs: _Costs) -> list[Match]:
    """The cheapest alignment: parts that are small enough are aligned in a full matrix, others are cut in two.

    The reference is cut in the middle, the hypothesis where the costs of both sides are least. The parts wait on a
    stack, in order, in place of recursion.
    """
    matches: list[Match] = []
    waiting = [_Part(0, len(reference), 0, len(hypothesis))]
    while waiting:
        part = waiting.pop()
        a = reference.part(part.reference, part.reference_end)
        b = hypothesis.part(part.hypothesis, part.hypothesis_end)
        if len(a) <= 1 or (len(a) + 1) * (len(b) + 1) <= SMALL:
            matches += [_moved(match, part) for match in _align_in_matrix(a, b, costs)]
            continue
        half = len(a) // 2
        costs_before = _last_row(a.part(0, half), b, costs)
        costs_after = _last_row(a.part(half, len(a)).reversed(), b.reversed(), costs)[::-1]
        cut = part.hypothesis + int(np.argmin(costs_before + costs_after))
        middle = part.reference + half
        waiting.append(_Part(middle, part.reference_end, cut, part.hypothesis_end))
        waiting.append(_Part(part.reference, middle, part.hypothesis, cut))
    return matches


def _moved(match: Match, part: _Part) -> Match:
    """A match inside a part, as positions in the whole."""
    return Match(
        None if match.reference is None else part.reference + match.reference,
        None if match.hypothesis is None else part.hypothesis + match.hypothesis,
    )


def _next_row(row: Floats, pairs: Floats, steps: Floats) -> Floats:
    """The next row of the matrix of least costs, from the costs of pairs with its reference word."""
    best = row + 1.0
    np.minimum(best[1:], row[:-1] + pairs, out=best[1:])
    # Insertions run along the row: the running minimum of (cost - position) does them all at once.
    return np.asarray(np.minimum.accumulate(best - steps) + steps)


def _last_row(reference: _Words, hypothesis: _Words, costs: _Costs) -> Floats:
    """The least cost of aligning all of the reference with the first n hypothesis words, for every n."""
    steps = np.arange(len(hypothesis) + 1, dtype=np.float64)
    row = steps
    for at in range(len(reference)):
        row = _next_row(row, costs.of_pairs(reference, at, hypothesis), steps)
    return row


def _align_in_matrix(reference: _Words, hypothesis: _Words, costs: _Costs) -> list[Match]:
    """The cheapest alignment, traced back through the full matrix."""
    steps = np.arange(len(hypothesis) + 1, dtype=np.float64)
    pairs = [costs.of_pairs(reference, at, hypothesis) for at in range(len(reference))]
    rows = [steps]
    for row in pairs:
        rows.append(_next_row(rows[-1], row, steps))
    i, j = len(reference), len(hypothesis)
    matches: list[Match] = []
    while i or j:
        paired = rows[i - 1][j - 1] + pairs[i - 1][j - 1] if i and j else np.inf
        deleted = rows[i - 1][j] + 1.0 if i else np.inf
        inserted = rows[i][j - 1] + 1.0 if j else np.inf
        if paired <= deleted and paired <= inserted:
            i, j = i - 1, j - 1
            matches.append(Match(i, j))
        elif deleted <= inserted:
            i -= 1
            matches.append(Match(i, None))
        else:
            j -= 1
            matches.append(Match(None, j))
    return matches[::-1]
