"""Publishing: staged files take the places of a result set's old ones, all of them or none.

First the manifest is written with old and new checksums; then the files are renamed one after another; then this
recording's files that are no longer part of the set are removed; then the final manifest is written. After a crash at
any point every file is whole, and the same command ends with the right set. After an error, renames are undone where
the disk has hard links.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from meetsplit.pipeline import files
from meetsplit.pipeline.errors import OutputError
from meetsplit.pipeline.formats import SPEAKER_FORMATS
from meetsplit.pipeline.results.manifest import Checksums, Manifest, ManifestStore, file_status
from meetsplit.pipeline.results.ownership import EditHistory, ResultRequest
from meetsplit.pipeline.results.stems import BACKGROUND, FAILED, PAGE_RECORDING

_EMPTY_FILE = hashlib.sha256().hexdigest()
"""SHA-256 of an empty file: `files.install` claims a name with one on a disk without hard links."""


_TRACK = ""
"""The kind of tracks, see `_kind_in_folder`."""


@dataclass(frozen=True, slots=True)
class StagedSet:
    """Files ready to be published, by their path within the results folder; they lie in the folder ``staging``."""

    files: Mapping[str, Path]
    staging: Path

    @property
    def is_complete(self) -> bool:
        """Whether every file is still staged."""
        return all(path.is_file() for path in self.files.values())


def publish_staged(
    folder: Path, manifests: ManifestStore, request: ResultRequest, stem: str, staged: StagedSet
) -> None:
    """Put the staged files in the places of the recording's set ``stem`` in ``folder``; the folder's lock is held.

    Raises `FileExistsError` where a file has appeared at a place, `OSError` and `OutputError` where one cannot be
    written.
    """
    before = manifests.read(stem) or Manifest(None)
    is_own = before.owner is not None and request.owner.is_same(before.owner)
    kinds = {_kind_in_folder(name) for name in staged.files if _is_in_folder(name)}
    if _TRACK in kinds:  # of a run, whose page links to what it has made
        kinds |= {PAGE_RECORDING, BACKGROUND}

    def is_obsolete(name: str) -> bool:
        is_replaced = _is_in_folder(name) and _kind_in_folder(name) in kinds
        return not is_own or is_replaced or request.replaces_all or name == f"{stem}{FAILED}"

    kept_elsewhere = {name: (*before.files.get(name, ()), *sums) for name, sums in request.replaceable.items()}
    known = {**before.files, **kept_elsewhere}
    obsolete = {name: sums for name, sums in known.items() if name not in staged.files and is_obsolete(name)}
    labels = {f"{stem}/{name}": label for name, label in request.track_labels.items()}
    new: Checksums = {name: (files.sha256(path),) for name, path in staged.files.items()}
    manifests.write(
        stem,
        Manifest(
            request.owner,
            request.base,
            _while_publishing(before.files, new),
            staged.staging.name,
            {**before.tracks, **labels},
            before.history,
        ),
    )
    try:
        _rename_all(folder, staged, None if request.overwrite else {*before.files, *request.replaceable})
    except BaseException:
        if staged.is_complete:  # everything is as it was
            _restore_manifest(manifests, stem, before)
        raise
    _remove_obsolete(folder, stem, obsolete)
    unchanged = {
        name: sums
        for name, sums in before.files.items()
        if name not in new and name not in obsolete and os.path.lexists(folder / name)
    }
    tracks = {name: label for name, label in before.tracks.items() if name in unchanged} | labels
    history = request.history
    if history is None:  # what a run writes anew has no earlier states
        history = EditHistory() if f"{stem}.json" in new else before.history
    manifests.write(stem, Manifest(request.owner, request.base, {**unchanged, **new}, tracks=tracks, history=history))


def _is_in_folder(name: str) -> bool:
    """Whether a file is one person's, a track or text, a page's recording, or the background."""
    return "/" in name


def _kind_in_folder(name: str) -> str:
    """The suffix of one person's text, the name of a page's recording or the background, or nothing for a track.

    New files take the place of all of their kind.
    """
    for other in (PAGE_RECORDING, BACKGROUND):
        if name.endswith(f"/{other}"):
            return other
    return next((one.suffix for one in SPEAKER_FORMATS.values() if name.endswith(one.suffix)), _TRACK)


def _while_publishing(old: Checksums, new: Checksums) -> dict[str, tuple[str, ...]]:
    """Every checksum that a file of the set may have while renames are under way."""
    both = dict(old)
    for name, sums in new.items():
        both[name] = (*old.get(name, ()), *sums, _EMPTY_FILE)
    return both


def _remove_obsolete(folder: Path, stem: str, obsolete: Checksums) -> None:
    """Remove files that are no longer part of the set, unless they have been changed."""
    for name, checksums in obsolete.items():
        if file_status(folder / name, checksums) == "ours":
            files.remove(folder / name)
    track_folder = folder / stem
    if any(_is_in_folder(name) for name in obsolete) and track_folder.is_dir():
        if any(track_folder.iterdir()):
            files.disk.sync_folder(track_folder)
        else:
            files.disk.rmdir(track_folder)
    if obsolete:
        files.disk.sync_folder(folder)


def _restore_manifest(manifests: ManifestStore, stem: str, before: Manifest) -> None:
    """Write the manifest as it was before renames that were undone."""
    if before.owner is None:
        files.remove(manifests.path(stem))
    else:
        with suppress(OutputError):  # the one with more checksums is right, too
            manifests.write(stem, before)


@dataclass(frozen=True, slots=True)
class _Rename:
    """A staged ``file`` that is at its ``target`` now; ``backup`` is a second name of the file that it ``replaced``."""

    target: Path
    file: Path
    backup: Path | None
    replaced: bool


def _rename_all(folder: Path, staged: StagedSet, replaceable: Collection[str] | None) -> None:
    """Rename all staged files to their places and make that durable; where one cannot be, all are as they were.

    Only files at ``replaceable`` names are replaced, None for any: another program may have made one by now.
    """
    done: list[_Rename] = []
    parents = {folder, *((folder / name).parent for name in staged.files)}
    try:
        for parent in parents:
            files.make_folder(parent)
        for number, (name, file) in enumerate(staged.files.items()):
            may_replace = replaceable is None or name in replaceable
            done.append(_rename(file, folder / name, staged.staging / f"before-{number}", may_replace=may_replace))
        for parent in parents:
            files.disk.sync_folder(parent)
    except BaseException:  # Ctrl-C as well
        _undo(done)
        raise


def _rename(file: Path, target: Path, backup: Path, *, may_replace: bool) -> _Rename:
    """Rename a staged file to its place.

    It takes the permissions of the file that it replaces, which ``backup`` then names. Raises `FileExistsError` where
    there is a file that it may not replace.
    """
    replaced = may_replace and os.path.lexists(target)
    has_backup = False
    if replaced and not target.is_symlink():
        os.chmod(file, stat.S_IMODE(target.stat().st_mode))
        has_backup = _hard_link(target, backup)
    files.install(file, target, overwrite=replaced)
    return _Rename(target, file, backup if has_backup else None, replaced)


def _hard_link(path: Path, name: Path) -> bool:
    """Give a file a second name; False on a disk without hard links."""
    try:
        files.remove(name)
        files.disk.link(path, name)
    except OSError:
        return False
    return True


def _undo(done: Sequence[_Rename]) -> None:
    """Undo renames, the last first: new files go back to staging, those they replaced to their places."""
    for rename in reversed(done):
        with suppress(OSError):  # the error that led here is the one to report
            if rename.backup is not None:
                files.disk.link(rename.target, rename.file)
                files.disk.replace(rename.backup, rename.target)
            elif not rename.replaced:
                files.disk.replace(rename.target, rename.file)
