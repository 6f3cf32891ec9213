"""Run cache: only changed stages are repeated, broken leftovers do no harm, and everything can be cleared."""

from __future__ import annotations

import os
import time
import wave
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest

from meetsplit import cli
from meetsplit.jobs.job import JobSpec
from meetsplit.jobs.job_store import JobStore
from meetsplit.jobs.steps import StepRunner
from meetsplit.pipeline import versions
from meetsplit.pipeline.cache import content, run_cache
from meetsplit.pipeline.events import Event, Started
from meetsplit.pipeline.files.locks import try_lock
from meetsplit.pipeline.models import registry
from meetsplit.pipeline.results import disk_space
from meetsplit.pipeline.results.writing import run_and_write
from meetsplit.pipeline.run import STAGES, Pipeline
from meetsplit.pipeline.settings import Outputs, Settings


@pytest.fixture
def call(tmp_path: Path) -> Path:
    path = tmp_path / "call.wav"
    tone = 0.3 * np.sin(2 * np.pi * 150 * np.arange(6 * 16000) / 16000) + 0.01 * np.random.default_rng(
        0
    ).standard_normal(6 * 16000)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((tone * 32767).astype("<i2").tobytes())
    (tmp_path / "call.rttm").write_text(
        "SPEAKER x 1 0.5 2 <NA> <NA> A <NA> <NA>\nSPEAKER x 1 2 3 <NA> <NA> B <NA> <NA>\n"
    )
    (tmp_path / "other.rttm").write_text("SPEAKER x 1 0.5 5 <NA> <NA> C <NA> <NA>\n")
    (tmp_path / "call.ctm").write_text("x 1 1.0 0.5 good\nx 1 3.0 0.5 morning\n")
    return path


def settings(call: Path, **changes: object) -> Settings:
    options: dict[str, object] = {
        "rttm": call.with_suffix(".rttm"),
        "script": call.with_suffix(".ctm"),
        "separator": "none",
        "device": "cpu",
        "cache_dir": call.parent / "cache",
    }
    return Settings(**(options | changes))  # type: ignore[arg-type]


def stages(call: Path, run_settings: Settings, outputs: Outputs, *, keep: bool = True) -> list[str]:
    """Run the call; which stages were done."""
    events: list[Event] = []
    with run_cache.open_cache(call, run_settings, keep=keep) as stage_cache:
        run_and_write(
            Pipeline(run_settings, on_event=events.append), call, outputs, cache=stage_cache, on_event=events.append
        )
    return list(dict.fromkeys(event.stage for event in events if isinstance(event, Started)))


def test_only_what_changed_is_repeated(call: Path) -> None:
    out = Outputs(call.parent / "out", formats=("srt", "json"))
    everything = ["decode", "diarize", "separate", "transcribe", "write"]
    assert stages(call, settings(call), out) == everything
    written = (call.parent / "out" / "call.json").read_bytes()
    narrow = Outputs(call.parent / "out", formats=("srt", "json"), max_line_width=20, names=(("SPEAKER_00", "Alice"),))
    assert stages(call, settings(call), narrow) == ["write"], "subtitle width and names"
    assert stages(call, settings(call, separate="off"), out) == ["decode", "separate", "transcribe", "write"], (
        "another separation"
    )
    assert stages(call, settings(call, rttm=call.parent / "other.rttm"), out) == everything, "other speakers"
    assert stages(call, settings(call), out) == ["write"], "the first results are still there"
    assert (call.parent / "out" / "call.json").read_bytes() == written
    moved = call.rename(call.parent / "renamed.wav")
    assert stages(moved, settings(call), out) == ["write"], "a recording is known by its content"
    assert stages(moved, settings(call), out, keep=False) == everything


