"""Blind separation window by window, whatever the network: bad outputs, order of the voices, sample rates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from meetsplit.pipeline.data import Audio, Samples
from meetsplit.pipeline.protocols import Unseparated
from meetsplit.pipeline.separators import blind
from meetsplit.pipeline.separators.blind import RATE, WINDOW_OVERLAP, BlindNetwork

WINDOW = 20.0


def networks(separate: Callable[[Samples], Samples], rate: int = RATE) -> dict[int, BlindNetwork]:
    return {2: BlindNetwork("Network", Path("it.pth"), 2, rate, WINDOW, separate)}


def noise(seconds: float) -> Audio:
    return Audio((0.1 * np.random.default_rng(0).standard_normal(round(seconds * RATE))).astype(np.float32), RATE, 2.0)


@pytest.mark.parametrize(("bad", "message"), [(float("nan"), "not finite"), (0.0, "silent throughout")])
def test_bad_outputs_are_refused_by_name(bad: float, message: str) -> None:
    def answer(mixture: Samples) -> Samples:
        return np.stack([mixture, np.full_like(mixture, bad)])

    with pytest.raises(Unseparated, match=f"Network answered with .*{message}") as error:
        blind.split(noise(0.5), 2, networks(answer))
    assert error.value.reason == "overlap-unresolved"


def test_windows_are_bounded_and_keep_the_order() -> None:
    """A perfect network whose order, scale and sign change in every window: the result is in one piece."""
    t = np.arange(45 * RATE) / RATE
    low, high = (np.sin(2 * np.pi * pitch * t).astype(np.float32) * 0.1 for pitch in (150, 1500))
    lengths: list[int] = []

    def answer(mixture: Samples) -> Samples:
        lengths.append(len(mixture))
        spectrum = np.fft.rfft(mixture)
        below = np.where(np.arange(len(spectrum)) < 700 * len(mixture) // RATE, spectrum, 0)
        voices = [np.fft.irfft(part, len(mixture)).astype(np.float32) for part in (below, spectrum - below)]
        return np.stack(voices if len(lengths) % 2 else [-3.0 * voices[1], 0.2 * voices[0]])

    split = blind.split(Audio(low + high, RATE), 2, networks(answer))
    assert len(lengths) == 3
    assert max(lengths) <= (WINDOW + WINDOW_OVERLAP) * RATE
    inside = slice(RATE // 2, -RATE // 2)
    for voice, truth in zip(split, (low, high), strict=True):
        np.testing.assert_allclose(voice.samples[inside], truth[inside], atol=5e-3)


def test_a_network_for_another_rate_gets_the_mixture_at_its_own() -> None:
    lengths: list[int] = []

    def answer(mixture: Samples) -> Samples:
        lengths.append(len(mixture))
        return np.stack([0.7 * mixture, 0.3 * mixture])

    mixture = noise(1.0)
    voices = blind.split(mixture, 2, networks(answer, 8000))
    assert lengths == [8000]
    assert [voice.span for voice in voices] == [mixture.span] * 2
    assert np.abs(voices[0].samples + voices[1].samples - mixture.samples).max() < 1e-5
