"""The summary of a recording, and the estimate before the work on it."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from meetsplit.console import run_times
from meetsplit.console.estimates import MEASURED, StageTimes, estimate, keys
from meetsplit.console.progress import Reporter
from meetsplit.console.recording_progress import RecordingProgress
from meetsplit.console.run_times import RunTimes
from meetsplit.console.summary import summary, times_sentence
from meetsplit.console.terminal import Terminal
from meetsplit.pipeline.data import Provenance, Segment, Span, StageRecord, Transcript, Turn, Word
from meetsplit.pipeline.events import Finished, Kept
from meetsplit.pipeline.models.selection import BackendSelection, SelectedBackend
from meetsplit.pipeline.results.folder import Placement
from meetsplit.pipeline.results.writing import WrittenResults


def test_who_hardly_speaks_is_named(tmp_path: Path) -> None:
    def printed(diarizer: str) -> str:
        transcript = Transcript(
            "call",
            9.0,
            (),
            (Turn(Span(0.0, 6.0), "SPEAKER_00"), Turn(Span(5.0, 6.2), "SPEAKER_01")),
            Provenance("0", (StageRecord("diarizer", diarizer, (), "cpu", ""),)),
            (("SPEAKER_01", "Ben"),),
        )
        stream = io.StringIO()
        placement = Placement("call-2", "call", "call.txt is not meetsplit's")
        summary(
            Terminal(file=stream), Path("call.wav"), WrittenResults(transcript, (tmp_path / "x.srt",), placement, {})
        )
        return stream.getvalue()

    found = printed("embedded")
    assert "SPEAKER_00 6.0 s · Ben 1.2 s" in found
    assert "hardly any speech, perhaps no person: Ben; --num-speakers" in found
    assert "written as call-2.*, because call.txt is not meetsplit's" in found
    assert str(tmp_path / "x.srt") in found
    assert "hardly any speech" not in printed("rttm")


def test_words_of_nobody_are_no_person() -> None:
    """Words that `rediarize` finds where nobody speaks have the speaker UNKNOWN, without a turn."""
    words = (Word(Span(7.0, 7.5), "hello"),)
    segments = (Segment("UNKNOWN", words),)
    turns = (Turn(Span(0.0, 6.0), "SPEAKER_00"),)
    made_by = Provenance("0", (StageRecord("diarizer", "embedded", (), "cpu", ""),))
    stream = io.StringIO()
    written = WrittenResults(Transcript("call", 9.0, segments, turns, made_by), (), Placement("call", "call"), {})
    summary(Terminal(file=stream), Path("call.wav"), written)
    assert "1 person, 1 word\n" in stream.getvalue()
    assert "SPEAKER_00 6.0 s" in stream.getvalue()
    assert "UNKNOWN" not in stream.getvalue()


def test_times_name_what_was_done_and_what_was_kept() -> None:
    progress = RecordingProgress("call.wav", 0.0)
    for event in (Kept("diarize"), Finished("separate", 0.4), Finished("transcribe", 72.0), Finished("write", 0.1)):
        progress.take(event, 100.0)
    assert times_sentence(progress, 75.0) == "  done in 1 min 15 s (transcribe 1 min 12 s); diarize kept"


def plan(diarizer: str, transcriber: str, device: str = "cpu") -> BackendSelection:
    return BackendSelection(
        (
            SelectedBackend("diarizer", diarizer, {}, {}, device, ""),
            SelectedBackend("transcriber", transcriber, {}, {}, device, ""),
        )
    )


STAGES = ("diarize", "separate", "transcribe")


def test_an_estimate_is_of_the_stretch_that_is_processed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run_times, "seconds_of_sound", lambda path: 4000.0)
    for stretch, length in (((60.0, 90.0), "30 s"), ((3980.0, None), "20 s"), ((3940.0, 9000.0), "1 min")):
        reporter = Reporter(Terminal(stderr=True), quiet=True)
        times = RunTimes(reporter, plan("embedded", "sphinx"), [Path("a.wav")], stretch=stretch, cache=None)
        times.announce(Path("a.wav"), STAGES)
        assert f"a.wav: {length} of sound, about " in capsys.readouterr().err


def test_an_estimate_needs_a_basis_for_every_stage_that_is_left(tmp_path: Path) -> None:
    times = StageTimes(tmp_path)
    assert estimate(plan("embedded", "whisper"), STAGES, 100.0, times) is None
    assert estimate(plan("embedded", "sphinx", "cuda"), STAGES, 100.0, times) is None
    measured = estimate(plan("embedded", "sphinx"), STAGES, 100.0, times)
    assert measured is not None
    assert measured.seconds == {"diarize": pytest.approx(10.7), "separate": 0.0, "transcribe": pytest.approx(75.0)}
    assert measured.basis == "as measured on two processor cores"


def test_earlier_runs_on_this_machine_are_the_better_basis(tmp_path: Path) -> None:
    selection = plan("embedded", "whisper", "cuda")
    times = StageTimes(tmp_path)
    names = keys(selection)
    times.add(10.0, {names["transcribe"]: 60.0})  # too short: most of it was loading
    times.add(600.0, {names["diarize"]: 6.0, names["separate"]: 0.0, names["transcribe"]: 60.0})
    times.add(200.0, {names["transcribe"]: 40.0})
    expected = estimate(selection, STAGES, 400.0, StageTimes(tmp_path))
    assert expected is not None
    assert expected.seconds == {"diarize": pytest.approx(4.0), "separate": 0.0, "transcribe": pytest.approx(50.0)}
    assert expected.basis == "as earlier runs here took"
    left = estimate(selection, ("transcribe",), 400.0, StageTimes(tmp_path))
    assert left is not None
    assert left.total == pytest.approx(50.0)
    (tmp_path / "stage_times.json").write_text('{"machine": "another", "times": {"x": [[1, 2]]}}')
    assert StageTimes(tmp_path).pace("x") is None
    (tmp_path / "stage_times.json").write_text('{"machine"')
    assert estimate(selection, STAGES, 400.0, StageTimes(tmp_path)) is None


def test_an_estimate_counts_cleaning_where_it_is_left(tmp_path: Path) -> None:
    cleaner = SelectedBackend("cleaner", "embedded", {}, {}, "cpu", "")
    selection = BackendSelection((cleaner, *plan("embedded", "sphinx").backends))
    times = StageTimes(tmp_path)
    assert estimate(selection, ("clean", *STAGES), 100.0, times) is None
    times.add(600.0, {keys(selection)["clean"]: 120.0})
    cleaning, without = (estimate(selection, stages, 100.0, times) for stages in (("clean", *STAGES), STAGES))
    assert cleaning is not None
    assert without is not None
    assert cleaning.seconds["clean"] == pytest.approx(20.0)
    assert cleaning.total == pytest.approx(without.total + 20.0)


def test_measured_times_are_about_those_of_the_benchmarks_page() -> None:
    page = (Path(__file__).parents[1] / "docs" / "benchmarks.md").read_text("utf-8")
    table = page.partition("<!-- speed -->")[2].partition("<!-- /speed -->")[0]
    *_, longest = [row.split("|") for row in re.findall(r"^\| \d.*overlaps.*$", table, re.M)]
    diarize, separate, transcribe = (float(cell) for cell in longest[4:7])
    for stage, measured in (
        (("diarize", "embedded"), diarize),
        (("separate", "adapted"), separate),
        (("transcribe", "sphinx"), transcribe),
    ):
        assert 0.4 <= MEASURED[stage] / measured <= 2.5, f"{stage}: take over {measured}"
