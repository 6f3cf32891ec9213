"""Subtitles: every word once, under the name of its speaker, lines that fit, cues that do not collide."""

from __future__ import annotations

import itertools
import re

from hypothesis import given, settings
from hypothesis import strategies as st
from subtitle_files import Shown, letters, parse_vtt, words_of
from subtitle_files import parse_srt as parse_with_names

from meetsplit.pipeline.data import Provenance, Segment, Span, Transcript, Turn, Word, join_words
from meetsplit.pipeline.formats import export
from meetsplit.pipeline.formats.cue_names import short_names
from meetsplit.pipeline.formats.line_breaking import Layout, lines
from meetsplit.pipeline.formats.text import width
from meetsplit.pipeline.settings import Outputs

NAMES = {"SPEAKER_00": "Ann", "SPEAKER_01": "Bo Li", "SPEAKER_02": "SPEAKER_02"}


def parse_srt(text: str, line_width: int = 42) -> list[Shown]:
    return parse_with_names(text, {short: NAMES[who] for who, short in short_names(NAMES, line_width).items()})


words_drawn = st.text("abc,.?今日אب&é", min_size=1, max_size=9)
speakers = st.sampled_from(sorted(NAMES))


@st.composite
def meetings(draw: st.DrawFn) -> Transcript:
    segments = []
    for speaker in draw(st.lists(speakers, max_size=8)):
        at = draw(st.floats(0, 30))
        words = []
        for text in draw(st.lists(words_drawn, min_size=1, max_size=14)):
            at += draw(st.sampled_from([0.0, 0.0, 0.05, 0.4, 1.5, 9.0]))
            end = at + draw(st.sampled_from([0.0, 0.1, 0.3, 8.0]))
            words.append(Word(Span(at, end), text))
            at = end if draw(st.booleans()) else at
        segments.append(Segment(speaker, tuple(words)))
    segments.sort(key=lambda segment: segment.span.start)
    turns = tuple(sorted(Turn(segment.span, segment.speaker) for segment in segments))
    return Transcript("call", 40.0, tuple(segments), turns, Provenance("0"), tuple(NAMES.items())[:2])


layouts = st.builds(
    Outputs,
    max_line_width=st.sampled_from([12, 20, 42]),
    max_line_count=st.sampled_from([1, 2, 3]),
    max_words_per_line=st.sampled_from([None, 1, 4]),
    speaker_names=st.sampled_from(["change", "every"]),
)


def expected(transcript: Transcript) -> dict[str, str]:
    """Each person's letters in the order of the transcript, without blanks."""
    return {name: "".join(letters(word.text) for word in words) for name, words in words_of(transcript).items()}


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
    shown = parse_srt(text, outputs.max_line_width)
    assert seen(shown) == expected(transcript)
    assert all(cue.start < cue.end for cue in shown)
    assert all(before.end <= after.start for before, after in itertools.pairwise(shown))
    assert all(len({who for who, _ in cue.blocks}) == len(cue.blocks) for cue in shown)
    for line in text.split("\n"):
        is_name = re.fullmatch(r"(- )?[^ ]+( Li)?:", line)
        assert " --> " in line or is_name or fits(line, outputs.max_line_width), line
        assert " --> " in line or len(line.split()) <= (outputs.max_words_per_line or 99) + 3


@given(meetings(), layouts)
@settings(deadline=None, max_examples=120)
def test_vtt_holds_every_word_once_in_order(transcript: Transcript, outputs: Outputs) -> None:
    shown, _ = parse_vtt(export(transcript, "vtt", outputs))
    assert seen(shown) == expected(transcript)
    assert [cue.start for cue in shown] == sorted(cue.start for cue in shown)
    assert all(cue.start < cue.end for cue in shown)
    assert all(fits(line, outputs.max_line_width) for cue in shown for _, text in cue.blocks for line in text)


@given(meetings(), st.sampled_from([0, 20, 80]), st.booleans())
@settings(deadline=None, max_examples=60)
def test_txt_holds_every_word_once_in_order(transcript: Transcript, most: int, end_times: bool) -> None:
    text = export(transcript, "txt", Outputs(txt_width=most, txt_end_times=end_times))
    time = r"\d\d:\d\d:\d\d"
    letters_by_name: dict[str, str] = {}
    for paragraph in text.split("\n\n"):
        if paragraph:
            head = re.match(rf"\[{time}{f'–{time}' if end_times else ''}\] ([^:]+):\s", paragraph)
            assert head
            said = re.sub(r"\s|//", "", paragraph[head.end() :])
            letters_by_name[head[1]] = letters_by_name.get(head[1], "") + said
            assert paragraph.count("//") % 2 == 0
            assert all(not most or fits(line, most) or line.startswith("[") for line in paragraph.split("\n"))
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
    assert text == "1\n00:00:01,000 --> 00:00:02,500\n- Ann: I would say two weeks.\n- Bo Li: No way.\n"


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
            meeting((A, 1.0, "Yes, that is so."), (A, 2.5, "And then we went home again today.")),
            "srt",
            Outputs(max_line_count=1),
        )
    )
    assert len(flicker) > 1
    assert all(before.end + 83 == after.start for before, after in itertools.pairwise(flicker))


