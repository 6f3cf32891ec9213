"""The command that runs when a job ends: what it may be, what it is told, what it cannot do to the worker."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from meetsplit.jobs import hooks
from meetsplit.pipeline.errors import JobError, SettingsError

NOTIFICATION = {
    "job": "c0ffee.1",
    "recording": "/calls/a b.wav",
    "stem": "a b",
    "folder": "/out",
    "status": "failed",
    "error": "no sound",
}

posix = pytest.mark.skipif(os.name == "nt", reason="process groups and sh are POSIX")


def script(text: str) -> list[str]:
    return [sys.executable, "-c", text]


def alive(number: int) -> bool:
    """Whether a process runs; one that has ended but was not waited for does not."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_command_that_cannot_start_or_fails_is_a_sentence() -> None:
    with pytest.raises(JobError, match="cannot be started"):
        hooks.run(["/nowhere/at-all"], {})
    with pytest.raises(JobError, match="exit code 3: oh no"):
        hooks.run(script("print('oh no'); raise SystemExit(3)"), {})
    with pytest.raises(SettingsError, match="--on-done"):
        hooks.parse("say 'unfinished")
    with pytest.raises(SettingsError, match="a command is needed"):
        hooks.parse("")


@posix
def test_a_command_ended_by_a_signal_says_which() -> None:
    with pytest.raises(JobError, match="killed by signal 15"):
        hooks.run(script("import os; os.kill(os.getpid(), 15)"), {})


def test_values_come_as_variables_arguments_and_json(tmp_path: Path) -> None:
    output = tmp_path / "told.json"
    text = (
        "import json,os,sys; json.dump([dict(os.environ), sys.argv[2:], json.load(sys.stdin)], open(sys.argv[1], 'w'))"
    )
    hooks.run([*script(text), str(output), "{stem}", "{other}"], NOTIFICATION)
    variables, arguments, notification = json.loads(output.read_text())
    assert {name: variables[f"MEETSPLIT_{name.upper()}"] for name in NOTIFICATION} == NOTIFICATION
    assert arguments == ["a b", "{other}"]
    assert notification == NOTIFICATION


def test_a_value_that_no_argument_can_hold_is_shortened(tmp_path: Path) -> None:
    output = tmp_path / "told"
    text = "import os,sys; open(sys.argv[1], 'w').write(str(len(os.environ['MEETSPLIT_ERROR'])))"
    hooks.run([*script(text), str(output)], NOTIFICATION | {"error": "x\0" * 1_000_000})
    assert output.read_text() == "8192"


def test_no_secret_is_inherited_unless_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in hooks.SECRETS:
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("MEETSPLIT_CACHE", "/cache")
    kept = hooks.environment(NOTIFICATION)
    assert "secret" not in kept.values()
    assert kept["MEETSPLIT_CACHE"] == "/cache"
    assert kept["PATH"] == os.environ["PATH"]
    inheriting = hooks.environment(NOTIFICATION, ("HF_TOKEN",))
    assert [name for name, value in inheriting.items() if value == "secret"] == ["HF_TOKEN"]


def test_names_of_secrets_are_names() -> None:
    assert hooks.variable_names(["HF_TOKEN", "HF_TOKEN"]) == ("HF_TOKEN",)
    with pytest.raises(SettingsError, match="name of an environment variable") as refused:
        hooks.variable_names(["HF_TOKEN=hf_secret"])
    assert "hf_secret" not in str(refused.value)


@pytest.mark.parametrize(
    "command",
    [
        "sh -c 'echo {stem}'",
        'bash -lc "mail -s {recording} me"',
        "/bin/bash -o pipefail -c 'x {error}'",
        "nice -n 5 zsh -x -c 'echo {job}'",
        "env A=1 sh -ec 'echo {status}'",
        "python3 -c 'print(\"{stem}\")'",
        "python3.11 -cprint('{stem}')",
        "perl -e 'print q({stem})'",
    ],
)
def test_a_placeholder_inside_code_is_refused(command: str) -> None:
    with pytest.raises(SettingsError, match="as code; write") as refused:
        hooks.parse(command)
    assert "MEETSPLIT_" in str(refused.value)


