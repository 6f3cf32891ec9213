"""The hallucination filter, and trimming of digital silence."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from voices import babble

from meetsplit.pipeline.data import Audio
from meetsplit.pipeline.transcribers.hallucinations import RawWord, filter_hallucinations, trim_silence


def speech(seconds: float = 2.0, start: float = 10.0) -> Audio:
    return Audio(babble(seconds), 16000, start)


def texts(raw_words: list[RawWord], clip: Audio) -> list[str]:
    return [word.text for word in filter_hallucinations(raw_words, clip)]


def test_good_words_pass_on_the_recording_clock() -> None:
    (word,) = filter_hallucinations([RawWord(0.5, 1.0, " hello ", 0.7)], speech())
    assert (word.span.start, word.span.end, word.text, word.confidence) == (10.5, 11.0, "hello", 0.7)


def test_words_beyond_the_end_are_left_out_and_the_last_is_clamped() -> None:
    clip = speech()
    words = filter_hallucinations(
        [RawWord(1.5, 2.4, "end", 0.5), RawWord(2.0, 2.5, "after", 0.5), RawWord(29.0, 30.0, "ghost", 0.9)], clip
    )
    assert [word.text for word in words] == ["end"]
    assert words[0].span.end == clip.span.end


def test_words_in_the_clip_s_silence_are_left_out() -> None:
    samples = speech().samples.copy()
    samples[8000:24000] *= 1e-4
    clip = Audio(samples, 16000)
    assert texts(
        [
            RawWord(0.1, 0.4, "real", 0.9),
            RawWord(0.8, 1.2, "Thanks for watching!", 0.9),
            RawWord(1.7, 1.9, "real", 0.9),
        ],
        clip,
    ) == [
        "real",
        "real",
    ]


def test_a_quiet_word_beside_a_loud_one_stays() -> None:
    samples = speech().samples.copy()
    samples[16000:] *= 0.02
    assert texts([RawWord(0.1, 0.4, "loud", 0.9), RawWord(1.3, 1.7, "soft", 0.9)], Audio(samples, 16000)) == [
        "loud",
        "soft",
    ]


def test_one_instantaneous_word_is_given_a_time_and_a_loop_is_left_out() -> None:
    (word,) = filter_hallucinations([RawWord(0.5, 0.5, "a", 0.9)], speech())
    assert word.span.duration == pytest.approx(0.02)
    assert texts([RawWord(0.2, 0.4, "real", 0.9), *(RawWord(0.5, 0.5, "loop", 0.9) for _ in range(3))], speech()) == [
        "real"
    ]
    assert texts([RawWord(1.99, 1.99, "tail", 0.9)], speech()) == []


def test_trimming_gives_the_clip_without_digital_silence_at_its_edges() -> None:
    samples = np.zeros(32000, np.float32)
    samples[8000:16000] = 0.1
    sound = trim_silence(Audio(samples, 16000, 5.0))
    assert (sound.start, sound.duration) == (5.5, 0.5)
    assert trim_silence(Audio(np.zeros(100, np.float32), 16000, 5.0)).duration == 0.0


times = st.floats(-5, 40)


@settings(deadline=None)
@given(
    st.lists(
        st.builds(RawWord, times, times, st.sampled_from(["a", " b", "", " ", "ccc."]), st.floats(-1, 2)), max_size=30
    )
)
def test_filtered_words_are_sorted_apart_and_inside(raw_words: list[RawWord]) -> None:
    clip = speech()
    words = filter_hallucinations(raw_words, clip)
    assert list(words) == sorted(words)
    assert all(clip.span.start <= word.span.start < word.span.end <= clip.span.end for word in words)
    assert all(a.span.end <= b.span.start for a, b in itertools.pairwise(words))
    assert all(word.text == word.text.strip() != "" and 0.0 <= (word.confidence or 0.0) <= 1.0 for word in words)
