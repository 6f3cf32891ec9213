"""How many words are wrong? The four word error rates of a meeting, and where on the recording their errors lie.

Every metric is a way to lay streams of reference words beside streams of heard words:

    cpwer      one stream per speaker; the pairing of speakers with the fewest errors (Watanabe et al. 2020)
    tcpwer     the same, and a pair of words must lie within a collar in time (von Neumann et al. 2023)
    tcorcwer   every reference utterance goes to the heard stream that suits it best, within the collar: does not mind who spoke
    dicpwer    every heard utterance goes to the speaker that it suits best, found greedily: does not mind the diarizer's names

The streams are meeteval's (its assignments, its distances); the errors inside a pair of streams are found by `align`,
whose sum is meeteval's to the word. Each error has one place: a substituted or deleted word is where the reference has it,
an inserted one is where it was heard. So the errors of the overlapped stretches and of the rest add up to the whole.
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from meetsplit.pipeline.data import Span, timeline
from meetsplit.scoring.align import align, constraint
from meetsplit.scoring.bounded import Answer, Bounded
from meetsplit.scoring.normalize import Spoken, Token

WORD_METRICS = ("cpwer", "tcpwer", "tcorcwer", "dicpwer")

Tokens: TypeAlias = tuple[Token, ...]
Streams: TypeAlias = tuple[tuple[Tokens, Tokens], ...]
"""Pairs of a reference and a heard stream; either may be empty."""


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
class Placed:
    """One metric's errors inside the overlapped stretches and in the rest."""

    overlap: WordErrors
    clean: WordErrors

    @property
    def total(self) -> WordErrors:
        """The errors of the whole recording."""
        return self.overlap + self.clean


def word_errors(
    reference: Sequence[Spoken],
    hypothesis: Sequence[Spoken],
    *,
    timed: bool,
    collar: float,
    overlapped: Sequence[Span],
    bounded: Bounded,
) -> tuple[dict[str, Placed], dict[str, str]]:
    """Each metric's errors by place, and for each metric without an answer the reason.

    ``timed``: the heard words have times of their own; ``collar`` in seconds holds for the time-constrained metrics;
    ``overlapped`` are the stretches where the reference has two or more speakers at once; ``bounded`` answers what may blow up.
    """
    asked: dict[str, Answer] = {}
    if reference and hypothesis:
        asked["dicpwer"] = bounded.greedy_dicpwer(reference, hypothesis)
        asked["tcorcwer"] = bounded.tcorcwer(reference, hypothesis, timed=timed, collar=collar)
    missing = {metric: answer.reason for metric, answer in asked.items() if answer.assignment is None}
    streams = {
        "cpwer": (_paired(_by_speaker(reference), _by_speaker(hypothesis), None), None),
        "tcpwer": (_paired(_by_speaker(reference), _by_speaker(hypothesis, timed), collar), collar),
        "tcorcwer": (_to_heard(reference, _by_speaker(hypothesis, timed), asked.get("tcorcwer")), collar),
        "dicpwer": (_to_spoken(_by_speaker(reference), hypothesis, asked.get("dicpwer")), None),
    }
    found = {
        metric: placed(pairs, limit, overlapped) for metric, (pairs, limit) in streams.items() if metric not in missing
    }
    return found, missing


def placed(streams: Streams, collar: float | None, overlapped: Sequence[Span]) -> Placed:
    """The errors of aligned streams, each in its place."""
    merged = timeline.support(overlapped)
    parts = [Counter[str](), Counter[str]()]
    for spoken, heard in streams:
        for i, j in align(spoken, heard, collar):
            at = spoken[i] if i is not None else heard[j if j is not None else 0]
            part = parts[_holds(merged, float(at.middle))]
            part["length"] += i is not None
            if i is None or j is None:
                part["insertions" if i is None else "deletions"] += 1
            else:
                part["substitutions"] += spoken[i].text != heard[j].text
    clean, overlap = (WordErrors(**part) for part in parts)
    return Placed(overlap, clean)


def _by_speaker(utterances: Iterable[Spoken], by_word: bool = False) -> dict[str, Tokens]:
    streams: dict[str, list[Token]] = {}
    for utterance in utterances:
        streams.setdefault(utterance.speaker, []).extend(utterance.tokens)
    # Words with times of their own are put in order by these, as meeteval sorts a file with one word per segment.
    return {
        speaker: tuple(sorted(tokens, key=lambda t: t.start) if by_word else tokens)
        for speaker, tokens in streams.items()
    }


def _paired(reference: Mapping[str, Tokens], hypothesis: Mapping[str, Tokens], collar: float | None) -> Streams:
    from scipy.optimize import linear_sum_assignment

    size = max(len(reference), len(hypothesis))
    spoken: list[Tokens] = [*reference.values(), *[()] * (size - len(reference))]
    heard: list[Tokens] = [*hypothesis.values(), *[()] * (size - len(hypothesis))]
    if not size:
        return ()
    costs = np.array([[distance(a, b, collar) for b in heard] for a in spoken])
    rows, columns = linear_sum_assignment(costs)
    return tuple((spoken[row], heard[column]) for row, column in zip(rows, columns, strict=True))


def distance(spoken: Tokens, heard: Tokens, collar: float | None) -> int:
    """The fewest errors between two streams, as meeteval counts them."""
    from meeteval.wer.matching.cy_levenshtein import levenshtein_distance, time_constrained_levenshtein_distance

    if not spoken or not heard:
        return len(spoken) + len(heard)
    a, b = [token.text for token in spoken], [token.text for token in heard]
    if collar is None:
        return int(levenshtein_distance(a, b))
    times = [(float(token.start), float(token.end)) for token in spoken]
    return int(time_constrained_levenshtein_distance(a, b, times, constraint(heard, collar)))


def _to_heard(reference: Sequence[Spoken], hypothesis: Mapping[str, Tokens], answer: Answer | None) -> Streams:
    if answer is None or answer.assignment is None:
        return tuple((utterance.tokens, ()) for utterance in reference) + tuple(
            ((), tokens) for tokens in hypothesis.values()
        )
    assigned: dict[str, list[Token]] = {}
    for utterance, stream in zip(reference, answer.assignment, strict=True):
        assigned.setdefault(stream, []).extend(utterance.tokens)
    names = dict.fromkeys([*hypothesis, *assigned])
    return tuple((tuple(assigned.get(name, ())), hypothesis.get(name, ())) for name in names)


def _to_spoken(reference: Mapping[str, Tokens], hypothesis: Sequence[Spoken], answer: Answer | None) -> Streams:
    swapped = _to_heard(hypothesis, reference, answer)
    return tuple((spoken, heard) for heard, spoken in swapped)


def _holds(spans: Sequence[Span], at: float) -> bool:
    """Whether a time lies in one of the sorted, disjoint, half-open stretches."""
    before = bisect.bisect_right(spans, at, key=lambda span: span.start)
    return before > 0 and at < spans[before - 1].end
