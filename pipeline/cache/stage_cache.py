"""Stage cache: the results of the finished stages of one recording, as files in one folder.

    clean-<key>.json           what was taken out of each channel, where the recording is cleaned
    clean-<key>/               the cleaned channels, where anything was: 16 kHz, 16 bits
    diarize-<key>.json         turns
    separate-<key>.json        every clip of every stream, without its sound; size and SHA-256 of every track
    separate-<key>/            one track per speaker: the streams' sound, from which the transcriber reads
    transcribe-<key>.json      the words of each clip

A key is a hash of everything that a stage's result depends on, the results before it included, see `keys`. A result is
written whole or not at all, so an interrupted run goes on with the stage that was running. Every result carries the
SHA-256 of its content: one that the disk has damaged is computed again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from meetsplit.pipeline import files
from meetsplit.pipeline.cache.result_rows import (
    CachedStreams,
    clip_row,
    diarization_row,
    parse_cleaned,
    parse_diarization,
    parse_streams,
    parse_transcripts,
    transcript_row,
    verify_checksum,
    with_checksum,
)
from meetsplit.pipeline.data import ClipTranscript, Diarization, Speaker, StreamInfo
from meetsplit.pipeline.errors import OutputError
from meetsplit.pipeline.events import EventListener, Notice, ignore_events

_T = TypeVar("_T")

_DAMAGE_ERRORS = (OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What reading a result raises where the disk has damaged it, or where something else lies under its name."""

STAGES = ("diarize", "separate", "transcribe")
"""The stages of every run whose results are kept, in order. Decoding belongs to the first that needs the sound."""

KEPT_STAGES = ("clean", *STAGES)
"""The same with cleaning, which is done on request before the first of them that hears the sound."""


@dataclass(frozen=True, slots=True)
class CleanedChannel:
    """A channel after cleaning: how many dB louder what is left is than what was taken out, None where that is nothing
    at all; ``changed`` is False where it stays as it was, because that was next to nothing.
    """

    decibels: float | None
    changed: bool


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
        for number, (decibels, sound) in enumerate(parse_cleaned(row)):
            if sound is not None:
                path = self.cleaned_path(key, number)
                if path.stat().st_size != sound.size or files.sha256(path) != sound.sha256:
                    raise ValueError(f"{path.parent.name}/{path.name} is not as it was written")
            channels.append(CleanedChannel(decibels, sound is not None))
        return tuple(channels)

    def load_diarization(self, key: str) -> Diarization | None:
        """The diarization; None where it is not in the cache."""
        return self._load("diarize", key, parse_diarization)

    def save_diarization(self, key: str, diarization: Diarization) -> None:
        """Write the diarization."""
        self._save("diarize", key, diarization_row(diarization))

    def load_streams(self, key: str) -> tuple[StreamInfo, ...] | None:
        """The clips of all streams, in order, once every track is verified; None where they are not in the cache."""
        streams = self._load("separate", key, lambda row: self._verify_tracks(key, parse_streams(row)))
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
        content = {"stretches": [clip_row(clip) for clip in clips], "tracks": tracks}
        self._save("separate", key, content)
        self._verified["separate", key] = parse_streams(json.loads(json.dumps(content)))

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
        return self._load("transcribe", key, lambda row: parse_transcripts(row, clips))

    def save_transcripts(self, key: str, transcripts: Sequence[ClipTranscript]) -> None:
        """Write the words of each clip."""
        self._save("transcribe", key, {"heard": [transcript_row(transcript) for transcript in transcripts]})

    def kept_since(self, stage: str, key: str) -> float | None:
        """The Unix time at which a stage's result was written; None where it cannot be read any more."""
        try:
            return self._path(stage, key).stat().st_mtime
        except OSError:
            return None

    def track_paths(self, key: str) -> dict[Speaker, Path]:
        """The track of every speaker, once `load_streams` has answered or `save_streams` is done."""
        streams: CachedStreams = self._verified["separate", key]
        return {speaker: self.track_folder(key) / f"{speaker}.wav" for speaker in sorted(streams.tracks)}

    def _verify_tracks(self, key: str, streams: CachedStreams) -> CachedStreams:
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
            value = parse(verify_checksum(raw))
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
        files.write(path, with_checksum(content), private=True)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
