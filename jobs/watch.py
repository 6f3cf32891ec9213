"""Watching a folder: each scan queues the files that have become stable, every file once."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from meetsplit.jobs.discovery import FileSignature, StabilityTracker, is_utf8, refusal, search
from meetsplit.jobs.file_index import FileIndex
from meetsplit.jobs.job_store import JobStore
from meetsplit.jobs.requests import Request, build_jobs
from meetsplit.jobs.submission import JobQueue, Submission
from meetsplit.pipeline.errors import AudioError, MeetsplitError, OutputError
from meetsplit.pipeline.files.locks import try_lock

STABLE_POLLS = 3
"""The number of scans in a row at which a file has to have the same signature before it is queued."""


RETRY_WITHIN = 5.0
"""Seconds for which ``watch --once`` waits for the retry of a job that failed; a later one is left to the next process.
"""


def single_watch_lock(store: JobStore, folder: Path, outputs: Path) -> BinaryIO | None:
    """The lock of a ``watch --once`` of ``folder`` with results in ``outputs``; None where another process holds it.

    A timer may start the next watch while the one before is still at work.
    """
    name = hashlib.sha256(f"{os.path.realpath(folder)}\0{os.path.realpath(outputs)}".encode()).hexdigest()[:16]
    return try_lock(store.ready().state / f"watch-{name}.lock")


@dataclass(frozen=True, slots=True)
class ScanResult:
    """The result of one scan: ``submissions`` of stable recordings, the number of ``unsettled`` files, ``complaints``
    about what could not be read.
    """

    submissions: tuple[Submission, ...]
    unsettled: int
    complaints: tuple[str, ...]


class FolderWatch:
    """A watched folder, scanned again and again. Raises `AudioError` where there is no such folder."""

    def __init__(self, folder: Path, request: Request, queue: JobQueue, index: FileIndex) -> None:
        if not folder.is_dir():
            raise AudioError(f"{folder}: no such folder")
        self._folder, self._request, self._queue, self._index = folder, request, queue, index
        self._tracker = StabilityTracker(STABLE_POLLS)
        self._handled: dict[Path, FileSignature] = {}

    def scan(self) -> ScanResult:
        """Queue the files that have been stable for `STABLE_POLLS` scans and were not queued before."""
        try:
            search_result = search([self._folder], self._request.patterns)
        except MeetsplitError as error:  # the folder is gone for a while: a disk or share that comes back
            return ScanResult((), 0, (str(error),))
        refusals: dict[Path, str] = {}
        for recording in search_result.recordings:
            reason = _permanent_refusal(recording.path)
            if reason is not None:
                refusals[recording.path] = reason
        candidates = [recording for recording in search_result.recordings if recording.path not in refusals]
        self._tracker = self._tracker.poll([recording.path for recording in candidates])
        stable = self._tracker.stable()
        new = [
            recording
            for recording in candidates
            if recording.path in stable and self._handled.get(recording.path) != stable[recording.path]
        ]
        complaints = [*search_result.complaints, *refusals.values()]
        submissions: list[Submission] = []
        if new:
            try:
                built = build_jobs(new, self._request, self._index)
            except (
                OutputError
            ) as error:  # the results folder cannot be written for a while: tried again at the next scan
                return ScanResult((), len(new), (*complaints, str(error)))
            for job in built.jobs:
                submissions.append(self._queue.submit(job, repeat="never"))
                self._handled[job.recording] = stable[job.recording]
            for path, cause in built.refused:
                complaints.append(str(cause))
                self._handled[path] = stable[path]
        return ScanResult(tuple(submissions), len(self._tracker.files) - len(stable), tuple(complaints))

    def scan_until_stable(self, pause: Callable[[], bool]) -> ScanResult:
        """Scan as often as it takes a file to be stable; ``pause`` passes the time between two scans, False ends it
        early.

        A file that is still growing then is left for the next time.
        """
        submissions: list[Submission] = []
        complaints: dict[str, None] = {}
        unsettled = 0
        for number in range(STABLE_POLLS):
            result = self.scan()
            submissions += result.submissions
            complaints |= dict.fromkeys(result.complaints)
            unsettled = result.unsettled
            if number < STABLE_POLLS - 1 and not pause():
                break
        return ScanResult(tuple(submissions), unsettled, tuple(complaints))


def _permanent_refusal(path: Path) -> str | None:
    """Why a file that lies there can never be queued; None for an ordinary one, and for one that is gone by now."""
    try:
        ordinary = stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        if not path.is_symlink():
            return None
        ordinary = False
    except OSError:  # a link to itself, a folder that may not be entered
        ordinary = False
    if ordinary and is_utf8(path):
        return None
    problem = refusal(path)
    return None if problem is None else str(problem)
