"""Subtitles: every word once, under the name of its speaker, lines that fit, cues that do not collide."""

from __future__ import annotations

import html
import itertools
import re
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from meetsplit.pipeline.data import Provenance, Segment, Span, Transcript, Turn, Word, join_words
from meetsplit.pipeline.formats import export
from meetsplit.pipeline.formats.line_breaking import Layout, lines
from meetsplit.pipeline.formats.text import one_line, width
from meetsplit.pipeline.settings import Outputs

NAMES = {"SPEAKER_00": "Ann", "SPEAKER_01": "Bo Li", "SPEAKER_02": "SPEAKER_02"}


@dataclass(frozen=True)
class Shown:
    start: int
    end: int
    blocks: tuple[tuple[str, tuple[str, ...]], ...]
    place: str = ""


def clock(text: str) -> int:
    hours, minutes, seconds, thousandths = map(
        int, re.fullmatch(r"(\d\d+):([0-5]\d):([0-5]\d)[.,](\d{3})", text).groups()
    )  # type: ignore[union-attr]
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + thousandths


def parse_srt(text: str) -> list[Shown]:
    shown = []
    for number, block in enumerate(text[:-1].split("\n\n") if text else [], 1):
        head, timing, *rest = block.rstrip("\n").split("\n")
        assert head == str(number)
        start, end = timing.split(" --> ")
        assert "," in start
        assert rest
        assert all(rest)
        assert not any("-->" in line for line in rest)
        blocks: list[tuple[str, list[str]]] = []
        for line in rest:
            opened = re.match(f"(- )?({'|'.join(NAMES.values())}):(?: |$)", line)
            if opened:
                blocks.append((opened[2], [line[opened.end() :]]))
            else:
                blocks[-1][1].append(line)
        assert (
            all(line.startswith("- ") for line in rest if re.match("(- )?(Ann|Bo Li|SPEAKER_02):", line))
            or len(blocks) == 1
        )
        shown.append(Shown(clock(start), clock(end), tuple((who, tuple(text)) for who, text in blocks)))
    return shown


def parse_vtt(text: str) -> tuple[list[Shown], list[str]]:
    """A strict reading of the part of WebVTT that we write."""
    header, *blocks = text[:-1].split("\n\n")
    assert header.strip() == "WEBVTT"
    shown, notes = [], []
    for block in blocks:
        if block.startswith("NOTE"):
            assert "-->" not in block
            notes.append(block)
            continue
        timing, *rest = block.split("\n")
        times = re.fullmatch(r"(\S+) --> (\S+)((?: position:\d+% size:\d+% align:left)?)", timing)
        assert times, timing
        body = "\n".join(rest)
        voice = re.fullmatch(r"<v ([^\n<>]+)>([^<>]+)", body)
        assert voice, body
        assert not re.search(r"&(?!(amp|lt|gt);)", body)
        text = tuple(html.unescape(voice[2]).split("\n"))
        shown.append(Shown(clock(times[1]), clock(times[2]), ((html.unescape(voice[1]), text),), times[3].strip()))
    return shown, notes


letters = st.text("abc,.?今日אب&é", min_size=1, max_size=9)
speakers = st.sampled_from(sorted(NAMES))


@st.composite
def meetings(draw: st.DrawFn) -> Transcript:
    segments = []
    for speaker in draw(st.lists(speakers, max_size=8)):
        at = draw(st.floats(0, 30))
        words = []
        for text in draw(st.lists(letters, min_size=1, max_size=14)):
            at += draw(st.sampled_from([0.0, 0.0, 0.05, 0.4, 1.5, 9.0]))
            end = at + draw(st.sampled_from([0.0, 0.1, 0.3, 8.0]))
            words.append(Word(Span(at, end), text))
            at = end if draw(st.booleans()) else at
        segments.append(Segment(speaker, tuple(words)))
    segments.sort(key=lambda segment: segment.span.start)
    turns = tuple(sorted(Turn(segment.span, segment.speaker) for segment in segments))
    return Transcript("call", 40.0, tuple(segments), turns, Provenance("0"), tuple(NAMES.items())[:2])


