"""People's names: by channel, in order of first speech, by label and by the name so far; none fails anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from meetsplit.cli import main
from meetsplit.pipeline.data import Provenance, Segment, Span, Transcript, Turn, Word
from meetsplit.pipeline.events import Notice
from meetsplit.pipeline.results.writing import with_names
from meetsplit.pipeline.settings import Outputs

TURNS = (
    Turn(Span(0.5, 2.0), "SPEAKER_01"),
    Turn(Span(1.0, 3.0), "SPEAKER_00"),
    Turn(Span(4.0, 5.0), "SPEAKER_02"),
)
TRANSCRIPT = Transcript(
    "call",
    6.0,
    (Segment("SPEAKER_00", (Word(Span(1.0, 2.0), "hello"),)),),
    TURNS,
    Provenance("0"),
    (("SPEAKER_00", "slt"), ("SPEAKER_02", "slt")),
)


def named(outputs: Outputs, **more: Any) -> tuple[dict[str, str], list[str]]:
    notices: list[str] = []
    transcript = with_names(TRANSCRIPT, outputs, lambda event: notices.append(getattr(event, "text", "")), **more)
    return dict(transcript.names), notices


def test_in_order_of_first_speech() -> None:
    names, notices = named(Outputs(names_in_order=("Alice", "", "Chris", "Dan")))
    assert names == {"SPEAKER_00": "slt", "SPEAKER_01": "Alice", "SPEAKER_02": "Chris"}
    assert notices == ["--names: Dan not used: call: 3 people speak in it"]


def test_a_name_so_far_stands_for_those_who_have_it() -> None:
    names, notices = named(Outputs(names=(("slt", "Susan"), ("SPEAKER_01", "slt"))))
    assert names == {"SPEAKER_00": "Susan", "SPEAKER_01": "slt", "SPEAKER_02": "Susan"}
    assert notices == []


def test_by_channel_then_in_order_then_by_label() -> None:
    outputs = Outputs(channel_names=("Agent", "Customer", ""), names_in_order=("Alice",), names=(("Agent", "Ada"),))
    channels = (("SPEAKER_01", 1), ("SPEAKER_00", 0), ("SPEAKER_02", 2))
    names, notices = named(outputs, channels=channels)
    assert names == {"SPEAKER_00": "Ada", "SPEAKER_01": "Alice", "SPEAKER_02": "slt"}
    assert notices == []


def test_a_person_who_is_not_there_is_a_note() -> None:
    names, notices = named(Outputs(names=(("SPEAKER_07", "Bob"),)))
    assert names == dict(TRANSCRIPT.names)
    assert notices == [
        "--name SPEAKER_07=Bob is not used: call has no SPEAKER_07; it has SPEAKER_00, SPEAKER_01, SPEAKER_02"
    ]
    assert isinstance(Notice(notices[0]), Notice)


@pytest.fixture
def calls(call: Any) -> Path:
    """A call with a person on each of its two channels, the second one first, and a voicemail with one person."""
    folder = call.path.parent / "calls"
    folder.mkdir()
    tone = 0.3 * np.sin(2 * np.pi * 300 * np.arange(32000) / 16000) * (np.arange(32000) % 8000 < 6000)
    noise = 1e-4 * np.random.default_rng(0).standard_normal((2, 96000))
    for name, has_agent in (("call.wav", True), ("voicemail.wav", False)):
        channels = noise.copy()
        channels[1, 8000:40000] += tone
        channels[0, 56000:88000] += tone * has_agent
        call.write_pcm(folder / name, [(channel * 32767).astype("<i2") for channel in channels])
    return folder


def people(file: Path) -> dict[str, str]:
    names: dict[str, str] = json.loads(file.read_text("utf-8"))["speakers"]
    return names


@pytest.mark.parametrize("command", ["run", "batch"])
def test_agent_and_customer_have_their_names_whoever_speaks_first(calls: Path, call: Any, command: str) -> None:
    sources = [str(calls / "call.wav"), str(calls / "voicemail.wav")] if command == "run" else [str(calls)]
    own = ["--no-cache"] if command == "run" else ["--state-dir", str(calls.parent / "state")]
    options = ["--channels", "split", "--channel-names", "Agent,Customer", "--name", "SPEAKER_05=Nobody"]
    with pytest.raises(SystemExit) as ended:
        main([command, *sources, *options, "--script", str(call.script), "-f", "json", "-o", str(call.out), *own])
    assert ended.value.code == 0
    assert people(call.out / "call.json") == {"SPEAKER_00": "Customer", "SPEAKER_01": "Agent"}
    assert people(call.out / "voicemail.json") == {"SPEAKER_00": "Customer"}


def test_a_transcript_is_named_anew(call: Any) -> None:
    call.run()
    with pytest.raises(SystemExit) as ended:
        main(
            ["export", str(call.out / "call.json"), "-f", "txt", "-o", str(call.out / "again"), "--names", "Alice,Ben"]
        )
    assert ended.value.code == 0
    assert "Alice: good" in (call.out / "again" / "call.txt").read_text("utf-8")
    with pytest.raises(SystemExit):
        main(["export", str(call.out / "call.json"), "-f", "txt", "-o", str(call.out / "new"), "--name", "A=Anna Lee"])
    assert "Anna Lee: good" in (call.out / "new" / "call.txt").read_text("utf-8")
