"""The stage cache is held to a size and an age: what was used longest ago goes first, what is in use never."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from meetsplit import cli
from meetsplit.console.settings_files import user_file
from meetsplit.jobs.job_store import default_state
from meetsplit.pipeline.cache import run_cache
from meetsplit.pipeline.data.units import DAY, size
from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.files.locks import try_lock
from meetsplit.pipeline.files.user_folders import user_folder
from meetsplit.pipeline.models.hub import whisper_path
from meetsplit.pipeline.models.weights import default_cache
from meetsplit.pipeline.settings import Settings
from meetsplit.speakers.voice_store import default_store

MB = 1_000_000


def earlier(runs: Path, name: str, days: float, megabytes: int = 1) -> Path:
    """What an earlier run of another recording left, used for the last time so many days ago."""
    folder = runs / name
    folder.mkdir(parents=True)
    (folder / "recording.txt").write_text(f"{name}.wav")
    (folder / "lock").write_text("")
    (folder / "track.wav").write_bytes(os.urandom(megabytes * MB))
    used = time.time() - days * DAY
    os.utime(folder / "recording.txt", (used, used))
    return folder


def names(runs: Path) -> list[str]:
    return sorted(path.name for path in runs.iterdir())


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Five recordings of 1 MB; ``e`` was used last."""
    for days, name in enumerate("edcba", start=1):
        earlier(tmp_path / "runs", name, days)
    return tmp_path / "runs"


def test_what_was_used_longest_ago_goes_first(runs: Path) -> None:
    result = run_cache.prune(runs, size=3_300_000, age=None)
    assert [run.name for run in result.removed] == ["a.wav", "b.wav"]
    assert names(runs) == ["c", "d", "e"]
    assert run_cache.prune(runs, size=3_300_000, age=None) == run_cache.ClearResult()


def test_what_is_too_old_goes(runs: Path) -> None:
    assert [run.name for run in run_cache.prune(runs, size=None, age=3.5 * DAY).removed] == ["a.wav", "b.wav"]
    assert names(runs) == ["c", "d", "e"]


def test_no_limits_remove_nothing(runs: Path) -> None:
    assert run_cache.prune(runs, size=None, age=None) == run_cache.ClearResult()
    assert names(runs) == ["a", "b", "c", "d", "e"]


def test_what_is_in_use_stays_and_counts(runs: Path) -> None:
    held = try_lock(runs / "a" / "lock")
    assert held is not None
    with held:
        result = run_cache.prune(runs, size=2_200_000, age=4.5 * DAY)
    assert [run.name for run in result.in_use] == ["a.wav"]
    assert [run.name for run in result.removed] == ["b.wav", "c.wav", "d.wav"]
    assert names(runs) == ["a", "e"]


