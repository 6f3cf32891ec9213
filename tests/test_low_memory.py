"""The embedded diarizer a block at a time: pyannote's own output, in memory that hardly grows with the recording."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from meetsplit.pipeline.audio.memmap import to_memmap
from meetsplit.pipeline.audio.reading import read
from meetsplit.pipeline.data import Audio, Span
from meetsplit.pipeline.diarizers.embedded import EmbeddedDiarizer
from meetsplit.pipeline.diarizers.pyannote_turns import loudness
from meetsplit.pipeline.embedders.ge2e import mel_frames
from meetsplit.pipeline.events import ignore_events
from meetsplit.pipeline.settings import Settings

RATE = 16000
SAMPLE = Path(__file__).parents[1] / "sample_data" / "standup.m4a"


@pytest.fixture(scope="module")
def pipeline(embedded_weights: dict[str, Path]) -> Any:
    return EmbeddedDiarizer.load(Settings(), embedded_weights, "cpu")._pipeline


@pytest.mark.parametrize("seconds", [3.0, 5.0, 8.3])
def test_segmentations_equal_pyannotes(pipeline: Any, seconds: float) -> None:
    sound = read(SAMPLE).crop(Span(60.0, 60.0 + seconds)).samples
    progress: list[tuple[int, int]] = []
    ours = pipeline.get_segmentations(
        {"samples": sound, "gain": np.float32(0.5)}, lambda *_, completed, total: progress.append((completed, total))
    )
    waveform = torch.from_numpy(sound * np.float32(0.5))[None]
    theirs = pipeline._segmentation({"waveform": waveform, "sample_rate": RATE})
    assert np.array_equal(ours.data, theirs.data)
    assert [window for window, _ in ours] == [window for window, _ in theirs]
    assert progress[-1] == (len(ours.data), len(ours.data))


def test_mel_frames_of_a_part_equal_those_of_the_whole() -> None:
    sound = np.random.default_rng(0).standard_normal(5 * RATE + 77).astype(np.float32)
    whole = mel_frames(torch.from_numpy(0.5 * sound))
    for first, last in ((0, 50), (120, 310), (400, 10_000), (900, 1000)):
        part = mel_frames(sound, first, last, 0.5)
        assert part.shape == whole[first:last].shape
        assert torch.allclose(part, whole[first:last], atol=1e-6)


def test_loudness_does_not_depend_on_blocks() -> None:
    sound = np.random.default_rng(0).standard_normal(150 * RATE + 5).astype(np.float32)
    frames = np.pad(sound, (0, -len(sound) % 1600)).reshape(-1, 1600)
    power = np.sort(np.mean(np.square(frames), axis=1, dtype=np.float64))
    assert loudness(sound) == float(np.sqrt(np.mean(power[len(power) // 2 :])))


def test_memory_does_not_grow_with_the_recording(
    embedded_weights: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten more minutes are 38 MB of sound; what windows leave behind is less than half of that, without the models."""
    diarizer = EmbeddedDiarizer.load(Settings(), embedded_weights, "cpu")
    rng = np.random.default_rng(0)
    answer = np.zeros((8, 293, 3), np.float32)
    answer[:, 20:120, 0] = answer[:, 150:270, 1] = 1.0
    # Two people in turn, a window of the encoder's each.
    voices = np.repeat(np.abs(rng.standard_normal((2, 256))), 40, axis=0)[np.arange(512) % 80]
    voices = (voices + 0.1 * np.abs(rng.standard_normal((512, 256)))).astype(np.float32)
    monkeypatch.setattr(diarizer._pipeline._segmentation, "infer", lambda batch: answer[: len(batch)])
    monkeypatch.setattr(diarizer._pipeline.encoder, "encode", lambda mels, batch: voices[: len(mels)])
    second = (0.1 * rng.standard_normal(RATE)).astype(np.float32)

    def used(minutes: int) -> int:
        audio = Audio(to_memmap((second for _ in range(60 * minutes)), tmp_path), RATE)
        tracemalloc.start()
        diarizer.diarize(audio, ignore_events)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert used(14) - used(4) < 20e6
