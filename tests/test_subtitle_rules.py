"""Rules of subtitles hold for any transcript, except where the speech leaves no choice.

For SubRip and WebVTT alike: every word is shown once, in order, under its speaker's name; a cue begins with its first
word and lasts between 0.1 and 7 s; two cues that follow one another in the same place lie 83 ms apart.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from subtitle_files import Shown, letters, parse_srt, parse_vtt, with_words

from meetsplit.pipeline.data import Provenance, Segment, Span, Transcript, Word
from meetsplit.pipeline.formats import export
from meetsplit.pipeline.formats.cue_names import short_names
from meetsplit.pipeline.formats.line_breaking import Layout, lines
from meetsplit.pipeline.formats.srt import write_each
from meetsplit.pipeline.formats.text import width
from meetsplit.pipeline.settings import Outputs

GAP, FLASH, LONGEST, LINGER, CPS = 83, 800, 7_000, 1_000, 20
TEXTS = ("I", "so", "and", "well,", "we", "know", "about", "the", "river.", "Perhaps", "nothing", "different?", "today")
LONG_TEXTS = ("Donaudampfschifffahrtsgesellschaftskapitänsmütze", "今日は", "会議", "です。", "اليوم", "a-b", "1<2")
LONG_NAMES = ("Dr. Maximiliane Hohenzollern-Sigmaringen (chair)", "Maximiliane Hohenzollern, minutes", "Bo", "Bo Li")


def speech(seed: int, people: int, pause: float, *, wild: bool = False) -> Transcript:
    """People who take turns, interrupt and talk over each other, the more the shorter the pauses between turns (s).

    Words last 0.15 s or more, as they do. ``wild``: some without length, in one moment, very long, or with long names.
    """
    rng = np.random.default_rng(seed)
    segments: list[Segment] = []
    free = dict.fromkeys((f"SPEAKER_{number:02d}" for number in range(people)), 0.0)
    at = 0.0
    for _ in range(int(rng.integers(1, 14))):
        speaker = str(rng.choice(list(free)))
        at = start = max(at + float(rng.exponential(pause)), free[speaker])
        words: list[Word] = []
        for _ in range(int(rng.integers(1, 25))):
            text = str(rng.choice(LONG_TEXTS if wild and rng.random() < 0.2 else TEXTS))
            length = max(0.15, 0.05 * len(text) * float(rng.uniform(0.7, 1.4)))
            if wild and rng.random() < 0.3:
                length = float(rng.choice([0.0, 0.0, 0.02, 9.0]))
            end = start + length
            words.append(Word(Span(round(start, 3), round(end, 3)), text))
            start = end + float(rng.choice([0.0, 0.05, 0.3, 1.2, 3.0], p=[0.8, 0.1, 0.05, 0.04, 0.01]))
        free[speaker] = start
        segments.append(Segment(speaker, tuple(words)))
    segments.sort(key=lambda segment: (segment.span, segment.speaker))
    end = max(segment.span.end for segment in segments)
    names = tuple(zip(free, LONG_NAMES, strict=False)) if wild else ()
    return Transcript("call", end + float(rng.choice([0.0, 5.0])), tuple(segments), (), Provenance("0"), names)


people, pauses = st.integers(1, 8), st.sampled_from([0.1, 1.0, 4.0])
calm = st.builds(speech, st.integers(0, 10**6), people, pauses)
wild = st.builds(speech, st.integers(0, 10**6), people, pauses, wild=st.just(True))
OUTPUTS = Outputs()


def srt_cues(transcript: Transcript, outputs: Outputs = OUTPUTS) -> list[tuple[Shown, dict[str, list[Word]]]]:
    names = {who: transcript.name_of(who) for who in transcript.speakers}
    shown = parse_srt(
        export(transcript, "srt", outputs),
        {short: names[who] for who, short in short_names(names, outputs.max_line_width).items()},
    )
    return list(with_words(shown, transcript))


def ms(seconds: float) -> int:
    return round(seconds * 1000)


def begins_with_its_words(cue: Shown, words: Mapping[str, Sequence[Word]]) -> bool:
    return cue.start == min(ms(own[0].span.start) for own in words.values())


def last_word(words: Mapping[str, Sequence[Word]]) -> int:
    return max(ms(word.span.end) for own in words.values() for word in own)


def line_counts(words: Mapping[str, Sequence[Word]], room: int = 42) -> int:
    """Lines with the name in each line's beginning, in which the words fit."""
    dash = "- " if len(words) > 1 else ""
    layout = Layout(room, 2, lambda speaker, shared: "")
    return sum(len(lines([word.text for word in own], layout, f"{dash}{who}:")) for who, own in words.items())


def together(first: Mapping[str, Sequence[Word]], second: Mapping[str, Sequence[Word]]) -> dict[str, list[Word]]:
    return {who: [*first.get(who, ()), *second.get(who, ())] for who in {**first, **second}}


def could_be_one(words: Mapping[str, Sequence[Word]], room: int = 42) -> bool:
    """Whether a cue of these words would keep the rules: its lines, its length, no pause and nobody else's turn."""
    spoken = sorted((ms(w.span.start), ms(w.span.end), who) for who, own in words.items() for w in own)
    end, previous = spoken[0][0], spoken[0][2]
    for start, word_end, who in spoken:
        if start - end > 500 or (start >= end and who != previous):
            return False
        end, previous = max(end, word_end), who
    return end - spoken[0][0] <= LONGEST and line_counts(words, room) <= max(2, len(words))


