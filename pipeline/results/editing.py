"""Edits of a finished transcript: published with everything made of it, and taken back.

out/meeting.json, meeting.srt …    the set, of which every format and track follows an edit
out/meeting.original.json          the transcript as it was before the edit
out/meeting.original/Ben.wav       tracks as they were, where the edit made others of them (merged or split speakers)

An edit is all or nothing, and the set's manifest says which original `undo_edit` brings back. Formats that were changed
by hand stay as they are; tracks that were are renamed and put together like the others.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from meetsplit.pipeline import files, formats
from meetsplit.pipeline.data import Speaker, Transcript
from meetsplit.pipeline.errors import OutputError, SettingsError
from meetsplit.pipeline.events import EventListener, Notice, ignore_events
from meetsplit.pipeline.formats import FORMATS, read_transcript_file
from meetsplit.pipeline.formats.control_characters import shown
from meetsplit.pipeline.formats.html import sound_kind
from meetsplit.pipeline.formats.text import one_line
from meetsplit.pipeline.results.folder import PublishedResults, Reservation, ResultsFolder
from meetsplit.pipeline.results.manifest import ManifestStore, file_status, manifest_of
from meetsplit.pipeline.results.originals import find_original, keep_original, last_original
from meetsplit.pipeline.results.ownership import EditHistory, Owner, ResultRequest
from meetsplit.pipeline.results.page_sound import SoundSources, has_page_sound, sound_beside
from meetsplit.pipeline.results.stems import BACKGROUND, PAGE_RECORDING, absolute_path, name_max, safe_stem
from meetsplit.pipeline.results.track_names import track_stems
from meetsplit.pipeline.results.writing import owner_of_set, permissions, placed, render_formats, stage_page
from meetsplit.pipeline.settings import Outputs
from meetsplit.speakers.track_editing import TrackPart, compose_track, track_parts


@dataclass(frozen=True, slots=True)
class PublishedEdit:
    """An edit that was published: its ``transcript``, the set, and the file in which the JSON before is ``kept``."""

    transcript: Transcript
    published: PublishedResults
    kept: Path

    @property
    def tracks(self) -> tuple[Path, ...]:
        """The track files of the set."""
        suffixes = ("wav", "flac", "mp3", "m4a")
        return tuple(file for file in self.published.files if file.suffix[1:] in suffixes and file.name != BACKGROUND)


@dataclass(frozen=True, slots=True)
class _Edit:
    """What is published in place of the transcript at ``path``.

    ``content`` is the JSON to be written where that is known to the byte; ``history`` the one after the edit;
    ``kept_tracks`` are tracks of the edited transcript that were kept before.
    """

    path: Path
    before: Transcript
    sha256: str
    edited: Transcript
    history: EditHistory
    content: bytes | None = None
    kept_tracks: Mapping[Speaker, Path] = dataclasses.field(default_factory=dict)


def publish_edit(
    path: Path,
    edited: Transcript,
    outputs: Outputs | None = None,
    *,
    inputs: Sequence[Path] = (),
    on_event: EventListener = ignore_events,
    elsewhere: bool = False,
) -> PublishedEdit:
    """Publish an edited transcript in place of the one at ``path``, with every format and track of its set.

    ``outputs`` say how the formats look; those of the set are written (`outputs_of_set`) where it is left out. Tracks
    are renamed, added up or cut as names and turns say (`track_editing`). The JSON as it was is kept as
    ``NAME.original.json``, tracks that other ones were made of in the folder of that name. ``inputs`` are files that
    the command reads, none is written over. With ``elsewhere``, the set gets another stem where its own is taken by
    files that are not its own; otherwise that is a `SettingsError`. Raises `AudioError` and `OutputError`, and then
    everything is as it was.
    """
    if outputs is None:
        outputs = outputs_of_set(path, Outputs(), on_event)
    before, sha256, history = _state(path)
    edit = _Edit(path, before, sha256, edited, EditHistory((*history.undo, sha256)))
    return _publish(edit, outputs, inputs, on_event, elsewhere=elsewhere)


def undo_edit(
    path: Path,
    outputs: Outputs | None = None,
    *,
    redo: bool = False,
    on_event: EventListener = ignore_events,
) -> PublishedEdit:
    """Take back the last edit of the transcript at ``path``: its JSON to the byte, every format and track.

    Taken back again and again, edits go until the transcript is as it was before the first one; with ``redo`` they come
    back. Raises `SettingsError` where there is none, and as `publish_edit`.
    """
    if outputs is None:
        outputs = outputs_of_set(path, Outputs(), on_event)
    before, sha256, history = _state(path)
    states = history.redo if redo else history.undo
    original = find_original(path, states[-1]) if states else None
    if not states and not redo and not history.redo:  # taken by an earlier version, or copied without its manifest
        original = last_original(path, before)
    if original is None:
        raise SettingsError(_nothing_left(path, states, redo=redo, has_redo=bool(history.redo)))
    content = original.read_bytes()
    if redo:
        after = EditHistory((*history.undo, sha256), history.redo[:-1])
    else:
        after = EditHistory(history.undo[:-1], (*history.redo, sha256))
    kept_tracks = _tracks_kept_with(original)
    edit = _Edit(path, before, sha256, read_transcript_file(original), after, content, kept_tracks)
    published = _publish(edit, outputs, (original,), on_event)
    if kept_tracks:
        _forget_tracks(original)
    return published


def outputs_of_set(path: Path, outputs: Outputs, on_event: EventListener = ignore_events) -> Outputs:
    """The outputs with the formats that the transcript at ``path`` has beside it, and the sound that its page has.

    Of a format that was changed by hand a notice says that it stays, unless ``outputs.overwrite``.
    """
    manifest = ResultsFolder(absolute_path(path).parent).manifest(path.stem)
    checksums = {} if manifest is None else manifest.files
    chosen: list[str] = []
    for name in formats_of_set(path):
        file = path.with_name(f"{path.stem}{FORMATS[name].suffix}") if name in FORMATS else None
        changed = file is not None and file_status(file, checksums.get(file.name, ())) != "ours"
        if changed and name != "json" and not outputs.overwrite:
            on_event(Notice(f"{file} was changed by hand and stays as it is (--overwrite writes it anew)", "write"))
        else:
            chosen.append(name)
    outputs = dataclasses.replace(outputs, formats=tuple(dict.fromkeys(("json", *chosen))))
    page = path.with_suffix(".html")
    if "html" in outputs.formats and outputs.html_audio == Outputs().html_audio and page.is_file():
        outputs = dataclasses.replace(outputs, html_audio=sound_kind(page))
    return outputs


def formats_of_set(path: Path) -> tuple[str, ...]:
    """The formats that the transcript at ``path`` has beside it, as its result set's manifest has them."""
    manifest = ResultsFolder(absolute_path(path).parent).manifest(path.stem)
    names = [name for name in (manifest.files if manifest is not None else ()) if (path.parent / name).is_file()]
    own = [name for name, one in FORMATS.items() if f"{path.stem}{one.suffix}" in names]
    per_speaker = [
        name
        for name, one in formats.SPEAKER_FORMATS.items()
        if any(other.startswith(f"{path.stem}/") and other.endswith(one.suffix) for other in names)
    ]
    return (*own, *per_speaker)


