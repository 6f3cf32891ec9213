"""What is kept between runs: only what changed is repeated, broken leftovers are no harm, and everything can be cleared."""

from __future__ import annotations

import os
import time
import wave
from pathlib import Path

import numpy as np
import pytest

from meetsplit.pipeline import versions
from meetsplit.pipeline.cache import run_cache
from meetsplit.pipeline.errors import AudioError, SettingsError
from meetsplit.pipeline.events import Event, Started
from meetsplit.pipeline.files.locks import try_lock
from meetsplit.pipeline.formats import read_transcript
from meetsplit.pipeline.rediarize import find_pair, unique_words, words_as_ctm
from meetsplit.pipeline.results.writing import file_alone
from meetsplit.pipeline.run import Pipeline
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
    given: dict[str, object] = {
        "rttm": call.with_suffix(".rttm"),
        "script": call.with_suffix(".ctm"),
        "separator": "none",
        "device": "cpu",
        "cache_dir": call.parent / "cache",
    }
    return Settings(**(given | changes))  # type: ignore[arg-type]


def stages(call: Path, asked: Settings, outputs: Outputs, *, keep: bool = True) -> list[str]:
    """Run the call; which stages were done."""
    heard: list[Event] = []
    with run_cache.open_cache(call, asked, keep=keep) as open_cache:
        file_alone(Pipeline(asked, on_event=heard.append), call, outputs, open_cache=open_cache, on_event=heard.append)
    return list(dict.fromkeys(event.stage for event in heard if isinstance(event, Started)))


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


def test_another_version_repeats_everything(call: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = Outputs(call.parent / "out", formats=("json",), tracks=False)
    stages(call, settings(call), out)
    monkeypatch.setattr(versions, "meetsplit", lambda: "9.9.9")
    assert "diarize" in stages(call, settings(call), out)


def test_broken_leftovers(call: Path) -> None:
    out = Outputs(call.parent / "out", formats=("json",))
    stages(call, settings(call), out)
    written = {path.name: path.read_bytes() for path in (call.parent / "out").rglob("*") if path.is_file()}
    (kept,) = (call.parent / "cache" / "runs").iterdir()
    next(kept.glob("transcribe-*.json")).write_text('{"heard": [')
    next(kept.glob("separate-*/SPEAKER_00.wav")).unlink()
    orphan = kept / "separate-0123456789abcdef"
    orphan.mkdir()
    (orphan / ".SPEAKER_00.1234.part").write_bytes(b"half")
    (kept / ".meetsplit-0123.part").write_bytes(b"half")
    assert stages(call, settings(call), out) == ["decode", "separate", "transcribe", "write"]
    assert {path.name: path.read_bytes() for path in (call.parent / "out").rglob("*") if path.is_file()} == written
    assert not orphan.exists()
    assert not list(kept.rglob("*.part"))


def test_show_and_clear(call: Path) -> None:
    asked = settings(call)
    stages(call, asked, Outputs(call.parent / "out", formats=("json",)))
    folder = run_cache.runs_folder(asked)
    (kept,) = run_cache.cached_runs(folder)
    assert (kept.name, kept.age < 60) == ("call.wav", True)
    assert kept.size > 100_000
    old = time.time() - 3 * 86400
    os.utime(kept.folder / "recording.txt", (old, old))
    assert run_cache.clear(folder, older_than=4 * 86400) == run_cache.ClearResult()
    lock = try_lock(kept.folder / "lock")
    assert lock is not None
    with lock:
        done = run_cache.clear(folder)
        assert (done.gone, [one.name for one in done.busy]) == ((), ["call.wav"])
    done = run_cache.clear(folder, older_than=2 * 86400)
    assert ([one.name for one in done.gone], done.busy, done.failed) == (["call.wav"], (), ())
    assert run_cache.cached_runs(folder) == ()
    assert run_cache.cached_runs(call.parent / "nowhere") == ()


def test_words_of_a_transcript(call: Path) -> None:
    out = Outputs(call.parent, formats=("json",), tracks=False)
    stages(call, settings(call), out)
    transcript = call.with_suffix(".json")
    assert find_pair(transcript) == (transcript, call)
    assert find_pair(call) == (transcript, call)
    with words_as_ctm(transcript) as (file, language):
        assert [line.split()[4] for line in file.read_text().splitlines()] == ["good", "morning"]
        assert language is None
        again = settings(call, rttm=call.parent / "other.rttm", script=file, separate="off")
        stages(call, again, Outputs(call.parent / "again", formats=("json",), tracks=False))
    words = unique_words(read_transcript((call.parent / "again" / "call.json").read_text()))
    assert words == unique_words(read_transcript(transcript.read_text())), "the same words at the same times"


def test_what_does_not_belong_together(call: Path) -> None:
    with pytest.raises(SettingsError, match=r"no transcript call\.json"):
        find_pair(call)
    lonely = call.parent / "lonely.json"
    lonely.write_text('{"segments": []}')
    with pytest.raises(SettingsError, match="no recording of that name lies beside"):
        find_pair(lonely)
    assert find_pair(lonely, call) == (lonely, call)
    with pytest.raises(SettingsError, match="holds no words"), words_as_ctm(lonely):
        pass
    with pytest.raises(AudioError, match="cannot be read as a transcript"), words_as_ctm(call.parent / "missing.json"):
        pass
