"""The transcriber `whisper`: OpenAI's Whisper on packed windows of all speakers in batches, with word times.

A. Radford et al., "Robust speech recognition via large-scale weak supervision", ICML 2023; model, tokens and rules of
decoding are those of the reference package `openai-whisper`. One speaker's clips are packed into windows (`windows`),
windows of all speakers decoded in batches (`whisper_windows`), in the languages that are spoken (`whisper_languages`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
import torch
import whisper
from torch import Tensor
from whisper.tokenizer import get_tokenizer

from meetsplit.pipeline.data import Audio, ClipTranscript, DroppedText, Word
from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.events import EventListener, Notice
from meetsplit.pipeline.settings import Settings
from meetsplit.pipeline.transcribers.hallucinations import (
    MIN_CLIP_SECONDS,
    REPETITION,
    RawWord,
    guard_words,
    span_inside,
    trim_silence,
    without_voice,
)
from meetsplit.pipeline.transcribers.languages import SpokenLanguage
from meetsplit.pipeline.transcribers.pauses import without_leading_pauses
from meetsplit.pipeline.transcribers.voicing import VoiceEvidence
from meetsplit.pipeline.transcribers.whisper_decoding import is_out_of_memory
from meetsplit.pipeline.transcribers.whisper_languages import RATE, LanguageDetector
from meetsplit.pipeline.transcribers.whisper_model import load_model, no_warnings
from meetsplit.pipeline.transcribers.whisper_windows import WindowDecoder, WindowJob, WindowText
from meetsplit.pipeline.transcribers.windows import LONGEST, ClipAnswers, Piece, PieceWords, Window, pack

_Result = TypeVar("_Result")

POOLED_BATCHES = 4
"""Batches of windows that are collected before they are sorted by length and decoded."""

WORDS_PER_SECOND = (0.5, 6.0)
"""Fewest and most words per second of a clip in a packed window; with others, the clip is decoded by itself."""

MIN_REST, MIN_STEP = 0.5, 0.5
"""Seconds of sound after the last word for which a window is decoded again from there, and by which it moves on."""


def packed_seconds(settings: Settings, weights: Path) -> float:
    """Most seconds of a packed window for the model at ``weights``; 0: each clip has a window of its own.

    Where the settings do not say, 28 for a model that was named: the public ones are trained on full windows of 30 s,
    and the transcribers that pack them lose no words by it (Bain et al., "WhisperX", Interspeech 2023). A file or
    folder of the user's own may have been tuned on single utterances, as our miniature was, which loses words in
    packed windows (docs/benchmarks.md): there, 0.
    """
    if settings.pack_seconds is not None:
        return settings.pack_seconds
    is_own_file = settings.model is not None and Path(settings.model).expanduser() == weights
    return 0.0 if is_own_file else LONGEST


class WhisperTranscriber:
    """A `BatchTranscriber` over a Whisper checkpoint in OpenAI's format.

    Decodes windows with Whisper's own fallbacks, not conditioned on earlier ones; where the settings ask for that, or
    to skip silence around hallucinations, `whisper.transcribe` decodes clip by clip. With ``pack_seconds`` (see
    `packed_seconds`) above 0, a window holds consecutive clips of one speaker up to that length; otherwise each
    clip has its own, and its words depend on that clip, its language and the settings only. A packed window without a
    believable text is decoded again clip by clip, so is a clip in it without a believable number of words. On Apple's
    ``mps`` it runs on the CPU: word alignment needs float64, which that device does not have. On a GPU it converts the
    weights of ``model`` to half precision.
    """

    rate = RATE
    decoder_type: ClassVar[type[WindowDecoder]] = WindowDecoder

    def __init__(self, model: Any, settings: Settings, *, pack_seconds: float | None = None) -> None:
        self._model, self._settings = model, settings
        self.languages = LanguageDetector(model, settings.language)
        if settings.task == "translate" and not model.is_multilingual:
            raise SettingsError(
                "--task translate needs a multilingual model, this one knows English only: drop the .en from --model"
            )
        self.pack_seconds = (settings.pack_seconds or 0.0) if pack_seconds is None else pack_seconds
        self.decoder = self.decoder_type(model, settings)
        fitting = self.decoder.fitting_batch()
        self.batch_size = fitting if settings.batch_size is None else min(settings.batch_size, fitting)

    @classmethod
    def load(cls, settings: Settings, weights: Mapping[str, Path], device: str) -> Self:
        """From ``weights["model"]``, a .pt file as OpenAI publishes them, or a folder in Hugging Face's format."""
        model = load_model(weights["model"], "cpu" if device == "mps" else device)
        return cls(model, settings, pack_seconds=packed_seconds(settings, weights["model"]))

    def transcribe(self, clips: Iterable[Audio], on_event: EventListener) -> Iterator[ClipTranscript]:
        """One answer per clip of one person's stream, in order; see `transcribe_streams`."""
        return self.transcribe_streams([clips], on_event)

    def transcribe_streams(
        self, streams: Sequence[Iterable[Audio]], on_event: EventListener
    ) -> Iterator[ClipTranscript]:
        """One answer per clip, stream by stream; reads ahead by `POOLED_BATCHES` batches of windows.

        A stream's language is the given one, or it begins with the one most probable over the first `LANGUAGE_SECONDS`
        of its clips together and changes with the windows that are surely in another (`languages`); None where they are
        all silent. Translations are English.
        """
        for text in self._notices():
            on_event(Notice(text, "transcribe"))
        if (notice := self._prompt_notice()) is not None:
            on_event(Notice(notice, "transcribe"))
        if self._settings.condition_on_previous_text or self._settings.hallucination_silence_threshold is not None:
            for clips in streams:
                yield from self._one_after_another(clips)
            return
        answers = ClipAnswers()
        waiting: list[WindowJob] = []
        for clips in streams:
            for job in self._jobs(clips, answers):
                waiting.append(job)
                if len(waiting) >= POOLED_BATCHES * self.batch_size:
                    self._work_off(waiting, answers)
                    yield from answers.ready()
        self._work_off(waiting, answers)
        yield from answers.ready()

    def _notices(self) -> Iterator[str]:
        """What is done otherwise than the settings say, in a sentence each."""
        asked = self._settings.compute_type
        if asked not in ("default", "float32") and not (self.decoder.half and asked == "float16"):
            precision = "float16" if self.decoder.half else "float32"
            yield f"--compute-type {asked}: on {self._model.device.type} Whisper computes in {precision}"

    def _prompt_notice(self) -> str | None:
        """That a prompt is too long to be read whole; None where there is none, or it is not."""
        prompt: str | None = self.decoder.options["initial_prompt"]
        if prompt is None:
            return None
        most = self._model.dims.n_text_ctx // 2 - 1
        tokens = get_tokenizer(self._model.is_multilingual).encode(" " + prompt.strip())
        if len(tokens) <= most:
            return None
        option = "--initial-prompt" if self._settings.hotwords is None else "--hotwords"
        return (
            f"{option}: Whisper reads {most} tokens of a prompt, this one has {len(tokens)}: "
            f"of its words, the first {len(tokens) - most} tokens are not used; make the list shorter"
        )

    def _jobs(self, clips: Iterable[Audio], answers: ClipAnswers) -> Iterator[WindowJob]:
        """The windows of one stream."""
        language, queue = self.languages.of_stream(clips)

        def pieces() -> Iterator[Piece]:
            for clip in queue:
                sound = trim_silence(clip)
                has_speech = language is not None and sound.duration >= MIN_CLIP_SECONDS
                yield from answers.open(sound, self._written(language), has_speech=has_speech)

        spoken = SpokenLanguage(language) if self.languages.fixed is None and language is not None else None
        for window in pack(pieces(), longest=self.pack_seconds):
            yield WindowJob(window, language or "en", spoken)

    def _written(self, language: str | None) -> str | None:
        """The language of the transcript where that one is spoken."""
        return "en" if self._settings.task == "translate" and language is not None else language

    def _one_after_another(self, clips: Iterable[Audio]) -> Iterator[ClipTranscript]:
        """One answer per clip of one stream by `whisper.transcribe`, for options that make windows depend on others."""
        language, queue = self.languages.of_stream(clips)
        for clip in queue:
            sound = trim_silence(clip)
            words: tuple[Word, ...] = ()
            dropped: tuple[DroppedText, ...] = ()
            if language is not None and sound.duration >= MIN_CLIP_SECONDS:
                has_voice = VoiceEvidence(sound).anywhere
                words, dropped = self._words(sound, language) if has_voice else ((), without_voice(sound))
            yield ClipTranscript(words, self._written(language), dropped)

    def _words(self, clip: Audio, language: str) -> tuple[tuple[Word, ...], tuple[DroppedText, ...]]:
        """The words of one clip that can be true, and what was dropped."""
        with self._seeded(), no_warnings():
            result = whisper.transcribe(
                self._model,
                np.array(clip.samples),
                language=language,
                task=self._settings.task,
                word_timestamps=True,
                verbose=None,
                **self.decoder.options,
            )
        repetitive = self._settings.compression_ratio_threshold or math.inf
        raw_words = [
            RawWord(float(word["start"]), float(word["end"]), word["word"], float(word["probability"]))
            for segment in result["segments"]
            if segment["compression_ratio"] <= repetitive
            for word in segment["words"]
        ]
        words, dropped = guard_words(without_leading_pauses(raw_words, clip), clip)
        loops = [
            DroppedText(span_inside(clip, segment["start"], segment["end"]), REPETITION, segment["text"].strip())
            for segment in result["segments"]
            if segment["compression_ratio"] > repetitive
        ]
        return words, tuple(sorted((*loops, *dropped)))

    def _work_off(self, waiting: list[WindowJob], answers: ClipAnswers) -> None:
        """Decode all that waits, the longest windows first, and what has to be decoded again; empties the list."""
        self._find_languages(waiting, answers)
        while waiting:
            waiting.sort(key=lambda job: -job.window.duration)
            batch = waiting[: self.batch_size]
            texts = self._or_halve(self.decoder.decode, batch)
            if texts is not None:
                del waiting[: len(batch)]
                for job, text in zip(batch, texts, strict=True):
                    waiting += _settle(job, text, answers)

    def _find_languages(self, waiting: list[WindowJob], answers: ClipAnswers) -> None:
        """Find the language of each window whose speaker may change it, in the order in which they came, in place.

        What is encoded for that is kept until it is decoded, so that no window is encoded twice.
        """
        numbers = [number for number, job in enumerate(waiting) if job.spoken is not None]
        while numbers:
            batch = numbers[: self.batch_size]
            encoded = self._or_halve(self._encode_with_languages, [waiting[number] for number in batch])
            if encoded is None:
                continue
            del numbers[: len(batch)]
            for number, (features, probabilities) in zip(batch, encoded, strict=True):
                waiting[number] = job = _with_language(waiting[number], features, probabilities)
                answers.set_language(job.window.pieces, self._written(job.language))

    def _encode_with_languages(self, jobs: Sequence[WindowJob]) -> list[tuple[Tensor, Mapping[str, float]]]:
        """The encoder's output for each window, and the probability of each language in it."""
        features = self.decoder.encode(jobs)
        return list(zip(features.unbind(0), self.languages.of_windows(features), strict=True))

    def _or_halve(
        self, work: Callable[[Sequence[WindowJob]], list[_Result]], jobs: Sequence[WindowJob]
    ) -> list[_Result] | None:
        """What is done with the windows; None where memory did not suffice and the next batch is half as large."""
        try:
            with torch.inference_mode(), no_warnings():
                return work(jobs)
        except (RuntimeError, MemoryError) as error:
            if len(jobs) == 1 or not is_out_of_memory(error):
                raise
            self.batch_size = len(jobs) // 2
        if self._model.device.type == "cuda":
            torch.cuda.empty_cache()
        return None

    @contextmanager
    def _seeded(self) -> Iterator[None]:
        """A context in which sampling starts from the seed; torch's random state outside is not changed."""
        devices = [self._model.device] if self._model.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(self._settings.seed)
            yield


