"""Result sets in a results folder: whose they are, under which stem they lie, and publishing each as a whole.

    out/.meetsplit/call.json     manifest: whose results ``call.*`` are, and the SHA-256 of each of its files
    out/.meetsplit/lock          held while a stem is chosen or a set is published
    out/.meetsplit/<hex>.part/   staging: everything is written and synced there before anything published changes
    out/call.srt …               the published files
    out/call/SPEAKER_00.wav …

A result set belongs to a recording: its path and its content. What lies in the folder is read each time, never
remembered elsewhere. A file that is not in the manifest of the recording's own set with its very checksum is foreign
(notes, corrected subtitles, another program's output, an input of the command, results of another recording) and is not
replaced: the set gets another stem. With ``overwrite``, foreign files are replaced, other recordings' sets and inputs of
the command never. Links among the results are foreign, too: nothing is written through them.

Publishing: everything is staged; then the manifest is written with old and new checksums; then the files are renamed one
after another; then this recording's files that are no longer part of the set are removed; then the final manifest. After
a crash at any point, every file is whole, and the same command ends with the right set.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from meetsplit.pipeline import files
from meetsplit.pipeline.errors import OutputError, SettingsError
from meetsplit.pipeline.files.locks import locked, try_lock
from meetsplit.pipeline.results.ownership import Owner, Wish
from meetsplit.pipeline.results.stems import (
    FAILED,
    TRACK,
    alternatives,
    claimed,
    fitted,
    folded,
    kinds,
    name_max,
    safe_stem,
)

HIDDEN = ".meetsplit"
"""The folder of manifests and staging within a results folder."""

_STAGING, _LOCK = ".part", "lock"
_TRIES = 20
_EMPTY = hashlib.sha256().hexdigest()
"""Of an empty file: `files.install` claims a name with one on a disk without hard links."""

_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP})

Render = Callable[[str], Mapping[str, str | bytes]]
"""From what the transcript calls the recording to the content of each text file by suffix."""


@dataclass(frozen=True, slots=True)
class Place:
    """The ``stem`` of a result set, the ``label`` by which its transcript calls the recording, and ``why`` the stem is
    not the recording's own name; None where it is.
    """

    stem: str
    label: str
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Published:
    """A set that has been published: its place and its ``files``."""

    place: Place
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What ``.meetsplit/<stem>.json`` says. ``owner`` is None where it is damaged: such a set is replaced by nobody.

    ``name`` is the base stem that the set was meant for; ``files`` are checksums by the file's path within the folder, several
    while a set is being published; ``staging`` is the staging folder of the process that reserves the stem, and is gone
    or unlocked where that process has died.
    """

    owner: Owner | None
    name: str = ""
    files: Mapping[str, tuple[str, ...]] | None = None
    staging: str | None = None

    @property
    def known(self) -> Mapping[str, tuple[str, ...]]:
        """The checksums by file."""
        return self.files or {}


@dataclass(frozen=True, slots=True)
class _Conflict:
    """Why a stem cannot be had: a set of another recording, an ``earlier`` recording's at the same path, or a foreign file."""

    kind: Literal["recording", "earlier", "file"]
    why: str
    other: str = ""


