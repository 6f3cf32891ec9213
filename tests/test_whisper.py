"""Whisper through its real loader and decoder, on small checkpoints in OpenAI's format that always say one sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from voices import babble

from meetsplit.pipeline.data import Audio, ClipTranscript, Samples, Span
from meetsplit.pipeline.errors import SettingsError, StageError
from meetsplit.pipeline.events import ignore_events
from meetsplit.pipeline.settings import Settings
from meetsplit.pipeline.transcribers.whisper import WhisperTranscriber
from meetsplit.pipeline.transcribers.whisper_languages import LanguageDetector


def speech(seconds: float, start: float = 0.0) -> Audio:
    return Audio(babble(seconds), 16000, start)


Make = Callable[..., Path]


def loaded(path: Path, **settings: Any) -> WhisperTranscriber:
    return WhisperTranscriber.load(Settings(model=str(path), **settings), {"model": path}, "cpu")


def transcribe(transcriber: WhisperTranscriber, *clips: Audio) -> list[ClipTranscript]:
    return list(transcriber.transcribe(clips, ignore_events))


@pytest.fixture(scope="module")
def german_file(tmp_path_factory: pytest.TempPathFactory, whisper_checkpoint: Make) -> Path:
    return whisper_checkpoint(tmp_path_factory.mktemp("whisper") / "german.pt", "Guten Morgen zusammen.", language="de")


@pytest.fixture(scope="module")
def english_file(tmp_path_factory: pytest.TempPathFactory, whisper_checkpoint: Make) -> Path:
    return whisper_checkpoint(
        tmp_path_factory.mktemp("whisper") / "english.en.pt", "Good morning everyone.", language=None
    )


def test_a_sentence_becomes_words_with_times_and_confidence(
    whisper_file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (answer,) = transcribe(loaded(whisper_file), speech(2.0, start=7.0))
    assert [word.text for word in answer.words] == ["Good", "morning", "everyone."]
    assert all(7.0 <= word.span.start < word.span.end <= 9.0 for word in answer.words)
    assert all(word.confidence is not None and word.confidence > 0.9 for word in answer.words)
    assert answer.language == "en"
    assert capfd.readouterr() == ("", "")


def test_the_language_is_detected_from_the_stream(german_file: Path) -> None:
    answers = transcribe(loaded(german_file), Audio(np.zeros(16000, np.float32), 16000), speech(2.0, start=3.0))
    assert [answer.language for answer in answers] == ["de", "de"]
    assert [word.text for word in answers[1].words] == ["Guten", "Morgen", "zusammen."]


def test_the_language_is_detected_over_the_first_clips(german_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    windows: list[int] = []
    detect = LanguageDetector._probabilities

    def spied(self: LanguageDetector, window: Samples) -> dict[str, float]:
        windows.append(len(window) // 16000)
        return detect(self, window)

    monkeypatch.setattr(LanguageDetector, "_probabilities", spied)
    next(loaded(german_file).transcribe((speech(25.0, start=30.0 * number) for number in range(4)), ignore_events))
    assert windows == [30, 20]


@pytest.mark.parametrize("language", ["de", "German", " german "])
def test_a_given_language_is_not_detected(whisper_file: Path, language: str) -> None:
    assert (
        transcribe(loaded(whisper_file, language=language), Audio(np.zeros(16000, np.float32), 16000))[0].language
        == "de"
    )


def test_silent_clips_have_no_language(whisper_file: Path) -> None:
    assert (
        transcribe(loaded(whisper_file), Audio(np.zeros(48000, np.float32), 16000), speech(0.05))
        == [ClipTranscript((), None)] * 2
    )


def test_a_translation_is_english(german_file: Path) -> None:
    (answer,) = transcribe(loaded(german_file, task="translate"), speech(2.0))
    assert answer.language == "en"
    assert answer.words


def test_an_english_only_model_knows_english_only(english_file: Path) -> None:
    (answer,) = transcribe(loaded(english_file), speech(2.0))
    assert [word.text for word in answer.words] == ["Good", "morning", "everyone."]
    assert answer.language == "en"
    with pytest.raises(SettingsError, match="English only"):
        loaded(english_file, language="de")
    with pytest.raises(SettingsError, match="English only"):
        loaded(english_file, task="translate")


@pytest.mark.parametrize(
    ("language", "message"), [("germna", "did you mean 'german'"), ("yue", "large-v3"), ("cantonese", "large-v3")]
)
def test_unknown_languages_are_refused(whisper_file: Path, language: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        loaded(whisper_file, language=language)


def test_text_that_repeats_itself_is_no_speech(tmp_path: Path, whisper_checkpoint: Make) -> None:
    looping = whisper_checkpoint(tmp_path / "loop.pt", " ".join(["thank you"] * 9), context=40)
    state = torch.get_rng_state()
    (answer,) = transcribe(loaded(looping, language="en"), speech(1.0))
    assert answer.words == (), "nor is what was sampled at higher temperatures"
    (dropped,) = answer.dropped
    assert (dropped.span, dropped.reason) == (Span(0.0, 1.0), "dropped-repetition")
    assert "thank you thank you" in dropped.text
    assert torch.equal(torch.get_rng_state(), state), "other random numbers are left alone"


def test_a_clip_longer_than_one_window(whisper_file: Path) -> None:
    (answer,) = transcribe(loaded(whisper_file, language="en"), speech(40.0, start=5.0))
    assert len(answer.words) >= 6
    assert list(answer.words) == sorted(answer.words)
    assert all(5.0 <= word.span.start < word.span.end <= 45.0 for word in answer.words)


def test_a_prompt_reaches_the_decoder(whisper_file: Path) -> None:
    plain, prompted = (
        loaded(whisper_file, language="en"),
        loaded(whisper_file, language="en", initial_prompt="Quarterly"),
    )
    assert transcribe(prompted, speech(2.0)) != transcribe(plain, speech(2.0)), (
        "this model counts positions, a prompt moves them"
    )


def test_official_models_get_their_own_alignment_heads(whisper_file: Path, tmp_path: Path) -> None:
    named = tmp_path / "tiny.pt"
    named.write_bytes(whisper_file.read_bytes())
    assert transcribe(loaded(named), speech(2.0)), "only the name is that of an official model"
    from whisper.model import ModelDimensions, Whisper

    from meetsplit.pipeline.transcribers.whisper_model import set_alignment_heads

    model = Whisper(ModelDimensions(80, 1500, 24, 6, 1, 51865, 8, 24, 6, 4))
    before = model.alignment_heads.to_dense().clone()
    set_alignment_heads(model, "tiny")
    after = model.alignment_heads.to_dense()
    assert after.shape == before.shape
    assert after.sum() == 6
    assert not torch.equal(before, after)


@pytest.mark.parametrize("content", [b"no checkpoint", b""])
def test_a_file_that_is_no_checkpoint(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    with pytest.raises(StageError, match="no Whisper checkpoint"):
        loaded(path)


def test_a_checkpoint_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save({"state_dict": {}}, path)
    with pytest.raises(StageError, match="no Whisper checkpoint"):
        loaded(path)