def _with_language(job: WindowJob, features: Tensor, probabilities: Mapping[str, float]) -> WindowJob:
    """The window with the language that its speaker has come to with it."""
    seconds = sum(piece.audio.duration for piece in job.window.pieces)
    language = job.spoken.of_region(probabilities, seconds) if job.spoken is not None else job.language
    return WindowJob(job.window, language, features=features)


def _settle(job: WindowJob, text: WindowText, answers: ClipAnswers) -> list[WindowJob]:
    """Give the words to their clips; the windows that have to be decoded (again) because of this one."""
    window = job.window
    if text.failed:
        if len(window.pieces) > 1:
            return [WindowJob(alone, job.language) for alone in window.alone()]
        if text.dropped:
            answers.drop(window.pieces, text.reason, text.dropped)
        answers.finish(window.pieces)
        return []
    rest = None
    if text.decoded_until is not None and window.duration - text.decoded_until >= MIN_REST:
        rest = window.after(max(text.decoded_until, MIN_STEP))
    decoded = window.assign(text.words)
    done = len(window.pieces) - (len(rest.pieces) if rest is not None else 0)
    doubtful = [words.piece for words in decoded[:done] if len(window.pieces) > 1 and not _is_plausible(words)]
    certain = [words for words in decoded if words.piece not in doubtful]
    answers.add(certain)
    answers.finish(words.piece for words in decoded[:done] if words.piece not in doubtful)
    again = [Window((piece,), window.gap) for piece in doubtful] + ([] if rest is None else [rest])
    return [WindowJob(each, job.language) for each in again]


def _is_plausible(words: PieceWords) -> bool:
    """Whether somebody may say so many words in the time."""
    least, most = WORDS_PER_SECOND
    return least <= len(words.words) / words.piece.audio.duration <= most