class ResultsFolder:
    """A folder with result sets. Raises `OutputError` where it cannot be read or written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._hidden = folder / HIDDEN
        self._names: dict[str, set[str]] = {}

    def check(self) -> None:
        """Make the folder and see that a file with the longest name can be written there, before any work."""
        with self._alone():
            self._trial("x")

    def reserve(self, wishes: Sequence[Wish]) -> list[Place | SettingsError]:
        """A place for each set, written down so that no other recording gets it; for work that another process may do.

        A recording that has a set already keeps its stem; whether its files can be replaced is seen when they are written.
        An error for a set where ``overwrite`` would replace an input of the command.
        """
        with self._alone():
            return [self._reserved(wish) for wish in wishes]

    @contextmanager
    def reservation(self, wish: Wish, *, before: Callable[[], None] = lambda: None) -> Iterator[Reservation]:
        """A place for one set, ours as long as the block lasts; without a set published in it, nothing is left behind.

        ``before`` is called when everything is staged, before anything published changes, and may still raise.
        Raises `SettingsError` where ``overwrite`` would replace an input of the command.
        """
        with self._alone():
            place = self._choose(wish)
            self._trial(place.stem)
            staging, lock = self._stage()
            made = Reservation(self, wish, place, staging, before)
            try:
                self._hold(wish, place.stem, staging.name)
            except BaseException:
                made.discard(lock)
                raise
        try:
            yield made
        finally:
            made.discard(lock)
            if not made.published:
                self._release(made)

    def manifest(self, stem: str) -> Manifest | None:
        """The manifest of the set with that stem; None where there is none."""
        try:
            row = json.loads((self._hidden / f"{stem}.json").read_text("utf-8"))
            listed = {
                str(name): tuple(map(str, sums)) for name, sums in row["files"].items() if _belongs(str(name), stem)
            }
            return Manifest(
                Owner(str(row["recording"]), str(row["content"])), str(row["name"]), listed, row.get("staging")
            )
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return Manifest(None)

    # What follows is called with the folder's lock held.

    def install(self, wish: Wish, place: Place, new: Mapping[str, Path], staging: Path) -> Place | None:
        """Publish the staged files ``new`` (by path within the folder) under the lock; None, or where they have to go instead."""
        with self._alone():
            if self._conflict(place.stem, wish) is None:
                try:
                    self._exchange(wish, place.stem, new, staging)
                    return None
                except FileExistsError as error:  # a file that appeared since the conflict was looked for
                    if not all(file.is_file() for file in new.values()):
                        raise OutputError(
                            f"{error.filename2 or error.filename}: appeared while results were written; try again"
                        ) from error
            self._forget(place.stem, staging.name)
            other = self._choose(wish)
            self._hold(wish, other.stem, staging.name)
            return other

    def _exchange(self, wish: Wish, stem: str, new: Mapping[str, Path], staging: Path) -> None:
        """Put the staged files in the place of what this recording's set has under their names, and end its other tracks."""
        before = self.manifest(stem) or Manifest(None)
        own = before.owner is not None and wish.owner.is_same(before.owner)
        tracks = any("/" in name for name in new)
        obsolete = [
            name
            for name in before.known
            if name not in new and (not own or (tracks and "/" in name) or name == f"{stem}{FAILED}")
        ]
        sums = {name: (files.sha256(file),) for name, file in new.items()}
        passing = {name: (*found, _EMPTY) for name, found in sums.items()}
        both = {name: (*before.known.get(name, ()), *passing.get(name, ())) for name in {**before.known, **sums}}
        self._write(stem, Manifest(wish.owner, wish.base, both, staging.name))
        try:
            self._rename(new, staging)
        except BaseException:
            if all(file.is_file() for file in new.values()):  # everything is as it was
                self._restore(stem, before)
            raise
        self._end(stem, {name: before.known[name] for name in obsolete})
        gone = {*new, *obsolete}
        kept = {
            name: known
            for name, known in before.known.items()
            if name not in gone and os.path.lexists(self.folder / name)
        }
        self._write(stem, Manifest(wish.owner, wish.base, {**kept, **sums}))

    def _end(self, stem: str, obsolete: Mapping[str, tuple[str, ...]]) -> None:
        """Remove files that are no longer part of the set, unless they have been changed."""
        for name, sums in obsolete.items():
            if _status(self.folder / name, sums) == "ours":
                files.remove(self.folder / name)
        place = self.folder / stem
        if any("/" in name for name in obsolete) and place.is_dir():
            if any(place.iterdir()):
                files.disk.sync_folder(place)
            else:
                files.disk.rmdir(place)
        if obsolete:
            files.disk.sync_folder(self.folder)

    def _restore(self, stem: str, before: Manifest) -> None:
        """Write the manifest as it was before renames that were undone."""
        if before.owner is None:
            files.remove(self._hidden / f"{stem}.json")
        else:
            with suppress(OutputError):  # the one with more checksums is right, too
                self._write(stem, before)

    def _rename(self, new: Mapping[str, Path], staging: Path) -> None:
        """Rename all staged files to their places and make that durable; where one cannot be, all are as they were."""
        done: list[_Renamed] = []
        places = {self.folder, *((self.folder / name).parent for name in new)}
        try:
            for place in places:
                files.make_folder(place)
            for number, (name, file) in enumerate(new.items()):
                target, backup = self.folder / name, None
                replaced = os.path.lexists(target)
                if replaced and not target.is_symlink():
                    os.chmod(file, stat.S_IMODE(target.stat().st_mode))
                    backup = _linked(target, staging / f"before-{number}")
                files.install(file, target, overwrite=replaced)
                done.append(_Renamed(target, file, backup, replaced))
            for place in places:
                files.disk.sync_folder(place)
        except BaseException:  # Ctrl-C as well
            _put_back(done)
            raise

    def _reserved(self, wish: Wish) -> Place | SettingsError:
        owned = None if wish.overwrite else next(self._own(wish), None)
        if owned is not None:
            return Place(owned, wish.base if owned == wish.base else owned)
        try:
            place = self._choose(wish)
        except SettingsError as error:
            return error
        self._hold(wish, place.stem, None)
        return place

    def _hold(self, wish: Wish, stem: str, staging: str | None) -> None:
        """Write down that the stem is taken, unless results with a manifest lie there."""
        before = self.manifest(stem)
        if before is not None and before.owner is not None:
            if wish.owner.is_same(before.owner) and (before.known or before.staging is None):
                return
            if wish.owner.recording == before.owner.recording and self._has_results(stem, before):
                return  # to be replaced, once the new results are there
        same_path = before is not None and before.owner is not None and before.owner.recording == wish.owner.recording
        self._write(
            stem, Manifest(wish.owner, wish.base, before.known if before is not None and same_path else {}, staging)
        )

    def _release(self, made: Reservation) -> None:
        with suppress(OutputError), self._alone():  # what is left of a dead process's reservation keeps nobody away
            self._forget(made.place.stem, made.staging.name)

    def _forget(self, stem: str, staging: str) -> None:
        found = self.manifest(stem)
        if found is not None and found.staging == staging and not found.known:
            files.remove(self._hidden / f"{stem}.json")
            for name in claimed(stem):
                self._names.get(name, set()).discard(stem)

    def _choose(self, wish: Wish) -> Place:
        """The first stem without conflict: one that the recording has, the first wished for, then others."""
        limit = name_max(self.folder)
        base, first = fitted(wish.base, limit), fitted(wish.first, limit)
        note = wish.note if base == wish.base else "its name is too long for results"
        at_base = self._conflict(base, wish)

        def place(stem: str) -> Place:
            apart = at_base is not None and at_base.kind != "file"
            why = (
                note if stem == base else at_base.why if at_base is not None else "earlier results of it have that name"
            )
            return Place(stem, stem if apart and stem != base else wish.base, why)

        if not wish.overwrite:
            for stem in self._own(wish):
                if self._conflict(stem, wish) is None:
                    return place(stem)
        at_first = at_base if first == base else self._conflict(first, wish)
        if at_first is None:
            return place(first)
        told = at_first.kind == "recording" and folded(Path(at_first.other).suffix) != folded(wish.extension)
        others = alternatives(
            wish.base, wish.extension if told else "", wish.parent if at_first.kind == "recording" else ""
        )
        return place(
            next(stem for stem in (fitted(other, limit) for other in others) if self._conflict(stem, wish) is None)
        )

    def _own(self, wish: Wish) -> Iterator[str]:
        """Stems of this recording's sets, the one wished for first."""
        limit = name_max(self.folder)
        apart = (safe_stem(f"{wish.base}-{more}") for more in (wish.extension.lstrip("."), wish.parent) if more)
        options = [wish.first, wish.base, *apart]
        seen: set[str] = set()
        for stem in (fitted(option, limit) for option in options):
            if stem not in seen and self._owns(stem, wish):
                yield stem
            seen.add(stem)
        for option in alternatives(wish.base, "", ""):
            stem = fitted(option, limit)
            if stem not in self._names.get(folded(stem), set()):
                return
            if stem not in seen and self._owns(stem, wish):
                yield stem

    def _owns(self, stem: str, wish: Wish) -> bool:
        found = self.manifest(stem)
        return (
            found is not None
            and found.owner is not None
            and found.name == wish.base
            and wish.owner.is_same(found.owner)
        )

    def _conflict(self, stem: str, wish: Wish) -> _Conflict | None:
        """Why the set cannot have this stem; None where it can."""
        known: Mapping[str, tuple[str, ...]] = {}
        own = False
        for other in sorted({other for name in claimed(stem) for other in self._names.get(name, ())}):
            found = self.manifest(other)
            if found is None:
                continue
            if found.owner is not None and (
                wish.owner.is_same(found.owner) or wish.owner.recording == found.owner.recording
            ):
                earlier = not wish.owner.is_same(found.owner)
                if other == stem and not (earlier and self._has_results(other, found) and not wish.overwrite):
                    known, own = found.known, True
                    continue
                if earlier and folded(other) == folded(stem):
                    return _Conflict("earlier", f"{other}.* are the results of an earlier recording at the same path")
            elif self._is_stale(other, found):
                continue
            if found.owner is None:
                return _Conflict("file", f"{self._hidden / other}.json is damaged, which would say whose {other}.* are")
            whose = found.owner.recording
            return _Conflict("recording", f"another recording has the same name: {whose}", whose)
        if not own and any(wish.peers.get(name, wish.first) != wish.first for name in claimed(stem)):
            return _Conflict("recording", "another recording has the same name", wish.owner.recording)
        return self._foreign(stem, wish, known)

    def _foreign(self, stem: str, wish: Wish, known: Mapping[str, tuple[str, ...]]) -> _Conflict | None:
        """A conflict with files: those that would be replaced and are inputs, folders or not this recording's own results."""
        names = [f"{stem}{suffix}" for suffix in wish.suffixes]
        if wish.tracks:
            place = self.folder / stem
            if place.is_symlink() or (os.path.lexists(place) and not place.is_dir()):
                return _Conflict("file", f"{place} is there and is no folder")
            names += [
                f"{stem}/{name}"
                for name in sorted(os.listdir(place) if place.is_dir() else ())
                if TRACK.fullmatch(name)
            ]
        for name in names:
            target = self.folder / name
            status = _status(target, known.get(name, ()))
            if status == "missing":
                continue
            if _is_input(target, wish.inputs):
                if wish.overwrite and "/" not in name:
                    raise SettingsError(
                        f"{target}: is an input of this command and is never written over, --overwrite or not: "
                        "choose another folder with -o or other formats with -f"
                    )
                return _Conflict("file", f"{target} is an input of this command")
            if status == "other":
                return _Conflict("file", f"{target} is there and is no file")
            if status == "foreign" and not wish.overwrite:
                return _Conflict(
                    "file",
                    f"{target} is there and is not what meetsplit wrote for this recording (--overwrite replaces it)",
                )
        return None

    def _has_results(self, stem: str, found: Manifest) -> bool:
        """Whether anything but the reason of a failure is left of a set."""
        return any(name != f"{stem}{FAILED}" and os.path.lexists(self.folder / name) for name in found.known)

    def _is_stale(self, stem: str, found: Manifest) -> bool:
        """Whether a set's files have all been removed, or nothing was published by a process that has died."""
        if found.owner is None or any(os.path.lexists(self.folder / name) for name in found.known):
            return False
        return bool(found.known) if found.staging is None else not self._is_alive(self._hidden / found.staging)

    def _is_alive(self, staging: Path) -> bool:
        """Whether the process that has made a staging folder still lives."""
        if not staging.is_dir():
            return False
        lock = try_lock(staging / _LOCK)
        if lock is not None:
            lock.close()
        return lock is None

    def _stage(self) -> tuple[Path, BinaryIO | None]:
        """A new staging folder, and the lock in it that says that its process lives (None where the disk has no locks)."""
        staging = self._hidden / f"{secrets.token_hex(6)}{_STAGING}"
        files.make_folder(staging, private=True)
        return staging, try_lock(staging / _LOCK)

    def _trial(self, stem: str) -> None:
        """See that the folder can be written, with a file of the longest name that a set with this stem may have."""
        longest = self._hidden / f"{fitted(stem, name_max(self.folder))}{max(kinds(), key=len)}"
        files.remove(longest)
        files.disk.create(longest, files.PRIVATE_FILE).close()
        files.disk.unlink(longest)
        if not os.access(self.folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self.folder))

    def _write(self, stem: str, manifest: Manifest) -> None:
        owner = manifest.owner
        row: dict[str, Any] = {
            "recording": owner.recording if owner is not None else "",
            "content": owner.content if owner is not None else "",
            "name": manifest.name,
            "files": {name: list(sums) for name, sums in sorted(manifest.known.items())},
        }
        if manifest.staging is not None:
            row["staging"] = manifest.staging
        path = self._hidden / f"{stem}.json"
        if path.is_symlink():
            files.remove(path)
        files.write(path, json.dumps(row, indent=1) + "\n")
        for name in claimed(stem):
            self._names.setdefault(name, set()).add(stem)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the folder's lock, with what dead processes left swept away and the names of all sets read.

        On a disk without locks, the names of files are still never taken twice, since each appears without replacing.
        """
        try:
            files.make_folder(self.folder)
            if self._hidden.is_symlink():
                raise OutputError(f"{self._hidden}: is a link, and results could be led elsewhere by it: remove it")
            files.make_folder(self._hidden)
            with _locked(self._hidden / _LOCK) as alone:
                if alone:
                    self._sweep()
                self._names = {}
                for entry in os.scandir(self._hidden):
                    stem, dot, kind = entry.name.rpartition(".")
                    for name in claimed(stem) if dot and kind == "json" else ():
                        self._names.setdefault(name, set()).add(stem)
                yield
        except FileExistsError:
            raise
        except OSError as error:
            raise OutputError(f"{error.filename or self.folder}: cannot be written: {files.advice(error)}") from error

    def _sweep(self) -> None:
        files.sweep(self._hidden)
        for entry in list(os.scandir(self._hidden)):
            if (
                entry.name.endswith(_STAGING)
                and entry.is_dir(follow_symlinks=False)
                and not self._is_alive(Path(entry.path))
            ):
                with suppress(OSError):  # what cannot go stays hidden and is tried again next time
                    files.remove_tree(Path(entry.path))


class Reservation:
    """A stem held for one set, and the private ``staging`` folder in which its files are made."""

    def __init__(
        self, folder: ResultsFolder, wish: Wish, place: Place, staging: Path, before: Callable[[], None]
    ) -> None:
        self._folder, self._wish, self._before = folder, wish, before
        self.place, self.staging, self.published = place, staging, False

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
    ) -> Published:
        """Publish text files and ``tracks`` (synced files within `staging`) as this recording's set, all or none.

        Where a foreign file has appeared meanwhile, the set gets another stem and is rendered again, see
        `Published.place`. ``mode`` are the permissions of new files.
        Raises `OutputError`, with nothing published changed.
        """
        for _ in range(_TRIES):
            texts = self._staged(render(self.place.label), mode)
            self._before()
            stem = self.place.stem
            new = {
                **{f"{stem}{kind}": file for kind, file in texts.items()},
                **{f"{stem}/{file.name}": file for file in tracks},
            }
            other = self._folder.install(self._wish, self.place, new, self.staging)
            if other is None:
                self.published = True
                return Published(self.place, tuple(self.folder / name for name in new))
            self.place = other
        raise OutputError(
            f"{self.folder}: other programs write files of the same names all the time; choose another folder with -o"
        )

    def discard(self, lock: BinaryIO | None) -> None:
        """Remove the staging folder and give its lock back."""
        if lock is not None:
            lock.close()
        with suppress(OSError):  # it is swept by whoever writes here next
            files.remove_tree(self.staging)

    def _staged(self, texts: Mapping[str, str | bytes], mode: int | None) -> dict[str, Path]:
        staged: dict[str, Path] = {}
        for kind, text in texts.items():
            path = self.staging / f"text{kind}"
            try:
                files.remove(path)
                with files.disk.create(path, 0o666 if mode is None else mode) as file:
                    file.write(text.encode("utf-8", "replace") if isinstance(text, str) else text)
                    files.disk.fsync(file)
            except OSError as error:
                raise OutputError(
                    f"{self.folder / self.place.stem}{kind}: cannot be written: {files.advice(error)}"
                ) from error
            staged[kind] = path
        return staged


def _belongs(name: str, stem: str) -> bool:
    """Whether a manifest may list the file: nothing outside the set, whoever wrote the manifest."""
    folder, slash, track = name.partition("/")
    if slash:
        return folder == stem and bool(track) and track not in (".", "..") and not set("/\\\0") & set(track)
    return name in {f"{stem}{kind}" for kind in kinds() if kind}


def _status(path: Path, sums: Sequence[str]) -> Literal["missing", "ours", "foreign", "other"]:
    """What lies at a result's place: a file with one of the checksums, another file or a link, or no file at all."""
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "missing"
    if stat.S_ISLNK(mode):
        return "foreign"
    if not stat.S_ISREG(mode):
        return "other"
    return "ours" if sums and files.sha256(path) in sums else "foreign"


