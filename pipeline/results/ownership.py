"""Owners of result sets, and requests for a set: the files of a recording to be written, and their names."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from meetsplit.pipeline import formats
from meetsplit.pipeline.cache.content import recording_sha256
from meetsplit.pipeline.channels.recording import MultiFileRecording
from meetsplit.pipeline.data import Speaker, Transcript, timeline
from meetsplit.pipeline.results.stems import BACKGROUND, PAGE_RECORDING, absolute_path, safe_stem
from meetsplit.pipeline.results.track_names import track_stems
from meetsplit.pipeline.settings import Outputs


@dataclass(frozen=True, slots=True)
class Owner:
    """The recording that a result set belongs to: its absolute path and the SHA-256 of its ``content``."""

    recording: str
    content: str

    def is_same(self, other: Owner) -> bool:
        """Whether both are one recording: the same content, at the same path or where the other's path is gone."""
        if self.content != other.content:
            return False
        return self.recording == other.recording or not os.path.lexists(other.recording)


@dataclass(frozen=True, slots=True)
class EditHistory:
    """The states of a transcript that `undo` and `redo` bring back: SHA-256 of each JSON, the next one last.

    Each is kept as an original beside the transcript, see `originals`.
    """

    undo: tuple[str, ...] = ()
    redo: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ResultRequest:
    """A result set to be written.

    ``base`` is the stem that the recording's own name gives, ``preferred`` the one to try first; ``extension`` and
    ``parent`` tell recordings with the same base apart. ``suffixes`` are those of the text files, ``tracks`` says
    whether there is a folder of tracks, ``track_names`` are the files in it, as far as they are known before the work,
    and ``speaker_suffixes`` are those of the text files in it, one per speaker. ``inputs`` are files that the command
    reads, ``peers`` the names claimed by the recordings of the same command, see `stems.claimed_names`. ``note`` says
    why ``base`` is not the recording's name. ``replaceable`` are files that may be replaced although no manifest has
    them, because their content is kept elsewhere: SHA-256 by file name. With ``replaces_all``, files of an earlier set
    that this one does not have go, whatever they are. ``label`` is what the transcript calls the
    recording where that is settled: otherwise `folder.Placement` says it.
    """

    owner: Owner
    base: str
    preferred: str
    suffixes: tuple[str, ...]
    tracks: bool = False
    speaker_suffixes: tuple[str, ...] = ()
    track_names: tuple[str, ...] = ()
    extension: str = ""
    parent: str = ""
    inputs: tuple[Path, ...] = ()
    peers: Mapping[str, str] = field(default_factory=dict)
    overwrite: bool = False
    replaceable: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    track_labels: Mapping[str, Speaker] = field(default_factory=dict)
    history: EditHistory | None = None
    replaces_all: bool = False
    note: str | None = None
    label: str | None = None


def owner_of_recording(source: Path | MultiFileRecording, sha256: str | None = None) -> Owner:
    """The owner of the results of ``source``; ``sha256`` is its `recording_sha256`, where that was computed before.

    Raises `AudioError` for a recording that cannot be read.
    """
    paths = [file.path for file in source.microphones] if isinstance(source, MultiFileRecording) else [source]
    return Owner(", ".join(str(absolute_path(path)) for path in paths), sha256 or recording_sha256(source))


def result_request(source: Path | MultiFileRecording, outputs: Outputs, *, sha256: str | None = None) -> ResultRequest:
    """The result set of a recording under its own name; ``sha256`` as in `owner_of_recording`.

    Raises `AudioError` for a recording that cannot be read.
    """
    base = safe_stem(source.stem)
    request = ResultRequest(
        owner_of_recording(source, sha256),
        base,
        preferred=base,
        suffixes=formats.suffixes_of(outputs.formats, from_sound=True),
        tracks=outputs.tracks,
        speaker_suffixes=tuple(one.suffix for one in formats.speaker_formats(outputs.formats)),
        track_names=_expected_track_names(source, outputs),
        overwrite=outputs.overwrite,
        note=None if base == source.stem else "its own name is not fit for files on every system",
    )
    if isinstance(source, MultiFileRecording):
        return dataclasses.replace(request, inputs=tuple(file.path for file in source.microphones))
    path = absolute_path(source)
    return dataclasses.replace(request, extension=path.suffix, parent=path.parent.name, inputs=(path,))


def has_linked_recording(outputs: Outputs) -> bool:
    """Whether a page that links to its sound is asked for."""
    return "html" in outputs.formats and outputs.html_audio == "link"


def _expected_track_names(source: Path | MultiFileRecording, outputs: Outputs) -> tuple[str, ...]:
    """The names of files that a run can be expected to write into the folder of the tracks.

    Tracks of people whose names are given, the recording of a page that links to it, and the background.
    """
    others: tuple[str, ...] = (PAGE_RECORDING,) if has_linked_recording(outputs) else ()
    others += (BACKGROUND,) if outputs.keep_background else ()
    if not outputs.tracks:
        return others
    people = source.speaker_names if isinstance(source, MultiFileRecording) else ()
    given = (*dict(outputs.names).values(), *outputs.names_in_order, *outputs.channel_names)
    names = {name: name for name in (*people, *given) if name}
    return (*(f"{stem}.{outputs.track_format}" for stem in track_stems(names, names).values()), *others)


def owner_by_turns(path: Path, transcript: Transcript) -> Owner:
    """The owner of files made of a transcript that is in no result set: its path and its turns."""
    turns = [(turn.span.start, turn.span.end) for turn in transcript.turns]
    return Owner(str(absolute_path(path)), hashlib.sha256(json.dumps(turns).encode()).hexdigest())


def speech_sha256(transcript: Transcript) -> str:
    """SHA-256 of the recording's length and of when anybody speaks: what no correction of a transcript changes."""
    spans = [(span.start, span.end) for span in timeline.support(turn.span for turn in transcript.turns)]
    return hashlib.sha256(json.dumps([transcript.duration, spans]).encode()).hexdigest()
