"""The finished stages of one recording, kept in a folder: one result per stage, and the tracks.

    diarize-<key>.json         who speaks when
    separate-<key>.json        outlines of every stretch of every stream, size and SHA-256 of every track
    separate-<key>/            one track per speaker: the streams' sound, from which the transcriber reads
    transcribe-<key>.json      what was heard in each stretch

A key stands for everything that a stage's result depends on, the results before it included. A result is written whole
or not at all, so whatever stops a run, the next one begins with the stage that was running. Every result carries the
SHA-256 of its content: what the disk has damaged is worked out again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

from meetsplit.pipeline import files, versions
from meetsplit.pipeline.audio.containers import recording
from meetsplit.pipeline.audio.content import Content, content_of
from meetsplit.pipeline.channels.recording import MultiFileRecording
from meetsplit.pipeline.data import (
    ClipTranscript,
    Diarization,
    OverlapResult,
    Source,
    Span,
    Speaker,
    StreamInfo,
    Turn,
    Word,
)
from meetsplit.pipeline.errors import AudioError, OutputError, SettingsError
from meetsplit.pipeline.events import EventListener, Notice, ignore_events
from meetsplit.pipeline.models.selection import BackendSelection, SelectedBackend
from meetsplit.pipeline.models.sources import Local
from meetsplit.pipeline.settings import OVERLAP_CHECKS, Settings

_T = TypeVar("_T")

_DAMAGED = (OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What reading a kept result raises where the disk has damaged it, or where something else lies under its name."""

CACHE_VERSION = 4
"""Raised with every change after which a stage answers otherwise: what an earlier state of this code kept is not today's result."""


@dataclass(frozen=True, slots=True)
class CacheKeys:
    """What each stage's result depends on, as short names; the SHA-256 of the files of turns and words, where there are any."""

    diarize: str
    separate: str
    transcribe: str
    rttm: str | None = None
    script: str | None = None


def keys(content: str, settings: Settings, plan: BackendSelection) -> CacheKeys:
    """The keys of a recording whose `fingerprint` is ``content`` under these settings and choices."""
    checks = {check: settings.has_check(check) for check in OVERLAP_CHECKS} | {"resegment": settings.resegments}
    asked = dict(settings.recorded()) | checks
    software = [CACHE_VERSION, versions.meetsplit(), versions.recorded()]

    def key(before: str, stages: Sequence[str], names: Sequence[str], *given: str | None) -> str:
        chosen = [choice for stage in stages if (choice := plan.of(stage)) is not None]
        made_by = [asdict(choice.record()) | {"why": "", "files": _stamps(choice)} for choice in chosen]
        parts = [before, software, made_by, [asked[name] for name in names], list(given)]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    rttm, script = _given(settings.rttm), _given(settings.script)
    diarize = key(
        content, ("diarizer",), ("channels", "num_speakers", "min_speakers", "max_speakers", "resegment", "seed"), rttm
    )
    separate = key(
        diarize, ("separator", "embedder"), ("adapt_budget", "separate", "match_threshold", "verify", "leakage", "seed")
    )
    transcribe = key(separate, ("transcriber",), ("language", "task", "initial_prompt", "seed"), script)
    return CacheKeys(diarize, separate, transcribe, rttm, script)


def _stamps(choice: SelectedBackend) -> list[tuple[str, int, int]]:
    """Size and time of every file of the models that the user named: weights trained anew under an old name are other weights."""
    places = [
        choice.weights[role]
        for role, source in choice.sources.items()
        if isinstance(source, Local) and role in choice.weights
    ]
    files = [
        file for place in places for file in (sorted(place.rglob("*")) if place.is_dir() else [place]) if file.is_file()
    ]
    return [(file.name, (about := file.stat()).st_size, about.st_mtime_ns) for file in files]


def contents(path: Path | MultiFileRecording) -> dict[Path, Content]:
    """What every file of a recording holds now. Raises `AudioError` where one cannot be read."""
    found: dict[Path, Content] = {}
    for file in (one.path for one in path.microphones) if isinstance(path, MultiFileRecording) else (path,):
        try:
            with recording(file) as opened:
                found[file] = content_of(opened)
        except OSError as error:
            raise AudioError(f"{file}: cannot be read: {_reason(error)}") from error
    return found


def fingerprint(path: Path | MultiFileRecording, held: Mapping[Path, Content] | None = None) -> str:
    """SHA-256 of a file's content, or of several files' and their places; of ``held``, where `contents` was asked before.

    Raises `AudioError` where a file cannot be read.
    """
    held = contents(path) if held is None else held
    if isinstance(path, MultiFileRecording):
        heard = [(held[one.path].sha256, one.offset, one.path.stem) for one in path.microphones]
        return hashlib.sha256(json.dumps(heard).encode()).hexdigest()
    return held[path].sha256


