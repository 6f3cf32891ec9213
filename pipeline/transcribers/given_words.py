"""Transcriber that takes its words from an STM, CTM or SegLST file.

Gives an existing transcript new speakers: a word goes to the clip that holds the middle of its time, whatever speaker
the file gives. Where two people speak at once, clips of both hold it. A clip then takes the words of that speaker of
the file whose speech fits it best in time, and of the others only what is said while that speaker is silent.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Self

from meetsplit.pipeline.data import Audio, ClipTranscript, Span, Word, timeline
from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.events import EventListener
from meetsplit.pipeline.formats import ctm, seglst, stm
from meetsplit.pipeline.formats.fields import FormatError, data_lines, is_number
from meetsplit.pipeline.formats.json_node import load
from meetsplit.pipeline.formats.untimed_words import spread
from meetsplit.pipeline.settings import Settings
from meetsplit.pipeline.transcribers.hallucinations import trim_silence

INSTANT = 1e-6
"""Seconds that a moment lasts where a stretch of time is asked for."""

PAUSE = 1.0
"""Seconds of silence inside one speaker's speech in the file that do not end it."""

SEGLST_KEYS = ("start_time", "end_time", "words")
"""The keys that a SegLST segment needs here."""

_LAYOUTS = {
    "stm": "an STM line is: recording channel speaker start end words",
    "ctm": "a CTM line is: recording channel start duration word [confidence]",
    "seglst": "is not SegLST, a list of entries with start_time, end_time and words",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the file: the words of ``speaker`` (a person, or a channel) during ``span``, each with its time."""

    span: Span
    speaker: str
    words: tuple[Word, ...]


class _Speech:
    """When each speaker of the file speaks. Speakers are numbers; a speaker's own stretches are sorted and disjoint.

    What shares time with a span is found in a binary tree over all stretches by start whose nodes know the latest end
    below them (an interval tree): in logarithmic time for each stretch found, however many speakers there are.
    """

    def __init__(self, spans_by_speaker: Sequence[Iterable[Span]]) -> None:
        self._own = [timeline.support(spans, PAUSE) for spans in spans_by_speaker]
        stretches = ((span, speaker) for speaker, spans in enumerate(self._own) for span in spans)
        self._stretches = sorted(stretches, key=lambda stretch: stretch[0].start)
        self._leaves = 1
        while self._leaves < len(self._stretches):
            self._leaves *= 2
        self._latest_ends = [float("-inf")] * (2 * self._leaves)
        for number, (span, _) in enumerate(self._stretches):
            self._latest_ends[self._leaves + number] = span.end
        for node in range(self._leaves - 1, 0, -1):
            self._latest_ends[node] = max(self._latest_ends[2 * node], self._latest_ends[2 * node + 1])

    def active(self, speaker: int, time: float) -> bool:
        """Whether the speaker speaks at ``time``."""
        return bool(timeline.during(self._own[speaker], Span(time, time + INSTANT)))

    def best_fit(self, span: Span) -> int:
        """The speaker whose speech that touches ``span`` fits it best; the first of equal ones.

        The fit is the time that both share over the time of both together, 0 to 1.
        """
        best, best_speaker = 0.0, 0
        touching = sorted((speaker, stretch) for stretch, speaker in self._touching(span))
        for speaker, group in groupby(touching, key=itemgetter(0)):
            stretches = [stretch for _, stretch in group]
            shared = timeline.total(timeline.crop(stretches, span))
            fit = shared / (max(stretches[-1].end, span.end) - min(stretches[0].start, span.start))
            if fit > best:
                best, best_speaker = fit, speaker
        return best_speaker

    def _touching(self, span: Span) -> Iterator[tuple[Span, int]]:
        """The stretches that share time with ``span``."""
        nodes = [1]
        while nodes:
            node = nodes.pop()
            if self._latest_ends[node] <= span.start:
                continue
            if node < self._leaves:
                nodes += (2 * node + 1, 2 * node)
                continue
            stretch = self._stretches[node - self._leaves]
            if stretch[0].start >= span.end:  # leaves come in order of start: the rest begins later still
                return
            yield stretch


class GivenWordsTranscriber:
    """The words of a file at the time of each clip; of the sound, only its silent edges matter."""

    rate = 16000

    def __init__(self, entries: Sequence[Entry], language: str | None = None, sha256: str | None = None) -> None:
        self.sha256 = sha256
        self._language = language
        by_speaker: dict[str, list[Entry]] = {}
        for entry in entries:
            by_speaker.setdefault(entry.speaker, []).append(entry)
        speakers = [by_speaker[name] for name in sorted(by_speaker)]
        self._speech = _Speech([[entry.span for entry in own] for own in speakers])
        words = [(number, word) for number, own in enumerate(speakers) for entry in own for word in entry.words]
        self._words = sorted(words, key=lambda numbered: _middle(numbered[1]))
        self._middles = [_middle(word) for _, word in self._words]

    @classmethod
    def load(cls, settings: Settings, weights: Mapping[str, Path], device: str) -> Self:
        """From the file ``settings.script``; ``weights`` and ``device`` do not matter. Raises `SettingsError`."""
        if settings.script is None:
            raise SettingsError("--transcriber script needs the words: add --script FILE")
        content = _content(settings.script)
        return cls(_entries(content, settings.script), settings.language, hashlib.sha256(content).hexdigest())

    def transcribe(self, clips: Iterable[Audio], on_event: EventListener) -> Iterator[ClipTranscript]:
        """The words whose middle lies inside each clip, in order, their times clamped to the clip."""
        for clip in clips:
            span = trim_silence(clip).span
            clamped = (
                Word(Span(max(w.span.start, span.start), min(w.span.end, span.end)), w.text, w.confidence)
                for w in self._words_for(span)
            )
            # By time and text alone: a word with a confidence and the same one without cannot be compared.
            yield ClipTranscript(tuple(sorted(clamped, key=lambda word: (word.span, word.text))), self._language)

    def _words_for(self, span: Span) -> list[Word]:
        """The words of the best speaker inside ``span``, and those of others while that one is silent; by speaker."""
        inside = self._words[bisect_left(self._middles, span.start) : bisect_left(self._middles, span.end)]
        if not inside:
            return []
        best = self._speech.best_fit(span)
        return [
            word
            for speaker, word in sorted(inside, key=itemgetter(0))
            if speaker == best or not self._speech.active(best, _middle(word))
        ]


def read_entries(path: Path) -> tuple[Entry, ...]:
    """Every entry of the file with times for its words; words without times share their entry's (`untimed_words`).

    The format is told by the extension ``.stm``, ``.ctm`` or ``.json`` (SegLST), otherwise by the content. Raises
    `SettingsError` for a file that cannot be read, whose lines make no sense, or that covers several recordings.
    """
    return _entries(_content(path), path)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"--script {path}: cannot be read: {error.strerror or error}") from error


def _entries(content: bytes, path: Path) -> tuple[Entry, ...]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettingsError(f"--script {path}: cannot be read: it is not UTF-8 text") from error
    kind = _format_of(text, path)
    try:
        match kind:
            case "seglst":
                recordings, entries = _seglst_entries(_json(text, path), path)
            case "ctm":
                recordings, entries = _ctm_entries(text)
            case _:
                recordings, entries = _stm_entries(text)
    except FormatError as error:
        raise SettingsError(f"--script {path}{_complaint(error, kind)}") from error
    if len(recordings) > 1:
        names = ", ".join(sorted(recordings)[:5])
        raise SettingsError(
            f"--script {path}: holds the words of {len(recordings)} recordings ({names}): keep one of them"
        )
    return entries


def _format_of(text: str, path: Path) -> str:
    """``seglst``, ``ctm`` or ``stm``."""
    suffix = path.suffix.lower()
    if suffix == ".json" or (suffix not in {".stm", ".ctm"} and text.lstrip()[:1] in {"[", "{"}):
        return "seglst"
    if suffix in {".stm", ".ctm"}:
        return suffix.removeprefix(".")
    lines = [line.split() for _, line in data_lines(text)]
    return "ctm" if all(len(fields) in {5, 6} and is_number(fields[2]) for fields in lines) else "stm"


def _stm_entries(text: str) -> tuple[set[str], tuple[Entry, ...]]:
    lines = list(stm.read(text))
    entries = (Entry(line.span, line.speaker, spread(stm.first_reading(line.text), line.span)) for line in lines)
    return {line.recording for line in lines}, tuple(entries)


def _ctm_entries(text: str) -> tuple[set[str], tuple[Entry, ...]]:
    lines = list(ctm.read(text))
    entries = (Entry(line.word.span, line.channel, (line.word,)) for line in lines)
    return {line.recording for line in lines}, tuple(entries)


def _seglst_entries(document: Any, path: Path) -> tuple[set[str], tuple[Entry, ...]]:
    if not isinstance(document, list):
        raise SettingsError(f"--script {path}: {_LAYOUTS['seglst']}")
    segments = list(seglst.read(document, SEGLST_KEYS))
    entries = (Entry(s.span, s.speaker or "", spread(s.words.split(), s.span)) for s in segments)
    return {segment.recording or "" for segment in segments}, tuple(entries)


def _json(text: str, path: Path) -> Any:
    try:
        return load(text)
    except RecursionError as error:
        raise SettingsError(f"--script {path}: is not SegLST: its lists and objects are nested too deeply") from error
    except ValueError as error:
        raise SettingsError(f"--script {path}: is not valid JSON: {error}") from error


def _complaint(error: FormatError, kind: str) -> str:
    """What follows the file's name in the sentence about a line or an entry."""
    where = f", {'entry' if kind == 'seglst' else 'line'} {error.number}: "
    if error.problem == "number":
        return where + f"{error.value!r} is no time in seconds"
    if error.problem == "order":
        start, end = error.span
        return where + f"needs 0 <= start <= end in seconds, not {start:g}–{end:g}"
    return f": {_LAYOUTS[kind]}" if kind == "seglst" else where + _LAYOUTS[kind]


def _middle(word: Word) -> float:
    return (word.span.start + word.span.end) / 2
