"""Training targets of a Whisper: the tokens of a clip, and the encoder frames in which each of them is heard."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from whisper.audio import log_mel_spectrogram
from whisper.tokenizer import Tokenizer, get_tokenizer

from meetsplit.training.mini_whisper.clips import Clip
from meetsplit.training.mini_whisper.voices import PHONES, RATE, TimedLabel

FRAMES = 50
"""Encoder frames, and timestamp tokens, per second."""

WINDOW = 1500
"""Encoder frames of Whisper's full window of 30 seconds."""

IGNORE = -100
"""The target of a token or frame without a loss."""

MAX_PROMPT_TOKENS = 120

Labels = np.ndarray[tuple[int], np.dtype[np.int64]]
"""One label per encoder frame, shape ``(frames,)``."""


@dataclass(frozen=True, slots=True)
class ReducedVocabulary:
    """The tokens in use, each with its row in the small embedding; all other tokens share one more row, the last.

    ``tokens`` are ids of openai-whisper's multilingual tokenizer, ascending, so the 1501 timestamps lie together at
    the end. ``word_numbers`` numbers the words from 1, in lower case; 0 is silence.
    """

    tokens: tuple[int, ...]
    rows: Mapping[int, int]
    tokenizer: Tokenizer
    word_numbers: Mapping[str, int]

    @property
    def other(self) -> int:
        """The row of every token that is not in use."""
        return len(self.tokens)

    def word(self, text: str) -> list[int]:
        """The rows of a written word and, apart from it, of its punctuation; `other` for tokens that are not in use."""
        bare = without_punctuation(text)
        ids = self.tokenizer.encode(" " + bare)
        if bare != text:
            ids = ids + self.tokenizer.encode(text[len(bare) :])
        return [self.rows.get(token, self.other) for token in ids]

    def special(self, token: int) -> int:
        """The row of a special token."""
        return self.rows[token]

    def timestamp(self, frame: int) -> int:
        """The row of a timestamp token, 50 per second."""
        return self.rows[self.tokenizer.timestamp_begin] + min(max(frame, 0), WINDOW)


def without_punctuation(text: str) -> str:
    """A written word without the marks after it."""
    return text.rstrip(",.?!")


def special_tokens(tokenizer: Tokenizer) -> tuple[int, ...]:
    """The special tokens that an English transcript needs, except timestamps."""
    sot, language, task = tokenizer.sot_sequence
    return sot, language, task, tokenizer.eot, tokenizer.sot_prev, tokenizer.no_speech, tokenizer.no_timestamps


def english_tokenizer() -> Tokenizer:
    """openai-whisper's multilingual tokenizer, set to transcribe English."""
    with warnings.catch_warnings():
        # whisper leaves the file of its ranks open to the garbage collector
        warnings.simplefilter("ignore", ResourceWarning)
        return get_tokenizer(multilingual=True, num_languages=99, language="en", task="transcribe")


def reduced_vocabulary(words: Iterable[str]) -> ReducedVocabulary:
    """The tokens of words (in lower case and with a capital letter), punctuation, specials and timestamps."""
    vocabulary = tuple(words)
    tokenizer = english_tokenizer()
    first_timestamp = tokenizer.timestamp_begin
    used = {*special_tokens(tokenizer), *range(first_timestamp, first_timestamp + WINDOW + 1)}
    for word in vocabulary:
        used |= {*tokenizer.encode(" " + word), *tokenizer.encode(" " + word.capitalize())}
    for mark in ",.?":
        used |= {*tokenizer.encode(mark)}
    tokens = tuple(sorted(used))
    rows = {token: row for row, token in enumerate(tokens)}
    word_numbers = {word.lower(): number for number, word in enumerate(vocabulary, 1)}
    return ReducedVocabulary(tokens, rows, tokenizer, word_numbers)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Clips as tensors, all windows equally long.

    ``mel`` (clips, 80, 2 × frames); ``inputs`` and ``targets`` (clips, tokens), rows of the vocabulary, targets
    `IGNORE` where there is no loss; ``spans`` (clips, tokens, 2), the encoder frames where the target is heard, empty
    where it is not; ``phones`` and ``words`` (clips, frames), the labels of each frame, `IGNORE` where unknown;
    ``offset``: the place of the first frame in the full window.
    """

    mel: Tensor
    inputs: Tensor
    targets: Tensor
    spans: Tensor
    phones: Tensor
    words: Tensor
    offset: int


@dataclass(frozen=True, slots=True)
class TimedToken:
    """A token's row in the vocabulary, and the seconds of the clip from ``start`` to ``end`` in which it is heard."""

    row: int
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Example:
    """The decoder's inputs and targets for one clip, and the seconds from start to end where each target is heard."""

    inputs: list[int]
    targets: list[int]
    spans: list[tuple[float, float]]


