"""What is already done for a recording, and where do its streams wait? One folder per recording, a result per stage.

    diarize-<key>.json         who speaks when
    separate-<key>.json        outlines of every stretch of every stream, once its tracks are whole
    separate-<key>/            one track per speaker: the streams' sound, from which the transcriber reads
    transcribe-<key>.json      what was heard in each stretch

A key stands for everything that a stage's result depends on, the results before it included. A result is written whole
or not at all, so whatever stops a run, the next one begins with the stage that was running.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from meetsplit.pipeline import versions
from meetsplit.pipeline.containers import recording
from meetsplit.pipeline.data import Diarized, Heard, Outline, Patch, Span, Speaker, Turn, Word
from meetsplit.pipeline.errors import AudioError, SettingsError
from meetsplit.pipeline.files import write
from meetsplit.pipeline.preflight import Choice, Preflight
from meetsplit.pipeline.settings import GATES, Settings
from meetsplit.pipeline.sources import Local
from meetsplit.pipeline.together import Together

_BLOCK = 1 << 20

EDITION = 4
"""Raised with every change after which a stage answers otherwise: what an earlier state of this code kept is not today's result."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What each stage's result depends on, as short names."""

    diarize: str
    separate: str
    transcribe: str


def keys(content: str, settings: Settings, plan: Preflight) -> Keys:
    """The keys of a recording whose `fingerprint` is ``content`` under these settings and choices."""
    asked = dict(settings.recorded()) | {gate: settings.has(gate) for gate in GATES} | {"recast": settings.recasts}
    software = [EDITION, versions.meetsplit(), versions.recorded()]

    def key(before: str, stages: Sequence[str], names: Sequence[str], *files: Path | None) -> str:
        chosen = [choice for stage in stages if (choice := plan.of(stage)) is not None]
        made_by = [asdict(choice.record()) | {"why": "", "files": _stamps(choice)} for choice in chosen]
        given = [_given(file) for file in files]
        parts = [before, software, made_by, [asked[name] for name in names], given]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    diarize = key(content, ("diarizer",), ("channels", "num_speakers", "min_speakers", "max_speakers", "recast", "seed"), settings.rttm)
    separate = key(diarize, ("separator", "embedder"), ("adapt_budget", "separate", "match_threshold", "verify", "leakage", "seed"))
    transcribe = key(separate, ("transcriber",), ("language", "task", "initial_prompt", "seed"), settings.script)
    return Keys(diarize, separate, transcribe)


def _stamps(choice: Choice) -> list[tuple[str, int, int]]:
    """Size and time of every file of the models that the user named: weights trained anew under an old name are other weights."""
    places = [choice.weights[role] for role, source in choice.sources.items() if isinstance(source, Local) and role in choice.weights]
    files = [file for place in places for file in (sorted(place.rglob("*")) if place.is_dir() else [place]) if file.is_file()]
    return [(file.name, (about := file.stat()).st_size, about.st_mtime_ns) for file in files]


def fingerprint(path: Path | Together) -> str:
    """SHA-256 of a file's content, or of several files' and their places. Raises `AudioError` where one cannot be read."""
    if isinstance(path, Together):
        heard = [(fingerprint(one.path), one.offset, one.path.stem) for one in path.microphones]
        return hashlib.sha256(json.dumps(heard).encode()).hexdigest()
    with recording(path) as file:
        return _digest(file, path)


def _given(path: Path | None) -> str | None:
    """The same for a file of turns or words that the settings name; `SettingsError` where it cannot be read."""
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            return _digest(file, path)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror or error}") from error


def _digest(file: IO[bytes], path: Path) -> str:
    digest = hashlib.sha256()
    try:
        while block := file.read(_BLOCK):
            digest.update(block)
    except OSError as error:
        raise AudioError(f"{path}: cannot be read: {error.strerror or error}") from error
    return digest.hexdigest()


class Workbench:
    """The folder of one recording. Raises `OutputError` where a result cannot be written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def tracks(self, key: str) -> Path:
        """The folder of the tracks; whole once `outlines` answers."""
        return self.folder / f"separate-{key}"

    def diarized(self, key: str) -> Diarized | None:
        """Who speaks when; None where that is still to be found out."""
        kept = self._kept("diarize", key)
        if kept is None:
            return None
        turns = tuple(Turn(_span(row), row["speaker"]) for row in kept["turns"])
        names, channels = (tuple((label, value) for label, value in kept.get(field, ())) for field in ("names", "channels"))
        return Diarized(kept["duration"], turns, names, channels)

    def keep_diarized(self, key: str, found: Diarized) -> None:
        """Keep who speaks when."""
        turns = [{"start": turn.span.start, "end": turn.span.end, "speaker": turn.speaker} for turn in found.turns]
        self._keep("diarize", key, {"duration": found.duration, "turns": turns, "names": found.names, "channels": found.channels})

    def outlines(self, key: str) -> tuple[Outline, ...] | None:
        """The stretches of all streams, in order; None where the streams are still to be made."""
        kept = self._kept("separate", key)
        outlines = None if kept is None else tuple(_outline(row) for row in kept["stretches"])
        whole = outlines is not None and {outline.speaker for outline in outlines} <= self.voices(key).keys()
        return outlines if whole else None

    def keep_outlines(self, key: str, outlines: Sequence[Outline]) -> None:
        """Keep the outlines; the tracks are already in their folder."""
        self._keep("separate", key, {"stretches": [asdict(outline) for outline in outlines]})

    def start_tracks(self, key: str) -> Path:
        """An empty folder for the tracks: whatever a broken run left there goes."""
        shutil.rmtree(self.tracks(key), ignore_errors=True)
        return self.tracks(key)

    def heard(self, key: str) -> tuple[Heard, ...] | None:
        """What was heard in each stretch; None where nobody listened yet."""
        kept = self._kept("transcribe", key)
        if kept is None:
            return None
        return tuple(
            Heard(tuple(Word(_span(word["span"]), word["text"], word["confidence"]) for word in row["words"]), row["language"])
            for row in kept["heard"]
        )

    def keep_heard(self, key: str, heard: Sequence[Heard]) -> None:
        """Keep what was heard."""
        self._keep("transcribe", key, {"heard": [asdict(answer) for answer in heard]})

    def voices(self, key: str) -> dict[Speaker, Path]:
        """The track of every speaker."""
        return {path.stem: path for path in sorted(self.tracks(key).glob("*.wav"))}

    def _kept(self, stage: str, key: str) -> Any:
        path = self.folder / f"{stage}-{key}.json"
        if not path.is_file():
            return None
        try:
            return json.loads(path.read_text("utf-8"))
        except OSError as error:
            raise AudioError(f"{path}: a kept result cannot be read: {error.strerror}; delete it and run again") from error
        except ValueError:  # results appear whole, so the disk has damaged this one: it is worked out again
            return None

    def _keep(self, stage: str, key: str, content: Mapping[str, Any]) -> None:
        write(self.folder / f"{stage}-{key}.json", json.dumps(content))


def _span(row: Mapping[str, Any]) -> Span:
    return Span(row["start"], row["end"])


def _outline(row: Mapping[str, Any]) -> Outline:
    patches = tuple(
        Patch(_span(patch["span"]), tuple(patch["speakers"]), patch["source"], patch["margin"], tuple(patch["review"]))
        for patch in row["patches"]
    )
    return Outline(row["speaker"], _span(row["span"]), tuple(_span(turn) for turn in row["turns"]), patches)