def test_simultaneous_cues_stand_side_by_side_and_doubts_are_noted() -> None:
    shown, notes = parse_vtt(export(meeting((A, 1.0, "I would say two weeks."), (B, 1.5, "mm no")), "vtt", Outputs()))
    assert [cue.place for cue in shown] == [" line:-1 position:25% size:48%", " line:-1 position:75% size:48%"]
    assert notes == ["NOTE check 00:00:01–00:00:03 SPEAKER_01 overlap-unresolved"]


def test_a_brief_touch_is_no_overlap() -> None:
    shown, _ = parse_vtt(
        export(meeting((A, 1.0, "I would say two weeks."), (B, 2.3, "No way at all.")), "vtt", Outputs())
    )
    assert [cue.place for cue in shown] == ["", ""]
    assert shown[0].end + 83 == shown[1].start


def test_a_short_answer_stays_beside_the_next_person() -> None:
    """Without overlap in speech, people are shown at once only where a cue would flash by."""
    shown, _ = parse_vtt(export(meeting((A, 1.0, "Yes."), (B, 1.4, "No way at all.")), "vtt", Outputs()))
    assert [(cue.start, cue.end, cue.box[:2]) for cue in shown] == [(1000, 2000, (1, 49)), (1400, 2600, (51, 99))]
    shown, _ = parse_vtt(export(meeting((A, 1.0, "Yes."), (B, 2.0, "No way at all.")), "vtt", Outputs()))
    assert [(cue.end, cue.place) for cue in shown] == [(1917, ""), (3200, "")]


def test_each_moment_has_as_many_columns_as_voices_and_people_keep_their_side() -> None:
    """Eight people in a chain of overlaps, two of them at any time: never less than half the screen."""
    people = [f"SPEAKER_{number:02d}" for number in range(8)]
    told = "and then we went to see the house by the river again."
    chain = [(people[number % 8], 1.0 + 2.8 * number, told) for number in range(24)]
    shown, _ = parse_vtt(export(meeting(*chain), "vtt", Outputs()))
    assert len(shown) >= 24
    assert {cue.box[1] - cue.box[0] for cue in shown} <= {48, 100}
    short = "and then we went."
    two = [
        (people[number % 2], 1.0 + 2.8 * number + (number % 3 == 0), short if number % 3 else told)
        for number in range(24)
    ]
    shown, _ = parse_vtt(export(meeting(*two), "vtt", Outputs()))
    sides = {(cue.blocks[0][0], cue.box[0]) for cue in shown if cue.place}
    assert sides == {("Ann", 1), ("Bo Li", 51)}
    assert len({cue.box[2] for cue in shown if cue.place}) == 1, "text of one and of two lines begins at one height"
    assert {len(cue.blocks[0][1]) for cue in shown if cue.place} == {1, 2}


def test_more_than_three_at_once_stand_in_rows() -> None:
    at_once = meeting(
        *((f"SPEAKER_{number:02d}", 1.0 + number / 10, "one two three four five") for number in range(10))
    )
    shown, _ = parse_vtt(export(at_once, "vtt", Outputs()))
    assert [cue.box for cue in shown[:3]] == [(1, 33, 2), (67, 99, 2), (34, 66, 2)]
    assert [cue.box[2] for cue in shown] == [2, 2, 2, 4, 4, 4, 6, 6, 6, 0]


NARRATION = (
    (A, 0.5, "We met them on Friday."),
    (A, 3.0, "They were late again."),
    (B, 5.0, "Yes."),
    (B, 9.0, "It was late."),
)


def test_names_stand_at_a_change_of_speaker_everywhere_or_nowhere() -> None:
    told = meeting(*NARRATION, (A, 9.3, "So it was."), (A, 12.0, "We went."))
    heads = {
        naming: [re.findall(r"\b(Ann|Bo Li):", block) for block in export(told, "srt", outputs).split("\n\n")]
        for naming in ("change", "every", "never")
        for outputs in [Outputs(speaker_names=naming)]  # type: ignore[arg-type]
    }
    assert heads["every"] == [["Ann"], ["Ann"], ["Bo Li"], ["Bo Li", "Ann"], ["Ann"]]
    assert heads["change"] == [["Ann"], [], ["Bo Li"], ["Bo Li", "Ann"], ["Ann"]]
    assert heads["never"] == [[]] * 5
    assert "\n- It was late.\n- So it was.\n" in export(told, "srt", Outputs(speaker_names="never"))


def test_the_same_people_keep_their_lines_without_names() -> None:
    first = (A, 1.0, "I would say that it took two weeks. It was longer.")
    text = export(meeting(first, (B, 1.2, "No way it was that long. Well, so it was, then.")), "srt", Outputs())
    assert [block.split("\n", 2)[2] for block in text.split("\n\n")] == [
        "- Ann: I would say that it took two\n- Bo Li: No way it was that long.",
        "- weeks. It was longer.\n- Well, so it was, then.\n",
    ]


