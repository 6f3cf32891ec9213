"""Words from files: STM, CTM, SegLST, the clips they fall into, and every way in which such a file can be wrong."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counted_calls import calls
from meetsplit.pipeline.data import Audio, ClipTranscript, Span, Word, timeline
from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.events import ignore_events
from meetsplit.pipeline.formats.untimed_words import fill_gaps, spread
from meetsplit.pipeline.settings import Settings
from meetsplit.pipeline.transcribers.given_words import PAUSE, Entry, GivenWordsTranscriber, read_entries


def noise(seconds: float, start: float = 0.0) -> Audio:
    return Audio(np.full(round(seconds * 16000), 0.1, np.float32), 16000, start)


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def words(path: Path) -> tuple[Word, ...]:
    return tuple(word for entry in read_entries(path) for word in entry.words)


def texts(path: Path) -> list[str]:
    return [word.text for word in words(path)]


def test_stm_words_are_spread_over_their_entry(tmp_path: Path) -> None:
    stm = ";; a comment\ncall 1 anna 10.0 14.0 <o,f0> we agree\ncall 1 ben 14.5 15.5 yes\n"
    assert words(written(tmp_path, "call.stm", stm)) == (
        Word(Span(10.0, 10.0 + 4 / 7 * 2), "we"),
        Word(Span(10.0 + 4 / 7 * 2, 14.0), "agree"),
        Word(Span(14.5, 15.5), "yes"),
    )


def test_stm_alternatives_and_unscored_stretches(tmp_path: Path) -> None:
    stm = (
        "call 1 anna 0 1 { um / @ } it { is / was } fine\n"
        "call 1 anna 1 2 ignore_time_segment_in_scoring\ncall 1 anna 2 3\n"
    )
    assert texts(written(tmp_path, "call.stm", stm)) == ["um", "it", "is", "fine"]


def test_ctm_has_a_time_and_a_confidence_for_each_word(tmp_path: Path) -> None:
    ctm = "call 1 0.50 0.25 hello 0.9\ncall 1 0.75 0.25 there\n"
    assert words(written(tmp_path, "call.ctm", ctm)) == (
        Word(Span(0.5, 0.75), "hello", 0.9),
        Word(Span(0.75, 1.0), "there"),
    )


def test_seglst(tmp_path: Path) -> None:
    entries = [{"session_id": "call", "speaker": "anna", "start_time": "1.0", "end_time": 2.0, "words": "hello there"}]
    assert words(written(tmp_path, "call.json", json.dumps(entries))) == (
        Word(Span(1.0, 1.5), "hello"),
        Word(Span(1.5, 2.0), "there"),
    )


@pytest.mark.parametrize(
    "text",
    [
        "call 1 0.50 0.25 hello 0.9",
        "call 1 anna 0.50 0.75 hello",
        '[{"start_time": 0.5, "end_time": 0.75, "words": "hello"}]',
    ],
)
def test_the_format_is_told_from_the_content_where_the_name_says_nothing(tmp_path: Path, text: str) -> None:
    assert [(word.text, word.span) for word in words(written(tmp_path, "words.txt", text))] == [
        ("hello", Span(0.5, 0.75))
    ]


def test_a_clip_gets_the_words_whose_middle_it_holds_with_times_inside_it(tmp_path: Path) -> None:
    path = written(
        tmp_path, "call.ctm", "call 1 0.0 1.0 one\ncall 1 1.0 1.0 two\ncall 1 2.0 1.0 three\ncall 1 3.0 1.0 four\n"
    )
    transcriber = GivenWordsTranscriber.load(Settings(script=path), {}, "cpu")
    (transcript,) = transcriber.transcribe([noise(2.0, start=1.4)], ignore_events)
    assert [(word.text, word.span.start, word.span.end) for word in transcript.words] == [
        ("two", pytest.approx(1.4), 2.0),
        ("three", 2.0, 3.0),
    ]


def test_neighbouring_clips_share_no_word_and_lose_none(tmp_path: Path) -> None:
    path = written(tmp_path, "call.ctm", "".join(f"call 1 {n / 2} 0.5 w{n}\n" for n in range(20)))
    transcriber = GivenWordsTranscriber.load(Settings(script=path), {}, "cpu")
    transcripts = transcriber.transcribe([noise(3.25), noise(0.5, start=3.25), noise(6.25, start=3.75)], ignore_events)
    assert [word.text for transcript in transcripts for word in transcript.words] == [f"w{n}" for n in range(20)]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.stm", "call 1 anna 0.5\n", "line 1: an STM line is"),
        ("a.stm", "\ncall 1 anna 2.0 1.0 hello\n", "line 2: needs 0 <= start <= end"),
        ("a.stm", "call 1 anna zero 1.0 hello\n", "'zero' is no time"),
        ("a.stm", "call 1 anna 0 nan hello\n", "'nan' is no time"),
        ("a.ctm", "call 1 0.5 hello\n", "line 1: a CTM line is"),
        ("a.ctm", "call 1 -1 0.5 hello\n", "needs 0 <= start"),
        ("a.json", "{", "is not valid JSON"),
        ("a.json", '{"segments": []}', "is not SegLST"),
        ("a.json", '[{"start_time": null, "end_time": 1, "words": "x"}]', "entry 1: None is no time"),
        ("a.stm", "one 1 a 0 1 x\ntwo 1 a 0 1 x\n", "the words of 2 recordings"),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path: Path, name: str, text: str, says: str) -> None:
    path = written(tmp_path, name, text)
    with pytest.raises(SettingsError, match=says) as caught:
        GivenWordsTranscriber.load(Settings(script=path), {}, "cpu")
    assert str(path) in str(caught.value)


def test_a_missing_or_binary_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        words(tmp_path / "gone.stm")
    (tmp_path / "a.stm").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="not UTF-8"):
        words(tmp_path / "a.stm")


@given(st.floats(0, 1e5), st.floats(0, 1e4), st.lists(st.text("abcdefgh", min_size=1, max_size=12), max_size=30))
def test_spread_words_fill_their_entry(start: float, length: float, texts: list[str]) -> None:
    spread_words = spread(texts, Span(start, start + length))
    assert [word.text for word in spread_words] == texts
    assert all(a.span.end == b.span.start for a, b in itertools.pairwise(spread_words))
    if spread_words:
        assert spread_words[0].span.start == start
        assert spread_words[-1].span.end == start + length
    assert fill_gaps(texts, [None] * len(texts), Span(start, start + length)) == spread_words


def test_where_two_speak_at_once_everybody_gets_their_own_words(tmp_path: Path) -> None:
    stm = "call 1 anna 0.0 4.0 we can start with the report\ncall 1 ben 2.0 3.0 yes please\n"
    transcriber = GivenWordsTranscriber.load(Settings(script=written(tmp_path, "call.stm", stm)), {}, "cpu")
    long, short = transcriber.transcribe([noise(4.0), noise(1.0, start=2.0)], ignore_events)
    assert [word.text for word in long.words] == ["we", "can", "start", "with", "the", "report"]
    assert [word.text for word in short.words] == ["yes", "please"]


def test_a_wrong_speaker_in_the_file_loses_no_word(tmp_path: Path) -> None:
    stm = "call 1 anna 0.0 2.0 good morning\ncall 1 ben 2.5 3.5 thank you\n"
    transcriber = GivenWordsTranscriber.load(Settings(script=written(tmp_path, "call.stm", stm)), {}, "cpu")
    (transcript,) = transcriber.transcribe([noise(4.0)], ignore_events)
    assert [word.text for word in transcript.words] == ["good", "morning", "thank", "you"]


ticks = st.integers(0, 40).map(lambda tick: tick / 4)


@st.composite
def entries(draw: st.DrawFn) -> list[Entry]:
    drawn = []
    for start, length in draw(st.lists(st.tuples(ticks, st.integers(0, 12)), max_size=12)):
        span = Span(start, start + length / 4)
        texts = draw(st.lists(st.sampled_from(["yes", "no", "well"]), max_size=4))
        drawn.append(Entry(span, draw(st.sampled_from("ABCD")), spread(texts, span)))
    return drawn


def plain_words_for(given_entries: list[Entry], span: Span) -> list[Word]:
    """The words for a clip, from the definition: the speaker whose speech fits best, and what others say meanwhile."""
    speech = {
        speaker: timeline.support((e.span for e in given_entries if e.speaker == speaker), PAUSE)
        for speaker in sorted({entry.speaker for entry in given_entries})
    }

    def fit(speaker: str) -> float:
        near = timeline.during(speech[speaker], span)
        if not near:
            return 0.0
        shared = timeline.total(timeline.crop(near, span))
        return shared / (max(near[-1].end, span.end) - min(near[0].start, span.start))

    best = max(speech, key=fit, default="")
    taken = []
    for entry in given_entries:
        for word in entry.words:
            middle = (word.span.start + word.span.end) / 2
            silent = not timeline.during(speech[best], Span(middle, middle + 1e-6))
            if span.start <= middle < span.end and (entry.speaker == best or silent):
                taken.append(Word(Span(max(word.span.start, span.start), min(word.span.end, span.end)), word.text))
    return sorted(taken, key=lambda word: (word.span, word.text))


@given(entries(), st.lists(st.tuples(ticks, st.integers(1, 20)), max_size=4))
@settings(deadline=None)
def test_clips_get_the_words_of_the_plain_definition(
    given_entries: list[Entry], places: list[tuple[float, int]]
) -> None:
    transcriber = GivenWordsTranscriber(given_entries)
    clips = [noise(length / 4, start) for start, length in places]
    for clip, transcript in zip(clips, transcriber.transcribe(clips, ignore_events), strict=True):
        assert list(transcript.words) == plain_words_for(given_entries, clip.span)


def test_the_work_grows_with_the_clips_not_with_clips_times_speakers() -> None:
    def calls_for(count: int) -> int:
        """Function calls for as many entries and clips, each entry of a speaker of its own."""
        long = Entry(Span(0.0, float(count)), "long", ())
        spans = [Span(float(n), n + 0.9) for n in range(count)]
        transcriber = GivenWordsTranscriber([long, *(Entry(s, f"{s.start}", spread(["yes"], s)) for s in spans)])
        clips = [noise(0.9, span.start) for span in spans]
        transcripts: list[ClipTranscript] = []
        counted = calls(lambda: transcripts.extend(transcriber.transcribe(clips, ignore_events)))
        assert all(len(transcript.words) == 1 for transcript in transcripts)
        return counted

    assert calls_for(400) < 5 * calls_for(100)
