"""Stage cache: the results of the finished stages of one recording, as files in one folder.

    clean-<key>.json           what was taken out of each channel, where the recording is cleaned
    clean-<key>/               the cleaned channels, where anything was: 16 kHz, 16 bits
    diarize-<key>.json         turns
    separate-<key>.json        every clip of every stream, without its sound; size and SHA-256 of every track
    separate-<key>/            one track per speaker: the streams' sound, from which the transcriber reads
    transcribe-<key>.json      the words of each clip

A key is a hash of everything that a stage's result depends on, the results before it included. A result is written
whole or not at all, so an interrupted run goes on with the stage that was running. Every result carries the SHA-256 of
its content: one that the disk has damaged is computed again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, get_args

from meetsplit.pipeline import files, versions
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
from meetsplit.pipeline.errors import OutputError, SettingsError
from meetsplit.pipeline.events import EventListener, Notice, ignore_events
from meetsplit.pipeline.models.selection import BackendSelection
from meetsplit.pipeline.settings import OVERLAP_CHECKS, WHISPER_OPTIONS, Settings

_T = TypeVar("_T")

_DAMAGE_ERRORS = (OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What reading a result raises where the disk has damaged it, or where something else lies under its name."""

STAGES = ("diarize", "separate", "transcribe")
"""The stages whose results are kept, in order. Decoding belongs to the first of them that needs the sound."""

CACHE_VERSION = 12
"""Part of every key.

Raised with every change after which a stage answers otherwise, so that older results are not used.
"""


_LATER_OPTIONS: Mapping[str, Sequence[str]] = MappingProxyType(
    {"cleaner": ("start", "end"), "diarizer": ("start", "end"), "separator": (), "transcriber": WHISPER_OPTIONS}
)
"""Settings of later versions than 0.1.0 that change what a stage answers, by its first backend."""


@dataclass(frozen=True, slots=True)
class CacheKeys:
    """The key of each stage's result; the SHA-256 of the files of given turns and words, where there are any."""

    diarize: str
    separate: str
    transcribe: str
    rttm: str | None = None
    script: str | None = None
    clean: str | None = None

    def with_kept_speech(self, sha256: str | None) -> CacheKeys:
        """The keys where enrolled people's kept speech with that checksum takes voices apart; the same for None."""
        if sha256 is None:
            return self
        separate, transcribe = (
            hashlib.sha256(json.dumps([key, sha256]).encode()).hexdigest()[:16]
            for key in (self.separate, self.transcribe)
        )
        return replace(self, separate=separate, transcribe=transcribe)


@dataclass(frozen=True, slots=True)
class CleanedChannel:
    """A channel after cleaning: how many dB louder what is left is than what was taken out, None where that is nothing
    at all; ``changed`` is False where it stays as it was, because that was next to nothing.
    """

    decibels: float | None
    changed: bool


def cache_keys(sha256: str, settings: Settings, selection: BackendSelection) -> CacheKeys:
    """The keys of a recording with that `recording_sha256` under these settings and with these backends.

    Raises `SettingsError` where a file of given turns or words cannot be read.
    """
    checks = {check: settings.has_check(check) for check in OVERLAP_CHECKS} | {"resegment": settings.resegments}
    values = dict(settings.recorded()) | checks
    software = [CACHE_VERSION, versions.meetsplit(), versions.recorded()]

    def key(previous: str, stages: Sequence[str], options: Sequence[str], *inputs: str | None) -> str:
        backends = [
            asdict(backend.record()) | {"why": "", "files": backend.local_file_stamps()}
            for stage in stages
            if (backend := selection.of(stage)) is not None
        ]
        # Options that version 0.1.0 did not have count where they are set: without them, its keys are the same.
        later = {name: values[name] for name in _LATER_OPTIONS[stages[0]] if name in values}
        parts: list[object] = [previous, software, backends, [values[option] for option in options], list(inputs)]
        parts += [later] if later else []
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    clean = None
    if settings.clean != "off":  # the options of the stretch count here already
        clean = key(sha256, ("cleaner",), ("channels", "clean"), None)
    rttm, script = _input_sha256(settings.rttm), _input_sha256(settings.script)
    diarize = key(
        clean or sha256,
        ("diarizer",),
        ("channels", "num_speakers", "min_speakers", "max_speakers", "resegment", "seed"),
        rttm,
    )
    separate = key(
        diarize, ("separator", "embedder"), ("adapt_budget", "separate", "match_threshold", "verify", "leakage", "seed")
    )
    transcribe = key(separate, ("transcriber", "aligner"), ("language", "task", "initial_prompt", "seed"), script)
    return CacheKeys(diarize, separate, transcribe, rttm, script, clean)


def _input_sha256(path: Path | None) -> str | None:
    """SHA-256 of a file of turns or words that the settings name; `SettingsError` where it cannot be read."""
    if path is None:
        return None
    try:
        return files.sha256(path)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {_reason(error)}") from error


