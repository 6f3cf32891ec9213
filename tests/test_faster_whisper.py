"""faster-whisper: the words of `whisper` by CTranslate2, which folders it takes, and which options it refuses."""

from __future__ import annotations

import difflib
import json
import struct
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import whisper
from voices import babble

from meetsplit.pipeline.audio.reading import read
from meetsplit.pipeline.data import Audio, ClipTranscript, Span
from meetsplit.pipeline.errors import MissingDependency, SettingsError, StageError
from meetsplit.pipeline.events import Notice, ignore_events
from meetsplit.pipeline.models import device, registry, selection
from meetsplit.pipeline.models.backend_choice import auto_order, chosen_backend
from meetsplit.pipeline.models.sources import FASTER_WHISPER, Hub, Local, WhisperFile
from meetsplit.pipeline.models.weight_sources import weight_sources
from meetsplit.pipeline.settings import Settings

pytest.importorskip("ctranslate2", reason="the extra [fast] is not installed")

from meetsplit.pipeline.transcribers.faster_whisper import FasterWhisperTranscriber
from meetsplit.pipeline.transcribers.whisper import WhisperTranscriber
from meetsplit.training.mini_whisper.conversion import write_ctranslate2
from meetsplit.training.mini_whisper.model import to_openai_checkpoint

ROOT = Path(__file__).parents[1]


def loaded(folder: Path, **settings: Any) -> FasterWhisperTranscriber:
    return FasterWhisperTranscriber.load(Settings(model=str(folder), **settings), {"model": folder}, "cpu")


def transcribe(transcriber: Any, *clips: Audio) -> list[ClipTranscript]:
    return list(transcriber.transcribe(clips, ignore_events))


def speech(seconds: float) -> Audio:
    return Audio(babble(seconds), 16000)


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """The miniature Whisper in OpenAI's class, and in CTranslate2's format."""
    folder = tmp_path_factory.mktemp("mini")
    torch.save(to_openai_checkpoint(ROOT / "tests" / "models" / "mini-whisper.safetensors"), folder / "mini.pt")
    model = whisper.load_model(str(folder / "mini.pt"), device="cpu").eval()
    with warnings.catch_warnings():  # whisper leaves a file open when it first reads its tokens
        warnings.simplefilter("ignore", ResourceWarning)
        return model, write_ctranslate2(model, folder / "ctranslate2")


@pytest.fixture(scope="module")
def clips() -> list[Audio]:
    recording = read(ROOT / "sample_data" / "standup.m4a")
    return [recording.crop(Span(*span)) for span in ((0.85, 3.2), (6.93, 12.0), (19.78, 23.38))]


@pytest.fixture
def converted(tmp_path: Path, whisper_checkpoint: Callable[..., Path]) -> Callable[..., Path]:
    """The maker of folders that always say one sentence."""

    def convert(sentence: str, **options: Any) -> Path:
        checkpoint = whisper_checkpoint(tmp_path / "parrot.pt", sentence, **options)
        return write_ctranslate2(whisper.load_model(str(checkpoint), device="cpu"), tmp_path / "parrot")

    return convert


@pytest.fixture(scope="module")
def expected(mini: tuple[Any, Path], clips: list[Audio]) -> list[ClipTranscript]:
    """What `whisper` hears."""
    return transcribe(WhisperTranscriber(mini[0], Settings(language="en")), *clips)


def test_it_hears_what_whisper_hears(
    mini: tuple[Any, Path], clips: list[Audio], expected: list[ClipTranscript]
) -> None:
    """The same words in single precision, from a batch and one by one, and nearly the same times and probabilities.

    The two align by the same method, but not to the frame: the last word of a clip was seen to end 0.1 s apart.
    """
    _, folder = mini
    transcriber = loaded(folder, language="en", compute_type="float32")
    assert transcriber.batch_size > len(clips)
    answers = transcribe(transcriber, *clips)
    transcriber.batch_size = 1
    assert [[word.text for word in answer.words] for answer in transcribe(transcriber, *clips)] == [
        [word.text for word in answer.words] for answer in answers
    ]
    words, ours = ([word for answer in each for word in answer.words] for each in (expected, answers))
    assert len(words) > 20
    assert [word.text for word in ours] == [word.text for word in words]
    differences = [
        (
            abs(own.span.start - word.span.start),
            abs(own.span.end - word.span.end),
            abs(own.confidence - word.confidence),
        )
        for word, own in zip(words, ours, strict=True)
    ]
    assert np.percentile(differences, 90, axis=0) == pytest.approx([0.0, 0.0, 0.0], abs=0.041)
    assert np.max(differences, axis=0) == pytest.approx([0.0, 0.0, 0.0], abs=0.25)


