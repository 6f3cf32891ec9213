"""The GE2E encoder: equal to Resemblyzer's, and an `Embedder`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from meetsplit.pipeline.data import Audio
from meetsplit.pipeline.embedders.ge2e import (
    DIMENSION,
    HOP,
    PARTIAL_FRAMES,
    GE2EEmbedder,
    mel_frames,
    normalize_volume,
    partial_starts,
)
from meetsplit.pipeline.errors import StageError
from meetsplit.pipeline.protocols import Embedder
from meetsplit.pipeline.settings import Settings

RATE = 16000


def hum(seconds: float, pitch: float = 120.0, level: float = 1.0) -> npt.NDArray[np.float32]:
    """A sound given by a formula, so that the original can be given the same."""
    t = np.arange(round(seconds * RATE)) / RATE
    voiced = 0.1 * np.sin(2 * np.pi * (pitch * t + 3 * np.sin(2 * np.pi * 2 * t))) * (1 + np.sin(2 * np.pi * 3 * t))
    return np.asarray(level * (voiced + 0.05 * np.sin(2 * np.pi * 900 * t)), np.float32)


@pytest.fixture(scope="module")
def ge2e(embedded_weights: dict[str, Path]) -> GE2EEmbedder:
    return GE2EEmbedder.load(Settings(), {"embedder": embedded_weights["encoder"]}, "cpu")


ORIGINAL = {
    1.0: ([20, 9, 173, 209, 89, 243], [0.260205, 0.229932, 0.207914, 0.189842, 0.177729, 0.169043], 8.69627),
    2.5: ([209, 93, 180, 125, 24, 18], [0.231456, 0.224064, 0.210904, 0.178823, 0.177614, 0.172405], 9.19437),
    6.0: ([209, 180, 93, 24, 125, 133], [0.240867, 0.219099, 0.211066, 0.179260, 0.174908, 0.169847], 9.25861),
}
"""What ``VoiceEncoder("cpu").embed_utterance(hum(seconds))`` of Resemblyzer 0.1.4 answers over librosa 0.11.0: the
places and values of the six greatest numbers, and the sum of all. Compared in full it differed from ours by at most
1.4e-7."""


@pytest.mark.parametrize("seconds", sorted(ORIGINAL))
def test_equals_the_original(ge2e: GE2EEmbedder, seconds: float) -> None:
    places, values, total = ORIGINAL[seconds]
    row = ge2e.embed_utterance(hum(seconds))
    assert row[places] == pytest.approx(values, abs=2e-6)
    assert np.argsort(-row)[:6].tolist() == places
    assert row.sum() == pytest.approx(total, abs=2e-5)


def test_mel_frames_are_librosas() -> None:
    """Against the definition: Slaney's scale (linear to 1 kHz, then logarithmic), area-normalised triangles."""
    sound = hum(0.3)
    padded = np.pad(sound.astype(np.float64), 200)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    power = np.stack([np.abs(np.fft.rfft(padded[at : at + 400] * window)) ** 2 for at in range(0, len(sound) + 1, HOP)])
    top = 15.0 + np.log(8000 / 1000) / (np.log(6.4) / 27)
    steps = np.linspace(0, top, 42)
    edges = np.where(steps < 15, steps * 200 / 3, 1000 * np.exp((np.log(6.4) / 27) * (steps - 15)))
    bins = np.linspace(0, 8000, 201)
    rising = (bins[None] - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins[None]) / np.diff(edges)[1:, None]
    filters = np.maximum(0, np.minimum(rising, falling)) * (2 / (edges[2:] - edges[:-2]))[:, None]
    frames = mel_frames(torch.from_numpy(sound)).numpy()
    assert frames == pytest.approx(power @ filters.T, abs=1e-5)


def test_mel_frames_do_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = torch.from_numpy(hum(3.0))
    whole = mel_frames(sound)
    monkeypatch.setattr("meetsplit.pipeline.embedders.ge2e._BLOCK_FRAMES", 7)
    assert torch.allclose(mel_frames(sound), whole, atol=1e-6)
    assert len(whole) == 1 + len(sound) // HOP


def test_batches_change_nothing(ge2e: GE2EEmbedder) -> None:
    frames = mel_frames(torch.from_numpy(hum(12.0)))
    mels = torch.stack([frames[at : at + PARTIAL_FRAMES] for at in range(0, 900, 60)])
    one_by_one = np.stack([ge2e.encode(mel[None])[0] for mel in mels])
    assert ge2e.encode(mels, batch=4) == pytest.approx(one_by_one, abs=1e-5)
    assert ge2e.encode(mels[:0]).shape == (0, DIMENSION)


@pytest.mark.parametrize("samples", [1, 4000, 16000, 25600, 25601, 40000, 100000])
def test_partials_cover_the_utterance(samples: int) -> None:
    starts = partial_starts(samples)
    assert starts[0] == 0
    assert starts == sorted(set(starts))
    assert samples - (starts[-1] + PARTIAL_FRAMES) * HOP < PARTIAL_FRAMES * HOP


def test_it_is_an_embedder(ge2e: GE2EEmbedder) -> None:
    assert isinstance(ge2e, Embedder)
    silence, short = np.zeros(RATE, np.float32), hum(0.1)
    clips = [Audio(sound, RATE) for sound in (hum(2.0), silence, short, hum(2.0, 220.0), np.zeros(0, np.float32))]
    before = [clip.samples.copy() for clip in clips]
    rows = ge2e.embed(clips)
    assert rows.shape == (5, DIMENSION)
    assert rows.dtype == np.float32
    assert np.isnan(rows).all(axis=1).tolist() == [False, True, True, False, True]
    assert np.linalg.norm(rows[[0, 3]], axis=1) == pytest.approx(1.0, abs=1e-5)
    assert rows[0] @ rows[3] < 0.95
    assert all(np.array_equal(clip.samples, copy) for clip, copy in zip(clips, before, strict=True))
    assert ge2e.embed([]).shape == (0, DIMENSION)


def test_quiet_clips_are_raised_and_loud_ones_left(ge2e: GE2EEmbedder) -> None:
    quiet, quieter = (Audio(hum(2.0, level=level), RATE) for level in (0.02, 0.001))
    rows = ge2e.embed([quiet, quieter])
    assert rows[0] == pytest.approx(rows[1], abs=1e-4)
    assert normalize_volume(hum(1.0)) is not None
    assert np.array_equal(normalize_volume(hum(1.0)), hum(1.0))


def test_another_rate_is_refused(ge2e: GE2EEmbedder) -> None:
    with pytest.raises(ValueError, match="16000 Hz, not 8000"):
        ge2e.embed([Audio(hum(1.0), 8000)])


def test_other_weights_are_a_sentence(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"something": np.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(StageError, match="reading the voice encoder"):
        GE2EEmbedder.load(Settings(), {"embedder": tmp_path / "other.safetensors"}, "cpu")
