"""Results folders: a stem for each recording's result set, reserved while its files are made, then published.

    out/.meetsplit/call.json     manifest: the owner of ``call.*``, and the SHA-256 of each of its files
    out/.meetsplit/lock          held while a stem is chosen or a set is published
    out/.meetsplit/<hex>.part/   staging: everything is written and synced there before anything published changes
    out/call.srt …               the published files
    out/call/SPEAKER_00.wav …

A result set belongs to a recording: its path and its content. What lies in the folder is read each time, never
remembered elsewhere. Where other recordings' results or foreign files have the stem (see `conflicts`), the set gets
another one.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, TypeAlias

from meetsplit.pipeline import files
from meetsplit.pipeline.data import Speaker
from meetsplit.pipeline.errors import OutputError, SettingsError
from meetsplit.pipeline.files.locks import hold_lock, try_lock
from meetsplit.pipeline.results.conflicts import STAGING_LOCK, ConflictFinder, StemConflict, is_alive
from meetsplit.pipeline.results.manifest import Manifest, ManifestStore
from meetsplit.pipeline.results.ownership import ResultRequest
from meetsplit.pipeline.results.publishing import StagedSet, publish_staged
from meetsplit.pipeline.results.stems import (
    alternative_stems,
    fold_name,
    name_max,
    safe_stem,
    shorten_stem,
    stem_endings,
)

_STAGING, _LOCK = ".part", "lock"
_ATTEMPTS = 20
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP})

Render: TypeAlias = Callable[[str], Mapping[str, str | bytes]]
"""Makes the content of each text file from what the transcript is to call the recording.

By what follows the stem in the file's path: a suffix, or ``/NAME.srt`` for a file in the folder of the tracks."""


@dataclass(frozen=True, slots=True)
class Placement:
    """The ``stem`` of a result set, the ``label`` by which its transcript calls the recording, and the ``reason``
    why the stem is not the recording's own name; None where it is.
    """

    stem: str
    label: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class PublishedResults:
    """A result set that has been published: its placement and its ``files``."""

    placement: Placement
    files: tuple[Path, ...]