def test_eight_bits_hear_nearly_the_same(
    mini: tuple[Any, Path], clips: list[Audio], expected: list[ClipTranscript]
) -> None:
    _, folder = mini
    transcriber = loaded(folder, language="en")
    assert transcriber._model._engine.compute_type == "int8_float32"
    words, ours = (
        [word.text for answer in each for word in answer.words] for each in (expected, transcribe(transcriber, *clips))
    )
    matching = difflib.SequenceMatcher(None, words, ours, autojunk=False).get_matching_blocks()
    assert sum(block.size for block in matching) >= 0.9 * len(words), (words, ours)


def test_language_and_task(converted: Callable[..., Path], capfd: pytest.CaptureFixture[str]) -> None:
    folder = converted("Guten Morgen zusammen.", language="de")
    (answer,) = transcribe(loaded(folder), speech(2.0))
    assert answer.language == "de"
    assert [word.text for word in answer.words] == ["Guten", "Morgen", "zusammen."]
    assert transcribe(loaded(folder, task="translate"), speech(2.0))[0].language == "en"
    assert capfd.readouterr() == ("", "")


def test_an_english_only_model_knows_english_only(converted: Callable[..., Path]) -> None:
    folder = converted("Good morning everyone.", language=None)
    (answer,) = transcribe(loaded(folder), speech(2.0))
    assert (answer.language, [word.text for word in answer.words]) == ("en", ["Good", "morning", "everyone."])
    with pytest.raises(SettingsError, match="English only"):
        loaded(folder, language="de")


def test_text_that_repeats_itself_is_no_speech(converted: Callable[..., Path]) -> None:
    looping = converted(" ".join(["thank you"] * 9), context=40)
    first, second = (transcribe(loaded(looping, language="en"), speech(1.0)) for _ in range(2))
    assert first == second, "what is drawn at higher temperatures is the same in every run"
    assert [(answer.words, answer.language) for answer in first] == [((), "en")]
    assert [dropped.reason for dropped in first[0].dropped] == ["dropped-repetition"]


def test_options_reach_the_engine(mini: tuple[Any, Path], clips: list[Audio], monkeypatch: pytest.MonkeyPatch) -> None:
    model, folder = mini
    options: dict[str, Any] = {"initial_prompt": "Stand-up", "hotwords": "Ada", "suppress_numerals": True}
    options |= {"beam_size": 3, "patience": 2.0, "language": "en"}
    transcriber = loaded(folder, threads=2, **options)
    asked: list[Any] = []
    search = transcriber._model.search
    monkeypatch.setattr(transcriber._model, "search", lambda *a: asked.append(a) or search(*a))
    assert transcribe(transcriber, clips[0])
    _, prompts, how = asked[0]
    task = WhisperTranscriber(model, Settings(**options)).decoder.decoding_task("en")
    assert prompts == [task.initial_tokens]
    assert "Ada. Stand-up" in task.tokenizer.decode(list(prompts[0]))
    assert (how.temperature, how.count, how.patience) == (0.0, 3, 2.0)
    assert {task.tokenizer.encode("1")[0], task.tokenizer.encode(" 20")[0]} <= set(how.suppressed)


@pytest.mark.parametrize(
    ("device", "compute_type", "notices"),
    [
        ("cpu", "default", []),
        ("cpu", "int8", []),
        ("cpu", "float32", []),
        ("cpu", "float16", ["--compute-type float16: on cpu faster-whisper computes in float32"]),
        ("cpu", "int8_float16", ["--compute-type int8_float16: on cpu faster-whisper computes in int8"]),
        ("mps", "default", ["faster-whisper runs on the CPU: it does not know mps"]),
    ],
)
def test_what_is_computed_otherwise_is_said(
    mini: tuple[Any, Path], device: str, compute_type: str, notices: list[str]
) -> None:
    settings = Settings(language="en", compute_type=compute_type)
    transcriber = FasterWhisperTranscriber.load(settings, {"model": mini[1]}, device)
    events: list[Any] = []
    assert list(transcriber.transcribe([], events.append)) == []
    assert [event.text for event in events if isinstance(event, Notice)] == notices


