"""Moving finished recordings out of the folder that they came in (``--move-done``)."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from meetsplit.jobs.job import JobSpec
from meetsplit.pipeline import files
from meetsplit.pipeline.cache.content import recording_sha256
from meetsplit.pipeline.errors import OutputError


def move_recording(job: JobSpec, folder: Path) -> Path | None:
    """Move a job's recording into ``folder``, never over another file; its new path, or None where it had gone.

    Idempotent, so that it can be repeated after a crash at any point: only a file with the job's content is moved, and
    one that has arrived already is not moved again. Another recording that takes the path meanwhile stays there. Raises
    `OutputError`, and `AudioError` for a recording that cannot be read.
    """
    recording, aside = job.recording, job.recording.parent / f".meetsplit-{job.key[:12]}.moved"
    targets = files.numbered(folder / recording.name)
    target = next(targets)
    try:
        source = aside if _was_left_aside(aside, job) else recording
        if not os.path.lexists(source):
            return None
        expected = source.lstat()
        if recording_sha256(source) != job.content:
            return None  # moved before the crash; what lies there now is another recording
        files.make_folder(folder)
        files.remove(_temporary(job, folder))
        while True:
            try:
                files.move(source, target, expected=expected, temporary=_temporary(job, folder), aside=aside)
            except FileExistsError:
                if _has_arrived(target, source, job.content):
                    files.remove_if_same(source, expected, aside)
                    return target
                target = next(targets)
            except files.AnotherFile:
                return None
            else:
                return target
    except OSError as error:
        raise OutputError(
            f"{recording}: cannot be moved to {target}: {error.strerror or error}; its results are written"
        ) from error


def _was_left_aside(aside: Path, job: JobSpec) -> bool:
    """Whether a crash in the middle of a move left the recording at ``aside``; another one gets its name back."""
    if not os.path.lexists(aside):
        return False
    if recording_sha256(aside) == job.content:
        return True
    files.put_back(aside, job.recording)
    return False


def _temporary(job: JobSpec, folder: Path) -> Path:
    """The temporary file of a move to another disk: always the same one for a job, so that a crash leaves no second
    one.
    """
    return folder / f".meetsplit-{job.key[:12]}.part"


def _has_arrived(target: Path, recording: Path, content: str) -> bool:
    """Whether ``target`` is a file of its own with the recording's content: what a crash before the end of a move
    leaves.
    """
    with suppress(OSError):
        return stat.S_ISREG(target.lstat().st_mode) and not recording.is_symlink() and files.sha256(target) == content
    return False
