"""Properties of every format, for any transcript."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import meeteval
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meetsplit.pipeline.data import Provenance, Segment, Span, StageRecord, Transcript, Turn, Word
from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.formats import (
    export,
    format_named,
    meetsplit_json,
    names,
    read_transcript,
    rttm,
    suffixes,
    talk_time,
)
from meetsplit.pipeline.formats.json_node import parse
from meetsplit.pipeline.settings import Outputs

EMPTY = Transcript("silence", 3.0, (), (), Provenance("0.1.0"))


def segment(speaker: str, *words: tuple[str, float, float]) -> Segment:
    return Segment(speaker, tuple(Word(Span(start, end), text) for text, start, end in words))


def transcript(*segments: Segment, named: tuple[tuple[str, str], ...] = ()) -> Transcript:
    turns = tuple(sorted(Turn(s.span, s.speaker) for s in segments))
    return Transcript("call", 60.0, segments, turns, Provenance("0.1.0"), named)


times = st.floats(0, 1e5, allow_nan=False)
spans = st.tuples(times, times).map(lambda pair: Span(min(pair), max(pair)))
numbers = st.none() | st.floats(-1, 1, allow_nan=False)
texts = st.text(max_size=12)
labels = st.sampled_from(["SPEAKER_00", "SPEAKER_01", "SPEAKER_02"]) | texts
segments = st.builds(
    Segment,
    labels,
    st.lists(st.builds(Word, spans, texts, numbers), min_size=1, max_size=4).map(
        lambda ws: tuple(sorted(ws, key=lambda w: w.span))
    ),
    st.none() | texts,
    st.sampled_from(["mixture", "separated"]),
    st.booleans(),
    numbers,
    st.lists(texts, max_size=2).map(tuple),
    st.none() | st.lists(texts, max_size=2).map(tuple),
)
scalars = st.none() | st.booleans() | st.integers() | texts | st.floats(allow_nan=False, allow_infinity=False)
stages = st.builds(StageRecord, texts, texts, st.lists(texts, max_size=2).map(tuple), texts, texts)


def pairs(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(texts, values, max_size=3).map(lambda entries: tuple(entries.items()))


transcripts = st.builds(
    Transcript,
    texts.filter(lambda text: not set(text) & set("/\\\0")),
    times,
    st.lists(segments, max_size=5).map(lambda ss: tuple(sorted(ss, key=lambda s: s.span))),
    st.lists(st.builds(Turn, spans, labels), max_size=4).map(lambda ts: tuple(sorted(ts))),
    st.builds(Provenance, texts, st.lists(stages, max_size=2).map(tuple), pairs(scalars), pairs(texts)),
    st.dictionaries(labels, texts, max_size=3).map(lambda entries: tuple(entries.items())),
)


TEXTS = tuple(name for name in names() if name not in ("html", "docx"))
"""Formats that are one text; the page and the documents have tests of their own."""


@given(transcripts)
@settings(deadline=None, max_examples=150)
def test_json_reads_back_equal(original: Transcript) -> None:
    text = export(original, "json", Outputs())
    assert read_transcript(text) == original
    assert read_transcript("\ufeff" + text) == original


@given(transcripts)
@settings(deadline=None, max_examples=60)
def test_every_format_takes_everything(original: Transcript) -> None:
    for name in TEXTS:
        text = export(original, name, Outputs())
        assert text == "" or text.endswith("\n")
        assert not set(text) & set("\x00\x0b\x1b\r") or name == "json"
        assert export(original, name, Outputs()) == text
    for name in ("tsv", "audacity", "stm", "rttm"):
        columns = {len(line.split("\t")) for line in export(original, name, Outputs()).split("\n")[:-1]}
        assert columns <= {{"tsv": 5, "audacity": 3}.get(name, 1)}


def test_numbers_of_numpy_are_numbers() -> None:
    word = Word(Span(np.float32(0.1), np.float64(0.2)), "hi", np.float32(0.3))  # type: ignore[arg-type]
    original = replace(EMPTY, segments=(Segment("SPEAKER_00", (word,), margin=float("nan")),))
    back = read_transcript(export(original, "json", Outputs()))
    assert back.segments[0].words == (word,)
    assert back.segments[0].margin is None


def test_json_is_a_superset_of_whisperx() -> None:
    made = json.loads(
        export(transcript(segment("SPEAKER_00", ("Hello", 0.5, 0.9), ("you.", 1.0, 1.4))), "json", Outputs())
    )
    word = {"word": "Hello", "start": 0.5, "end": 0.9, "score": None, "speaker": "SPEAKER_00"}
    assert made["segments"][0]["words"][0] == word == made["word_segments"][0]
    assert (made["segments"][0]["start"], made["segments"][0]["end"], made["segments"][0]["text"]) == (
        0.5,
        1.4,
        "Hello you.",
    )
    assert made["schema"] == "meetsplit/1"
    assert made["speakers"] == {"SPEAKER_00": None}


@pytest.mark.parametrize("name", TEXTS)
def test_empty_is_valid(name: str) -> None:
    text = export(EMPTY, name, Outputs())
    header = {"vtt": "WEBVTT\n", "seglst": "[]\n", "tsv": "start\tend\ttext\tspeaker\toverlap\n", "json": text}
    if name == "csv":
        assert list(pd.read_csv(io.StringIO(text)).columns) == list(talk_time(EMPTY).columns)
    else:
        assert text == header.get(name, "")
    if name == "json":
        assert read_transcript(text) == EMPTY


def test_suffixes_are_distinct_and_names_known() -> None:
    assert len({suffix.casefold() for suffix in suffixes()}) == len(names())
    assert set(Outputs().formats) <= set(names())
    assert format_named("seglst").suffix == ".seglst.json"
    with pytest.raises(SettingsError, match="did you mean 'seglst'"):
        export(EMPTY, "seglist", Outputs())


def test_importing_exporters_leaves_pandas_alone() -> None:
    code = "import sys, meetsplit.pipeline.formats; sys.exit(bool({'pandas', 'torch'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True)


ROW = (
    segment("SPEAKER_00", ("one", 0.0, 1.0), ("two;", 1.0, 4.0)),
    segment("SPEAKER_01", ("three", 3.0, 6.0)),
)
NAMED = (("SPEAKER_00", "Ann B"), ("SPEAKER_01", "Ann_B"))


@pytest.mark.parametrize("name", ["rttm", "stm", "seglst"])
def test_meeteval_reads_what_we_write(name: str, tmp_path: Path) -> None:
    original = replace(transcript(*ROW, named=NAMED), recording=";weekly call")
    path = tmp_path / f"call.{format_named(name).suffix.rsplit('.', 1)[-1]}"
    path.write_text(export(original, name, Outputs()), "utf-8")
    rows = meeteval.io.load(path, format=name).to_seglst()
    assert [(r["session_id"], r["speaker"], float(r["start_time"]), float(r["end_time"])) for r in rows] == [
        ("weekly_call", "Ann_B_SPEAKER_00", 0.0, 4.0),
        ("weekly_call", "Ann_B_SPEAKER_01", 3.0, 6.0),
    ]
    if name != "rttm":
        assert [row["words"] for row in rows] == ["one two;", "three"]


def test_meeteval_scores_ours_against_ours_without_errors(tmp_path: Path) -> None:
    for name in ("stm", "seglst"):
        (tmp_path / f"x{format_named(name).suffix}").write_text(export(transcript(*ROW), name, Outputs()), "utf-8")
    rates = meeteval.wer.cpwer(str(tmp_path / "x.stm"), str(tmp_path / "x.seglst.json"))
    assert rates["call"].errors == 0
    assert rates["call"].length == 3


def test_talk_time_counts_what_it_says() -> None:
    table = talk_time(transcript(*ROW, named=NAMED)).set_index("speaker")
    first = table.loc["SPEAKER_00"]
    assert (first["name"], first["seconds"], first["share"], first["turns"], first["words"]) == (
        "Ann B",
        4.0,
        0.5714,
        1,
        2,
    )
    assert (first["words_per_minute"], first["overlapped_seconds"], first["interruptions"]) == (30.0, 1.0, 0)
    assert table.loc["SPEAKER_01", "interruptions"] == 1


def test_txt_is_a_paragraph_per_turn() -> None:
    made = transcript(
        segment("SPEAKER_00", ("Yes.", 1.0, 1.5)),
        segment("SPEAKER_00", ("Good.", 2.0, 2.5)),
        segment("SPEAKER_01", ("No\n\n", 2.4, 3.0)),
        segment("SPEAKER_01", ("Later.", 3700.0, 3701.0)),
        named=(("SPEAKER_00", "Zoë"),),
    )
    assert (
        export(made, "txt", Outputs())
        == "[00:00:01] Zoë: Yes. Good.\n\n[00:00:02] SPEAKER_01: No\n\n[01:01:40] SPEAKER_01: Later.\n"
    )


def test_json_and_rttm_say_how_sure_a_turn_is() -> None:
    turns = (Turn(Span(0, 1), "SPEAKER_00", 0.875), Turn(Span(2, 3), "SPEAKER_01"))
    transcript = Transcript("call", 4.0, (), turns, Provenance("1"))
    again = meetsplit_json.read(parse(meetsplit_json.write(transcript, Outputs()), "call.json"))
    assert [turn.confidence for turn in again.turns] == [0.875, None]
    lines = rttm.write(transcript, Outputs()).splitlines()
    assert [line.split()[7:9] for line in lines] == [["SPEAKER_00", "0.875"], ["SPEAKER_01", "<NA>"]]
