"""Transcripts saved to and read from files by their own methods, `Transcript.save` and `Transcript.read`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from meetsplit.pipeline import formats as transcript_formats
from meetsplit.pipeline.data import Transcript
from meetsplit.pipeline.errors import MeetsplitError, SettingsError
from meetsplit.pipeline.events import Notice, log_events
from meetsplit.pipeline.results.folder import ResultsFolder
from meetsplit.pipeline.results.manifest import manifest_of
from meetsplit.pipeline.results.ownership import Owner, ResultRequest, speech_sha256
from meetsplit.pipeline.results.page_sound import (
    SILENT,
    can_compress,
    has_page_sound,
    sound_beside,
    stage_sound,
)
from meetsplit.pipeline.results.stems import absolute_path, name_max, safe_stem
from meetsplit.pipeline.results.writing import placed, render_formats, with_names
from meetsplit.pipeline.settings import Outputs, listed


def read(path: str | os.PathLike[str]) -> Transcript:
    """See `Transcript.read`."""
    name = os.fspath(path)
    if name.lstrip()[:1] in ("{", "["):
        raise SettingsError("Transcript.read takes the path of a file, not its text: use read_transcript(text)")
    return transcript_formats.read_transcript_file(Path(name))


def save(
    transcript: Transcript,
    folder: str | os.PathLike[str],
    formats: str | Sequence[str] | None,
    outputs: Outputs | None,
    owner: Owner | None = None,
) -> tuple[Path, ...]:
    """See `Transcript.save`; ``owner`` is the recording, where it is known.

    Otherwise the files belong to the result set in ``folder`` whose JSON holds an earlier state of this transcript, or
    else to the transcript. That is known by the time in which anybody speaks, which names, corrected words and merged
    speakers do not change.
    """
    outputs = replace(outputs or Outputs(), folder=Path(folder))
    if formats is not None:
        outputs = replace(outputs, formats=listed(formats, "formats"))
    named = with_names(transcript, outputs, log_events)
    base = stem = safe_stem(transcript.recording)
    if owner is None:
        owner, base = _set_of(transcript, outputs.folder, stem) or (_owner_of(transcript, outputs.folder, stem), stem)
    request = ResultRequest(
        owner,
        base,
        stem,
        transcript_formats.suffixes_of(outputs.formats),
        speaker_suffixes=tuple(one.suffix for one in transcript_formats.speaker_formats(outputs.formats)),
        overwrite=outputs.overwrite,
        label=transcript.recording,
    )
    with ResultsFolder(outputs.folder).reservation(request) as reservation:
        longest = name_max(reservation.folder)
        sound = SILENT
        if has_page_sound(outputs) and can_compress():
            beside = sound_beside(reservation.folder / f"{stem}.json", named)
            sound = stage_sound(beside, named, outputs, reservation.staging)
        published = reservation.publish(
            lambda label: render_formats(
                replace(named, recording=label), outputs, longest=longest, sound=placed(sound, reservation)
            ),
            sound.files,
        )
    if published.placement.stem != stem:
        placement = published.placement
        log_events(Notice(f"{transcript.recording} is saved as {placement.stem}.*: {placement.reason}"))
    return published.files


def _set_of(transcript: Transcript, folder: Path, stem: str) -> tuple[Owner, str] | None:
    """The owner and base name of the set in ``folder`` with an earlier state of the transcript; None without one."""
    path = folder / f"{stem}.json"
    manifest = manifest_of(path)
    if manifest is None or manifest.owner is None:
        return None
    with suppress(MeetsplitError):  # a file that was changed or removed is none of ours
        if speech_sha256(transcript_formats.read_transcript_file(path)) == speech_sha256(transcript):
            return manifest.owner, manifest.name
    return None


def _owner_of(transcript: Transcript, folder: Path, stem: str) -> Owner:
    return Owner(str(absolute_path(folder / f"{stem}.json")), speech_sha256(transcript))
