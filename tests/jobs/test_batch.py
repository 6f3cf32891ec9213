"""Many recordings at once: skipping, repeating, twins, poison, and faults of the files themselves."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from typing import Any

import pytest

SMALL = ("-f", "json", "--no-tracks")


def states(workspace: Any) -> dict[str, str]:
    return {os.path.basename(job["recording"]): job["state"] for job in workspace.jobs()}


def test_poison_twins_and_repeats(workspace: Any) -> None:
    """A file that is no recording among good ones, a copy, then the same batch again, then with --force."""
    good = workspace.recording("good.wav", seed=1)
    shutil.copy(good, workspace.calls / "twin.wav")
    (workspace.calls / "poison.wav").write_bytes(b"RIFF\x00\x00\x00\x00WAVEnothing to hear here")
    command = ("batch", workspace.calls, *workspace.model_free_options(), "-o", workspace.out, *SMALL)
    first = workspace.run(*command, code=1)
    table = "\n".join(first.lines)
    assert "same recording" in table
    assert "1 done, 1 failed, 1 same recording" in table
    assert states(workspace) == {"good.wav": "done", "poison.wav": "failed"}
    written = (workspace.out / "good.json").read_bytes()
    before = (workspace.out / "good.json").stat().st_mtime_ns

    second = workspace.run(*command, code=1)
    assert "1 done before, 1 failed, 1 same recording" in "\n".join(second.lines)
    assert (workspace.out / "good.json").stat().st_mtime_ns == before

    third = workspace.run("batch", good, *workspace.model_free_options(), "-o", workspace.out, *SMALL, "--force")
    assert any(line.startswith("diarize …") for line in third.lines)
    assert (workspace.out / "good.json").stat().st_mtime_ns != before
    assert (workspace.out / "good.json").read_bytes() == written
    assert sorted(path.name for path in workspace.calls.iterdir()) == ["good.wav", "poison.wav", "twin.wav"]


def test_other_settings_are_another_job(workspace: Any) -> None:
    call = workspace.recording("call.wav")
    workspace.run("batch", call, *workspace.model_free_options(), "-o", workspace.out, "-f", "json")
    workspace.run("batch", call, *workspace.model_free_options(), "-o", workspace.out, "-f", "srt")
    assert (workspace.out / "call.srt").exists()
    assert len(workspace.jobs()) == 2


def test_a_stretch_of_a_recording(workspace: Any) -> None:
    call = workspace.recording("call.wav")
    options = ("--start", "0:01", "--end", "2.5", "-o", workspace.out, "-f", "json")
    workspace.run("batch", call, *workspace.model_free_options(), *options)
    transcript = json.loads((workspace.out / "call.json").read_text("utf-8"))
    assert transcript["duration"] == 5.0
    assert transcript["turns"]
    assert all(1.0 <= turn["start"] < turn["end"] <= 2.5 for turn in transcript["turns"])
    settings = transcript["made_by"]["settings"]
    assert (settings["start"], settings["end"]) == (1.0, 2.5)
    (job,) = workspace.jobs()
    assert job["state"] == "done"


def test_the_results_folder_says_whose_results_are_whose(workspace: Any) -> None:
    """Neither a lost seen.json nor another state folder lets a recording take the place of another one's results."""
    options = (*workspace.model_free_options(), "-o", workspace.out, *SMALL)
    workspace.run("batch", workspace.recording("a/call.wav", seed=1), *options)
    first = workspace.files()
    (workspace.state / "seen.json").write_text('{"contents": {')
    workspace.run("batch", workspace.recording("b/call.wav", seed=2), *options)
    workspace.run("batch", workspace.recording("c/call.wav", seed=3), *options, "--state-dir", workspace.root / "other")
    workspace.run("run", workspace.recording("d/call.wav", seed=4), *options, "--no-cache")
    workspace.recording("a/call.wav", seed=5)
    workspace.run("batch", workspace.calls / "a" / "call.wav", *options)
    assert workspace.files().keys() == {"call.json", "call-b.json", "call-c.json", "call-d.json", "call-2.json"}
    assert workspace.files()["call.json"] == first["call.json"]


