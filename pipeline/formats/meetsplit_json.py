"""meetsplit's own JSON, written and read: a superset of WhisperX's, from which `read` makes an equal transcript.

Readers of WhisperX JSON find ``segments[start, end, text, speaker, words[word, start, end, score, speaker]]``,
``word_segments`` and ``language`` where they expect them. Beyond that, each segment has ``source``, ``overlap``,
``language``, ``review`` and ``margin``, and the top level ``schema``, ``recording``, ``duration``, ``speakers``
(label to name, null where there is none), ``turns``, ``made_by``, ``voices`` where voices are enrolled, and ``tracks``
where their quality was asked for. Segments are sorted by start and may overlap in time. Times are seconds, unrounded;
null stands for what is not known.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, get_args

from meetsplit.pipeline.data import (
    Dnsmos,
    Provenance,
    Segment,
    Source,
    StageRecord,
    TrackQuality,
    Transcript,
    Turn,
    VoiceDecision,
    VoiceMatch,
    Word,
)
from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.formats.control_characters import json_escaped
from meetsplit.pipeline.formats.json_node import Node
from meetsplit.pipeline.formats.whisperx_json import JsonSegment, read_segments
from meetsplit.pipeline.settings import Outputs

SCHEMA = "meetsplit/1"

_ENCODER = json.JSONEncoder(ensure_ascii=False)


def write(transcript: Transcript, outputs: Outputs) -> str:
    """The whole transcript as JSON, one segment, word, turn or stage per line."""
    words = [[_word_json(word, segment.speaker) for word in segment.words] for segment in transcript.segments]
    segments = [_segment_json(segment, rows) for segment, rows in zip(transcript.segments, words, strict=True)]
    names = dict(transcript.names)
    parts = [
        ("schema", _json(SCHEMA)),
        ("recording", _json(transcript.recording)),
        ("duration", _json(float(transcript.duration))),
        ("language", _json(transcript.language)),
        ("speakers", _json({**names, **{speaker: None for speaker in transcript.speakers if speaker not in names}})),
        ("segments", _rows(segments)),
        ("turns", _rows(_turn_json(turn) for turn in transcript.turns)),
        ("word_segments", _rows(word for rows in words for word in rows)),
        *([("voices", _json(_voices_json(transcript)))] if transcript.voices else []),
        *([("tracks", _json(tracks_json(transcript)))] if transcript.quality else []),
        ("made_by", _json(_made_by_json(transcript.made_by))),
    ]
    return json_escaped("{\n" + ",\n".join(f"  {_json(key)}: {value}" for key, value in parts) + "\n}\n")


def _voices_json(transcript: Transcript) -> Mapping[str, Any]:
    return {
        speaker: {
            "decision": match.decision,
            "name": match.name,
            "score": _number(match.score),
            "margin": _number(match.margin),
        }
        for speaker, match in transcript.voices
    }


def tracks_json(transcript: Transcript) -> Mapping[str, Any]:
    """The quality of tracks by label, as the document has it under ``tracks``."""
    return {
        speaker: {
            "seconds": float(one.seconds),
            "bleed": _number(one.bleed),
            "margin": _number(one.margin),
            **({} if one.dnsmos is None else {"dnsmos": asdict(one.dnsmos)}),
        }
        for speaker, one in transcript.quality
    }


def _segment_json(segment: Segment, words: Iterable[str]) -> str:
    """The segment as JSON; ``words`` are its words as JSON, which the document holds twice and are made once."""
    fields: dict[str, Any] = {
        "start": float(segment.span.start),
        "end": float(segment.span.end),
        "text": segment.text,
        "speaker": segment.speaker,
        "source": segment.source,
        "overlap": bool(segment.overlap),
        "language": segment.language,
        "review": list(segment.review),
        "margin": _number(segment.margin),
    }
    if segment.checked is not None:
        fields["checked"] = list(segment.checked)
    return _json(fields).removesuffix("}") + f', "words": [{", ".join(words)}]}}'


def _word_json(word: Word, speaker: str) -> str:
    start, end = float(word.span.start), float(word.span.end)
    score = _number(word.confidence)
    return _json({"word": word.text, "start": start, "end": end, "score": score, "speaker": speaker})


def _turn_json(turn: Turn) -> str:
    row: dict[str, Any] = {"start": float(turn.span.start), "end": float(turn.span.end), "speaker": turn.speaker}
    if turn.confidence is not None:
        row["confidence"] = turn.confidence
    return _json(row)


def _made_by_json(made_by: Provenance) -> Mapping[str, Any]:
    stages = [
        {"stage": s.stage, "backend": s.backend, "weights": list(s.weights), "device": s.device, "why": s.why}
        for s in made_by.stages
    ]
    fields = {
        "version": made_by.version,
        "stages": stages,
        "settings": dict(made_by.settings),
        "packages": dict(made_by.packages),
    }
    return fields | ({"guards": dict(made_by.guards)} if made_by.guards else {})


def _number(value: float | None) -> float | None:
    """A number that JSON has: numpy's kinds become floats, infinities and NaN become null."""
    return float(value) if value is not None and math.isfinite(value) else None


