"""The SepFormer separator on tiny models through SpeechBrain's real loader: no traces, bad folders."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
import torch

from meetsplit.pipeline.data import Audio
from meetsplit.pipeline.embedders.ecapa import EcapaEmbedder
from meetsplit.pipeline.errors import MissingWeights, StageError
from meetsplit.pipeline.separators.sepformer import SepformerSeparator
from meetsplit.pipeline.settings import Settings

RATE = 16_000


def noise(seconds: float) -> Audio:
    return Audio((0.1 * np.random.default_rng(0).standard_normal(round(seconds * RATE))).astype(np.float32), RATE, 2.0)


def load(*, separator: Path, **others: Path) -> SepformerSeparator:
    return SepformerSeparator.load(Settings(), {"separator": separator, **others}, "cpu")


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*where: object) -> None:
        raise AssertionError(f"connection to {where} attempted")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def modification_times(folder: Path) -> dict[str, int]:
    return {str(path): path.lstat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.usefixtures("no_network")
def test_loading_leaves_no_trace(
    sepformer_folder: Path, ecapa_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = modification_times(sepformer_folder) | modification_times(ecapa_folder)
    assert load(separator=sepformer_folder).counts == {2}
    EcapaEmbedder.load(Settings(), {"embedder": ecapa_folder}, "cpu")
    assert modification_times(sepformer_folder) | modification_times(ecapa_folder) == before
    assert os.listdir(tmp_path) == []


def test_the_weights_are_really_loaded(sepformer_folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(sepformer_folder, tmp_path / "other")
    state = torch.load(other / "encoder.ckpt")
    torch.save({name: torch.flip(weight, dims=[0]) for name, weight in state.items()}, other / "encoder.ckpt")
    first, second = (load(separator=folder).split(noise(1.0), 2)[0].samples for folder in (sepformer_folder, other))
    assert not np.allclose(first, second)


def test_a_model_for_three_voices_at_8_khz(sepformer_folder: Path, sepformer_3_folder: Path) -> None:
    separator = load(separator=sepformer_folder, separator_3=sepformer_3_folder)
    assert separator.counts == {2, 3}
    mixture = noise(1.0)
    voices = separator.split(mixture, 3)
    assert [voice.span for voice in voices] == [mixture.span] * 3
    assert {voice.rate for voice in voices} == {RATE}
    assert np.abs(np.sum([voice.samples for voice in voices], axis=0) - mixture.samples).max() < 1e-5


def test_two_voices_in_the_folder_for_three(sepformer_folder: Path) -> None:
    with pytest.raises(StageError, match="takes apart 2 voices, not 3"):
        load(separator=sepformer_folder, separator_3=sepformer_folder)


def test_a_number_of_voices_that_no_model_has(sepformer_folder: Path) -> None:
    with pytest.raises(ValueError, match="no model for 3 voices"):
        load(separator=sepformer_folder).split(noise(1.0), 3)


def test_incomplete_folders_are_named(sepformer_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingWeights, match=r"no hyperparams\.yaml"):
        load(separator=tmp_path)
    half = shutil.copytree(sepformer_folder, tmp_path / "half")
    (half / "masknet.ckpt").unlink()
    with pytest.raises(StageError, match=r"masknet\.ckpt"):
        load(separator=half)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    "line",
    [
        "hook: !apply:os.system [touch owned]",
        "hook: !new:subprocess.Popen",
        "hook: !name:builtins.eval",
        "x: !include:/etc/passwd",
    ],
)
def test_files_that_name_other_code_are_not_opened(sepformer_folder: Path, tmp_path: Path, line: str) -> None:
    folder = shutil.copytree(sepformer_folder, tmp_path / "trap")
    file = folder / "hyperparams.yaml"
    file.write_text(f"{line}\n{file.read_text('utf-8')}", "utf-8")
    with pytest.raises(StageError, match="not opened"):
        load(separator=folder)


def test_seeds_as_in_the_public_files_are_fine(sepformer_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(sepformer_folder, tmp_path / "seeded")
    file = folder / "hyperparams.yaml"
    file.write_text(
        f"seed: 1234 # !new:nothing\n__set_seed: !apply:torch.manual_seed [!ref <seed>]\n{file.read_text('utf-8')}",
        "utf-8",
    )
    assert load(separator=folder).counts == {2}


def test_no_sample_rate_no_model(sepformer_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(sepformer_folder, tmp_path / "rateless")
    file = folder / "hyperparams.yaml"
    file.write_text(file.read_text("utf-8").replace("sample_rate: 16000", ""), "utf-8")
    with pytest.raises(StageError, match="does not say sample_rate"):
        load(separator=folder)