class StageCache:
    """The cached results of one recording's stages in ``folder``, each under its key.

    A result is used only if it is whole (SHA-256 of its content and of every track, verified once by each `StageCache`)
    and of the expected shape. A damaged one is reported once as a notice and counts as missing.
    Raises `OutputError` where a result cannot be written.
    """

    def __init__(self, folder: Path, on_event: EventListener = ignore_events) -> None:
        self.folder = folder
        self._on_event = on_event
        self._verified: dict[tuple[str, str], Any] = {}
        self._reported: set[tuple[str, str]] = set()

    def track_folder(self, key: str) -> Path:
        """The folder of the tracks; whole once `load_streams` answers."""
        return self.folder / f"separate-{key}"

    def load_cleaned(self, key: str) -> tuple[CleanedChannel, ...] | None:
        """What cleaning did to each channel, once every cleaned one is verified; None where it is not in the cache."""
        return self._load("clean", key, lambda row: self._parse_cleaned(key, row))

    def save_cleaned(self, key: str, channels: Sequence[CleanedChannel]) -> None:
        """Write what cleaning did, and the checksums of the channels that are already at their `cleaned_path`."""
        rows: list[dict[str, Any]] = []
        for number, channel in enumerate(channels):
            path = self.cleaned_path(key, number)
            try:
                sound = {"size": path.stat().st_size, "sha256": files.sha256(path)} if channel.changed else None
            except OSError as error:
                raise OutputError(f"{path}: a file that was just written cannot be read: {_reason(error)}") from error
            rows.append({"decibels": channel.decibels, "sound": sound})
        self._save("clean", key, {"channels": rows})

    def cleaned_path(self, key: str, channel: int) -> Path:
        """The file of a cleaned channel."""
        return self.folder / f"clean-{key}" / f"{channel}.wav"

    def _parse_cleaned(self, key: str, row: Any) -> tuple[CleanedChannel, ...]:
        """The channels; `ValueError` where a cleaned one on the disk is not as it was written."""
        channels: list[CleanedChannel] = []
        for number, one in enumerate(_list(row["channels"])):
            if one["sound"] is not None:
                path = self.cleaned_path(key, number)
                size, sha256 = _integer(one["sound"]["size"]), _text(one["sound"]["sha256"])
                if path.stat().st_size != size or files.sha256(path) != sha256:
                    raise ValueError(f"{path.parent.name}/{path.name} is not as it was written")
            channels.append(CleanedChannel(_number_or_none(one["decibels"]), one["sound"] is not None))
        return tuple(channels)

    def load_diarization(self, key: str) -> Diarization | None:
        """The diarization; None where it is not in the cache."""
        return self._load("diarize", key, _parse_diarization)

    def save_diarization(self, key: str, diarization: Diarization) -> None:
        """Write the diarization."""
        content = {
            "duration": diarization.duration,
            "turns": [
                {**_span_row(turn.span), "speaker": turn.speaker, "confidence": turn.confidence}
                for turn in diarization.turns
            ],
            "names": diarization.names,
            "channels": diarization.channels,
        }
        self._save("diarize", key, content)

    def load_streams(self, key: str) -> tuple[StreamInfo, ...] | None:
        """The clips of all streams, in order, once every track is verified; None where they are not in the cache."""
        streams = self._load("separate", key, lambda row: self._verify_tracks(key, _parse_streams(row)))
        return None if streams is None else streams.clips

    def save_streams(self, key: str, clips: Sequence[StreamInfo]) -> None:
        """Write the clips, and the checksums of the tracks that are already in `track_folder`."""
        try:
            tracks = {
                path.stem: {"size": path.stat().st_size, "sha256": files.sha256(path)}
                for path in self._track_files(key)
            }
        except OSError as error:
            raise OutputError(
                f"{self.track_folder(key)}: a track that was just written cannot be read: {_reason(error)}"
            ) from error
        content = {"stretches": [_clip_row(clip) for clip in clips], "tracks": tracks}
        self._save("separate", key, content)
        self._verified["separate", key] = _parse_streams(json.loads(json.dumps(content)))

    def start_track_folder(self, key: str) -> Path:
        """`track_folder`, emptied of what an interrupted run left there. Raises `OutputError` where that fails."""
        self._verified.pop(("separate", key), None)
        try:
            files.remove(self._path("separate", key))
            files.remove_tree(self.track_folder(key))
        except OSError as error:
            raise OutputError(f"{self.track_folder(key)}: cannot be emptied: {_reason(error)}") from error
        return self.track_folder(key)

    def load_transcripts(self, key: str, clips: int) -> tuple[ClipTranscript, ...] | None:
        """The words of each of ``clips`` clips; None where they are not in the cache."""
        return self._load("transcribe", key, lambda row: _parse_transcripts(row, clips))

    def save_transcripts(self, key: str, transcripts: Sequence[ClipTranscript]) -> None:
        """Write the words of each clip."""
        self._save("transcribe", key, {"heard": [_transcript_row(transcript) for transcript in transcripts]})

    def kept_since(self, stage: str, key: str) -> float | None:
        """The Unix time at which a stage's result was written; None where it cannot be read any more."""
        try:
            return self._path(stage, key).stat().st_mtime
        except OSError:
            return None

    def track_paths(self, key: str) -> dict[Speaker, Path]:
        """The track of every speaker, once `load_streams` has answered or `save_streams` is done."""
        streams: _CachedStreams = self._verified["separate", key]
        return {speaker: self.track_folder(key) / f"{speaker}.wav" for speaker in sorted(streams.tracks)}

    def _verify_tracks(self, key: str, streams: _CachedStreams) -> _CachedStreams:
        """The same, if the tracks on the disk are the ones that were written; `ValueError` where not."""
        paths = {path.stem: path for path in self._track_files(key)}
        if paths.keys() != streams.tracks.keys():
            different = sorted(paths.keys() ^ streams.tracks.keys())
            raise ValueError(f"the tracks of {', '.join(different)} are missing or foreign")
        for speaker, track in streams.tracks.items():
            path = paths[speaker]
            if path.stat().st_size != track.size or files.sha256(path) != track.sha256:
                raise ValueError(f"{path.name} is not as it was written")
        return streams

    def _track_files(self, key: str) -> list[Path]:
        return sorted(self.track_folder(key).glob("*.wav"))

    def _path(self, stage: str, key: str) -> Path:
        return self.folder / f"{stage}-{key}.json"

    def _load(self, stage: str, key: str, parse: Callable[[Any], _T]) -> _T | None:
        """The value of a result; None where there is none, or where it is damaged, which is reported."""
        if (stage, key) in self._verified:
            verified: _T = self._verified[stage, key]
            return verified
        path = self._path(stage, key)
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self._report_damage(stage, key, error)
            return None
        try:
            value = parse(_verify_checksum(raw))
        except _DAMAGE_ERRORS as error:
            self._report_damage(stage, key, error)
            return None
        self._verified[stage, key] = value
        return value

    def _report_damage(self, stage: str, key: str, error: Exception) -> None:
        if (stage, key) in self._reported:
            return
        self._reported.add((stage, key))
        reason = _reason(error) if isinstance(error, OSError) else str(error)
        self._on_event(
            Notice(
                f"{self._path(stage, key)}: what an earlier run kept is damaged ({reason}): this stage is done again",
                stage,
            )
        )

    def _save(self, stage: str, key: str, content: Mapping[str, Any]) -> None:
        self._verified.pop((stage, key), None)
        path = self._path(stage, key)
        if path.is_dir():
            try:
                files.remove_tree(path)
            except OSError as error:
                raise OutputError(f"{path}: a folder is in the way and cannot be removed: {_reason(error)}") from error
        files.write(path, _with_checksum(content), private=True)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


