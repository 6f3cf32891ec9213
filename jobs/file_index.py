"""Checksums of recordings seen before, so that each is read once."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from meetsplit.jobs.discovery import signature
from meetsplit.pipeline.cache.content import recording_sha256
from meetsplit.pipeline.errors import AudioError
from meetsplit.pipeline.files import sweep, write
from meetsplit.pipeline.files.locks import hold_lock


@dataclass(slots=True)
class Ledger:
    """The file ``seen.json``: a cache. What has results, and under which name, is said by the results folder.

    A damaged file is begun anew. Raises `OutputError` where it cannot be written.
    """

    path: Path
    contents: dict[str, tuple[list[int], str]] = field(default_factory=dict)

    @classmethod
    def at(cls, state: Path) -> Ledger:
        """The ledger of a state folder."""
        ledger = cls(state / "seen.json")
        ledger._read()
        return ledger

    def content(self, path: Path) -> str:
        """SHA-256 of a recording, from the ledger where size and time of change are what they were.

        Raises `AudioError` for one that cannot be read, or that changes while it is.
        """
        before = signature(path)
        known = self.contents.get(str(path))
        if known is not None and before is not None and known[0] == list(before):
            return known[1]
        content = recording_sha256(path)
        if before is None or signature(path) != before:
            raise AudioError(f"{path}: is being written to, or is empty: wait until it is complete")
        self.contents[str(path)] = (list(before), content)
        return content

    def save(self) -> None:
        """Write it, together with what another process has written meanwhile."""
        with hold_lock(self.path.with_suffix(".lock")):
            contents = dict(self.contents)
            self._read()
            self.contents |= contents
            sweep(self.path.parent)  # nothing else is written in the state folder itself
            write(self.path, json.dumps({"contents": self.contents}), private=True)

    def _read(self) -> None:
        try:
            kept = json.loads(self.path.read_text("utf-8"))
            self.contents = {path: (row[0], row[1]) for path, row in kept["contents"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
            self.contents = {}
