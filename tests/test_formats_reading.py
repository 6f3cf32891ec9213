"""Transcripts read: of other programs, and damaged ones."""

from __future__ import annotations

import json
from typing import Any

import pytest

from meetsplit.pipeline.data import Provenance, Segment, Span, Transcript, Turn, Word
from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.formats import export, read_transcript, rttm, seglst, stm
from meetsplit.pipeline.settings import Outputs


def read(*segments: dict[str, Any], **top: Any) -> Transcript:
    return read_transcript(json.dumps({"segments": list(segments), **top}), "talks/call.json")


def test_whisperx() -> None:
    words = [
        {"word": "In", "start": 1.0, "end": 1.2, "score": 0.5, "speaker": "SPEAKER_00"},
        {"word": "2014,"},
        {"word": "we", "start": 2.2, "end": 2.4, "score": 0.9, "speaker": "SPEAKER_01"},
        {"word": "won."},
    ]
    made = read(
        {"start": 1.0, "end": 3.0, "text": " In 2014, we won.", "speaker": "SPEAKER_00", "words": words}, language="en"
    )
    assert made.segments == (
        Segment("SPEAKER_00", (Word(Span(1.0, 1.2), "In", 0.5), Word(Span(1.2, 2.2), "2014,")), "en"),
        Segment("SPEAKER_01", (Word(Span(2.2, 2.4), "we", 0.9),), "en"),
        Segment("SPEAKER_00", (Word(Span(2.4, 3.0), "won."),), "en"),
    )
    assert (made.recording, made.duration) == ("call", 3.0)
    assert made.turns[0] == Turn(Span(1.0, 2.2), "SPEAKER_00")


def test_openai_whisper() -> None:
    words = [
        {"word": " Hi", "start": 0.0, "end": 0.4, "probability": 0.7},
        {"word": " there.", "start": 0.4, "end": 1.0, "probability": 0.8},
    ]
    made = read(
        {"id": 0, "seek": 0, "start": 0.0, "end": 1.0, "text": " Hi there.", "tokens": [1], "words": words},
        text=" Hi there.",
    )
    assert made.segments == (
        Segment("UNKNOWN", (Word(Span(0.0, 0.4), "Hi", 0.7), Word(Span(0.4, 1.0), "there.", 0.8))),
    )


def test_words_without_times_share_the_room_by_letters() -> None:
    made = read(
        {"start": 2.0, "end": 4.0, "text": " a bcd "},
        {"start": 4.0, "end": 6.0, "text": "今日"},
        {"start": 7.0, "end": 8.0, "text": " "},
    )
    assert made.segments[0].words == (Word(Span(2.0, 2.5), "a"), Word(Span(2.5, 4.0), "bcd"))
    assert [word.text for word in made.segments[1].words] == ["今", "日"]
    assert len(made.segments) == 2


def test_words_without_times_never_end_before_they_start() -> None:
    late = [
        {"word": "so", "start": 1.0, "end": 5.0},
        {"word": "er"},
        {"word": "well", "start": 2.0, "end": 3.0},
        {"word": "no"},
    ]
    made = read({"start": 1.0, "end": 3.0, "text": "", "words": late})
    assert [word.span for word in made.segments[0].words][1::2] == [Span(5.0, 5.0), Span(5.0, 5.0)]


def ours(**change: Any) -> str:
    word = Word(Span(0.5, 1.0), "Hello", 0.5)
    made = Transcript(
        "call", 2.0, (Segment("SPEAKER_00", (word,)),), (Turn(word.span, "SPEAKER_00"),), Provenance("0.1.0")
    )
    return json.dumps({**json.loads(export(made, "json", Outputs())), **change})


def segment(**change: Any) -> list[dict[str, Any]]:
    return [{**json.loads(ours())["segments"][0], **change}]


