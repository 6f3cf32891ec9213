"""Guards: what cannot have been said is dropped, with a reason that people see."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import KnownCall
from voices import babble

from meetsplit.benchmarks.words import music, sounds
from meetsplit.pipeline.cache.stage_cache import StageCache
from meetsplit.pipeline.data import (
    Audio,
    ClipTranscript,
    DroppedText,
    Provenance,
    Samples,
    Segment,
    Span,
    StreamInfo,
    Transcript,
    Word,
)
from meetsplit.pipeline.events import Notice, Started
from meetsplit.pipeline.formats import meetsplit_json
from meetsplit.pipeline.formats.json_node import parse
from meetsplit.pipeline.merge import with_dropped
from meetsplit.pipeline.run import Pipeline
from meetsplit.pipeline.settings import Outputs
from meetsplit.pipeline.transcribers.hallucinations import (
    NO_SPEECH,
    NO_VOICE,
    REPETITION,
    RawWord,
    guard_words,
    is_out_of_pace,
)
from meetsplit.pipeline.transcribers.voicing import VoiceEvidence

RATE = 16000


def has_voice(samples: Samples) -> bool:
    return VoiceEvidence(Audio(samples, RATE)).anywhere


@pytest.mark.parametrize("name", [name for name, _ in sounds(0.0) if not name.startswith("melody")])
def test_even_sound_is_no_voice(name: str) -> None:
    (samples,) = dict(sounds(0.0))[name]
    assert not has_voice(samples[: 8 * RATE])


def test_what_moves_as_syllables_do_may_be_a_voice_and_short_sounds_are_not_judged() -> None:
    assert has_voice(babble(4.0))
    assert has_voice(0.01 * babble(4.0)), "a quiet person"
    assert not has_voice(np.float32(1e-4) * babble(4.0)), "fainter than a step of 16 bits"
    assert has_voice(music(0, RATE, note=2.0)), "a second of a held tone may be somebody's hum"


def test_in_a_clip_of_both_only_words_beside_the_voice_stay() -> None:
    hum = np.sin(2 * np.pi * 300.0 * np.arange(8 * RATE) / RATE).astype(np.float32) * np.float32(0.1)
    clip = Audio(np.concatenate([babble(4.0), hum]), RATE, 100.0)
    raw = [RawWord(1.0, 1.4, "Hello.", 0.9), RawWord(8.0, 8.5, "Thank", 0.9), RawWord(8.5, 9.0, " you.", 0.9)]
    words, dropped = guard_words(raw, clip)
    assert [word.text for word in words] == ["Hello."]
    assert dropped == (DroppedText(Span(108.0, 109.0), NO_VOICE, "Thank you."),)


@pytest.mark.parametrize(
    ("phrase", "times", "left"), [("no", 5, 5), ("no", 8, 1), ("Thank you.", 3, 6), ("Go on,", 4, 2)]
)
def test_of_a_loop_one_phrase_stays(phrase: str, times: int, left: int) -> None:
    said = ["Well,", *(phrase.split() * times), "then."]
    raw = [RawWord(0.2 * n, 0.2 * n + 0.15, text, 0.9) for n, text in enumerate(said)]
    words, dropped = guard_words(raw, Audio(babble(4.0), RATE))
    count = len(phrase.split())
    assert [word.text for word in words] == ["Well,", *(phrase.split() * times)[:left], "then."]
    assert [text.reason for text in dropped] == [REPETITION] * (left < count * times)


@pytest.mark.parametrize(
    ("text", "seconds", "out"),
    [
        ("you", 20.0, True),
        ("you", 5.0, False),
        ("We looked at the numbers and sent them on.", 1.0, False),
        ("We looked at the numbers and sent them on.", 0.5, True),
        ("Yes.", 0.1, False),
    ],
)
def test_pace(text: str, seconds: float, out: bool) -> None:
    assert is_out_of_pace(text, 0.1 * np.ones(round(seconds * RATE), np.float32), RATE) == out
    quiet = np.concatenate([0.1 * np.ones(RATE, np.float32), np.full(20 * RATE, 1e-4, np.float32)])
    assert not is_out_of_pace("Yes.", quiet, RATE), "a pause is not speech"


def clip_info(speaker: str, start: float, end: float) -> StreamInfo:
    return StreamInfo(speaker, Span(start, end), (Span(start, end),))


def segment(speaker: str, start: float, end: float) -> Segment:
    return Segment(speaker, (Word(Span(start, end), "word"),), review=("three-voices",))


def test_the_nearest_segment_of_the_clip_says_what_was_dropped() -> None:
    segments = [segment("A", 1.0, 2.0), segment("B", 3.0, 4.0), segment("A", 5.0, 6.0), segment("A", 9.0, 9.5)]
    near, far = DroppedText(Span(3.8, 4.2), REPETITION, "la la"), DroppedText(Span(20.0, 21.0), NO_SPEECH, "Bye.")
    transcripts = [
        (clip_info("A", 0.5, 7.0), ClipTranscript((), dropped=(near, near))),
        (clip_info("A", 19.0, 22.0), ClipTranscript((), dropped=(far,))),
        (clip_info("B", 3.0, 4.0), ClipTranscript(())),
    ]
    reviewed, alone = with_dropped(segments, transcripts)
    assert [one.review[1:] for one in reviewed] == [(), (), (REPETITION,), ()]
    assert alone == (("A", far),)


class Loop:
    """A transcriber that has words in the first clip, and drops text in both."""

    rate = RATE

    def transcribe(self, clips: Sequence[Audio], on_event: Any) -> Iterator[ClipTranscript]:
        for clip in clips:
            words = (Word(Span(clip.start + 0.1, clip.start + 0.5), "yes"),) if clip.start < 1.0 else ()
            yield ClipTranscript(words, "en", (DroppedText(clip.span, REPETITION, "la la la"),))


def test_what_was_dropped_is_seen_counted_and_kept(call: KnownCall) -> None:
    call.options = {"rttm": call.rttm, "separate": "off", "overlap_checks": "none"}
    for stages in ({"transcribe"}, set[str]()):
        events: list[Any] = []
        call.run(pipeline=Pipeline(call.settings, on_event=events.append, loaded={"transcriber": Loop()}))
        assert {event.stage for event in events if isinstance(event, Started)} & {"transcribe"} == stages
        result = json.loads(call.results()["call.json"])
        assert result["made_by"]["guards"] == {REPETITION: 2}
        assert [one["review"] for one in result["segments"]] == [[REPETITION]]
        (notice,) = (event.text for event in events if isinstance(event, Notice))
        assert notice.startswith("no words where nobody can have said what was written: ")
        assert notice.endswith(f"s SPEAKER_01 ({REPETITION})")


def test_counters_are_written_and_read_back_and_left_out_where_nothing_was_dropped() -> None:
    for guards in ((), ((NO_SPEECH, 1), (REPETITION, 2))):
        transcript = Transcript("call", 9.0, (segment("A", 1.0, 2.0),), (), Provenance("1", guards=guards))
        text = meetsplit_json.write(transcript, Outputs())
        assert ("guards" in json.loads(text)["made_by"]) == bool(guards)
        assert meetsplit_json.read(parse(text, "call.json")) == transcript


def test_the_cache_keeps_what_was_dropped(tmp_path: Path) -> None:
    kept = (ClipTranscript((), "en", (DroppedText(Span(1.0, 2.0), NO_VOICE),)), ClipTranscript(()))
    StageCache(tmp_path).save_transcripts("key", kept)
    assert StageCache(tmp_path).load_transcripts("key", 2) == kept
