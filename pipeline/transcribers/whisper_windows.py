"""Decoding of windows with Whisper: fallbacks to higher temperatures, and which text is taken, up to which second.

Rules and order are those of `whisper.transcribe`; the search in a batch is `whisper_decoding`, the times of words are
`whisper_alignment`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
import torch.nn.functional as F
import whisper
from torch import Tensor
from whisper.decoding import DecodingOptions, DecodingTask
from whisper.utils import compression_ratio

from meetsplit.pipeline.data import Samples
from meetsplit.pipeline.settings import Settings
from meetsplit.pipeline.transcribers import whisper_decoding as decoding
from meetsplit.pipeline.transcribers.hallucinations import (
    IMPROBABLE,
    NO_SPEECH,
    PACE,
    REPETITION,
    RawWord,
    is_out_of_pace,
)
from meetsplit.pipeline.transcribers.languages import SpokenLanguage
from meetsplit.pipeline.transcribers.whisper_alignment import TokenizedText, word_times
from meetsplit.pipeline.transcribers.whisper_languages import RATE
from meetsplit.pipeline.transcribers.whisper_options import decoding_options
from meetsplit.pipeline.transcribers.windows import Window

FRAME_SAMPLES, WINDOW_FRAMES = 160, 3000
"""Samples per frame of the spectrogram, frames of Whisper's window."""

TIMESTAMPS_PER_SECOND = 50

INVENTED_BELOW = 1.0
"""How far below the threshold of another attempt the mean log probability of the last one's text is when it is taken
for invented. In between, Whisper keeps it, and so do we: what is hard to hear may well have been said."""


@dataclass(frozen=True, slots=True, eq=False)
class WindowJob:
    """A window to decode, with the language of its speaker.

    ``spoken`` where that one may change with this window, which is not yet known; ``features`` is the encoder's output,
    where there is one already, shape (frames, channels).
    """

    window: Window
    language: str
    spoken: SpokenLanguage | None = None
    features: Tensor | None = None


@dataclass(frozen=True, slots=True)
class DecodedText:
    """The tokens of a window and how good they are; see `whisper.DecodingResult`."""

    tokens: tuple[int, ...]
    log_probability: float
    no_speech: float
    compression_ratio: float
    text: str = ""
    out_of_pace: bool = False


@dataclass(frozen=True, slots=True)
class TextRules:
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

    def is_repetitive(self, text: DecodedText) -> bool:
        """Whether it is a loop of the decoder."""
        return self.compression_ratio is not None and text.compression_ratio > self.compression_ratio

    def is_silence(self, text: DecodedText) -> bool:
        """Whether the window has no speech."""
        is_probable = self.log_probability is not None and text.log_probability > self.log_probability
        return self.no_speech is not None and text.no_speech > self.no_speech and not is_probable

    def needs_fallback(self, text: DecodedText) -> bool:
        """Whether the window has to be decoded at a higher temperature."""
        is_improbable = self.log_probability is not None and text.log_probability < self.log_probability
        if is_improbable and self.is_silence(text):
            return False
        return is_improbable or self.is_repetitive(text) or text.out_of_pace

    def reason(self, text: DecodedText) -> str | None:
        """Why the text of the last attempt is not taken; None where it is."""
        if self.is_repetitive(text):
            return REPETITION
        if self.is_silence(text):
            return NO_SPEECH
        if self.log_probability is not None and text.log_probability < self.log_probability - INVENTED_BELOW:
            return IMPROBABLE
        return PACE if text.out_of_pace else None


@dataclass(frozen=True, slots=True)
class WindowText:
    """The words of a window, up to ``decoded_until`` seconds where it has to be decoded again from there.

    None of them where it ``failed``: where nothing was said or the text cannot be true; then ``reason`` says which, and
    ``dropped`` is the text.
    """

    words: tuple[RawWord, ...]
    decoded_until: float | None
    failed: bool
    reason: str = NO_SPEECH
    dropped: str = ""