def command(call: Path, *more: str) -> list[str]:
    inputs = ("--rttm", call.with_suffix(".rttm"), "--script", call.with_suffix(".ctm"), "--separator", "none")
    folders = ("--cache-dir", call.parent / "cache", "-o", call.parent / "out")
    return ["run", *map(str, (call, *inputs, *folders)), "--device", "cpu", *more]


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of recordings that were hashed, each time that they were."""
    names: list[str] = []
    real = content.hash_content

    def count(file: IO[bytes]) -> Any:
        names.append(Path(file.name).name)
        return real(file)

    monkeypatch.setattr(content, "hash_content", count)
    return names


def run_command(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 0


def test_a_run_hashes_its_recording_once(call: Path, hashed: list[str]) -> None:
    run_command(command(call))
    assert hashed == ["call.wav"]
    run_command(command(call))
    assert hashed == ["call.wav"] * 2
    run_command(
        ["rediarize", str(call.parent / "out" / "call.json"), "--audio", *command(call)[1:4], "--device", "cpu"]
    )
    assert hashed == ["call.wav"] * 3


def test_a_worker_hashes_a_recording_once_for_its_stages(call: Path, hashed: list[str]) -> None:
    store = JobStore(call.parent / "state")
    spec = JobSpec(
        call, content.recording_sha256(call), settings(call), Outputs(call.parent / "out"), call.parent, "call"
    )
    hashed.clear()
    step_runner = StepRunner(store.ready(), {})
    store.write("key", "job", spec.to_json())
    for stage in STAGES:
        step_runner.run(stage, spec, "key.1")
    assert hashed == ["call.wav"]


def test_room_is_asked_for_the_stages_that_remain(call: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remaining: list[tuple[str, ...]] = []
    real = disk_space.check_disks

    def check(*args: Any, stages: tuple[str, ...], **named: Any) -> None:
        remaining.append(stages)
        real(*args, stages=stages, **named)

    monkeypatch.setattr(disk_space, "check_disks", check)
    run_command(command(call))
    run_command(command(call))
    run_command(command(call, "--language", "de"))
    run_command(command(call, "--separate", "off"))
    assert remaining == [STAGES, (), ("transcribe",), ("separate", "transcribe")]


def test_another_version_repeats_everything(call: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = Outputs(call.parent / "out", formats=("json",), tracks=False)
    stages(call, settings(call), out)
    monkeypatch.setattr(versions, "meetsplit", lambda: "9.9.9")
    assert "diarize" in stages(call, settings(call), out)


def test_broken_leftovers(call: Path) -> None:
    out = Outputs(call.parent / "out", formats=("json",))
    stages(call, settings(call), out)
    written = {path.name: path.read_bytes() for path in (call.parent / "out").rglob("*") if path.is_file()}
    (folder,) = (call.parent / "cache" / "runs").iterdir()
    next(folder.glob("transcribe-*.json")).write_text('{"heard": [')
    next(folder.glob("separate-*/SPEAKER_00.wav")).unlink()
    orphan = folder / "separate-0123456789abcdef"
    orphan.mkdir()
    (orphan / ".SPEAKER_00.1234.part").write_bytes(b"half")
    (folder / ".meetsplit-0123.part").write_bytes(b"half")
    assert stages(call, settings(call), out) == ["decode", "separate", "transcribe", "write"]
    assert {path.name: path.read_bytes() for path in (call.parent / "out").rglob("*") if path.is_file()} == written
    assert not orphan.exists()
    assert not list(folder.rglob("*.part"))


def test_a_model_file_of_the_users_own_is_loaded_again_when_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "mine.pt"
    model.write_bytes(b"one")
    read: list[bytes] = []

    def load(stage: str, name: str, settings: Settings, paths: Mapping[str, Path], device: str) -> object:
        read.append(paths["model"].read_bytes())
        return object()

    monkeypatch.setattr(registry, "load", load)
    (tmp_path / "none.rttm").write_text("")
    run_settings = Settings(
        rttm=tmp_path / "none.rttm", separate="off", model=str(model), transcriber="whisper", device="cpu"
    )
    pipeline = Pipeline(run_settings)
    first = pipeline.backend("transcriber")
    assert pipeline.backend("transcriber") is first
    model.write_bytes(b"other")
    second = pipeline.backend("transcriber")
    assert second is not first
    assert pipeline.backend("transcriber") is second
    assert read == [b"one", b"other"]
    model.unlink()
    model.write_bytes(b"third")  # of the same size
    pipeline.backend("transcriber")
    assert read[2:] == [b"third"]
    preloaded = Pipeline(run_settings, loaded={"transcriber": first})
    model.write_bytes(b"one more")
    assert preloaded.backend("transcriber") is first, "what the caller has loaded is the caller's to renew"


def test_show_and_clear(call: Path) -> None:
    run_settings = settings(call)
    stages(call, run_settings, Outputs(call.parent / "out", formats=("json",)))
    folder = run_cache.cached_runs_folder(run_settings)
    (run,) = run_cache.cached_runs(folder)
    assert (run.name, run.age < 60) == ("call.wav", True)
    assert run.size > 100_000
    old = time.time() - 3 * 86400
    os.utime(run.folder / "recording.txt", (old, old))
    assert run_cache.clear(folder, older_than=4 * 86400) == run_cache.ClearResult()
    lock = try_lock(run.folder / "lock")
    assert lock is not None
    with lock:
        result = run_cache.clear(folder)
        assert (result.removed, [run.name for run in result.in_use]) == ((), ["call.wav"])
    result = run_cache.clear(folder, older_than=2 * 86400)
    assert ([run.name for run in result.removed], result.in_use, result.failed) == (["call.wav"], (), ())
    assert run_cache.cached_runs(folder) == ()
    assert run_cache.cached_runs(call.parent / "nowhere") == ()
