"""Word error rates of a meeting, and where on the recording the errors lie.

Each metric lays streams of reference words beside streams of hypothesis words:

    cpwer      one stream per speaker; the pairing of speakers with the fewest errors (Watanabe et al. 2020)
    tcpwer     the same, and a pair of words must lie within a collar in time (von Neumann et al. 2023)

The pairing and the distances are meeteval's; the errors inside a pair of streams are found by `align`, whose sum is
meeteval's to the word. Each error has one place: a substituted or deleted word is where the reference has it, an
inserted one is where the hypothesis has it. So the errors of the overlapped stretches and of the rest add up to the
whole.
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from meetsplit.pipeline.data import Span, timeline
from meetsplit.scoring.align import align, time_limits
from meetsplit.scoring.normalize import NormalizedUtterance, Token

WORD_METRICS = ("cpwer", "tcpwer")

Tokens: TypeAlias = tuple[Token, ...]
Streams: TypeAlias = tuple[tuple[Tokens, Tokens], ...]
"""Pairs of a reference and a hypothesis stream; either may be empty."""


@dataclass(frozen=True, slots=True)
class WordErrors:
    """Errors of one metric in some stretch: counts of words; ``length`` is the number of reference words there."""

    insertions: int = 0
    deletions: int = 0
    substitutions: int = 0
    length: int = 0

    @property
    def errors(self) -> int:
        """All errors."""
        return self.insertions + self.deletions + self.substitutions

    @property
    def rate(self) -> float | None:
        """Errors per reference word; None where there is none."""
        return self.errors / self.length if self.length else None

    def __add__(self, other: WordErrors) -> WordErrors:
        return WordErrors(
            self.insertions + other.insertions,
            self.deletions + other.deletions,
            self.substitutions + other.substitutions,
            self.length + other.length,
        )


@dataclass(frozen=True, slots=True)
class LocatedErrors:
    """One metric's errors inside the overlapped stretches and in the rest."""

    overlap: WordErrors
    clean: WordErrors

    @property
    def total(self) -> WordErrors:
        """The errors of the whole recording."""
        return self.overlap + self.clean


def word_errors(
    reference: Sequence[NormalizedUtterance],
    hypothesis: Sequence[NormalizedUtterance],
    *,
    timed: bool,
    collar: float,
    overlapped: Sequence[Span],
) -> dict[str, LocatedErrors]:
    """Each metric's errors by place.

    ``timed``: the hypothesis words have times of their own; ``collar`` in seconds holds for the time-constrained
    metric; ``overlapped`` are the stretches where the reference has two or more speakers at once.
    """
    streams = _by_speaker(reference)
    cp = pair_streams(streams, _by_speaker(hypothesis), None)
    tcp = pair_streams(streams, _by_speaker(hypothesis, by_word=timed), collar)
    return {"cpwer": locate_errors(cp, None, overlapped), "tcpwer": locate_errors(tcp, collar, overlapped)}


def locate_errors(streams: Streams, collar: float | None, overlapped: Sequence[Span]) -> LocatedErrors:
    """The errors of aligned streams, each in its place."""
    overlaps = timeline.support(overlapped)
    clean, overlap = Counter[str](), Counter[str]()
    for reference, hypothesis in streams:
        for match in align(reference, hypothesis, collar):
            true = None if match.reference is None else reference[match.reference]
            recognized = None if match.hypothesis is None else hypothesis[match.hypothesis]
            word = true or recognized
            if word is None:
                continue
            counts = overlap if _contains(overlaps, float(word.middle)) else clean
            if true is None:
                counts["insertions"] += 1
                continue
            counts["length"] += 1
            if recognized is None:
                counts["deletions"] += 1
            elif true.text != recognized.text:
                counts["substitutions"] += 1
    return LocatedErrors(WordErrors(**overlap), WordErrors(**clean))


def _by_speaker(utterances: Iterable[NormalizedUtterance], by_word: bool = False) -> dict[str, Tokens]:
    streams: dict[str, list[Token]] = {}
    for utterance in utterances:
        streams.setdefault(utterance.speaker, []).extend(utterance.tokens)
    # Words with times of their own are put in order by these, as meeteval sorts a file with one word per segment.
    return {
        speaker: tuple(sorted(tokens, key=lambda token: token.start) if by_word else tokens)
        for speaker, tokens in streams.items()
    }


def pair_streams(reference: Mapping[str, Tokens], hypothesis: Mapping[str, Tokens], collar: float | None) -> Streams:
    """The streams of both sides in the pairing with the fewest errors; those left over are paired with nothing."""
    from scipy.optimize import linear_sum_assignment

    size = max(len(reference), len(hypothesis))
    if not size:
        return ()
    rows: list[Tokens] = [*reference.values(), *[()] * (size - len(reference))]
    columns: list[Tokens] = [*hypothesis.values(), *[()] * (size - len(hypothesis))]
    costs = np.array([[distance(a, b, collar) for b in columns] for a in rows])
    pairs = zip(*linear_sum_assignment(costs), strict=True)
    return tuple((rows[row], columns[column]) for row, column in pairs)


def distance(reference: Tokens, hypothesis: Tokens, collar: float | None) -> int:
    """The fewest errors between two streams, as meeteval counts them."""
    from meeteval.wer.matching.cy_levenshtein import levenshtein_distance, time_constrained_levenshtein_distance

    if not reference or not hypothesis:
        return len(reference) + len(hypothesis)
    a, b = [token.text for token in reference], [token.text for token in hypothesis]
    if collar is None:
        return int(levenshtein_distance(a, b))
    times = [(float(token.start), float(token.end)) for token in reference]
    return int(time_constrained_levenshtein_distance(a, b, times, time_limits(hypothesis, collar)))


def _contains(spans: Sequence[Span], time: float) -> bool:
    """Whether the time lies in one of the sorted, disjoint, half-open spans."""
    before = bisect.bisect_right(spans, time, key=lambda span: span.start)
    return before > 0 and time < spans[before - 1].end
