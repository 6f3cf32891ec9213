"""Sessions read from files: RTTM, STM, SegLST, and transcripts in JSON of meetsplit, WhisperX and openai-whisper; UEM.

The formats' own readers (`meetsplit.pipeline.formats`) do the reading; what is wrong in a file becomes a `ScoreError`
with the line or the segment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from meetsplit.pipeline.data import Span, Turn, join_words
from meetsplit.pipeline.data.timeline import merge_turns
from meetsplit.pipeline.errors import ScoreError
from meetsplit.pipeline.formats import meetsplit_json, rttm, seglst, stm, uem, whisperx_json
from meetsplit.pipeline.formats.fields import FormatError, data_lines, is_number
from meetsplit.pipeline.formats.json_node import Node, NodeError, load
from meetsplit.pipeline.formats.untimed_words import fill_gaps
from meetsplit.scoring.sessions import ONE_SPEAKER, Session, Utterance, make_session

_FROM_BEGINNING = "times are seconds from the recording's beginning"
_FROM_ITS_BEGINNING = "times are seconds from its beginning"
_LAYOUTS = {
    "rttm": "a SPEAKER line has 9 or 10 fields (SPEAKER file channel start duration <NA> <NA> name …), here are {}",
    "stm": "an STM line is 'file channel speaker start end text', here are {} fields",
    "uem": "a UEM line is 'file channel start end', here are {} fields",
}


def read_sessions(path: Path) -> tuple[Session, ...]:
    """Every session in one file: RTTM, STM, SegLST, or a transcript as meetsplit, WhisperX or whisper writes it.

    The format is known by the extension ``.rttm`` or ``.stm``, otherwise by the content. A file with one recording may
    call it otherwise than the file is called; `pairing.pair_up` tries both. Raises `ScoreError`.
    """
    text, source = _text(path), str(path)
    file_format = _format_of(text, path)
    match file_format:
        case "rttm":
            sessions = _rttm_sessions(text, source)
        case "stm":
            sessions = _stm_sessions(text, source)
        case "json":
            sessions = _json_sessions(text, source, path.stem)
        case _:
            problem = "has an unknown format" if text.strip() else "is empty"
            raise ScoreError(
                f"{source} {problem}: give RTTM, STM, SegLST or a transcript in JSON (meetsplit, WhisperX, whisper)"
            )
    return sessions or (Session(path.stem, source, (), (), has_words=file_format != "rttm"),)


def read_uem(path: Path) -> dict[str, tuple[Span, ...]]:
    """The stretches to score from a UEM file, by recording. Raises `ScoreError`."""
    text, source = _text(path), str(path)
    spans: dict[str, list[Span]] = {}
    with _score_errors(source, "uem"):
        for line in uem.read(text):
            spans.setdefault(line.recording, []).append(line.span)
    return {recording: tuple(sorted(stretches)) for recording, stretches in spans.items()}


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise ScoreError(f"{path} is not text in UTF-8: give RTTM, STM, SegLST or a transcript in JSON") from error
    except OSError as error:
        raise ScoreError(f"{path} cannot be read: {error.strerror}") from error


def _format_of(text: str, path: Path) -> str | None:
    """``rttm``, ``stm`` or ``json``; None for an unknown format."""
    suffix = path.suffix.lower()
    if suffix in (".rttm", ".stm"):
        return suffix.removeprefix(".")
    if text.lstrip()[:1] in ("{", "["):
        return "json"
    first = next((line for _, line in data_lines(text)), "")
    fields = first.split()
    if len(fields) >= rttm.LEAST_FIELDS and fields[0] in rttm.TYPES:
        return "rttm"
    if len(fields) >= stm.LEAST_FIELDS and all(re.fullmatch(r"-?\d+(\.\d*)?", field) for field in fields[3:5]):
        return "stm"
    return None


def _rttm_sessions(text: str, source: str) -> tuple[Session, ...]:
    turns: dict[str, list[Turn]] = {}
    with _score_errors(source, "rttm"):
        for line in rttm.read(text):
            if line.type.upper() not in rttm.TYPES:
                raise ScoreError(
                    f"{source}, line {line.number}: an RTTM line begins with a type such as SPEAKER, "
                    f"not {line.type[:40]!r}"
                )
            if line.turn is not None:
                turns.setdefault(line.recording, []).append(line.turn)
    return tuple(Session(name, source, (), merge_turns(spoken), has_words=False) for name, spoken in turns.items())


def _stm_sessions(text: str, source: str) -> tuple[Session, ...]:
    utterances: dict[str, list[Utterance]] = {}
    with _score_errors(source, "stm"):
        for line in stm.read(text):
            lines = utterances.setdefault(line.recording, [])
            if line.speaker != stm.GAP:
                lines.append(Utterance(line.span, line.speaker, line.text))
    return tuple(make_session(name, source, spoken) for name, spoken in utterances.items())


def _json_sessions(text: str, source: str, stem: str) -> tuple[Session, ...]:
    """The sessions in a JSON file; ``stem`` names a recording that the file does not name."""
    content = _json(text, source)
    if isinstance(content, list):
        return _seglst_sessions(content, source)
    if isinstance(content, dict) and isinstance(content.get("segments"), list):
        try:
            return (_transcript_session(Node(content, source), stem),)
        except NodeError as error:
            raise ScoreError(f"{source}, {_node_complaint(error)}") from error
    raise ScoreError(
        f"{source}: neither a transcript (an object with 'segments', as meetsplit, WhisperX and whisper write it) "
        "nor SegLST (a list of segments)"
    )


def _json(text: str, source: str) -> Any:
    try:
        return load(text)
    except json.JSONDecodeError as error:
        raise ScoreError(f"{source}, line {error.lineno}: not valid JSON: {error.msg}") from error
    except RecursionError as error:
        raise ScoreError(f"{source}: no transcript: its lists and objects are nested too deeply") from error
    except ValueError as error:  # a number of thousands of digits
        raise ScoreError(f"{source}: not usable JSON: {' '.join(str(error).split())}") from error


def _seglst_sessions(entries: list[Any], source: str) -> tuple[Session, ...]:
    utterances: dict[str, list[Utterance]] = {}
    try:
        for segment in seglst.read(entries):
            utterance = Utterance(segment.span, str(segment.speaker), segment.words)
            utterances.setdefault(str(segment.recording), []).append(utterance)
    except FormatError as error:
        raise ScoreError(f"{source}, segment {error.number}: {_entry_complaint(error)}") from error
    return tuple(make_session(name, source, spoken) for name, spoken in utterances.items())


def _transcript_session(document: Node, stem: str) -> Session:
    source = document.origin
    segments = whisperx_json.read_segments(document)
    utterances = [_utterance(segment) for segment in segments]
    notices: list[str] = []
    untimed = sum(word.span is None for segment in segments for word in segment.words)
    if untimed:
        notices.append(f"{source}: {untimed} words have no time of their own; each is placed between its neighbours")
    if any(not u.words and u.text.strip() for u in utterances) and any(u.words for u in utterances):
        notices.append(
            f"{source}: some segments have no word times; "
            "all words are placed by their segment's times and their length"
        )
    if segments and not any(segment.speaker for segment in segments):
        notices.append(f"{source}: names no speakers, so all its words count as one person's")
    language = document.get("language").value
    return make_session(
        str(document.get("recording").value or stem),
        source,
        utterances,
        turns=meetsplit_json.read_turns(document) if isinstance(document.get("turns").value, list) else None,
        language=language if isinstance(language, str) else None,
        notices=notices,
    )


def _utterance(segment: whisperx_json.JsonSegment) -> Utterance:
    texts = [word.text.strip() for word in segment.words]
    text = join_words(texts) if segment.text is None else segment.text.strip()
    spoken = [word for word in segment.words if word.text.strip()]
    times = [word.span for word in spoken]
    # Where no word has a time, none gets one here: normalised words then share the utterance's time.
    timed = any(time is not None for time in times)
    words = fill_gaps([word.text.strip() for word in spoken], times, segment.span) if timed else ()
    return Utterance(segment.span, segment.speaker or ONE_SPEAKER, text, words)


@contextmanager
def _score_errors(source: str, file_format: str) -> Iterator[None]:
    """Raise what is wrong in a line as `ScoreError`."""
    try:
        yield
    except FormatError as error:
        layout = _LAYOUTS[file_format].format(len(error.entry))
        complaint = layout if error.problem == "fields" else _time_complaint(error)
        raise ScoreError(f"{source}, line {error.number}: {complaint}") from error


def _entry_complaint(error: FormatError) -> str:
    """The sentence about a SegLST segment."""
    if error.problem != "fields":
        return _time_complaint(error)
    if error.name == "words":
        return "'words' is the segment's text, one string"
    keys = ", ".join(seglst.KEYS)
    if not isinstance(error.entry, Mapping):
        return f"a SegLST segment is an object with {keys}"
    missing = " and ".join(key for key in seglst.KEYS if key not in error.entry)
    return f"{missing} missing: a SegLST segment has {keys}"


def _time_complaint(error: FormatError) -> str:
    return _no_number(error.name, error.value) if error.problem == "number" else _bad_order(*error.span)


def _no_number(name: str, value: object) -> str:
    if value is None:
        return f"the {name} is missing: {_FROM_BEGINNING}"
    return f"the {name} is {str(value)[:40]!r}, not a number of seconds"


def _bad_order(start: float, end: float) -> str:
    if start < 0:
        return f"starts at {start:g} s, before the recording: {_FROM_ITS_BEGINNING}"
    if end < start:
        return f"ends at {end:g} s, before it starts at {start:g} s"
    return f"ends at {end:g} s: no recording lasts so long; {_FROM_ITS_BEGINNING}"


def _node_complaint(error: NodeError) -> str:
    """The place and the sentence about a value in a transcript.

    ``segments[0].words[1].start`` is ``segment 1, word 2``.
    """
    path, value = error.node.path, error.node.value
    steps = re.findall(r"([^.\[\]]+)\[(\d+)\]", path)
    where = ", ".join(f"{name.removesuffix('s')} {int(number) + 1}" for name, number in steps)
    return f"{where}: {_value_complaint(error, path.rpartition('.')[2], value)}"


def _value_complaint(error: NodeError, key: str, value: Any) -> str:
    if error.missing in ("start", "end"):
        return _no_number(error.missing, None)
    if error.span is not None:
        return _bad_order(*error.span)
    if key in ("start", "end"):
        return _bad_time(key, value)
    if key == "words":
        return f"'words' is a list of words with their times, not {str(value)[:40]!r}"
    if key.endswith("]") and not isinstance(value, dict):
        return f"an object was expected, not {str(value)[:40]!r}"
    return error.problem


def _bad_time(key: str, value: Any) -> str:
    if isinstance(value, str) or not is_number(value):
        return _no_number(key, value)
    verb, time = f"{key}s", float(value)
    if time < 0:
        return f"{verb} at {time:g} s, before the recording: {_FROM_ITS_BEGINNING}"
    return f"{verb} at {time:g} s: no recording lasts so long; {_FROM_ITS_BEGINNING}"
