"""Words that are already written down: from an STM, CTM or SegLST file instead of from the sound.

Gives an existing transcript new speakers: a word goes to the clip that holds the middle of its time, whoever spoke it in
the file. Where two people speak at once, clips of both hold it. A clip then takes the words of that person of the file
whose speech fits it best in time, and of the others only what is said while that person is silent.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from meetsplit.pipeline.data import LATEST, Audio, ClipTranscript, Span, Word, decimal_sum, timeline
from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.events import EventListener
from meetsplit.pipeline.settings import Settings
from meetsplit.pipeline.transcribers.hallucinations import trim_silence

INSTANT = 1e-6
"""Seconds that a moment lasts where a stretch of time is asked for."""

PAUSE = 1.0
"""Seconds of silence inside one person's speech in the file that do not end it."""

ALTERNATIVES = re.compile(r"\{\s*([^/}]*?)\s*(?:/[^}]*)?\}")
"""STM's ``{ this / that }``: the first reading is taken."""

STM_LABEL = re.compile(r"^<[^>]*>$")
"""STM's optional field of conditions between the times and the words."""

UNSCORED = "IGNORE_TIME_SEGMENT_IN_SCORING"
"""What an STM or CTM file says in place of words where nobody wrote them down."""


@dataclass(frozen=True, slots=True)
class Line:
    """What ``voice``, a person or a channel of the file, says during ``span``; every word with its time."""

    span: Span
    voice: str
    words: tuple[Word, ...]


