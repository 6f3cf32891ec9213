"""The ECAPA embedder on a tiny model through SpeechBrain's real loader."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from meetsplit.pipeline.data import Audio
from meetsplit.pipeline.embedders.ecapa import MAX_SECONDS, EcapaEmbedder
from meetsplit.pipeline.errors import MissingWeights, StageError
from meetsplit.pipeline.protocols import Embedder
from meetsplit.pipeline.settings import Settings

RATE = 16_000


def load(folder: Path) -> EcapaEmbedder:
    return EcapaEmbedder.load(Settings(), {"embedder": folder}, "cpu")


@pytest.fixture(scope="module")
def embedder(ecapa_folder: Path) -> EcapaEmbedder:
    return load(ecapa_folder)


def noise(seconds: float, seed: int = 0, level: float = 0.1) -> Audio:
    samples = level * np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    return Audio(samples.astype(np.float32), RATE, 3.0)


def test_one_unit_row_per_clip_whatever_else_is_embedded(embedder: EcapaEmbedder) -> None:
    assert isinstance(embedder, Embedder)
    clips = [noise(1.0), noise(0.3, seed=1), noise(4.0, seed=2)]
    rows = embedder.embed(clips)
    assert rows.shape == (3, 12)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-5)
    np.testing.assert_array_equal(embedder.embed(clips[1:2])[0], rows[1])


def test_short_and_silent_clips_are_rows_of_nan(embedder: EcapaEmbedder) -> None:
    empty = Audio(np.zeros(0, np.float32), RATE)
    rows = embedder.embed(
        [noise(0.2), Audio(np.zeros(RATE, np.float32), RATE), noise(1.0), noise(1.0, level=1e-7), empty]
    )
    assert np.isnan(rows[[0, 1, 3, 4]]).all()
    assert np.isfinite(rows[2]).all()
    assert embedder.embed([empty]).shape == (1, 12)
    assert embedder.embed([]).shape == (0, 12)


def test_very_long_clips_are_embedded_in_part(embedder: EcapaEmbedder) -> None:
    long = noise(MAX_SECONDS + 5.0)
    start = Audio(long.samples[: round(MAX_SECONDS * RATE)], RATE)
    np.testing.assert_array_equal(embedder.embed([long]), embedder.embed([start]))


def test_another_rate_is_refused(embedder: EcapaEmbedder) -> None:
    with pytest.raises(ValueError, match="16000 Hz, not 8000 Hz"):
        embedder.embed([Audio(np.ones(8000, np.float32), 8000)])


def test_the_weights_are_really_loaded(ecapa_folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(ecapa_folder, tmp_path / "other")
    state = torch.load(other / "embedding_model.ckpt")
    state["fc.conv.weight"] = -state["fc.conv.weight"]
    torch.save(state, other / "embedding_model.ckpt")
    assert float((load(ecapa_folder).embed([noise(1.0)]) @ load(other).embed([noise(1.0)]).T)[0, 0]) < 0.9


def test_incomplete_folders_are_named(ecapa_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingWeights, match=r"no hyperparams\.yaml"):
        load(tmp_path)
    half = shutil.copytree(ecapa_folder, tmp_path / "half")
    (half / "embedding_model.ckpt").unlink()
    with pytest.raises(StageError, match=r"embedding_model\.ckpt"):
        load(half)