layouts = st.builds(Outputs, max_line_width=st.sampled_from([12, 20, 42]), max_line_count=st.sampled_from([1, 2, 3]))


def expected(transcript: Transcript) -> dict[str, str]:
    """Each person's letters in the order of the transcript, without blanks."""
    letters_by_name: dict[str, str] = {}
    for segment in transcript.segments:
        for word in segment.words:
            name = transcript.name_of(segment.speaker)
            letters_by_name[name] = letters_by_name.get(name, "") + one_line(word.text).replace(" ", "")
    return letters_by_name


def seen(shown: list[Shown]) -> dict[str, str]:
    letters_by_name: dict[str, str] = {}
    for cue in shown:
        for who, text in cue.blocks:
            letters_by_name[who] = letters_by_name.get(who, "") + "".join(text).replace(" ", "")
    return letters_by_name


def fits(line: str, limit: int) -> bool:
    """Within the limit, unless it is one word (which may hold no blank between letters of scripts with blanks)."""
    return width(line) <= limit or " " not in line.removeprefix("- ")


@given(meetings(), layouts)
@settings(deadline=None, max_examples=120)
def test_srt_holds_every_word_once_and_never_overlaps(transcript: Transcript, outputs: Outputs) -> None:
    text = export(transcript, "srt", outputs)
    shown = parse_srt(text)
    assert seen(shown) == expected(transcript)
    assert all(cue.start < cue.end for cue in shown)
    assert all(before.end <= after.start for before, after in itertools.pairwise(shown))
    assert all(len({who for who, _ in cue.blocks}) == len(cue.blocks) for cue in shown)
    for line in text.split("\n"):
        name = next((f"{dash}{who}:" for who in NAMES.values() for dash in ("- ", "") if line == f"{dash}{who}:"), None)
        assert " --> " in line or name or fits(line, outputs.max_line_width), line


@given(meetings(), layouts)
@settings(deadline=None, max_examples=120)
def test_vtt_holds_every_word_once_in_order(transcript: Transcript, outputs: Outputs) -> None:
    shown, _ = parse_vtt(export(transcript, "vtt", outputs))
    assert seen(shown) == expected(transcript)
    assert [cue.start for cue in shown] == sorted(cue.start for cue in shown)
    assert all(cue.start < cue.end for cue in shown)
    assert all(fits(line, outputs.max_line_width) for cue in shown for _, text in cue.blocks for line in text)
    for at, cue in enumerate(shown):
        for other in shown[at + 1 :]:
            if other.start < cue.end:
                assert cue.blocks[0][0] == other.blocks[0][0] or cue.place.split()[0] != other.place.split()[0]


@given(meetings())
@settings(deadline=None, max_examples=60)
def test_txt_holds_every_word_once_in_order(transcript: Transcript) -> None:
    letters_by_name: dict[str, str] = {}
    for paragraph in export(transcript, "txt", Outputs()).split("\n\n"):
        if paragraph:
            head = re.match(r"\[\d\d:\d\d:\d\d\] ([^:]+): ", paragraph)
            assert head
            letters_by_name[head[1]] = letters_by_name.get(head[1], "") + paragraph[head.end() :].strip().replace(
                " ", ""
            )
    assert letters_by_name == expected(transcript)


def meeting(*sentences: tuple[str, float, str], pace: float = 0.3, duration: float = 60.0) -> Transcript:
    segments = []
    for speaker, start, text in sentences:
        words = [Word(Span(start + pace * at, start + pace * (at + 1)), word) for at, word in enumerate(text.split())]
        segments.append(Segment(speaker, tuple(words), review=("overlap-unresolved",) if "mm" in text else ()))
    return Transcript("call", duration, tuple(segments), (), Provenance("0"), tuple(NAMES.items())[:2])


