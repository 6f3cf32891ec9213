"""`rediarize`: the same turns give the same transcript, other turns each word once, in the voice it was heard in."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_merge import scripts

from meetsplit import cli
from meetsplit.pipeline.cache.stage_cache import StageCache
from meetsplit.pipeline.data import (
    Diarization,
    Provenance,
    Segment,
    Span,
    StageRecord,
    StreamInfo,
    Transcript,
    Turn,
    Word,
    timeline,
)
from meetsplit.pipeline.data.transcript import ClipTranscript
from meetsplit.pipeline.errors import AudioError, SettingsError, StageError
from meetsplit.pipeline.events import Event, Notice
from meetsplit.pipeline.formats import read_transcript
from meetsplit.pipeline.merge import merge
from meetsplit.pipeline.results.rediarize import find_pair, read_words, rediarized
from meetsplit.pipeline.run import Pipeline
from meetsplit.pipeline.separators.adapted import AdaptedSeparator
from meetsplit.pipeline.separators.adapted_training import TrainingBudget
from meetsplit.pipeline.separators.dictionary import DictionarySeparator, NmfOptions
from meetsplit.pipeline.separators.mask_refiner import Config, Refiner
from meetsplit.pipeline.settings import Settings

NEW_RUN = Provenance("new")
QUICK = NmfOptions(exemplars=200, speeds=(1.0,), updates=4)
SEPARATORS = {
    "dictionary": lambda: DictionarySeparator(options=QUICK),
    "adapted": lambda: AdaptedSeparator(
        Refiner(Config(width=8, blocks=1, speaker_dim=4)),
        budget=TrainingBudget(0.0),
        base=DictionarySeparator(options=QUICK),
    ),
}


def said(speaker: str, start: float, *words: str, step: float = 0.4, **more: Any) -> Segment:
    """A segment of words of ``step`` seconds one after another."""
    spans = (Span(start + at * step, start + (at + 1) * step) for at in range(len(words)))
    return Segment(speaker, tuple(Word(span, text) for span, text in zip(spans, words, strict=True)), **more)


def turns(**spans: list[tuple[float, float]]) -> tuple[Turn, ...]:
    return tuple(sorted(Turn(Span(*span), who) for who, own in spans.items() for span in own))


def transcript(segments: list[Segment], old_turns: tuple[Turn, ...], **more: Any) -> Transcript:
    ordered = tuple(sorted(segments, key=lambda segment: (segment.span, segment.speaker)))
    return Transcript("call", 60.0, ordered, old_turns, Provenance("old"), **more)


def words_by_speaker(result: Transcript) -> dict[str, str]:
    texts: dict[str, list[str]] = {}
    for segment in result.segments:
        texts.setdefault(segment.speaker, []).append(segment.text)
    return {speaker: " ".join(own) for speaker, own in texts.items()}


def given_turns(old: Transcript, new_turns: tuple[Turn, ...]) -> dict[str, str]:
    return words_by_speaker(rediarized(old, Diarization(60.0, new_turns), NEW_RUN))


@pytest.mark.parametrize("separator", SEPARATORS)
def test_the_same_turns_give_the_same_transcript(separator: str, call: Any, tmp_path: Path) -> None:
    t = np.arange(14 * 16000) / 16000
    voices = [
        (0.2 * np.sin(2 * np.pi * pitch * t) * np.sin(2 * np.pi * beat * t) ** 2 * active).astype(np.float32)
        for pitch, beat, active in ((150, 1.5, t < 7), (430, 2.2, t > 5))
    ]
    call.write_pcm(call.path, [(sum(voices) * 32767).astype("<i2")])
    call.rttm.write_text("SPEAKER x 1 0 7 <NA> <NA> A <NA> <NA>\nSPEAKER x 1 5 9 <NA> <NA> B <NA> <NA>\n")
    lines = [f"x A {at} 0.3 a{at}\nx B {at + 0.1} 0.3 b{at}" for at in np.arange(0.5, 13.5, 0.5).tolist()]
    call.script.write_text("\n".join(lines) + "\n")
    options = {"rttm": call.rttm, "script": call.script, "device": "cpu", "overlap_checks": "none"}

    def run(folder: str, words: Transcript | None = None, **more: Any) -> Transcript:
        (tmp_path / folder).mkdir()
        pipeline = Pipeline(Settings(**options, **more), loaded={"separator": SEPARATORS[separator]()})
        return pipeline.open(call.path, StageCache(tmp_path / folder), words=words).transcript()

    old = run("old", separator=separator)
    assert {"separated"} <= {segment.source for segment in old.segments}
    assert any(segment.overlap for segment in old.segments)
    for folder, separate in (("mixed", "off"), ("separated", "overlaps")):
        new = run(folder, old, separator=separator, separate=separate)
        assert dataclasses.replace(new, made_by=old.made_by) == old


@settings(max_examples=30, deadline=None)
@given(scripts(), st.sampled_from([0.0, 0.1]), st.booleans())
def test_no_word_is_lost_or_given_twice(
    script: tuple[list[Turn], dict[str, list[Word]]], padding: float, moved: bool
) -> None:
    drawn, words = script
    old_turns = timeline.relabelled(turn for turn in timeline.merge_turns(drawn))
    by_name = {turn.speaker: old.speaker for turn, old in zip(timeline.merge_turns(drawn), old_turns, strict=True)}
    clips = [
        (StreamInfo(by_name[who], Span(0.0, 60.0), ()), ClipTranscript(tuple(Word(
            Span(word.span.start, word.span.end + padding), word.text, word.confidence) for word in own)))
        for who, own in words.items()
    ]  # fmt: skip
    old = Transcript("call", 60.0, merge(clips, old_turns, Span(0.0, 60.0)), old_turns, NEW_RUN)
    if not old.turns:
        return
    same = rediarized(old, Diarization(60.0, old.turns), NEW_RUN)
    assert same == dataclasses.replace(old, made_by=same.made_by)
    shifted = tuple(Turn(Span(turn.span.start + 0.4 * moved, turn.span.end + 0.5), turn.speaker) for turn in old.turns)
    other = rediarized(old, Diarization(60.0, timeline.relabelled(shifted[: len(shifted) // 2 + 1])), NEW_RUN)
    count = [Counter(word for segment in one.segments for word in segment.words) for one in (old, other)]
    assert count[0] == count[1]


def test_overlapped_words_stay_in_their_voices() -> None:
    old = transcript(
        [said("SPEAKER_00", 0.0, "so", "we", "will", "meet", "on", "friday"), said("SPEAKER_01", 1.0, "yes", "ok")],
        turns(SPEAKER_00=[(0, 2.4)], SPEAKER_01=[(1, 1.8)]),
    )
    other_labels_and_edges = turns(SPEAKER_00=[(0.9, 1.9)], SPEAKER_01=[(0.1, 2.5)])
    assert given_turns(old, other_labels_and_edges) == {
        "SPEAKER_01": "so we will meet on friday",
        "SPEAKER_00": "yes ok",
    }


def test_a_speaker_that_was_two_people_is_taken_apart_by_the_turns() -> None:
    old = transcript([said("SPEAKER_00", 0.0, "good", "morning", "hi", "there", step=1.0)], turns(SPEAKER_00=[(0, 4)]))
    new = given_turns(old, turns(SPEAKER_00=[(0, 2)], SPEAKER_01=[(2, 4)]))
    assert new == {"SPEAKER_00": "good morning", "SPEAKER_01": "hi there"}


def test_two_voices_at_once_are_two_people_where_both_fit_one_best() -> None:
    old = transcript(
        [said("SPEAKER_00", 0.0, *"abcdefgh"), said("SPEAKER_01", 2.8, *"stuvwxyz")],
        turns(SPEAKER_00=[(0, 3.2)], SPEAKER_01=[(2.8, 6)]),
    )
    new = rediarized(old, Diarization(60.0, turns(SPEAKER_00=[(0, 6)], SPEAKER_01=[(2.8, 3.2)])), NEW_RUN)
    spoken = words_by_speaker(new)
    assert len(spoken["SPEAKER_01"].split()) == 1, "of h and s, said at once, one is the other person's"


def test_words_where_nobody_speaks_are_kept_without_a_speaker() -> None:
    old = transcript(
        [
            said("SPEAKER_00", 0.0, "good", "morning"),
            said("SPEAKER_01", 10.0, "not", "found"),
            said("SPEAKER_00", 20.0, "bye"),
            said("SPEAKER_01", 30.0, *["missed"] * 10),
        ],
        turns(SPEAKER_00=[(0, 1), (20, 20.4)], SPEAKER_01=[(10, 11), (30, 34)]),
    )
    events: list[Event] = []
    found = turns(SPEAKER_00=[(0, 0.4), (20.5, 21), (28, 29.9)])
    new = rediarized(old, Diarization(60.0, found), NEW_RUN, events.append)
    unknown = " ".join(["not", "found", *["missed"] * 10])
    assert words_by_speaker(new) == {"SPEAKER_00": "good morning bye", "UNKNOWN": unknown}
    (notice,) = events
    assert isinstance(notice, Notice)
    assert "12 words lie where nobody speaks" in notice.text


def test_what_was_known_of_words_stays_with_them() -> None:
    heard = {"source": "separated", "margin": 0.25, "review": ("low-speaker-margin",), "language": "de"}
    old = transcript(
        [said("SPEAKER_00", 0.0, "guten", "morgen", **heard), said("SPEAKER_01", 3.0, "hello")],
        turns(SPEAKER_00=[(0, 1)], SPEAKER_01=[(3, 4)]),
        names=(("SPEAKER_00", "Anna"), ("SPEAKER_01", "Ben")),
    )
    old = dataclasses.replace(
        old, made_by=Provenance("old", (StageRecord("transcriber", "whisper", ("turbo",), "cpu", "here"),))
    )
    made_by = Provenance(
        "new", (StageRecord("diarizer", "rttm", (), "cpu", ""), StageRecord("transcriber", "script", (), "cpu", ""))
    )
    new = rediarized(old, Diarization(60.0, turns(SPEAKER_01=[(0, 1.1)], SPEAKER_00=[(3, 4.5)])), made_by)
    first, second = new.segments
    assert (first.source, first.margin, first.review, first.language) == tuple(heard.values())
    assert (second.source, second.margin, second.review) == ("mixture", None, ())
    assert dict(new.names) == {"SPEAKER_01": "Anna", "SPEAKER_00": "Ben"}
    assert [record.backend for record in new.made_by.stages] == ["rttm", "whisper"]


def test_a_recording_without_turns_is_an_error() -> None:
    old = transcript([said("SPEAKER_00", 0.0, "hello")], turns(SPEAKER_00=[(0, 1)]))
    with pytest.raises(StageError, match="no speech was found"):
        rediarized(old, Diarization(60.0, ()), NEW_RUN)


def test_the_command_gives_the_same_words_under_the_recordings_name(call: Any, tmp_path: Path) -> None:
    call.rttm.write_text("SPEAKER x 1 0.5 3 <NA> <NA> A <NA> <NA>\nSPEAKER x 1 2 3 <NA> <NA> B <NA> <NA>\n")
    call.script.write_text("x A 1.0 0.5 good\nx B 2.4 0.5 oh\nx A 2.5 0.5 morning\nx B 4 0.5 hello\n")
    call.run()
    (call.out / "call.json").chmod(0o600)
    old = json.loads((call.out / "call.json").read_text())
    arguments = [
        "rediarize",
        call.out / "call.json",
        "--audio",
        call.path,
        "--rttm",
        call.rttm,
        "-f",
        "json",
        "--device",
        "cpu",
    ]
    with pytest.raises(SystemExit) as ended:
        cli.main([*map(str, arguments), "--cache-dir", str(call.cache), "-q"])  # fmt: skip
    assert ended.value.code == 0
    written = call.out / "call-rediarized.json"
    new = json.loads(written.read_text())
    assert {**new, "made_by": None} == {**old, "made_by": None}, "the recording's name included: score goes by it"
    tracks = sorted((call.out / "call-rediarized").iterdir())
    assert [path.name for path in tracks] == ["A.wav", "B.wav"]
    modes = {path.stat().st_mode & 0o777 for path in (written, *tracks)}
    assert modes == {0o600}, "as private as the transcript"
    assert read_transcript(written.read_text()).recording == "call"


def test_a_transcript_and_its_recording_are_found_by_each_other(call: Any) -> None:
    with pytest.raises(SettingsError, match=r"no transcript call\.json"):
        find_pair(call.path)
    beside = call.path.with_suffix(".json")
    call.run()
    beside.write_bytes((call.out / "call.json").read_bytes())
    assert find_pair(beside) == find_pair(call.path) == (beside, call.path)
    lonely = call.path.parent / "lonely.json"
    lonely.write_text('{"segments": []}')
    with pytest.raises(SettingsError, match="no recording of that name lies beside"):
        find_pair(lonely)
    assert find_pair(lonely, call.path) == (lonely, call.path)
    with pytest.raises(SettingsError, match="holds no words"):
        read_words(lonely)
    with pytest.raises(AudioError, match="cannot be read as a transcript"):
        read_words(call.path.parent / "missing.json")
