"""Interval arithmetic: pure functions on spans and turns. Edges are copied from the input, never computed."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace

from meetsplit.pipeline.data import Overlap, Span, Speaker, Turn
from meetsplit.pipeline.data.labels import label


def intersection(a: Span, b: Span) -> Span | None:
    """The intersection of two spans; None where they share no time (touching is none).

    a   |------|
    b        |------|
    ->       |-|
    """
    start, end = max(a.start, b.start), min(a.end, b.end)
    return Span(start, end) if start < end else None


def support(spans: Iterable[Span], gap: float = 0.0) -> tuple[Span, ...]:
    """The union as sorted, disjoint spans; holes of at most ``gap`` seconds are filled.

    in  |----|  |--|          |---|
             |-----|
    ->  |----------|          |---|

    >>> support([Span(0, 1), Span(1, 2), Span(2.3, 3)], gap=0.5)
    (Span(start=0, end=3),)
    """
    joined: list[Span] = []
    for span in sorted(spans):
        if span.start == span.end:
            continue
        if joined and span.start - joined[-1].end <= gap:
            joined[-1] = Span(joined[-1].start, max(joined[-1].end, span.end))
        else:
            joined.append(span)
    return tuple(joined)


def gaps(spans: Iterable[Span], within: Span) -> tuple[Span, ...]:
    """The parts of ``within`` that no span covers.

    within  |----------------------|
    spans      |----|     |--|
    ->      |--|    |-----|  |-----|
    """
    holes: list[Span] = []
    at = within.start
    for span in support(spans):
        if span.start >= within.end:
            break
        if span.start > at:
            holes.append(Span(at, span.start))
        at = max(at, span.end)
    if at < within.end:
        holes.append(Span(at, within.end))
    return tuple(holes)


def crop(spans: Iterable[Span], within: Span) -> tuple[Span, ...]:
    """The parts of the spans inside ``within``, in the order given."""
    inside = (intersection(span, within) for span in spans)
    return tuple(span for span in inside if span is not None)


def during(spans: Sequence[Span], within: Span) -> Sequence[Span]:
    """Those of the sorted, disjoint ``spans`` that share time with ``within``, whole; found in logarithmic time.

    spans   |---|  |--|    |----|   |--|
    within        |----------|
    ->             |--|    |----|

    >>> during((Span(0, 1), Span(2, 3), Span(5, 6)), Span(1, 5))
    (Span(start=2, end=3),)
    """
    first = bisect_right(spans, within.start, key=lambda span: span.end)
    return spans[first : max(first, bisect_left(spans, within.end, key=lambda span: span.start))]


def shared(spans: Iterable[Sequence[Span]]) -> tuple[Span, ...]:
    """Where at least two items cover the time; each item holds one speaker's spans, disjoint.

    A   |----------|
    B         |---------|
    ->        |----|

    >>> shared([(Span(0, 3),), (Span(2, 5),), (Span(2.5, 3.5),)])
    (Span(start=2, end=3.5),)
    """
    edges = sorted(
        (time, change) for one in spans for span in one for time, change in ((span.start, 1), (span.end, -1))
    )
    pieces: list[Span] = []
    active, since = 0, 0.0
    for time, change in edges:
        if active >= 2 and time > since:
            pieces.append(Span(since, time))
        active, since = active + change, time
    return support(pieces)


class Counter:
    """Counts the spans that share time with a given one, in logarithmic time; the spans may overlap."""

    def __init__(self, spans: Iterable[Span]) -> None:
        counted = [span for span in spans if span.start < span.end]
        self._starts = sorted(span.start for span in counted)
        self._ends = sorted(span.end for span in counted)

    def during(self, within: Span) -> int:
        """The number of spans that begin before the end of ``within`` and end after its start.

        >>> Counter([Span(0, 2), Span(1, 3), Span(5, 6)]).during(Span(2, 5))
        1
        """
        return max(bisect_left(self._starts, within.end) - bisect_right(self._ends, within.start), 0)


def subtract(spans: Iterable[Span], holes: Iterable[Span]) -> tuple[Span, ...]:
    """The union of ``spans`` without the union of ``holes``.

    >>> subtract([Span(0, 4)], [Span(1, 2), Span(3, 9)])
    (Span(start=0, end=1), Span(start=2, end=3))
    """
    cuts = support(holes)
    return tuple(rest for span in support(spans) for rest in gaps(during(cuts, span), span))


def widened(spans: Iterable[Span], by: float) -> tuple[Span, ...]:
    """The union of the spans, each ``by`` seconds longer on both sides (not before 0)."""
    return support(Span(max(span.start - by, 0.0), span.end + by) for span in spans)


def total(spans: Iterable[Span]) -> float:
    """Seconds covered by at least one span."""
    return sum(span.duration for span in support(spans))


def by_speaker(turns: Iterable[Turn]) -> dict[Speaker, tuple[Span, ...]]:
    """Each speaker's speech as sorted, disjoint spans; speakers sorted."""
    spans: dict[Speaker, list[Span]] = {}
    for turn in turns:
        spans.setdefault(turn.speaker, []).append(turn.span)
    return {speaker: support(spans[speaker]) for speaker in sorted(spans)}


