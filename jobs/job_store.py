"""The state folder: one folder per job, readable without any database.

jobs.sqlite              the queue, unless PostgreSQL holds it
jobs/<key>/job.json      the job's specification
jobs/<key>/progress.json the running stage, how far it is, since when
jobs/<key>/stage.json    the stage that is running, and how often it has ended its worker
jobs/<key>/done.json     the outcome; written when the results are in their places
jobs/<key>/failed.txt    why the last attempt failed
jobs/<key>/…             finished stages, until the job is done
seen.json                checksums of recordings seen before
watch-<hash>.lock        held by a `watch --once` of one folder
workers/<name>.lock      held by each running worker
log.txt                  DBOS's log
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meetsplit.pipeline import files
from meetsplit.pipeline.errors import JobError, OutputError
from meetsplit.pipeline.files import write
from meetsplit.pipeline.files.locks import remove_locked
from meetsplit.pipeline.files.user_folders import user_folder

_RECORD_FILES = frozenset({"job.json", "done.json", "failed.txt", "lock"})
"""The files that stay in a job's folder once it is done."""


def default_state() -> Path:
    """The state folder by default: ``$XDG_STATE_HOME/meetsplit`` or ``~/.local/state/meetsplit``."""
    return user_folder("state") / "meetsplit"


@dataclass(frozen=True, slots=True)
class JobStore:
    """The state folder. Raises `JobError` where it cannot be made or read, `OutputError` where it cannot be written."""

    state: Path

    def ready(self) -> JobStore:
        """The same store, with its folders made, and made private where an earlier version left them readable by
        others.
        """
        try:
            for folder in (self.state, self.state / "jobs", self.state / "workers"):
                folder.mkdir(parents=True, exist_ok=True, mode=files.PRIVATE_FOLDER)
            for path in (
                self.state / "jobs",
                self.state / "workers",
                *(path for path in self.state.iterdir() if path.is_file()),
            ):
                files.make_private(path)
        except OSError as error:
            raise JobError(
                f"{self.state}: jobs cannot be kept there: {error.strerror}; choose another --state-dir"
            ) from error
        return self

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.state / "jobs.sqlite"

    def folder(self, key: str) -> Path:
        """The folder of the job with that key."""
        return self.state / "jobs" / key

    def lock(self, key: str) -> Path:
        """The lock that a worker holds while it works on the job."""
        return self.folder(key) / "lock"

    def write(self, key: str, name: str, content: Mapping[str, Any]) -> None:
        """Write ``<name>.json`` of a job atomically."""
        write(self.folder(key) / f"{name}.json", json.dumps(content, ensure_ascii=False, indent=1) + "\n", private=True)

    def read(self, key: str, name: str) -> dict[str, Any] | None:
        """The content of ``<name>.json`` of a job; None where there is none, or where it is damaged."""
        try:
            row = json.loads((self.folder(key) / f"{name}.json").read_text("utf-8"))
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        except OSError as error:
            raise JobError(f"{self.folder(key)}: cannot be read: {error.strerror}") from error
        return row if isinstance(row, dict) else None

    def write_progress(self, key: str, row: Mapping[str, Any]) -> None:
        """Write ``progress.json`` of a job, without ``fsync``: a crash loses at most this, and it is written often."""
        part = files.temporary_name(self.folder(key))
        try:
            with files.disk.create(part, files.PRIVATE_FILE) as file:
                file.write(json.dumps(row).encode())
            files.disk.replace(part, self.folder(key) / "progress.json")
        except OSError as error:
            with suppress(OSError):
                files.remove(part)
            raise OutputError(
                f"{part}: cannot be written: {error.strerror}; make room on the disk of {self.state}"
            ) from error

    def write_failure(self, key: str, sentence: str) -> str | None:
        """Write ``failed.txt`` of a job; returns why it could not be written, where it could not: the database has it,
        too.
        """
        try:
            write(self.folder(key) / "failed.txt", sentence + "\n", private=True)
        except OutputError as error:
            return str(error)
        return None

    def clear(self, key: str) -> None:
        """Remove the stage results of a finished job; its record stays."""
        folder = self.folder(key)
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name not in _RECORD_FILES:
                path.unlink(missing_ok=True)

    def remove(self, key: str) -> None:
        """Remove the job's folder, whose lock the caller holds; files that cannot be removed stay."""
        with suppress(OSError):
            remove_locked(self.folder(key), self.lock(key))

    def keys(self) -> tuple[str, ...]:
        """The keys of all jobs that have a folder."""
        folder = self.state / "jobs"
        return tuple(sorted(path.name for path in folder.iterdir() if path.is_dir())) if folder.is_dir() else ()
