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


def states(house: Any) -> dict[str, str]:
    return {os.path.basename(job["recording"]): job["state"] for job in house.jobs()}


def test_poison_twins_and_repeats(house: Any) -> None:
    """A file that is no recording among good ones, a copy, then the same batch again, then with --force."""
    good = house.recording("good.wav", seed=1)
    shutil.copy(good, house.calls / "twin.wav")
    (house.calls / "poison.wav").write_bytes(b"RIFF\x00\x00\x00\x00WAVEnothing to hear here")
    command = ("batch", house.calls, *house.known(), "-o", house.out, *SMALL)
    first = house.run(*command, code=1)
    table = "\n".join(first.lines)
    assert "same recording" in table
    assert "1 done, 1 failed, 1 same recording" in table
    assert states(house) == {"good.wav": "done", "poison.wav": "failed"}
    written = (house.out / "good.json").read_bytes()
    before = (house.out / "good.json").stat().st_mtime_ns

    second = house.run(*command, code=1)
    assert "1 done before, 1 failed, 1 same recording" in "\n".join(second.lines)
    assert (house.out / "good.json").stat().st_mtime_ns == before

    third = house.run("batch", good, *house.known(), "-o", house.out, *SMALL, "--force")
    assert any(line.startswith("diarize …") for line in third.lines)
    assert (house.out / "good.json").stat().st_mtime_ns != before
    assert (house.out / "good.json").read_bytes() == written
    assert sorted(path.name for path in house.calls.iterdir()) == ["good.wav", "poison.wav", "twin.wav"]


def test_other_settings_are_another_job(house: Any) -> None:
    call = house.recording("call.wav")
    house.run("batch", call, *house.known(), "-o", house.out, "-f", "json")
    house.run("batch", call, *house.known(), "-o", house.out, "-f", "srt")
    assert (house.out / "call.srt").exists()
    assert len(house.jobs()) == 2


def test_the_results_folder_says_whose_results_are_whose(house: Any) -> None:
    """Neither a lost seen.json nor another state folder lets a recording take the place of another one's results."""
    options = (*house.known(), "-o", house.out, *SMALL)
    house.run("batch", house.recording("a/call.wav", seed=1), *options)
    first = house.files()
    (house.state / "seen.json").write_text('{"contents": {')
    house.run("batch", house.recording("b/call.wav", seed=2), *options)
    house.run("batch", house.recording("c/call.wav", seed=3), *options, "--state-dir", house.root / "other")
    house.run("run", house.recording("d/call.wav", seed=4), *options, "--no-cache")
    house.recording("a/call.wav", seed=5)
    house.run("batch", house.calls / "a" / "call.wav", *options)
    assert house.files().keys() == {"call.json", "call-b.json", "call-c.json", "call-d.json", "call-2.json"}
    assert house.files()["call.json"] == first["call.json"]


def test_tracks_of_people_who_are_no_longer_found_go(house: Any) -> None:
    call = house.recording("call.wav")
    words = house.known()[2:]
    for people in (3, 2):
        turns = house.root / f"{people}.rttm"
        turns.write_text("".join(f"SPEAKER all 1 {n} 1.5 <NA> <NA> P{n} <NA> <NA>\n" for n in range(people)))
        house.run("batch", call, "--rttm", turns, *words, "-o", house.out, "-f", "json")
        assert house.files().keys() == {"call.json", *(f"call/SPEAKER_0{n}.wav" for n in range(people))}


def test_a_name_that_leads_outside_and_one_that_is_too_long(house: Any) -> None:
    """Files that are named are taken whatever they are called; their results lie in the results folder."""
    house.recording("...m4a", seed=1)
    house.recording(f"{'n' * 251}.wav", seed=2)
    (house.root / "SPEAKER_07.wav").write_text("mine")
    house.run("batch", *sorted(house.calls.iterdir()), *house.known(), "-o", house.out, "-f", "txt")
    stems = {name.partition("/")[0].removesuffix(".txt") for name in house.files()}
    assert {stem[:200] for stem in stems} == {"recording", "n" * 200}
    assert (house.root / "SPEAKER_07.wav").read_text() == "mine"


def test_notes_of_the_users_are_kept_and_replaced_on_demand(house: Any) -> None:
    call = house.recording("call.wav")
    house.out.mkdir()
    (house.out / "call.json").write_text("by another program")
    options = (*house.known(), "-o", house.out, *SMALL)
    said = house.run("batch", call, *options)
    assert "results are called call-2.*, because" in "\n".join(said.lines)
    assert (house.out / "call.json").read_text() == "by another program"
    house.run("batch", call, *options, "--force", "--overwrite")
    assert (house.out / "call.json").read_bytes() == (house.out / "call-2.json").read_bytes()


def test_a_results_folder_that_cannot_be_written_is_said_before_any_work(house: Any) -> None:
    house.out.write_text("a file")
    said = house.run("batch", house.recording("call.wav"), *house.known(), "-o", house.out, *SMALL, code=1)
    assert "choose another folder with -o" in "\n".join(said.lines)
    assert not list((house.state / "jobs").iterdir())


def test_two_hundred_tiny_files(house: Any) -> None:
    for number in range(200):
        house.recording(f"{number // 50}/tiny{number}.wav", seconds=2, seed=number)
    house.run("batch", house.calls, *house.known(2), "-o", house.out, "-f", "txt", "--no-tracks", "-q")
    assert len(list(house.out.rglob("*.txt"))) == 200


