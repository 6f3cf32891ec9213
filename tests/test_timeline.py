"""Interval arithmetic on a grid of 50 ms ticks: every function is compared with counting."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meetsplit.pipeline.data import Overlap, Span, Turn, timeline

TICKS = 60
span_strategy = st.tuples(st.integers(0, TICKS), st.integers(0, TICKS)).map(
    lambda edges: Span(min(edges) / 20, max(edges) / 20)
)
span_lists = st.lists(span_strategy, max_size=8)
turn_lists = st.lists(st.builds(Turn, span_strategy, st.sampled_from("ABCDE")), max_size=10)


def ticks(spans: list[Span] | tuple[Span, ...]) -> set[int]:
    return {tick for span in spans for tick in range(round(span.start * 20), round(span.end * 20))}


def is_disjoint(spans: tuple[Span, ...]) -> bool:
    return all(a.end < b.start for a, b in itertools.pairwise(spans)) and all(span.duration > 0 for span in spans)


@settings(deadline=None)
@given(span_lists, span_lists, span_strategy)
def test_sets_of_ticks(a: list[Span], b: list[Span], within: Span) -> None:
    assert ticks(timeline.support(a)) == ticks(a)
    assert is_disjoint(timeline.support(a))
    assert ticks(timeline.subtract(a, b)) == ticks(a) - ticks(b)
    assert is_disjoint(timeline.subtract(a, b))
    assert ticks(timeline.crop(a, within)) == ticks(a) & ticks([within])
    assert ticks(timeline.gaps(a, within)) == ticks([within]) - ticks(a)
    assert timeline.total(a) == pytest.approx(len(ticks(a)) / 20)


@settings(deadline=None)
@given(span_lists, span_strategy)
def test_during_finds_what_shares_time(a: list[Span], within: Span) -> None:
    joined = timeline.support(a)
    if within.duration > 0:
        assert tuple(timeline.during(joined, within)) == tuple(
            span for span in joined if timeline.intersection(span, within)
        )


@settings(deadline=None)
@given(turn_lists)
def test_activity_counts_who_speaks_at_each_tick(turns: list[Turn]) -> None:
    pieces = timeline.activity(turns)
    assert all(a[0].end <= b[0].start for a, b in itertools.pairwise(pieces))
    assert all(a[0].end < b[0].start or a[1] != b[1] for a, b in itertools.pairwise(pieces))
    speakers_at = {tick: speakers for span, speakers in pieces for tick in ticks([span])}
    for tick in range(TICKS):
        active = tuple(sorted({turn.speaker for turn in turns if tick in ticks([turn.span])}))
        assert speakers_at.get(tick, ()) == active
    assert timeline.overlaps(turns) == tuple(Overlap(*piece) for piece in pieces if len(piece[1]) > 1)
    for speaker in "ABCDE":
        assert timeline.alone(turns, speaker) == tuple(span for span, speakers in pieces if speakers == (speaker,))


@settings(deadline=None)
@given(turn_lists)
def test_edges_are_copied_never_computed(turns: list[Turn]) -> None:
    edges = {edge for turn in turns for edge in (turn.span.start, turn.span.end)}
    assert {edge for span, _ in timeline.activity(turns) for edge in (span.start, span.end)} <= edges


@settings(deadline=None)
@given(turn_lists, span_strategy)
def test_inside_keeps_every_speakers_time(turns: list[Turn], within: Span) -> None:
    cropped = timeline.inside(turns, within)
    assert list(cropped) == sorted(cropped)
    for speaker in "ABCDE":
        spans = [turn.span for turn in turns if turn.speaker == speaker]
        assert ticks([turn.span for turn in cropped if turn.speaker == speaker]) == ticks(spans) & ticks([within])


@settings(deadline=None)
@given(turn_lists)
def test_relabelling_counts_up_in_order_of_first_speech(turns: list[Turn]) -> None:
    labels = [turn.speaker for turn in timeline.relabelled(turns)]
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


def test_confidence_follows_turns_that_are_cut_and_named_anew() -> None:
    turns = [Turn(Span(0, 4), "x", 0.5), Turn(Span(2, 6), "y", 0.9), Turn(Span(6, 8), "x", 0.8)]
    cut = timeline.relabelled(timeline.inside(turns, Span(1, 7)))
    assert [(turn.speaker, turn.confidence) for turn in cut] == [
        ("SPEAKER_00", 0.5),
        ("SPEAKER_01", 0.9),
        ("SPEAKER_00", 0.8),
    ]
    moved = [Turn(Span(3, 7), "x"), Turn(Span(0, 1), "y"), Turn(Span(5, 6), "z")]
    assert [turn.confidence for turn in timeline.with_confidence(moved, turns)] == [0.65, None, None]
