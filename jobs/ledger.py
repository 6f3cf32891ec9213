"""What is known about files seen before? Their content, so that it is read once, and the name of their results, for good."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from meetsplit.jobs.finding import signature
from meetsplit.pipeline.errors import AudioError
from meetsplit.pipeline.exporters import suffixes, unique_stems
from meetsplit.pipeline.files import write
from meetsplit.pipeline.locks import locked
from meetsplit.pipeline.workbench import fingerprint


@dataclass(slots=True)
class Ledger:
    """The file ``seen.json``. It spares work and keeps names; whether a recording is done is said elsewhere.

    A damaged file is begun anew. Raises `OutputError` where it cannot be written.
    """

    path: Path
    contents: dict[str, tuple[list[int], str]] = field(default_factory=dict)
    stems: dict[str, dict[str, str]] = field(default_factory=dict)

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
        content = fingerprint(path)
        if before is None or signature(path) != before:
            raise AudioError(f"{path}: is being written to, or is empty: wait until it is complete")
        self.contents[str(path)] = (list(before), content)
        return content

    def claim(self, paths: list[Path], folder: Path) -> dict[Path, str]:
        """The stem under which each recording's results go to ``folder``: the one that it had before, else a free one.

        A claim is written down at once: no two processes give one stem to two recordings.
        """
        if any(str(path) not in self.stems.get(str(folder), {}) for path in paths):
            with self._together():
                claimed = self.stems.setdefault(str(folder), {})
                new = [path for path in paths if str(path) not in claimed]
                stems = unique_stems([*map(Path, claimed), *new], folder, (*suffixes(), ".failed.txt"))
                claimed.update({str(path): stems[path] for path in new})
        claimed = self.stems.get(str(folder), {})
        return {path: claimed[str(path)] for path in paths}

    def save(self) -> None:
        """Write it, together with what another process has written meanwhile."""
        with self._together():
            pass

    @contextmanager
    def _together(self) -> Iterator[None]:
        """Alone with the file: what others wrote is known inside the block, and what is known afterwards is written."""
        with locked(self.path.with_suffix(".lock")):
            contents, stems = dict(self.contents), self.stems
            self._read()
            self.contents |= contents
            for folder, own in stems.items():
                self.stems[folder] = {**own, **self.stems.get(folder, {})}
            yield
            write(self.path, json.dumps({"contents": self.contents, "stems": self.stems}, ensure_ascii=False))

    def _read(self) -> None:
        try:
            kept = json.loads(self.path.read_text("utf-8"))
            self.contents = {path: (row[0], row[1]) for path, row in kept["contents"].items()}
            self.stems = {folder: dict(own) for folder, own in kept["stems"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
            self.contents, self.stems = {}, {}