def _rows(items: Iterable[str]) -> str:
    rows = ",\n    ".join(items)
    return f"[\n    {rows}\n  ]" if rows else "[]"


def _json(value: object) -> str:
    return _ENCODER.encode(value)


def read(document: Node) -> Transcript:
    """The transcript in our own JSON, equal to the one that was written.

    A segment's ``start``, ``end`` and ``text`` follow from its words. Raises `SettingsError` for another schema and
    `NodeError` for anything that is wrong.
    """
    schema = document["schema"].text()
    if schema != SCHEMA:
        raise SettingsError(
            f"{document.origin}: schema {schema!r}: this meetsplit reads {SCHEMA!r}; install the version that wrote it"
        )
    labels = document["speakers"].fields()
    names = ((label, document["speakers"][label].text_or_none()) for label in labels)
    return Transcript(
        recording=_file_name(document["recording"]),
        duration=document["duration"].time(),
        segments=tuple(_segment(segment) for segment in read_segments(document)),
        turns=read_turns(document),
        made_by=_made_by(document["made_by"]),
        names=tuple((label, name) for label, name in names if name is not None),
        voices=_voices(document.get("voices")),
        quality=_quality(document.get("tracks")),
    )


def _voices(node: Node) -> tuple[tuple[str, VoiceMatch], ...]:
    """How speakers were compared with enrolled voices; a document has the key only where they were."""
    if node.value is None:
        return ()
    return tuple((label, _voice(node[label])) for label in node.fields())


def _quality(node: Node) -> tuple[tuple[str, TrackQuality], ...]:
    """How well tracks were taken apart; a document has the key only where that was asked for."""
    if node.value is None:
        return ()
    return tuple(
        (
            label,
            TrackQuality(
                node[label]["seconds"].number(),
                node[label].get("bleed").number_or_none(),
                node[label].get("margin").number_or_none(),
                _dnsmos(node[label].get("dnsmos")),
            ),
        )
        for label in node.fields()
    )


def _dnsmos(node: Node) -> Dnsmos | None:
    """Marks of a track; a document has the key only where they were given."""
    if node.value is None:
        return None
    return Dnsmos(node["sig"].number(), node["bak"].number(), node["ovr"].number())


def _voice(node: Node) -> VoiceMatch:
    decision = node["decision"].text()
    known: dict[str, VoiceDecision] = {choice: choice for choice in get_args(VoiceDecision)}
    if decision not in known:
        node["decision"].wrong(f"{' or '.join(known)} is needed, not {decision!r}")
    score, margin = node.get("score").number_or_none(), node.get("margin").number_or_none()
    return VoiceMatch(known[decision], node.get("name").text_or_none(), score, margin)


def read_turns(document: Node) -> tuple[Turn, ...]:
    """The document's turns in their order. Raises `NodeError`."""
    return tuple(
        Turn(node.span(), node["speaker"].text(), node.get("confidence").number_or_none())
        for node in document["turns"].items()
    )


def _file_name(node: Node) -> str:
    """A recording's name, from which names of files are made: it must not lead out of the output folder."""
    if set("/\\\0") & set(node.text()):
        node.wrong(f"a file name without a folder is needed, not {node.text()!r}")
    return node.text()


def _segment(written: JsonSegment) -> Segment:
    node = written.node
    words = tuple(Word(word.span or word.node.span(), word.text, word.score) for word in written.words)
    if not words:
        node.wrong("a segment has at least one word")
    source = node["source"].text()
    if source not in get_args(Source):
        node["source"].wrong(f"{' or '.join(get_args(Source))} is needed, not {source!r}")
    segment = Segment(
        node["speaker"].text(),
        words,
        node.get("language").text_or_none(),
        "separated" if source == "separated" else "mixture",
        node["overlap"].flag(),
        node.get("margin").number_or_none(),
        tuple(reason.text() for reason in node["review"].items()),
        tuple(reason.text() for reason in node["checked"].items()) if "checked" in node else None,
    )
    if written.text is not None and written.text.split() != segment.text.split():
        node["text"].wrong("it differs from the words; edit the words, the text follows from them")
    return segment


def _made_by(node: Node) -> Provenance:
    return Provenance(
        version=node["version"].text(),
        stages=tuple(_stage(stage) for stage in node["stages"].items()),
        settings=tuple((key, _scalar(node["settings"][key])) for key in node["settings"].fields()),
        packages=tuple((key, node["packages"][key].text()) for key in node["packages"].fields()),
        guards=_guards(node.get("guards")),
    )


def _guards(node: Node) -> tuple[tuple[str, int], ...]:
    """How often each guard dropped a text; a document has the key only where one did."""
    if node.value is None:
        return ()
    return tuple((key, int(node[key].number())) for key in node.fields())


def _stage(node: Node) -> StageRecord:
    weights = tuple(weight.text() for weight in node["weights"].items())
    return StageRecord(node["stage"].text(), node["backend"].text(), weights, node["device"].text(), node["why"].text())


def _scalar(node: Node) -> Any:
    if isinstance(node.value, dict | list):
        node.wrong("a text, a number, true, false or null is needed")
    return node.value
