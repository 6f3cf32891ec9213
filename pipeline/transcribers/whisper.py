"""The transcriber `whisper`: OpenAI's Whisper on packed windows of all speakers in batches, with word times.

A. Radford et al., "Robust speech recognition via large-scale weak supervision", ICML 2023; model, tokens and rules of
decoding are those of the reference package `openai-whisper`. One speaker's clips are packed into windows (`windows`),
windows of all speakers decoded in batches (`whisper_decoding`), words timed by cross-attention (`whisper_alignment`).
"""

from __future__ import annotations

import base64
import gzip
import itertools
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Self, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
import whisper
from torch import Tensor
from whisper.decoding import DecodingOptions, DecodingTask
from whisper.tokenizer import LANGUAGES, TO_LANGUAGE_CODE, get_tokenizer
from whisper.utils import compression_ratio

from meetsplit.pipeline.data import Audio, ClipTranscript, DroppedText, Samples, Word
from meetsplit.pipeline.errors import SettingsError, StageError, nearest
from meetsplit.pipeline.events import EventListener, Notice
from meetsplit.pipeline.settings import Settings
from meetsplit.pipeline.transcribers import whisper_decoding as decoding
from meetsplit.pipeline.transcribers.hallucinations import (
    IMPROBABLE,
    MIN_CLIP_SECONDS,
    NO_SPEECH,
    PACE,
    REPETITION,
    RawWord,
    guard_words,
    is_out_of_pace,
    span_inside,
    trim_silence,
    without_voice,
)
from meetsplit.pipeline.transcribers.languages import SpokenLanguage
from meetsplit.pipeline.transcribers.voicing import VoiceEvidence
from meetsplit.pipeline.transcribers.whisper_alignment import TokenizedText, word_times
from meetsplit.pipeline.transcribers.whisper_huggingface import load_folder
from meetsplit.pipeline.transcribers.windows import ClipAnswers, Piece, PieceWords, Window, pack

RATE = 16000
"""The only rate in Hz that Whisper knows."""

LANGUAGE_SECONDS = 45.0
"""Seconds of a speaker's speech for language detection: one short clip is often taken for another language."""

WINDOW = 30.0
"""Seconds that Whisper's encoder takes at once."""

FRAME_SAMPLES, WINDOW_FRAMES = 160, 3000
"""Samples per frame of the spectrogram, frames of Whisper's window."""

TIMESTAMPS_PER_SECOND = 50

_Result = TypeVar("_Result")

_NUMERALS = frozenset("0123456789%$£€")
"""Characters of the tokens that are not written with ``--suppress-numerals``."""

PACK_SECONDS = 0.0
"""Seconds up to which consecutive clips of a speaker share a window; with 0, every clip has its own.

Packing saves windows. But the one trained model that could be measured loses words in packed ones, and batches alone
gain most of the speed (docs/benchmarks.md).
"""

POOLED_BATCHES = 4
"""Batches of windows that are collected before they are sorted by length and decoded."""

WORDS_PER_SECOND = (0.5, 6.0)
"""Fewest and most words per second of a clip in a packed window; with others, the clip is decoded by itself."""

INVENTED_BELOW = 1.0
"""How far below the threshold of another attempt the mean log probability of the last one's text is when it is taken
for invented. In between, Whisper keeps it, and so do we: what is hard to hear may well have been said."""

MIN_REST, MIN_STEP = 0.5, 0.5
"""Seconds of sound after the last word for which a window is decoded again from there, and by which it moves on."""


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """A window to decode, with the language of its speaker.

    ``spoken`` where that one may change with this window, which is not yet known; ``features`` is the encoder's output,
    where there is one already, shape (frames, channels).
    """

    window: Window
    language: str
    spoken: SpokenLanguage | None = None
    features: Tensor | None = None


@dataclass(frozen=True, slots=True)
class _DecodedText:
    """The tokens of a window and how good they are; see `whisper.DecodingResult`."""

    tokens: tuple[int, ...]
    log_probability: float
    no_speech: float
    compression_ratio: float
    text: str = ""
    out_of_pace: bool = False


