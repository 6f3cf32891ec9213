"""The language of each region: one that is not sure does not change its speaker's, one that is does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from voices import babble

from meetsplit.pipeline.data import Audio
from meetsplit.pipeline.events import ignore_events
from meetsplit.pipeline.settings import Settings
from meetsplit.pipeline.transcribers.hallucinations import RawWord
from meetsplit.pipeline.transcribers.languages import SpokenLanguage
from meetsplit.pipeline.transcribers.whisper import WhisperTranscriber
from meetsplit.pipeline.transcribers.whisper_languages import LanguageDetector
from meetsplit.pipeline.transcribers.whisper_windows import WindowDecoder, WindowJob, WindowText

RATE = 16000

SURE_GERMAN = {"de": 0.95, "en": 0.02, "nl": 0.03}
ENGLISH = {"en": 0.9, "de": 0.05, "nl": 0.05}
VAGUE = {"cy": 0.3, "en": 0.1, "de": 0.1}


@pytest.mark.parametrize(
    ("regions", "expected"),
    [
        ([(SURE_GERMAN, 6.0)], "d"),
        ([(SURE_GERMAN, 1.0)], "e"),
        ([(SURE_GERMAN, 1.0)] * 3, "eed"),
        ([(SURE_GERMAN, 1.0), (ENGLISH, 1.0), (SURE_GERMAN, 2.0), (ENGLISH, 2.0)], "eeee"),
        ([(SURE_GERMAN, 5.0), (VAGUE, 20.0), (ENGLISH, 1.0), (ENGLISH, 5.0)], "ddde"),
        ([(VAGUE, 20.0), (ENGLISH, 5.0)], "ee"),
        ([({"de": 1.0}, 2.0), (ENGLISH, 9.0)], "ee"),
    ],
)
def test_a_language_changes_on_enough_evidence_only(
    regions: Sequence[tuple[dict[str, float], float]], expected: str
) -> None:
    spoken = SpokenLanguage("en")
    assert "".join(spoken.of_region(*region)[0] for region in regions) == expected


class LoudnessDetector(LanguageDetector):
    """Hears the language in the loudness of a clip: German above 0.2, English below."""

    def _probabilities(self, window: Any) -> dict[str, float]:
        return ENGLISH

    def of_windows(self, features: torch.Tensor) -> list[dict[str, float]]:
        return [SURE_GERMAN if loudness > 0.2 else ENGLISH for loudness in features[:, 0, 0].tolist()]


class LanguageWriter(WindowDecoder):
    """Encodes a window as its loudness, and writes its language."""

    encoded = 0

    def encode(self, jobs: Sequence[WindowJob]) -> torch.Tensor:
        self.encoded += sum(job.features is None for job in jobs)
        return torch.stack(
            [torch.tensor([[float(np.abs(job.window.samples()).max())]]) if job.features is None else job.features
             for job in jobs]
        )  # fmt: skip

    def decode(self, jobs: Sequence[WindowJob]) -> list[WindowText]:
        self.encode(jobs)
        return [WindowText((RawWord(0.2, 0.6, job.language, 0.9),), None, False) for job in jobs]


class Polyglot(WhisperTranscriber):
    """A transcriber without a model."""

    decoder_type = LanguageWriter
    decoder: LanguageWriter

    def __init__(self, **settings: Any) -> None:
        shape = SimpleNamespace(n_vocab=51865, n_audio_ctx=1500, n_audio_state=8, n_text_ctx=448, n_text_state=8)
        shape.n_text_layer = 1
        fake = SimpleNamespace(device=torch.device("cpu"), dims=shape, is_multilingual=True, num_languages=99)
        super().__init__(fake, Settings(**settings))
        self.languages = LoudnessDetector(fake, self._settings.language)


def clips(louds: Sequence[tuple[bool, float]], speaker: int) -> list[Audio]:
    return [
        Audio(babble(seconds, seed=n) * np.float32(1.0 if loud else 0.25), RATE, 40.0 * n + 20.0 * speaker)
        for n, (loud, seconds) in enumerate(louds)
    ]


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_each_speaker_has_a_language_for_each_clip_whatever_the_batch(batch_size: int) -> None:
    people = [
        clips([(False, 3.0), (True, 8.0), (True, 1.0), (False, 1.0), (False, 9.0)], 0),
        clips([(False, 2.0), (True, 1.0), (False, 4.0)], 1),
    ]
    transcriber = Polyglot()
    transcriber.batch_size = batch_size
    answers = list(transcriber.transcribe_streams(people, ignore_events))
    assert [answer.language for answer in answers] == ["en", "de", "de", "de", "en", "en", "en", "en"]
    assert [answer.words[0].text for answer in answers] == [answer.language for answer in answers]
    assert transcriber.decoder.encoded == 8, "no window is encoded twice"


def test_a_given_language_stays_and_a_translation_is_english() -> None:
    person = [clips([(False, 3.0), (True, 8.0)], 0)]
    assert [answer.language for answer in Polyglot(language="en").transcribe_streams(person, ignore_events)] == [
        "en",
        "en",
    ]
    translated = list(Polyglot(task="translate").transcribe_streams(person, ignore_events))
    assert [(answer.language, answer.words[0].text) for answer in translated] == [("en", "en"), ("en", "de")]


def test_the_model_s_own_detection_takes_what_was_encoded(whisper_checkpoint: Any, tmp_path: Path) -> None:
    path = whisper_checkpoint(tmp_path / "german.pt", "Guten Morgen zusammen.", language="de")
    transcriber = WhisperTranscriber.load(Settings(model=str(path)), {"model": path}, "cpu")
    encoded = 0
    forward = transcriber._model.encoder.forward

    def counted(mel: torch.Tensor) -> torch.Tensor:
        nonlocal encoded
        encoded += len(mel)
        return torch.as_tensor(forward(mel))

    transcriber._model.encoder.forward = counted
    answers = list(transcriber.transcribe([Audio(babble(2.0), RATE), Audio(babble(3.0), RATE, 9.0)], ignore_events))
    assert [answer.language for answer in answers] == ["de", "de"]
    assert encoded == 1 + 2, "once for all clips together, and once for each"
