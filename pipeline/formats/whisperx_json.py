"""Transcripts that WhisperX and openai-whisper wrote, as values of ours.

What they leave out is filled in plainly: a word without times lies between its neighbours, in proportion to its
letters; a segment without words gets its text's; a word without a speaker has its segment's, and a segment without one has
``UNKNOWN``; a segment whose words have several speakers becomes one segment per run. Turns are where the segments are.
"""

from __future__ import annotations

import itertools
from pathlib import PurePath

from meetsplit.pipeline.data import Provenance, Segment, Span, Speaker, Transcript, Turn, Word, join_words
from meetsplit.pipeline.data.timeline import by_speaker
from meetsplit.pipeline.formats.json_node import Node

UNKNOWN = "UNKNOWN"
"""The speaker of what nobody attributed."""


def foreign(document: Node) -> Transcript:
    """The transcript in JSON of WhisperX (``score``) or openai-whisper (``probability``). Raises `SettingsError` as `Node` does."""
    language = document.get("language").text_or_none()
    found = [segment for node in document["segments"].items() for segment in _segments(node, language)]
    segments = tuple(sorted(found, key=lambda segment: segment.span))
    turns = by_speaker(Turn(segment.span, segment.speaker) for segment in segments)
    return Transcript(
        recording=PurePath(document.origin).stem,
        duration=max((segment.span.end for segment in segments), default=0.0),
        segments=segments,
        turns=tuple(sorted(Turn(span, speaker) for speaker, spans in turns.items() for span in spans)),
        made_by=Provenance("unknown: read from JSON of another program"),
    )


def _segments(node: Node, language: str | None) -> list[Segment]:
    whole = node.span()
    speaker = node["speaker"].text() if "speaker" in node else UNKNOWN
    if "words" in node and node["words"].items():
        words = [word for word in node["words"].items() if word["word"].text().strip()]
        timed = _timed([word["word"].text().strip() for word in words], [_times(word) for word in words], whole)
        scores = [word.get("score" if "score" in word else "probability").number_or_none() for word in words]
        labels = [word["speaker"].text() if "speaker" in word else speaker for word in words]
    else:
        texts = _split(node["text"].text())
        timed = _timed(texts, [None] * len(texts), whole)
        scores, labels = [None] * len(texts), [speaker] * len(texts)
    spoken = [
        (label, Word(span, text, score)) for label, (text, span), score in zip(labels, timed, scores, strict=True)
    ]
    runs: list[tuple[Speaker, tuple[Word, ...]]] = []
    for label, run in itertools.groupby(spoken, key=lambda pair: pair[0]):
        runs.append((label, tuple(word for _, word in run)))
    return [Segment(label, run, language) for label, run in runs]


def _times(word: Node) -> Span | None:
    return word.span() if "start" in word and "end" in word else None


def _timed(texts: list[str], times: list[Span | None], whole: Span) -> list[tuple[str, Span]]:
    """Every word with a span: known spans stay, runs without times fill the room between their neighbours."""
    timed: list[tuple[str, Span]] = []
    at = whole.start
    for known, run in itertools.groupby(range(len(texts)), key=lambda index: times[index] is not None):
        indices = list(run)
        if known:
            timed += [(texts[i], span) for i in indices if (span := times[i]) is not None]
            at = max(at, timed[-1][1].end)
            continue
        following = times[indices[-1] + 1] if indices[-1] + 1 < len(texts) else None
        timed += _filled([texts[i] for i in indices], Span(at, max(at, following.start if following else whole.end)))
    return timed


def _filled(texts: list[str], room: Span) -> list[tuple[str, Span]]:
    letters = sum(len(text) for text in texts)
    edges = [room.start + room.duration * part / letters for part in itertools.accumulate(map(len, texts), initial=0)]
    edges = [min(edge, room.end) for edge in edges]
    return [(text, Span(start, end)) for text, (start, end) in zip(texts, itertools.pairwise(edges), strict=True)]


def _split(text: str) -> list[str]:
    """A text's words; in scripts without blanks, its letters.

    >>> _split("今日は ok")
    ['今', '日', 'は', 'ok']
    """
    words: list[str] = []
    for part in text.split():
        alone = len(join_words((part[:1], part[:1]))) == 2 and len(part) > 1
        words += list(part) if alone else [part]
    return words
