"""The transcriber `whisper`: OpenAI's Whisper, clip by clip, with word times.

A. Radford et al., "Robust speech recognition via large-scale weak supervision", ICML 2023; the words' times come from
the decoder's cross-attention by dynamic time warping, as in the reference package `openai-whisper`, which runs here.
"""

from __future__ import annotations

import base64
import gzip
import itertools
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Self

import numpy as np
import torch
import whisper
from whisper.tokenizer import LANGUAGES, TO_LANGUAGE_CODE, get_tokenizer

from meetsplit.pipeline.data import Audio, ClipTranscript, Samples, Word
from meetsplit.pipeline.errors import SettingsError, StageError, nearest
from meetsplit.pipeline.events import EventListener, Notice
from meetsplit.pipeline.settings import Settings
from meetsplit.pipeline.transcribers.hallucinations import (
    MIN_CLIP_SECONDS,
    RawWord,
    filter_hallucinations,
    trim_silence,
)

RATE = 16000
"""The only rate in Hz that Whisper knows."""

LANGUAGE_SECONDS = 45.0
"""Seconds of a speaker's speech for language detection: one short clip is often taken for another language."""

WINDOW = 30.0
"""Seconds that Whisper's encoder takes at once."""

_NUMERALS = frozenset("0123456789%$£€")
"""Characters of the tokens that are not written with ``--suppress-numerals``."""


class WhisperTranscriber:
    """A `Transcriber` over a Whisper checkpoint in OpenAI's format.

    Decodes each clip alone, with Whisper's own fallbacks, never conditioned on earlier clips: the words of a clip
    depend on that clip, its language and the settings only. On Apple's ``mps`` it runs on the CPU: word alignment needs
    float64, which that device does not have.
    """

    rate = RATE

    def __init__(self, model: Any, settings: Settings) -> None:
        self._model, self._settings = model, settings
        self._task = settings.task
        self._decoding = _decoding_options(model, settings)
        self._language = _language_code(settings.language, model)
        if self._task == "translate" and not model.is_multilingual:
            raise SettingsError(
                "--task translate needs a multilingual model, this one knows English only: drop the .en from --model"
            )

    @classmethod
    def load(cls, settings: Settings, weights: Mapping[str, Path], device: str) -> Self:
        """From ``weights["model"]``, a .pt file as OpenAI publishes them.

        Official models are known by the file's name (``small.pt``), and only they have their alignment heads chosen by
        hand; others use the upper half of all heads, as in the reference.
        """
        path = weights["model"]
        try:
            with torch.random.fork_rng(devices=[]):
                model = whisper.load_model(str(path), device="cpu" if device == "mps" else device)
        except (KeyError, TypeError, RuntimeError, EOFError, OSError, ValueError, UnpicklingError) as error:
            # torch's own words would advise to load the file unsafely.
            raise StageError(
                "transcribe", f"{path} is no Whisper checkpoint in OpenAI's format: fetch it again"
            ) from error
        _set_alignment_heads(model, path.stem)
        return cls(model.eval(), settings)

    def transcribe(self, clips: Iterable[Audio], on_event: EventListener) -> Iterator[ClipTranscript]:
        """One answer per clip of one person's stream, in order. Reads ahead only until the language is known.

        The language is the given one, or the one most probable over the first `LANGUAGE_SECONDS` of all clips together;
        None where all clips are silent. Translations are English.
        """
        if self._settings.compute_type == "float16" and not self._decoding["fp16"]:
            where = f"--compute-type float16: on {self._model.device.type} Whisper computes in float32"
            on_event(Notice(where, "transcribe"))
        queue = iter(clips)
        language, read_ahead = self._language, list[Audio]()
        if language is None:
            read_ahead = _take_seconds(queue, LANGUAGE_SECONDS)
            language = self._detect_language(
                [clip for clip in read_ahead if trim_silence(clip).duration >= MIN_CLIP_SECONDS]
            )
        is_translation = self._task == "translate" and language is not None
        transcript_language = "en" if is_translation else language
        for clip in itertools.chain(read_ahead, queue):
            sound = trim_silence(clip)
            words: tuple[Word, ...] = ()
            if language is not None and sound.duration >= MIN_CLIP_SECONDS:
                words = self._words(sound, language)
            yield ClipTranscript(words, transcript_language)

    def _words(self, clip: Audio, language: str) -> tuple[Word, ...]:
        """The filtered words of one clip."""
        with self._seeded(), _no_warnings():
            result = whisper.transcribe(
                self._model,
                np.array(clip.samples),
                language=language,
                task=self._task,
                word_timestamps=True,
                verbose=None,
                **self._decoding,
            )
        repetitive = self._settings.compression_ratio_threshold or math.inf
        raw_words = [
            RawWord(float(word["start"]), float(word["end"]), word["word"], float(word["probability"]))
            for segment in result["segments"]
            if segment["compression_ratio"] <= repetitive
            for word in segment["words"]
        ]
        return filter_hallucinations(raw_words, clip)

    def _detect_language(self, clips: Sequence[Audio]) -> str | None:
        """The language most probable over all clips, end to end in windows of 30 s; None without clips."""
        if not clips:
            return None
        samples = np.concatenate([clip.samples for clip in clips])[: round((LANGUAGE_SECONDS + WINDOW) * RATE)]
        size = round(WINDOW * RATE)
        pooled: dict[str, float] = {}
        for at in range(0, len(samples), size):
            window = samples[at : at + size]
            for language, probability in self._language_probabilities(window).items():
                pooled[language] = pooled.get(language, 0.0) + probability * len(window)
        return max(sorted(pooled), key=pooled.__getitem__)

    def _language_probabilities(self, window: Samples) -> dict[str, float]:
        """Probability of each language in one window, by its code."""
        mel = whisper.log_mel_spectrogram(whisper.pad_or_trim(np.array(window)), self._model.dims.n_mels)
        with _no_warnings():
            detected = self._model.detect_language(mel.to(self._model.device))
        probabilities: dict[str, float] = detected[1]
        return probabilities

    @contextmanager
    def _seeded(self) -> Iterator[None]:
        """A context in which sampling starts from the seed; torch's random state outside is not changed."""
        devices = [self._model.device] if self._model.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(self._settings.seed)
            yield


