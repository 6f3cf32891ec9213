"""`--model FOLDER` for whisper: a folder in Hugging Face's format hears what the .pt file hears; others are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import whisper
from safetensors.torch import load_file, save_file
from voices import babble

from meetsplit.pipeline.data import Audio, ClipTranscript
from meetsplit.pipeline.errors import StageError
from meetsplit.pipeline.events import ignore_events
from meetsplit.pipeline.settings import Settings
from meetsplit.pipeline.transcribers.whisper import WhisperTranscriber

pytest.importorskip("ctranslate2", reason="the extra [fast] is not installed")

from meetsplit.training.mini_whisper.conversion import write_hugging_face


@pytest.fixture(scope="module")
def model(whisper_file: Path) -> Any:
    return whisper.load_model(str(whisper_file), device="cpu")


@pytest.fixture
def folder(model: Any, tmp_path: Path) -> Path:
    return write_hugging_face(model, tmp_path / "tuned")


def transcribe(path: Path) -> list[ClipTranscript]:
    transcriber = WhisperTranscriber.load(Settings(language="en"), {"model": path}, "cpu")
    return list(transcriber.transcribe([Audio(babble(2.0), 16000)], ignore_events))


def test_a_folder_hears_what_the_file_hears(whisper_file: Path, folder: Path) -> None:
    answers = transcribe(folder)
    assert [word.text for word in answers[0].words] == ["Good", "morning", "everyone."]
    assert answers == transcribe(whisper_file)


def test_weights_as_torch_saves_them(whisper_file: Path, folder: Path) -> None:
    """The older layout, read without running the pickle, in half precision and with its output layer."""
    tensors = load_file(folder / "model.safetensors")
    tensors["proj_out.weight"] = tensors["model.decoder.embed_tokens.weight"]
    (folder / "model.safetensors").unlink()
    torch.save({name: value.half() for name, value in tensors.items()}, folder / "pytorch_model.bin")
    words, expected = ([word.text for word in transcribe(path)[0].words] for path in (folder, whisper_file))
    assert words == expected


def test_alignment_heads_are_those_of_the_folder(folder: Path) -> None:
    loaded = WhisperTranscriber.load(Settings(), {"model": folder}, "cpu")
    assert loaded._model.alignment_heads.to_dense().tolist() == [[False, False], [True, True]]
    (folder / "generation_config.json").write_text(json.dumps({"alignment_heads": [[0, 0]]}), "utf-8")
    loaded = WhisperTranscriber.load(Settings(), {"model": folder}, "cpu")
    assert loaded._model.alignment_heads.to_dense().tolist() == [[True, False], [False, False]]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "no config.json that can be read"),
        ({"model_type": "wav2vec2"}, "model_type 'wav2vec2'"),
        ([], "model_type None"),
        ({"vocab_size": 51900}, "51900 tokens"),
        ({"d_model": "64"}, "d_model '64'"),
        ({"decoder_layers": 3}, "decoder_layers 3, but its tensors have 2"),
        ({"d_model": 32}, "d_model 32, but its tensors have 64"),
        ({"encoder_attention_heads": 3}, "no multiple of 3 heads"),
    ],
)
def test_a_wrong_folder_gets_one_sentence(folder: Path, config: Any, message: str) -> None:
    path = folder / "config.json"
    if isinstance(config, dict):
        config = json.loads(path.read_text("utf-8")) | config
    path.write_text("" if config is None else json.dumps(config), "utf-8")
    with pytest.raises(StageError, match=message) as caught:
        transcribe(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model.encoder.layer_norm.bias", "it lacks 1 tensors, such as encoder.ln_post.bias"),
        ("model.encoder.conv1.weight", "conv1.weight"),
        ("lora_A", "it has unknown 1 tensors, such as lora_A"),
    ],
)
def test_tensors_that_are_missing_or_too_many(folder: Path, name: str, message: str) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors = {key: value for key, value in tensors.items() if key != name}
    if name.startswith("lora"):
        tensors[name] = torch.zeros(1)
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(StageError, match=message):
        transcribe(folder)


@pytest.mark.parametrize("content", [None, b"", b"no tensors"])
def test_a_folder_without_whole_weights(folder: Path, content: bytes | None) -> None:
    weights = folder / "model.safetensors"
    weights.unlink()
    if content is not None:
        weights.write_bytes(content)
    with pytest.raises(StageError, match="no whole Whisper"):
        transcribe(folder)


def test_an_adapter_needs_its_model(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{}", "utf-8")
    with pytest.raises(StageError, match="merge it"):
        transcribe(folder)
