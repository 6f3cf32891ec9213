"""Packing: one speaker's pieces of speech, laid one after another with short silences between, as windows of a model.

stream    ---aaaa-------bb----------cccccccc----dd---       four clips, on the recording's clock
window 1  aaaa..bb..cccccccc                                ``GAP`` seconds of silence between pieces
window 2  dd                                                what would be longer than ``longest`` begins a new one

A model with windows of fixed length costs the same for a window of one word as for a full one, and is at its worst on
windows that are mostly empty (Bain et al., "WhisperX", Interspeech 2023). The pieces of a window are in the order in
which they were said. Words come back on the window's clock and go to the piece that shares most of their time; their
times are clipped to it, so no word crosses a seam.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from meetsplit.pipeline.audio.crossfade import quietest_time
from meetsplit.pipeline.data import Audio, ClipTranscript, DroppedText, Samples, Span
from meetsplit.pipeline.transcribers.hallucinations import RawWord, guard_words, without_voice
from meetsplit.pipeline.transcribers.pauses import without_leading_pauses
from meetsplit.pipeline.transcribers.voicing import VoiceEvidence

LONGEST = 28.0
"""Seconds that pieces and silences of a window take together, unless a single piece is longer."""

GAP = 0.6
"""Seconds of silence between two pieces; of 0.15, 0.3, 0.6 and 1 those with the fewest errors (docs/benchmarks.md)."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Speech of one clip: ``clip`` is the clip's number, ``audio`` the sound in its place on the recording's clock."""

    clip: int
    audio: Audio


@dataclass(frozen=True, slots=True)
class PieceWords:
    """The words of one piece, their times in seconds into the piece, in order."""

    piece: Piece
    words: tuple[RawWord, ...]


@dataclass(frozen=True, eq=False)
class Window:
    """Pieces of one speaker's stream with the same rate, in order; ``gap`` samples of silence lie between two."""

    pieces: tuple[Piece, ...]
    gap: int

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """The first sample of each piece in the window."""
        lengths = (len(piece.audio.samples) + self.gap for piece in self.pieces[:-1])
        return tuple(itertools.accumulate(lengths, initial=0))

    @property
    def rate(self) -> int:
        """Samples per second."""
        return self.pieces[0].audio.rate

    @property
    def duration(self) -> float:
        """Seconds from the first piece's start to the last one's end."""
        return (self.offsets[-1] + len(self.pieces[-1].audio.samples)) / self.rate

    def samples(self) -> Samples:
        """The pieces with silences between, shape ``(round(duration * rate),)``."""
        joined = np.zeros(round(self.duration * self.rate), np.float32)
        for offset, piece in zip(self.offsets, self.pieces, strict=True):
            joined[offset : offset + len(piece.audio.samples)] = piece.audio.samples
        return joined

    def assign(self, words: Iterable[RawWord]) -> list[PieceWords]:
        """The words (times in seconds into the window, in order) of each piece; those past the window's end are lost.

        A word belongs to the piece that shares most time with it, in a silence to the nearest one; order is kept.
        """
        spans = [
            Span(offset / self.rate, (offset + len(piece.audio.samples)) / self.rate)
            for offset, piece in zip(self.offsets, self.pieces, strict=True)
        ]
        assigned: list[list[RawWord]] = [[] for _ in self.pieces]
        number = 0
        for word in words:
            if word.start < self.duration:
                number = max(number, _nearest(word, spans))
                span = spans[number]
                start, end = (min(max(time, span.start), span.end) - span.start for time in (word.start, word.end))
                assigned[number].append(replace(word, start=start, end=max(start, end)))
        return [PieceWords(piece, tuple(own)) for piece, own in zip(self.pieces, assigned, strict=True)]

    def after(self, time: float) -> Window | None:
        """The window from ``time`` seconds on, a piece cut in two where it lies inside; None where nothing is left."""
        first = round(time * self.rate)
        rest = [
            Piece(piece.clip, piece.audio.slice(max(first - offset, 0), len(piece.audio.samples)))
            for offset, piece in zip(self.offsets, self.pieces, strict=True)
            if offset + len(piece.audio.samples) > first
        ]
        return Window(tuple(rest), self.gap) if rest else None

    def alone(self) -> list[Window]:
        """Each piece as a window of its own."""
        return [Window((piece,), self.gap) for piece in self.pieces]


@dataclass(slots=True, eq=False)
class _OpenClip:
    """A clip whose words are being collected: ``pending`` of its pieces are not transcribed yet."""

    sound: Audio
    language: str | None
    pending: int
    evidence: VoiceEvidence | None = None
    seconds_by_language: dict[str, float] = field(default_factory=dict)
    words: list[RawWord] = field(default_factory=list)
    dropped: list[DroppedText] = field(default_factory=list)