def test_tracks_of_people_who_are_no_longer_found_go(workspace: Any) -> None:
    call = workspace.recording("call.wav")
    words = workspace.model_free_options()[2:]
    for people in (3, 2):
        turns = workspace.root / f"{people}.rttm"
        turns.write_text("".join(f"SPEAKER all 1 {n} 1.5 <NA> <NA> P{n} <NA> <NA>\n" for n in range(people)))
        workspace.run("batch", call, "--rttm", turns, *words, "-o", workspace.out, "-f", "json")
        assert workspace.files().keys() == {"call.json", *(f"call/P{n}.wav" for n in range(people))}


def test_a_name_that_leads_outside_and_one_that_is_too_long(workspace: Any) -> None:
    """Files that are named are taken whatever they are called; their results lie in the results folder."""
    workspace.recording("...m4a", seed=1)
    workspace.recording(f"{'n' * 251}.wav", seed=2)
    (workspace.root / "SPEAKER_07.wav").write_text("mine")
    workspace.run(
        "batch", *sorted(workspace.calls.iterdir()), *workspace.model_free_options(), "-o", workspace.out, "-f", "txt"
    )
    stems = {name.partition("/")[0].removesuffix(".txt") for name in workspace.files()}
    assert {stem[:200] for stem in stems} == {"recording", "n" * 200}
    assert (workspace.root / "SPEAKER_07.wav").read_text() == "mine"


def test_notes_of_the_users_are_kept_and_replaced_on_demand(workspace: Any) -> None:
    call = workspace.recording("call.wav")
    workspace.out.mkdir()
    (workspace.out / "call.json").write_text("by another program")
    options = (*workspace.model_free_options(), "-o", workspace.out, *SMALL)
    output = workspace.run("batch", call, *options)
    assert "results are called call-2.*, because" in "\n".join(output.lines)
    assert (workspace.out / "call.json").read_text() == "by another program"
    workspace.run("batch", call, *options, "--force", "--overwrite")
    assert (workspace.out / "call.json").read_bytes() == (workspace.out / "call-2.json").read_bytes()


def test_a_results_folder_that_cannot_be_written_is_said_before_any_work(workspace: Any) -> None:
    workspace.out.write_text("a file")
    output = workspace.run(
        "batch", workspace.recording("call.wav"), *workspace.model_free_options(), "-o", workspace.out, *SMALL, code=1
    )
    assert "choose another folder with -o" in "\n".join(output.lines)
    assert not list((workspace.state / "jobs").iterdir())


def test_twenty_tiny_files(workspace: Any) -> None:
    for number in range(20):
        workspace.recording(f"{number // 7}/tiny{number}.wav", seconds=2, seed=number)
    workspace.batch("-f", "txt", "--no-tracks", "-q", seconds=2)
    assert len(list(workspace.out.rglob("*.txt"))) == 20


def test_source_changes_while_it_waits(workspace: Any) -> None:
    call = workspace.recording("call.wav", seed=1)
    gone = workspace.recording("gone.wav", seed=2)
    workspace.batch(*SMALL, "--queue-only")
    workspace.recording("call.wav", seed=3)
    gone.unlink()
    worker = workspace.start("worker")
    output = {worker.until("failed: "), worker.until("failed: ")}
    worker.signal(signal.SIGTERM)
    assert any("call.wav: has changed since it was queued; queue it again" in line for line in output)
    assert any("gone.wav: is no longer there; put it back, or cancel the job" in line for line in output)
    assert workspace.files() == {}
    assert call.exists()


def test_source_changes_in_the_middle(workspace: Any) -> None:
    """Results of a recording that was replaced while it was worked on are never written."""
    call = workspace.recording("call.wav", seconds=400, seed=1)
    other = workspace.recording("other.wav", seconds=400, seed=2)
    running = workspace.start("batch", call, *workspace.model_free_options(400), "-o", workspace.out)
    running.until("transcribe …")
    os.replace(other, call)
    assert running.end() == 1
    assert "has changed since it was queued" in "\n".join(running.lines)
    assert workspace.files() == {}


def test_source_vanishes_in_the_middle(workspace: Any) -> None:
    call = workspace.recording("call.wav", seconds=400)
    running = workspace.start("batch", call, *workspace.model_free_options(400), "-o", workspace.out)
    running.until("separate …")
    call.unlink()
    assert running.end() == 1
    assert "is no longer there" in "\n".join(running.lines)
    assert workspace.files() == {}