@dataclass(frozen=True, slots=True)
class _Decoding:
    """How windows are decoded, and when a text is taken; a threshold of None is not looked at."""

    temperatures: tuple[float, ...]
    beams: int
    patience: float
    samples: int
    length_penalty: float | None
    suppress_tokens: str | tuple[()]
    compression_ratio: float | None
    log_probability: float | None
    no_speech: float | None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """From the arguments of `whisper.transcribe`."""
        return cls(
            temperatures=options["temperature"],
            beams=options["beam_size"] or 1,
            patience=options.get("patience") or 1.0,
            samples=options["best_of"] or 1,
            length_penalty=options.get("length_penalty"),
            suppress_tokens=options["suppress_tokens"],
            compression_ratio=options["compression_ratio_threshold"],
            log_probability=options["logprob_threshold"],
            no_speech=options["no_speech_threshold"],
        )

    def is_repetitive(self, text: _DecodedText) -> bool:
        """Whether it is a loop of the decoder."""
        return self.compression_ratio is not None and text.compression_ratio > self.compression_ratio

    def is_silence(self, text: _DecodedText) -> bool:
        """Whether the window has no speech."""
        is_probable = self.log_probability is not None and text.log_probability > self.log_probability
        return self.no_speech is not None and text.no_speech > self.no_speech and not is_probable

    def needs_fallback(self, text: _DecodedText) -> bool:
        """Whether the window has to be decoded at a higher temperature."""
        is_improbable = self.log_probability is not None and text.log_probability < self.log_probability
        if is_improbable and self.is_silence(text):
            return False
        return is_improbable or self.is_repetitive(text) or text.out_of_pace

    def reason(self, text: _DecodedText) -> str | None:
        """Why the text of the last attempt is not taken; None where it is."""
        if self.is_repetitive(text):
            return REPETITION
        if self.is_silence(text):
            return NO_SPEECH
        if self.log_probability is not None and text.log_probability < self.log_probability - INVENTED_BELOW:
            return IMPROBABLE
        return PACE if text.out_of_pace else None


@dataclass(frozen=True, slots=True)
class _WindowText:
    """The words of a window, up to ``decoded_until`` seconds where it has to be decoded again from there.

    None of them where it ``failed``: where nothing was said or the text cannot be true; then ``reason`` says which, and
    ``dropped`` is the text.
    """

    words: tuple[RawWord, ...]
    decoded_until: float | None
    failed: bool
    reason: str = NO_SPEECH
    dropped: str = ""