def test_source_changes_while_it_waits(house: Any) -> None:
    call = house.recording("call.wav", seed=1)
    gone = house.recording("gone.wav", seed=2)
    house.run("batch", house.calls, *house.known(), "-o", house.out, *SMALL, "--queue-only")
    house.recording("call.wav", seed=3)
    gone.unlink()
    worker = house.start("worker")
    said = {worker.until("failed: "), worker.until("failed: ")}
    worker.signal(signal.SIGTERM)
    assert any("call.wav: has changed since it was queued; queue it again" in line for line in said)
    assert any("gone.wav: is no longer there; put it back, or cancel the job" in line for line in said)
    assert house.files() == {}
    assert call.exists()


def test_source_changes_in_the_middle(house: Any) -> None:
    """Results of a recording that was replaced while it was worked on are never written."""
    call = house.recording("call.wav", seconds=400, seed=1)
    other = house.recording("other.wav", seconds=400, seed=2)
    running = house.start("batch", call, *house.known(400), "-o", house.out)
    running.until("transcribe …")
    os.replace(other, call)
    assert running.end() == 1
    assert "has changed since it was queued" in "\n".join(running.lines)
    assert house.files() == {}


def test_source_vanishes_in_the_middle(house: Any) -> None:
    call = house.recording("call.wav", seconds=400)
    running = house.start("batch", call, *house.known(400), "-o", house.out)
    running.until("separate …")
    call.unlink()
    assert running.end() == 1
    assert "is no longer there" in "\n".join(running.lines)
    assert house.files() == {}


@pytest.mark.skipif(
    os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root reads everything, and setpriv is not here"
)
def test_folder_that_may_not_be_read(house: Any) -> None:
    house.recording("open/call.wav")
    house.recording("closed/call.wav")
    (house.calls / "closed").chmod(0)
    less = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    running = house.start("batch", house.calls, *house.known(), "-o", house.out, *SMALL, before=less)
    ended = running.end()
    (house.calls / "closed").chmod(0o700)
    assert ended == 0
    assert any(
        "closed: cannot be looked into: Permission denied; what lies there is left out" in line
        for line in running.lines
    )
    assert list(house.files()) == ["open/call.json"]


def test_nothing_there(house: Any) -> None:
    said = house.run("batch", house.root / "nowhere", *house.known(), code=1)
    assert "nowhere: no such file or folder" in "\n".join(said.lines)
    said = house.run("batch", house.calls, *house.known(), code=1)
    assert "no recordings there" in "\n".join(said.lines)


def test_a_missing_model_is_no_fault_of_the_recordings(house: Any) -> None:
    house.recording("call.wav")
    for command in (("batch",), ("watch", "--once", "--poll", "0.1")):
        said = house.run(
            *command, house.calls, "-o", house.out, "--diarizer", "pyannote", "--offline", "--device", "cpu", code=1
        )
        assert "community-1" in "\n".join(said.lines)
    assert not (house.state / "jobs.sqlite").exists()


def test_max_memory_stops_before_new_work(house: Any) -> None:
    house.recording("call.wav")
    stopped = house.run("batch", house.calls, *house.known(), "-o", house.out, *SMALL, "--max-memory", "1MB", code=75)
    assert "--max-memory is reached: what is left waits in the queue" in "\n".join(stopped.lines)
    assert house.files() == {}
    house.run("batch", house.calls, *house.known(), "-o", house.out, *SMALL)
    assert list(house.files()) == ["call.json"]


def test_cancel_and_retry(house: Any) -> None:
    house.recording("a.wav", seconds=600, seed=1)
    house.recording("b.wav", seconds=5, seed=2)
    house.run("batch", house.calls / "a.wav", *house.known(600), "-o", house.out, *SMALL, "--queue-only")
    house.run(
        "batch", house.calls / "b.wav", *house.known(), "-o", house.out, *SMALL, "--queue-only", "--priority", "low"
    )
    waiting = {job["recording"][-5:]: job["job"] for job in house.jobs()}
    house.run("jobs", "cancel", waiting["b.wav"])
    worker = house.start("worker")
    worker.until("separate …")
    house.freeze(worker)
    house.run("jobs", "cancel", waiting["a.wav"])
    worker.process.send_signal(signal.SIGCONT)
    end = time.monotonic() + 300
    while states(house) != {"a.wav": "cancelled", "b.wav": "cancelled"} and time.monotonic() < end:
        time.sleep(0.1)
    house.run("jobs", "retry", waiting["b.wav"].partition(".")[0])
    worker.until("done: ")
    worker.signal(signal.SIGTERM)
    assert list(house.files()) == ["b.json"]
    assert states(house) == {"a.wav": "cancelled", "b.wav": "done"}
    listed = house.start("jobs", "list", "--json")
    assert json.loads(listed.process.communicate()[0]) == json.loads(json.dumps(house.jobs()))
    shown = "\n".join(house.run("jobs", "show", waiting["b.wav"].partition(".")[0]).lines)
    assert "diarize, separate, transcribe, write" in shown
    house.run("jobs", "clean", "--older-than", "0")
    assert house.jobs() == []
    assert list((house.state / "jobs").iterdir()) == []
