"""meetsplit's own JSON: a superset of WhisperX's, from which `reading.read_transcript` makes an equal transcript.

Readers of WhisperX JSON find ``segments[start, end, text, speaker, words[word, start, end, score, speaker]]``,
``word_segments`` and ``language`` where they expect them. Beyond that, each segment has ``source``, ``overlap``,
``language``, ``review`` and ``margin``, and the top level ``schema``, ``recording``, ``duration``, ``speakers`` (label to
name, null where nobody gave one), ``turns`` and ``made_by``. Segments are sorted by start and may overlap in time. Times are
seconds, unrounded; null stands for what is not known.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from meetsplit.pipeline.data import Provenance, Segment, Transcript, Word
from meetsplit.pipeline.formats.control_characters import json_escaped
from meetsplit.pipeline.settings import Outputs

SCHEMA = "meetsplit/1"


def native(transcript: Transcript, outputs: Outputs) -> str:
    """The whole transcript as JSON, one segment, word, turn or stage per line."""
    segments = [_segment(segment) for segment in transcript.segments]
    names = dict(transcript.names)
    parts = [
        ("schema", _json(SCHEMA)),
        ("recording", _json(transcript.recording)),
        ("duration", _json(float(transcript.duration))),
        ("language", _json(transcript.language)),
        ("speakers", _json({**names, **{speaker: None for speaker in transcript.speakers if speaker not in names}})),
        ("segments", _rows(segments)),
        (
            "turns",
            _rows(
                {"start": float(t.span.start), "end": float(t.span.end), "speaker": t.speaker} for t in transcript.turns
            ),
        ),
        ("word_segments", _rows(word for segment in segments for word in segment["words"])),
        ("made_by", _json(_made_by(transcript.made_by))),
    ]
    return "{\n" + ",\n".join(f"  {_json(key)}: {value}" for key, value in parts) + "\n}\n"


def _segment(segment: Segment) -> dict[str, Any]:
    return {
        "start": float(segment.span.start),
        "end": float(segment.span.end),
        "text": segment.text,
        "speaker": segment.speaker,
        "source": segment.source,
        "overlap": bool(segment.overlap),
        "language": segment.language,
        "review": list(segment.review),
        "margin": _number(segment.margin),
        "words": [_word(word, segment.speaker) for word in segment.words],
    }


def _word(word: Word, speaker: str) -> dict[str, Any]:
    start, end = float(word.span.start), float(word.span.end)
    return {"word": word.text, "start": start, "end": end, "score": _number(word.confidence), "speaker": speaker}


def _made_by(made_by: Provenance) -> Mapping[str, Any]:
    stages = [
        {"stage": s.stage, "backend": s.backend, "weights": list(s.weights), "device": s.device, "why": s.why}
        for s in made_by.stages
    ]
    return {
        "version": made_by.version,
        "stages": stages,
        "settings": dict(made_by.settings),
        "packages": dict(made_by.packages),
    }


def _number(value: float | None) -> float | None:
    """A number that JSON knows: numpy's kinds become floats, infinities and NaN become null."""
    return float(value) if value is not None and math.isfinite(value) else None


def _rows(items: Iterable[Mapping[str, Any]]) -> str:
    rows = ",\n    ".join(_json(item) for item in items)
    return f"[\n    {rows}\n  ]" if rows else "[]"


def _json(value: object) -> str:
    return json_escaped(json.dumps(value, ensure_ascii=False))