class ClipAnswers:
    """Collects the words of pieces, which come in any order, into one answer per clip, in the order of the clips."""

    def __init__(self) -> None:
        self._open: dict[int, _OpenClip] = {}
        self._opened = self._answered = 0

    def open(self, sound: Audio, language: str | None, *, has_speech: bool) -> list[Piece]:
        """The pieces of the next clip that can hold a voice, none where it has no speech; ``sound`` is the clip without
        silent edges."""
        evidence = VoiceEvidence(sound) if has_speech else None
        pieces, dropped = list[Piece](), list[DroppedText]()
        for part in split(Piece(self._opened, sound)) if evidence is not None else ():
            start = part.audio.start - sound.start
            if evidence is not None and evidence.is_audible and evidence.between(start, start + part.audio.duration):
                pieces.append(part)
            else:
                dropped += without_voice(part.audio)
        self._open[self._opened] = _OpenClip(sound, language, len(pieces), evidence, dropped=dropped)
        self._opened += 1
        return pieces

    def add(self, words: Iterable[PieceWords]) -> None:
        """Words of pieces or of parts of them."""
        for piece_words in words:
            piece, clip = piece_words.piece, self._open[piece_words.piece.clip]
            offset = piece.audio.start - clip.sound.start
            clip.words += (replace(w, start=offset + w.start, end=offset + w.end) for w in piece_words.words)

    def set_language(self, pieces: Iterable[Piece], language: str | None) -> None:
        """The language of these pieces; that of a clip is the one of most of its time."""
        for piece in pieces:
            clip = self._open[piece.clip]
            if language is not None:
                seconds = clip.seconds_by_language.get(language, 0.0) + piece.audio.duration
                clip.seconds_by_language[language] = seconds
                clip.language = max(clip.seconds_by_language, key=clip.seconds_by_language.__getitem__)

    def drop(self, pieces: Iterable[Piece], reason: str, text: str) -> None:
        """A text of these pieces was dropped."""
        for piece in pieces:
            self._open[piece.clip].dropped.append(DroppedText(piece.audio.span, reason, text))

    def finish(self, pieces: Iterable[Piece]) -> None:
        """The pieces have all their words."""
        for piece in pieces:
            self._open[piece.clip].pending -= 1

    def ready(self) -> Iterator[ClipTranscript]:
        """The answers that are complete and whose turn it is, with words that can be true."""
        while (clip := self._open.get(self._answered)) is not None and not clip.pending:
            in_order = without_leading_pauses(sorted(clip.words, key=lambda word: word.start), clip.sound)
            words, dropped = guard_words(in_order, clip.sound, clip.evidence) if in_order else ((), ())
            del self._open[self._answered]
            self._answered += 1
            yield ClipTranscript(words, clip.language, tuple(sorted((*clip.dropped, *dropped))))


def pack(pieces: Iterable[Piece], *, longest: float = LONGEST, gap: float = GAP) -> Iterator[Window]:
    """The pieces in windows of at most ``longest`` seconds with ``gap`` seconds between them, in order, lazily.

    A piece longer than ``longest`` has a window to itself; so has every piece where ``longest`` is 0.
    """
    window: list[Piece] = []
    taken = 0.0
    for piece in pieces:
        length = piece.audio.duration
        if window and taken + gap + length > longest:
            yield Window(tuple(window), round(gap * piece.audio.rate))
            window, taken = [], 0.0
        taken += length + (gap if window else 0.0)
        window.append(piece)
    if window:
        yield Window(tuple(window), round(gap * window[0].audio.rate))


def split(piece: Piece, *, longest: float = LONGEST, most: float = 30.0) -> list[Piece]:
    """The piece, or where it is longer than ``most`` seconds parts of at most ``longest``, cut where it is quiet."""
    parts: list[Piece] = []
    audio = piece.audio
    while audio.duration > most:
        cut = audio.index(quietest_time(audio, Span(audio.clock(longest / 2), audio.clock(longest))))
        parts.append(Piece(piece.clip, audio.slice(0, cut)))
        audio = audio.slice(cut, len(audio.samples))
    return [*parts, Piece(piece.clip, audio)]


def _nearest(word: RawWord, spans: Sequence[Span]) -> int:
    """The number of the span that shares most time with the word; without any, of the one nearest to its middle."""
    shared = [min(word.end, span.end) - max(word.start, span.start) for span in spans]
    if max(shared) > 0.0:
        return shared.index(max(shared))
    middle = (word.start + word.end) / 2
    distances = [max(span.start - middle, middle - span.end, 0.0) for span in spans]
    return distances.index(min(distances))
