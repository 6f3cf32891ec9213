"""Which heard word stands for which spoken one? The alignment with the fewest errors, in memory that stays linear.

Levenshtein (1966) by Hirschberg's divide and conquer (1975). Of the alignments with equally few errors it takes the one
with the most correct words, and of these the one whose word pairs lie closest in time: every error has a place on the
recording's clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from meetsplit.scoring.normalize import Token

Match: TypeAlias = tuple[int | None, int | None]
"""Positions of a reference and a hypothesis word; None on one side is an insertion or a deletion."""

SMALL = 250_000
"""Cells of the distance matrix that are kept at once; larger problems are halved."""

FAR = 60.0
"""Seconds beyond which a pair of words is not told from a pair still farther apart."""

Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class _Words:
    symbols: npt.NDArray[np.int64]
    starts: Floats
    ends: Floats
    middles: Floats

    def part(self, first: int, last: int) -> _Words:
        return _Words(
            self.symbols[first:last], self.starts[first:last], self.ends[first:last], self.middles[first:last]
        )

    def backwards(self) -> _Words:
        return _Words(self.symbols[::-1], self.starts[::-1], self.ends[::-1], self.middles[::-1])

    def __len__(self) -> int:
        return len(self.symbols)


def align(reference: Sequence[Token], hypothesis: Sequence[Token], collar: float | None = None) -> tuple[Match, ...]:
    """The words of two streams matched in order with the fewest insertions, deletions and substitutions.

    With a ``collar`` in seconds a pair may only stand for each other where the reference word's time and the middle of
    the heard word, widened by the collar on both sides, overlap: the rule of meeteval's time-constrained metrics.
    """
    numbers = {text: n for n, text in enumerate(dict.fromkeys(token.text for token in (*reference, *hypothesis)))}
    spoken = _words(reference, numbers, [(float(t.start), float(t.end)) for t in reference])
    heard = _words(hypothesis, numbers, constraint(hypothesis, collar or 0.0))
    return tuple(_solve(spoken, heard, 0.25 / (len(spoken) + len(heard) + 1), constrained=collar is not None))


def constraint(hypothesis: Sequence[Token], collar: float) -> list[tuple[float, float]]:
    """The stretch in which each heard word may stand for a spoken one: its middle, widened by ``collar`` seconds."""
    wide = Decimal(repr(float(collar)))
    return [(float(token.middle - wide), float(token.middle + wide)) for token in hypothesis]


def _words(tokens: Sequence[Token], numbers: dict[str, int], times: Sequence[tuple[float, float]]) -> _Words:
    edges = np.array(times, np.float64).reshape(-1, 2)
    symbols = np.array([numbers[token.text] for token in tokens], np.int64)
    middles = np.array([float(token.middle) for token in tokens], np.float64)
    return _Words(symbols, edges[:, 0], edges[:, 1], middles)


def _solve(spoken: _Words, heard: _Words, nudge: float, *, constrained: bool) -> list[Match]:
    # A stack in place of recursion: each part is either small enough for a full matrix or is cut in two.
    found: list[Match] = []
    parts = [(0, len(spoken), 0, len(heard))]
    while parts:
        i, i_end, j, j_end = parts.pop()
        a, b = spoken.part(i, i_end), heard.part(j, j_end)
        if len(a) <= 1 or (len(a) + 1) * (len(b) + 1) <= SMALL:
            found += [
                (None if x is None else i + x, None if y is None else j + y)
                for x, y in _traced(a, b, nudge, constrained)
            ]
            continue
        half = len(a) // 2
        before = _last_row(a.part(0, half), b, nudge, constrained)
        after = _last_row(a.part(half, len(a)).backwards(), b.backwards(), nudge, constrained)
        cut = int(np.argmin(before + after[::-1]))
        parts += [(i + half, i_end, j + cut, j_end), (i, i + half, j, j + cut)]
    return found


def _pairs(spoken: _Words, at: int, heard: _Words, nudge: float, constrained: bool) -> Floats:
    # A substitution costs a nudge more than one error, distance in time a nudge of a nudge: neither adds up to an error.
    cost: Floats = (heard.symbols != spoken.symbols[at]) * (1.0 + nudge)
    cost += nudge * nudge * np.minimum(np.abs(heard.middles - spoken.middles[at]) / FAR, 1.0)
    if constrained:
        cost = np.where((spoken.starts[at] < heard.ends) & (spoken.ends[at] > heard.starts), cost, np.inf)
    return cost


def _next_row(row: Floats, pairs: Floats, steps: Floats) -> Floats:
    best = row + 1.0
    np.minimum(best[1:], row[:-1] + pairs, out=best[1:])
    # Insertions run along the row: the running minimum of (cost - position) does them all at once.
    return np.asarray(np.minimum.accumulate(best - steps) + steps)


def _last_row(spoken: _Words, heard: _Words, nudge: float, constrained: bool) -> Floats:
    steps = np.arange(len(heard) + 1, dtype=np.float64)
    row = steps
    for at in range(len(spoken)):
        row = _next_row(row, _pairs(spoken, at, heard, nudge, constrained), steps)
    return row


def _traced(spoken: _Words, heard: _Words, nudge: float, constrained: bool) -> list[Match]:
    steps = np.arange(len(heard) + 1, dtype=np.float64)
    pairs = [_pairs(spoken, at, heard, nudge, constrained) for at in range(len(spoken))]
    rows = [steps]
    for cost in pairs:
        rows.append(_next_row(rows[-1], cost, steps))
    i, j = len(spoken), len(heard)
    found: list[Match] = []
    while i or j:
        both = rows[i - 1][j - 1] + pairs[i - 1][j - 1] if i and j else np.inf
        deleted = rows[i - 1][j] + 1.0 if i else np.inf
        inserted = rows[i][j - 1] + 1.0 if j else np.inf
        if both <= deleted and both <= inserted:
            i, j = i - 1, j - 1
            found.append((i, j))
        elif deleted <= inserted:
            i -= 1
            found.append((i, None))
        else:
            j -= 1
            found.append((None, j))
    return found[::-1]
