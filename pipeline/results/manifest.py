"""Manifests of result sets: whose files with a stem are, and the SHA-256 of each; kept in the results folder itself.

out/.meetsplit/call.json     manifest of ``call.*``
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from meetsplit.pipeline import files
from meetsplit.pipeline.data import Speaker
from meetsplit.pipeline.results.ownership import EditHistory, Owner
from meetsplit.pipeline.results.stems import RECORDING_SUFFIXES, absolute_path, names_of_stem, stem_endings

HIDDEN = ".meetsplit"
"""The folder of manifests and staging within a results folder."""

Checksums: TypeAlias = Mapping[str, tuple[str, ...]]
"""SHA-256 of files by their path within the results folder; several for one file while a set is being published."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of ``.meetsplit/<stem>.json``. ``owner`` is None where it is damaged: such a set is never replaced.

    ``name`` is the base stem that the set was meant for, ``files`` are the checksums of its files. ``staging`` is the
    staging folder of the process that reserves the stem, and is gone or unlocked where that process has died.
    ``tracks`` says whose the tracks among the files are, whatever they are called; sets of earlier versions have none.
    """

    owner: Owner | None
    name: str = ""
    files: Checksums = field(default_factory=dict)
    staging: str | None = None
    tracks: Mapping[str, Speaker] = field(default_factory=dict)
    history: EditHistory = field(default_factory=EditHistory)


def manifest_of(path: Path) -> Manifest | None:
    """The manifest of the set that the file at ``path``, such as a transcript's JSON, is part of; None without one."""
    manifest = ManifestStore(absolute_path(path).parent).read(path.stem)
    return manifest if manifest is not None and manifest.owner is not None and path.name in manifest.files else None


class ManifestStore:
    """The manifests of a results folder. They are read from the disk each time; only their stems are remembered."""

    def __init__(self, folder: Path) -> None:
        self.hidden = folder / HIDDEN
        self._stems_by_name: dict[str, set[str]] = {}

    def path(self, stem: str) -> Path:
        """The file of the manifest of a stem."""
        return self.hidden / f"{stem}.json"

    def read(self, stem: str) -> Manifest | None:
        """The manifest of the set with that stem.

        None where there is none, one without an owner where it is damaged.
        """
        try:
            row = json.loads(self.path(stem).read_text("utf-8"))
            checksums = {
                str(name): tuple(map(str, sums)) for name, sums in row["files"].items() if _belongs(str(name), stem)
            }
            owner = Owner(str(row["recording"]), str(row["content"]))
            tracks = {str(name): str(label) for name, label in row.get("tracks", {}).items() if name in checksums}
            history = EditHistory(tuple(map(str, row.get("undo", ()))), tuple(map(str, row.get("redo", ()))))
            return Manifest(owner, str(row["name"]), checksums, row.get("staging"), tracks, history)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return Manifest(None)

    def write(self, stem: str, manifest: Manifest) -> None:
        """Write a manifest atomically. Raises `OutputError`."""
        owner = manifest.owner or Owner("", "")
        row: dict[str, Any] = {
            "recording": owner.recording,
            "content": owner.content,
            "name": manifest.name,
            "files": {name: list(sums) for name, sums in sorted(manifest.files.items())},
        }
        if manifest.staging is not None:
            row["staging"] = manifest.staging
        states = {"undo": manifest.history.undo, "redo": manifest.history.redo}
        row |= {name: list(sums) for name, sums in states.items() if sums}
        if manifest.tracks:
            row["tracks"] = dict(sorted(manifest.tracks.items()))
        path = self.path(stem)
        if path.is_symlink():
            files.remove(path)
        files.write(path, json.dumps(row, indent=1) + "\n")
        self._remember(stem)

    def release(self, stem: str, staging: str) -> None:
        """Remove a manifest that only reserves its stem for the process with this staging folder."""
        manifest = self.read(stem)
        if manifest is not None and manifest.staging == staging and not manifest.files:
            files.remove(self.path(stem))
            for name in names_of_stem(stem):
                self._stems_by_name.get(name, set()).discard(stem)

    def load_stems(self) -> None:
        """Read which stems have manifests. Raises `OSError`."""
        self._stems_by_name = {}
        for entry in os.scandir(self.hidden):
            stem, dot, kind = entry.name.rpartition(".")
            if dot and kind == "json":
                self._remember(stem)

    def stems_with_name(self, folded_name: str) -> set[str]:
        """The stems with a manifest whose results may have that name, see `stems.fold_name`."""
        return self._stems_by_name.get(folded_name, set())

    def stems_that_share_names(self, stem: str) -> list[str]:
        """The stems with a manifest whose results may have a name in common with those of ``stem``.

        Itself among them.
        """
        return sorted({other for name in names_of_stem(stem) for other in self.stems_with_name(name)})

    def _remember(self, stem: str) -> None:
        for name in names_of_stem(stem):
            self._stems_by_name.setdefault(name, set()).add(stem)


def file_status(path: Path, checksums: Sequence[str]) -> Literal["missing", "ours", "foreign", "other"]:
    """Status of a result's path: no entry, a file with one of the checksums, another file or a link, no file at all."""
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "missing"
    if stat.S_ISLNK(mode):
        return "foreign"
    if not stat.S_ISREG(mode):
        return "other"
    return "ours" if checksums and files.sha256(path) in checksums else "foreign"


def _belongs(name: str, stem: str) -> bool:
    """Whether a manifest may list the file: nothing outside the set, even in a manifest of another program."""
    folder, slash, track = name.partition("/")
    if slash:
        return folder == stem and bool(track) and track not in (".", "..") and not set("/\\\0") & set(track)
    return name in {f"{stem}{ending}" for ending in (*stem_endings(), *RECORDING_SUFFIXES) if ending}
