"""OpenAI's Whisper, clip by clip, with word times.

A. Radford et al., "Robust speech recognition via large-scale weak supervision", ICML 2023; the words' times come from
the decoder's cross-attention by dynamic time warping, as in the reference package `openai-whisper`, which runs here.
"""

from __future__ import annotations

import base64
import gzip
import itertools
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Self

import numpy as np
import torch
import whisper
from whisper.tokenizer import LANGUAGES, TO_LANGUAGE_CODE

from meetsplit.pipeline.data import Audio, ClipTranscript, Samples, Word
from meetsplit.pipeline.errors import SettingsError, StageError, nearest
from meetsplit.pipeline.events import EventListener
from meetsplit.pipeline.settings import Settings
from meetsplit.pipeline.transcribers.hallucinations import Claim, audible, trustworthy

RATE = 16000
"""The only rate in Hz that Whisper knows."""

SHORTEST = 0.1
"""Clips shorter than this, in seconds, hold no word and are not decoded."""

ENOUGH = 45.0
"""Seconds of a person's speech from which the language is told; one short clip is often taken for another language."""

WINDOW = 30.0
"""Seconds that Whisper's encoder hears at once."""

TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Decoding starts greedily; a text that repeats itself or is improbable is sampled again, ever more freely."""

REPETITIVE = 2.4
"""A text that gzip shrinks by more than this repeats itself: Whisper's own threshold."""


class WhisperTranscriber:
    """Whisper from a checkpoint in OpenAI's format. Frozen in use: what it hears in a clip depends on that clip and its language only.

    Decodes each clip alone, with Whisper's own fallbacks, never conditioned on what it heard before. On Apple's ``mps`` it
    runs on the CPU: word alignment needs float64, which that device does not have.
    """

    rate = RATE

    def __init__(self, model: Any, settings: Settings) -> None:
        self._model, self._seed = model, settings.seed
        self._task, self._prompt = settings.task, settings.initial_prompt
        self._language = _language(settings.language, model)
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

        The language is the given one, or the one most probable over the first `ENOUGH` seconds of all clips together;
        None where nothing was audible. Translations are English.
        """
        queue = iter(clips)
        language, ahead = self._language, list[Audio]()
        if language is None:
            ahead = _first(queue, ENOUGH)
            language = self._detected([clip for clip in ahead if audible(clip).duration >= SHORTEST])
        answered = "en" if self._task == "translate" and language is not None else language
        for clip in itertools.chain(ahead, queue):
            sound = audible(clip)
            heard = language is not None and sound.duration >= SHORTEST
            yield ClipTranscript(self._words(sound, language) if heard else (), answered)

    def _words(self, clip: Audio, language: str | None) -> tuple[Word, ...]:
        with self._repeatable(), _quiet():
            result = whisper.transcribe(
                self._model,
                np.array(clip.samples),
                language=language,
                task=self._task,
                initial_prompt=self._prompt,
                temperature=TEMPERATURES,
                compression_ratio_threshold=REPETITIVE,
                condition_on_previous_text=False,
                word_timestamps=True,
                beam_size=5,
                best_of=5,
                fp16=self._model.device.type == "cuda",
                verbose=None,
            )
        kept = [segment for segment in result["segments"] if segment["compression_ratio"] <= REPETITIVE]
        words = (word for segment in kept for word in segment["words"])
        return trustworthy(
            (Claim(float(w["start"]), float(w["end"]), w["word"], float(w["probability"])) for w in words), clip
        )

    def _detected(self, clips: Sequence[Audio]) -> str | None:
        """The language most probable over all clips, laid one after another and heard in windows of 30 s."""
        if not clips:
            return None
        sound = np.concatenate([clip.samples for clip in clips])[: round((ENOUGH + WINDOW) * RATE)]
        pooled: dict[str, float] = {}
        for at in range(0, len(sound), round(WINDOW * RATE)):
            window = sound[at : at + round(WINDOW * RATE)]
            for language, probability in self._probabilities(window).items():
                pooled[language] = pooled.get(language, 0.0) + probability * len(window)
        return max(sorted(pooled), key=pooled.__getitem__)

    def _probabilities(self, window: Samples) -> dict[str, float]:
        mel = whisper.log_mel_spectrogram(whisper.pad_or_trim(np.array(window)), self._model.dims.n_mels)
        with _quiet():
            _, probabilities = self._model.detect_language(mel.to(self._model.device))
        found: dict[str, float] = probabilities
        return found

    @contextmanager
    def _repeatable(self) -> Iterator[None]:
        """Sampling from the seed inside, everybody else's random numbers untouched outside."""
        devices = [self._model.device] if self._model.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(self._seed)
            yield


def _first(queue: Iterator[Audio], seconds: float) -> list[Audio]:
    taken: list[Audio] = []
    while seconds > 0.0 and (clip := next(queue, None)) is not None:
        taken.append(clip)
        seconds -= audible(clip).duration
    return taken


def _language(asked: str | None, model: Any) -> str | None:
    """The code of the language asked for by code or English name, if the model knows it; None to find out."""
    known = list(LANGUAGES)[: model.num_languages] if model.is_multilingual else ["en"]
    if asked is None:
        return None if model.is_multilingual else "en"
    code: str = TO_LANGUAGE_CODE.get(asked.strip().lower(), asked.strip().lower())
    if code in known:
        return code
    if not model.is_multilingual:
        raise SettingsError(
            f"--language {asked}: this model knows English only: choose a --model without .en in its name"
        )
    if code in LANGUAGES:
        raise SettingsError(f"--language {asked}: this model does not know it: choose --model large-v3 or turbo")
    raise SettingsError(f"--language {asked}: {nearest(asked, [*known, *(name for name in TO_LANGUAGE_CODE)])}")


def _set_alignment_heads(model: Any, name: str) -> None:
    """Those that the reference uses for its model of that name, unless this file only bears the name."""
    heads = whisper._ALIGNMENT_HEADS.get(name)
    if (
        heads is not None
        and len(gzip.decompress(base64.b85decode(heads))) == model.dims.n_text_layer * model.dims.n_text_head
    ):
        model.set_alignment_heads(heads)


@contextmanager
def _quiet() -> Iterator[None]:
    """Whisper warns about a slower kernel, a CPU beside a GPU, or times of translations: nothing that a user could act on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
