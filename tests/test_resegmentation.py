"""Resegmentation: the diarizer's speaker gives way where the sound clearly is another's, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meetsplit.pipeline.data import Audio, Samples, Span, Speaker, Turn, timeline
from meetsplit.pipeline.overlap.resegmentation import CONTEXT, WINDOW, resegment
from meetsplit.pipeline.protocols import Unseparated
from meetsplit.pipeline.separators.dictionary import DictionarySeparator, NmfOptions
from meetsplit.pipeline.separators.speaker_activity import DictionaryActivity

RATE = 16000
RECORDING = Audio(np.ones(60 * RATE, np.float32), RATE)
ALONE = [Turn(Span(0, 10), "A"), Turn(Span(11, 20), "B"), Turn(Span(21, 30), "C")]


class TrueActivity:
    """An estimator that knows who speaks when; keeps its calls: the mixture's span and the enrolled speakers."""

    rate = RATE

    def __init__(self, *truth: tuple[float, float, dict[Speaker, float]], **always: float) -> None:
        self.truth, self.always = truth, always
        self.calls: list[tuple[Span, tuple[Speaker, ...]]] = []

    def estimate(
        self, mixture: Audio, enrollment: Mapping[Speaker, Sequence[Audio]], block: float
    ) -> Mapping[Speaker, Samples]:
        self.calls.append((mixture.span, tuple(enrollment)))
        moments = mixture.start + block * (np.arange(round(mixture.duration / block)) + 0.5)
        rows = {speaker: np.full(len(moments), self.always.get(speaker, 0.0), np.float32) for speaker in enrollment}
        for start, end, estimate in self.truth:
            for speaker in estimate.keys() & enrollment.keys():
                rows[speaker][(moments >= start) & (moments < end)] = estimate[speaker]
        return rows


def approximately(turns: Sequence[Turn]) -> list[tuple[float, float, Speaker]]:
    """To a tenth of a second: frames need not begin where a speaker does."""
    return [
        (pytest.approx(turn.span.start, abs=0.11), pytest.approx(turn.span.end, abs=0.11), turn.speaker)
        for turn in sorted(turns)
    ]


def rows(turns: Sequence[Turn]) -> list[tuple[float, float, Speaker]]:
    return [(turn.span.start, turn.span.end, turn.speaker) for turn in turns]


def test_another_speaker_gets_the_overlap_and_only_the_overlap() -> None:
    turns = sorted([*ALONE, Turn(Span(40, 46), "A"), Turn(Span(44, 50), "B")])
    estimator = TrueActivity(
        (0, 10.5, {"A": 0.9}),
        (10.5, 20.5, {"B": 0.9}),
        (20.5, 30, {"C": 0.9}),
        (40, 44, {"A": 0.9}),
        (46, 50, {"B": 0.9}),
        (44, 46, {"A": 0.4, "B": 0.03, "C": 0.4}),
    )
    resegmented = resegment(RECORDING, turns, estimator)
    assert rows(resegmented) == approximately(
        [*ALONE, Turn(Span(40, 46), "A"), Turn(Span(44, 46), "C"), Turn(Span(46, 50), "B")]
    )


def test_a_turn_of_two_speakers_is_divided_where_the_voice_changes() -> None:
    turns = sorted([*ALONE, Turn(Span(40, 46), "A"), Turn(Span(42, 47), "B")])
    estimator = TrueActivity(
        (0, 10.5, {"A": 0.9}),
        (10.5, 20.5, {"B": 0.9}),
        (20.5, 30, {"C": 0.9}),
        (40, 42, {"A": 0.9}),
        (42, 44.5, {"A": 0.5, "C": 0.4}),
        (44.5, 46, {"A": 0.4, "B": 0.4}),
        (46, 47, {"B": 0.9}),
    )
    resegmented = resegment(RECORDING, turns, estimator)
    assert rows(resegmented) == approximately(
        [*ALONE, Turn(Span(40, 46), "A"), Turn(Span(42, 44.5), "C"), Turn(Span(44.5, 47), "B")]
    )