def _given(path: Path | None) -> str | None:
    """SHA-256 of a file of turns or words that the settings name; `SettingsError` where it cannot be read."""
    if path is None:
        return None
    try:
        return files.sha256(path)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {_reason(error)}") from error


class StageCache:
    """The folder of one recording: the result of each finished stage under its key, and the tracks.

    A kept result is used only if it is whole (SHA-256 of its content and of every track, checked once by each `StageCache`)
    and of the expected shape. A damaged one is told as a notice and counts as not there, so that its stage is done again.
    Raises `OutputError` where a result cannot be written.
    """

    def __init__(self, folder: Path, on_event: EventListener = ignore_events) -> None:
        self.folder = folder
        self._on_event = on_event
        self._checked: dict[tuple[str, str], Any] = {}

    def tracks(self, key: str) -> Path:
        """The folder of the tracks; whole once `outlines` answers."""
        return self.folder / f"separate-{key}"

    def diarized(self, key: str) -> Diarization | None:
        """Who speaks when; None where that is still to be found out."""
        return self._kept("diarize", key, _diarized)

    def keep_diarized(self, key: str, found: Diarization) -> None:
        """Keep who speaks when."""
        turns = [{"start": turn.span.start, "end": turn.span.end, "speaker": turn.speaker} for turn in found.turns]
        self._keep(
            "diarize",
            key,
            {"duration": found.duration, "turns": turns, "names": found.names, "channels": found.channels},
        )

    def outlines(self, key: str) -> tuple[StreamInfo, ...] | None:
        """The stretches of all streams, in order, once every track is known to be whole; None where they are still to be made."""
        kept = self._kept("separate", key, lambda row: self._whole(key, *_separated(row)))
        return kept if kept is None else kept[0]

    def keep_outlines(self, key: str, outlines: Sequence[StreamInfo]) -> None:
        """Keep the outlines and the checksums of the tracks, which are already in their folder."""
        try:
            tracks = {
                path.stem: {"size": path.stat().st_size, "sha256": files.sha256(path)}
                for path in self._tracks_there(key)
            }
        except OSError as error:
            raise OutputError(
                f"{self.tracks(key)}: a track that was just written cannot be read: {_reason(error)}"
            ) from error
        content = {"stretches": [asdict(outline) for outline in outlines], "tracks": tracks}
        self._keep("separate", key, content)
        self._checked["separate", key] = _separated(json.loads(json.dumps(content)))

    def start_tracks(self, key: str) -> Path:
        """An empty folder for the tracks: whatever a broken run left there goes. Raises `OutputError` where it cannot."""
        self._checked.pop(("separate", key), None)
        try:
            files.remove(self._path("separate", key))
            files.remove_tree(self.tracks(key))
        except OSError as error:
            raise OutputError(f"{self.tracks(key)}: cannot be emptied: {_reason(error)}") from error
        return self.tracks(key)

    def heard(self, key: str, stretches: int) -> tuple[ClipTranscript, ...] | None:
        """What was heard in each of so many stretches; None where that is still to be found out."""
        return self._kept("transcribe", key, lambda row: _heard(row, stretches))

    def keep_heard(self, key: str, heard: Sequence[ClipTranscript]) -> None:
        """Keep what was heard."""
        self._keep("transcribe", key, {"heard": [asdict(answer) for answer in heard]})

    def voices(self, key: str) -> dict[Speaker, Path]:
        """The track of every speaker, once `outlines` has answered."""
        tracks: Mapping[Speaker, _Track] = self._checked["separate", key][1]
        return {speaker: self.tracks(key) / f"{speaker}.wav" for speaker in sorted(tracks)}

    def _whole(
        self, key: str, outlines: tuple[StreamInfo, ...], tracks: Mapping[Speaker, _Track]
    ) -> tuple[tuple[StreamInfo, ...], Mapping[Speaker, _Track]]:
        """The same, if the tracks on the disk are the ones that were kept; `ValueError` where not."""
        there = {path.stem: path for path in self._tracks_there(key)}
        if there.keys() != tracks.keys():
            raise ValueError(f"the tracks of {', '.join(sorted(there.keys() ^ tracks.keys()))} are missing or foreign")
        for speaker, track in tracks.items():
            if there[speaker].stat().st_size != track.size or files.sha256(there[speaker]) != track.sha256:
                raise ValueError(f"{there[speaker].name} is not as it was written")
        return outlines, tracks

    def _tracks_there(self, key: str) -> list[Path]:
        return sorted(self.tracks(key).glob("*.wav"))

    def _path(self, stage: str, key: str) -> Path:
        return self.folder / f"{stage}-{key}.json"

    def _kept(self, stage: str, key: str, build: Callable[[Any], _T]) -> _T | None:
        """The value of a kept result; None where there is none, or where it is damaged, which is told."""
        if (stage, key) in self._checked:
            known: _T = self._checked[stage, key]
            return known
        path = self._path(stage, key)
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self._tell_damage(path, stage, error)
            return None
        try:
            value = build(_unsealed(raw))
        except _DAMAGED as error:
            self._tell_damage(path, stage, error)
            return None
        self._checked[stage, key] = value
        return value

    def _tell_damage(self, path: Path, stage: str, error: Exception) -> None:
        why = _reason(error) if isinstance(error, OSError) else str(error)
        self._on_event(Notice(f"{path}: what an earlier run kept is damaged ({why}): this stage is done again", stage))

    def _keep(self, stage: str, key: str, content: Mapping[str, Any]) -> None:
        self._checked.pop((stage, key), None)
        path = self._path(stage, key)
        if path.is_dir():
            try:
                files.remove_tree(path)
            except OSError as error:
                raise OutputError(f"{path}: a folder is in the way and cannot be removed: {_reason(error)}") from error
        files.write(path, _sealed(content), private=True)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