def timed_tokens(vocabulary: ReducedVocabulary, clip: Clip, rng: np.random.Generator, offset: int) -> list[TimedToken]:
    """The tokens after the start sequence, in six of ten cases with timestamps.

    A word's tokens are heard over the whole word, its punctuation right after it.
    """
    with_timestamps = rng.random() < 0.6
    tokens: list[TimedToken] = []
    if not with_timestamps:
        tokens.append(TimedToken(vocabulary.special(vocabulary.tokenizer.no_timestamps), 0.0, 0.0))
    elif not clip.sentences:
        tokens.append(TimedToken(vocabulary.timestamp(offset), 0.0, 0.0))
    for sentence in clip.sentences:
        start, end = sentence[0].start, sentence[-1].end
        if with_timestamps:
            row = vocabulary.timestamp(round(start * FRAMES) + offset)
            tokens.append(TimedToken(row, start - 0.04, start + 0.06))
        for word in sentence:
            tokens += word_tokens(vocabulary, word)
        if with_timestamps:
            row = vocabulary.timestamp(round(end * FRAMES) + offset)
            tokens.append(TimedToken(row, end - 0.06, end + 0.04))
    end_of_text = vocabulary.special(vocabulary.tokenizer.eot)
    if clip.sentences:
        end = clip.sentences[-1][-1].end
        tokens.append(TimedToken(end_of_text, end, end + 0.2))
    else:
        tokens.append(TimedToken(end_of_text, 0.0, 0.0))
    return tokens


def word_tokens(vocabulary: ReducedVocabulary, word: TimedLabel) -> list[TimedToken]:
    """A word's tokens: its own over the word, the one of its punctuation after it."""
    rows = vocabulary.word(word.text)
    if without_punctuation(word.text) == word.text:
        return [TimedToken(row, word.start, word.end) for row in rows]
    tokens = [TimedToken(row, word.start, word.end) for row in rows[:-1]]
    return [*tokens, TimedToken(rows[-1], word.end, word.end + 0.12)]


def make_example(vocabulary: ReducedVocabulary, clip: Clip, rng: np.random.Generator, offset: int) -> Example:
    """Inputs and targets of a clip, in one of five cases with previous text as a prompt."""
    start_sequence = [vocabulary.special(token) for token in vocabulary.tokenizer.sot_sequence]
    tokens = timed_tokens(vocabulary, clip, rng, offset)
    prompt: list[int] = []
    if rng.random() < 0.2:
        prompt = _prompt(vocabulary, clip, rng)
    rows = [*prompt, *start_sequence, *(token.row for token in tokens)]
    targets = [IGNORE] * len(prompt) + rows[len(prompt) + 1 :]
    if not clip.sentences:
        targets[len(prompt)] = vocabulary.special(vocabulary.tokenizer.no_speech)
    unheard = [(0.0, 0.0)] * (len(prompt) + len(start_sequence) - 1)
    return Example(rows[:-1], targets, unheard + [(token.start, token.end) for token in tokens])


