"""Commands and the user's own files: nothing that meetsplit did not write is written over, moved or removed."""

from __future__ import annotations

import json
import os
import shutil
import wave
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from meetsplit.cli import main
from meetsplit.pipeline.formats import suffixes_of
from meetsplit.pipeline.settings import DEFAULT_FORMATS

RATE = 16000
FOREIGN = {
    "segments": [{"start": 0.5, "end": 2.0, "text": " Good morning.", "avg_logprob": -0.2, "tokens": [1, 2]}],
    "language": "en",
}


class Ran(NamedTuple):
    code: int
    out: str
    err: str


class Workspace:
    """A folder with recordings, turns and words, in which commands are run."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys

    def recording(self, name: str, pitch: float = 220.0) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        sound = 8000 * np.sin(2 * np.pi * pitch * np.arange(5 * RATE) / RATE)
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(sound.astype("<i2").tobytes())
        return path

    def turns(self, name: str, speakers: int = 2) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"SPEAKER call 1 {0.5 + n} 2 <NA> <NA> P{n} <NA> <NA>\n" for n in range(speakers)))
        return path

    def words(self, name: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("call 1 P0 0.5 2.5 good morning everybody\ncall 1 P1 2.5 3.4 hello there\n")
        return path

    def run(self, command: str, *arguments: str | Path) -> Ran:
        more = ("--separate", "off", "--no-cache", "--device", "cpu") if command == "run" else ()
        with pytest.raises(SystemExit) as ended:
            main([command, *map(str, arguments), *more])
        captured = self._capsys.readouterr()
        return Ran(int(ended.value.code or 0), captured.out, captured.err)

    def tree(self, below: str = ".") -> dict[str, bytes]:
        place = self.folder / below
        paths = {path.relative_to(place).as_posix(): path for path in sorted(place.rglob("*")) if path.is_file()}
        return {name: path.read_bytes() for name, path in paths.items() if "/.meetsplit/" not in f"/{name}"}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Workspace:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEETSPLIT_CACHE", str(tmp_path / "cache"))
    return Workspace(tmp_path, capsys)


def given_turns_and_words(workspace: Workspace, folder: str = "given") -> tuple[str | Path, ...]:
    return ("--rttm", workspace.turns(f"{folder}/turns.rttm"), "--script", workspace.words(f"{folder}/words.stm"))


def test_inputs_and_notes_beside_the_recording_stay(workspace: Workspace) -> None:
    """`-o` is "here" by default, and what was written by hand lies beside the recording under its name."""
    call, turns, words = workspace.recording("call.wav"), workspace.turns("call.rttm"), workspace.words("call.stm")
    (workspace.folder / "call.txt").write_text("my private notes")
    before = workspace.tree()
    command = (call.name, "--rttm", turns.name, "--script", words.name)
    done = workspace.run("run", *command)
    assert done.code == 0
    after = workspace.tree()
    assert {name: after.pop(name) for name in before} == before
    tracks = {f"call-2/P{number}.wav" for number in (0, 1)}
    assert after.keys() == {f"call-2{suffix}" for suffix in suffixes_of(DEFAULT_FORMATS)} | tracks
    assert json.loads(after["call-2.json"])["recording"] == "call", "so that `score` still knows what it is about"
    assert "is written as call-2.*, because call.txt is there and is not what meetsplit wrote" in done.err
    assert workspace.run("run", *command).code == 0
    assert workspace.tree().keys() == before.keys() | after.keys(), "its own results are replaced"


def test_overwrite_replaces_notes_and_never_inputs(workspace: Workspace) -> None:
    call, turns = workspace.recording("call.wav"), workspace.turns("call.rttm")
    (workspace.folder / "call.txt").write_text("old notes")
    before = workspace.tree()
    command = (call.name, "--rttm", turns.name, *given_turns_and_words(workspace)[2:], "--no-tracks", "--overwrite")
    before = workspace.tree()
    refused = workspace.run("run", *command)
    assert refused.code == 2
    assert "call.rttm: is an input of this command and is never written over" in refused.err
    assert workspace.tree() == before
    assert workspace.run("run", *command, "-f", "txt,srt").code == 0
    assert (workspace.folder / "call.txt").read_text() != "old notes"
    assert (workspace.folder / "call.rttm").read_bytes() == before["call.rttm"]


def test_export_leaves_the_transcript_it_reads(workspace: Workspace) -> None:
    (workspace.folder / "meeting.json").write_text(json.dumps(FOREIGN))
    (workspace.folder / "meeting.vtt").write_text("WEBVTT by whisper")
    before = workspace.tree()
    done = workspace.run("export", "meeting.json", "-f", "srt,tsv")
    assert (done.code, done.err) == (0, "")
    assert workspace.tree().keys() == {*before, "meeting.srt", "meeting.tsv"}
    done = workspace.run("export", "meeting.json")
    assert "meeting.vtt is there" in done.err
    after = workspace.tree()
    assert {name: after[name] for name in before} == before
    assert {f"meeting-2{suffix}" for suffix in suffixes_of(DEFAULT_FORMATS) if suffix != ".json"} < after.keys()
    assert "meeting-2.json" not in after, "JSON is written only where it is asked for"
    workspace.run("export", "meeting.json", "-f", "json")
    assert json.loads((workspace.folder / "meeting.json").read_text()) == FOREIGN
    refused = workspace.run("export", "meeting.json", "-f", "json", "--overwrite")
    assert (refused.code, json.loads((workspace.folder / "meeting.json").read_text())) == (2, FOREIGN)


def test_export_beside_our_transcript_replaces_its_set(workspace: Workspace) -> None:
    call = workspace.recording("call.wav")
    workspace.run("run", call, *given_turns_and_words(workspace), "-o", "out", "-f", "json,srt")
    first = workspace.tree("out")
    os.chmod("out/call.json", 0o600)
    done = workspace.run("export", "out/call.json", "-f", "srt,txt", "--name", "SPEAKER_00=Alice")
    assert (done.code, done.err) == (0, "")
    after = workspace.tree("out")
    assert after.keys() == {*first, "call.txt"}
    assert "Alice" in after["call.srt"].decode()
    assert Path("out/call.txt").stat().st_mode & 0o777 == 0o600, "as private as the transcript"
    Path("out/call.srt").write_text("corrected by hand")
    done = workspace.run("export", "out/call.json", "-f", "srt")
    assert Path("out/call.srt").read_text() == "corrected by hand"
    assert "call-2.srt" in workspace.tree("out")
    transcript = json.loads(Path("out/call.json").read_text())
    assert workspace.run("run", call, *given_turns_and_words(workspace), "-o", "out", "-f", "json").code == 0
    assert json.loads(Path("out/call.json").read_text()).keys() == transcript.keys()


def test_corrected_words_are_exported_to_the_same_files(workspace: Workspace) -> None:
    Path("meeting.json").write_text(json.dumps(FOREIGN))
    workspace.run("export", "meeting.json", "-f", "srt")
    corrected = json.loads(json.dumps(FOREIGN).replace("Good morning", "Good evening"))
    Path("meeting.json").write_text(json.dumps(corrected))
    workspace.run("export", "meeting.json", "-f", "srt")
    assert "Good evening" in Path("meeting.srt").read_text()
    assert not Path("meeting-2.srt").exists()


def test_rediarize_keeps_what_was_corrected(workspace: Workspace) -> None:
    call = workspace.recording("call.wav")
    workspace.run("run", call, *given_turns_and_words(workspace), "-o", ".", "-f", "json", "--no-tracks")
    one = workspace.turns("given/one.rttm", speakers=1)
    command = ("rediarize", "call.json", "--rttm", one, "-f", "json,srt", "--no-tracks", "--device", "cpu")
    assert workspace.run(*command).code == 0
    before = workspace.tree()
    assert {"call-rediarized.json", "call-rediarized.srt"} < before.keys()
    assert workspace.run(*command).code == 0
    assert workspace.tree().keys() == before.keys()
    Path("call-rediarized.srt").write_text("corrected by hand")
    done = workspace.run(*command)
    assert done.code == 0
    assert Path("call-rediarized.srt").read_text() == "corrected by hand"
    assert "call-rediarized-2.srt" in done.out


@pytest.mark.parametrize("name", ["...m4a", "..m4a", ".hidden.m4a"])
def test_no_name_leads_outside_the_results_folder(workspace: Workspace, name: str) -> None:
    call = workspace.recording(f"in/{name}")
    for place in (".", "out", "elsewhere"):
        (workspace.folder / place).mkdir(exist_ok=True)
        for track in ("SPEAKER_00.wav", "SPEAKER_07.flac"):
            (workspace.folder / place / track).write_text("mine")
    options = given_turns_and_words(workspace)
    before = workspace.tree()
    done = workspace.run("run", call, *options, "-o", "out", "-f", "txt")
    assert done.code == 0, done.err
    after = workspace.tree()
    assert {file: after.pop(file) for file in before} == before
    stem = "hidden" if "hidden" in name else "recording"
    assert after.keys() == {f"out/{stem}.txt", f"out/{stem}/P0.wav", f"out/{stem}/P1.wav"}
    assert f"is written as {stem}.*, because its own name is not fit for files" in done.err


@pytest.mark.parametrize("name", ["..", ".", "a/b"])
def test_a_meeting_of_several_files_cannot_be_called_like_a_folder(workspace: Workspace, name: str) -> None:
    files = [workspace.recording("in/anna.wav"), workspace.recording("in/ben.wav", 300.0)]
    options = given_turns_and_words(workspace)[2:]
    before = workspace.tree()
    refused = workspace.run("run", *files, *options, "--together", name, "-o", "out")
    assert refused.code == 2
    assert "without a folder" in refused.err
    assert workspace.tree() == before


@pytest.mark.parametrize("length", [242, 243, 251])
def test_long_names_are_shortened_for_results(workspace: Workspace, length: int) -> None:
    call = workspace.recording(f"in/{'n' * length}.m4a")
    done = workspace.run("run", call, *given_turns_and_words(workspace), "-o", "out")
    assert done.code == 0, done.err
    written = workspace.tree("out")
    assert len(written) == len(suffixes_of(DEFAULT_FORMATS)) + 2
    assert ("its name is too long for results" in done.err) is (length > 242)
    assert all(name.startswith("n" * 200) for name in written)


def test_results_of_a_link_are_named_after_the_link(workspace: Workspace) -> None:
    workspace.recording("store/0a1b2c.wav")
    (workspace.folder / "standup.wav").symlink_to("store/0a1b2c.wav")
    done = workspace.run(
        "run", "standup.wav", *given_turns_and_words(workspace), "-o", "out", "-f", "txt", "--no-tracks"
    )
    assert workspace.tree("out").keys() == {"standup.txt"}
    assert "note" not in done.err.replace("another device", "")


def test_a_folder_that_cannot_be_written_is_said_before_any_work(workspace: Workspace) -> None:
    call = workspace.recording("call.wav")
    (workspace.folder / "file").touch()
    refused = workspace.run("run", call, *given_turns_and_words(workspace), "-o", "file/out")
    assert refused.code == 1
    assert "choose another folder with -o" in refused.err
    assert "decode" not in refused.err


def test_fewer_speakers_or_another_format_leave_no_old_track(workspace: Workspace) -> None:
    call = workspace.recording("call.wav")
    words = given_turns_and_words(workspace)[2:]
    workspace.run("run", call, "--rttm", workspace.turns("given/three.rttm", 3), *words, "-o", "out", "-f", "txt")
    assert {"call/P2.wav"} < workspace.tree("out").keys()
    workspace.run(
        "run",
        call,
        "--rttm",
        workspace.turns("given/two.rttm", 2),
        *words,
        "-o",
        "out",
        "-f",
        "txt",
        "--track-format",
        "flac",
    )
    assert workspace.tree("out").keys() == {"call.txt", "call/P0.flac", "call/P1.flac"}


def test_other_results_of_the_same_name_stay(workspace: Workspace) -> None:
    """Another folder's recording, in a later command."""
    first, second = workspace.recording("a/call.wav"), workspace.recording("b/call.wav", 300.0)
    options = given_turns_and_words(workspace)
    workspace.run("run", first, *options, "-o", "out", "-f", "json", "--no-tracks")
    before = workspace.tree("out")
    done = workspace.run("run", second, *options, "-o", "out", "-f", "json", "--no-tracks")
    assert "written as call-b.*, because another recording has the same name" in done.err
    assert {name: workspace.tree("out")[name] for name in before} == before
    shutil.copy(second, first)
    done = workspace.run("run", first, *options, "-o", "out", "-f", "json", "--no-tracks")
    assert workspace.tree("out").keys() == {"call.json", "call-b.json", "call-2.json"}
    assert workspace.tree("out")["call.json"] == before["call.json"]
