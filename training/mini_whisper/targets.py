"""From a clip to what a Whisper is asked for: its tokens, and where in the sound each of them is heard."""

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
from meetsplit.training.mini_whisper.voices import PHONES, RATE, Timed

FRAMES = 50
"""Encoder frames, and timestamp tokens, per second."""

WINDOW = 1500
"""Encoder frames of Whisper's full window of 30 seconds."""

IGNORE = -100


@dataclass(frozen=True, slots=True)
class Codebook:
    """The tokens in use, each with its row in the small embedding; all other tokens share one more row, the last.

    ``tokens`` are ids of openai-whisper's multilingual tokenizer, ascending, so the 1501 timestamps lie together at the end.
    ``numbers`` numbers the words from 1, in lower case; 0 is silence.
    """

    tokens: tuple[int, ...]
    rows: Mapping[int, int]
    tokenizer: Tokenizer
    numbers: Mapping[str, int]

    @property
    def other(self) -> int:
        """The row of every token that is not in use."""
        return len(self.tokens)

    def word(self, text: str) -> list[int]:
        """The rows of a written word and, apart from it, of its punctuation; `other` for what the model never learned."""
        bare = text.rstrip(",.?!")
        ids = self.tokenizer.encode(" " + bare) + (self.tokenizer.encode(text[len(bare) :]) if bare != text else [])
        return [self.rows.get(token, self.other) for token in ids]

    def special(self, token: int) -> int:
        """The row of a special token."""
        return self.rows[token]

    def timestamp(self, frame: int) -> int:
        """The row of a timestamp token, 50 per second."""
        return self.rows[self.tokenizer.timestamp_begin] + min(max(frame, 0), WINDOW)


def specials(tokenizer: Tokenizer) -> tuple[int, ...]:
    """The special tokens that an English transcript needs, timestamps apart."""
    sot, language, task = tokenizer.sot_sequence
    return sot, language, task, tokenizer.eot, tokenizer.sot_prev, tokenizer.no_speech, tokenizer.no_timestamps


def english() -> Tokenizer:
    """openai-whisper's multilingual tokenizer, set to transcribe English."""
    with warnings.catch_warnings():
        # whisper leaves the file of its ranks open to the garbage collector
        warnings.simplefilter("ignore", ResourceWarning)
        return get_tokenizer(multilingual=True, num_languages=99, language="en", task="transcribe")


def codebook(words: Iterable[str]) -> Codebook:
    """The tokens of a vocabulary: each word in lower case and with a capital letter, punctuation, specials, timestamps."""
    vocabulary = tuple(words)
    tokenizer = english()
    first = tokenizer.timestamp_begin
    used = {*specials(tokenizer), *range(first, first + WINDOW + 1)}
    for word in vocabulary:
        used |= {*tokenizer.encode(" " + word), *tokenizer.encode(" " + word.capitalize())}
    for mark in ",.?":
        used |= {*tokenizer.encode(mark)}
    tokens = tuple(sorted(used))
    numbers = {word.lower(): number for number, word in enumerate(vocabulary, 1)}
    return Codebook(tokens, {token: row for row, token in enumerate(tokens)}, tokenizer, numbers)


def recovered(tokens: Sequence[int]) -> Codebook:
    """The codebook whose tokens are known, for decoding: its words are not."""
    return Codebook(tuple(tokens), {token: row for row, token in enumerate(tokens)}, english(), {})


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Clips as tensors, all windows equally long.

    ``mel`` (clips, 80, 2 × frames); ``inputs`` and ``targets`` (clips, tokens), rows of the codebook, targets `IGNORE` where
    nothing is asked; ``spans`` (clips, tokens, 2), the encoder frames where the target is heard, empty where it is not;
    ``phones`` and ``words`` (clips, frames), what is heard at each frame, `IGNORE` where unknown; ``offset``: the place of
    the first frame in the full window.
    """

    mel: Tensor
    inputs: Tensor
    targets: Tensor
    spans: Tensor
    phones: Tensor
    words: Tensor
    offset: int


def sequence(book: Codebook, clip: Clip, rng: np.random.Generator, offset: int) -> list[tuple[int, float, float]]:
    """The tokens after the start sequence as (row, from, to), the seconds in the clip where each is heard.

    With timestamps half of the time; a word's tokens are heard over the whole word, its punctuation right after it.
    """
    timed = rng.random() < 0.6
    rows: list[tuple[int, float, float]] = []
    if not timed:
        rows.append((book.special(book.tokenizer.no_timestamps), 0.0, 0.0))
    elif not clip.sentences:
        rows.append((book.timestamp(offset), 0.0, 0.0))
    for sentence in clip.sentences:
        begin, end = sentence[0].start, sentence[-1].end
        if timed:
            rows.append((book.timestamp(round(begin * FRAMES) + offset), begin - 0.04, begin + 0.06))
        for word in sentence:
            rows += spoken(book, word)
        if timed:
            rows.append((book.timestamp(round(end * FRAMES) + offset), end - 0.06, end + 0.04))
    end = clip.sentences[-1][-1].end if clip.sentences else 0.0
    rows.append((book.special(book.tokenizer.eot), end, end + 0.2 if clip.sentences else end))
    return rows


def spoken(book: Codebook, word: Timed) -> list[tuple[int, float, float]]:
    """A word's tokens with where they are heard."""
    marks = len(word.text) - len(word.text.rstrip(",.?!"))
    rows = book.word(word.text)
    pieces, points = rows[: len(rows) - (marks > 0)], rows[len(rows) - (marks > 0) :]
    return [(row, word.start, word.end) for row in pieces] + [(row, word.end, word.end + 0.12) for row in points]