class ResultsFolder:
    """A folder with result sets. Raises `OutputError` where it cannot be read or written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._manifests = ManifestStore(folder)
        self._conflicts = ConflictFinder(folder, self._manifests)

    def check_writable(self) -> None:
        """Make the folder and see that a file with the longest name can be written there, before any work."""
        with self._hold_lock():
            self._try_longest_name("x")

    def reserve(self, requests: Sequence[ResultRequest]) -> list[Placement | SettingsError]:
        """A placement for each set, written down so that no other recording gets it.

        For work that another process may do.

        A recording that has a set already keeps its stem; whether its files can be replaced is seen when they are
        written. An error for a set where ``overwrite`` would replace an input of the command.
        """
        with self._hold_lock():
            return [self._reserve(request) for request in requests]

    @contextmanager
    def reservation(
        self, request: ResultRequest, *, before: Callable[[], object] = lambda: None
    ) -> Iterator[Reservation]:
        """A placement for one set, reserved while the block lasts.

        Without a set published in it, nothing is left behind.

        ``before`` is called when everything is staged, before anything published changes, and may still raise.
        Raises `SettingsError` where ``overwrite`` would replace an input of the command.
        """
        with self._hold_lock():
            placement = self._choose(request)
            self._try_longest_name(placement.stem)
            staging, lock = self._make_staging()
            reservation = Reservation(self, request, placement, staging, before)
            try:
                self._write_reservation(request, placement.stem, staging.name)
            except BaseException:
                reservation.discard(lock)
                raise
        try:
            yield reservation
        finally:
            reservation.discard(lock)
            if not reservation.published:
                self._release(reservation)

    def manifest(self, stem: str) -> Manifest | None:
        """The manifest of the set with that stem; None where there is none."""
        return self._manifests.read(stem)

    def publish(self, request: ResultRequest, placement: Placement, staged: StagedSet) -> Placement | None:
        """Publish a staged set under the folder's lock.

        None, or the placement that it has to be rendered for instead.
        """
        with self._hold_lock():
            if self._conflicts.find(placement.stem, request) is None:
                try:
                    publish_staged(self.folder, self._manifests, request, placement.stem, staged)
                    return None
                except FileExistsError as error:  # a file that appeared since the conflict was looked for
                    if not staged.is_complete:
                        raise OutputError(
                            f"{error.filename2 or error.filename}: appeared while results were written; try again"
                        ) from error
            self._manifests.release(placement.stem, staged.staging.name)
            other = self._choose(request)
            self._write_reservation(request, other.stem, staged.staging.name)
            return other

    # The methods below are called with the folder's lock held.

    def _reserve(self, request: ResultRequest) -> Placement | SettingsError:
        if not request.overwrite:
            stem = next(self._own_stems(request), None)
            if stem is not None:
                return Placement(stem, request.label or (request.base if stem == request.base else stem))
        try:
            placement = self._choose(request)
        except SettingsError as error:
            return error
        self._write_reservation(request, placement.stem, None)
        return placement

    def _write_reservation(self, request: ResultRequest, stem: str, staging: str | None) -> None:
        """Write a manifest that reserves the stem, unless results with a manifest are there, to be replaced later."""
        before = self._manifests.read(stem)
        files_before: Mapping[str, tuple[str, ...]] = {}
        if before is not None and before.owner is not None:
            is_own = request.owner.is_same(before.owner)
            if is_own and (before.files or before.staging is None):
                return
            if request.owner.recording == before.owner.recording:
                if self._conflicts.has_results(stem, before):
                    return
                files_before = before.files
        self._manifests.write(stem, Manifest(request.owner, request.base, files_before, staging))

    def _release(self, reservation: Reservation) -> None:
        with suppress(OutputError), self._hold_lock():  # a reservation of a dead process is stale anyway
            self._manifests.release(reservation.placement.stem, reservation.staging.name)

    def _choose(self, request: ResultRequest) -> Placement:
        """The first stem without conflict: one of the recording's own sets, then the preferred one, then others."""
        limit = name_max(self.folder)
        base, preferred = shorten_stem(request.base, limit), shorten_stem(request.preferred, limit)
        base_conflict = self._conflicts.find(base, request)

        def is_free(stem: str) -> bool:
            return (base_conflict if stem == base else self._conflicts.find(stem, request)) is None

        def placement(stem: str) -> Placement:
            return self._placement(request, stem, base, base_conflict)

        if not request.overwrite:
            for stem in self._own_stems(request):
                if is_free(stem):
                    return placement(stem)
        conflict = base_conflict if preferred == base else self._conflicts.find(preferred, request)
        if conflict is None:
            return placement(preferred)
        extension = parent = ""
        if conflict.kind == "recording":
            parent = request.parent
            if fold_name(Path(conflict.recording).suffix) != fold_name(request.extension):
                extension = request.extension
        candidates = (shorten_stem(stem, limit) for stem in alternative_stems(request.base, extension, parent))
        return placement(next(stem for stem in candidates if is_free(stem)))

    def _placement(self, request: ResultRequest, stem: str, base: str, base_conflict: StemConflict | None) -> Placement:
        """The placement of a set under ``stem``, where the recording's own name would give ``base``.

        The transcript calls the recording by its own name, except where other recordings' results have that.
        """
        own = request.label or request.base
        if stem == base:
            return Placement(stem, own, request.note if base == request.base else "its name is too long for results")
        if base_conflict is None:
            return Placement(stem, own, "earlier results of it have that name")
        label = own if base_conflict.kind == "file" else request.label or stem
        return Placement(stem, label, base_conflict.reason)

    def _own_stems(self, request: ResultRequest) -> Iterator[str]:
        """Stems of this recording's sets, the preferred one first."""
        limit = name_max(self.folder)
        additions = [addition for addition in (request.extension.lstrip("."), request.parent) if addition]
        likely = [request.preferred, request.base, *(safe_stem(f"{request.base}-{addition}") for addition in additions)]
        seen: set[str] = set()
        for stem in (shorten_stem(candidate, limit) for candidate in likely):
            if stem not in seen and self._owns(stem, request):
                yield stem
            seen.add(stem)
        for candidate in alternative_stems(request.base, "", ""):
            stem = shorten_stem(candidate, limit)
            if stem not in self._manifests.stems_with_name(fold_name(stem)):
                return
            if stem not in seen and self._owns(stem, request):
                yield stem

    def _owns(self, stem: str, request: ResultRequest) -> bool:
        manifest = self._manifests.read(stem)
        if manifest is None or manifest.owner is None:
            return False
        return manifest.name == request.base and request.owner.is_same(manifest.owner)

    def _make_staging(self) -> tuple[Path, BinaryIO | None]:
        """A new staging folder and its lock, held for as long as this process lives (None on a disk without locks)."""
        staging = self._manifests.hidden / f"{secrets.token_hex(6)}{_STAGING}"
        files.make_folder(staging, private=True)
        return staging, try_lock(staging / STAGING_LOCK)

    def _try_longest_name(self, stem: str) -> None:
        """Write and remove a file with the longest name that a set with this stem may have. Raises `OSError`."""
        ending = max(stem_endings(), key=len)
        longest = self._manifests.hidden / f"{shorten_stem(stem, name_max(self.folder))}{ending}"
        files.remove(longest)
        files.disk.create(longest, files.PRIVATE_FILE).close()
        files.disk.unlink(longest)
        if not os.access(self.folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self.folder))

    @contextmanager
    def _hold_lock(self) -> Iterator[None]:
        """Hold the folder's lock, with dead processes' leftovers swept away and the stems of all manifests loaded.

        On a disk without locks, the names of files are still never taken twice, since each appears without replacing.
        """
        hidden = self._manifests.hidden
        try:
            files.make_folder(self.folder)
            if hidden.is_symlink():
                raise OutputError(f"{hidden}: is a link, and results could be led elsewhere by it: remove it")
            files.make_folder(hidden)
            with _hold_lock_if_possible(hidden / _LOCK) as held:
                if held:
                    _sweep(hidden)
                self._manifests.load_stems()
                yield
        except FileExistsError:
            raise
        except OSError as error:
            raise OutputError(f"{error.filename or self.folder}: cannot be written: {files.advice(error)}") from error