def test_what_cannot_be_removed_does_not_stop_the_rest(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = run_cache.remove_locked

    def refuse(folder: Path, lock: Path) -> None:
        if folder.name == "a":
            raise PermissionError(1, "Operation not permitted")
        real(folder, lock)

    monkeypatch.setattr(run_cache, "remove_locked", refuse)
    result = run_cache.prune(runs, size=0, age=None)
    assert [(run.name, reason) for run, reason in result.failed] == [("a.wav", "Operation not permitted")]
    assert names(runs) == ["a"]


def test_leftovers_of_killed_runs_in_what_stays_are_removed(runs: Path) -> None:
    (runs / "c" / "separate-0").mkdir()
    (runs / "c" / "separate-0" / ".meetsplit-0123456789ab.part").write_bytes(b"speech")
    (runs / "d" / ".meetsplit-0123456789ab.part").write_bytes(b"speech")
    held = try_lock(runs / "d" / "lock")
    assert held is not None
    with held:
        run_cache.prune(runs, size=None, age=None)
    assert [str(path.relative_to(runs)) for path in runs.rglob("*.part")] == ["d/.meetsplit-0123456789ab.part"], (
        "d is being written"
    )
    assert not (runs / "c" / "separate-0").exists()


def test_a_run_holds_the_cache_to_its_limits(call: Any) -> None:
    runs = call.cache / "runs"
    earlier(runs, "old", 91)
    earlier(runs, "recent", 1)
    call.run()
    assert "old" not in names(runs)
    call.options["cache_size"] = "1MB"
    assert call.run() == (["write"], [])
    assert len(names(runs)) == 1, "the recording of this run is the last to go"
    assert call.run() == (["write"], [])


def test_a_recording_larger_than_the_cache_is_not_kept(call: Any) -> None:
    call.options["cache_size"] = "10KB"
    _, notices = call.run()
    assert ["finished stages of call.wav are not kept: they take" in text for text in notices] == [True]
    assert names(call.cache / "runs") == []
    assert "call.json" in call.results()


@pytest.mark.parametrize("option", ["cache_size", "cache_age"])
def test_nothing_is_kept_if_so_wished(call: Any, option: str) -> None:
    call.options[option] = "0"
    assert call.run()[1] == []
    assert names(call.cache / "runs") == []


def test_a_run_that_fails_keeps_everything(call: Any) -> None:
    runs = call.cache / "runs"
    earlier(runs, "old", 91)
    before = call.script.read_text()
    call.script.write_text("x 1 one 0.5 good\n")
    with pytest.raises(SettingsError):
        call.run()
    assert len(names(runs)) == 2
    call.script.write_text(before)
    assert call.run()[0] == ["transcribe", "write"]


def test_a_cache_that_cannot_be_pruned_is_a_notice(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    earlier(call.cache / "runs", "old", 91)

    def refuse(folder: Path, lock: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(run_cache, "remove_locked", refuse)
    _, notices = call.run()
    assert notices == [
        f"{call.cache / 'runs' / 'old'} is to be removed from the cache, and cannot be: Operation not permitted"
    ]


def prune(cache: Path, *more: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(["cache", "prune", "--cache-dir", str(cache), *more])
    return int(ended.value.code or 0)


def test_prune_on_the_command_line(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prune(tmp_path) == 0
    assert "0 recordings cleared" in capsys.readouterr().out
    assert prune(tmp_path, "--older-than", "4.5") == 0
    assert names(runs) == ["b", "c", "d", "e"]
    assert prune(tmp_path, "--cache-size", "2.2MB") == 0
    assert names(runs) == ["d", "e"]
    (tmp_path / "meetsplit.toml").write_text('cache_size = "none"\ncache_age = 1.5\n')
    assert prune(tmp_path, "--config", str(tmp_path / "meetsplit.toml")) == 0
    assert names(runs) == ["e"]
    assert prune(tmp_path, "--cache-size", "0") == 0
    assert names(runs) == []
    assert prune(tmp_path, "--cache-size", "plenty") == 2


@pytest.mark.parametrize(
    "limits",
    [
        {"cache_size": "5 apples"},
        {"cache_size": "-1"},
        {"cache_size": "9" * 400},
        {"cache_age": "old"},
        {"cache_age": -1},
    ],
)
def test_limits_that_make_no_sense(limits: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=r"^--cache-(size|age) "):
        Settings(**limits)


def test_limits_are_no_part_of_a_transcript() -> None:
    assert not {"cache_size", "cache_age"} & {name for name, _ in Settings().recorded()}
    assert size("1.5GB") == 1_500_000_000


def test_the_users_folders_are_absolute_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    for value, expected in [
        (str(tmp_path / "elsewhere"), tmp_path / "elsewhere"),
        ("relative", tmp_path / "home" / ".cache"),
        ("", tmp_path / "home" / ".cache"),
    ]:
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert user_folder("cache") == expected
        assert default_cache() == expected / "meetsplit"
        assert run_cache.cached_runs_folder(Settings()) == expected / "meetsplit" / "runs"
        assert whisper_path("tiny") == expected / "whisper" / "tiny.pt"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert user_folder("cache") == tmp_path / "home" / ".cache"
    for variable in ("XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(variable, "relative")
    monkeypatch.delenv("MEETSPLIT_VOICES", raising=False)
    home = tmp_path / "home"
    assert default_store() == home / ".local" / "share" / "meetsplit" / "voices.json"
    assert default_state() == home / ".local" / "state" / "meetsplit"
    assert user_file() == home / ".config" / "meetsplit" / "config.toml"
