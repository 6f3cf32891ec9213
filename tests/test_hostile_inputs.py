"""Damaged and hostile transcripts, references and settings files: one sentence each, never a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from meetsplit.console.options import resolve_settings
from meetsplit.pipeline.data import Provenance, Segment, Span, Transcript, Turn, Word
from meetsplit.pipeline.errors import ScoreError, SettingsError
from meetsplit.pipeline.formats import export, names, read_transcript
from meetsplit.pipeline.results.writing import export_transcript
from meetsplit.pipeline.settings import Outputs, Settings
from meetsplit.pipeline.transcribers.given_words import read_entries
from meetsplit.scoring.pairing import pair_up
from meetsplit.scoring.protocol import Protocol
from meetsplit.scoring.scores import score
from meetsplit.scoring.session_files import read_sessions

WORDS = (Word(Span(0.0, 1.0), "good", 0.5), Word(Span(1.0, 2.0), "morning"))
GOOD = export(
    Transcript("call", 9.0, (Segment("SPEAKER_00", WORDS),), (Turn(Span(0.0, 2.0), "SPEAKER_00"),), Provenance("1")),
    "json",
    Outputs(),
)
LIMITS = (*range(300, 1100, 33), 100_000)


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


# transcripts


@pytest.mark.parametrize(
    "time", ["1e306", "1e300", "1e10", "1e400", "NaN", "Infinity", "-1", "1" + "0" * 400, "9" * 5000, '"1"', "true"]
)
@pytest.mark.parametrize("key", ['"start": 0.0', '"end": 2.0', '"end": 1.0', '"duration": 9.0'])
def test_times_that_no_format_can_write_are_a_sentence(key: str, time: str) -> None:
    name = key.partition(":")[0]
    with pytest.raises(SettingsError, match=r"^call.json: "):
        read_transcript(GOOD.replace(key, f"{name}: {time}"), "call.json")
    foreign = f'{{"segments": [{{"start": 0.0, "end": {time}, "text": "good morning"}}]}}'
    with pytest.raises(SettingsError, match=r"^call.json: "):
        read_transcript(foreign, "call.json")


@pytest.mark.parametrize("lone", ["\\ud800", "\\uDFFF", "\\udc80"])
def test_half_a_surrogate_pair_is_written_as_a_replacement_character(tmp_path: Path, lone: str) -> None:
    changed = (
        GOOD.replace('"call"', f'"call{lone}"')
        .replace("morning", f"morning{lone}")
        .replace("SPEAKER_00", f"SPEAKER_00{lone}")
    )
    path = tmp_path / "call.json"
    path.write_text(changed, "utf-8")
    written = export_transcript(path, tmp_path / "out", Outputs(formats=names())).files
    assert {file.name.partition(".")[0] for file in written} == {"call"}, "files are named after the JSON file"
    assert "morning\ufffd" in (tmp_path / "out" / "call.txt").read_text("utf-8")
    assert "call\ufffd" in (tmp_path / "out" / "call.rttm").read_text("utf-8")
    whole = read_transcript(GOOD.replace("morning", "\\ud83d\\ude00"), "call.json")
    assert whole.segments[0].text == "good \U0001f600", "whole pairs stay"


@pytest.mark.parametrize("depth", LIMITS)
def test_deeply_nested_json_is_a_sentence(tmp_path: Path, depth: int) -> None:
    path = tmp_path / "deep.json"
    entry = f'{{"session_id": "a", "speaker": "b", "start_time": {nested(depth)}, "end_time": 1, "words": "c"}}'
    for text in (
        nested(depth),
        f'{{"segments": {nested(depth)}}}',
        f'{{"segments": [{{"start": {nested(depth)}, "end": 1, "text": "a"}}]}}',
        f'{{"segments": [{{"start": 0, "end": 1, "words": [{nested(depth)}]}}], "turns": {nested(depth)}}}',
        f"[{entry}]",
    ):
        path.write_text(text)
        with pytest.raises(SettingsError):
            read_transcript(text, str(path))
        with pytest.raises(SettingsError):
            read_entries(path)
        with pytest.raises(ScoreError):
            read_sessions(path)


@pytest.mark.parametrize("time", ["1e306", "1e400", "NaN", "Infinity", "-1", "1" + "0" * 400, "9" * 5000])
def test_times_of_references_that_no_recording_has_are_a_sentence(tmp_path: Path, time: str) -> None:
    good = '[{"session_id": "a", "speaker": "b", "start_time": 0, "end_time": 1, "words": "c"}]'
    (tmp_path / "ref.json").write_text(good)
    for text in (
        good.replace("1,", f"{time},"),
        f'{{"segments": [{{"start": 0, "end": {time}, "text": "c", '
        f'"words": [{{"word": "c", "start": 0, "end": {time}}}]}}]}}',
    ):
        (tmp_path / "hyp.json").write_text(text)
        with pytest.raises(ScoreError, match=r"hyp\.json"):
            score(pair_up([tmp_path / "hyp.json"], [tmp_path / "ref.json"]).pairs, Protocol())
        with pytest.raises(SettingsError, match=r"hyp\.json"):
            read_entries(tmp_path / "hyp.json")


# settings files


def settled(tmp_path: Path, toml: str, **asked: Any) -> tuple[Settings, Outputs]:
    path = tmp_path / "settings.toml"
    path.write_text(toml, "utf-8")
    return resolve_settings({"config": path, **asked}, names())


@pytest.mark.parametrize(
    "toml",
    [
        '[names]\nSPEAKER_00 = "Anna"',
        'names = {SPEAKER_00 = "Anna"}',
        'name = {SPEAKER_00 = "Anna"}',
        'names = ["SPEAKER_00=Anna"]',
        'name = ["SPEAKER_00=Anna"]',
        'name = "SPEAKER_00=Anna"',
        'names = [["SPEAKER_00", "Anna"]]',
        '[files]\nname = ["SPEAKER_00= Anna "]',
        '[files.names]\nSPEAKER_00 = "Anna"',
    ],
)
def test_names_are_understood_in_every_shape(tmp_path: Path, toml: str) -> None:
    assert settled(tmp_path, toml)[1].names == (("SPEAKER_00", "Anna"),)
    both = settled(tmp_path, toml, name=["SPEAKER_00=Eve", "SPEAKER_01=Ben"])[1].names
    assert dict(both) == {"SPEAKER_00": "Eve", "SPEAKER_01": "Ben"}, "the command line wins"


@pytest.mark.parametrize(
    "toml",
    [
        "names = 3",
        "names = [3]",
        "names = {SPEAKER_00 = 3}",
        'names = [["a", "b", "c"]]',
        "names = [[]]",
        'name = ""',
        'name = "=Anna"',
        'name = "SPEAKER_00= "',
    ],
)
def test_names_in_no_shape_are_a_sentence(tmp_path: Path, toml: str) -> None:
    with pytest.raises(SettingsError, match="write it as SPEAKER_00=Alice"):
        settled(tmp_path, toml)


@pytest.mark.parametrize(
    "toml",
    [
        'formats = "srt, JSON"',
        'output_format = "srt,json"',
        'formats = ["srt", "json"]',
        'output-format = ["srt", "json"]',
    ],
)
def test_formats_are_understood_in_every_shape(tmp_path: Path, toml: str) -> None:
    assert settled(tmp_path, toml)[1].formats == ("srt", "json")


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("folder = 3", "--output-dir 3"),
        ("output_dir = [1]", r"--output-dir \[1\]"),
        ("rttm = 3", "--rttm 3"),
        ("output_format = 3", "--output-format 3"),
        ('formats = ["srt", 3]', "--output-format"),
        ("separate = 3", "--separate 3"),
        ("separate = [3]", r"--separate \[3\]"),
        ('folder = "a\\u0000b"', "NUL"),
        ('rttm = "a\\u0000b"', "NUL"),
        ('model = "a\\u0000b"', "NUL"),
        ("a = " + "[" * 5000 + "]" * 5000, "nested too deeply"),
        ("a = " + "{a = " * 3000 + "1" + "}" * 3000, "nested too deeply"),
        (".".join("a" * 5000) + " = 1", "nested too deeply|unknown option"),
        ("seed = " + "9" * 5000, "not valid TOML"),
    ],
)
def test_settings_of_another_kind_are_a_sentence(tmp_path: Path, toml: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        settled(tmp_path, toml)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("srt"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
OPTIONS = st.sampled_from(
    [*Settings.__dataclass_fields__, *Outputs.__dataclass_fields__, "name", "output_dir", "output_format"]
)


@given(st.dictionaries(OPTIONS, VALUES, max_size=3))
@hypothesis_settings(deadline=None, max_examples=300)
def test_any_value_of_any_option_makes_settings_or_a_sentence(asked: dict[str, Any]) -> None:
    try:
        settings, outputs = resolve_settings(asked, names())
    except SettingsError:
        return
    assert json.dumps(dict(settings.recorded()))
    assert all(isinstance(part, str) for pair in outputs.names for part in pair)


# standard output


def meetsplit(*arguments: str, stdout: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "meetsplit.cli", *arguments]
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=300, check=False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
@pytest.mark.parametrize("arguments", [("--version",), ("models", "list")])
def test_a_full_device_behind_standard_output_is_a_sentence(arguments: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        done = meetsplit(*arguments, stdout=full)
    assert done.returncode == 1
    assert "error: standard output cannot be written: No space left on device" in " ".join(done.stderr.split())
    assert len(done.stderr.splitlines()) == 1


def test_a_reader_that_has_left_hears_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", "pass"], stdin=subprocess.PIPE) as reader:
        reader.wait()
        done = meetsplit("models", "list", stdout=reader.stdin)
        assert done.returncode == 1
        assert done.stderr == ""
