"""Conflicts of a stem: other recordings' result sets and foreign files that a new result set would replace.

A file that is not in the manifest of the recording's own set with its very checksum is foreign (notes, corrected
subtitles, another program's output, an input of the command) and is not replaced. With ``overwrite``, foreign files are
replaced, other recordings' sets and inputs of the command never. Links among the results are foreign, too.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.files.locks import try_lock
from meetsplit.pipeline.results.manifest import Checksums, Manifest, ManifestStore, file_status
from meetsplit.pipeline.results.ownership import ResultRequest
from meetsplit.pipeline.results.stems import FAILED, TRACK, fold_name, names_of_stem

STAGING_LOCK = "lock"
"""The file in a staging folder that its process holds locked for as long as it lives."""


@dataclass(frozen=True, slots=True)
class StemConflict:
    """Why a stem cannot be had: a set of another recording (its path in ``recording``), one of an ``earlier`` recording
    at the same path, or a foreign ``file``. ``reason`` is the sentence for the user.
    """

    kind: Literal["recording", "earlier", "file"]
    reason: str
    recording: str = ""


class ConflictFinder:
    """Finds conflicts in a results folder; its lock is held and its manifests' stems are loaded."""

    def __init__(self, folder: Path, manifests: ManifestStore) -> None:
        self._folder, self._manifests = folder, manifests

    def find(self, stem: str, request: ResultRequest) -> StemConflict | None:
        """The first conflict of the set with this stem; None where it can have the stem.

        Raises `SettingsError` where ``overwrite`` would replace an input of the command.
        """
        replaceable: Manifest | None = None
        for other in self._manifests.stems_that_share_names(stem):
            manifest = self._manifests.read(other)
            if manifest is None:
                continue
            if other == stem and self._is_replaceable(stem, manifest, request):
                replaceable = manifest
                continue
            conflict = self._conflict_with_set(stem, other, manifest, request)
            if conflict is not None:
                return conflict
        preferred = request.preferred
        if replaceable is None and any(request.peers.get(name, preferred) != preferred for name in names_of_stem(stem)):
            return StemConflict("recording", "another recording has the same name", request.owner.recording)
        own = {} if replaceable is None else replaceable.files
        kept = {name: (*own.get(name, ()), *sums) for name, sums in request.replaceable.items()}
        return self._conflict_with_files(stem, request, {**own, **kept})

    def has_results(self, stem: str, manifest: Manifest) -> bool:
        """Whether anything but the reason of a failure is left of a set."""
        return any(name != f"{stem}{FAILED}" and os.path.lexists(self._folder / name) for name in manifest.files)

    def _is_replaceable(self, stem: str, manifest: Manifest, request: ResultRequest) -> bool:
        """Whether a set is the recording's own, or one of an earlier recording at its path that may be replaced."""
        if manifest.owner is None:
            return False
        if request.owner.is_same(manifest.owner):
            return True
        if request.owner.recording != manifest.owner.recording:
            return False
        return request.overwrite or not self.has_results(stem, manifest)

    def _conflict_with_set(
        self, stem: str, other: str, manifest: Manifest, request: ResultRequest
    ) -> StemConflict | None:
        """The conflict with a set that shares names with ``stem`` and is not replaced.

        None where nothing is left of it.
        """
        owner = manifest.owner
        if owner is None:
            path = self._manifests.path(other)
            return StemConflict("file", f"{path} is damaged, which would say whose {other}.* are")
        is_same = request.owner.is_same(owner)
        if not is_same and request.owner.recording == owner.recording:
            if fold_name(other) == fold_name(stem):
                return StemConflict("earlier", f"{other}.* are the results of an earlier recording at the same path")
        elif not is_same and self._is_stale(manifest):
            return None
        return StemConflict(
            "recording", f"another recording has the same name: {owner.recording}", recording=owner.recording
        )

    def _conflict_with_files(self, stem: str, request: ResultRequest, checksums: Checksums) -> StemConflict | None:
        """The conflict with a file that would be replaced and is an input, a folder, or not among the ``checksums``."""
        names = [f"{stem}{suffix}" for suffix in request.suffixes]
        if request.tracks or request.speaker_suffixes or request.track_names:
            track_folder = self._folder / stem
            is_folder = track_folder.is_dir()
            if track_folder.is_symlink() or (os.path.lexists(track_folder) and not is_folder):
                return StemConflict("file", f"{track_folder} is there and is no folder")
            entries = sorted(os.listdir(track_folder)) if is_folder else []
            names += [f"{stem}/{name}" for name in entries if request.tracks and TRACK.fullmatch(name)]
            names += [f"{stem}/{name}" for name in entries if name.endswith(request.speaker_suffixes)]
            names += [f"{stem}/{name}" for name in request.track_names if f"{stem}/{name}" not in names]
        for name in names:
            conflict = self._conflict_with_file(name, request, checksums.get(name, ()))
            if conflict is not None:
                return conflict
        return None

    def _conflict_with_file(self, name: str, request: ResultRequest, checksums: Sequence[str]) -> StemConflict | None:
        target = self._folder / name
        status = file_status(target, checksums)
        if status == "missing":
            return None
        if _is_input(target, request.inputs):
            if request.overwrite and "/" not in name:
                raise SettingsError(
                    f"{target}: is an input of this command and is never written over, --overwrite or not: "
                    "choose another folder with -o or other formats with -f"
                )
            return StemConflict("file", f"{target} is an input of this command")
        if status == "other":
            return StemConflict("file", f"{target} is there and is no file")
        if status == "foreign" and not request.overwrite:
            return StemConflict(
                "file",
                f"{target} is there and is not what meetsplit wrote for this recording (--overwrite replaces it)",
            )
        return None

    def _is_stale(self, manifest: Manifest) -> bool:
        """Whether a set's files have all been removed, or its process died before it published any."""
        if any(os.path.lexists(self._folder / name) for name in manifest.files):
            return False
        if manifest.staging is None:
            return bool(manifest.files)
        return not is_alive(self._manifests.hidden / manifest.staging)


def is_alive(staging: Path) -> bool:
    """Whether the process that has made a staging folder still lives."""
    if not staging.is_dir():
        return False
    lock = try_lock(staging / STAGING_LOCK)
    if lock is not None:
        lock.close()
    return lock is None


def _is_input(target: Path, inputs: Sequence[Path]) -> bool:
    for path in inputs:
        with suppress(OSError):  # an input that is not there is no target
            if os.path.samefile(target, path):
                return True
    return False
