"""JSON of WhisperX and openai-whisper, which is only read.

    segments[start, end, text, speaker, words[word, start, end, score, speaker]]

meetsplit's own JSON is a superset and is read by the same `read_segments`. As a transcript (`read`), what these
programs leave out is filled in: a word without times lies between its neighbours (`untimed_words`); a segment without
words gets its text's; a word without a speaker has its segment's, and a segment without one has ``UNKNOWN``; a
segment whose words have several speakers becomes one segment per run. Turns are where the segments are.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import PurePath

from meetsplit.pipeline.data import Provenance, Segment, Span, Speaker, Transcript, Turn, Word, join_words
from meetsplit.pipeline.data.timeline import by_speaker
from meetsplit.pipeline.formats.json_node import Node
from meetsplit.pipeline.formats.untimed_words import fill_gaps

UNKNOWN = "UNKNOWN"
"""The speaker of segments without one."""


@dataclass(frozen=True, slots=True)
class JsonWord:
    """A word as written: ``span`` and ``speaker`` are None where the file gives none."""

    node: Node
    text: str
    span: Span | None
    speaker: Speaker | None

    @property
    def score(self) -> float | None:
        """The confidence: WhisperX's ``score`` or openai-whisper's ``probability``.

        Raises `NodeError` for another kind.
        """
        return self.node.get("score" if "score" in self.node else "probability").number_or_none()


@dataclass(frozen=True, slots=True)
class JsonSegment:
    """A segment as written: ``speaker`` and ``text`` are None where the file gives none."""

    node: Node
    span: Span
    speaker: Speaker | None
    text: str | None
    words: tuple[JsonWord, ...]


def read_segments(document: Node) -> list[JsonSegment]:
    """The segments of a document in their order. Raises `NodeError` with the address of what is wrong."""
    return [_segment(node) for node in document["segments"].items()]


def _segment(node: Node) -> JsonSegment:
    words = tuple(_word(word) for word in node["words"].items()) if "words" in node else ()
    return JsonSegment(node, node.span(), _speaker(node), node.get("text").text_or_none(), words)


def _word(node: Node) -> JsonWord:
    text = node.get("text") if "text" in node and "word" not in node else node["word"]
    span = node.span() if "start" in node and "end" in node else None
    return JsonWord(node, text.text(), span, _speaker(node))


def _speaker(node: Node) -> Speaker | None:
    return str(node["speaker"].value) if "speaker" in node else None


def read(document: Node) -> Transcript:
    """The transcript in JSON of WhisperX or openai-whisper. Raises `NodeError`."""
    language = document.get("language").text_or_none()
    runs = [run for segment in read_segments(document) for run in _segments_by_speaker(segment, language)]
    segments = tuple(sorted(runs, key=lambda segment: segment.span))
    turns = by_speaker(Turn(segment.span, segment.speaker) for segment in segments)
    return Transcript(
        recording=PurePath(document.origin).stem,
        duration=max((segment.span.end for segment in segments), default=0.0),
        segments=segments,
        turns=tuple(sorted(Turn(span, speaker) for speaker, spans in turns.items() for span in spans)),
        made_by=Provenance("unknown: read from JSON of another program"),
    )


def _segments_by_speaker(segment: JsonSegment, language: str | None) -> list[Segment]:
    """A segment per run of words of one speaker."""
    speaker = segment.speaker if segment.speaker is not None else UNKNOWN
    words = [word for word in segment.words if word.text.strip()]
    if segment.words:
        texts = [word.text.strip() for word in words]
        timed = fill_gaps(texts, [word.span for word in words], segment.span)
        scored = [Word(time.span, time.text, word.score) for time, word in zip(timed, words, strict=True)]
        speakers = [word.speaker if word.speaker is not None else speaker for word in words]
    else:
        texts = split_words(segment.node["text"].text())
        scored = list(fill_gaps(texts, [None] * len(texts), segment.span))
        speakers = [speaker] * len(texts)
    runs = itertools.groupby(zip(speakers, scored, strict=True), key=lambda pair: pair[0])
    return [Segment(label, tuple(word for _, word in run), language) for label, run in runs]


def split_words(text: str) -> list[str]:
    """A text's words; in scripts without blanks, its letters.

    >>> split_words("今日は ok")
    ['今', '日', 'は', 'ok']
    """
    words: list[str] = []
    for part in text.split():
        letters_stand_alone = len(part) > 1 and len(join_words((part[0], part[0]))) == 2
        words += list(part) if letters_stand_alone else [part]
    return words