A, B, C = NAMES


def test_people_who_speak_at_once_share_a_cue_with_dashes() -> None:
    text = export(meeting((A, 1.0, "I would say two weeks."), (B, 1.5, "No way.")), "srt", Outputs())
    assert text == "1\n00:00:01,000 --> 00:00:02,550\n- Ann: I would say two weeks.\n- Bo Li: No way.\n"


def test_people_who_take_turns_do_not_share_a_cue() -> None:
    shown = parse_srt(
        export(
            meeting((A, 1.0, "I would say two weeks."), (B, 2.6, "No way, it was never that long.")), "srt", Outputs()
        )
    )
    assert [[who for who, _ in cue.blocks] for cue in shown] == [["Ann"], ["Bo Li"]]


def test_cues_end_with_sentences_and_last_seven_seconds_at_most() -> None:
    text = "We met them on Friday. They were late again, as they always are. Nobody knows why that is so."
    shown = parse_srt(export(meeting((A, 0.0, text)), "srt", Outputs()))
    assert [cue.blocks[0][1][-1][-1] for cue in shown] == ["."] * len(shown)
    slow = parse_srt(export(meeting((A, 0.0, "one two three four five six"), pace=3.0), "srt", Outputs()))
    assert all(cue.end - cue.start <= 7000 for cue in slow)


def test_short_cues_linger_but_not_into_others_or_past_the_end() -> None:
    shown = parse_srt(export(meeting((A, 1.0, "Yes."), (B, 4.0, "Oh."), duration=4.5), "srt", Outputs()))
    assert [(cue.start, cue.end) for cue in shown] == [(1000, 2000), (4000, 4500)]
    flicker = parse_srt(
        export(
            meeting((A, 1.0, "Yes it is."), (A, 2.1, "And then we went home again today.")),
            "srt",
            Outputs(max_line_width=34),
        )
    )
    assert all(before.end == after.start for before, after in itertools.pairwise(flicker))


def test_simultaneous_cues_stand_side_by_side_and_doubts_are_noted() -> None:
    shown, notes = parse_vtt(export(meeting((A, 1.0, "I would say two weeks."), (B, 1.5, "mm no")), "vtt", Outputs()))
    assert [cue.place for cue in shown] == ["position:0% size:50% align:left", "position:50% size:50% align:left"]
    assert notes == ["NOTE check 00:00:01–00:00:03 SPEAKER_01 overlap-unresolved"]


def test_a_brief_touch_is_no_overlap() -> None:
    shown, _ = parse_vtt(
        export(meeting((A, 1.0, "I would say two weeks."), (B, 2.45, "No way at all.")), "vtt", Outputs())
    )
    assert [cue.place for cue in shown] == ["", ""]
    assert shown[0].end == shown[1].start


def test_srt_disarms_arrows_tags_and_commands() -> None:
    text = export(meeting((A, 1.0, r"a --> b <i>c</i> {\an8}d 1 < 2 --->")), "srt", Outputs(max_line_width=80))
    assert r"Ann: a -> b ‹i›c‹/i› (\an8}d 1 < 2 ->" in text


def test_lines_are_even_and_wide_letters_count_twice() -> None:
    layout = Layout(20, 2, lambda speaker, shared: "")
    assert lines(["the", "quick", "brown", "fox", "jumps"], layout) == ("the quick", "brown fox jumps")
    assert lines(["Well", "then,", "let", "us", "go"], Layout(14, 2, layout.head)) == ("Well then,", "let us go")
    assert lines(["今日", "は", "とても", "いい", "天気", "です"], layout) == ("今日はとても", "いい天気です")
    assert lines(["Donaudampfschifffahrtsgesellschaft", "ja"], layout) == ("Donaudampfschifffahrtsgesellschaft", "ja")
    assert join_words(lines(["a", "b"], layout, "Ann:")) == "Ann: a b"