def example(
    book: Codebook, clip: Clip, rng: np.random.Generator, offset: int
) -> tuple[list[int], list[int], list[tuple[float, float]]]:
    """Inputs, targets and the seconds where each target is heard; a prompt in front every fifth time."""
    start = [book.special(token) for token in book.tokenizer.sot_sequence]
    after = sequence(book, clip, rng, offset)
    prompt: list[int] = []
    if rng.random() < 0.2:
        prompt = [row for text in clip.before for word in text.split() for row in book.word(word)]
        if rng.random() < 0.3:
            prompt = [book.other if rng.random() < 0.3 else row for row in prompt]
        prompt = [book.special(book.tokenizer.sot_prev), *prompt[-120:]]
    rows = [*prompt, *start, *(row for row, _, _ in after)]
    targets = [IGNORE] * len(prompt) + rows[len(prompt) + 1 :]
    if not clip.sentences:
        targets[len(prompt)] = book.special(book.tokenizer.no_speech)
    spans = [(0.0, 0.0)] * (len(prompt) + len(start) - 1) + [(begin, end) for _, begin, end in after]
    return rows[:-1], targets, spans


def labels(clip: Clip, frames: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The phone at each encoder frame; silence where nobody speaks."""
    names = {name: index for index, name in enumerate(PHONES)}
    at = np.zeros(frames, np.int64)
    for name, start, end in clip.phones:
        at[max(round(start * FRAMES), 0) : max(round(end * FRAMES), 0)] = (
            IGNORE if name is None else names.get(name, IGNORE)
        )
    return at


def named(book: Codebook, clip: Clip, frames: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The word at each encoder frame, as `Codebook.numbers` has it; 0 where nobody speaks."""
    at = np.zeros(frames, np.int64)
    for sentence in clip.sentences:
        for word in sentence:
            at[max(round(word.start * FRAMES), 0) : max(round(word.end * FRAMES), 0)] = book.numbers.get(
                word.text.rstrip(",.?!").lower(), IGNORE
            )
    return at


def mel(clip: Clip, frames: int, rng: np.random.Generator) -> Tensor:
    """The log-mel spectrogram of a clip in a window, shape (80, 2 × frames).

    The rest of the window is silent sound (as ``whisper.decode`` is usually fed) or zeros after the log (as
    ``whisper.transcribe`` pads its last window), and narrow bands and moments are sometimes hidden.
    """
    samples = clip.samples[: frames * RATE // FRAMES]
    out: Tensor = log_mel_spectrogram(np.pad(samples, (0, frames * RATE // FRAMES - len(samples))))
    if rng.random() < 0.3:
        for _ in range(2):
            first, width = int(rng.integers(0, 70)), int(rng.integers(0, 10))
            out[first : first + width] = out.min()
        for _ in range(max(1, frames // 150)):
            first, width = int(rng.integers(0, 2 * frames)), int(rng.integers(0, 8))
            out[:, first : first + width] = out.min()
    if rng.random() < 0.4:
        out[:, len(samples) // 160 :] = 0.0
    return out


def batch(book: Codebook, clips: Sequence[Clip], rng: np.random.Generator, frames: int, offset: int) -> Batch:
    """Clips in windows of ``frames`` encoder frames that begin ``offset`` frames into the full window."""
    examples = [example(book, clip, rng, offset) for clip in clips]
    longest = max(len(inputs) for inputs, _, _ in examples)
    inputs = torch.full((len(clips), longest), book.special(book.tokenizer.eot))
    targets = torch.full((len(clips), longest), IGNORE)
    spans = torch.zeros(len(clips), longest, 2, dtype=torch.int64)
    for row, (given, asked, seconds) in enumerate(examples):
        inputs[row, : len(given)] = torch.tensor(given)
        targets[row, : len(asked)] = torch.tensor(asked)
        edges = torch.tensor(seconds) * FRAMES
        spans[row, : len(seconds), 0] = edges[:, 0].round().long().clamp(0, frames - 1)
        spans[row, : len(seconds), 1] = edges[:, 1].round().long().clamp(0, frames)
    phones = torch.stack([torch.from_numpy(labels(clip, frames)) for clip in clips])
    words = torch.stack([torch.from_numpy(named(book, clip, frames)) for clip in clips])
    return Batch(torch.stack([mel(clip, frames, rng) for clip in clips]), inputs, targets, spans, phones, words, offset)
