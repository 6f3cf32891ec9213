"""Random sentences over a closed vocabulary: the miniature Whisper's language."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from meetsplit.training.script import read_dialogue, words

CAPITALIZED = frozenset({"i", "friday", "wednesday", "monday", "tuesday", "thursday"})
"""Words that are written with a capital letter everywhere."""

KINDS = ("written", "walk", "loose", "short")
KIND_SHARES = (0.22, 0.40, 0.28, 0.10)
"""Shares of the dialogue's own sentences, walks along its word pairs, random words, and up to three of them."""

QUESTION_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class SentenceGenerator:
    """The sentences and word pairs of a written dialogue, and random sentences made of them.

    ``followers`` maps each word, as written, with its comma, to the words after it; ``""`` maps to the words that
    begin a sentence. ``vocabulary`` is in lower case; ``speakers`` maps each sentence of the dialogue to those who
    say it there.
    """

    sentences: tuple[str, ...]
    speakers: Mapping[str, frozenset[str]]
    followers: Mapping[str, tuple[str, ...]]
    vocabulary: tuple[str, ...]

    def sentence(self, rng: np.random.Generator) -> str:
        """A sentence of a random kind, with its capital letter and full stop."""
        kind = rng.choice(KINDS, p=KIND_SHARES)
        if kind == "written":
            return str(rng.choice(self.sentences))
        if kind == "walk":
            return self.random_walk(rng, length=int(rng.integers(3, 15)))
        if kind == "short":
            return self.random_words(rng, length=int(rng.integers(1, 4)))
        return self.random_words(rng, length=int(rng.integers(4, 11)))

    def random_walk(self, rng: np.random.Generator, length: int) -> str:
        """At most ``length`` words, each of which follows the one before somewhere in the dialogue."""
        written = [str(rng.choice(self.followers[""]))]
        while len(written) < length and written[-1] in self.followers:
            written.append(str(rng.choice(self.followers[written[-1]])))
        return punctuated(written, _random_mark(rng))

    def random_words(self, rng: np.random.Generator, length: int) -> str:
        """``length`` random words of the vocabulary, which a language model cannot predict."""
        written = [
            word.capitalize() if word in CAPITALIZED else word for word in rng.choice(self.vocabulary, length).tolist()
        ]
        if length > 4 and rng.random() < 0.5:
            comma = int(rng.integers(1, length - 2))
            written[comma] += ","
        return punctuated(written, _random_mark(rng))


def _random_mark(rng: np.random.Generator) -> str:
    return "?" if rng.random() < QUESTION_SHARE else "."


def punctuated(written: Sequence[str], mark: str) -> str:
    """Words as a sentence.

    >>> punctuated(["have", "a", "look,"], ".")
    'Have a look.'
    """
    text = " ".join(written).rstrip(",.?")
    return text[0].upper() + text[1:] + mark


def split_sentences(text: str) -> tuple[str, ...]:
    """The sentences of an utterance.

    >>> split_sentences("Thank you. What about the new computers? Not yet.")
    ('Thank you.', 'What about the new computers?', 'Not yet.')
    """
    return tuple(part for part in re.split(r"(?<=[.?!]) +", text.strip()) if part)


def sentence_generator(dialogue: Path, vocabulary: Path | None = None) -> SentenceGenerator:
    """The generator for a written dialogue, with further words from a file of one word per line.

    Raises `SettingsError` for a dialogue that cannot be read.
    """
    lines = read_dialogue(dialogue)
    speakers: dict[str, frozenset[str]] = {}
    followers: dict[str, tuple[str, ...]] = {}
    for line in lines:
        for sentence in split_sentences(line.text):
            speakers[sentence] = speakers.get(sentence, frozenset()) | {line.speaker}
            written = [_as_inside_a_sentence(word) for word in sentence.rstrip(".?!").split()]
            for before, after in zip(["", *written], written, strict=False):
                followers[before] = (*followers.get(before, ()), after)
    known_words = {word for line in lines for word in words(line.text)}
    if vocabulary is not None:
        rows = vocabulary.read_text("utf-8").splitlines()
        known_words |= {word for row in rows if not row.startswith("#") for word in words(row)}
    return SentenceGenerator(tuple(sorted(speakers)), speakers, followers, tuple(sorted(known_words)))


def _as_inside_a_sentence(word: str) -> str:
    """The word in lower case, unless it has a capital letter everywhere."""
    return word if word.rstrip(".,?!").lower() in CAPITALIZED else word.lower()
