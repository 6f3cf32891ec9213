"""Index of recordings seen before: their checksums, so that an unchanged file is hashed once."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from meetsplit.jobs.discovery import file_signature
from meetsplit.pipeline.cache.content import recording_sha256
from meetsplit.pipeline.errors import AudioError
from meetsplit.pipeline.files import sweep, write
from meetsplit.pipeline.files.locks import hold_lock


@dataclass(slots=True)
class FileIndex:
    """The file ``seen.json``: a cache of checksums by path. The manifests of the results folder say what has results.

    A damaged file is replaced by a new one. Raises `OutputError` where it cannot be written.
    """

    path: Path
    contents: dict[str, tuple[list[int], str]] = field(default_factory=dict)
    """The file signature and the SHA-256 by path."""

    @classmethod
    def load(cls, state: Path) -> FileIndex:
        """The index of a state folder."""
        index = cls(state / "seen.json")
        index._read()
        return index

    def checksum(self, path: Path) -> str:
        """SHA-256 of a recording, from the index where its signature is what it was.

        Raises `AudioError` for one that cannot be read, or that changes while it is.
        """
        before = file_signature(path)
        entry = self.contents.get(str(path))
        if entry is not None and before is not None and entry[0] == list(before):
            return entry[1]
        checksum = recording_sha256(path)
        if before is None or file_signature(path) != before:
            raise AudioError(f"{path}: is being written to, or is empty: wait until it is complete")
        self.contents[str(path)] = (list(before), checksum)
        return checksum

    def save(self) -> None:
        """Write the index, merged with what another process has written meanwhile."""
        with hold_lock(self.path.with_suffix(".lock")):
            contents = dict(self.contents)
            self._read()
            self.contents |= contents
            sweep(self.path.parent)  # nothing else is written in the state folder itself
            write(self.path, json.dumps({"contents": self.contents}), private=True)

    def _read(self) -> None:
        try:
            stored = json.loads(self.path.read_text("utf-8"))
            self.contents = {path: (row[0], row[1]) for path, row in stored["contents"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
            self.contents = {}