def _prompt(vocabulary: ReducedVocabulary, clip: Clip, rng: np.random.Generator) -> list[int]:
    """The rows of the clip's previous text, in three of ten cases with unknown tokens in it."""
    rows = [row for text in clip.previous for word in text.split() for row in vocabulary.word(word)]
    if rng.random() < 0.3:
        rows = [vocabulary.other if rng.random() < 0.3 else row for row in rows]
    return [vocabulary.special(vocabulary.tokenizer.sot_prev), *rows[-MAX_PROMPT_TOKENS:]]


def phone_labels(clip: Clip, frames: int) -> Labels:
    """The phone at each encoder frame; silence (0) outside of speech, `IGNORE` for speech without phone labels."""
    numbers = {name: number for number, name in enumerate(PHONES)}
    labels = np.zeros(frames, np.int64)
    for phone in clip.phones:
        number = IGNORE if phone.name is None else numbers.get(phone.name, IGNORE)
        labels[_frame(phone.start) : _frame(phone.end)] = number
    return labels


def word_labels(vocabulary: ReducedVocabulary, clip: Clip, frames: int) -> Labels:
    """The number of the word at each encoder frame, as in `ReducedVocabulary.word_numbers`; 0 outside of speech."""
    labels = np.zeros(frames, np.int64)
    for sentence in clip.sentences:
        for word in sentence:
            number = vocabulary.word_numbers.get(without_punctuation(word.text).lower(), IGNORE)
            labels[_frame(word.start) : _frame(word.end)] = number
    return labels


def _frame(seconds: float) -> int:
    return max(round(seconds * FRAMES), 0)


def log_mel(clip: Clip, frames: int, rng: np.random.Generator) -> Tensor:
    """The log-mel spectrogram of a clip in a window, shape (80, 2 × frames).

    The rest of the window is silent sound (as ``whisper.decode`` is usually fed) or zeros after the log (as
    ``whisper.transcribe`` pads its last window), and narrow bands and moments are sometimes masked (SpecAugment).
    """
    samples = clip.samples[: frames * RATE // FRAMES]
    mel: Tensor = log_mel_spectrogram(np.pad(samples, (0, frames * RATE // FRAMES - len(samples))))
    if rng.random() < 0.3:
        for _ in range(2):
            first, width = int(rng.integers(0, 70)), int(rng.integers(0, 10))
            mel[first : first + width] = mel.min()
        for _ in range(max(1, frames // 150)):
            first, width = int(rng.integers(0, 2 * frames)), int(rng.integers(0, 8))
            mel[:, first : first + width] = mel.min()
    if rng.random() < 0.4:
        mel[:, len(samples) // 160 :] = 0.0
    return mel


def collate(
    vocabulary: ReducedVocabulary, clips: Sequence[Clip], rng: np.random.Generator, frames: int, offset: int
) -> Batch:
    """Clips in windows of ``frames`` encoder frames that begin ``offset`` frames into the full window."""
    examples = [make_example(vocabulary, clip, rng, offset) for clip in clips]
    longest = max(len(example.inputs) for example in examples)
    inputs = torch.full((len(clips), longest), vocabulary.special(vocabulary.tokenizer.eot))
    targets = torch.full((len(clips), longest), IGNORE)
    spans = torch.zeros(len(clips), longest, 2, dtype=torch.int64)
    for row, example in enumerate(examples):
        inputs[row, : len(example.inputs)] = torch.tensor(example.inputs)
        targets[row, : len(example.targets)] = torch.tensor(example.targets)
        edges = torch.tensor(example.spans) * FRAMES
        spans[row, : len(example.spans), 0] = edges[:, 0].round().long().clamp(0, frames - 1)
        spans[row, : len(example.spans), 1] = edges[:, 1].round().long().clamp(0, frames)
    return Batch(
        mel=torch.stack([log_mel(clip, frames, rng) for clip in clips]),
        inputs=inputs,
        targets=targets,
        spans=spans,
        phones=torch.stack([torch.from_numpy(phone_labels(clip, frames)) for clip in clips]),
        words=torch.stack([torch.from_numpy(word_labels(vocabulary, clip, frames)) for clip in clips]),
        offset=offset,
    )
