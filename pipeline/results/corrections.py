"""Corrections of a transcript that were saved by its page: found beside its JSON, and taken into its result set.

out/meeting.json                   the transcript
out/meeting.html                   its page, in which it is corrected
out/meeting.corrected.json         what the page saves; a browser may call it ``meeting.corrected (1).json``
out/meeting.original.json          the transcript as it was before corrections were taken
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from meetsplit.pipeline.data import Transcript
from meetsplit.pipeline.errors import MeetsplitError, SettingsError
from meetsplit.pipeline.events import EventListener, Notice, ignore_events
from meetsplit.pipeline.formats import read_transcript_file
from meetsplit.pipeline.formats.html.saved import corrected_stem
from meetsplit.pipeline.results.editing import publish_edit
from meetsplit.pipeline.results.folder import PublishedResults
from meetsplit.pipeline.results.ownership import speech_sha256
from meetsplit.pipeline.results.writing import with_names
from meetsplit.pipeline.settings import Outputs


@dataclass(frozen=True, slots=True)
class TakenCorrections:
    """Corrections that were taken: the ``published`` set, and the file in which the transcript before is ``kept``."""

    published: PublishedResults
    kept: Path


def find_corrections(path: Path, on_event: EventListener = ignore_events) -> Path | None:
    """The newest corrections beside the transcript at ``path`` that are not taken yet; None where there are none.

    Those are newer than the transcript, of the same recording, and differ from it. Of a newer file by that name that
    holds none, a notice says why. Raises as `read_transcript_file`.
    """
    candidates: list[tuple[int, Path]] = []
    with suppress(OSError):  # what cannot be listed is told where it is read
        age = path.stat().st_mtime_ns
        for entry in os.scandir(path.parent):
            candidate = path.parent / entry.name
            if corrected_stem(candidate) == path.stem and entry.is_file() and entry.stat().st_mtime_ns > age:
                candidates.append((entry.stat().st_mtime_ns, candidate))
    transcript = read_transcript_file(path) if candidates else None
    for _, candidate in sorted(candidates, reverse=True):
        try:
            corrected = read_transcript_file(candidate)
        except MeetsplitError as error:
            on_event(Notice(f"{error}: these corrections are not taken", "review"))
            continue
        if transcript is not None and not is_correction(corrected, transcript):
            on_event(Notice(_of_another(candidate, path), "review"))
        elif corrected != transcript:
            return candidate
    return None


def is_correction(corrected: Transcript, transcript: Transcript) -> bool:
    """Whether a transcript can have been made of another one by corrections: both are of one run of a recording."""
    return speech_sha256(corrected) == speech_sha256(transcript)


def take_corrections(
    path: Path,
    corrections: Path,
    outputs: Outputs,
    inputs: Sequence[Path] = (),
    on_event: EventListener = ignore_events,
) -> TakenCorrections:
    """Publish corrections as the transcript at ``path``: its JSON, and the other ``outputs`` from them.

    The JSON as it was is kept beside it as ``NAME.original.json`` (or with a number, where that name is taken by
    another content); the file of corrections stays. Tracks follow the names and the turns. Raises `AudioError` and
    `SettingsError` for a file that is no transcript, `SettingsError` for corrections of another recording,
    `OutputError`.
    """
    corrected = read_transcript_file(corrections)
    if not is_correction(corrected, read_transcript_file(path)):
        raise SettingsError(_of_another(corrections, path))
    named = with_names(corrected, outputs, on_event)
    edit = publish_edit(path, named, outputs, inputs=(corrections, *inputs), on_event=on_event, elsewhere=True)
    return TakenCorrections(edit.published, edit.kept)


def _of_another(corrections: Path, path: Path) -> str:
    return (
        f"{corrections}: corrects another recording than {path}, or another run of it: people speak at other times "
        "there; name the transcript that it was made from"
    )
