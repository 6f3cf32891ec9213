"""Arithmetic of time against a clock of 50 ms ticks: every function is compared with counting."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meetsplit.pipeline.data import Overlap, Span, Turn, timeline

TICKS = 60
slots = st.tuples(st.integers(0, TICKS), st.integers(0, TICKS)).map(
    lambda edges: Span(min(edges) / 20, max(edges) / 20)
)
spans = st.lists(slots, max_size=8)
turns = st.lists(st.builds(Turn, slots, st.sampled_from("ABCDE")), max_size=10)


def ticks(found: list[Span] | tuple[Span, ...]) -> set[int]:
    return {tick for span in found for tick in range(round(span.start * 20), round(span.end * 20))}


def neat(found: tuple[Span, ...]) -> bool:
    return all(a.end < b.start for a, b in itertools.pairwise(found)) and all(span.duration > 0 for span in found)


@settings(deadline=None)
@given(spans, spans, slots)
def test_sets_of_ticks(a: list[Span], b: list[Span], within: Span) -> None:
    assert ticks(timeline.support(a)) == ticks(a)
    assert neat(timeline.support(a))
    assert ticks(timeline.subtract(a, b)) == ticks(a) - ticks(b)
    assert neat(timeline.subtract(a, b))
    assert ticks(timeline.crop(a, within)) == ticks(a) & ticks([within])
    assert ticks(timeline.gaps(a, within)) == ticks([within]) - ticks(a)
    assert timeline.total(a) == pytest.approx(len(ticks(a)) / 20)


@settings(deadline=None)
@given(spans, slots)
def test_during_finds_what_shares_time(a: list[Span], within: Span) -> None:
    joined = timeline.support(a)
    if within.duration > 0:
        assert tuple(timeline.during(joined, within)) == tuple(
            span for span in joined if timeline.intersection(span, within)
        )


@settings(deadline=None)
@given(turns)
def test_activity_counts_who_speaks_at_each_tick(found: list[Turn]) -> None:
    pieces = timeline.activity(found)
    assert all(a[0].end <= b[0].start for a, b in itertools.pairwise(pieces))
    assert all(a[0].end < b[0].start or a[1] != b[1] for a, b in itertools.pairwise(pieces))
    heard = {tick: speakers for span, speakers in pieces for tick in ticks([span])}
    for tick in range(TICKS):
        active = tuple(sorted({turn.speaker for turn in found if tick in ticks([turn.span])}))
        assert heard.get(tick, ()) == active
    assert timeline.overlaps(found) == tuple(Overlap(*piece) for piece in pieces if len(piece[1]) > 1)
    for speaker in "ABCDE":
        assert timeline.alone(found, speaker) == tuple(span for span, speakers in pieces if speakers == (speaker,))


@settings(deadline=None)
@given(turns)
def test_edges_are_copied_never_computed(found: list[Turn]) -> None:
    edges = {edge for turn in found for edge in (turn.span.start, turn.span.end)}
    assert {edge for span, _ in timeline.activity(found) for edge in (span.start, span.end)} <= edges


@settings(deadline=None)
@given(turns, slots)
def test_inside_keeps_every_speakers_time(found: list[Turn], within: Span) -> None:
    kept = timeline.inside(found, within)
    assert list(kept) == sorted(kept)
    for speaker in "ABCDE":
        own = [turn.span for turn in found if turn.speaker == speaker]
        assert ticks([turn.span for turn in kept if turn.speaker == speaker]) == ticks(own) & ticks([within])


@settings(deadline=None)
@given(turns)
def test_relabelling_counts_up_in_order_of_first_speech(found: list[Turn]) -> None:
    labels = [turn.speaker for turn in timeline.relabelled(found)]
    assert list(dict.fromkeys(labels)) == [f"SPEAKER_{n:02d}" for n in range(len(set(labels)))]


def test_touching_is_not_sharing() -> None:
    assert timeline.intersection(Span(0, 1), Span(1, 2)) is None
    assert timeline.overlaps([Turn(Span(0, 1), "A"), Turn(Span(1, 2), "B")]) == ()
    assert timeline.during((Span(0, 1), Span(2, 3)), Span(1, 2)) == ()


def test_support_fills_holes_up_to_the_gap_and_no_longer_ones() -> None:
    assert timeline.support([Span(2, 3), Span(0, 1.5)], gap=0.5) == (Span(0, 3),)
    assert timeline.support([Span(2, 3), Span(0, 1.4)], gap=0.5) == (Span(0, 1.4), Span(2, 3))


def test_widened_joins_and_stops_at_zero() -> None:
    assert timeline.widened([Span(0.1, 1), Span(1.5, 2)], 0.25) == (Span(0.0, 2.25),)
