"""Result sets: whose they are, never over the user's files, whole after every failure and every crash."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import pytest

from hooked_disk import HookedDisk
from meetsplit.pipeline import files
from meetsplit.pipeline.errors import OutputError, SettingsError
from meetsplit.pipeline.results.folder import Placement, PublishedResults, ResultsFolder
from meetsplit.pipeline.results.ownership import Owner, ResultRequest

Tree = dict[str, str]


def request_for(recording: Path, content: str, **changes: Any) -> ResultRequest:
    base = changes.pop("base", recording.stem)
    plain = {
        "suffixes": (".srt", ".json"),
        "tracks": True,
        "extension": recording.suffix,
        "parent": recording.parent.name,
    }
    return ResultRequest(Owner(str(recording), content), base, **{"preferred": base, **plain, **changes})


def publish(folder: Path, request: ResultRequest, tag: str, speakers: int = 2) -> PublishedResults:
    """Publish a set whose files all say ``tag``."""
    with ResultsFolder(folder).reservation(request) as reserved:
        tracks = []
        for number in range(speakers if request.tracks else 0):
            files.write(reserved.staging / "tracks" / f"SPEAKER_{number:02d}.wav", f"{tag} {number}")
            tracks.append(reserved.staging / "tracks" / f"SPEAKER_{number:02d}.wav")
        return reserved.publish(lambda label: {suffix: f"{tag} {suffix}" for suffix in request.suffixes}, tracks)


def tree(folder: Path) -> Tree:
    """What a user sees: everything but the hidden folder."""
    paths = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: path.read_text() for name, path in paths.items() if not name.startswith(".meetsplit/")}


def expected_tree(tag: str, stem: str = "call", speakers: int = 2) -> Tree:
    """The files that `publish` makes."""
    texts = {f"{stem}{suffix}": f"{tag} {suffix}" for suffix in (".srt", ".json")}
    return texts | {f"{stem}/SPEAKER_{number:02d}.wav": f"{tag} {number}" for number in range(speakers)}


def hidden(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / ".meetsplit").iterdir())


@pytest.fixture
def call(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "call.wav"
    path.parent.mkdir()
    path.touch()
    return path


def test_a_later_run_replaces_the_recordings_own_results(call: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    publish(out, request_for(call, "c1"), "one")
    assert publish(out, request_for(call, "c1"), "two").placement == Placement("call", "call")
    assert tree(out) == expected_tree("two")
    assert hidden(out) == ["call.json", "lock"]
    manifest = json.loads((out / ".meetsplit" / "call.json").read_text())
    assert (manifest["recording"], manifest["content"]) == (str(call), "c1")
    assert manifest["files"]["call/SPEAKER_01.wav"] == [files.sha256(out / "call/SPEAKER_01.wav")]


def test_a_later_recording_of_the_same_path_gets_another_name(call: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    publish(out, request_for(call, "c1"), "one")
    published = publish(out, request_for(call, "c2"), "two")
    assert published.placement.stem == "call-2"
    assert "earlier recording at the same path" in str(published.placement.reason)
    assert tree(out) == expected_tree("one") | expected_tree("two", "call-2")
    assert publish(out, request_for(call, "c2"), "three").placement.stem == "call-2", "and keeps it"
    assert tree(out) == expected_tree("one") | expected_tree("three", "call-2")


def test_recordings_of_one_name_get_their_extension_folder_or_number(call: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for other in ("call.wav", "call.m4a", "may/call.wav", "june/may/call.wav"):
        (call.parent / other).parent.mkdir(parents=True, exist_ok=True)
        (call.parent / other).touch()
    places = [
        publish(out, request_for(call.parent / name, name), name)
        for name in ("call.wav", "call.m4a", "may/call.wav", "june/may/call.wav")
    ]
    assert [published.placement.stem for published in places] == ["call", "call-m4a", "call-may", "call-2"]
    assert [published.placement.label for published in places] == ["call", "call-m4a", "call-may", "call-2"]


def test_a_recording_that_was_moved_keeps_its_results(call: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    publish(out, request_for(call, "c1"), "one")
    moved = call.rename(tmp_path / "call.wav")
    assert publish(out, request_for(moved, "c1"), "two").placement.stem == "call"
    assert tree(out) == expected_tree("two")


@pytest.mark.parametrize("name", ["call.srt", "call/SPEAKER_00.wav", "call/SPEAKER_07.mp3"])
def test_foreign_files_are_never_replaced(call: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    files.write(out / name, "my own")
    published = publish(out, request_for(call, "c1"), "one")
    assert (published.placement.stem, published.placement.label) == ("call-2", "call")
    assert str(out / name) in str(published.placement.reason)
    assert tree(out) == {name: "my own"} | expected_tree("one", "call-2")


def test_results_corrected_by_hand_are_foreign(call: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    publish(out, request_for(call, "c1"), "one")
    (out / "call.srt").write_text("corrected")
    assert publish(out, request_for(call, "c1"), "two").placement.stem == "call-2"
    assert tree(out) == expected_tree("one") | {"call.srt": "corrected"} | expected_tree("two", "call-2")
    assert publish(out, request_for(call, "c1"), "three").placement.stem == "call-2"


def test_overwrite_replaces_foreign_files_but_no_other_recordings(call: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    files.write(out / "call.srt", "my own")
    files.write(out / "call.txt", "notes")
    assert publish(out, request_for(call, "c1", overwrite=True), "one").placement.stem == "call"
    assert tree(out) == expected_tree("one") | {"call.txt": "notes"}
    other = tmp_path / "b" / "call.wav"
    assert publish(out, request_for(other, "c2", overwrite=True), "two").placement.stem == "call-b"
    assert tree(out) == expected_tree("one") | {"call.txt": "notes"} | expected_tree("two", "call-b")
    assert publish(out, request_for(call, "c3", overwrite=True), "three", speakers=1).placement.stem == "call"
    assert tree(out) == expected_tree("three", speakers=1) | {"call.txt": "notes"} | expected_tree("two", "call-b")


def test_inputs_are_never_outputs(call: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    publish(out, request_for(call, "c1"), "one")
    inputs = (out / "call.json",)
    assert publish(out, request_for(call, "c1", inputs=inputs), "two").placement.stem == "call-2"
    assert tree(out) == expected_tree("one") | expected_tree("two", "call-2")
    with pytest.raises(SettingsError, match="is an input of this command and is never written over") as caught:
        publish(out, request_for(call, "c1", inputs=inputs, overwrite=True), "three")
    assert caught.value.exit_code == 2
    assert tree(out) == expected_tree("one") | expected_tree("two", "call-2")


def test_a_link_to_an_input_is_an_input(call: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "words.json").write_text("{}")
    (out / "call.json").symlink_to(tmp_path / "words.json")
    with pytest.raises(SettingsError, match="input"):
        publish(out, request_for(call, "c1", inputs=(tmp_path / "words.json",), overwrite=True), "one")
    assert (tmp_path / "words.json").read_text() == "{}"


def test_planted_links_are_not_followed(call: Path, tmp_path: Path) -> None:
    out, victim = tmp_path / "out", tmp_path / "victim"
    (victim / "folder").mkdir(parents=True)
    (victim / "file").write_text("private")
    out.mkdir()
    (out / "call.srt").symlink_to(victim / "file")
    (out / "call-2").symlink_to(victim / "folder")
    assert publish(out, request_for(call, "c1"), "one").placement.stem == "call-3"
    assert publish(out, request_for(call, "c1", overwrite=True), "two").placement.stem == "call"
    assert not (out / "call.srt").is_symlink(), "the link itself was replaced"
    assert tree(victim) == {"file": "private"}
    shutil.rmtree(out)
    out.mkdir()
    (out / ".meetsplit").symlink_to(victim / "folder")
    with pytest.raises(OutputError, match="is a link"):
        publish(out, request_for(call, "c1"), "three")
    assert tree(victim) == {"file": "private"}


def test_a_manifest_lists_nothing_outside_its_set(call: Path, tmp_path: Path) -> None:
    """Whoever can write to the folder could name any file in a manifest: no such file is replaced or removed."""
    out = tmp_path / "out"
    publish(out, request_for(call, "c1"), "one")
    (tmp_path / "victim.wav").write_text("private")
    (out / "victim.txt").write_text("private")
    path = out / ".meetsplit" / "call.json"
    row = json.loads(path.read_text())
    for name in ("../victim.wav", "call/../../victim.wav", "victim.txt", "call/../victim.txt"):
        row["files"][name] = [files.sha256(out / "victim.txt")]
    path.write_text(json.dumps(row))
    publish(out, request_for(call, "c1"), "two", speakers=1)
    assert (tmp_path / "victim.wav").read_text() == "private"
    assert tree(out) == expected_tree("two", speakers=1) | {"victim.txt": "private"}


def test_tracks_that_are_no_longer_part_of_the_set_go_and_nothing_else_does(call: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    publish(out, request_for(call, "c1"), "one", speakers=3)
    (out / "call" / "SPEAKER_notes.txt").write_text("mine")
    (out / "call" / "mine.wav").write_text("mine")
    publish(out, request_for(call, "c1"), "two", speakers=2)
    kept = {"call/SPEAKER_notes.txt": "mine", "call/mine.wav": "mine"}
    assert tree(out) == expected_tree("two", speakers=2) | kept
    publish(out, request_for(call, "c1", tracks=False), "three")
    assert tree(out) == expected_tree("three", speakers=0) | kept | {
        f"call/SPEAKER_0{n}.wav": f"two {n}" for n in (0, 1)
    }, "without tracks, they stay"


def test_results_that_were_removed_leave_their_name(call: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    publish(out, request_for(call, "c1", tracks=False), "one")
    for path in (out / "call.srt", out / "call.json"):
        path.unlink()
    assert publish(out, request_for(tmp_path / "b" / "call.wav", "c2"), "two").placement.stem == "call"


def test_a_damaged_manifest_protects_its_files(call: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    publish(out, request_for(call, "c1"), "one")
    (out / ".meetsplit" / "call.json").write_text('{"recording": ')
    assert publish(out, request_for(call, "c1"), "two").placement.stem == "call-2"
    assert tree(out) == expected_tree("one") | expected_tree("two", "call-2")


def test_two_at_once_never_take_one_stem(call: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    other = tmp_path / "b" / "call.wav"
    with ResultsFolder(out).reservation(request_for(call, "c1")) as first:
        with ResultsFolder(out).reservation(request_for(other, "c2")) as second:
            assert (first.placement.stem, second.placement.stem) == ("call", "call-b")
        assert publish(out, request_for(other, "c2"), "two").placement.stem == "call-b"
    assert hidden(out) == ["call-b.json", "lock"], "nothing was published: nothing is left of the reservation"
    assert publish(out, request_for(call.parent / "x" / "call.wav", "c3"), "three").placement.stem == "call"


def test_a_dead_process_keeps_no_stem_and_its_staging_is_swept(call: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code = (
        "import os, sys; from pathlib import Path\n"
        "from meetsplit.pipeline.results.ownership import Owner, ResultRequest\n"
        "from meetsplit.pipeline.results.folder import ResultsFolder\n"
        "request = ResultRequest(Owner(sys.argv[2], 'c1'), 'call', 'call', ('.srt',), True)\n"
        "with ResultsFolder(Path(sys.argv[1])).reservation(request) as reserved:\n"
        "    (reserved.staging / 'SPEAKER_00.wav').write_bytes(b'speech')\n"
        "    os._exit(0)"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(out), str(call)], check=True
    )  # dies without a word, as after kill -9
    assert len(hidden(out)) == 3
    assert publish(out, request_for(tmp_path / "b" / "call.wav", "c2"), "two").placement.stem == "call"
    assert hidden(out) == ["call.json", "lock"]


def test_staging_is_private(call: Path, tmp_path: Path) -> None:
    with ResultsFolder(tmp_path / "out").reservation(request_for(call, "c1")) as reserved:
        assert reserved.staging.stat().st_mode & 0o777 == 0o700


def test_a_file_that_appears_meanwhile_is_kept(call: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with ResultsFolder(out).reservation(request_for(call, "c1", tracks=False)) as reserved:
        files.write(out / "call.json", "by another program")
        published = reserved.publish(lambda label: {".srt": f"{label} .srt", ".json": f"{label} .json"})
    assert published.placement.stem == "call-2"
    assert "call.json is there and is not what meetsplit wrote" in str(published.placement.reason)
    assert tree(out) == {"call.json": "by another program", "call-2.srt": "call .srt", "call-2.json": "call .json"}
    assert hidden(out) == ["call-2.json", "lock"]


def test_a_file_that_appears_in_the_last_moment_is_kept(
    call: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at the names and the renames, of which the first is undone."""
    out = tmp_path / "out"

    class Disk(files.Disk):
        def link(self, source: Path, target: Path) -> None:
            if target.name == "call.json" and not target.exists():
                target.write_text("by another program")
            super().link(source, target)

    monkeypatch.setattr(files, "disk", Disk())
    assert publish(out, request_for(call, "c1"), "one").placement.stem == "call-2"
    assert tree(out) == {"call.json": "by another program"} | expected_tree("one", "call-2")
    assert hidden(out) == ["call-2.json", "lock"]


