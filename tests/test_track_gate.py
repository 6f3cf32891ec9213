"""Noise gate: exact length, own speech unchanged, the rest quieter or silent, and no clicks."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meetsplit.pipeline.audio.reading import write_wav
from meetsplit.pipeline.data import Audio, Span, Turn, timeline
from meetsplit.pipeline.errors import OutputError, SettingsError
from meetsplit.pipeline.settings import Outputs
from meetsplit.speakers import formats
from meetsplit.speakers.track_gate import FRAME, HOLD, SOFT_GAIN, apply_gate

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
    content = b"".join(apply_gate(path, turns, mode))
    assert content[:44] == path.read_bytes()[:44]
    return pcm(content)


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


@pytest.mark.parametrize("track_format", ["wav", "flac"])
def test_written_tracks_are_gated_and_leave_nothing_behind(tmp_path: Path, track_format: str) -> None:
    cache, out = tmp_path / "cache", tmp_path / "out"
    cache.mkdir()
    path = track(cache, np.full(2 * RATE, 0.3))
    before = path.read_bytes()
    turns = (Turn(Span(0.5, 1.0), "SPEAKER_00"), Turn(Span(0.0, 2.0), "SPEAKER_01"))
    paths = formats.write_tracks({"SPEAKER_00": path}, out, track_format, gate="hard", turns=turns)
    assert paths == [out / f"SPEAKER_00.{track_format}"]
    assert [left.name for left in cache.iterdir()] == ["SPEAKER_00.wav"]
    assert path.read_bytes() == before
    if track_format == "wav":
        with wave.open(str(paths[0])) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        assert len(samples) == 2 * RATE
        assert samples[round(0.75 * RATE)] == pcm(before)[0]
        assert not samples[round(1.5 * RATE) :].any()


def test_a_folder_that_cannot_be_written_is_an_error_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = track(tmp_path, np.full(RATE, 0.3))

    def full(*_: object) -> object:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(formats, "apply_gate", full)
    with pytest.raises(OutputError, match="No space left on device; make room"):
        formats.write_tracks({"SPEAKER_00": path}, tmp_path / "out", "wav", gate="soft")
    assert [left.name for left in tmp_path.iterdir() if left.is_file()] == ["SPEAKER_00.wav"]


def test_an_unknown_gate_is_refused() -> None:
    with pytest.raises(SettingsError, match="--track-gate sotf"):
        Outputs(track_gate="sotf")