def _state(path: Path) -> tuple[Transcript, str, EditHistory]:
    """The transcript at ``path``, the SHA-256 of its file, and its history."""
    transcript = read_transcript_file(path)
    manifest = manifest_of(path)
    return transcript, files.sha256(path), EditHistory() if manifest is None else manifest.history


def _nothing_left(path: Path, states: Sequence[str], *, redo: bool, has_redo: bool) -> str:
    if states:
        return f"{path}: the transcript as it was is gone: {path.stem}.original*.json beside it held it"
    if redo:
        return f"{path}: no edit was taken back that could be done again"
    more = " (--redo does edits again that were taken back)" if has_redo else ""
    return f"{path}: no edit is left to take back: this is the transcript as it was first{more}"


def _publish(
    edit: _Edit, outputs: Outputs, inputs: Sequence[Path], on_event: EventListener, *, elsewhere: bool = False
) -> PublishedEdit:
    sources = sound_beside(edit.path, edit.before)
    parts = track_parts(edit.before.turns, edit.edited.turns)
    outputs = dataclasses.replace(outputs, formats=tuple(dict.fromkeys(("json", *outputs.formats))))
    with _kept(edit, sources.tracks, parts) as kept:
        request = _request(edit, outputs, inputs, sources.tracks)
        with ResultsFolder(edit.path.parent).reservation(request) as reservation:
            _require_own_stem(edit.path, reservation, elsewhere=elsewhere)
            tracks = _stage_tracks(edit, sources.tracks, parts, reservation, on_event)
            sound = stage_page(
                SoundSources(sources.recording, tracks), edit.edited, outputs, reservation.staging, on_event
            )
            staged = [*tracks.values(), *sound.files]
            recording = edit.path.with_suffix("") / PAGE_RECORDING
            keeps_recording = "html" not in outputs.formats or has_page_sound(outputs)
            if tracks and keeps_recording and recording.is_file() and PAGE_RECORDING not in {f.name for f in staged}:
                staged.append(_same_file(recording, reservation.staging / "tracks" / PAGE_RECORDING))
            background = edit.path.with_suffix("") / BACKGROUND
            if tracks and background.is_file():
                staged.append(_same_file(background, reservation.staging / "tracks" / BACKGROUND))

            def render(label: str) -> Mapping[str, str | bytes]:
                longest = name_max(reservation.folder)
                texts = render_formats(edit.edited, outputs, longest=longest, sound=placed(sound, reservation))
                return texts if edit.content is None else {**texts, ".json": edit.content}

            published = reservation.publish(
                render,
                staged,
                mode=permissions(edit.path),
                labels={file.name: speaker for speaker, file in tracks.items()},
            )
    return PublishedEdit(edit.edited, published, kept)


