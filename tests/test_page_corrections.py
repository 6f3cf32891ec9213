"""Corrections made in the page: its script's own tests, and that Python reads and writes the same as it does."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from meetsplit.pipeline.data import Transcript
from meetsplit.pipeline.formats import export, read_transcript
from meetsplit.pipeline.settings import Outputs

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "pipeline" / "formats" / "html"
GOLDEN = ROOT / "tests" / "golden" / "meeting.json"
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(NODE is None, reason="Node.js is not installed, which runs the page's script")


def node(*arguments: str | Path) -> str:
    done = subprocess.run([str(NODE), *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def written(*arguments: str | Path) -> list[dict[str, Any]]:
    """What the page writes of documents, see ``tests/written.js`` beside its sources."""
    return [json.loads(line) for line in node(PAGE / "tests" / "written.js", *arguments).splitlines()]


def test_the_tests_of_the_script_pass() -> None:
    told = node("--test", *sorted((PAGE / "tests").glob("*.test.js")))
    assert "# fail 0" in told
    assert "# pass 0" not in told


def test_a_document_without_corrections_is_written_byte_by_byte_as_it_was() -> None:
    (row,) = written(GOLDEN)
    assert row["json"] == GOLDEN.read_text("utf-8")
    for name in ("txt", "md"):
        assert row[name] == GOLDEN.with_suffix(f".{name}").read_text("utf-8")


@pytest.fixture(scope="module")
def corrected() -> list[dict[str, Any]]:
    return written("--random", "60")


def test_corrected_documents_read_as_transcripts_that_are_written_the_same(corrected: list[dict[str, Any]]) -> None:
    for row in corrected:
        transcript = read_transcript(row["json"])
        speakers = json.loads(row["json"])["speakers"]
        if set(speakers) == set(transcript.speakers):  # otherwise a person is left without words, and without a row
            again, page = json.loads(export(transcript, "json", Outputs())), json.loads(row["json"])
            assert again == page
        for name in ("txt", "md"):
            assert row[name] == export(transcript, name, Outputs())


def test_what_was_not_corrected_is_as_before(corrected: list[dict[str, Any]]) -> None:
    count = 0
    for row in corrected:
        before, after = read_transcript(row["original"]), read_transcript(row["json"])
        assert (after.recording, after.duration, after.made_by) == (before.recording, before.duration, before.made_by)
        for old, new in row["kept"]:
            assert after.segments[new] == before.segments[old]
            count += 1
    assert count > 100


def test_subtitles_of_the_page_are_valid(corrected: list[dict[str, Any]]) -> None:
    for row in corrected:
        transcript = read_transcript(row["json"])
        for cues, mark in ((row["srt"], ","), (row["vtt"], ".")):
            check_cues(cues, mark, transcript)


def check_cues(text: str, mark: str, transcript: Transcript) -> None:
    """Times run forward, cues of SRT do not overlap, and every word is there."""
    times = [line.split(" --> ") for line in text.splitlines() if " --> " in line]
    stamps = [[float(part.replace(mark, ".").replace(":", "")) for part in pair] for pair in times]
    assert all(start < end for start, end in stamps)
    starts = [start for start, _ in stamps]
    assert starts == sorted(starts)
    if mark == ",":
        assert all(end <= start for (_, end), start in zip(stamps, starts[1:], strict=False))
    plain = " ".join(text.split())
    for segment in transcript.segments:
        for word in segment.words:
            if word.text.isalpha():
                assert word.text in plain