def head(name: str, *variables: tuple[str, tuple[int, ...], int], version: int = 6) -> bytes:
    """The beginning of a model.bin: variables with shapes and numbers of bytes, all zero."""

    def text(value: str) -> bytes:
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    content = struct.pack("<I", version) + text(name) + struct.pack("<II", 3, len(variables))
    for variable, shape, size in variables:
        content += text(variable) + struct.pack(f"<B{len(shape)}IBI", len(shape), *shape, 0, size) + bytes(size)
    return content


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "is no CTranslate2 model: convert a Hugging Face folder with ct2-transformers-converter"),
        ({"config.json": b"{}", "model.safetensors": b""}, "convert a Hugging Face folder"),
        ({"model.bin": head("WhisperSpec")}, "it has no config.json and no vocabulary"),
        ({"model.bin": b"PK\3\4", "config.json": b"{}", "vocabulary.json": b"[]"}, "begins otherwise"),
        ({"model.bin": b"", "config.json": b"{}", "vocabulary.json": b"[]"}, "damaged"),
        ({"model.bin": head("WhisperSpec"), "config.json": b"no", "vocabulary.txt": b""}, "damaged"),
        (
            {
                "model.bin": head("WhisperSpec", ("encoder/conv1/weight", (8, 80, 3), 64))[:-8],
                "config.json": b"{}",
                "vocabulary.txt": b"",
            },
            "cut short",
        ),
        ({"model.bin": head("TransformerSpec"), "config.json": b"{}", "vocabulary.txt": b""}, "no Whisper"),
        ({"model.bin": head("WhisperSpec"), "config.json": b"{}", "vocabulary.txt": b""}, "shape that is not known"),
    ],
)
def test_a_wrong_folder_gets_one_sentence(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(StageError, match=message) as caught:
        loaded(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_model_cut_short_is_not_loaded(mini: tuple[Any, Path], tmp_path: Path) -> None:
    for file in mini[1].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    content = (tmp_path / "model.bin").read_bytes()
    (tmp_path / "model.bin").write_bytes(content[: len(content) // 2])
    with pytest.raises(StageError, match="cut short"):
        loaded(tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"condition_on_previous_text": True}, "--condition-on-previous-text"),
        ({"hallucination_silence_threshold": 2.0}, "--hallucination-silence-threshold"),
        ({"model_dir": Path("models")}, "--model-dir models"),
        ({"model": "small.en", "language": "de"}, "knows English only"),
        ({"model": "smal"}, "did you mean 'small'"),
        ({"model": "ours.pt"}, "use --transcriber whisper"),
    ],
)
def test_what_it_cannot_do_is_refused_before_any_work(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        selection.check_settings(Settings(transcriber="faster-whisper", device="cpu", **settings))


def source(**settings: Any) -> tuple[str, Any]:
    chosen = Settings(device="cpu", **settings)
    name = chosen_backend("transcriber", chosen)
    return name, None if name == "auto" else weight_sources("transcriber", name, chosen)["model"]


def test_a_model_names_its_transcriber(mini: tuple[Any, Path], tmp_path: Path) -> None:
    hub = Hub("Systran/faster-whisper-small", patterns=("config.json", "model.bin", "vocabulary.*"))
    assert source(transcriber="faster-whisper") == ("faster-whisper", hub)
    assert source(transcriber="faster-whisper", model="small") == ("faster-whisper", hub)
    assert source(model="Systran/faster-whisper-small") == ("faster-whisper", hub)
    assert source(model=str(mini[1])) == ("faster-whisper", Local(mini[1]))
    assert source(model="distil-large-v3") == ("faster-whisper", FASTER_WHISPER["distil-large-v3"])
    assert source(transcriber="whisper", model="small") == ("whisper", WhisperFile("small"))
    tuned = tmp_path / "tuned"
    tuned.mkdir()
    (tuned / "config.json").write_text(json.dumps({"model_type": "whisper"}), "utf-8")
    assert source(model=str(tuned)) == ("whisper", Local(tuned))
    with pytest.raises(SettingsError, match="use --transcriber faster-whisper"):
        source(transcriber="whisper", model=str(mini[1]))


def test_the_order_of_auto(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(device="cpu", model="small")
    on_gpu = replace(settings, device="cuda")
    integers_on_gpu = replace(on_gpu, compute_type="int8")
    monkeypatch.setattr(device, "choose", lambda name: name)
    for each in (settings, integers_on_gpu):
        assert auto_order("transcriber", each) == ("faster-whisper", "whisper", "sphinx")
        assert chosen_backend("transcriber", each) == "auto"
    assert auto_order("transcriber", on_gpu) == ("whisper", "sphinx")
    assert chosen_backend("transcriber", on_gpu) == "whisper"
    monkeypatch.setattr(registry, "missing_package", lambda backend: next(iter(backend.packages), None))
    assert auto_order("transcriber", settings) == ("whisper", "sphinx")
    assert chosen_backend("transcriber", settings) == "whisper"
    with pytest.raises(MissingDependency, match=r"pip install 'meetsplit\[fast\]'"):
        registry.require_packages("transcriber", "faster-whisper")