def _decoding_options(model: Any, settings: Settings) -> dict[str, Any]:
    """The arguments of `whisper.transcribe` that the settings choose; those without a value are Whisper's own.

    Hot words are a prompt for every window, since Whisper has no other place for them.
    """
    prompts = [text.strip() for text in (settings.hotwords, settings.initial_prompt) if text and text.strip()]
    options: dict[str, Any] = {
        "initial_prompt": settings.initial_prompt if settings.hotwords is None else ". ".join(prompts) or None,
        "temperature": temperatures(settings.temperature, settings.temperature_increment_on_fallback),
        "compression_ratio_threshold": settings.compression_ratio_threshold,
        "logprob_threshold": settings.logprob_threshold,
        "no_speech_threshold": settings.no_speech_threshold,
        "condition_on_previous_text": settings.condition_on_previous_text,
        "beam_size": settings.beam_size,
        "best_of": settings.best_of,
        "suppress_tokens": _suppressed_tokens(model, settings),
        "fp16": model.device.type == "cuda" and settings.compute_type != "float32",
    }
    if settings.carry_initial_prompt or settings.hotwords is not None:
        options["carry_initial_prompt"] = True
    optional = ("patience", "length_penalty", "hallucination_silence_threshold")
    return options | {name: getattr(settings, name) for name in optional if getattr(settings, name) is not None}


def temperatures(first: float, increment: float | None) -> tuple[float, ...]:
    """The temperature of each attempt: text that repeats itself or is improbable is sampled at the next one, up to 1.

    >>> temperatures(0.0, 0.2), temperatures(0.5, None)
    ((0.0, 0.2, 0.4, 0.6, 0.8, 1.0), (0.5,))
    """
    if increment is None:
        return (first,)
    return tuple(round(first + number * increment, 6) for number in range(int((1.0 - first) / increment + 1e-6) + 1))


def _suppressed_tokens(model: Any, settings: Settings) -> str | tuple[()]:
    """Numbers of the tokens that are never written, with commas; Whisper cannot read an empty text as none."""
    if not settings.suppress_numerals:
        return settings.suppress_tokens or ()
    tokenizer = get_tokenizer(model.is_multilingual, num_languages=model.num_languages)
    numerals = [number for number in range(tokenizer.eot) if _NUMERALS & set(tokenizer.decode([number]))]
    return ",".join([settings.suppress_tokens, *map(str, numerals)]).strip(",")


def _take_seconds(queue: Iterator[Audio], seconds: float) -> list[Audio]:
    """The next clips, until they hold so many seconds of sound."""
    clips: list[Audio] = []
    while seconds > 0.0 and (clip := next(queue, None)) is not None:
        clips.append(clip)
        seconds -= trim_silence(clip).duration
    return clips


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


def _set_alignment_heads(model: Any, name: str) -> None:
    """Set the heads that the reference uses for its model of that name, unless this file only bears the name."""
    heads = whisper._ALIGNMENT_HEADS.get(name)
    if heads is None:
        return
    count = model.dims.n_text_layer * model.dims.n_text_head
    if len(gzip.decompress(base64.b85decode(heads))) == count:
        model.set_alignment_heads(heads)


@contextmanager
def _no_warnings() -> Iterator[None]:
    """A context without Whisper's warnings, on which no user could act: a slower kernel, a CPU beside a GPU, times of
    translations."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