class _Voice:
    """One person of the file: the words by the middle of their times, and the stretches of speech."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._words = sorted((word for line in lines for word in line.words), key=_middle)
        self._middles = [_middle(word) for word in self._words]
        self._speech = timeline.support((line.span for line in lines), PAUSE)

    def fit(self, span: Span) -> float:
        """How well the speech that touches ``span`` fits it: shared time over the time of both together, 0 to 1."""
        near = timeline.during(self._speech, span)
        if not near:
            return 0.0
        shared = timeline.total(timeline.crop(near, span))
        return shared / (max(near[-1].end, span.end) - min(near[0].start, span.start))

    def words(self, span: Span) -> Sequence[Word]:
        """The words whose middle lies inside ``span``."""
        return self._words[bisect_left(self._middles, span.start) : bisect_left(self._middles, span.end)]

    def speaks(self, time: float) -> bool:
        """Whether the person speaks at ``time``."""
        return bool(timeline.during(self._speech, Span(time, time + INSTANT)))


class ScriptTranscriber:
    """Says what its script says at the time of each clip; of the sound it only minds whether there is any."""

    rate = 16000

    def __init__(self, lines: Sequence[Line], language: str | None = None, sha256: str | None = None) -> None:
        self.sha256 = sha256
        voices: dict[str, list[Line]] = {}
        for line in lines:
            voices.setdefault(line.voice, []).append(line)
        self._voices = [_Voice(voices[name]) for name in sorted(voices)]
        self._language = language

    @classmethod
    def load(cls, settings: Settings, weights: Mapping[str, Path], device: str) -> Self:
        """From the file ``settings.script``; ``weights`` and ``device`` do not matter. Raises `SettingsError`."""
        if settings.script is None:
            raise SettingsError("--transcriber script needs the words: add --script FILE")
        content = _content(settings.script)
        return cls(_lines(content, settings.script), settings.language, hashlib.sha256(content).hexdigest())

    def transcribe(self, clips: Iterable[Audio], on_event: EventListener) -> Iterator[ClipTranscript]:
        """The words whose middle lies inside each clip, in order, their times clamped to the clip."""
        for clip in clips:
            span = trim_silence(clip).span
            clamped = (
                Word(Span(max(w.span.start, span.start), min(w.span.end, span.end)), w.text, w.confidence)
                for w in self._said(span)
            )
            # By time and text alone: a word with a confidence and the same one without cannot be compared.
            yield ClipTranscript(tuple(sorted(clamped, key=lambda word: (word.span, word.text))), self._language)

    def _said(self, span: Span) -> Iterator[Word]:
        if not self._voices:
            return
        main = max(self._voices, key=lambda voice: voice.fit(span))
        for voice in self._voices:
            yield from (word for word in voice.words(span) if voice is main or not main.speaks(_middle(word)))


def read_script(path: Path) -> tuple[Word, ...]:
    """Every word in the file with its time, see `read_lines`."""
    return tuple(word for line in read_lines(path) for word in line.words)


def read_lines(path: Path) -> tuple[Line, ...]:
    """Every entry of the file with times for its words; entries without times for words have them spread by letters.

    The format is told by the extension ``.stm``, ``.ctm`` or ``.json`` (SegLST), otherwise by the content. Raises
    `SettingsError` for a file that cannot be read, whose lines make no sense, or that covers several recordings.
    """
    return _lines(_content(path), path)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"--script {path}: cannot be read: {error.strerror or error}") from error


def _lines(content: bytes, path: Path) -> tuple[Line, ...]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettingsError(f"--script {path}: cannot be read: it is not UTF-8 text") from error
    kind = path.suffix.lower()
    if kind == ".json" or (kind not in {".stm", ".ctm"} and text.lstrip()[:1] in {"[", "{"}):
        return _seglst(text, path)
    lines = [
        (f"{path}, line {n}", line.split())
        for n, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.startswith(";;")
    ]
    _one_recording((fields[0] for _, fields in lines), path)
    is_ctm = kind == ".ctm" or (
        kind != ".stm" and all(len(fields) in {5, 6} and _is_number(fields[2]) for _, fields in lines)
    )
    read = _ctm_line if is_ctm else _stm_line
    return tuple(read(fields, where) for where, fields in lines)


def spread(span: Span, texts: Sequence[str]) -> tuple[Word, ...]:
    """Words without times of their own, one after another over ``span``, each as long as its share of the letters.

    >>> [(word.text, word.span.start) for word in spread(Span(0.0, 9.0), ["we", "agree"])]
    [('we', 0.0), ('agree', 3.0)]
    """
    total = sum(len(text) + 1 for text in texts)
    words: list[Word] = []
    letters = 0
    for text in texts:
        start = span.start + span.duration * letters / total
        letters += len(text) + 1
        words.append(Word(Span(start, span.start + span.duration * letters / total), text))
    return tuple(words)


def _middle(word: Word) -> float:
    return (word.span.start + word.span.end) / 2


def _stm_line(fields: Sequence[str], where: str) -> Line:
    if len(fields) < 5:
        raise SettingsError(f"--script {where}: an STM line is: recording channel speaker start end words")
    span = _span(fields[3], fields[4], where)
    texts = fields[6:] if len(fields) > 5 and STM_LABEL.match(fields[5]) else fields[5:]
    said = ALTERNATIVES.sub(r"\1", " ".join(texts)).split()
    unscored = UNSCORED in (word.upper() for word in said)
    return Line(span, fields[2], () if unscored else spread(span, [word for word in said if word != "@"]))


def _ctm_line(fields: Sequence[str], where: str) -> Line:
    if len(fields) < 5:
        raise SettingsError(f"--script {where}: a CTM line is: recording channel start duration word [confidence]")
    start, duration = _number(fields[2], where), _number(fields[3], where)
    sure = min(max(_number(fields[5], where), 0.0), 1.0) if len(fields) > 5 and _is_number(fields[5]) else None
    span = _span(start, decimal_sum(start, duration), where)
    return Line(span, fields[1], (Word(span, fields[4], sure),))


def _seglst(text: str, path: Path) -> tuple[Line, ...]:
    try:
        return _seglst_lines(json.loads(text), path)
    except RecursionError as error:
        raise SettingsError(f"--script {path}: is not SegLST: its lists and objects are nested too deeply") from error
    except ValueError as error:
        raise SettingsError(f"--script {path}: is not valid JSON: {error}") from error


def _seglst_lines(entries: Any, path: Path) -> tuple[Line, ...]:
    needed = {"start_time", "end_time", "words"}
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and needed <= entry.keys() for entry in entries
    ):
        raise SettingsError(f"--script {path}: is not SegLST, a list of entries with start_time, end_time and words")
    _one_recording((str(entry.get("session_id", "")) for entry in entries), path)
    lines: list[Line] = []
    for number, entry in enumerate(entries, 1):
        span = _span(entry["start_time"], entry["end_time"], f"{path}, entry {number}")
        lines.append(Line(span, str(entry.get("speaker", "")), spread(span, str(entry["words"]).split())))
    return tuple(lines)


def _one_recording(names: Iterable[str], path: Path) -> None:
    found = sorted(set(names))
    if len(found) > 1:
        raise SettingsError(
            f"--script {path}: holds the words of {len(found)} recordings ({', '.join(found[:5])}): keep one of them"
        )


def _span(start: object, end: object, where: str) -> Span:
    first, last = _number(start, where), _number(end, where)
    if not 0.0 <= first <= last <= LATEST:
        raise SettingsError(f"--script {where}: needs 0 <= start <= end in seconds, not {first:g}–{last:g}")
    return Span(first, last)


def _number(text: object, where: str) -> float:
    if not _is_number(text):
        raise SettingsError(f"--script {where}: {text!r} is no time in seconds")
    return float(str(text))


def _is_number(text: object) -> bool:
    try:
        return isinstance(text, str | int | float) and math.isfinite(float(str(text)))
    except ValueError:
        return False
