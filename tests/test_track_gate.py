"""Noise gate: exact length, own speech unchanged, the rest quieter or silent, and no clicks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meetsplit.pipeline.audio.reading import write_wav
from meetsplit.pipeline.data import Audio, Span, timeline
from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.settings import Outputs
from meetsplit.speakers.track_gate import FRAME, HOLD, SOFT_GAIN, TrackGate

RATE = 16000
OPEN_BEYOND = (HOLD + 1) * FRAME
Pcm = npt.NDArray[np.int16]


def pcm(content: bytes) -> Pcm:
    return np.frombuffer(content[44:], np.int16)


def track(folder: Path, samples: npt.NDArray[np.floating], name: str = "SPEAKER_00") -> Path:
    path = folder / f"{name}.wav"
    write_wav(path, Audio(np.asarray(samples, np.float32), RATE))
    return path


def gated(path: Path, turns: tuple[Span, ...], mode: str) -> Pcm:
    """The track behind its gate, taken in blocks that fit no frame."""
    before = pcm(path.read_bytes())
    gate, step = TrackGate(path, turns, mode), 12345
    blocks = [
        before[at : at + step] * gate.gains(at, min(at + step, len(before)), RATE) for at in range(0, len(before), step)
    ]
    return np.rint(np.concatenate([*blocks, np.zeros(0)])).astype(np.int16)


@pytest.mark.parametrize(("mode", "left"), [("soft", SOFT_GAIN), ("hard", 0.0)])
def test_outside_turns_tracks_are_quieter_without_clicks(tmp_path: Path, mode: str, left: float) -> None:
    count = 6 * RATE
    slow = 0.4 * np.sin(2 * np.pi * 100 * np.arange(count) / RATE)
    path = track(tmp_path, slow)
    turns = (Span(1.0, 2.0), Span(4.0, 4.5))
    before, after = pcm(path.read_bytes()).astype(int), gated(path, turns, mode).astype(int)
    assert len(after) == count
    for turn in turns:
        own = slice(round(turn.start * RATE), round(turn.end * RATE))
        assert np.array_equal(after[own], before[own])
    for far in timeline.gaps(timeline.widened(turns, OPEN_BEYOND), Span(0.0, 6.0)):
        rest = slice(round(far.start * RATE) + 400, round(far.end * RATE) - 400)
        assert np.abs(after[rest] - left * before[rest]).max() <= 1
    # The steepest the gate alone can be, over 20 ms, on top of the sound's own slope.
    assert np.abs(np.diff(after)).max() <= np.abs(np.diff(before)).max() + 0.4 * 32768 / (FRAME * RATE) + 2


def test_inside_a_turn_the_gate_closes_far_below_the_speaker(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).standard_normal(3 * RATE) * 0.1
    noise[RATE : 2 * RATE] *= 10 ** (-45 / 20)
    after = gated(track(tmp_path, noise), (Span(0.0, 3.0),), "hard")
    inner = after[round((1 + OPEN_BEYOND) * RATE) + 400 : round((2 - OPEN_BEYOND) * RATE) - 400]
    assert not inner.any()
    assert after[: RATE - 400].any()


def test_a_track_without_turns_is_silent_and_empty_ones_stay_empty(tmp_path: Path) -> None:
    path = track(tmp_path, np.full(RATE, 0.3))
    assert not gated(path, (), "hard").any()
    assert len(gated(track(tmp_path, np.zeros(0), "SPEAKER_01"), (Span(0.0, 1.0),), "soft")) == 0
    assert not gated(track(tmp_path, np.zeros(RATE), "SPEAKER_02"), (Span(0.0, 1.0),), "soft").any()


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, 400), st.integers(1, 150)), max_size=6),
    st.sampled_from(["soft", "hard"]),
    st.integers(0, 319),
)
def test_any_turns(tmp_path: Path, spans: list[tuple[int, int]], mode: str, odd: int) -> None:
    samples = np.random.default_rng(1).uniform(-0.5, 0.5, 4 * RATE + odd)
    path = tmp_path / "any.wav"
    write_wav(path, Audio(samples.astype(np.float32), RATE))
    turns = timeline.support(Span(at / 100, (at + length) / 100) for at, length in spans)
    before, after = pcm(path.read_bytes()).astype(int), gated(path, turns, mode).astype(int)
    assert len(after) == len(before)
    assert (np.abs(after) <= np.abs(before)).all()
    for turn in timeline.crop(turns, Span(0.0, 4.0)):
        own = slice(round(turn.start * RATE), round(turn.end * RATE))
        assert np.array_equal(after[own], before[own])


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000])
def test_a_gate_opens_and_closes_at_the_same_time_at_every_rate(tmp_path: Path, rate: int) -> None:
    noise = np.random.default_rng(3).standard_normal(4 * RATE) * 0.1
    noise[RATE : 2 * RATE] *= 10 ** (-45 / 20)
    gate = TrackGate(track(tmp_path, noise), (Span(0.2, 3.0), Span(3.5, 3.9)), "hard")
    times = (np.arange(4 * rate) + 0.5) / rate
    at_sixteen = np.interp(times, (np.arange(4 * RATE) + 0.5) / RATE, gate.gains(0, 4 * RATE, RATE))
    assert np.abs(gate.gains(0, 4 * rate, rate) - at_sixteen).max() < 0.02


def test_an_unknown_gate_is_refused() -> None:
    with pytest.raises(SettingsError, match="--track-gate sotf"):
        Outputs(track_gate="sotf")
