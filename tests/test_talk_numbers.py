"""Numbers of a conversation: their definitions, `meetsplit stats`, and that the page computes the same."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from meetsplit.cli import main
from meetsplit.pipeline.data import Provenance, Segment, Span, Transcript, Turn, Word
from meetsplit.pipeline.formats import export, read_transcript
from meetsplit.pipeline.formats.talk_time import COLUMNS, rounded, stretches, talk_times
from meetsplit.pipeline.settings import Outputs

ROOT = Path(__file__).parents[1]
NODE = shutil.which("node")


def meeting(*turns: tuple[str, float, float], duration: float = 130.0) -> Transcript:
    segments = (Segment("A", (Word(Span(1, 2), "one"), Word(Span(2, 3), "two"))),)
    spans = tuple(sorted(Turn(Span(start, end), speaker) for speaker, start, end in turns))
    return Transcript("call", duration, segments, spans, Provenance("0.1.0"), (("A", "=Ann"),))


PANEL = meeting(
    ("A", 0, 10), ("A", 12, 20), ("A", 22.5, 30), ("B", 11, 11.5), ("B", 25, 26), ("A", 62, 125), ("B", 128, 129.5)
)


def code(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


def test_pauses_and_short_answers_do_not_end_a_monologue() -> None:
    longest = {person.speaker: person.longest_monologue for person in talk_times(PANEL)}
    assert longest == {"A": 63.0, "B": 1.5}
    early = replace(PANEL, turns=PANEL.turns[:-2])
    assert talk_times(early)[0].longest_monologue == 20.0, (
        "0 to 20: B's half second in the pause are too short to count"
    )


def test_minutes_add_up_and_their_number_is_bounded() -> None:
    minutes = stretches(PANEL)
    assert [(part.start, part.end) for part in minutes] == [(0, 60), (60, 120), (120, 130)]
    assert [part.seconds for part in minutes] == [{"A": 25.5, "B": 1.5}, {"A": 58.0}, {"A": 5.0, "B": 1.5}]
    assert stretches(meeting(duration=0.0)) == ()
    days = stretches(meeting(("A", 0, 1e9), duration=1e9))
    assert len(days) <= 1440
    assert sum(part.seconds["A"] for part in days) == pytest.approx(1e9)


def test_stats_in_a_terminal_as_data_and_as_csv(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "call.json"
    path.write_text(export(PANEL, "json", Outputs()), "utf-8")
    table = tmp_path / "table.csv"
    assert code("stats", str(path), "--csv", str(table)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("call.json: 00:02:10, 2 people, 2 words")
    assert next(line for line in lines if "=Ann" in line).split()[1:3] == ["1:28", "97%"]
    assert max(map(len, lines[1:])) <= 80
    assert lines[-2].split() == ["=Ann", "▄█▄"]
    (ann, _) = csv.DictReader(io.StringIO(table.read_text("utf-8")))
    assert (ann["recording"], ann["name"], ann["longest_monologue"]) == ("call", "'=Ann", "63.0")
    assert list(ann) == ["recording", *COLUMNS]
    assert code("stats", str(path), str(path), "--json") == 0
    first, second = json.loads(capsys.readouterr().out)
    assert first == second
    assert first["people"][0]["words_per_minute"] == round(60 * 2 / 88.5, 1)
    assert first["minutes"][2] == {"start": 120.0, "end": 130.0, "seconds": {"A": 5.0, "B": 1.5}}


def test_stats_do_not_write_over_what_they_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "call.json"
    path.write_text(export(PANEL, "json", Outputs()), "utf-8")
    assert code("stats", str(path), "--csv", str(path)) == 2
    assert "is a transcript that is read" in capsys.readouterr().err
    assert read_transcript(path.read_text("utf-8")) == PANEL


@pytest.mark.skipif(NODE is None, reason="Node.js is not installed, which runs the page's script")
def test_the_page_computes_the_same_numbers(tmp_path: Path) -> None:
    path = tmp_path / "call.json"
    path.write_text(export(PANEL, "json", Outputs()), "utf-8")
    script = ROOT / "pipeline" / "formats" / "html" / "tests" / "written.js"
    rows = []
    for arguments in (["--random", "40"], [str(path), str(ROOT / "tests" / "golden" / "meeting.json")]):
        command = [str(NODE), str(script), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        rows += [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 42
    for row in rows:
        transcript, page = read_transcript(row["json"]), row["numbers"]
        people = {person.speaker: rounded(person) for person in talk_times(transcript)}
        assert [person["speaker"] for person in page["people"]] == sorted(people)
        for person in page["people"]:
            own = people[person["speaker"]]
            assert person == pytest.approx({name: getattr(own, name) for name in person}, abs=0.0011)
        expected = stretches(transcript)
        assert [(part["start"], part["end"]) for part in page["minutes"]] == [(p.start, p.end) for p in expected]
        for part, own in zip(page["minutes"], expected, strict=True):
            assert part["seconds"] == pytest.approx({who: own.seconds.get(who, 0.0) for who in people}, abs=0.0006)
