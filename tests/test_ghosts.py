"""Words where nobody speaks: none, from recognisers that were trained. The benchmark has an hour of each sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from meetsplit.benchmarks.words import sounds
from meetsplit.pipeline.audio.reading import read
from meetsplit.pipeline.data import Audio, Span
from meetsplit.pipeline.events import ignore_events
from meetsplit.pipeline.protocols import Transcriber
from meetsplit.pipeline.settings import Settings
from meetsplit.pipeline.transcribers.hallucinations import NO_VOICE
from meetsplit.training.mini_whisper.model import to_openai_checkpoint
from meetsplit.training.mini_whisper.targets import english_tokenizer

ROOT = Path(__file__).parents[1]
RATE = 16000
SENTENCE = Span(0.85, 3.2)


@pytest.fixture(scope="module", params=["whisper", "sphinx"])
def transcriber(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Transcriber:
    if request.param == "sphinx":
        pytest.importorskip("pocketsphinx", reason="the extra [offline] is not installed")
        from meetsplit.pipeline.transcribers.sphinx import SphinxTranscriber

        return SphinxTranscriber.load(Settings(), {}, "cpu")
    from meetsplit.pipeline.transcribers.whisper import WhisperTranscriber

    english_tokenizer()  # whisper leaves a file open when it first reads its tokens; here that is expected
    path = tmp_path_factory.mktemp("mini") / "mini.pt"
    torch.save(to_openai_checkpoint(ROOT / "tests" / "models" / "mini-whisper.safetensors"), path)
    return WhisperTranscriber.load(Settings(language="en", model=str(path)), {"model": path}, "cpu")


def test_silence_noise_and_music_have_no_words(transcriber: Transcriber) -> None:
    clips = [Audio(next(parts), RATE, 30.0 * number) for number, (_, parts) in enumerate(sounds(0.0))]
    answers = list(transcriber.transcribe(clips, ignore_events))
    assert [answer.words for answer in answers] == [()] * len(clips)
    told = [{text.reason for text in answer.dropped} for answer in answers]
    assert told == [set(), set(), *[{NO_VOICE}] * (len(clips) - 2)], "of silence nothing is told"


def test_the_idle_tail_of_a_turn_has_no_words(transcriber: Transcriber) -> None:
    sentence = read(ROOT / "sample_data" / "standup.m4a").crop(SENTENCE)
    room = 2e-3 * np.random.default_rng(0).standard_normal(4 * RATE, np.float32)
    clip = Audio(np.concatenate([sentence.samples, room]).astype(np.float32), RATE, SENTENCE.start)
    (answer,) = transcriber.transcribe([clip], ignore_events)
    assert answer.words
    assert all(word.start < SENTENCE.end + 0.1 for word in answer.words)
