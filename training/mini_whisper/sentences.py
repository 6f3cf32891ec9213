"""What the miniature Whisper is taught to understand: sentences over a closed vocabulary."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from meetsplit.training.script import Line, words, written

NAMES = frozenset({"i", "friday", "wednesday", "monday", "tuesday", "thursday"})
"""Words that are written with a capital letter everywhere."""

KINDS = ("written", "walk", "loose", "short")
SHARES = (0.22, 0.40, 0.28, 0.10)
"""How often a sentence is one of the dialogue's own, a walk along its word pairs, words at random, or two or three words."""


@dataclass(frozen=True, slots=True)
class Phrasebook:
    """The words and sentences of a written dialogue, and what may follow what.

    ``follow`` maps each word, as written, with its comma, to the words after it; ``""`` maps to the words that begin a
    sentence. ``vocabulary`` is in lower case; ``owners`` says who speaks a sentence in the dialogue.
    """

    sentences: tuple[str, ...]
    owners: Mapping[str, frozenset[str]]
    follow: Mapping[str, tuple[str, ...]]
    vocabulary: tuple[str, ...]

    def sentence(self, rng: np.random.Generator) -> str:
        """A sentence of a random kind, with its capital letter and full stop."""
        kind = rng.choice(KINDS, p=SHARES)
        if kind == "written":
            return str(rng.choice(self.sentences))
        if kind == "walk":
            return self.walk(rng, length=int(rng.integers(3, 15)))
        return self.loose(rng, length=int(rng.integers(1, 4) if kind == "short" else rng.integers(4, 11)))

    def walk(self, rng: np.random.Generator, length: int) -> str:
        """At most ``length`` words, each of which follows the one before somewhere in the dialogue."""
        said = [str(rng.choice(self.follow[""]))]
        while len(said) < length and said[-1] in self.follow:
            said.append(str(rng.choice(self.follow[said[-1]])))
        return closed(said, "?" if rng.random() < 0.1 else ".")

    def loose(self, rng: np.random.Generator, length: int) -> str:
        """``length`` words of the vocabulary at random, so that only listening helps."""
        said = [word.capitalize() if word in NAMES else word for word in rng.choice(self.vocabulary, length).tolist()]
        if length > 4 and rng.random() < 0.5:
            comma = int(rng.integers(1, length - 2))
            said[comma] += ","
        return closed(said, "?" if rng.random() < 0.1 else ".")


def closed(said: Sequence[str], mark: str) -> str:
    """Words as a sentence.

    >>> closed(["have", "a", "look,"], ".")
    'Have a look.'
    """
    text = " ".join(said).rstrip(",.?")
    return text[0].upper() + text[1:] + mark


def split(text: str) -> tuple[str, ...]:
    """The sentences of an utterance.

    >>> split("Thank you. What about the new computers? Not yet.")
    ('Thank you.', 'What about the new computers?', 'Not yet.')
    """
    return tuple(part for part in re.split(r"(?<=[.?!]) +", text.strip()) if part)


def phrasebook(dialogue: Path, vocabulary: Path | None = None) -> Phrasebook:
    """The phrasebook of a written dialogue, with further words from a file of one word per line.

    Raises `SettingsError` for a dialogue that cannot be read.
    """
    lines: tuple[Line, ...] = written(dialogue)
    owners: dict[str, frozenset[str]] = {}
    follow: dict[str, tuple[str, ...]] = {}
    for line in lines:
        for sentence in split(line.text):
            owners[sentence] = owners.get(sentence, frozenset()) | {line.speaker}
            said = [
                word if word.rstrip(".,?!").lower() in NAMES else word.lower()
                for word in sentence.rstrip(".?!").split()
            ]
            for before, after in zip(["", *said], said, strict=False):
                follow[before] = (*follow.get(before, ()), after)
    spoken = {word for line in lines for word in words(line.text)}
    further = vocabulary.read_text("utf-8").splitlines() if vocabulary else []
    spoken |= {word for row in further if not row.startswith("#") for word in words(row)}
    return Phrasebook(tuple(sorted(owners)), owners, follow, tuple(sorted(spoken)))
