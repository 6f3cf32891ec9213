"""Which words are compared? Text normalised the same way on both sides, as tokens with times."""

from __future__ import annotations

import difflib
import importlib.util
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Literal, TypeAlias, cast, get_args

from meetsplit.pipeline.data import Span, Speaker
from meetsplit.pipeline.errors import SettingsError, blame, nearest
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
class Spoken:
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
        made = _whisper_normalizers()
        chosen = made.EnglishTextNormalizer() if name == "english" else made.BasicTextNormalizer()
    normalize = cast(Normalize, chosen)
    return lambda text: " ".join(normalize(text).split())


def spoken(session: Session, normalize: Normalize) -> tuple[Spoken, ...]:
    """The session's utterances in order, normalised.

    Where every word has a time (`Session.timed`), tokens have the times of the words that they come from; elsewhere
    they share the utterance's time by their number of characters, as meeteval's ``character_based`` does.
    """
    timed = session.timed
    return tuple(_spoken(utterance, normalize, timed) for utterance in session.utterances)


def _spoken(utterance: Utterance, normalize: Normalize, timed: bool) -> Spoken:
    start, end = decimal(utterance.span.start), decimal(utterance.span.end)
    texts = normalize(utterance.text).split()
    tokens = _by_word(texts, utterance, normalize) if timed and utterance.words else shared(texts, start, end)
    return Spoken(utterance.speaker, start, end, tokens)


def shared(texts: Sequence[str], start: Decimal, end: Decimal) -> tuple[Token, ...]:
    """Words that divide a stretch among them by their number of characters.

    >>> [str(token.end) for token in shared(["abc", "b"], Decimal(0), Decimal(4))]
    ['3', '4']
    """
    if len(texts) == 1:
        return (Token(texts[0], start, end),)
    total, at = sum(map(len, texts)), 0
    tokens: list[Token] = []
    for text in texts:
        each = (end - start) / total
        tokens.append(Token(text, start + each * at, start + each * (at + len(text))))
        at += len(text)
    return tuple(tokens)


def _by_word(texts: Sequence[str], utterance: Utterance, normalize: Normalize) -> tuple[Token, ...]:
    # A normaliser sees whole sentences ("twenty five" -> "25"), times belong to words: words normalised one by one
    # are laid beside the sentence, and what differs shares the time of the words that it stands for.
    alone = [(text, word.span) for word in utterance.words for text in normalize(word.text).split()]
    tokens: list[Token] = []
    matcher = difflib.SequenceMatcher(None, [text for text, _ in alone], list(texts), autojunk=False)
    for kind, first, last, begin, stop in matcher.get_opcodes():
        if kind == "equal":
            tokens += [Token(text, decimal(span.start), decimal(span.end)) for text, span in alone[first:last]]
        elif begin < stop:
            stretch = _stretch(alone, first, last, utterance.span)
            tokens += shared(texts[begin:stop], decimal(stretch.start), decimal(stretch.end))
    return tuple(tokens)


def _stretch(alone: Sequence[tuple[str, Span]], first: int, last: int, within: Span) -> Span:
    if first < last:
        return Span(min(span.start for _, span in alone[first:last]), max(span.end for _, span in alone[first:last]))
    before = alone[first - 1][1].end if first > 0 else within.start
    after = alone[last][1].start if last < len(alone) else within.end
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
