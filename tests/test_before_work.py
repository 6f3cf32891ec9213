"""What can be known before the work is said before it: files, folders and names, before a model is looked for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from meetsplit.cli import main
from meetsplit.pipeline.models import selection


@pytest.fixture
def looked_for(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The stages for which a model was looked for."""
    stages: list[str] = []
    select = selection._select

    def recording_select(stage: str, *others: Any, **more: Any) -> Any:
        stages.append(stage)
        return select(stage, *others, **more)

    monkeypatch.setattr(selection, "_select", recording_select)
    return stages


def run(*arguments: str | Path) -> object:
    """The exit code of a command line."""
    with pytest.raises(SystemExit) as ended:
        main([*map(str, arguments)])
    return ended.value.code


def options(call: Any) -> tuple[str | Path, ...]:
    return ("--rttm", call.rttm, "--script", call.script, "--separate", "off", "--no-cache", "-o", call.out)


def test_a_missing_file_and_a_folder_are_said_before_models_are_fetched(
    call: Any, looked_for: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("run", call.path.parent / "nope.wav", call.path.parent, *options(call)) == 1
    said = capsys.readouterr().err
    assert "nope.wav does not exist" in said
    assert "`meetsplit batch` for all of them" in said
    assert "2 of 2 recordings failed" in said
    assert "is written as" not in said
    assert looked_for == []
    assert not call.out.exists()


@pytest.mark.skipif(os.name == "nt", reason="folders have other permissions there")
def test_a_folder_that_cannot_be_written_is_said_before_models_are_fetched(
    call: Any, looked_for: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (call.path.parent / "file").touch()
    assert run("run", call.path, *options(call), "-o", call.path.parent / "file" / "out") == 1
    assert "cannot be written" in capsys.readouterr().err
    assert looked_for == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (("--name", "Alice"), "write it as SPEAKER_00=Alice"),
        (("--script", "broken.stm"), "broken.stm, line 1"),
        (("--channels", "split"), "drop --diarizer and --rttm"),
    ],
)
def test_wrong_options_are_said_before_models_are_fetched(
    call: Any, looked_for: list[str], wrong: tuple[str, str], message: str,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(call.path.parent)
    Path("broken.stm").write_text("call 1 ann\n")
    assert run("run", call.path, *options(call), *wrong) == 2
    assert message in capsys.readouterr().err
    assert looked_for == []


def test_one_channel_cannot_be_split_and_no_time_lies_after_the_end(
    call: Any, looked_for: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("run", call.path, "--channels", "split", "--script", call.script, "-o", call.out) == 1
    assert "has one channel" in capsys.readouterr().err
    assert run("run", call.path, *options(call), "--start", "0:10") == 2
    assert "ends at 6.0 s: choose an earlier time" in capsys.readouterr().err
    assert looked_for == []


def test_names_for_people_who_cannot_be_there_are_noted_before_the_work_and_fail_nothing(
    call: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("--name", "SPEAKER_07=Bob", "--name", "A=Anna", "--names", "Alice,,Chris")
    assert run("run", call.path, *options(call), *names, "-f", "json", "--no-tracks") == 0
    said = capsys.readouterr().err
    before = said[: said.index("decode")]
    assert f"--name SPEAKER_07=Bob will name nobody in {call.path}: {call.rttm} has A, B" in before
    assert "--names: Chris will be nobody's name" in before
    assert "A=Anna will" not in said


@pytest.mark.parametrize(("option", "value"), [("--num-speakers", "2"), ("--max-speakers", "2")])
def test_a_number_of_people_says_who_cannot_be_there(
    call: Any, option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run("run", call.path, option, value, "--name", "SPEAKER_02=Bob", "--offline", "--cache-dir", call.cache)
    assert "with 2 people at most, the last is SPEAKER_01" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["batch", "watch", "schedule"])
def test_a_request_for_many_recordings_is_checked_first(
    call: Any, command: str, looked_for: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    place = ("add", "x", "--cron", "0 2 * * *", "--folder") if command == "schedule" else ()
    wrong = ("--transcriber", "sphinx", "--language", "de", "--state-dir", call.path.parent / "state")
    assert run(command, *place, call.path.parent, *wrong) == 2
    assert "sphinx knows English only" in capsys.readouterr().err
    assert looked_for == []
    assert not (call.path.parent / "state").exists()
