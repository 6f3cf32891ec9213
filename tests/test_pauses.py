"""Pauses before words: a start in a pause is moved to where the word is heard, and no other one."""

from __future__ import annotations

import numpy as np
import pytest
from voices import babble

from meetsplit.pipeline.data import Audio
from meetsplit.pipeline.transcribers.hallucinations import RawWord
from meetsplit.pipeline.transcribers.pauses import without_leading_pauses

RATE = 16000


def recording(noise: float) -> Audio:
    """A voice from 0 to 1 s and from 1.5 to 2.5 s, over noise of that level."""
    samples = np.zeros(round(2.5 * RATE), np.float32)
    samples[:RATE], samples[round(1.5 * RATE) :] = babble(1.0, seed=1), babble(1.0, seed=2)
    return Audio(samples + np.float32(noise) * np.random.default_rng(0).standard_normal(len(samples), np.float32), RATE)


def word(start: float, end: float) -> RawWord:
    return RawWord(start, end, "word", 0.5)


@pytest.mark.parametrize("noise", [0.0, 1e-4, 3e-3])
def test_a_start_in_a_pause_is_moved_to_the_word(noise: float) -> None:
    words = [word(0.0, 0.4), word(0.4, 1.02), word(1.02, 1.9), word(1.9, 2.5)]
    moved = without_leading_pauses(words, recording(noise))
    assert [(w.start, w.end) for w in (*moved[:2], moved[3])] == [(0.0, 0.4), (0.4, 1.02), (1.9, 2.5)]
    assert moved[2].start == pytest.approx(1.49, abs=0.04)
    assert moved[2].end == 1.9


def test_words_in_nothing_but_noise_or_silence_keep_their_times() -> None:
    words = [word(0.0, 0.4), word(1.1, 1.4)]
    assert without_leading_pauses(words, recording(0.5)) == words, "nothing tells a pause from speech"
    quiet = without_leading_pauses([word(1.05, 1.45)], recording(1e-4))
    assert quiet == [word(1.05, 1.45)], "a word without any sound is the guards' concern"
    assert without_leading_pauses(words, Audio(np.zeros(RATE, np.float32), RATE)) == words
    assert without_leading_pauses([], Audio(np.zeros(0, np.float32), RATE)) == []