class WhisperTranscriber:
    """A `BatchTranscriber` over a Whisper checkpoint in OpenAI's format.

    Decodes windows with Whisper's own fallbacks, not conditioned on earlier ones; where the settings ask for that, or
    to skip silence around hallucinations, `whisper.transcribe` decodes clip by clip. With ``pack_seconds`` above 0, a
    window holds consecutive clips of one speaker up to that length; otherwise each clip has its own, and its words
    depend on that clip, its language and the settings only. A packed window without a believable text is decoded again
    clip by clip, so is a clip in it without a believable number of words. On Apple's ``mps`` it runs on the CPU: word
    alignment needs float64, which that device does not have. On a GPU it converts the weights of ``model`` to half
    precision.
    """

    rate = RATE

    def __init__(self, model: Any, settings: Settings, *, pack_seconds: float = PACK_SECONDS) -> None:
        self._model, self._settings = model, settings
        self._task = settings.task
        self._options = _decoding_options(model, settings)
        self._decoding = _Decoding.of(self._options)
        self._language = _language_code(settings.language, model)
        if self._task == "translate" and not model.is_multilingual:
            raise SettingsError(
                "--task translate needs a multilingual model, this one knows English only: drop the .en from --model"
            )
        self._pack_seconds = pack_seconds
        self._half: bool = self._options["fp16"] and isinstance(model, torch.nn.Module)
        if self._half:
            decoding.to_half(model)
        self._tasks: dict[str, DecodingTask] = {}
        group = max(self._decoding.beams, self._decoding.samples)
        fitting = decoding.batch_size(model, group=group, half=self._half)
        self.batch_size = fitting if settings.batch_size is None else min(settings.batch_size, fitting)

    @classmethod
    def load(cls, settings: Settings, weights: Mapping[str, Path], device: str) -> Self:
        """From ``weights["model"]``, a .pt file as OpenAI publishes them, or a folder in Hugging Face's format.

        Official models are known by the file's name (``small.pt``), and only they have their alignment heads chosen by
        hand; others use the upper half of all heads, as in the reference.
        """
        path = weights["model"]
        if path.is_dir():
            return cls(load_folder(path, "cpu" if device == "mps" else device).eval(), settings)
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
        waiting: list[_Job] = []
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
        if asked not in ("default", "float32") and not (self._half and asked == "float16"):
            precision = "float16" if self._half else "float32"
            yield f"--compute-type {asked}: on {self._model.device.type} Whisper computes in {precision}"

    def _prompt_notice(self) -> str | None:
        """That a prompt is too long to be read whole; None where there is none, or it is not."""
        prompt: str | None = self._options["initial_prompt"]
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

    def _jobs(self, clips: Iterable[Audio], answers: ClipAnswers) -> Iterator[_Job]:
        """The windows of one stream."""
        language, queue = self._with_language(clips)

        def pieces() -> Iterator[Piece]:
            for clip in queue:
                sound = trim_silence(clip)
                has_speech = language is not None and sound.duration >= MIN_CLIP_SECONDS
                yield from answers.open(sound, self._written(language), has_speech=has_speech)

        spoken = SpokenLanguage(language) if self._language is None and language is not None else None
        for window in pack(pieces(), longest=self._pack_seconds):
            yield _Job(window, language or "en", spoken)

    def _with_language(self, clips: Iterable[Audio]) -> tuple[str | None, Iterator[Audio]]:
        """The language of one stream, and all its clips."""
        queue = iter(clips)
        if self._language is not None:
            return self._language, queue
        read_ahead = _take_seconds(queue, LANGUAGE_SECONDS)
        with_sound = [clip for clip in read_ahead if trim_silence(clip).duration >= MIN_CLIP_SECONDS]
        return self._detect_language(with_sound), itertools.chain(read_ahead, queue)

    def _written(self, language: str | None) -> str | None:
        """The language of the transcript where that one is spoken."""
        return "en" if self._task == "translate" and language is not None else language

    def _one_after_another(self, clips: Iterable[Audio]) -> Iterator[ClipTranscript]:
        """One answer per clip of one stream by `whisper.transcribe`, for options that make windows depend on others."""
        language, queue = self._with_language(clips)
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
        with self._seeded(), _no_warnings():
            result = whisper.transcribe(
                self._model,
                np.array(clip.samples),
                language=language,
                task=self._task,
                word_timestamps=True,
                verbose=None,
                **self._options,
            )
        repetitive = self._settings.compression_ratio_threshold or math.inf
        raw_words = [
            RawWord(float(word["start"]), float(word["end"]), word["word"], float(word["probability"]))
            for segment in result["segments"]
            if segment["compression_ratio"] <= repetitive
            for word in segment["words"]
        ]
        words, dropped = guard_words(raw_words, clip)
        loops = [
            DroppedText(span_inside(clip, segment["start"], segment["end"]), REPETITION, segment["text"].strip())
            for segment in result["segments"]
            if segment["compression_ratio"] > repetitive
        ]
        return words, tuple(sorted((*loops, *dropped)))

    def _work_off(self, waiting: list[_Job], answers: ClipAnswers) -> None:
        """Decode all that waits, the longest windows first, and what has to be decoded again; empties the list."""
        self._find_languages(waiting, answers)
        while waiting:
            waiting.sort(key=lambda job: -job.window.duration)
            batch = waiting[: self.batch_size]
            texts = self._or_halve(self._decode, batch)
            if texts is not None:
                del waiting[: len(batch)]
                for job, text in zip(batch, texts, strict=True):
                    waiting += _settle(job, text, answers)

    def _find_languages(self, waiting: list[_Job], answers: ClipAnswers) -> None:
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

    def _encode_with_languages(self, jobs: Sequence[_Job]) -> list[tuple[Tensor, Mapping[str, float]]]:
        """The encoder's output for each window, and the probability of each language in it."""
        features = self._encode(jobs)
        return list(zip(features.unbind(0), self._languages_of(features), strict=True))

    def _languages_of(self, features: Tensor) -> list[dict[str, float]]:
        """Probability of each language in each window, by its code, from the encoder's output."""
        probabilities: list[dict[str, float]] = self._model.detect_language(features)[1]
        return probabilities

    def _encode(self, jobs: Sequence[_Job]) -> Tensor:
        """The encoder's output for windows, shape (windows, frames, channels)."""
        new = [job for job in jobs if job.features is None]
        encoded: Iterator[Tensor] = iter(())
        if new:
            spectrograms = torch.stack([self._spectrogram(job.window.samples()) for job in new])
            encoded = iter(self._model.encoder(spectrograms).unbind(0))
        return torch.stack([next(encoded) if job.features is None else job.features for job in jobs])

    def _or_halve(self, work: Callable[[Sequence[_Job]], list[_Result]], jobs: Sequence[_Job]) -> list[_Result] | None:
        """What is done with the windows; None where memory did not suffice and the next batch is half as large."""
        try:
            with torch.inference_mode(), _no_warnings():
                return work(jobs)
        except (RuntimeError, MemoryError) as error:
            if len(jobs) == 1 or not decoding.is_out_of_memory(error):
                raise
            self.batch_size = len(jobs) // 2
        if self._model.device.type == "cuda":
            torch.cuda.empty_cache()
        return None

    def _decode(self, jobs: Sequence[_Job]) -> list[_WindowText]:
        """The texts of windows, decoded as one batch."""
        features = self._encode(jobs)
        decoded = self._with_fallback(features, jobs)
        reasons = [self._decoding.reason(text) for text in decoded]
        tokenizers = [self._decoding_task(job.language).tokenizer for job in jobs]
        parts = [
            ((), None) if reason is not None else _finished(text.tokens, tokenizer)
            for text, tokenizer, reason in zip(decoded, tokenizers, reasons, strict=True)
        ]
        texts = [
            TokenizedText(tokens, tokenizer, job.window.duration)
            for (tokens, _), tokenizer, job in zip(parts, tokenizers, jobs, strict=True)
        ]
        timed = self._word_times(features, texts)
        return [
            _WindowText(words, _until(words, ending), failed=False)
            if reason is None
            else _WindowText((), None, failed=True, reason=reason, dropped=text.text)
            for words, (_, ending), reason, text in zip(timed, parts, reasons, decoded, strict=True)
        ]

    def _spectrogram(self, samples: Samples) -> Tensor:
        """The log-mel spectrogram of a window as `whisper.transcribe` computes it, zeros after the end of the sound."""
        dtype = torch.float16 if self._half else torch.float32
        sound = torch.from_numpy(samples)
        mel = whisper.log_mel_spectrogram(
            sound, self._model.dims.n_mels, padding=whisper.audio.N_FFT, device=self._model.device
        )
        mel = mel[:, : min(len(samples) // FRAME_SAMPLES, WINDOW_FRAMES)]
        return F.pad(mel, (0, WINDOW_FRAMES - mel.shape[1])).to(dtype)

    def _with_fallback(self, features: Tensor, jobs: Sequence[_Job]) -> list[_DecodedText]:
        """The text of each window, of the first temperature at which it is good, or of the last."""
        texts: dict[int, _DecodedText] = {}
        numbers = list(range(len(jobs)))
        for temperature in self._decoding.temperatures:
            index = torch.tensor(numbers, device=features.device)
            found = self._search(features.index_select(0, index), [jobs[n].language for n in numbers], temperature)
            texts |= {n: self._with_text(text, jobs[n]) for n, text in zip(numbers, found, strict=True)}
            numbers = [number for number in numbers if self._decoding.needs_fallback(texts[number])]
            if not numbers:
                break
        return [texts[number] for number in range(len(jobs))]

    def _with_text(self, text: _DecodedText, job: _Job) -> _DecodedText:
        """The same with its tokens as text, and whether anybody says so much, or so little, in the window."""
        written = self._decoding_task(job.language).tokenizer.decode(list(text.tokens)).strip()
        return replace(text, text=written, out_of_pace=is_out_of_pace(written, job.window.samples(), RATE))

    def _search(self, features: Tensor, languages: Sequence[str], temperature: float) -> list[_DecodedText]:
        """The text of each window at one temperature."""
        tasks = [self._decoding_task(language) for language in languages]
        task, tokenizer = tasks[0], tasks[0].tokenizer
        prompts = torch.tensor([task.initial_tokens for task in tasks], device=features.device)
        rules = decoding.TokenRules(task, self._model.dims.n_vocab, features.device)
        decoder = decoding.CachedDecoder(self._model, features)
        outputs = decoder.start(prompts)
        at_start = decoder.logits(outputs[:, task.sot_index]).softmax(dim=-1)
        no_speech = at_start[:, tokenizer.no_speech].tolist()
        first_logits = decoder.logits(outputs[:, -1])
        most_tokens = min(task.sample_len, task.n_ctx + 1 - len(task.initial_tokens))
        how = self._decoding
        limits = decoding.SearchLimits(most_tokens, how.length_penalty)
        if temperature == 0.0:
            most = round(how.beams * how.patience)
            found = decoding.beam_search(decoder, first_logits, rules, limits, beams=how.beams, most=most)
        else:
            sampling = decoding.Sampling(temperature, how.samples, self._settings.seed)
            found = decoding.sample(decoder, first_logits, rules, limits, sampling)
        return [
            _DecodedText(
                candidate.tokens,
                candidate.log_probability / (len(candidate.tokens) + 1),
                silence,
                compression_ratio(task.tokenizer.decode(list(candidate.tokens)).strip()),
            )
            for candidate, silence, task in zip(found, no_speech, tasks, strict=True)
        ]

    def _word_times(self, features: Tensor, texts: Sequence[TokenizedText]) -> list[tuple[RawWord, ...]]:
        """The words of each text with their times."""
        return word_times(self._model, features, texts)

    def _decoding_task(self, language: str) -> DecodingTask:
        """Whisper's own prompt, tokenizer and rules for a language; the initial prompt goes before every window."""
        if language not in self._tasks:
            options = DecodingOptions(
                task=self._task,
                language=language,
                prompt=self._options["initial_prompt"],
                suppress_tokens=self._decoding.suppress_tokens,
                fp16=self._half,
            )
            self._tasks[language] = DecodingTask(self._model, options)
        return self._tasks[language]

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


def _with_language(job: _Job, features: Tensor, probabilities: Mapping[str, float]) -> _Job:
    """The window with the language that its speaker has come to with it."""
    seconds = sum(piece.audio.duration for piece in job.window.pieces)
    language = job.spoken.of_region(probabilities, seconds) if job.spoken is not None else job.language
    return _Job(job.window, language, features=features)


def _settle(job: _Job, text: _WindowText, answers: ClipAnswers) -> list[_Job]:
    """Give the words to their clips; the windows that have to be decoded (again) because of this one."""
    window = job.window
    if text.failed:
        if len(window.pieces) > 1:
            return [_Job(alone, job.language) for alone in window.alone()]
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
    return [_Job(each, job.language) for each in again]


def _is_plausible(words: PieceWords) -> bool:
    """Whether somebody may say so many words in the time."""
    least, most = WORDS_PER_SECOND
    return least <= len(words.words) / words.piece.audio.duration <= most


def _finished(tokens: tuple[int, ...], tokenizer: Any) -> tuple[tuple[int, ...], float | None]:
    """The text tokens of the finished segments, and the seconds after which sound may be left that has no text yet.

    Tokens are segments between timestamps. Without a timestamp after the last words, or with a second one for a segment
    that was begun, there may be more to come; with a single one at the end there is not. Segments that take no time
    are left out.
    """
    first_time = tokenizer.timestamp_begin
    is_time = [token >= first_time for token in tokens]
    is_complete = is_time[-2:] == [False, True]
    cuts = [at for at in range(1, len(tokens)) if is_time[at - 1] and is_time[at]]
    if not cuts:
        return tuple(token for token in tokens if token < tokenizer.eot), None if is_complete else 0.0
    ends = [*cuts, len(tokens)] if is_complete else cuts
    segments = [tokens[start:end] for start, end in itertools.pairwise([0, *ends])]
    lasting = (segment for segment in segments if segment[0] != segment[-1])
    words = tuple(token for segment in lasting for token in segment if token < tokenizer.eot)
    return words, None if is_complete else (segments[-1][-1] - first_time) / TIMESTAMPS_PER_SECOND


def _until(words: Sequence[RawWord], ending: float | None) -> float | None:
    """From where a window is decoded again: after its last word, else after its last timestamp; None if it is not."""
    if ending is None or not (words or ending):
        return None
    return words[-1].end if words else ending


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
