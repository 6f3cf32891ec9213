"""Every format of one rich transcript, byte for byte. `python tests/test_formats_golden.py` writes the files anew."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from meetsplit.pipeline.data import Provenance, Segment, Span, StageRecord, Transcript, Turn, Word
from meetsplit.pipeline.formats import export, format_named, names, read_transcript
from meetsplit.pipeline.settings import Outputs

GOLDEN = Path(__file__).parent / "golden"
ALICE, BORIS, CHLOE = "SPEAKER_00", "SPEAKER_01", "SPEAKER_02"


def segment(speaker: str, start: float, text: str, **extra: object) -> Segment:
    """A sentence spoken at an even pace: 60 ms a letter, a short pause after punctuation."""
    parts = text.split()
    lengths = [0.06 * len(part) + (0.35 if part[-1] in ".?!" else 0.05) for part in parts]
    starts = [round(start + before, 3) for before in itertools.accumulate(lengths[:-1], initial=0.0)]
    words = tuple(
        Word(Span(at, round(at + 0.06 * len(part), 3)), part, 0.75) for at, part in zip(starts, parts, strict=True)
    )
    return Segment(speaker, words, **extra)  # type: ignore[arg-type]


def rich() -> Transcript:
    segments = (
        segment(
            ALICE,
            0.48,
            "Good morning. Where are we with the installer, and did the printer call about the boxes?",
            language="en",
        ),
        segment(
            BORIS,
            5.3,
            "Nearly done. It still hangs on older machines.",
            language="en",
            overlap=True,
            source="separated",
            margin=0.31,
        ),
        segment(
            CHLOE,
            5.9,
            "Mm-hm.",
            overlap=True,
            source="separated",
            margin=0.02,
            review=("overlap-unresolved", "low-confidence"),
        ),
        segment(CHLOE, 9.4, "Ils ont dit « deux semaines », naïve que je suis…", language="fr"),
        segment(BORIS, 16.0, "If a <b> & b --> c, then 1 < 2.", language="en"),
        segment(ALICE, 19.0, "今日 は 会議 です。", language="ja"),
        segment(CHLOE, 3601.5, "صباح الخير جميعا", language="ar"),
    )
    turns = tuple(Turn(Span(s.span.start - 0.05, s.span.end + 0.05), s.speaker) for s in segments)
    stage = StageRecord("diarize", "rttm", ("standup.rttm",), "cpu", "the turns were given")
    made_by = Provenance(
        "0.1.0", (stage,), (("num_speakers", 3), ("separate", "overlaps"), ("model", None)), (("torch", "2.8.0"),)
    )
    return Transcript("Stand up (May)", 3605.0, segments, turns, made_by, ((ALICE, "Alice"), (BORIS, "Boris & Co")))


PINNED = tuple(name for name in names() if name not in ("html", "docx"))
"""All but the page, which holds a script that changes, and a ZIP file, whose bytes are its library's."""


@pytest.mark.parametrize("name", PINNED)
def test_golden(name: str) -> None:
    expected = (GOLDEN / f"meeting{format_named(name).suffix}").read_bytes().decode()
    assert export(rich(), name, Outputs()) == expected


def test_golden_json_reads_back() -> None:
    assert read_transcript((GOLDEN / "meeting.json").read_text("utf-8")) == rich()


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for each in PINNED:
        (GOLDEN / f"meeting{format_named(each).suffix}").write_bytes(export(rich(), each, Outputs()).encode())
