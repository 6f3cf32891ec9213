"""Duplicate words: one utterance in two streams is kept once, two people who say the same at once twice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meetsplit.pipeline.data import (
    Audio,
    ClipTranscript,
    OverlapResult,
    Samples,
    Source,
    Span,
    Speaker,
    StreamInfo,
    Word,
)
from meetsplit.pipeline.overlap.duplicates import coherence, drop_duplicate_words

RATE = 8000
LENGTH = 4.0
WHOLE = Span(0.0, LENGTH)


def speech(seed: int, seconds: float = LENGTH) -> Samples:
    """Noise in speech's rhythm: its loudness and its colour change every tenth of a second."""
    rng = np.random.default_rng(seed)
    pieces = []
    for _ in range(round(seconds * 10)):
        colour = np.exp(-0.5 * ((np.arange(RATE // 20 + 1) - rng.integers(10, 300)) / 40) ** 2)
        pieces.append(np.fft.irfft(np.fft.rfft(rng.standard_normal(RATE // 10)) * colour) * rng.uniform(0.2, 1.0))
    return np.concatenate(pieces).astype(np.float32)


def leakage(of: Samples, decibels: float, delay: int = 0) -> Samples:
    """What is left of a voice: fainter, dull and late."""
    dull = np.convolve(np.concatenate([np.zeros(delay), of])[: len(of)], [0.5, 0.3, 0.2])[: len(of)]
    dull *= np.linalg.norm(of) / np.linalg.norm(dull) * 10 ** (decibels / 20)
    return dull.astype(np.float32)


def remaining_words(
    tracks: dict[Speaker, Samples], words: dict[Speaker, list[tuple[str, float, float]]], source: Source = "separated"
) -> list[str]:
    """The texts that stay, where all speak all the time."""
    speakers = tuple(sorted(tracks))
    transcripts = [
        (
            StreamInfo(who, WHOLE, (WHOLE,), (OverlapResult(WHOLE, speakers, source),)),
            ClipTranscript(tuple(Word(Span(start, end), text) for text, start, end in words.get(who, []))),
        )
        for who in speakers
    ]
    deduplicated = drop_duplicate_words(transcripts, lambda who, span: Audio(tracks[who], RATE).crop(span))
    return [word.text for transcript in deduplicated for word in transcript.words]


def test_leakage_that_was_transcribed_is_dropped() -> None:
    loud = speech(1)
    tracks = {"A": loud, "B": leakage(loud, -15, delay=20)}
    words = {
        "A": [("budget", 1.0, 1.4), ("first", 2.0, 2.4)],
        "B": [("but", 1.0, 1.2), ("it", 1.2, 1.4), ("yes", 3.0, 3.3)],
    }
    assert remaining_words(tracks, words) == ["budget", "first", "yes"]


def test_an_echo_by_another_person_stays() -> None:
    tracks = {"A": speech(1), "B": 0.2 * speech(2)}
    assert remaining_words(tracks, {"A": [("yes", 1.0, 1.4)], "B": [("yes", 1.0, 1.4)]}) == ["yes", "yes"]
    assert remaining_words(tracks, {"A": [("yes", 1.0, 1.4)], "B": [("yes", 1.5, 1.9)]}) == ["yes", "yes"]


def test_where_both_streams_are_the_recording_both_words_stay() -> None:
    loud = speech(1)
    words = {"A": [("yes", 1.0, 1.4)], "B": [("yes", 1.0, 1.4)]}
    assert remaining_words({"A": loud, "B": loud}, words, "mixture") == ["yes", "yes"]


def test_a_soft_speaker_over_leakage_stays() -> None:
    loud = speech(1)
    tracks = {"A": loud, "B": leakage(loud, -25) + leakage(speech(2), -12)}
    assert remaining_words(tracks, {"A": [("budget", 1.0, 1.6)], "B": [("right", 1.0, 1.6)]}) == ["budget", "right"]


def test_outside_patches_nothing_is_looked_at() -> None:
    words = (Word(Span(1, 1.4), "yes"),)
    transcripts = [(StreamInfo(who, WHOLE, (WHOLE,)), ClipTranscript(words)) for who in "AB"]

    def unread(who: Speaker, span: Span) -> Audio:
        raise AssertionError("no sound is needed")

    assert drop_duplicate_words(transcripts, unread) == (ClipTranscript(words), ClipTranscript(words))


moments = st.tuples(st.integers(0, 70), st.integers(3, 20)).map(
    lambda at: (at[0] / 20, min((at[0] + at[1]) / 20, LENGTH))
)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 50), st.floats(-30, 30), st.lists(moments, max_size=6), st.lists(moments, max_size=6))
def test_no_word_is_lost_where_sounds_are_independent(
    seed: int, decibels: float, a: list[tuple[float, float]], b: list[tuple[float, float]]
) -> None:
    tracks = {"A": speech(2 * seed), "B": (speech(2 * seed + 1) * 10 ** (decibels / 20)).astype(np.float32)}
    words = {"A": [(f"a{n}", *at) for n, at in enumerate(a)], "B": [(f"b{n}", *at) for n, at in enumerate(b)]}
    assert remaining_words(tracks, words) == [text for who in "AB" for text, _, _ in words[who]]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 50), st.floats(-30, -10), st.integers(0, 30))
def test_of_two_copies_one_stays(seed: int, decibels: float, delay: int) -> None:
    loud = speech(seed)
    for tracks in (
        {"A": loud, "B": leakage(loud, decibels, delay)},
        {"B": loud, "A": leakage(loud, decibels, delay)},
    ):
        (remaining,) = remaining_words(tracks, {"A": [("A", 1.0, 1.5)], "B": [("B", 1.0, 1.5)]})
        assert tracks[remaining] is loud


def test_coherence_is_one_for_a_filtered_copy_and_little_for_another_voice() -> None:
    loud = speech(1, 0.5)
    assert coherence(loud, leakage(loud, -20, 20), RATE) > 0.9
    assert coherence(loud, speech(2, 0.5), RATE) < 0.4
    assert coherence(loud[:100], loud[:100], RATE) == 0.0
    assert coherence(np.zeros_like(loud), loud, RATE) == pytest.approx(0.0)