def _request(edit: _Edit, outputs: Outputs, inputs: Sequence[Path], tracks: Mapping[Speaker, Path]) -> ResultRequest:
    """The set's request: the JSON and the tracks may be replaced, since their content is kept."""
    path, stem = edit.path, safe_stem(edit.path.stem)
    owner, base = owner_of_set(path, edit.before)
    kept = {f"{path.stem}/{file.name}": (files.sha256(file),) for file in tracks.values()}
    return ResultRequest(
        owner,
        base,
        preferred=stem,
        suffixes=formats.suffixes_of(outputs.formats),
        speaker_suffixes=tuple(one.suffix for one in formats.speaker_formats(outputs.formats)),
        track_names=tuple(_track_names(edit.edited, tracks, path.parent)),
        inputs=tuple(inputs),
        overwrite=outputs.overwrite,
        replaceable={path.name: (edit.sha256,), **kept},
        history=edit.history,
    )


def _require_own_stem(path: Path, reservation: Reservation, *, elsewhere: bool) -> None:
    placement = reservation.placement
    if placement.stem != path.stem and not elsewhere:
        reason = placement.reason or "its name is no name of results"
        raise SettingsError(f"{path}: nothing was changed: {reason}; move that file away or choose another name")


# Tracks


def _track_names(transcript: Transcript, tracks: Mapping[Speaker, Path], folder: Path) -> Iterator[str]:
    """The names that the tracks will have, as far as they can be known before."""
    if tracks:
        suffix = next(iter(tracks.values())).suffix
        for stem in track_stems(transcript.speakers, dict(transcript.names), name_max(folder)).values():
            yield f"{stem}{suffix}"