@dataclass(frozen=True, slots=True)
class _CachedTrack:
    """A track as it was written: ``size`` in bytes, and the checksum of its content."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class _CachedStreams:
    """The result of the stage ``separate``: the clips of all streams, and the track of every speaker."""

    clips: tuple[StreamInfo, ...]
    tracks: Mapping[Speaker, _CachedTrack]


def _with_checksum(content: Mapping[str, Any]) -> str:
    """The text of a result file: its content and the SHA-256 of that."""
    text = json.dumps(content)
    return f'{{"sha256": "{hashlib.sha256(text.encode()).hexdigest()}", "content": {text}}}'


def _verify_checksum(raw: bytes) -> Any:
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


def _clip_row(clip: StreamInfo) -> dict[str, Any]:
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


def _transcript_row(transcript: ClipTranscript) -> dict[str, Any]:
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


def _parse_diarization(row: Any) -> Diarization:
    turns = tuple(
        Turn(_span(turn), _text(turn["speaker"]), _number_or_none(turn["confidence"])) for turn in _list(row["turns"])
    )
    if list(turns) != sorted(turns):
        raise ValueError("its turns are not in order")
    names = tuple((_text(label), _text(name)) for label, name in map(_list, _list(row["names"])))
    channels = tuple((_text(label), _integer(channel)) for label, channel in map(_list, _list(row["channels"])))
    return Diarization(Span(0.0, _number(row["duration"])).end, turns, names, channels)


def _parse_streams(row: Any) -> _CachedStreams:
    clips = tuple(_parse_clip(clip) for clip in _list(row["stretches"]))
    tracks = {
        _text(speaker): _CachedTrack(_integer(track["size"]), _text(track["sha256"]))
        for speaker, track in row["tracks"].items()
    }
    if not {clip.speaker for clip in clips} <= tracks.keys():
        raise ValueError("it has speakers without a track")
    return _CachedStreams(clips, tracks)


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


def _parse_transcripts(row: Any, clips: int) -> tuple[ClipTranscript, ...]:
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