@pytest.mark.skipif(
    os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root reads everything, and setpriv is not here"
)
def test_folder_that_may_not_be_read(workspace: Any) -> None:
    workspace.recording("open/call.wav")
    workspace.recording("closed/call.wav")
    (workspace.calls / "closed").chmod(0)
    less = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    running = workspace.start(
        "batch", workspace.calls, *workspace.model_free_options(), "-o", workspace.out, *SMALL, before=less
    )
    ended = running.end()
    (workspace.calls / "closed").chmod(0o700)
    assert ended == 0
    assert any(
        "closed: cannot be looked into: Permission denied; what lies there is left out" in line
        for line in running.lines
    )
    assert list(workspace.files()) == ["open/call.json"]


def test_nothing_there(workspace: Any) -> None:
    output = workspace.run("batch", workspace.root / "nowhere", *workspace.model_free_options(), code=1)
    assert "nowhere: no such file or folder" in "\n".join(output.lines)
    output = workspace.run("batch", workspace.calls, *workspace.model_free_options(), code=1)
    assert "no recordings there" in "\n".join(output.lines)


def test_a_missing_model_is_no_fault_of_the_recordings(workspace: Any) -> None:
    workspace.recording("call.wav")
    for command in (("batch",), ("watch", "--once", "--poll", "0.1")):
        output = workspace.run(
            *command,
            workspace.calls,
            "-o",
            workspace.out,
            "--diarizer",
            "pyannote",
            "--offline",
            "--device",
            "cpu",
            code=1,
        )
        assert "community-1" in "\n".join(output.lines)
    assert not (workspace.state / "jobs.sqlite").exists()


def test_max_memory_stops_before_new_work(workspace: Any) -> None:
    workspace.recording("call.wav")
    stopped = workspace.batch(*SMALL, "--max-memory", "1MB", code=75)
    assert "--max-memory is reached: what is left waits in the queue" in "\n".join(stopped.lines)
    assert workspace.files() == {}
    workspace.batch(*SMALL)
    assert list(workspace.files()) == ["call.json"]


def test_cancel_and_retry(workspace: Any) -> None:
    workspace.recording("a.wav", seconds=250, seed=1)
    workspace.recording("b.wav", seconds=5, seed=2)
    workspace.run(
        "batch",
        workspace.calls / "a.wav",
        *workspace.model_free_options(250),
        "-o",
        workspace.out,
        *SMALL,
        "--queue-only",
    )
    workspace.run(
        "batch",
        workspace.calls / "b.wav",
        *workspace.model_free_options(),
        "-o",
        workspace.out,
        *SMALL,
        "--queue-only",
        "--priority",
        "low",
    )
    waiting = {job["recording"][-5:]: job["job"] for job in workspace.jobs()}
    workspace.run("jobs", "cancel", waiting["b.wav"])
    worker = workspace.start("worker")
    worker.until("separate …")
    workspace.freeze(worker)
    workspace.run("jobs", "cancel", waiting["a.wav"])
    worker.process.send_signal(signal.SIGCONT)
    end = time.monotonic() + 300
    while states(workspace) != {"a.wav": "cancelled", "b.wav": "cancelled"} and time.monotonic() < end:
        time.sleep(0.1)
    workspace.run("jobs", "retry", waiting["b.wav"].partition(".")[0])
    worker.until("done: ")
    worker.signal(signal.SIGTERM)
    assert list(workspace.files()) == ["b.json"]
    assert states(workspace) == {"a.wav": "cancelled", "b.wav": "done"}
    listed = workspace.start("jobs", "list", "--json")
    assert json.loads(listed.process.communicate()[0]) == json.loads(json.dumps(workspace.jobs()))
    shown = "\n".join(workspace.run("jobs", "show", waiting["b.wav"].partition(".")[0]).lines)
    assert "diarize, separate, transcribe, write" in shown
    workspace.run("jobs", "clean", "--older-than", "0")
    assert workspace.jobs() == []
    assert list((workspace.state / "jobs").iterdir()) == []