class WindowDecoder:
    """Decodes windows of 30 s with one model; ``half`` where its weights are of half precision, as on a GPU.

    It then converts the weights of ``model``.
    """

    def __init__(self, model: Any, settings: Settings) -> None:
        self._model, self._settings = model, settings
        self.options = decoding_options(model, settings)
        self.rules = TextRules.of(self.options)
        self.half: bool = self.options["fp16"] and isinstance(model, torch.nn.Module)
        if self.half:
            decoding.to_half(model)
        self._tasks: dict[str, DecodingTask] = {}

    def fitting_batch(self) -> int:
        """Windows that fit into the memory that is free now."""
        group = max(self.rules.beams, self.rules.samples)
        return decoding.batch_size(self._model, group=group, half=self.half)

    def encode(self, jobs: Sequence[WindowJob]) -> Tensor:
        """The encoder's output for windows, shape (windows, frames, channels)."""
        new = [job for job in jobs if job.features is None]
        encoded: Iterator[Tensor] = iter(())
        if new:
            spectrograms = torch.stack([self._spectrogram(job.window.samples()) for job in new])
            encoded = iter(self._model.encoder(spectrograms).unbind(0))
        return torch.stack([next(encoded) if job.features is None else job.features for job in jobs])

    def decode(self, jobs: Sequence[WindowJob]) -> list[WindowText]:
        """The texts of windows, decoded as one batch."""
        features = self.encode(jobs)
        decoded = self._with_fallback(features, jobs)
        reasons = [self.rules.reason(text) for text in decoded]
        tokenizers = [self.decoding_task(job.language).tokenizer for job in jobs]
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
            WindowText(words, _until(words, ending), failed=False)
            if reason is None
            else WindowText((), None, failed=True, reason=reason, dropped=text.text)
            for words, (_, ending), reason, text in zip(timed, parts, reasons, decoded, strict=True)
        ]

    def _spectrogram(self, samples: Samples) -> Tensor:
        """The log-mel spectrogram of a window as `whisper.transcribe` computes it, zeros after the end of the sound."""
        dtype = torch.float16 if self.half else torch.float32
        sound = torch.from_numpy(samples)
        mel = whisper.log_mel_spectrogram(
            sound, self._model.dims.n_mels, padding=whisper.audio.N_FFT, device=self._model.device
        )
        mel = mel[:, : min(len(samples) // FRAME_SAMPLES, WINDOW_FRAMES)]
        return F.pad(mel, (0, WINDOW_FRAMES - mel.shape[1])).to(dtype)

    def _with_fallback(self, features: Tensor, jobs: Sequence[WindowJob]) -> list[DecodedText]:
        """The text of each window, of the first temperature at which it is good, or of the last."""
        texts: dict[int, DecodedText] = {}
        numbers = list(range(len(jobs)))
        for temperature in self.rules.temperatures:
            index = torch.tensor(numbers, device=features.device)
            found = self._search(features.index_select(0, index), [jobs[n].language for n in numbers], temperature)
            texts |= {n: self._with_text(text, jobs[n]) for n, text in zip(numbers, found, strict=True)}
            numbers = [number for number in numbers if self.rules.needs_fallback(texts[number])]
            if not numbers:
                break
        return [texts[number] for number in range(len(jobs))]

    def _with_text(self, text: DecodedText, job: WindowJob) -> DecodedText:
        """The same with its tokens as text, and whether anybody says so much, or so little, in the window."""
        written = self.decoding_task(job.language).tokenizer.decode(list(text.tokens)).strip()
        return replace(text, text=written, out_of_pace=is_out_of_pace(written, job.window.samples(), RATE))

    def _search(self, features: Tensor, languages: Sequence[str], temperature: float) -> list[DecodedText]:
        """The text of each window at one temperature."""
        tasks = [self.decoding_task(language) for language in languages]
        task, tokenizer = tasks[0], tasks[0].tokenizer
        prompts = torch.tensor([task.initial_tokens for task in tasks], device=features.device)
        rules = decoding.TokenRules(task, self._model.dims.n_vocab, features.device)
        decoder = decoding.CachedDecoder(self._model, features)
        outputs = decoder.start(prompts)
        at_start = decoder.logits(outputs[:, task.sot_index]).softmax(dim=-1)
        no_speech = at_start[:, tokenizer.no_speech].tolist()
        first_logits = decoder.logits(outputs[:, -1])
        most_tokens = min(task.sample_len, task.n_ctx + 1 - len(task.initial_tokens))
        how = self.rules
        limits = decoding.SearchLimits(most_tokens, how.length_penalty)
        if temperature == 0.0:
            most = round(how.beams * how.patience)
            found = decoding.beam_search(decoder, first_logits, rules, limits, beams=how.beams, most=most)
        else:
            sampling = decoding.Sampling(temperature, how.samples, self._settings.seed)
            found = decoding.sample(decoder, first_logits, rules, limits, sampling)
        return [
            DecodedText(
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

    def decoding_task(self, language: str) -> DecodingTask:
        """Whisper's own prompt, tokenizer and rules for a language; the initial prompt goes before every window."""
        if language not in self._tasks:
            options = DecodingOptions(
                task=self._settings.task,
                language=language,
                prompt=self.options["initial_prompt"],
                suppress_tokens=self.rules.suppress_tokens,
                fp16=self.half,
            )
            self._tasks[language] = DecodingTask(self._model, options)
        return self._tasks[language]


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