class Reservation:
    """A placement reserved for one set, and the private ``staging`` folder in which its files are made."""

    def __init__(
        self,
        folder: ResultsFolder,
        request: ResultRequest,
        placement: Placement,
        staging: Path,
        before: Callable[[], object],
    ) -> None:
        self._folder, self._request, self._before = folder, request, before
        self.placement, self.staging, self.published = placement, staging, False

    @property
    def folder(self) -> Path:
        """The results folder."""
        return self._folder.folder

    def publish(
        self,
        render: Render,
        tracks: Sequence[Path] = (),
        *,
        mode: int | None = None,
        labels: Mapping[str, Speaker] = MappingProxyType({}),
    ) -> PublishedResults:
        """Publish text files and ``tracks`` (synced files within `staging`) as this recording's set, all or none.

        Where a foreign file has appeared meanwhile, the set gets another stem and is rendered again, see
        `PublishedResults.placement`. ``mode`` are the permissions of new files, ``labels`` the speakers of the tracks
        by file name. Raises `OutputError`, with nothing published changed.
        """
        names = tuple(file.name for file in tracks)
        self._request = dataclasses.replace(self._request, track_names=names, track_labels=labels)
        for _ in range(_ATTEMPTS):
            texts = self._stage(render(self.placement.label), mode)
            self._before()
            stem = self.placement.stem
            new = {
                **{f"{stem}{suffix}": file for suffix, file in texts.items()},
                **{f"{stem}/{file.name}": file for file in tracks},
            }
            other = self._folder.publish(self._request, self.placement, StagedSet(new, self.staging))
            if other is None:
                self.published = True
                return PublishedResults(self.placement, tuple(self.folder / name for name in new))
            self.placement = other
        raise OutputError(
            f"{self.folder}: other programs write files of the same names all the time; choose another folder with -o"
        )

    def discard(self, lock: BinaryIO | None) -> None:
        """Remove the staging folder and release its lock."""
        if lock is not None:
            lock.close()
        with suppress(OSError):  # the next process that writes here sweeps it
            files.remove_tree(self.staging)

    def _stage(self, texts: Mapping[str, str | bytes], mode: int | None) -> dict[str, Path]:
        """Write and sync the text files in the staging folder; their paths by suffix."""
        staged: dict[str, Path] = {}
        for suffix, text in texts.items():
            path = self.staging / f"text{suffix}"
            try:
                files.make_folder(path.parent)
                files.remove(path)
                with files.disk.create(path, 0o666 if mode is None else mode) as file:
                    file.write(text.encode("utf-8", "replace") if isinstance(text, str) else text)
                    files.disk.fsync(file)
            except OSError as error:
                target = f"{self.folder / self.placement.stem}{suffix}"
                raise OutputError(f"{target}: cannot be written: {files.advice(error)}") from error
            staged[suffix] = path
        return staged


def own_tracks(folder: Path) -> frozenset[str]:
    """The names of the files in a folder that are meetsplit's tracks: those that the manifest beside it lists."""
    manifest = ManifestStore(folder.parent).read(folder.name)
    return frozenset(name.partition("/")[2] for name in (manifest.files if manifest is not None else ()))


def _sweep(hidden: Path) -> None:
    """Remove temporary files and staging folders of processes that have died."""
    files.sweep(hidden)
    for entry in list(os.scandir(hidden)):
        is_staging = entry.name.endswith(_STAGING) and entry.is_dir(follow_symlinks=False)
        if is_staging and not is_alive(Path(entry.path)):
            with suppress(OSError):  # tried again next time; it stays hidden
                files.remove_tree(Path(entry.path))


@contextmanager
def _hold_lock_if_possible(path: Path) -> Iterator[bool]:
    """Hold a lock; whether it is held: some disks have no locks."""
    with ExitStack() as stack:
        held = True
        try:
            stack.enter_context(hold_lock(path))
        except OutputError as error:
            if not (isinstance(error.__cause__, OSError) and error.__cause__.errno in _NO_LOCKS):
                raise
            held = False
        yield held