def test_the_first_word_of_a_turn_goes_to_the_speaker_it_sounds_like() -> None:
    turns = sorted([*ALONE, Turn(Span(40, 46), "A"), Turn(Span(46, 52), "B")])
    estimator = TrueActivity(
        (0, 10.5, {"A": 0.9}),
        (10.5, 20.5, {"B": 0.9}),
        (20.5, 30, {"C": 0.9}),
        (40, 46.6, {"A": 0.8, "B": 0.1}),
        (46.6, 52, {"B": 0.9}),
    )
    resegmented = resegment(RECORDING, turns, estimator)
    assert rows(resegmented) == approximately([*ALONE, Turn(Span(40, 46.6), "A"), Turn(Span(46.6, 52), "B")])


def test_far_from_every_boundary_no_activity_is_estimated() -> None:
    estimator = TrueActivity(A=0.0, B=0.9, C=0.0)
    resegmented = resegment(RECORDING, ALONE, estimator)
    assert all(span.duration <= WINDOW + 2 * CONTEXT + 1e-6 for span, _ in estimator.calls)
    assert not any(span.start < 5 < span.end for span, _ in estimator.calls)
    assert Span(2, 8) in [timeline.intersection(turn.span, Span(2, 8)) for turn in resegmented if turn.speaker == "A"]


@pytest.mark.parametrize(
    "activity", [{"A": 0.4, "B": 0.2, "C": 0.4}, {"A": 0.0, "B": 0.0, "C": 0.0}, {"A": 1.0, "B": 1.0, "C": 1.0}]
)
def test_without_a_clear_difference_the_diarizer_is_believed(activity: dict[str, float]) -> None:
    turns = sorted([*ALONE, Turn(Span(40, 46), "A"), Turn(Span(44, 50), "B")])
    assert resegment(RECORDING, turns, TrueActivity(**activity)) == tuple(turns)


def test_a_speaker_with_hardly_any_clean_speech_neither_gains_nor_loses_any() -> None:
    turns = sorted(
        [
            Turn(Span(0, 10), "A"),
            Turn(Span(11, 20), "B"),
            Turn(Span(21, 25), "C"),
            Turn(Span(40, 46), "A"),
            Turn(Span(44, 50), "B"),
        ]
    )
    estimator = TrueActivity(A=0.03, B=0.03, C=0.9)
    assert resegment(RECORDING, turns, estimator) == tuple(turns)
    assert not any("C" in speakers for _, speakers in estimator.calls)
    assert resegment(RECORDING, sorted([*turns, Turn(Span(52, 58), "C")]), estimator) != tuple(turns)


def test_with_one_enrolled_speaker_no_activity_is_estimated() -> None:
    estimator = TrueActivity(A=0.0)
    assert resegment(RECORDING, [ALONE[0], Turn(Span(40, 46), "A")], estimator) == (ALONE[0], Turn(Span(40, 46), "A"))
    assert estimator.calls == []


def test_a_voice_of_silence_changes_nothing() -> None:
    class Refusing(TrueActivity):
        def estimate(
            self, mixture: Audio, enrollment: Mapping[Speaker, Sequence[Audio]], block: float
        ) -> Mapping[Speaker, Samples]:
            raise Unseparated("overlap-unresolved", "silence")

    turns = sorted([*ALONE, Turn(Span(40, 46), "A"), Turn(Span(44, 50), "B")])
    assert resegment(RECORDING, turns, Refusing()) == tuple(turns)


turn = st.builds(
    lambda who, at, ticks: Turn(Span(at / 20, (at + ticks) / 20), who),
    st.sampled_from("ABCDE"),
    st.integers(0, 1100),
    st.integers(1, 200),
)
moment = st.tuples(st.integers(0, 55), st.integers(1, 10), st.dictionaries(st.sampled_from("ABCDE"), st.floats(0, 1)))


