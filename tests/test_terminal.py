"""Other people's text in outputs: no control character of it reaches a terminal, no formula a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
import logging
import wave
from pathlib import Path
from typing import Any

import pytest
from docx import Document
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from forkserver import ForkServer, run_command
from meetsplit.cli import main
from meetsplit.console import progress
from meetsplit.console.terminal import Terminal
from meetsplit.jobs import database
from meetsplit.pipeline.data import Provenance, Segment, Span, Transcript, Turn, Word
from meetsplit.pipeline.events import Finished, Notice, Progressed, Started
from meetsplit.pipeline.formats import docx, export, names, read_transcript, talk_time
from meetsplit.pipeline.formats.control_characters import json_escaped, shown
from meetsplit.pipeline.settings import Outputs

NASTY = "a\x1b]0;owned\x07\x1b[2J\x9b31m\x7f\u202egpj.\u2066x\rb\x08\x00\u2028c"
CONTROLS = {
    chr(code)
    for code in (*range(9), *range(11, 32), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
}
STYLED = {"\x1b"}
"""Rich's own, on a terminal."""


def printed(*things: object, on_a_terminal: bool = False) -> str:
    stream = io.StringIO()
    console = Terminal(file=stream, force_terminal=on_a_terminal, width=300, color_system=None)
    for thing in things:
        console.print(thing, soft_wrap=True)
    return stream.getvalue()


def table(*cells: str) -> Table:
    made = Table("one", "two")
    made.add_row(*cells, style="red")
    return made


@pytest.mark.parametrize(
    "thing", [NASTY, Text(NASTY), table(NASTY, "x"), Group(Text(NASTY), NASTY)], ids=["line", "text", "cell", "group"]
)
def test_no_control_character_reaches_the_terminal(thing: object) -> None:
    out = printed(thing)
    assert not set(out) & CONTROLS
    assert "\\x1b[2J" in out
    assert "\\u202e" in out


def test_brackets_and_colons_in_names_are_text() -> None:
    """`rich` would take ``[/x]`` for a closing tag without an opening one, which is an error, and ``:smile:`` for a
    picture.
    """
    assert "[/x] [red]a[/red] :smile:" in printed("[/x] [red]a[/red] :smile:")
    assert "[/x] [red]a" in printed(table("[/x] [red]a", ""))


