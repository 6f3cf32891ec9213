"""Speaker matching: the best joint assignment, its margins, elimination and refusals."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meetsplit.pipeline.data import Audio, Speaker, Voice
from meetsplit.pipeline.errors import BrokenPromise
from meetsplit.pipeline.protocols import Unseparated
from meetsplit.pipeline.separators.matching import MatchingSeparator
from meetsplit.speakers.embed import MAX_PIECE, MAX_SECONDS, voiceprint
from meetsplit.speakers.match import EmbeddingMatcher

RATE = 16_000


class Spelled:
    """An `Embedder` that reads a voice's direction from the clip's first three samples; zeros have no embedding."""

    rate = RATE

    def __init__(self) -> None:
        self.durations: list[float] = []

    def embed(self, clips: Sequence[Audio]) -> npt.NDArray[np.float32]:
        self.durations += [clip.duration for clip in clips]
        rows = np.array(
            [clip.samples[:3] if len(clip.samples) >= 3 else np.zeros(3) for clip in clips], np.float32
        ).reshape(-1, 3)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.where(norms > 0, rows / np.where(norms > 0, norms, 1), np.nan).astype(np.float32)


def clip(*direction: float, seconds: float = 1.0, rate: int = RATE) -> Audio:
    return Audio(np.resize(np.array(direction, np.float32), round(seconds * rate)), rate)


def test_a_voiceprint_is_the_mean_weighted_by_duration() -> None:
    mean = voiceprint(Spelled(), [clip(0, 1, 0, seconds=1), clip(1, 0, 0, seconds=3), clip(0, 0, 0, seconds=9)])
    np.testing.assert_allclose(mean, np.array([3, 1, 0]) / np.sqrt(10), atol=1e-6)


def test_a_voiceprint_is_bounded_and_prefers_long_clips() -> None:
    embedder = Spelled()
    voiceprint(embedder, [clip(1, 0, 0, seconds=2), clip(0, 1, 0, seconds=25), clip(0, 0, 1, seconds=40)])
    assert sum(embedder.durations) == pytest.approx(MAX_SECONDS)
    assert max(embedder.durations) <= MAX_PIECE


@pytest.mark.parametrize("clips", [[], [clip(0, 0, 0)], [Audio(np.zeros(0, np.float32), RATE)]])
def test_no_speech_no_voiceprint(clips: list[Audio]) -> None:
    assert np.isnan(voiceprint(Spelled(), clips)).all()
    assert voiceprint(Spelled(), clips).shape == (3,)


def test_opposite_clips_have_no_voiceprint() -> None:
    assert np.isnan(voiceprint(Spelled(), [clip(1, 0, 0), clip(-1, 0, 0)])).all()


def test_clips_at_another_rate_are_resampled() -> None:
    embedder = Spelled()
    voiceprint(embedder, [clip(1, 1, 1, rate=8000)])
    assert embedder.durations == [1.0]


def test_margins_are_own_similarity_minus_the_best_other_speakers() -> None:
    enrollment = {"A": [clip(1, 0, 0)], "B": [clip(0, 1, 0)], "C": [clip(0, 0, 1)]}
    voices = [clip(0.0, 0.6, 0.8), clip(0.6, 0.8, 0.0), clip(0.8, 0.6, 0.0)]
    matches = EmbeddingMatcher(Spelled()).match(voices, enrollment)
    assert matches["A"].audio is voices[2]
    assert matches["B"].audio is voices[1]
    assert matches["C"].audio is voices[0]
    for voice in matches.values():
        assert voice.margin == pytest.approx(0.2, abs=1e-6)


def test_the_whole_counts_not_the_best_single_pair() -> None:
    enrollment = {"A": [clip(1, 0, 0)], "B": [clip(0.9, 0.436, 0)]}
    voices = [clip(1, 0.05, 0), clip(0.97, -0.24, 0)]
    matches = EmbeddingMatcher(Spelled()).match(voices, enrollment)
    assert matches["B"].audio is voices[0]
    assert matches["A"].margin == pytest.approx(
        0.97 / np.hypot(0.97, 0.24) - (0.97 * 0.9 - 0.24 * 0.436) / np.hypot(0.97, 0.24), abs=1e-3
    )
    assert matches["B"].margin is not None
    assert matches["B"].margin < 0.0


def test_silent_voices_get_what_is_left_without_a_margin() -> None:
    enrollment = {"A": [clip(1, 0, 0)], "B": [clip(0, 1, 0)]}
    voices = [clip(0, 0, 0), clip(1, 0.1, 0)]
    matches = EmbeddingMatcher(Spelled()).match(voices, enrollment)
    assert matches["A"].audio is voices[1]
    assert matches["B"].audio is voices[0]
    assert matches["A"].margin is not None
    assert matches["B"].margin is None


def test_one_speaker_is_compared_over_the_voices() -> None:
    voices = [clip(0, 1, 0), clip(0.8, 0.6, 0)]
    matches = EmbeddingMatcher(Spelled()).match(voices, {"A": [clip(1, 0, 0)]})
    assert matches["A"].audio is voices[1]
    assert matches["A"].margin == pytest.approx(0.8)


def test_no_enrollment_or_too_few_voices() -> None:
    assert EmbeddingMatcher(Spelled()).match([clip(1, 0, 0)], {}) == {}
    with pytest.raises(ValueError, match="1 voices cannot belong to 2 speakers"):
        EmbeddingMatcher(Spelled()).match([clip(1, 0, 0)], {"A": [], "B": []})


def test_voiceprints_are_made_once() -> None:
    embedder = Spelled()
    matcher = EmbeddingMatcher(embedder)
    for _ in range(3):
        matcher.match(
            [clip(1, 0, 0), clip(0, 1, 0)], {"A": [clip(1, 0, 0, seconds=2)], "B": [clip(0, 1, 0, seconds=2)]}
        )
    assert embedder.durations.count(2.0) == 2


directions = st.lists(st.lists(st.integers(-3, 3), min_size=3, max_size=3), min_size=1, max_size=4)


@settings(deadline=None, max_examples=60)
@given(directions)
def test_the_assignment_is_the_best_of_all(rows: list[list[int]]) -> None:
    enrollment = {f"S{index}": [clip(*row)] for index, row in enumerate(rows)}
    voices = [clip(*row) for row in rows[::-1]]
    matches = EmbeddingMatcher(Spelled()).match(voices, enrollment)
    chosen = [next(index for index, voice in enumerate(voices) if voice is matches[name].audio) for name in enrollment]
    assert sorted(chosen) == list(range(len(voices)))
    similar = np.nan_to_num(Spelled().embed([clips[0] for clips in enrollment.values()]) @ Spelled().embed(voices).T)
    best = max(sum(similar[i, j] for i, j in enumerate(order)) for order in itertools.permutations(range(len(voices))))
    assert sum(similar[i, j] for i, j in enumerate(chosen)) == pytest.approx(best, abs=1e-5)


class Halves:
    """A `BlindSeparator` of two voices."""

    rate = RATE
    counts = frozenset({2})

    def split(self, mixture: Audio, count: int) -> Sequence[Audio]:
        return [mixture.replaced(mixture.samples * np.float32(share)) for share in np.linspace(1, 2, count)]


class Copying:
    """A `Matcher` that breaks its promise: it returns copies."""

    def match(self, voices: Sequence[Audio], enrollment: Mapping[Speaker, Sequence[Audio]]) -> Mapping[Speaker, Voice]:
        return {name: Voice(Audio(voices[0].samples, RATE)) for name in enrollment}


def test_one_speaker_without_enrollment_is_matched_by_elimination() -> None:
    mixture = clip(1, 1, 0)
    matches = MatchingSeparator(Halves(), EmbeddingMatcher(Spelled())).separate(
        mixture, {"A": [], "B": [clip(1, 0, 0)]}
    )
    assert list(matches) == ["A", "B"]
    assert matches["A"].margin is None
    assert matches["A"].audio is not matches["B"].audio


def test_two_speakers_without_enrollment_are_refused() -> None:
    with pytest.raises(Unseparated, match="A, B never speak alone") as refused:
        MatchingSeparator(Halves(), EmbeddingMatcher(Spelled())).separate(clip(1, 1, 0), {"A": [], "B": []})
    assert refused.value.reason == "overlap-unresolved"


def test_more_voices_than_the_model_has_are_refused() -> None:
    with pytest.raises(Unseparated, match="3 people speak at once and this model takes apart 2") as refused:
        MatchingSeparator(Halves(), EmbeddingMatcher(Spelled())).separate(
            clip(1, 1, 0), {name: [clip(1, 0, 0)] for name in "ABC"}
        )
    assert refused.value.reason == "three-voices"


def test_a_matcher_that_returns_other_voices_is_named() -> None:
    with pytest.raises(BrokenPromise, match="not among the 2"):
        MatchingSeparator(Halves(), Copying()).separate(clip(1, 1, 0), {"A": [], "B": [clip(1, 0, 0)]})
