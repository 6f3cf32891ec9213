"""Diarization error rate (DER) and Jaccard error rate (JER) by pyannote.metrics, in overlaps and elsewhere.

Scored is the UEM where there is one, otherwise from the first to the last turn of reference or hypothesis
(the convention of pyannote.metrics and dscore; md-eval alone ends with the reference and so forgives speech invented
after it). The collar is cut away on *each* side of every reference edge, as md-eval and the papers count it; what
pyannote.metrics calls ``collar`` is twice that. Hypothesis speakers are paired with reference speakers once, over
everything scored, and the pairing holds for the overlapped stretches and for the rest: their errors add up to the
whole.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from meetsplit.pipeline.data import Span, Speaker, Turn, timeline
from meetsplit.pipeline.errors import blame
from meetsplit.pipeline.interop import to_annotation


@dataclass(frozen=True, slots=True)
class TurnErrors:
    """Diarization errors: seconds of speaker time, and what the Jaccard error rate sums over speakers.

    ``total`` is the reference's speaker time (two people at once count twice). ``jaccard`` is the sum of
    ``jaccard_speakers`` speakers' own error rates. ``count_error`` sums the recordings' differences in number of
    speakers; ``speakers`` are the numbers of reference and hypothesis speakers.
    """

    miss: float = 0.0
    false_alarm: float = 0.0
    confusion: float = 0.0
    total: float = 0.0
    jaccard: float = 0.0
    jaccard_speakers: int = 0
    count_error: int = 0
    speakers: tuple[int, int] = (0, 0)

    @property
    def errors(self) -> float:
        """Seconds of speaker time in error."""
        return self.miss + self.false_alarm + self.confusion

    @property
    def der(self) -> float | None:
        """Diarization error rate; None where the reference has no speech."""
        return self.errors / self.total if self.total > 0 else None

    @property
    def jer(self) -> float | None:
        """Jaccard error rate (DIHARD II); None where the reference has no speech."""
        return self.jaccard / self.jaccard_speakers if self.jaccard_speakers else None

    def __add__(self, other: TurnErrors) -> TurnErrors:
        return TurnErrors(
            self.miss + other.miss,
            self.false_alarm + other.false_alarm,
            self.confusion + other.confusion,
            self.total + other.total,
            self.jaccard + other.jaccard,
            self.jaccard_speakers + other.jaccard_speakers,
            self.count_error + other.count_error,
            (self.speakers[0] + other.speakers[0], self.speakers[1] + other.speakers[1]),
        )


@dataclass(frozen=True, slots=True)
class TurnScores:
    """The whole recording, the stretches where the reference overlaps, and the rest."""

    total: TurnErrors
    overlap: TurnErrors
    clean: TurnErrors


def turn_errors(
    reference: Sequence[Turn],
    hypothesis: Sequence[Turn],
    *,
    uem: Sequence[Span] | None = None,
    collar: float = 0.0,
    skip_overlap: bool = False,
) -> TurnScores:
    """Diarization errors of one recording; turns as in `Session` (a speaker's own never overlap or touch)."""
    overlapped = tuple(overlap.span for overlap in timeline.overlaps(reference))
    scored = scored_stretches(reference, hypothesis, uem=uem, collar=collar, skip_overlap=skip_overlap)
    inside = intersect(scored, timeline.support(overlapped))
    outside = timeline.subtract(scored, overlapped)
    with blame("score", "scoring the turns"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        references = _with_prefix(reference, "ref ")
        hypotheses = _with_reference_names(references, _with_prefix(hypothesis, "hyp "), scored)
        total, overlap, clean = (_count(references, hypotheses, part) for part in (scored, inside, outside))
    return TurnScores(total, overlap, clean)


def scored_stretches(
    reference: Sequence[Turn],
    hypothesis: Sequence[Turn],
    *,
    uem: Sequence[Span] | None,
    collar: float,
    skip_overlap: bool,
) -> tuple[Span, ...]:
    """Where errors count: the UEM or the common extent, without collars, without overlaps if these are skipped.

    reference   |-------A-------|  |---B---|
    uem              |------------------------|
    collar 1         |---------|    |-----|   |
    """
    turns = (*reference, *hypothesis)
    if uem is None and not turns:
        return ()
    whole = uem if uem is not None else (Span(min(t.span.start for t in turns), max(t.span.end for t in turns)),)
    edges = [edge for turn in reference for edge in (turn.span.start, turn.span.end)] if collar > 0 else []
    holes = [Span(max(0.0, edge - collar), edge + collar) for edge in edges]
    if skip_overlap:
        holes += [overlap.span for overlap in timeline.overlaps(reference)]
    return timeline.subtract(whole, holes)


def intersect(a: Sequence[Span], b: Sequence[Span]) -> tuple[Span, ...]:
    """The intersection of two lists of sorted, disjoint spans, in one pass.

    >>> intersect([Span(0, 4), Span(6, 9)], [Span(3, 7)])
    (Span(start=3, end=4), Span(start=6, end=7))
    """
    shared: list[Span] = []
    i = j = 0
    while i < len(a) and j < len(b):
        part = timeline.intersection(a[i], b[j])
        if part is not None:
            shared.append(part)
        if a[i].end <= b[j].end:
            i += 1
        else:
            j += 1
    return tuple(shared)


def _with_prefix(turns: Sequence[Turn], prefix: str) -> tuple[Turn, ...]:
    return tuple(Turn(turn.span, prefix + turn.speaker) for turn in turns)


def _timeline(spans: Sequence[Span]) -> Any:
    from pyannote.core import Segment, Timeline

    return Timeline([Segment(span.start, span.end) for span in spans])


def _with_reference_names(
    reference: Sequence[Turn], hypothesis: Sequence[Turn], scored: Sequence[Span]
) -> tuple[Turn, ...]:
    """The hypothesis under the reference's names where a speaker has a counterpart, otherwise under its own names."""
    from pyannote.metrics.diarization import DiarizationErrorRate

    area = _timeline(scored)
    cropped = (to_annotation(turns).crop(area) for turns in (reference, hypothesis))
    names: Mapping[str, str] = DiarizationErrorRate().optimal_mapping(*cropped)
    return tuple(Turn(turn.span, names.get(turn.speaker, turn.speaker)) for turn in hypothesis)


def _count(reference: Sequence[Turn], hypothesis: Sequence[Turn], scored: Sequence[Span]) -> TurnErrors:
    """The errors inside ``scored`` of a hypothesis under the reference's names."""
    from pyannote.metrics.identification import IdentificationErrorRate

    metric = IdentificationErrorRate()
    detail = metric(to_annotation(reference), to_annotation(hypothesis), uem=_timeline(scored), detailed=True)
    true, estimated = _cropped(reference, scored), _cropped(hypothesis, scored)
    rates = [_jaccard_error(spans, estimated.get(speaker, ())) for speaker, spans in true.items()]
    return TurnErrors(
        miss=float(detail["missed detection"]),
        false_alarm=float(detail["false alarm"]),
        confusion=float(detail["confusion"]),
        total=float(detail["total"]),
        jaccard=sum(rates),
        jaccard_speakers=len(rates),
        count_error=abs(len(estimated) - len(true)),
        speakers=(len(true), len(estimated)),
    )


def _cropped(turns: Sequence[Turn], scored: Sequence[Span]) -> dict[Speaker, tuple[Span, ...]]:
    inside = {speaker: intersect(spans, scored) for speaker, spans in timeline.by_speaker(turns).items()}
    return {speaker: spans for speaker, spans in inside.items() if spans}


def _jaccard_error(reference: Sequence[Span], hypothesis: Sequence[Span]) -> float:
    """One minus the time that both share over the time that either covers (Ryant et al., DIHARD II evaluation plan)."""
    either = timeline.total((*reference, *hypothesis))
    shared = timeline.total(reference) + timeline.total(hypothesis) - either
    return 1.0 - shared / either if either > 0 else 1.0
