"""Languages that are spoken, by a Whisper model: that of a speaker's stream as a whole, and that of each window."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import whisper
from torch import Tensor
from whisper.tokenizer import LANGUAGES, TO_LANGUAGE_CODE

from meetsplit.pipeline.data import Audio, Samples
from meetsplit.pipeline.errors import SettingsError, nearest
from meetsplit.pipeline.transcribers.hallucinations import MIN_CLIP_SECONDS, trim_silence
from meetsplit.pipeline.transcribers.whisper_model import no_warnings

RATE = 16000
"""The only rate in Hz that Whisper knows."""

LANGUAGE_SECONDS = 45.0
"""Seconds of a speaker's speech for language detection: one short clip is often taken for another language."""

WINDOW = 30.0
"""Seconds that Whisper's encoder takes at once."""


class LanguageDetector:
    """Finds out which languages are spoken; ``fixed`` is the code of the only one where it is given, else None.

    Raises `SettingsError` for a ``language`` (code or English name) that the model does not know.
    """

    def __init__(self, model: Any, language: str | None) -> None:
        self._model = model
        self.fixed = _language_code(language, model)

    def of_stream(self, clips: Iterable[Audio]) -> tuple[str | None, Iterator[Audio]]:
        """The language of one stream of clips, None where all are silent, and all the clips."""
        queue = iter(clips)
        if self.fixed is not None:
            return self.fixed, queue
        read_ahead = _take_seconds(queue, LANGUAGE_SECONDS)
        with_sound = [clip for clip in read_ahead if trim_silence(clip).duration >= MIN_CLIP_SECONDS]
        return self._detect(with_sound), itertools.chain(read_ahead, queue)

    def of_windows(self, features: Tensor) -> list[dict[str, float]]:
        """Probability of each language in each window, by its code, from the encoder's output."""
        probabilities: list[dict[str, float]] = self._model.detect_language(features)[1]
        return probabilities

    def _detect(self, clips: Sequence[Audio]) -> str | None:
        """The language most probable over all clips, end to end in windows of 30 s; None without clips."""
        if not clips:
            return None
        samples = np.concatenate([clip.samples for clip in clips])[: round((LANGUAGE_SECONDS + WINDOW) * RATE)]
        size = round(WINDOW * RATE)
        pooled: dict[str, float] = {}
        for at in range(0, len(samples), size):
            window = samples[at : at + size]
            for language, probability in self._probabilities(window).items():
                pooled[language] = pooled.get(language, 0.0) + probability * len(window)
        return max(sorted(pooled), key=pooled.__getitem__)

    def _probabilities(self, window: Samples) -> dict[str, float]:
        """Probability of each language in one window, by its code."""
        mel = whisper.log_mel_spectrogram(whisper.pad_or_trim(np.array(window)), self._model.dims.n_mels)
        with no_warnings():
            detected = self._model.detect_language(mel.to(self._model.device))
        probabilities: dict[str, float] = detected[1]
        return probabilities


def _language_code(language: str | None, model: Any) -> str | None:
    """Code of a language given by code or English name; None for detection.

    Raises `SettingsError` for a language that the model does not know.
    """
    supported = list(LANGUAGES)[: model.num_languages] if model.is_multilingual else ["en"]
    if language is None:
        return None if model.is_multilingual else "en"
    code: str = TO_LANGUAGE_CODE.get(language.strip().lower(), language.strip().lower())
    if code in supported:
        return code
    if not model.is_multilingual:
        raise SettingsError(
            f"--language {language}: this model knows English only: choose a --model without .en in its name"
        )
    if code in LANGUAGES:
        raise SettingsError(f"--language {language}: this model does not know it: choose --model large-v3 or turbo")
    raise SettingsError(f"--language {language}: {nearest(language, [*supported, *TO_LANGUAGE_CODE])}")


def _take_seconds(queue: Iterator[Audio], seconds: float) -> list[Audio]:
    """The next clips, until they hold so many seconds of sound."""
    clips: list[Audio] = []
    while seconds > 0.0 and (clip := next(queue, None)) is not None:
        clips.append(clip)
        seconds -= trim_silence(clip).duration
    return clips