def _is_input(target: Path, inputs: Sequence[Path]) -> bool:
    for given in inputs:
        with suppress(OSError):  # an input that is not there is no target
            if os.path.samefile(target, given):
                return True
    return False


@dataclass(frozen=True, slots=True)
class _Renamed:
    """A staged ``file`` that is at its ``target`` now, and a second name of the file that it ``replaced``, if it has one."""

    target: Path
    file: Path
    backup: Path | None
    replaced: bool


def _linked(path: Path, name: Path) -> Path | None:
    """A second name for a file; None on a disk without hard links."""
    try:
        files.remove(name)
        files.disk.link(path, name)
    except OSError:
        return None
    return name


def _put_back(done: Sequence[_Renamed]) -> None:
    """Undo renames, the last first: new files go back to where they were staged, those they replaced to their places."""
    for one in reversed(done):
        with suppress(OSError):  # the error that led here is the one to tell
            if one.backup is not None:
                files.disk.link(one.target, one.file)
                files.disk.replace(one.backup, one.target)
            elif not one.replaced:
                files.disk.replace(one.target, one.file)


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Hold a lock; whether it is held: some disks have no locks."""
    with ExitStack() as stack:
        held = True
        try:
            stack.enter_context(locked(path))
        except OutputError as error:
            if not (isinstance(error.__cause__, OSError) and error.__cause__.errno in _NO_LOCKS):
                raise
            held = False
        yield held
