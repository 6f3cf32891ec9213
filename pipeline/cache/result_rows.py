"""The results of stages as rows of JSON, with the checksum of their content, and back.

What is not of the expected shape raises `ValueError`, `TypeError` or `LookupError`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from meetsplit.pipeline.data import (
    ClipTranscript,
    Diarization,
    DroppedText,
    OverlapResult,
    Source,
    Span,
    Speaker,
    StreamInfo,
    Turn,
    Word,
)


@dataclass(frozen=True, slots=True)
class CachedFile:
    """A sound file as it was written: ``size`` in bytes, and the checksum of its content."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class CachedStreams:
    """The result of the stage ``separate``: the clips of all streams, and the track of every speaker."""

    clips: tuple[StreamInfo, ...]
    tracks: Mapping[Speaker, CachedFile]


def with_checksum(content: Mapping[str, Any]) -> str:
    """The text of a result file: its content and the SHA-256 of that."""
    text = json.dumps(content)
    return f'{{"sha256": "{hashlib.sha256(text.encode()).hexdigest()}", "content": {text}}}'


def verify_checksum(raw: bytes) -> Any:
    """The content of a result file.

    Raises `ValueError` and its like where the checksum is another, or there is none.
    """
    row = json.loads(raw)
    content = row["content"]
    if hashlib.sha256(json.dumps(content).encode()).hexdigest() != row["sha256"]:
        raise ValueError("its checksum is wrong")
    return content


def _span_row(span: Span) -> dict[str, float]:
    return {"start": span.start, "end": span.end}


def diarization_row(diarization: Diarization) -> dict[str, Any]:
    """The content of the result of `diarize`."""
    return {
        "duration": diarization.duration,
        "turns": [
            {**_span_row(turn.span), "speaker": turn.speaker, "confidence": turn.confidence}
            for turn in diarization.turns
        ],
        "names": diarization.names,
        "channels": diarization.channels,
    }


def clip_row(clip: StreamInfo) -> dict[str, Any]:
    """A clip in the result of `separate`."""
    return {
        "speaker": clip.speaker,
        "span": _span_row(clip.span),
        "turns": [_span_row(turn) for turn in clip.turns],
        "patches": [
            {
                "span": _span_row(patch.span),
                "speakers": patch.speakers,
                "source": patch.source,
                "margin": patch.margin,
                "review": patch.review,
            }
            for patch in clip.patches
        ],
    }


def transcript_row(transcript: ClipTranscript) -> dict[str, Any]:
    """The words of a clip in the result of `transcribe`."""
    words = [
        {"span": _span_row(word.span), "text": word.text, "confidence": word.confidence} for word in transcript.words
    ]
    row: dict[str, Any] = {"words": words, "language": transcript.language}
    if transcript.dropped:
        row["dropped"] = [
            {"span": _span_row(text.span), "reason": text.reason, "text": text.text} for text in transcript.dropped
        ]
    if transcript.review:
        row["review"] = list(transcript.review)
    return row


def parse_cleaned(row: Any) -> tuple[tuple[float | None, CachedFile | None], ...]:
    """For each channel, the dB in the result of `clean`, and the cleaned sound; None where it stays as it was."""
    return tuple(
        (
            _number_or_none(one["decibels"]),
            None if one["sound"] is None else CachedFile(_integer(one["sound"]["size"]), _text(one["sound"]["sha256"])),
        )
        for one in _list(row["channels"])
    )


def parse_diarization(row: Any) -> Diarization:
    """The diarization in the result of `diarize`."""
    turns = tuple(
        Turn(_span(turn), _text(turn["speaker"]), _number_or_none(turn["confidence"])) for turn in _list(row["turns"])
    )
    if list(turns) != sorted(turns):
        raise ValueError("its turns are not in order")
    names = tuple((_text(label), _text(name)) for label, name in map(_list, _list(row["names"])))
    channels = tuple((_text(label), _integer(channel)) for label, channel in map(_list, _list(row["channels"])))
    return Diarization(Span(0.0, _number(row["duration"])).end, turns, names, channels)


def parse_streams(row: Any) -> CachedStreams:
    """The clips and tracks in the result of `separate`."""
    clips = tuple(_parse_clip(clip) for clip in _list(row["stretches"]))
    tracks = {
        _text(speaker): CachedFile(_integer(track["size"]), _text(track["sha256"]))
        for speaker, track in row["tracks"].items()
    }
    if not {clip.speaker for clip in clips} <= tracks.keys():
        raise ValueError("it has speakers without a track")
    return CachedStreams(clips, tracks)


def _parse_clip(row: Any) -> StreamInfo:
    turns = tuple(_span(turn) for turn in _list(row["turns"]))
    patches = tuple(_parse_overlap_result(patch) for patch in _list(row["patches"]))
    return StreamInfo(_text(row["speaker"]), _span(row["span"]), turns, patches)


def _parse_overlap_result(row: Any) -> OverlapResult:
    source: Source = row["source"]
    if source not in get_args(Source):
        raise ValueError(f"it has a patch from {source!r}")
    speakers = tuple(_text(speaker) for speaker in _list(row["speakers"]))
    review = tuple(_text(reason) for reason in _list(row["review"]))
    return OverlapResult(_span(row["span"]), speakers, source, _number_or_none(row["margin"]), review)


def parse_transcripts(row: Any, clips: int) -> tuple[ClipTranscript, ...]:
    """The words of each of ``clips`` clips in the result of `transcribe`."""
    transcripts = tuple(_parse_clip_transcript(transcript) for transcript in _list(row["heard"]))
    if len(transcripts) != clips:
        raise ValueError(f"it has {len(transcripts)} answers for {clips} stretches")
    return transcripts


def _parse_clip_transcript(row: Any) -> ClipTranscript:
    words = tuple(
        Word(_span(word["span"]), _text(word["text"]), _number_or_none(word["confidence"]))
        for word in _list(row["words"])
    )
    dropped = tuple(
        DroppedText(_span(text["span"]), _text(text["reason"]), _text(text["text"]))
        for text in _list(row.get("dropped", []))
    )
    review = tuple(_text(reason) for reason in _list(row.get("review", [])))
    return ClipTranscript(words, None if row["language"] is None else _text(row["language"]), dropped, review)


def _span(row: Any) -> Span:
    return Span(_number(row["start"]), _number(row["end"]))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return value


def _number_or_none(value: Any) -> float | None:
    return None if value is None else _number(value)


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r} is no whole number")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r:.40} is no list")
    return value