@settings(deadline=None, max_examples=40)
@given(st.lists(turn, max_size=12), st.lists(moment, max_size=12))
def test_at_every_moment_as_many_speak_as_before(
    turns: list[Turn], sounds: list[tuple[int, int, dict[str, float]]]
) -> None:
    resegmented = resegment(
        RECORDING, turns, TrueActivity(*((at, at + length, estimate) for at, length, estimate in sounds))
    )
    before, after = (timeline.activity(timeline.inside(those, RECORDING.span)) for those in (turns, resegmented))
    for moment in np.arange(0.0125, 60, 0.025):
        count = [sum(len(who) for span, who in those if span.start <= moment < span.end) for those in (before, after)]
        assert count[0] == count[1]
    assert {turn.speaker for turn in resegmented} <= {turn.speaker for turn in turns}
    assert all(0 <= turn.span.start < turn.span.end <= RECORDING.duration for turn in resegmented)
    assert list(resegmented) == sorted(resegmented)
    assert timeline.by_speaker(resegmented) == timeline.by_speaker(
        resegment(RECORDING, turns[::-1], TrueActivity(*((a, a + n, s) for a, n, s in sounds)))
    )


def voice(pitch: float, seconds: float, seed: int) -> Samples:
    """Harmonics of a wavering pitch, in syllables."""
    t = np.arange(round(seconds * RATE)) / RATE
    rng = np.random.default_rng(seed)
    phase = (
        2
        * np.pi
        * np.cumsum(
            pitch
            * (
                1
                + 0.05
                * np.interp(t, np.arange(0, seconds + 1, 0.2), rng.standard_normal(len(np.arange(0, seconds + 1, 0.2))))
            )
        )
        / RATE
    )
    sound = sum(np.sin(n * phase) / n for n in range(1, 12))
    return np.asarray(0.1 * sound * (1 + np.sin(2 * np.pi * 3 * t + seed)) / 2, np.float32)


@pytest.fixture(scope="module")
def estimator() -> DictionaryActivity:
    return DictionaryActivity(DictionarySeparator(options=NmfOptions(exemplars=400, updates=10)))


def test_dictionaries_tell_which_speaker_is_active_when(estimator: DictionaryActivity) -> None:
    enrollment = {
        name: [Audio(voice(pitch, 5, seed), RATE)]
        for name, pitch, seed in (("A", 110, 1), ("B", 163, 2), ("C", 241, 3))
    }
    mixture = Audio(voice(110, 2, 4) + np.concatenate([voice(241, 1, 5), voice(163, 1, 6)]), RATE, 7.0)
    estimate = estimator.estimate(mixture, enrollment, 0.1)
    assert {len(row) for row in estimate.values()} == {20}
    early, late = (
        {name: float(row[part].mean()) for name, row in estimate.items()} for part in (slice(0, 8), slice(12, 20))
    )
    assert early["B"] < 0.1 < min(early["A"], early["C"])
    assert late["C"] < 0.1 < min(late["A"], late["B"])
    assert all(np.isfinite(row).all() and (row >= 0).all() for row in estimate.values())
    assert float(sum(estimate.values()).max()) <= 1.0 + 1e-5  # type: ignore[union-attr]
    assert all(
        (row == 0).all()
        for row in estimator.estimate(Audio(np.zeros(RATE, np.float32), RATE, 9.0), enrollment, 0.1).values()
    )
    again = estimator.estimate(mixture, enrollment, 0.1)
    assert all((estimate[name] == again[name]).all() for name in enrollment)


def test_exemplars_from_the_mixture_are_excluded(estimator: DictionaryActivity) -> None:
    mixture = Audio(voice(110, 2, 4), RATE, 7.0)
    with pytest.raises(Unseparated, match="too little of A's speech is known"):
        estimator.estimate(mixture, {"A": [mixture], "B": [Audio(voice(163, 5, 2), RATE)]}, 0.1)
