"""Who speaks together: the diarizer's guess gives way where the sound clearly names another, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meetsplit.pipeline import timeline
from meetsplit.pipeline.data import Audio, Samples, Span, Speaker, Turn
from meetsplit.pipeline.recast import recast
from meetsplit.pipeline.separators.dictionary import DictionarySeparator, Recipe
from meetsplit.pipeline.separators.listener import DictionaryListener
from meetsplit.pipeline.stages import Unseparated

RATE = 16000
RECORDING = Audio(np.ones(60 * RATE, np.float32), RATE)
ALONE = [Turn(Span(0, 10), "A"), Turn(Span(11, 20), "B"), Turn(Span(21, 30), "C")]


class Told:
    """A listener that knows; keeps what it was asked."""

    rate = RATE

    def __init__(self, **shares: float) -> None:
        self.known = shares
        self.asked: list[tuple[Span, tuple[Speaker, ...]]] = []

    def shares(self, mixture: Audio, known: Mapping[Speaker, Sequence[Audio]]) -> Mapping[Speaker, float]:
        self.asked.append((mixture.span, tuple(known)))
        return {speaker: self.known[speaker] for speaker in known}


def test_somebody_else_takes_the_overlap_and_only_the_overlap() -> None:
    turns = sorted([*ALONE, Turn(Span(40, 46), "A"), Turn(Span(44, 50), "B")])
    found = recast(RECORDING, turns, Told(A=0.4, B=0.03, C=0.4))
    assert found == tuple(sorted([*ALONE, Turn(Span(40, 46), "A"), Turn(Span(44, 46), "C"), Turn(Span(46, 50), "B")]))


@pytest.mark.parametrize("shares", [{"A": 0.4, "B": 0.2, "C": 0.4}, {"A": 0.9, "B": 0.01, "C": 0.09}])
def test_without_a_clear_difference_the_diarizer_is_believed(shares: dict[str, float]) -> None:
    turns = sorted([*ALONE, Turn(Span(40, 46), "A"), Turn(Span(44, 50), "B")])
    assert recast(RECORDING, turns, Told(**shares)) == tuple(turns)


def test_whoever_hardly_speaks_alone_is_neither_heard_nor_replaced() -> None:
    turns = sorted([*ALONE[:2], Turn(Span(21, 23), "C"), Turn(Span(40, 46), "A"), Turn(Span(44, 50), "B"), Turn(Span(52, 58), "C")])
    listener = Told(A=0.4, B=0.03, C=0.4)
    assert recast(RECORDING, [turn for turn in turns if turn.span.start < 52], listener) == tuple(turns[:-1])
    assert listener.asked == []
    assert recast(RECORDING, turns, listener) != tuple(turns)


def test_a_voice_of_silence_changes_nothing() -> None:
    class Refusing(Told):
        def shares(self, mixture: Audio, known: Mapping[Speaker, Sequence[Audio]]) -> Mapping[Speaker, float]:
            raise Unseparated("overlap-unresolved", "silence")

    turns = sorted([*ALONE, Turn(Span(40, 46), "A"), Turn(Span(44, 50), "B")])
    assert recast(RECORDING, turns, Refusing()) == tuple(turns)


turn = st.builds(
    lambda who, at, ticks: Turn(Span(at / 20, (at + ticks) / 20), who), st.sampled_from("ABCDE"), st.integers(0, 1100), st.integers(1, 200)
)


@settings(deadline=None, max_examples=100)
@given(st.lists(turn, max_size=12), st.lists(st.floats(0, 1), min_size=5, max_size=5))
def test_nobody_is_added_or_lost_and_single_speech_stays(turns: list[Turn], shares: list[float]) -> None:
    found = recast(RECORDING, turns, Told(**dict(zip("ABCDE", shares, strict=True))))
    before, after = (timeline.activity(timeline.inside(those, RECORDING.span)) for those in (turns, found))
    count = [(span, len(who)) for span, who in before]
    for speaker in "ABCDE":
        alone = timeline.alone(turns, speaker)
        assert timeline.total(timeline.subtract(alone, timeline.alone(found, speaker))) < 1e-9
    assert sum(span.duration * people for span, people in count) == pytest.approx(sum(span.duration * len(who) for span, who in after))
    assert list(found) == sorted(found)


def voice(pitch: float, seconds: float, seed: int) -> Samples:
    """Harmonics of a wavering pitch, in syllables."""
    t = np.arange(round(seconds * RATE)) / RATE
    rng = np.random.default_rng(seed)
    phase = (
        2
        * np.pi
        * np.cumsum(
            pitch * (1 + 0.05 * np.interp(t, np.arange(0, seconds + 1, 0.2), rng.standard_normal(len(np.arange(0, seconds + 1, 0.2)))))
        )
        / RATE
    )
    sound = sum(np.sin(n * phase) / n for n in range(1, 12))
    return np.asarray(0.1 * sound * (1 + np.sin(2 * np.pi * 3 * t + seed)) / 2, np.float32)


def test_dictionaries_tell_whose_voices_a_mixture_holds() -> None:
    listener = DictionaryListener(DictionarySeparator(recipe=Recipe(exemplars=400, updates=15)))
    known = {name: [Audio(voice(pitch, 5, seed), RATE)] for name, pitch, seed in (("A", 110, 1), ("B", 163, 2), ("C", 241, 3))}
    mixture = Audio(voice(110, 2, 4) + voice(241, 2, 5), RATE, 7.0)
    shares = listener.shares(mixture, known)
    assert shares["B"] < 0.1 < min(shares["A"], shares["C"])
    assert sum(shares.values()) <= 1.0 + 1e-6
    assert listener.shares(Audio(np.zeros(RATE, np.float32), RATE), known) == {"A": 0.0, "B": 0.0, "C": 0.0}
