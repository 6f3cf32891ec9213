"""What is new in a folder? A file is taken once it has held still, and each one once."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from meetsplit.jobs.discovery import Settling, Signature, is_text, obstacle, search
from meetsplit.jobs.file_index import Ledger
from meetsplit.jobs.job_store import Store
from meetsplit.jobs.requests import Request, take
from meetsplit.jobs.submission import Desk, Slip
from meetsplit.pipeline.errors import AudioError, MeetsplitError, OutputError
from meetsplit.pipeline.files.locks import try_lock

LOOKS = 3
"""How many looks in a row a file has to look the same."""


REPEATS_WITHIN = 5.0
"""Seconds for which a single watch waits for the repeat of a job that failed; a later one is left to the next process."""


def alone(store: Store, folder: Path, outputs: Path) -> BinaryIO | None:
    """The lock of a single watch of ``folder`` with results in ``outputs``; None where another process holds it.

    A timer may start the next watch while the one before is still at work.
    """
    name = hashlib.sha256(f"{os.path.realpath(folder)}\0{os.path.realpath(outputs)}".encode()).hexdigest()[:16]
    return try_lock(store.ready().state / f"watch-{name}.lock")


@dataclass(frozen=True, slots=True)
class Look:
    """What one look brought: ``slips`` of the recordings taken, how many files are ``unsettled``, what could not be read."""

    slips: tuple[Slip, ...]
    unsettled: int
    complaints: tuple[str, ...]


class Watch:
    """Looks into one folder again and again. Raises `AudioError` where there is no such folder."""

    def __init__(self, folder: Path, request: Request, desk: Desk, ledger: Ledger) -> None:
        if not folder.is_dir():
            raise AudioError(f"{folder}: no such folder")
        self._folder, self._request, self._desk, self._ledger = folder, request, desk, ledger
        self._settling = Settling(LOOKS)
        self._taken: dict[Path, Signature] = {}

    def look(self) -> Look:
        """Take what has held still since `LOOKS` looks and was not taken before."""
        try:
            found = search([self._folder], self._request.patterns)
        except MeetsplitError as error:  # the folder is gone for a while: a disk or share that comes back
            return Look((), 0, (str(error),))
        problems = {one.path: problem for one in found.found if (problem := _problem(one.path)) is not None}
        self._settling = self._settling.look([one.path for one in found.found if one.path not in problems])
        settled = self._settling.settled()
        ready = [one for one in found.found if one.path in settled and self._taken.get(one.path) != settled[one.path]]
        try:
            taken = take(ready, self._request, self._ledger) if ready else None
        except OutputError as error:  # the results folder cannot be written for a while: tried again at the next look
            return Look((), len(ready), (*found.complaints, *problems.values(), str(error)))
        complaints = [*found.complaints, *problems.values()]
        slips: list[Slip] = []
        for order in taken.orders if taken else ():
            slips.append(self._desk.put(order, repeat="never"))
            self._taken[order.recording] = settled[order.recording]
        for path, refusal in taken.refused if taken else ():
            complaints.append(str(refusal))
            self._taken[path] = settled[path]
        return Look(tuple(slips), len(self._settling.seen) - len(settled), tuple(complaints))

    def once(self, wait: Callable[[], bool]) -> Look:
        """Look as often as it takes a file to settle, and take what did; ``wait`` passes the time, False ends it early.

        A file that is still growing then is left for the next time.
        """
        slips: list[Slip] = []
        complaints: dict[str, None] = {}
        unsettled = 0
        for number in range(LOOKS):
            look = self.look()
            slips += look.slips
            complaints |= dict.fromkeys(look.complaints)
            unsettled = look.unsettled
            if number < LOOKS - 1 and not wait():
                break
        return Look(tuple(slips), unsettled, tuple(complaints))


def _problem(path: Path) -> str | None:
    """Why a file that lies there can never be taken; None for an ordinary one, which settles, and for one that is gone by now."""
    try:
        ordinary = stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        if not path.is_symlink():
            return None
        ordinary = False
    except OSError:  # a link to itself, a folder that may not be entered
        ordinary = False
    if ordinary and is_text(path):
        return None
    problem = obstacle(path)
    return None if problem is None else str(problem)
