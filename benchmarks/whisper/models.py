"""The Whispers that are measured: the trained miniature, and random weights that write a fixed number of tokens."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import whisper
from torch import Tensor
from whisper.decoding import DecodingOptions, DecodingTask
from whisper.model import ModelDimensions, Whisper

from meetsplit.pipeline.transcribers.faster_whisper import CTranslate2WindowDecoder, FasterWhisperTranscriber
from meetsplit.pipeline.transcribers.hallucinations import RawWord
from meetsplit.pipeline.transcribers.whisper import WhisperTranscriber
from meetsplit.pipeline.transcribers.whisper_windows import DecodedText, WindowDecoder, WindowJob, WindowText

DIMENSIONS = {
    "base": ModelDimensions(80, 1500, 512, 8, 6, 51865, 448, 512, 8, 6),
    "large-v3-turbo": ModelDimensions(128, 1500, 1280, 20, 32, 51866, 448, 1280, 20, 4),
    "large-v3": ModelDimensions(128, 1500, 1280, 20, 32, 51866, 448, 1280, 20, 32),
}
"""The shapes of OpenAI's models."""

TOKENS_PER_SECOND = 4.0
"""Text tokens per second of speech: English has about three words a second, of 1.3 tokens each."""

TEST_MODEL = Path(__file__).parents[2] / "tests" / "models" / "mini-whisper.safetensors"


def random_model(name: str, device: str) -> Any:
    """A Whisper with random weights in the shape of OpenAI's model of that name, and its alignment heads."""
    with torch.device(device), torch.random.fork_rng(devices=[device] if device == "cuda" else []):
        torch.manual_seed(0)
        model = Whisper(DIMENSIONS[name])
        with torch.no_grad():
            model.decoder.positional_embedding.normal_(std=0.02)
    model.set_alignment_heads(whisper._ALIGNMENT_HEADS[name])
    return model.eval()


def trained_model(device: str) -> Any:
    """The miniature Whisper through openai-whisper's own loader."""
    from meetsplit.training.mini_whisper.model import to_openai_checkpoint

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mini.pt"
        torch.save(to_openai_checkpoint(TEST_MODEL), path)
        return whisper.load_model(str(path), device=device).eval()


def token_count(seconds: float) -> int:
    """The fixed number of tokens for so much speech."""
    return max(1, round(TOKENS_PER_SECOND * seconds))


def _two_words_a_second(seconds: float) -> tuple[RawWord, ...]:
    """Words in place of random ones, which would often be too many or too few for a clip."""
    return tuple(RawWord(start, start + 0.4, "word", 0.5) for start in np.arange(0.05, seconds, 0.5).tolist())


class _FixedTokens(WindowDecoder):
    """A decoder as it is, but every window of a batch gets the tokens of the longest one, and no timestamps."""

    def decoding_task(self, language: str) -> DecodingTask:
        if language not in self._tasks:
            suppressed = [-1, whisper.tokenizer.get_tokenizer(True).eot]
            options = DecodingOptions(language=language, without_timestamps=True, suppress_tokens=suppressed)
            self._tasks[language] = DecodingTask(self._model, options)
        return self._tasks[language]

    def decode(self, jobs: Sequence[WindowJob]) -> list[WindowText]:
        speech = (sum(piece.audio.duration for piece in job.window.pieces) for job in jobs)
        self.decoding_task("en").sample_len = token_count(max(speech))
        return [
            replace(text, words=_two_words_a_second(job.window.duration), decoded_until=None, failed=False)
            for job, text in zip(jobs, super().decode(jobs), strict=True)
        ]

    def _with_fallback(self, features: Tensor, jobs: Sequence[WindowJob]) -> list[DecodedText]:
        texts = self._search(features, [job.language for job in jobs], 0.0)
        return [
            replace(text, log_probability=0.0, no_speech=0.0, compression_ratio=1.0, out_of_pace=False)
            for text in texts
        ]


class _FixedTokensOfCTranslate2(_FixedTokens, CTranslate2WindowDecoder):
    """The same for CTranslate2's engine."""


class FixedTokenTranscriber(WhisperTranscriber):
    """The transcriber `whisper` with a fixed number of tokens."""

    decoder_type = _FixedTokens


class FixedTokenFasterWhisper(FasterWhisperTranscriber):
    """The transcriber `faster-whisper` with a fixed number of tokens."""

    decoder_type = _FixedTokensOfCTranslate2