@dataclass(frozen=True, slots=True)
class _Track:
    """A track as it was written: ``size`` in bytes, and the checksum of its content."""

    size: int
    sha256: str


def _sealed(content: Mapping[str, Any]) -> str:
    """The text of a kept result: its content and the SHA-256 of that."""
    text = json.dumps(content)
    return f'{{"sha256": "{hashlib.sha256(text.encode()).hexdigest()}", "content": {text}}}'


def _unsealed(raw: bytes) -> Any:
    """The content of a kept result. Raises `ValueError` and its like where the checksum is another, or there is none."""
    row = json.loads(raw)
    content = row["content"]
    if hashlib.sha256(json.dumps(content).encode()).hexdigest() != row["sha256"]:
        raise ValueError("its checksum is wrong")
    return content


def _diarized(row: Any) -> Diarization:
    turns = tuple(Turn(_span(turn), _text(turn["speaker"])) for turn in _list(row["turns"]))
    if list(turns) != sorted(turns):
        raise ValueError("its turns are not in order")
    names = tuple((_text(label), _text(name)) for label, name in map(_list, _list(row["names"])))
    channels = tuple((_text(label), _whole_number(channel)) for label, channel in map(_list, _list(row["channels"])))
    return Diarization(Span(0.0, _number(row["duration"])).end, turns, names, channels)


def _separated(row: Any) -> tuple[tuple[StreamInfo, ...], Mapping[Speaker, _Track]]:
    outlines = tuple(_outline(stretch) for stretch in _list(row["stretches"]))
    tracks = {
        _text(speaker): _Track(_whole_number(track["size"]), _text(track["sha256"]))
        for speaker, track in row["tracks"].items()
    }
    if not {outline.speaker for outline in outlines} <= tracks.keys():
        raise ValueError("it has speakers without a track")
    return outlines, tracks


def _outline(row: Any) -> StreamInfo:
    turns, patches = (
        tuple(_span(turn) for turn in _list(row["turns"])),
        tuple(_patch(patch) for patch in _list(row["patches"])),
    )
    return StreamInfo(_text(row["speaker"]), _span(row["span"]), turns, patches)


def _patch(row: Any) -> OverlapResult:
    source: Source = row["source"]
    if source not in get_args(Source):
        raise ValueError(f"it has a patch from {source!r}")
    speakers, review = (
        tuple(_text(speaker) for speaker in _list(row["speakers"])),
        tuple(_text(reason) for reason in _list(row["review"])),
    )
    return OverlapResult(_span(row["span"]), speakers, source, _number_or_none(row["margin"]), review)


def _heard(row: Any, stretches: int) -> tuple[ClipTranscript, ...]:
    heard = tuple(_answer(answer) for answer in _list(row["heard"]))
    if len(heard) != stretches:
        raise ValueError(f"it has {len(heard)} answers for {stretches} stretches")
    return heard


def _answer(row: Any) -> ClipTranscript:
    words = tuple(
        Word(_span(word["span"]), _text(word["text"]), _number_or_none(word["confidence"]))
        for word in _list(row["words"])
    )
    return ClipTranscript(words, None if row["language"] is None else _text(row["language"]))


def _span(row: Any) -> Span:
    return Span(_number(row["start"]), _number(row["end"]))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return value


def _number_or_none(value: Any) -> float | None:
    return None if value is None else _number(value)


def _whole_number(value: Any) -> int:
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