def merge_turns(turns: Iterable[Turn]) -> tuple[Turn, ...]:
    """The turns with each speaker's overlapping or touching ones merged, sorted; empty ones are dropped.

    >>> merge_turns([Turn(Span(1, 2), "A"), Turn(Span(0, 1), "A")])
    (Turn(span=Span(start=0, end=2), speaker='A'),)
    """
    return tuple(sorted(Turn(span, speaker) for speaker, spans in by_speaker(turns).items() for span in spans))


def with_one_speaker(turns: Iterable[Turn], labels: Sequence[Speaker]) -> tuple[Turn, ...]:
    """The turns with those of all ``labels`` as the first label's, merged, without their confidence; sorted.

    >>> with_one_speaker([Turn(Span(0, 2), "A"), Turn(Span(1, 3), "B"), Turn(Span(2, 4), "C")], ["A", "B"])
    (Turn(span=Span(start=0, end=3), speaker='A'), Turn(span=Span(start=2, end=4), speaker='C'))
    """
    given = tuple(turns)
    others = [turn for turn in given if turn.speaker not in labels]
    merged = (Turn(span, labels[0]) for span in support(turn.span for turn in given if turn.speaker in labels))
    return tuple(sorted([*others, *merged]))


def activity(turns: Iterable[Turn]) -> tuple[tuple[Span, tuple[Speaker, ...]], ...]:
    """The timeline cut at every edge: each piece with the speakers active in it (at least one), sorted.

    A   |----------|
    B         |---------|
    ->  |--A--|-AB-|--B-|

    Neighbouring pieces with the same speakers are one piece.
    """
    edges: dict[float, list[tuple[Speaker, int]]] = {}
    for speaker, spans in by_speaker(turns).items():
        for span in spans:
            edges.setdefault(span.start, []).append((speaker, 1))
            edges.setdefault(span.end, []).append((speaker, -1))
    active: set[Speaker] = set()
    pieces: list[tuple[Span, tuple[Speaker, ...]]] = []
    at = 0.0
    for time in sorted(edges):
        if active:
            pieces.append((Span(at, time), tuple(sorted(active))))
        for speaker, change in sorted(edges[time], key=lambda edge: edge[1]):
            (active.add if change > 0 else active.discard)(speaker)
        at = time
    return tuple(pieces)


def overlaps(turns: Iterable[Turn]) -> tuple[Overlap, ...]:
    """Where two or more speakers are active at once, cut wherever the set of speakers changes.

    >>> overlaps([Turn(Span(0, 3), "A"), Turn(Span(2, 4), "B")])
    (Overlap(span=Span(start=2, end=3), speakers=('A', 'B')),)
    """
    return tuple(Overlap(span, speakers) for span, speakers in activity(turns) if len(speakers) > 1)


def inside(turns: Iterable[Turn], within: Span) -> tuple[Turn, ...]:
    """The parts of the turns inside ``within``, sorted; turns that share no time with it are left out."""
    parts = ((intersection(turn.span, within), turn) for turn in turns)
    return tuple(sorted(replace(turn, span=span) for span, turn in parts if span is not None))


def alone(turns: Sequence[Turn], speaker: Speaker) -> tuple[Span, ...]:
    """Where only ``speaker`` is active."""
    return tuple(span for span, speakers in activity(turns) if speakers == (speaker,))


def relabelled(turns: Iterable[Turn]) -> tuple[Turn, ...]:
    """The same turns, sorted, with ``SPEAKER_00``, ``SPEAKER_01``… in order of first speech.

    >>> relabelled([Turn(Span(1, 2), "x"), Turn(Span(0, 1), "y")])[0].speaker
    'SPEAKER_00'
    """
    ordered = sorted(turns)
    labels: dict[Speaker, Speaker] = {}
    for turn in ordered:
        labels.setdefault(turn.speaker, label(len(labels)))
    return tuple(replace(turn, speaker=labels[turn.speaker]) for turn in ordered)


def with_confidence(turns: Iterable[Turn], known: Iterable[Turn]) -> tuple[Turn, ...]:
    """The turns with the `confidence` of their speaker's ``known`` ones that they share time with."""
    of_speaker: dict[Speaker, list[Turn]] = {}
    for turn in sorted(known):
        of_speaker.setdefault(turn.speaker, []).append(turn)
    return tuple(replace(turn, confidence=confidence(of_speaker.get(turn.speaker, ()), turn.span)) for turn in turns)


def confidence(turns: Sequence[Turn], span: Span) -> float | None:
    """The confidence of one speaker's ``turns`` (sorted, without overlap) during ``span``, by the time they share.

    None where none says how sure it is.

    >>> confidence([Turn(Span(0, 3), "A", 0.9), Turn(Span(3, 4), "A", 0.5)], Span(0, 5))
    0.8
    """
    first = bisect_right(turns, span.start, key=lambda turn: turn.end)
    last = bisect_left(turns, span.end, key=lambda turn: turn.start)
    shares = [
        (min(turn.end, span.end) - max(turn.start, span.start), turn.confidence)
        for turn in turns[first:last]
        if turn.confidence is not None
    ]
    seconds = sum(share for share, _ in shares)
    return round(sum(share * value for share, value in shares) / seconds, 3) if seconds > 0.0 else None
