"""Joint decoding: frames of the segmentation's windows, the decoder, turns of any recording within any bounds."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from meetsplit.pipeline.data import Audio
from meetsplit.pipeline.data.timeline import by_speaker
from meetsplit.pipeline.diarizers import joint_decoding
from meetsplit.pipeline.diarizers.clustering import UNASSIGNED
from meetsplit.pipeline.diarizers.embedded import STRIDE, VOICE_WINDOW, JointDiarization, VoiceWindows, _turns
from meetsplit.pipeline.diarizers.joint_decoding import Evidence, decode, posteriors, with_speech
from meetsplit.pipeline.diarizers.local_activity import JOINED, LocalActivity

FINE, STEP, LENGTH = 0.016875, 0.5, 293
BETWEEN = np.linspace(20.0, 1.0, 16)


def local_activity(truth: Any, seed: int = 0) -> LocalActivity:
    """Windows of a segmentation that hears ``truth`` ``(fine frames, up to 3 people)``, each in an order of its own."""
    rng = np.random.default_rng(seed)
    seconds = len(truth) * FINE
    count = max(1, int(np.ceil((seconds - 5.0) / STEP)) + 1)
    padded = np.pad(truth.astype(np.float32), ((0, count * 30 + LENGTH), (0, 3 - truth.shape[1])))
    starts = np.rint(np.arange(count) * STEP / FINE).astype(int)
    windows = np.stack([padded[start : start + LENGTH][:, rng.permutation(3)] for start in starts])
    return LocalActivity(0.98 * windows + 0.01, STEP, FINE, 0.0, seconds)


def turn_taking(frames: int, people: int, seed: int, pause: int = 20) -> Any:
    """People in turn, 1.5 to 4 s each with pauses between: ``(fine frames, people)``."""
    rng = np.random.default_rng(seed)
    truth, at, turn = np.zeros((frames, people), bool), 0, 0
    while at < frames:
        end = at + int(rng.integers(90, 240))
        truth[at:end, turn % people] = True
        at, turn = end + pause, turn + 1
    return truth


def voice_windows(truth: Any, local: LocalActivity, seed: int = 0) -> VoiceWindows:
    """Features of each window: its people's points by their shares, with noise."""
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((truth.shape[1], len(BETWEEN))) * np.sqrt(BETWEEN)
    count = 1 + int(local.seconds / 0.01) // STRIDE
    first = np.arange(count) * STRIDE * 0.01 - VOICE_WINDOW / 2
    speech = local.share(1.0 - local.counts[:, 0], first, VOICE_WINDOW)
    alone = local.share(local.any_alone, first, VOICE_WINDOW)
    lower = np.clip((first / FINE).astype(int), 0, len(truth))
    upper = np.clip(((first + VOICE_WINDOW) / FINE).astype(int), 0, len(truth))
    total = np.concatenate([np.zeros((1, truth.shape[1])), np.cumsum(truth, axis=0)])
    shares = (total[upper] - total[lower]) / np.maximum(upper - lower, 1)[:, None]
    means = shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-6) @ points
    features = (means + rng.standard_normal(means.shape)).astype(np.float32)
    has_speech = speech >= min(0.5, speech.max())
    return VoiceWindows(features, speech >= 0.0, has_speech, np.clip(alone, 0.1, 1.0), np.zeros(100))


def diarization(truth: Any, seed: int = 0) -> JointDiarization:
    local = local_activity(truth, seed)
    return JointDiarization(local, voice_windows(truth, local, seed), local.counts, BETWEEN)


def agreement(speaking: Any, truth: Any) -> float:
    """The share of frames where the best pairing of people says the same."""
    fine = np.repeat(speaking, JOINED, axis=0)[: len(truth)]
    orders = itertools.permutations(range(speaking.shape[1]), truth.shape[1])
    return max(float((fine[:, list(order)] == truth[: len(fine)]).all(axis=1).mean()) for order in orders)