@pytest.mark.parametrize(
    "command",
    [
        "notify-send 'meeting done' {stem}",
        "sh -c 'echo \"$MEETSPLIT_STEM\"'",
        "sh -c 'echo \"$1\"' sh {stem}",
        "sh notify.sh -c {stem}",
        "python3 tell.py -c {stem}",
        "python3 -m tell {stem}",
        "sh -c 'echo {other}'",
    ],
)
def test_a_placeholder_beside_code_is_fine(command: str) -> None:
    assert hooks.parse(command)[0] == command.split()[0]


def test_a_placeholder_inside_code_that_an_earlier_version_queued_is_not_run(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="as code"):
        hooks.run(["sh", "-c", f"touch {tmp_path}/{{stem}}"], {"stem": "pwned"})
    assert list(tmp_path.iterdir()) == []


def test_the_name_of_a_recording_runs_nothing(workspace: Any) -> None:
    workspace.recording("x$(touch pwned).wav")
    options = ("-f", "json", "--no-tracks", "--on-done")
    refused = workspace.batch(*options, "sh -c 'echo {stem} > note'", code=2)
    assert '"$MEETSPLIT_STEM"' in "\n".join(refused.lines)
    assert not workspace.state.exists() or workspace.jobs() == []
    secrets = {"HF_TOKEN": "hf_secret", "MEETSPLIT_WEBHOOK_SECRET": "hush"}
    workspace.batch(
        *options, "sh -c 'echo \"$MEETSPLIT_STEM\" $HF_TOKEN $MEETSPLIT_WEBHOOK_SECRET > note'", env=secrets
    )
    assert (workspace.root / "note").read_text() == "x$(touch pwned)\n"
    assert not (workspace.root / "pwned").exists()


def test_a_named_secret_reaches_the_command_and_not_the_disk(workspace: Any) -> None:
    workspace.recording("call.wav")
    workspace.batch(
        "-f",
        "json",
        "--no-tracks",
        "--on-done",
        "sh -c 'echo $HF_TOKEN > note'",
        "--on-done-env",
        "HF_TOKEN",
        env={"HF_TOKEN": "hf_secret"},
    )
    assert (workspace.root / "note").read_text() == "hf_secret\n"
    assert not [name for name, content in workspace.files(workspace.state).items() if b"hf_secret" in content]


@posix
def test_endless_output_is_read_and_dropped() -> None:
    """Some hundred megabytes come by; a few kilobytes are kept, and the end of them is what a sentence shows."""
    import tracemalloc

    flood = "import sys\nfor _ in range(3000): sys.stdout.write('x' * 100_000)\nsys.exit('the end')"
    tracemalloc.start()
    try:
        with pytest.raises(JobError, match=r"exit code 1: x+the end$") as failed:
            hooks.run(script(flood), NOTIFICATION)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20
    assert len(str(failed.value)) < 700


@posix
def test_what_goes_on_in_the_background_is_not_waited_for(tmp_path: Path) -> None:
    """The command has ended though a child of it holds its output open; the child may go on writing."""
    number = tmp_path / "pid"
    try:  # waiting for it would end with "took longer"
        hooks.run(
            ["sh", "-c", f"(echo $$ > /dev/null; exec sleep 3000) & echo $! > {number}"], NOTIFICATION, patience=60
        )
        assert alive(int(number.read_text())), "what it started goes on"
    finally:
        os.kill(int(number.read_text()), 9)


@posix
def test_after_the_patience_the_whole_group_is_killed(tmp_path: Path) -> None:
    number = tmp_path / "pid"
    with pytest.raises(JobError, match="took longer than 1 s and was killed"):
        hooks.run(["sh", "-c", f"sleep 300 & echo $! > {number}; wait"], NOTIFICATION, patience=1)
    child = int(number.read_text())
    ended = threading.Event()
    deadline = time.monotonic() + 300
    while alive(child) and time.monotonic() < deadline:
        ended.wait(0.05)
    assert not alive(child)


def test_a_command_that_reads_nothing_is_told_a_lot() -> None:
    assert hooks.run(script("pass"), NOTIFICATION | {"files": ["x" * 1000] * 1000}).endswith(": done")
