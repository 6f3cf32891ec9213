"""Help pages: examples that parse, groups in order, defaults, and no words that only typer knows."""

from __future__ import annotations

import ast
import dataclasses
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import typer.main

from meetsplit.cli import app, main
from meetsplit.console.command_table import COMMANDS, CommandEntry, GroupEntry
from meetsplit.pipeline.settings import PANELS, fields_with_options


def commands(group: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command that is shown, by its words."""
    for name, command in (group or typer.main.get_command(app)).commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        elif not command.hidden:
            yield " ".join((*path, name)), command


def page(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str, width: int = 100) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_the_page_of_the_program_imports_no_command() -> None:
    """Their options take longer to read than everything else at the start."""
    script = (
        "import sys; from meetsplit.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print([name for name in sys.modules if name.startswith('meetsplit.console')])"
    )
    printed = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    imported = set(ast.literal_eval(printed.splitlines()[-1]))
    assert imported == {
        "meetsplit.console",
        *(f"meetsplit.console.{name}" for name in ("command_group", "command_table", "terminal", "whisper_arguments")),
    }


def test_commands_are_what_the_table_says() -> None:
    def check(entries: Sequence[CommandEntry | GroupEntry], group: Any) -> None:
        assert list(group.commands) == [entry.name for entry in entries]
        for entry in entries:
            command = group.commands[entry.name]
            assert (command.name, command.hidden) == (entry.name, entry.is_hidden)
            assert command.help.split("\n\n")[0] == entry.summary
            if isinstance(entry, GroupEntry):
                check(entry.commands, command)

    check(COMMANDS, typer.main.get_command(app))


def test_an_unknown_command_is_told_with_what_it_may_have_been(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as ended:
        main(["exprot"])
    assert ended.value.code == 2
    assert "No such command 'exprot'. Did you mean 'export'?" in capsys.readouterr().err


def test_every_command_has_an_example_that_parses() -> None:
    shown = dict(commands())
    for path, command in shown.items():
        examples = [line.strip() for line in command.epilog.splitlines()[1:]]
        assert examples, path
        for example in examples:
            words = shlex.split(example)
            assert words[0] == "meetsplit"
            assert words[1:][: len(path.split())] == path.split()
            context = command.make_context(path, words[1 + len(path.split()) :])
            assert context.params


def test_the_top_page_groups_the_commands(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    top = page(capsys, monkeypatch)
    places = [top.index(f"─ {title} ─") for title in
              ("Transcribe", "Work with transcripts", "Jobs and schedules", "This machine")]  # fmt: skip
    assert places == sorted(places)
    assert "<bool>" not in top


def test_a_run_shows_its_options_in_order_with_defaults_and_without_types(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = page(capsys, monkeypatch, "run", width=80)
    assert not re.search(r"<\w+(\[\w+\])?>", text)
    assert "Usage: meetsplit run [OPTIONS] RECORDING..." in text
    places = [text.index(f"─ {panel} ─") for panel in PANELS]
    assert places == sorted(places)
    assert "Example" in text
    assert "--gates" not in text
    for field, option in fields_with_options():
        if isinstance(field.default, int | float | str) and not isinstance(field.default, bool):
            assert field.default is dataclasses.MISSING or "default" in described(text, field, option), field.name


def described(text: str, field: Any, option: Any) -> str:
    """The cell of an option's help."""
    flag = option.flags[0].partition("/")[0] if option.flags else f"--{field.name.replace('_', '-')}"
    lines = text[text.index(f"│ {flag[:20]}") :].splitlines()
    rows = [lines[0], *(line for line in lines[1:])]
    end = next(at for at, line in enumerate(rows[1:], 1) if re.match(r"│ --|╰", line))
    return " ".join(rows[:end])


def test_commands_say_their_own_defaults(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for words in (("watch",), ("schedule", "add")):
        text = " ".join(page(capsys, monkeypatch, *words, width=200).replace("│", " ").split())
        assert "Folder for the results. (default: FOLDER/transcripts)" in text
        assert "Try a failing recording again this often. (default: 2)" in text
        assert "--no-cache" not in text
    text = " ".join(page(capsys, monkeypatch, "batch", width=200).replace("│", " ").split())
    assert "(default: 0)" in text
    assert "high, normal (default) or low" in text


def test_rediarize_offers_what_it_does(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    text = page(capsys, monkeypatch, "rediarize")
    for option in (
        "--transcriber",
        "--script",
        "--model ",
        "--task",
        "--beam-size",
        "--hotwords",
        "--language",
        "--start",
    ):
        assert option not in text
    for option in ("--no-cache", "--diarizer-model", "--names", "--num-speakers"):
        assert option in text


def test_doctor_looks_at_what_a_run_would_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = page(capsys, monkeypatch, "doctor")
    for option in ("--channels", "--separate", "--language"):
        assert option in text
