"""Windows, overlap-add, permutation of voices across windows, mixture consistency."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meetsplit.pipeline.data import Samples
from meetsplit.pipeline.separators.chunking import best_permutation, consistent_with_mixture, overlap_add, windows


@given(st.integers(0, 5000), st.integers(2, 700), st.floats(0, 0.9))
def test_windows_cover_everything_and_overlap_enough(length: int, size: int, part: float) -> None:
    overlap = int(part * size)
    slices = windows(length, size, overlap)
    assert slices[0].start == 0
    assert slices[-1].stop == length
    assert all(window.stop - window.start <= size for window in slices)
    assert all(a.stop - b.start >= overlap or b.stop == length for a, b in itertools.pairwise(slices))
    assert all(a.stop - b.start > 0 or overlap == 0 for a, b in itertools.pairwise(slices))
    assert all(window.stop > window.start for window in slices) or length == 0


def test_windows_cannot_overlap_completely() -> None:
    with pytest.raises(ValueError, match="cannot share"):
        windows(100, 10, 10)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 900), st.integers(20, 200), st.integers(0, 15))
def test_what_is_exact_in_every_window_is_exact_in_all(length: int, size: int, overlap: int) -> None:
    samples = np.random.default_rng(length).standard_normal(length).astype(np.float32)
    voices = overlap_add(samples, lambda piece: np.stack([0.25 * piece, 0.75 * piece]), size=size, overlap=overlap)
    np.testing.assert_allclose(voices, np.stack([0.25 * samples, 0.75 * samples]), atol=1e-6)


def two_voices(length: int) -> Samples:
    t = np.arange(length) / 16000
    return np.stack([np.sin(2 * np.pi * 130 * t), 0.5 * np.sin(2 * np.pi * 421 * t)]).astype(np.float32)


@pytest.mark.parametrize("seed", range(5))
def test_anonymous_voices_keep_their_rows(seed: int) -> None:
    voices = two_voices(16000)
    shuffle = np.random.default_rng(seed)
    at = iter(windows(16000, 3000, 400))

    def separate(piece: Samples) -> Samples:
        answer = voices[:, next(at)] + 0.05 * shuffle.standard_normal((2, len(piece))).astype(np.float32)
        return answer[shuffle.permutation(2)]

    rows = overlap_add(voices.sum(axis=0), separate, size=3000, overlap=400, anonymous=True)
    correlations = np.abs(np.corrcoef(np.concatenate([voices, rows]))[:2, 2:])
    assert correlations.max(axis=1).min() > 0.95
    assert set(correlations.argmax(axis=1)) == {0, 1}


def test_the_cross_fade_has_no_clicks() -> None:
    voices = two_voices(16000)
    at = iter(windows(16000, 3000, 400))
    rows = overlap_add(voices.sum(axis=0), lambda piece: voices[:, next(at)] * 0.9 + 0.01, size=3000, overlap=400)
    assert np.abs(np.diff(rows, axis=1)).max() <= np.abs(np.diff(voices, axis=1)).max()


def test_silent_voices_keep_their_order() -> None:
    assert best_permutation(np.zeros((3, 10), np.float32), np.zeros((3, 10), np.float32)) == (0, 1, 2)


def test_one_sounding_voice_decides_for_a_silent_one() -> None:
    voices = two_voices(400)
    tails = voices * [[1], [0]]
    assert best_permutation(tails.astype(np.float32), voices[::-1]) == (1, 0)


@pytest.mark.parametrize("gains", [(1.0, 1.0), (30.0, 0.01), (-2.0, 5.0)])
def test_scales_and_signs_are_restored(gains: tuple[float, float]) -> None:
    voices = two_voices(8000)
    consistent = consistent_with_mixture(np.array(gains, np.float32)[:, None] * voices, voices.sum(axis=0), smooth=512)
    np.testing.assert_allclose(consistent, voices, atol=2e-3)


def test_the_difference_to_the_mixture_goes_to_the_louder_voice() -> None:
    voices = two_voices(8000)
    voices[0, 4000:] = 0.0
    voices[1, :4000] = 0.0
    hiss = 0.01 * np.random.default_rng(0).standard_normal(8000).astype(np.float32)
    mixture = voices.sum(axis=0) + hiss
    consistent = consistent_with_mixture(voices, mixture, smooth=512)
    assert np.abs(consistent.sum(axis=0) - mixture).max() < 1e-6
    assert np.abs(consistent[0, 4500:]).max() < 1e-4
    assert np.abs(consistent[1, :3500]).max() < 1e-4


def test_equal_or_silent_voices_still_add_up() -> None:
    mixture = two_voices(4000).sum(axis=0)
    for voices in (np.stack([mixture, mixture]), np.stack([mixture, 0 * mixture]), np.zeros((2, 4000), np.float32)):
        consistent = consistent_with_mixture(voices, mixture, smooth=512)
        assert np.isfinite(consistent).all()
        assert np.abs(consistent.sum(axis=0) - mixture).max() < 1e-5