def test_a_file_that_appears_before_the_renames_is_kept(
    call: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the manifest is written, after the look at the names."""
    out = tmp_path / "out"

    class Disk(files.Disk):
        def replace(self, source: Path, target: Path) -> None:
            super().replace(source, target)
            if target.name == "call.json" and target.parent != out and not (out / "call.srt").exists():
                (out / "call.srt").write_text("by another program")

    monkeypatch.setattr(files, "disk", Disk())
    assert publish(out, request_for(call, "c1"), "one").placement.stem == "call-2"
    assert tree(out) == {"call.srt": "by another program"} | expected_tree("one", "call-2")
    assert hidden(out) == ["call-2.json", "lock"]


def test_disks_without_hard_links(call: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Disk(files.Disk):
        def link(self, source: Path, target: Path) -> None:
            raise OSError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(files, "disk", Disk())
    out = tmp_path / "out"
    publish(out, request_for(call, "c1"), "one")
    publish(out, request_for(call, "c1"), "two")
    assert tree(out) == expected_tree("two")


def test_permissions_of_replaced_results_stay(call: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    publish(out, request_for(call, "c1"), "one")
    (out / "call.json").chmod(0o600)
    publish(out, request_for(call, "c1"), "two")
    assert (out / "call.json").stat().st_mode & 0o777 == 0o600
    assert (out / "call.srt").stat().st_mode & 0o777 != 0o600


class Died(BaseException):
    """The power went."""


class Counting(HookedDisk):
    """A disk whose ``last``-th changing call raises ``error``, and every one after it too where that is `Died`."""

    def __init__(self, last: int, error: BaseException, *, links: bool = True) -> None:
        super().__init__(self._count, refused_links=None if links else errno.EPERM, everywhere=True)
        self.calls, self.last, self.error = 0, last, error

    def _count(self) -> None:
        self.calls += 1
        if self.calls == self.last or (self.calls > self.last and isinstance(self.error, Died)):
            raise self.error


def at_every_call(
    monkeypatch: pytest.MonkeyPatch,
    error: Callable[[], BaseException],
    prepare: Callable[[], None],
    work: Callable[[], Any],
    links: bool,
) -> Iterator[tuple[int, bool]]:
    """Do ``work`` after ``prepare`` with the disk failing at the n-th call, for each n: n, and whether it went well."""
    number = 0
    while True:
        number += 1
        monkeypatch.setattr(files, "disk", files.Disk())
        prepare()
        disk = Counting(number, error(), links=links)
        monkeypatch.setattr(files, "disk", disk)
        ended = False
        with suppress(OutputError, Died):
            work()
            ended = True
        monkeypatch.setattr(files, "disk", files.Disk())
        if disk.calls < number:
            assert number > 20, "there were calls to fail at"
            return
        yield number, ended


NOTES = {"call.txt": "notes", "call/mine.txt": "mine"}


def start(out: Path, call: Path, *, again: bool) -> Callable[[], None]:
    """What the command finds: the user's notes, and a set of an earlier run where it is done ``again``."""

    def prepare() -> None:
        shutil.rmtree(out, ignore_errors=True)
        if again:
            publish(out, request_for(call, "c1"), "old", speakers=3)
        for name, text in NOTES.items():
            files.write(out / name, text)

    return prepare


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("again", [True, False])
def test_a_disk_that_fails_anywhere_leaves_the_old_set_or_the_new_one(
    call: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: bool, links: bool
) -> None:
    """Without hard links, replaced files cannot be put back: every file is whole, and the next time all are new."""
    out = tmp_path / "out"
    old, new = (expected_tree("old", speakers=3) if again else {}) | NOTES, expected_tree("new", speakers=2) | NOTES
    for number, ended in at_every_call(
        monkeypatch,
        lambda: OSError(errno.ENOSPC, "full"),
        start(out, call, again=again),
        lambda: publish(out, request_for(call, "c1"), "new"),
        links,
    ):
        after = tree(out)
        whole = {name: text for name, text in after.items() if name != "call/SPEAKER_02.wav"}
        if ended:
            assert whole == new, number
        elif links or not again:
            assert after == old or whole == new, (number, after)
        else:
            assert all(text in (old.get(name), new.get(name)) for name, text in after.items()), (number, after)
        publish(out, request_for(call, "c1"), "new")
        assert tree(out) == new, number
        assert hidden(out) == ["call.json", "lock"], number


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("again", [True, False])
def test_a_crash_anywhere_leaves_whole_files_and_the_same_command_ends_with_the_right_set(
    call: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: bool, links: bool
) -> None:
    out = tmp_path / "out"
    old, new = (expected_tree("old", speakers=3) if again else {}) | NOTES, expected_tree("new", speakers=2) | NOTES
    for number, _ in at_every_call(
        monkeypatch, Died, start(out, call, again=again), lambda: publish(out, request_for(call, "c1"), "new"), links
    ):
        for name, text in tree(out).items():
            assert text in (old.get(name), new.get(name)) or (not links and text == ""), (number, name)
        assert tree(out).keys() >= (new.keys() if again else NOTES.keys()), number
        publish(out, request_for(call, "c1"), "new")
        assert tree(out) == new, number
        assert hidden(out) == ["call.json", "lock"], number


def test_renames_are_durable_before_the_last_manifest(
    call: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Content before its name, names before the record of them: what a loss of power must never turn around."""
    out = tmp_path / "out"
    publish(out, request_for(call, "c1"), "old", speakers=3)
    log: list[tuple[str, str]] = []

    class Disk(files.Disk):
        def fsync(self, file: IO[bytes]) -> None:
            log.append(("fsync", Path(file.name).name))
            super().fsync(file)

        def sync_folder(self, folder: Path) -> None:
            log.append(("sync", folder.relative_to(tmp_path).as_posix()))
            super().sync_folder(folder)

        def replace(self, source: Path, target: Path) -> None:
            log.append(("rename", target.relative_to(tmp_path).as_posix()))
            super().replace(source, target)

        def unlink(self, path: Path) -> None:
            log.append(("unlink", path.relative_to(tmp_path).as_posix()))
            super().unlink(path)

    monkeypatch.setattr(files, "disk", Disk())
    publish(out, request_for(call, "c1"), "new", speakers=2)
    manifests = [at for at, step in enumerate(log) if step == ("rename", "out/.meetsplit/call.json")]
    renames = [
        at
        for at, (what, name) in enumerate(log)
        if what == "rename" and name in {f"out/{name}" for name in expected_tree("new")}
    ]
    assert len(renames) == 4
    assert manifests[0] < min(renames) < max(renames) < manifests[-1]
    assert ("fsync", "text.srt") in log[: min(renames)]
    for folder in ("out", "out/call"):
        last = max(at for at in renames if log[at][1].rpartition("/")[0] == folder)
        assert ("sync", folder) in log[last : manifests[-1]]
    removed = log.index(("unlink", "out/call/SPEAKER_02.wav"))
    assert max(renames) < removed < manifests[-1]
    assert ("sync", "out/call") in log[removed : manifests[-1]]


def test_an_impossible_folder_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="choose another folder"):
        ResultsFolder(tmp_path / "file" / "out").check_writable()
    ResultsFolder(tmp_path / "expected_tree" / "deep").check_writable()
    assert list((tmp_path / "expected_tree" / "deep").iterdir()) == [tmp_path / "expected_tree" / "deep" / ".meetsplit"]
    assert hidden(tmp_path / "expected_tree" / "deep") == ["lock"]


def test_reservations_for_later_work(call: Path, tmp_path: Path) -> None:
    """A queued recording keeps its stem while others come and go.

    One that replaces it at its path takes the stem over.
    """
    out = tmp_path / "out"
    other = tmp_path / "b" / "call.wav"
    places = ResultsFolder(out).reserve([request_for(call, "c1"), request_for(other, "c2")])
    assert [place.stem for place in places if isinstance(place, Placement)] == ["call", "call-b"]
    assert publish(out, request_for(tmp_path / "c" / "call.wav", "c3"), "three").placement.stem == "call-c"
    assert ResultsFolder(out).reserve([request_for(call, "c1"), request_for(call, "c4")]) == [
        Placement("call", "call"),
        Placement("call", "call"),
    ]
    assert publish(out, request_for(call, "c4"), "four").placement.stem == "call"
    assert publish(out, request_for(other, "c2"), "two").placement.stem == "call-b"


def reason(call: Path, out: Path, content: str) -> Mapping[str, str]:
    request = request_for(call, content, suffixes=(".failed.txt",), tracks=False)
    with ResultsFolder(out).reservation(request) as reserved:
        reserved.publish(lambda label: {".failed.txt": f"{content} failed"})
    return tree(out)


def test_the_reason_of_a_failure_goes_when_there_are_results(call: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert reason(call, out, "c1") == {"call.failed.txt": "c1 failed"}
    publish(out, request_for(call, "c2"), "one")
    assert tree(out) == expected_tree("one"), "the file was replaced by a good one"
    assert reason(call, out, "c2") == expected_tree("one") | {"call.failed.txt": "c2 failed"}
    (out / "call.failed.txt").write_text("notes of mine")
    publish(out, request_for(call, "c2"), "two")
    assert tree(out) == expected_tree("two") | {"call.failed.txt": "notes of mine"}
    assert reason(call, out, "c2") == expected_tree("two") | {
        "call.failed.txt": "notes of mine",
        "call-2.failed.txt": "c2 failed",
    }