def _stage_tracks(
    edit: _Edit,
    tracks: Mapping[Speaker, Path],
    parts: Mapping[Speaker, Sequence[TrackPart]],
    reservation: Reservation,
    on_event: EventListener,
) -> dict[Speaker, Path]:
    """The tracks of the edited transcript by speaker, in the staging folder; a notice of those that are missing."""
    folder = reservation.staging / "tracks"
    stems = track_stems(edit.edited.speakers, dict(edit.edited.names), name_max(reservation.folder))
    staged: dict[Speaker, Path] = {}
    for speaker, stem in sorted(stems.items()):
        own = parts.get(speaker, ())
        sources = [(tracks[part.old], part.spans) for part in own if part.old in tracks]
        missing = [edit.before.name_of(part.old) for part in own if part.old not in tracks]
        if speaker in edit.kept_tracks:
            kept = edit.kept_tracks[speaker]
            staged[speaker] = _same_file(kept, folder / f"{stem}{kept.suffix}")
            continue
        if missing and tracks:
            on_event(Notice(f"the track of {', '.join(missing)} is not beside {edit.path}: it is left out", "write"))
        if not sources:
            continue
        target = folder / f"{stem}{sources[0][0].suffix}"
        if len(sources) == 1 and sources[0][1] is None:
            staged[speaker] = _same_file(sources[0][0], target)
        else:
            staged[speaker] = target
            compose_track(sources, target)
    for speaker, file in staged.items():
        name = one_line(edit.edited.name_of(speaker))
        if name not in (file.stem, edit.before.name_of(speaker)):
            on_event(Notice(f"the track of {shown(_cut(name))} is {shown(_cut(file.name))}", "write"))
    return staged


def _cut(name: str) -> str:
    return name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…"


_SHOWN = 60
"""Letters of a name in a notice."""


def _same_file(source: Path, target: Path) -> Path:
    """A file with the content of another one in a staging folder: its second name, or a copy on disks without links."""
    try:
        files.make_folder(target.parent)
        try:
            files.disk.link(source, target)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EEXIST):
                raise
            with source.open("rb") as content, files.disk.create(target, 0o666) as copy:
                shutil.copyfileobj(content, copy)
                files.disk.fsync(copy)
    except OSError as error:
        raise OutputError(f"{source}: cannot be kept: {files.advice(error)}") from error
    return target


# Originals and their tracks


@contextmanager
def _kept(edit: _Edit, tracks: Mapping[Speaker, Path], parts: Mapping[Speaker, Sequence[TrackPart]]) -> Iterator[Path]:
    """The JSON as it was, kept, and with it the tracks that the edit makes others of; gone again if the block fails."""
    whole = {own[0].old for own in parts.values() if len(own) == 1 and own[0].spans is None}
    changed = {speaker: file for speaker, file in tracks.items() if speaker not in whole}
    was_there = find_original(edit.path, edit.sha256) is not None
    kept = keep_original(edit.path)
    had_tracks = _tracks_kept_with(kept)
    try:
        if changed:
            _keep_tracks(kept, edit.sha256, {**had_tracks, **changed})
        yield kept
    except BaseException:
        if changed and not had_tracks:
            _forget_tracks(kept)
        if not was_there:
            files.remove(kept)
        raise


def _keep_tracks(kept: Path, sha256: str, tracks: Mapping[Speaker, Path]) -> None:
    """Publish tracks as a set of their own beside an original: its folder is called like it."""
    stem = kept.stem
    request = ResultRequest(
        Owner(str(absolute_path(kept)), sha256),
        stem,
        preferred=stem,
        suffixes=(),
        track_names=tuple(file.name for file in tracks.values()),
    )
    with ResultsFolder(kept.parent).reservation(request) as reservation:
        if reservation.placement.stem != stem:
            raise SettingsError(
                f"{kept.with_suffix('')}: nothing was changed: tracks cannot be kept there as they were"
            )
        staged = {who: _same_file(file, reservation.staging / "tracks" / file.name) for who, file in tracks.items()}
        reservation.publish(
            lambda label: {}, list(staged.values()), labels={file.name: who for who, file in staged.items()}
        )


def _tracks_kept_with(original: Path) -> dict[Speaker, Path]:
    """The tracks that were kept beside an original, by speaker."""
    manifest = ManifestStore(original.parent).read(original.stem)
    kept = {} if manifest is None else {label: original.parent / name for name, label in manifest.tracks.items()}
    return {label: path for label, path in kept.items() if path.is_file()}


def _forget_tracks(original: Path) -> None:
    """Remove the tracks that were kept beside an original: they are those of the set again."""
    store = ManifestStore(original.parent)
    manifest = store.read(original.stem)
    for name in manifest.files if manifest is not None else ():
        files.remove(original.parent / name)
    files.remove(store.path(original.stem))
    folder = original.with_suffix("")
    if folder.is_dir() and not os.listdir(folder):
        files.disk.rmdir(folder)