BAD = {
    "": "not valid JSON: Expecting value in line 1, column 1",
    '{"segments": [}': "line 1, column 15",
    "[" * 100_000: "not usable JSON|not valid JSON",
    "[]": "a JSON object with 'segments' is needed",
    '"text"': "a JSON object with 'segments' is needed",
    '{"a": 1}': "a JSON object with 'segments' is needed",
    '{"segments": 3}': "segments: a list is needed, not a number",
    '{"segments": [3]}': r"segments\[0\]: an object is needed, not a number",
    '{"segments": [{"start": 1, "text": "x"}]}': r"segments\[0\]: the key 'end' is missing",
    '{"segments": [{"start": 1, "end": "x"}]}': r"segments\[0\]\.end: a number is needed, not a text",
    '{"segments": [{"start": 2, "end": 1, "text": "x"}]}': r"segments\[0\]: it starts at 2.0 s and ends at 1.0 s",
    '{"segments": [{"start": 0, "end": NaN, "text": "x"}]}': r"segments\[0\]\.end: a finite number",
    '{"segments": [{"start": 0, "end": 1, "words": [{"score": 1}]}]}': (
        r"segments\[0\]\.words\[0\]: the key 'word' is missing"
    ),
    ours(schema="meetsplit/9"): "schema 'meetsplit/9': this meetsplit reads 'meetsplit/1'",
    ours(schema=1): "schema: a text is needed",
    ours(recording="../../etc/passwd"): "recording: a file name without a folder is needed",
    ours(duration=None): "duration: a number is needed, not null",
    ours(duration=10**400): "duration: a finite number",
    ours(duration=True): "duration: a number is needed, not true or false",
    ours(speakers={"SPEAKER_00": 4}): "speakers.SPEAKER_00: a text is needed",
    ours(turns=[{"start": 0, "end": 1}]): r"turns\[0\]: the key 'speaker' is missing",
    ours(segments=segment(words=[])): r"segments\[0\]: a segment has at least one word",
    ours(segments=segment(text="Good bye")): r"segments\[0\]\.text: it differs from the words; edit the words",
    ours(
        segments=segment(source="radio")
    ): r"segments\[0\]\.source: mixture or separated or silent is needed, not 'radio'",
    ours(segments=segment(overlap="yes")): r"segments\[0\]\.overlap: true or false is needed, not a text",
    ours(segments=segment(review=[None])): r"segments\[0\]\.review\[0\]: a text is needed, not null",
    ours(
        made_by={"version": "1", "stages": [], "settings": {"a": [1]}, "packages": {}}
    ): "made_by.settings.a: a text, a number",
}


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
def test_bad_json_says_what_and_where(text: str) -> None:
    with pytest.raises(SettingsError, match=BAD[text]) as caught:
        read_transcript(text, "call.json")
    assert str(caught.value).startswith("call.json: ")
    assert "\n" not in str(caught.value)


def test_what_is_written_for_scoring_is_read_again() -> None:
    words = (Word(Span(0.1, 0.5), "Hello,"), Word(Span(0.5, 1.9), "there."))
    turns = (Turn(Span(0.1, 2.0), "A"), Turn(Span(0.3, 0.5), "B"))
    made = Transcript("call", 9.0, (Segment("A", words),), turns, Provenance("1"))
    assert [line.turn for line in rttm.read(export(made, "rttm", Outputs()))] == list(turns)
    [utterance] = stm.read(export(made, "stm", Outputs()))
    assert (utterance.recording, utterance.speaker, utterance.text) == ("call", "A", "Hello, there.")
    [entry] = seglst.read(json.loads(export(made, "seglst", Outputs())))
    assert (entry.recording, entry.speaker, entry.words) == ("call", "A", "Hello, there.")
    assert entry.span == utterance.span == Span(0.1, 1.9)


@pytest.mark.parametrize("text", ["call 1 anna 0 1 <o,f0,female> yes <b,c>", "call 1 anna 0 1 yes <b,c>"])
def test_the_label_of_an_stm_stands_at_the_beginning(text: str) -> None:
    [line] = stm.read(f"\ufeff;; comment\n{text}\n")
    assert (line.number, line.text) == (2, "yes <b,c>")