def assert_readable(shown: Sequence[tuple[Shown, dict[str, list[Word]]]], duration: int) -> None:
    """Cues of one stream: those that are shown shortly, or hold much text, could be nothing else."""
    for at, (cue, words) in enumerate(shown):
        following = shown[at + 1][0].start - GAP if at + 1 < len(shown) else None
        is_stretched = cue.end in (following, cue.start + LONGEST) or cue.end >= duration
        if cue.end - cue.start < FLASH:
            assert is_stretched
            for other in (at - 1, at + 1):
                if 0 <= other < len(shown) and cue.end < duration:
                    merged = together(*(shown[number][1] for number in sorted((at, other))))
                    assert not could_be_one(merged), (cue, merged)
        text = sum(len(" ".join(word.text for word in own)) for own in words.values())
        if text * 1000 / (cue.end - cue.start) > CPS + 0.1:
            assert is_stretched or cue.end >= last_word(words) + LINGER, (cue, text)


@given(calm)
@settings(deadline=None, max_examples=40)
def test_srt_keeps_the_rules(transcript: Transcript) -> None:
    shown = srt_cues(transcript)
    for cue, words in shown:
        assert begins_with_its_words(cue, words)
        assert 100 <= cue.end - cue.start <= LONGEST
        assert sum(len(text) for _, text in cue.blocks) <= max(2, len(cue.blocks)), cue
    assert all(after.start - before.end >= GAP for (before, _), (after, _) in itertools.pairwise(shown))
    assert_readable(shown, ms(transcript.duration))


@given(wild)
@settings(deadline=None, max_examples=40)
def test_srt_keeps_its_times_whatever_the_words(transcript: Transcript) -> None:
    shown = srt_cues(transcript)
    for cue, words in shown:
        assert begins_with_its_words(cue, words)
        assert 100 <= cue.end - cue.start <= LONGEST
        assert all(width(who) <= 14 for who in short_names(dict(transcript.names), 42).values())
    assert all(after.start - before.end >= GAP for (before, _), (after, _) in itertools.pairwise(shown))


@given(calm | wild)
@settings(deadline=None, max_examples=15)
def test_one_file_per_speaker_keeps_the_rules(transcript: Transcript) -> None:
    for speaker, text in write_each(transcript, OUTPUTS).items():
        own = tuple(segment for segment in transcript.segments if segment.speaker == speaker)
        alone = Transcript("call", transcript.duration, own, (), transcript.made_by)
        times = [block.split("\n", 2) for block in text[:-1].split("\n\n")]
        named = "\n\n".join(f"{number}\n{clock}\n{speaker}: {said}" for number, clock, said in times) + "\n"
        shown = list(with_words(parse_srt(named, {speaker: speaker}), alone))
        assert all(begins_with_its_words(cue, words) and cue.end - cue.start <= LONGEST for cue, words in shown)
        assert all(after.start - before.end >= GAP for (before, _), (after, _) in itertools.pairwise(shown))


def pairs_at_once(shown: Sequence[Shown]) -> Iterable[tuple[Shown, Shown]]:
    """Cues that are shown together, or one so soon after the other that they would follow without a gap."""
    return ((a, b) for at, a in enumerate(shown) for b in shown[at + 1 :] if b.start < a.end + GAP)


def assert_places_apart(shown: Sequence[Shown]) -> None:
    for one, other in pairs_at_once(shown):
        assert one.blocks[0][0] != other.blocks[0][0], "a person has one cue at a time"
        (left, right, line), (other_left, other_right, other_line) = one.box, other.box
        assert line != other_line or right <= other_left or other_right <= left, (one, other)
        assert min(right - left, other_right - other_left) >= 30


def room(cue: Shown) -> int:
    """Columns of text in the width of a WebVTT cue."""
    left, right, _ = cue.box
    return min(42, int((right - left) * 0.64))


@given(calm)
@settings(deadline=None, max_examples=40)
@example(speech(498, 3, 0.1))  # two short cues of somebody in a narrow column
@example(speech(498, 6, 4.0))  # and in a column that becomes narrower while they are shown
def test_vtt_keeps_the_rules(transcript: Transcript) -> None:
    shown, _ = parse_vtt(export(transcript, "vtt", OUTPUTS))
    assert_places_apart(shown)
    duration = ms(transcript.duration)
    by_person: dict[str, list[tuple[Shown, dict[str, list[Word]]]]] = {}
    for cue, words in with_words(shown, transcript):
        by_person.setdefault(cue.blocks[0][0], []).append((cue, words))
        assert begins_with_its_words(cue, words)
        assert 100 <= cue.end - cue.start <= LONGEST
        assert all(width(line) <= room(cue) for line in cue.blocks[0][1])
        assert len(cue.blocks[0][1]) <= 2, cue
    for own in by_person.values():
        for at, (cue, words) in enumerate(own):
            following = own[at + 1] if at + 1 < len(own) else None
            if cue.end - cue.start < FLASH and cue.end < duration:
                assert following is not None
                assert cue.end == following[0].start - GAP
                # Whoever speaks beside the two, or within the gap after them, may narrow the column of both.
                end = following[0].end + GAP
                beside = [room(other) for other in shown if other.end > cue.start - GAP and other.start < end]
                assert not could_be_one(together(words, following[1]), min(beside))
    two = [cue for cue in shown if cue.place]
    if len(by_person) == 2:
        assert len({(cue.blocks[0][0], cue.box[:2]) for cue in two}) in (0, 2), "each of two people has one side"


@given(wild)
@settings(deadline=None, max_examples=40)
def test_vtt_keeps_its_times_and_places_whatever_the_words(transcript: Transcript) -> None:
    shown, _ = parse_vtt(export(transcript, "vtt", OUTPUTS))
    assert_places_apart(shown)
    for cue, words in with_words(shown, transcript):
        assert begins_with_its_words(cue, words)
        assert 100 <= cue.end - cue.start <= LONGEST
        assert letters("".join(cue.blocks[0][1]))
