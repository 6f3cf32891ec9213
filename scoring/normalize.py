"""Text normalisation, the same on both sides, into tokens with times."""

from __future__ import annotations

import difflib
import importlib.util
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Literal, TypeAlias, get_args

from meetsplit.pipeline.data import Span, Speaker
from meetsplit.pipeline.errors import SettingsError, blame, nearest
from meetsplit.pipeline.formats.untimed_words import edges_by_letters
from meetsplit.scoring.sessions import Session, Utterance

Normalizer: TypeAlias = Literal["english", "basic", "none"]
Normalize: TypeAlias = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Token:
    """One normalised word; times in seconds, decimal as in the files, so that no edge moves by rounding."""

    text: str
    start: Decimal
    end: Decimal

    @property
    def middle(self) -> Decimal:
        """The time that decides in which stretch the word lies."""
        return (self.start + self.end) / 2


@dataclass(frozen=True, slots=True)
class NormalizedUtterance:
    """An utterance after normalisation: ``tokens`` may be empty; ``start`` and ``end`` are the utterance's own."""

    speaker: Speaker
    start: Decimal
    end: Decimal
    tokens: tuple[Token, ...]


def normalizer(name: str) -> Normalize:
    """The text normaliser by its name: ``english`` and ``basic`` are Whisper's own, ``none`` only splits at blanks.

    Raises `SettingsError` for unknown names, `MissingDependency` where openai-whisper is not installed.
    """
    if name not in get_args(Normalizer):
        raise SettingsError(f"--normalizer {name}: {nearest(name, get_args(Normalizer))}")
    if name == "none":
        return lambda text: " ".join(text.split())
    with blame("score", "normalising text"), warnings.catch_warnings():
        # whisper leaves the file of its spellings open to the garbage collector
        warnings.simplefilter("ignore", ResourceWarning)
        module = _whisper_normalizers()
        normalize: Normalize = module.EnglishTextNormalizer() if name == "english" else module.BasicTextNormalizer()
    return lambda text: " ".join(normalize(text).split())


def normalize_utterances(session: Session, normalize: Normalize) -> tuple[NormalizedUtterance, ...]:
    """The session's utterances in order, normalised.

    Where every word has a time (`Session.timed`), tokens have the times of the words that they come from; elsewhere
    they share the utterance's time by their number of characters, as meeteval's ``character_based`` does.
    """
    timed = session.timed
    return tuple(_normalized(utterance, normalize, timed) for utterance in session.utterances)


def _normalized(utterance: Utterance, normalize: Normalize, timed: bool) -> NormalizedUtterance:
    start, end = decimal(utterance.span.start), decimal(utterance.span.end)
    texts = normalize(utterance.text).split()
    if timed and utterance.words:
        tokens = _tokens_with_word_times(texts, utterance, normalize)
    else:
        tokens = tokens_by_letters(texts, start, end)
    return NormalizedUtterance(utterance.speaker, start, end, tokens)


def tokens_by_letters(texts: Sequence[str], start: Decimal, end: Decimal) -> tuple[Token, ...]:
    """Words that share a stretch of time in proportion to their letters.

    >>> [str(token.end) for token in tokens_by_letters(["abc", "b"], Decimal(0), Decimal(4))]
    ['3', '4']
    """
    edges = pairwise(edges_by_letters(texts, start, end))
    return tuple(Token(text, begins, ends) for text, (begins, ends) in zip(texts, edges, strict=True))


def _tokens_with_word_times(texts: Sequence[str], utterance: Utterance, normalize: Normalize) -> tuple[Token, ...]:
    # A normaliser sees whole sentences ("twenty five" -> "25"), times belong to words: words normalised one by one
    # are laid beside the sentence, and what differs shares the time of the words that it stands for.
    timed = [_TimedText(text, word.span) for word in utterance.words for text in normalize(word.text).split()]
    tokens: list[Token] = []
    matcher = difflib.SequenceMatcher(None, [part.text for part in timed], list(texts), autojunk=False)
    for kind, first, last, begin, stop in matcher.get_opcodes():
        if kind == "equal":
            tokens += [Token(p.text, decimal(p.span.start), decimal(p.span.end)) for p in timed[first:last]]
        elif begin < stop:
            room = _room(timed, first, last, utterance.span)
            tokens += tokens_by_letters(texts[begin:stop], decimal(room.start), decimal(room.end))
    return tuple(tokens)


@dataclass(frozen=True, slots=True)
class _TimedText:
    text: str
    span: Span


def _room(timed: Sequence[_TimedText], first: int, last: int, whole: Span) -> Span:
    """The time of the words from ``first`` to ``last``; where there are none, the time between their neighbours."""
    if first < last:
        spans = [part.span for part in timed[first:last]]
        return Span(min(span.start for span in spans), max(span.end for span in spans))
    before = timed[first - 1].span.end if first > 0 else whole.start
    after = timed[last].span.start if last < len(timed) else whole.end
    return Span(min(before, after), max(before, after))


def decimal(seconds: float) -> Decimal:
    """The decimal number that a file would hold for this time."""
    return Decimal(repr(float(seconds)))


def _whisper_normalizers() -> ModuleType:
    # The package whisper imports torch, which takes seconds; its normalisers need none of it and are loaded alone.
    name = "_meetsplit_whisper_normalizers"
    if name in sys.modules:
        return sys.modules[name]
    whisper = importlib.util.find_spec("whisper")
    if whisper is None or whisper.origin is None:
        raise ModuleNotFoundError("openai-whisper is not installed", name="openai-whisper")
    folder = Path(whisper.origin).parent / "normalizers"
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError("openai-whisper has no normalizers", name="openai-whisper")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
