"""What do JSON files say? SegLST, our own and WhisperX's JSON, and openai-whisper's, as accounts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from meetsplit.pipeline.data import Span, Turn, Word, join_words
from meetsplit.pipeline.errors import ScoreError
from meetsplit.scoring.lines import number_in, span_of
from meetsplit.scoring.sessions import ONE_SPEAKER, Session, Utterance, make_session

SEGLST_KEYS = ("session_id", "speaker", "start_time", "end_time", "words")


def read_json(text: str, source: str, stem: str) -> dict[str, Session]:
    """The accounts in a JSON file; ``stem`` names a recording whose file does not. Raises `ScoreError`."""
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise ScoreError(f"{source}, line {error.lineno}: not valid JSON: {error.msg}") from error
    except ValueError as error:  # a number of thousands of digits
        raise ScoreError(f"{source}: not usable JSON: {' '.join(str(error).split())}") from error
    if isinstance(content, list):
        return _seglst(content, source)
    if isinstance(content, Mapping) and isinstance(content.get("segments"), list):
        return {str(content.get("recording") or stem): _transcript(content, source, stem)}
    raise ScoreError(
        f"{source}: neither a transcript (an object with 'segments', as meetsplit, WhisperX and whisper write it) "
        "nor SegLST (a list of segments)"
    )


def _seglst(entries: Sequence[object], source: str) -> dict[str, Session]:
    found: dict[str, list[Utterance]] = {}
    for number, entry in enumerate(entries, 1):
        where = f"{source}, segment {number}"
        if not isinstance(entry, Mapping):
            raise ScoreError(f"{where}: a SegLST segment is an object with {', '.join(SEGLST_KEYS)}")
        missing = [key for key in SEGLST_KEYS if key not in entry]
        if missing:
            raise ScoreError(f"{where}: {' and '.join(missing)} missing: a SegLST segment has {', '.join(SEGLST_KEYS)}")
        span = _span(entry["start_time"], entry["end_time"], where)
        if not isinstance(entry["words"], str):
            raise ScoreError(f"{where}: 'words' is the segment's text, one string")
        found.setdefault(str(entry["session_id"]), []).append(Utterance(span, str(entry["speaker"]), entry["words"]))
    return {name: make_session(name, source, utterances) for name, utterances in found.items()}


def _transcript(content: Mapping[str, Any], source: str, stem: str) -> Session:
    notices: list[str] = []
    segments = [_mapping(segment, f"{source}, segment {n}") for n, segment in enumerate(content["segments"], 1)]
    utterances = [_utterance(segment, f"{source}, segment {n}") for n, segment in enumerate(segments, 1)]
    untimed = sum(
        1 for segment in segments for word in segment.get("words") or () if "start" not in word or "end" not in word
    )
    if untimed:
        notices.append(f"{source}: {untimed} words have no time of their own; each is placed between its neighbours")
    if any(not u.words and u.text.strip() for u in utterances) and any(u.words for u in utterances):
        notices.append(
            f"{source}: some segments have no word times; all words are placed by their segment's times and their length"
        )
    if segments and not any(_speaker(segment) for segment in segments):
        notices.append(f"{source}: names no speakers, so all its words count as one person's")
    turns = None
    if isinstance(content.get("turns"), list):
        turns = [
            _turn(_mapping(turn, f"{source}, turn {n}"), f"{source}, turn {n}")
            for n, turn in enumerate(content["turns"], 1)
        ]
    name, language = str(content.get("recording") or stem), content.get("language")
    return make_session(
        name, source, utterances, turns=turns, language=language if isinstance(language, str) else None, notices=notices
    )


def _utterance(segment: Mapping[str, Any], where: str) -> Utterance:
    span = _span(segment.get("start"), segment.get("end"), where)
    given = [_mapping(word, f"{where}, word {n}") for n, word in enumerate(_words(segment, where), 1)]
    texts = [str(word.get("word", word.get("text", ""))).strip() for word in given]
    text = segment.get("text")
    words = _placed([(word, spoken) for word, spoken in zip(given, texts, strict=True) if spoken], span, where)
    return Utterance(
        span, _speaker(segment) or ONE_SPEAKER, join_words(texts) if text is None else str(text).strip(), words
    )


def _words(segment: Mapping[str, Any], where: str) -> Sequence[object]:
    words = segment.get("words") or ()
    if not isinstance(words, list | tuple):
        raise ScoreError(f"{where}: 'words' is a list of words with their times, not {str(words)[:40]!r}")
    return words


def _placed(words: Sequence[tuple[Mapping[str, Any], str]], within: Span, where: str) -> tuple[Word, ...]:
    """The words with their times; runs of words without share the gap between the timed ones around them evenly."""
    known = [_own_span(word, f"{where}, word {n}") for n, (word, _) in enumerate(words, 1)]
    if all(span is None for span in known):
        return ()
    placed: list[Word] = []
    at = 0
    while at < len(known):
        own = known[at]
        if own is not None:
            placed.append(Word(own, words[at][1]))
            at += 1
            continue
        stop = next((n for n in range(at, len(known)) if known[n] is not None), len(known))
        after = known[stop] if stop < len(known) else None
        start = placed[-1].span.end if placed else within.start
        end = max(start, after.start if after is not None else within.end)
        step = (end - start) / (stop - at)
        placed += [
            Word(Span(start + n * step, max(start + n * step, min(end, start + (n + 1) * step))), words[at + n][1])
            for n in range(stop - at)
        ]
        at = stop
    return tuple(placed)


def _own_span(word: Mapping[str, Any], where: str) -> Span | None:
    if word.get("start") is None or word.get("end") is None:
        return None
    return _span(word["start"], word["end"], where)


def _turn(turn: Mapping[str, Any], where: str) -> Turn:
    return Turn(_span(turn.get("start"), turn.get("end"), where), _speaker(turn) or ONE_SPEAKER)


def _speaker(entry: Mapping[str, Any]) -> str | None:
    speaker = entry.get("speaker")
    return None if speaker is None else str(speaker)


def _span(start: object, end: object, where: str) -> Span:
    return span_of(number_in(start, where, "start"), number_in(end, where, "end"), where)


def _mapping(entry: object, where: str) -> Mapping[str, Any]:
    if not isinstance(entry, Mapping):
        raise ScoreError(f"{where}: an object was expected, not {str(entry)[:40]!r}")
    return entry