@pytest.mark.parametrize("on_a_terminal", [True, False])
def test_progress_sends_no_control_character_of_others(on_a_terminal: bool) -> None:
    stream = io.StringIO()
    console = Terminal(file=stream, force_terminal=on_a_terminal, width=300, color_system=None)
    with progress.Reporter(console) as on_event:
        on_event(Started("decode", 1.0, "s"))
        on_event(Progressed("decode", 0.5, 1.0))
        on_event(Notice(f"{NASTY} [/x]", "decode"))
        on_event(Finished("decode", 1.0, f"{NASTY} [/x]"))
    out = stream.getvalue()
    assert not set(out) & (CONTROLS - STYLED - {"\r"} if on_a_terminal else CONTROLS)
    assert "\x1b]0;" not in out
    assert "\x1b[2J\x9b" not in out
    assert "\\x1b[2J" in out
    assert "[/x]" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "gone.wav", "--rttm", "x.rttm", "--script", "x.stm", "--separate", "off"),
        ("export", "gone.json"),
        ("rediarize", "gone.json"),
        ("doctor", "--diarizer", "embedded", "--offline", "--cache-dir", "cache"),
        ("models", "list", "--cache-dir", "cache"),
        ("cache", "show", "--cache-dir", "cache"),
        ("cache", "clear", "--cache-dir", "cache"),
        ("jobs", "list", "--state-dir", "state"),
        ("schedule", "list", "--state-dir", "state"),
        ("batch", "gone.wav", "--state-dir", "state"),
    ],
    ids=" ".join,
)
def test_every_command_prints_through_the_terminal(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On stdout and stderr, whether it succeeds or fails: `Terminal` is the only console that is printed to."""
    printed_by: list[type[Console]] = []
    render = Console.render

    def recorded(self: Console, *given: Any, **more: Any) -> Any:
        printed_by.append(type(self))
        return render(self, *given, **more)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Console, "render", recorded)
    with pytest.raises(SystemExit):
        main(arguments)
    output = capsys.readouterr()
    assert output.out + output.err
    assert set(printed_by) == {Terminal}


def test_file_names_in_errors_and_notes_are_written_out(tmp_path: Path, forks: ForkServer | None) -> None:
    """End to end: what `run` and `export` say about a hostile name."""
    name = "x\x1b]0;owned\x07\u202ev.wav"
    for made in (tmp_path / name, tmp_path / "b" / name):
        made.parent.mkdir(exist_ok=True)
        with wave.open(str(made), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16000)
            file.writeframes(b"")
    bad = tmp_path / f"{name}.json"
    bad.write_text("{", "utf-8")
    (tmp_path / "x.rttm").write_text("", "utf-8")
    (tmp_path / "x.stm").write_text("", "utf-8")
    own = ("--rttm", "x.rttm", "--script", "x.stm", "--separate", "off", "--no-cache", "-o", "out")
    for arguments in (
        ("run", name, f"b/{name}", *own),
        ("export", bad.name),
        ("cache", "show", "--cache-dir", f"{name}.d"),
    ):
        done = run_command(forks, arguments, cwd=tmp_path)
        out = done.stdout + done.stderr
        assert "\\x1b]0;owned\\x07\\u202ev.wav" in out, out
        assert not set(out) & CONTROLS


def test_log_lines_hold_no_control_character() -> None:
    record = logging.LogRecord("dbos", logging.ERROR, "", 1, "failed: %s", (NASTY,), None)
    assert not set(database._PrintableLines("%(message)s").format(record)) & CONTROLS


@given(st.text())
def test_what_is_shown_is_printable_and_plain_text_stays(text: str) -> None:
    out = shown(text)
    assert not set(out) & CONTROLS
    out.encode()
    if not set(text) & (CONTROLS | {"\u2028", "\u2029"}) and not any(0xD800 <= ord(letter) < 0xE000 for letter in text):
        assert out == text


@given(st.text())
def test_json_says_the_same_without_control_characters(text: str) -> None:
    escaped = json_escaped(json.dumps({"x": text}, ensure_ascii=False))
    assert json.loads(escaped) == {"x": text}
    assert not set(escaped) & CONTROLS


def transcript_of(text: str, name: str) -> Transcript:
    words = (Word(Span(0.0, 1.0), text),)
    return Transcript(
        "call",
        2.0,
        (Segment("SPEAKER_00", words),),
        (Turn(Span(0.0, 1.0), "SPEAKER_00"),),
        Provenance("0"),
        (("SPEAKER_00", name),),
    )


def docx_text(transcript: Transcript) -> str:
    return "\n".join(one.text for one in Document(io.BytesIO(docx.write(transcript, Outputs()))).paragraphs)


@pytest.mark.parametrize("kind", names())
def test_no_format_holds_a_control_character(kind: str) -> None:
    """The text is kept; terminals obey C0 and C1, so these go, or are JSON's escapes."""
    controls = {chr(code) for code in (*range(9), *range(11, 32), *range(0x7F, 0xA0))}
    transcript = transcript_of(NASTY, NASTY)
    exported = docx_text(transcript) if kind == "docx" else export(transcript, kind, Outputs())
    assert not set(exported) & controls
    if kind == "json":
        assert read_transcript(exported) == transcript_of(NASTY, NASTY)


FORMULAS = ("=HYPERLINK(1)", "+1", "-1+1", "@SUM(1)", "＝1+1", "\t=1", "\r=1", " =1")


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_begins_a_formula(text: str) -> None:
    transcript = transcript_of(text, text)
    rows = list(csv.reader(io.StringIO(export(transcript, "tsv", Outputs())), delimiter="\t", quoting=csv.QUOTE_NONE))
    assert rows[1] == ["0", "1000", f"'{text.strip()}", f"'{text.strip()}", "0"]
    row = next(csv.DictReader(io.StringIO(export(transcript, "csv", Outputs()))))
    assert row["name"] == f"'{text.strip()}"
    assert float(row["seconds"]) == 1.0
    assert talk_time(transcript)["name"][0] == text.strip()


def test_a_label_is_a_cell_as_well() -> None:
    transcript = Transcript("call", 1.0, (), (Turn(Span(0.0, 1.0), "=1+1"),), Provenance("0"))
    row = next(csv.DictReader(io.StringIO(export(transcript, "csv", Outputs()))))
    assert (row["speaker"], row["name"]) == ("'=1+1", "'=1+1")


def test_numbers_and_plain_text_are_left_alone() -> None:
    exported = export(transcript_of("well - yes, 1+1=2", "Ann"), "tsv", Outputs())
    assert exported.splitlines()[1] == "0\t1000\twell - yes, 1+1=2\tAnn\t0"
