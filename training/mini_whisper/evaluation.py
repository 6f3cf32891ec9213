"""What the miniature Whisper makes of clips that it never trained on, through openai-whisper's own decoding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from whisper.audio import log_mel_spectrogram, pad_or_trim
from whisper.decoding import DecodingOptions
from whisper.decoding import decode as decoded
from whisper.model import Whisper
from whisper.transcribe import transcribe

from meetsplit.scoring.normalize import normalizer
from meetsplit.training.mini_whisper.clips import Clip, Studio

LENGTHS = (2.0, 5.0, 12.0, 24.0)
"""Seconds of the clips in an exam, in turn."""


@dataclass(frozen=True, slots=True)
class Marks:
    """Results of an exam: word errors and words of clean and rough clips, word times that are off, silent clips that are not silent."""

    clean: tuple[int, int]
    rough: tuple[int, int]
    off: tuple[float, ...]
    silent: tuple[int, int]

    def __str__(self) -> str:
        times = (
            f"{np.median(self.off):.3f} s median, {np.percentile(self.off, 90):.3f} s at 90 %" if self.off else "none"
        )
        clean, rough = (100 * wrong / max(words, 1) for wrong, words in (self.clean, self.rough))
        return (
            f"held out: WER {clean:.1f} % of {self.clean[1]} words clean, {rough:.1f} % of {self.rough[1]} rough; "
            f"word starts off by {times}; {self.silent[0]} of {self.silent[1]} clips without speech got words"
        )


def edits(heard: list[str], said: list[str]) -> int:
    """Word errors: the least insertions, deletions and substitutions.

    >>> edits(["a", "b"], ["a", "c", "b"])
    1
    """
    row = list(range(len(said) + 1))
    for i, word in enumerate(heard, 1):
        last, row[0] = row[0], i
        for j, other in enumerate(said, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (word != other))
    return row[-1]


def errors(heard: str, said: str) -> tuple[int, int]:
    """Word errors and words after Whisper's normalization of English."""
    normal = normalizer("english")
    reference = normal(said).split()
    return edits(normal(heard).split(), reference), len(reference)


def read(model: Whisper, clip: Clip) -> str:
    """What the model hears in a clip, greedily, as one window."""
    mel = log_mel_spectrogram(pad_or_trim(clip.samples))
    result = decoded(model, mel, DecodingOptions(language="en", fp16=False))
    return str(result.text)


def late(model: Whisper, clip: Clip) -> list[float]:
    """By how many seconds the words' starts are off, of those that were heard in their place."""
    found = transcribe(model, clip.samples, language="en", fp16=False, word_timestamps=True, temperature=0.0)
    heard = [word for segment in found["segments"] for word in segment["words"]]
    said = [word for sentence in clip.sentences for word in sentence]
    if [word["word"].strip().lower() for word in heard] != [word.text.lower() for word in said]:
        return []
    return [abs(float(word["start"]) - true.start) for word, true in zip(heard, said, strict=True)]


def examine(model: Whisper, studio: Studio, clips: int, seed: int = 7) -> Marks:
    """An exam of ``clips`` clean, as many rough, and some clips without speech."""
    rng = np.random.default_rng(seed)
    totals = np.zeros((2, 2), int)
    off: list[float] = []
    silent = [0, 0]
    for number in range(2 * clips):
        clip = studio.clip(rng, LENGTHS[number // 2 % len(LENGTHS)], rough=number % 2 == 1)
        text = read(model, clip)
        if not clip.sentences:
            silent = [silent[0] + bool(text.strip()), silent[1] + 1]
            continue
        totals[number % 2] += errors(text, clip.text)
        if number % 4 == 0:
            off += late(model, clip)
    (c, cw), (r, rw) = totals.tolist()
    return Marks((c, cw), (r, rw), tuple(off), (silent[0], silent[1]))