def test_long_names_are_shortened_and_stay_apart() -> None:
    names = {
        A: "Dr. Maximiliane Hohenzollern-Sigmaringen (Moderation)",
        B: "Maximiliane Hohenzollern",
        C: "Bo Li",
        "SPEAKER_03": "Bo Li",
        "SPEAKER_04": "SPEAKER_04",
        "SPEAKER_05": "Donaudampfschifffahrt",
        "SPEAKER_06": "今日は会議です今日は会議です",
    }
    short = short_names(names, 42)
    assert list(short.values()) == [
        "Maximiliane…1", "Maximiliane…2", "Bo Li", "Bo Li", "SPEAKER_04", "Donaudampfsch…", "今日は会議で…",
    ]  # fmt: skip
    assert all(width(name) <= 14 for name in short.values())
    assert short_names(names, 15)["SPEAKER_04"] == "S04"
    told = meeting((A, 1.0, "We met them on Friday."))
    shown = export(Transcript("call", 9.0, told.segments, (), told.made_by, tuple(names.items())[:1]), "srt", Outputs())
    assert shown.endswith("\nMaximiliane: We met them on Friday.\n")


def test_names_are_shown_in_vtt_on_request_and_colours_unless_refused() -> None:
    told = meeting(*NARRATION)
    plain = export(told, "vtt", Outputs())
    assert '\nSTYLE\n::cue(v[voice="Ann"]) { color: #FFFFFF }\n::cue(v[voice="Bo Li"]) { color: #F0E442 }\n\n' in plain
    assert "<v Bo Li>Yes." in plain
    named = export(told, "vtt", Outputs(vtt_names=True, vtt_colors=False))
    assert "STYLE" not in named
    assert re.findall(r"<v [^>]+>(\w+ ?\w*:)?", named) == ["Ann:", "", "Bo Li:", ""]
    assert "<v Bo Li>Bo Li: It was late." in export(told, "vtt", Outputs(vtt_names=True, speaker_names="every"))
    assert "STYLE" not in export(meeting(NARRATION[0]), "vtt", Outputs()), "one person needs no colour"


def test_words_are_highlighted_as_they_are_spoken() -> None:
    told = meeting((A, 1.0, "a <b> c"), (B, 1.1, "d"))
    srt = export(told, "srt", Outputs(highlight_words=True))
    texts = [block.split("\n", 1)[1].rstrip("\n") for block in srt.split("\n\n")]
    assert texts[:3] == [
        "00:00:01,000 --> 00:00:01,100\n- Ann: <u>a</u> ‹b› c\n- Bo Li: d",
        "00:00:01,100 --> 00:00:01,300\n- Ann: <u>a</u> ‹b› c\n- Bo Li: <u>d</u>",
        "00:00:01,300 --> 00:00:01,400\n- Ann: a <u>‹b›</u> c\n- Bo Li: <u>d</u>",
    ]
    times = [re.findall(r"[\d:,]{12}", text) for text in texts]
    assert all(before[1] == after[0] for before, after in itertools.pairwise(times)), "no gaps within a cue"
    vtt = export(told, "vtt", Outputs(highlight_words=True))
    assert "00:00:01.300 --> 00:00:01.600 line:-1 position:25% size:48%\n<v Ann>a <u>&lt;b&gt;</u> c\n" in vtt


def test_words_on_a_line_can_be_limited() -> None:
    srt = export(
        meeting((A, 1.0, "one two three four five six")), "srt", Outputs(max_words_per_line=2, max_line_count=1)
    )
    lines_shown = [block.split("\n")[2] for block in srt.split("\n\n")]
    assert lines_shown == ["Ann: one two", "three four", "five six"]
    assert lines(["a", "b", "c", "d", "e"], Layout(42, 2, lambda speaker, shared: "", words=3)) == ("a b", "c d e")


def test_rules_of_subtitles_are_options() -> None:
    told = meeting((A, 1.0, "Yes. No."), (A, 6.0, "We were very late again."), pace=0.1)
    outputs = Outputs(min_gap=0.5, min_duration=2.5, max_cps=10)
    assert [(cue.start, cue.end) for cue in parse_srt(export(told, "srt", outputs))] == [(1000, 2200), (6000, 7500)]
    close = meeting((A, 1.0, "We were very late again today."), (B, 3.0, "Yes, that is what it was."))
    for gap in (0.0, 0.4):
        shown = parse_srt(export(close, "srt", Outputs(min_gap=gap)))
        assert [after.start - before.end for before, after in itertools.pairwise(shown)] == [1000 * gap]


def test_text_marks_overlaps_and_breaks_lines() -> None:
    told = meeting((A, 1.0, "I would say two weeks."), (B, 1.7, "No way."))
    assert export(told, "txt", Outputs(txt_width=30, txt_end_times=True)) == (
        "[00:00:01–00:00:02] Ann: I\nwould //say two// weeks.\n\n[00:00:01–00:00:02] Bo Li:\n//No way.//\n"
    )


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
