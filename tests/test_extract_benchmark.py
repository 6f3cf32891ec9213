"""What `benchmarks.extract` says is in a track."""

from __future__ import annotations

import numpy as np
import pytest

from meetsplit.benchmarks.extract import BLOCK, measure

RNG = np.random.default_rng(0)
VOICE, REST, NOISE = RNG.standard_normal((3, 6 * BLOCK))


def test_the_voice_alone_is_kept_whole_and_nothing_else_is_in_the_track() -> None:
    kept = measure(VOICE, VOICE, REST)
    assert (kept.kept, kept.track) == pytest.approx((kept.spoken, kept.spoken))
    assert (kept.other, kept.from_others) == pytest.approx((0.0, 0.0), abs=1e-4 * kept.track)


def test_others_are_told_from_what_separation_adds() -> None:
    leaked = np.convolve(REST, [0.1, 0.3, 0.1], "same")
    kept = measure(VOICE + leaked + 0.3 * NOISE, VOICE, REST)
    assert kept.kept == pytest.approx(kept.spoken, rel=0.02)
    assert kept.other == pytest.approx(np.square(leaked + 0.3 * NOISE).sum(), rel=0.05)
    assert kept.from_others == pytest.approx(np.square(leaked).sum(), rel=0.1)


def test_half_a_voice_and_an_empty_track() -> None:
    half = np.where(np.arange(len(VOICE)) < 3 * BLOCK, VOICE, 0.0)
    assert measure(half, VOICE, REST).kept == pytest.approx(np.square(half).sum())
    nothing = measure(np.zeros_like(VOICE), VOICE, REST)
    assert (nothing.kept, nothing.track, nothing.other, nothing.from_others) == (0.0, 0.0, 0.0, 0.0)