def test_windows_are_laid_over_each_other() -> None:
    truth = np.zeros((700, 2), bool)
    truth[100:300, 0] = truth[250:500, 1] = True
    local = local_activity(truth)
    assert local.frames == -(-700 // JOINED)
    assert local.counts.sum(axis=1) == pytest.approx(1.0, abs=1e-4)
    assert (local.counts.argmax(axis=1) == truth.sum(axis=1).reshape(-1, JOINED).max(axis=1)).mean() > 0.99
    first = np.array([100 * FINE, 250 * FINE])
    speech = local.share(1.0 - local.counts[:, 0], first, 50 * FINE)
    alone = local.share(local.any_alone, first, 50 * FINE)
    assert speech == pytest.approx([1.0, 1.0], abs=0.05)
    assert alone == pytest.approx([1.0, 0.0], abs=0.05)
    # Alone for all 100 frames; for 50 of 150, in which 200 are somebody's.
    assert local.purity(np.array([100 * FINE]), 100 * FINE) == pytest.approx([1.0], abs=0.05)
    assert local.purity(np.array([200 * FINE]), 150 * FINE) == pytest.approx([0.25], abs=0.05)


def test_local_speakers_are_identified_by_voice_and_never_twice() -> None:
    truth = np.zeros((900, 2), bool)
    truth[50:450, 0] = truth[400:850, 1] = True
    local = local_activity(truth)
    shares = truth.reshape(-1, JOINED, 2).any(axis=1).astype(np.float32)
    people = local.identify(shares + 0.01)
    for window in people:
        assigned = window[window != UNASSIGNED]
        assert len(set(assigned.tolist())) == len(assigned)
    activities = local.activities_of(people, 2)
    assert np.mean((activities > 0.5) == shares.astype(bool)) > 0.98


def test_the_decoder_finds_the_best_of_all_sequences() -> None:
    """Against every sequence of states of five frames, by the scores and costs that the module documents."""
    rng = np.random.default_rng(3)
    counts = rng.dirichlet((1.0, 1.0, 1.0), 5)
    evidence = Evidence(
        counts, rng.random((5, 2)).astype(np.float32), (20 * rng.standard_normal((5, 2))).astype(np.float32)
    )
    members = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], bool)
    scores = joint_decoding._Emissions(evidence, members).of(slice(0, 5))
    costs = joint_decoding._transition_costs(members)
    assert costs[1, 2] == joint_decoding.SWITCH_COST
    assert costs[0, 3] == 2 * joint_decoding.CHANGE_COST

    def total(states: tuple[int, ...]) -> float:
        stays = sum(scores[frame, state] for frame, state in enumerate(states))
        return float(stays - sum(costs[a, b] for a, b in itertools.pairwise(states)))

    best = max(itertools.product(range(4), repeat=5), key=total)
    assert np.array_equal(decode(evidence), members[list(best)])


def random_evidence(frames: int, people: int) -> Evidence:
    rng = np.random.default_rng(4)
    voices = np.cumsum(rng.standard_normal((frames, people)), axis=0)
    activities = rng.random((frames, people)).astype(np.float32)
    return Evidence(rng.dirichlet((1.0, 4.0, 1.0), frames), activities, voices.astype(np.float32))


def test_posteriors_are_the_sums_over_all_sequences() -> None:
    evidence = random_evidence(4, 2)
    members = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], bool)
    scores = joint_decoding._Emissions(evidence, members).of(slice(0, 4))
    costs = joint_decoding._transition_costs(members)
    sums, total = np.zeros((4, 2)), 0.0
    for states in itertools.product(range(4), repeat=4):
        score = sum(scores[frame, state] for frame, state in enumerate(states))
        score -= sum(costs[a, b] for a, b in itertools.pairwise(states))
        weight = float(np.exp(joint_decoding.SHARPNESS * score))
        sums, total = sums + weight * members[list(states)], total + weight
    np.testing.assert_allclose(posteriors(evidence), sums / total, atol=1e-5)


def test_posteriors_in_blocks_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    evidence = random_evidence(2500, 3)
    whole = posteriors(evidence)
    monkeypatch.setattr(joint_decoding, "_BLOCK", 600)
    np.testing.assert_allclose(posteriors(evidence), whole, atol=1e-4)


