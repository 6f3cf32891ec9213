"""Evaluation of the miniature Whisper on held-out clips, through openai-whisper's own decoding."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from whisper.audio import log_mel_spectrogram, pad_or_trim
from whisper.decoding import DecodingOptions, decode
from whisper.model import Whisper
from whisper.transcribe import transcribe as transcribe_with_times

from meetsplit.scoring.normalize import normalizer
from meetsplit.training.mini_whisper.clips import Clip, ClipGenerator

LENGTHS = (2.0, 5.0, 12.0, 24.0)
"""Seconds of the evaluated clips, in turn."""


@dataclass(slots=True)
class WordErrors:
    """Word errors and reference words of several clips."""

    errors: int = 0
    words: int = 0

    def add(self, errors: int, words: int) -> None:
        """Count another clip."""
        self.errors += errors
        self.words += words

    @property
    def rate(self) -> float:
        """Word error rate in percent."""
        return 100 * self.errors / max(self.words, 1)


@dataclass(slots=True)
class EvaluationResult:
    """Word errors of clean and augmented clips, errors of word starts in seconds, words in clips without speech."""

    clean: WordErrors = field(default_factory=WordErrors)
    augmented: WordErrors = field(default_factory=WordErrors)
    start_errors: list[float] = field(default_factory=list)
    silent_clips: int = 0
    hallucinations: int = 0

    def __str__(self) -> str:
        times = "none"
        if self.start_errors:
            median, ninety = np.median(self.start_errors), np.percentile(self.start_errors, 90)
            times = f"{median:.3f} s median, {ninety:.3f} s at 90 %"
        return (
            f"held out: WER {self.clean.rate:.1f} % of {self.clean.words} words clean, "
            f"{self.augmented.rate:.1f} % of {self.augmented.words} rough; word starts off by {times}; "
            f"{self.hallucinations} of {self.silent_clips} clips without speech got words"
        )


def edit_distance(hypothesis: list[str], reference: list[str]) -> int:
    """Levenshtein distance: the least insertions, deletions and substitutions.

    >>> edit_distance(["a", "b"], ["a", "c", "b"])
    1
    """
    row = list(range(len(reference) + 1))
    for i, word in enumerate(hypothesis, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(reference, 1):
            substitution = diagonal + (word != other)
            diagonal = row[j]
            row[j] = min(row[j] + 1, row[j - 1] + 1, substitution)
    return row[-1]


def word_errors(hypothesis: str, reference: str) -> tuple[int, int]:
    """Word errors and reference words after Whisper's normalization of English."""
    normalize = normalizer("english")
    reference_words = normalize(reference).split()
    return edit_distance(normalize(hypothesis).split(), reference_words), len(reference_words)


def transcribe(model: Whisper, clip: Clip) -> str:
    """The model's greedy transcript of a clip as one window."""
    mel = log_mel_spectrogram(pad_or_trim(clip.samples))
    result = decode(model, mel, DecodingOptions(language="en", fp16=False))
    return str(result.text)


def word_start_errors(model: Whisper, clip: Clip) -> list[float]:
    """Absolute errors of the words' starts in seconds; none if the transcript is not the reference word by word."""
    result = transcribe_with_times(
        model, clip.samples, language="en", fp16=False, word_timestamps=True, temperature=0.0
    )
    words = [word for segment in result["segments"] for word in segment["words"]]
    reference = [word for sentence in clip.sentences for word in sentence]
    if [word["word"].strip().lower() for word in words] != [word.text.lower() for word in reference]:
        return []
    return [abs(float(word["start"]) - true.start) for word, true in zip(words, reference, strict=True)]


def evaluate(model: Whisper, generator: ClipGenerator, clips: int, seed: int = 7) -> EvaluationResult:
    """Results on ``clips`` clean and as many augmented clips, some of them without speech."""
    rng = np.random.default_rng(seed)
    result = EvaluationResult()
    for number in range(2 * clips):
        augmented = number % 2 == 1
        clip = generator.clip(rng, LENGTHS[number // 2 % len(LENGTHS)], augmented)
        text = transcribe(model, clip)
        if not clip.sentences:
            result.silent_clips += 1
            result.hallucinations += bool(text.strip())
            continue
        counts = result.augmented if augmented else result.clean
        counts.add(*word_errors(text, clip.text))
        if number % 4 == 0:
            result.start_errors += word_start_errors(model, clip)
    return result