def test_turns_in_a_doubtful_voice_are_less_certain() -> None:
    truth = turn_taking(3600, 2, seed=2)
    frames = truth.reshape(-1, JOINED, 2).any(axis=1)
    voices = np.where(frames, 0.0, -30.0)
    voices[len(voices) // 2 :] /= 30.0
    counts = np.column_stack([~frames.any(axis=1), frames.any(axis=1), np.zeros(len(frames))]) * 0.98 + 0.01
    certain = posteriors(Evidence(counts, np.full(frames.shape, 0.5, np.float32), voices.astype(np.float32)))
    half = len(frames) // 2
    assert certain[:half][frames[:half]].mean() > 0.95
    assert certain[half:][frames[half:]].mean() < 0.8


def test_where_two_are_heard_the_voice_says_less() -> None:
    counts = np.array([[0.01, 0.98, 0.01], [0.01, 0.01, 0.98]])
    evidence = Evidence(counts, np.full((2, 2), 0.5, np.float32), np.array([[0.0, -30.0]] * 2, np.float32))
    scores = joint_decoding._Emissions(evidence, np.array([[1, 0], [0, 1]], bool)).of(slice(0, 2))
    assert scores[0, 0] - scores[0, 1] > 10 * (scores[1, 0] - scores[1, 1])


def test_quiet_overlap_is_found_where_a_recording_has_much_of_it() -> None:
    """The same doubtful second in two recordings: with a third of the speech heard as two people, and with none."""

    def overlapped(share: float) -> int:
        counts = np.tile([0.02, 0.95, 0.03], (1000, 1))
        counts[: round(1000 * share)] = (0.02, 0.03, 0.95)
        counts[900:930] = (0.02, 0.63, 0.35)
        activities = np.tile(np.array([[0.9, 0.1]], np.float32), (1000, 1))
        activities[counts[:, 2] > 0.1, 1] = 0.7
        speaking = decode(Evidence(counts, activities, np.zeros((1000, 2), np.float32)))
        return int((speaking[900:930].sum(axis=1) == 2).sum())

    assert overlapped(0.0) == 0
    assert overlapped(0.33) == 30


def test_level_tells_speech_from_pauses_and_silence_is_no_floor() -> None:
    counts = np.tile([0.5, 0.45, 0.05], (100, 1))
    decibels = np.where(np.arange(100) < 20, -60.0, -20.0)
    decibels[90:] = -np.inf
    corrected = with_speech(counts, decibels, np.full(100, 0.5))
    assert corrected.sum(axis=1) == pytest.approx(1.0)
    assert corrected[:20, 0] == pytest.approx(corrected[0, 0])
    assert corrected[0, 0] > 0.5 > corrected[50, 0]
    assert corrected[95, 0] == pytest.approx(corrected[0, 0])
    assert corrected[50, 1] / corrected[50, 2] == pytest.approx(9.0)


def test_speech_that_the_segmentation_does_not_hear_is_heard_by_its_voice_activity() -> None:
    counts = np.tile([0.9, 0.09, 0.01], (100, 1))
    activity = np.where(np.arange(100) < 50, 0.01, 0.99)
    corrected = with_speech(counts, np.tile([-60.0, -40.0], 50), activity)
    assert corrected[1, 0] > 0.5 > corrected[51, 0]


@pytest.mark.parametrize("people", [1, 2, 3])
def test_people_in_turn_are_counted_and_told_apart(people: int) -> None:
    truth = turn_taking(3600, people, seed=people)
    speaking = diarization(truth).speaking((1, 99))[0]
    assert speaking.shape[1] == people
    assert agreement(speaking, truth) > 0.95


def test_two_at_once_are_two() -> None:
    truth = turn_taking(3600, 2, seed=5)
    truth[1000:1300] = True
    speaking = diarization(truth).speaking((1, 99))[0]
    assert agreement(speaking, truth) > 0.93
    assert np.repeat(speaking, JOINED, axis=0)[1020:1280].all(axis=1).mean() > 0.9


def test_voices_that_could_be_one_are_told_with_their_labels() -> None:
    truth = turn_taking(3600, 3, seed=4)
    frames = truth.reshape(-1, JOINED, 3).any(axis=1)
    found = diarization(truth)
    assert found.alike(frames) == ()
    # The second person's turns given to two in turn: whoever they are, it is one voice.
    split = np.column_stack([frames, frames[:, 1]])
    split[: len(frames) // 2, 3] = split[len(frames) // 2 :, 1] = False
    assert found.alike(split) == ((1, 3),)
    assert found.alike(split[:, :1]) == ()


@given(
    st.integers(0, 10**6),
    st.floats(0.1, 20.0),
    st.integers(1, 3),
    st.tuples(st.integers(1, 4), st.integers(0, 3)),
)
@hypothesis_settings(deadline=None, max_examples=25)
def test_any_recording_within_any_bounds(seed: int, seconds: float, people: int, bounds: tuple[int, int]) -> None:
    """Turns are sorted, inside, disjoint for each person, and of a number of people within the bounds."""
    fewest, most = bounds[0], sum(bounds)
    truth = turn_taking(max(2, round(seconds / FINE)), people, seed)
    found = diarization(truth, seed)
    audio = Audio(np.zeros(round(found.local.seconds * 16000), np.float32), 16000, 7.0)
    turns, labels = _turns(*found.speaking((fewest, most)), found.local, audio)
    assert all(turn.confidence is not None and 0.0 <= turn.confidence <= 1.0 for turn in turns)
    assert list(turns) == sorted(turns)
    assert set(labels.values()) == {turn.speaker for turn in turns}
    assert all(audio.span.start <= turn.span.start < turn.span.end <= audio.span.end for turn in turns)
    theirs = by_speaker(turns)
    assert all(a.end < b.start for spans in theirs.values() for a, b in itertools.pairwise(spans))
    assert len(theirs) <= most
    if seconds > 4.0:
        assert len(theirs) >= fewest
