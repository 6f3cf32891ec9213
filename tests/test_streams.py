"""Speaker streams: the recording's own samples, separated voices, refused voices, and what is reported of them."""

from __future__ import annotations

import functools
import itertools
import tracemalloc
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meetsplit.pipeline.audio.crossfade import FADE
from meetsplit.pipeline.data import Audio, Samples, Span, Speaker, Stream, Turn, Voice, timeline
from meetsplit.pipeline.errors import BrokenPromise, SettingsError, StageError
from meetsplit.pipeline.events import Event, Notice, Progressed, Started
from meetsplit.pipeline.overlap.regions import RegionOptions, plan
from meetsplit.pipeline.overlap.streams import clean_speech, speaker_streams
from meetsplit.pipeline.overlap.verification import LOW_MARGIN, UNRESOLVED
from meetsplit.pipeline.protocols import Separator, Unseparated

RATE, LENGTH = 8000, 6.0
CAST = "ABCDE"
AMPLITUDE = 0.15
SAMPLE = 1 / RATE

# Turns on a clock of 50 ms ticks, so that they often touch, nest and coincide; some reach beyond the end.
turn = st.builds(
    lambda who, at, ticks: Turn(Span(at / 20, (at + ticks) / 20), who),
    st.sampled_from(CAST),
    st.integers(0, 125),
    st.integers(1, 130),
)
meetings = st.lists(turn, max_size=12)
bare = RegionOptions(padding=0.0, shortest=0.0)
region_options = st.sampled_from(
    [
        RegionOptions(),
        RegionOptions(longest=1.5, window=1.0),
        RegionOptions(boundary_extension=0.15),
        bare,
        RegionOptions(join=0.0, merge_gap=0.0, context=0.0),
    ]
)
properties = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])


def hum(speaker: Speaker, start: float = 0.0, count: int = round(LENGTH * RATE), rate: int = RATE) -> Samples:
    """A speaker who hums all the time, so that the truth is known everywhere, and turns only say where to look."""
    t = start + np.arange(count) / rate
    return np.asarray(AMPLITUDE * np.sin(2 * np.pi * (130 + 40 * CAST.index(speaker)) * t), np.float32)


@functools.cache
def mixed(length: float = LENGTH) -> Audio:
    return Audio(np.sum([hum(speaker, count=round(length * RATE)) for speaker in CAST], axis=0, dtype=np.float32), RATE)


def humming(like: Audio, speaker: Speaker) -> Audio:
    return like.replaced(hum(speaker, like.start, len(like.samples), like.rate))


class Oracle:
    """Returns every speaker's true hum; gives up on ``refused`` voices at once, is unsure of those ``doubted``."""

    def __init__(self, rate: int = RATE, *, refused: int = 99, doubted: str = "") -> None:
        self.rate = rate
        self.refused, self.doubted = refused, doubted
        self.calls: list[tuple[Span, tuple[Speaker, ...]]] = []

    def separate(self, mixture: Audio, enrollment: Mapping[Speaker, Sequence[Audio]]) -> Mapping[Speaker, Voice]:
        self.calls.append((mixture.span, tuple(enrollment)))
        if len(enrollment) >= self.refused:
            raise Unseparated("three-voices", "too many voices at once")
        assert all(clip.rate == self.rate for clips in enrollment.values() for clip in clips)
        return {who: Voice(humming(mixture, who), 0.01 if who in self.doubted else 0.5) for who in enrollment}


class Returning:
    """Returns whatever ``make`` makes of the mixture for every speaker."""

    rate = RATE

    def __init__(self, make: object) -> None:
        self.make = make

    def separate(self, mixture: Audio, enrollment: Mapping[Speaker, Sequence[Audio]]) -> Mapping[Speaker, Voice]:
        assert callable(self.make)
        return {speaker: self.make(mixture) for speaker in enrollment}


def patched(stream: Stream) -> npt.NDArray[np.bool_]:
    """Which of the stream's samples lie in a patch."""
    mask = np.zeros(len(stream.audio.samples), bool)
    for patch in stream.patches:
        mask[stream.audio.index(patch.span.start) : stream.audio.index(patch.span.end)] = True
    return mask


@properties
@given(meetings, region_options, st.sampled_from([3, 99]), st.sampled_from(["", "A", "BD"]))
def test_clean_samples_are_the_recordings_and_voices_the_speakers(
    turns: list[Turn], options: RegionOptions, refused: int, doubted: str
) -> None:
    recording = mixed()
    before = recording.samples.tobytes(), list(turns)
    for stream in speaker_streams(recording, turns, Oracle(refused=refused, doubted=doubted), options=options):
        here = recording.crop(stream.span)
        assert np.array_equal(stream.audio.samples[~patched(stream)], here.samples[~patched(stream)])
        truth = humming(here, stream.speaker)
        for patch in stream.patches:
            inner = Span(patch.span.start + FADE, max(patch.span.end - FADE, patch.span.start + FADE))
            wanted = {"separated": truth, "mixture": here, "silent": here.replaced(np.zeros_like(here.samples))}[
                patch.source
            ]
            assert np.allclose(stream.audio.crop(inner).samples, wanted.crop(inner).samples, atol=1e-6)
            assert (patch.source != "separated") == (stream.speaker in doubted or len(patch.speakers) >= refused)
            assert bool(patch.review) == (patch.source != "separated" or len(patch.speakers) > 2)
    assert (recording.samples.tobytes(), list(turns)) == before


@properties
@given(meetings, region_options, st.sampled_from(["overlaps", "everywhere", "off"]))
def test_every_moment_of_every_turn_is_in_one_stream(turns: list[Turn], options: RegionOptions, mode: str) -> None:
    recording = mixed()
    options = replace(options, separate=mode)  # type: ignore[arg-type]
    streams = list(speaker_streams(recording, turns, Oracle(), options=options))
    inside = timeline.inside(turns, recording.span)
    assert [(s.span.start, s.speaker) for s in streams] == sorted((s.span.start, s.speaker) for s in streams)
    assert {s.speaker for s in streams} == {turn.speaker for turn in inside}
    for speaker, own in timeline.by_speaker(inside).items():
        mine = [stream for stream in streams if stream.speaker == speaker]
        parts = [part for stream in mine for part in stream.turns]
        assert all(a.end <= b.start for a, b in itertools.pairwise(parts))
        assert timeline.support(parts) == own
        others = timeline.support(turn.span for turn in inside if turn.speaker != speaker)
        for stream in mine:
            reach, last = stream.span, stream.turns[-1].end
            assert 0.0 <= reach.start <= stream.turns[0].start + SAMPLE
            assert last - SAMPLE <= reach.end <= recording.duration
            assert last - stream.turns[0].start <= options.longest + SAMPLE
            padding = [hole for hole in timeline.subtract([reach], own) if hole.duration > SAMPLE]
            assert (
                sum(hole.duration for hole in padding)
                <= 2 * max(options.padding, options.shortest / 2) + len(stream.turns) * options.join + SAMPLE
            )
            assert all(
                piece.duration <= options.boundary_extension + SAMPLE
                for hole in padding
                for piece in timeline.crop(others, hole)
            )


@properties
@given(meetings, region_options)
def test_each_overlap_is_patched_for_all_and_separated_once(turns: list[Turn], options: RegionOptions) -> None:
    recording = mixed()
    oracle = Oracle()
    streams = list(speaker_streams(recording, turns, oracle, options=options))
    inside = timeline.inside(turns, recording.span)
    regions = plan(turns, recording.span, options=options).regions
    assert sorted(oracle.calls) == [(recording.crop(region.input_span).span, region.speakers) for region in regions]
    assert all(a.span.end <= b.span.start for a, b in itertools.pairwise(regions))
    assert all(region.span.duration <= options.window + 1e-9 for region in regions)
    for stream in streams:
        assert all(a.span.end <= b.span.start for a, b in itertools.pairwise(stream.patches))
        assert all(stream.speaker in patch.speakers for patch in stream.patches)
    for speaker in CAST:
        wanted = timeline.support(overlap.span for overlap in timeline.overlaps(inside) if speaker in overlap.speakers)
        patched = timeline.support(patch.span for s in streams if s.speaker == speaker for patch in s.patches)
        assert timeline.subtract(wanted, patched) == ()
        assert all(
            span.duration <= 2 * options.boundary_extension + 1e-9 for span in timeline.subtract(patched, wanted)
        )


@properties
@given(meetings, region_options, st.sampled_from([3, 99]))
def test_no_clicks(turns: list[Turn], options: RegionOptions, refused: int) -> None:
    recording = mixed()
    for stream in speaker_streams(recording, turns, Oracle(refused=refused), options=options):
        if len(stream.audio.samples) < 2:
            continue
        steepest = np.abs(np.diff(recording.samples)).max() + np.abs(np.diff(hum(stream.speaker))).max()
        shortest = min((patch.span.duration for patch in stream.patches), default=1.0)
        # Voice and recording differ by four hums; a cross-fade of n samples moves by their difference / n each.
        fade = min(FADE, shortest / 2) * RATE
        jump = np.abs(np.diff(stream.audio.samples)).max()
        assert jump <= steepest + 4 * AMPLITUDE / fade


@pytest.mark.parametrize("rate", [16000, 11025, 8000])
def test_a_separator_may_want_another_rate(rate: int) -> None:
    turns = [Turn(Span(0.5, 3.0), "A"), Turn(Span(2.0, 4.0), "B")]
    for stream in speaker_streams(mixed(), turns, Oracle(rate)):
        inner = Span(2.05, 2.95)
        assert np.allclose(
            stream.audio.crop(inner).samples, humming(mixed(), stream.speaker).crop(inner).samples, atol=2e-3
        )


def test_streams_without_patches_are_views() -> None:
    recording = mixed()
    for stream in speaker_streams(recording, [Turn(Span(0, 2), "A"), Turn(Span(2, 4), "B")], Oracle()):
        assert np.shares_memory(stream.audio.samples, recording.samples)


def test_off_is_the_recording_everywhere() -> None:
    recording, turns = mixed(), [Turn(Span(0, 3), "A"), Turn(Span(2, 4), "B")]
    for streams in (
        speaker_streams(recording, turns, None),
        speaker_streams(recording, turns, Oracle(), options=RegionOptions("off")),
    ):
        assert all(
            not stream.patches and np.shares_memory(stream.audio.samples, recording.samples) for stream in streams
        )


def test_everywhere_separates_single_speech_from_the_nearest_other() -> None:
    oracle = Oracle()
    turns = [Turn(Span(0.5, 2), "A"), Turn(Span(1.5, 3), "B"), Turn(Span(4, 5), "C")]
    streams = list(speaker_streams(mixed(), turns, oracle, options=RegionOptions("everywhere")))
    assert [speakers for _, speakers in oracle.calls] == [("A", "B"), ("B", "C")]
    assert all(timeline.support(patch.span for patch in stream.patches) == stream.turns for stream in streams)
    assert (
        next(speaker_streams(mixed(), [Turn(Span(0, 1), "A")], Oracle(), options=RegionOptions("everywhere"))).patches
        == ()
    )


def test_a_third_voice_gets_a_region_of_its_own() -> None:
    oracle = Oracle(refused=3)
    turns = [Turn(Span(0, 4), "A"), Turn(Span(1, 4), "B"), Turn(Span(2, 3), "C")]
    by_speaker = {stream.speaker: stream for stream in speaker_streams(mixed(), turns, oracle)}
    assert [speakers for _, speakers in oracle.calls] == [("A", "B"), ("A", "B", "C"), ("A", "B")]
    assert [(p.span, p.source, p.review) for p in by_speaker["A"].patches] == [
        (Span(1, 2), "separated", ()),
        (Span(2, 3), "mixture", ("three-voices",)),
        (Span(3, 4), "separated", ()),
    ]


def test_overlaps_of_the_same_people_close_by_are_one_region() -> None:
    near = [Turn(Span(0, 4), "A"), Turn(Span(1, 1.5), "B"), Turn(Span(1.7, 2), "B"), Turn(Span(2.5, 3), "B")]
    regions = plan(near, Span(0, 6), options=RegionOptions()).regions
    assert [(region.span, len(region.pieces)) for region in regions] == [(Span(1, 2), 2), (Span(2.5, 3), 1)]
    assert regions[0].input_span == Span(0.75, 2.25)


def test_one_doubtful_voice_does_not_cost_the_other_its_own() -> None:
    turns = [Turn(Span(0, 3), "A"), Turn(Span(2, 4), "B")]
    patches = {s.speaker: s.patches[0] for s in speaker_streams(mixed(), turns, Oracle(doubted="A"))}
    assert (patches["A"].source, patches["A"].review, patches["A"].margin) == ("mixture", (LOW_MARGIN,), 0.01)
    assert (patches["B"].source, patches["B"].review, patches["B"].margin) == ("separated", (), 0.5)


@pytest.mark.parametrize(
    "make",
    [
        Voice,
        lambda mixture: Voice(mixture.replaced(np.zeros_like(mixture.samples))),
        lambda mixture: Voice(mixture.replaced(np.full_like(mixture.samples, np.nan))),
        lambda mixture: Voice(mixture.replaced(mixture.samples / 2), float("nan")),
    ],
    ids=["the mixture itself", "silence", "no numbers", "a margin that is no number"],
)
def test_voices_that_are_none_leave_the_recording_and_are_flagged(make: object) -> None:
    recording, events = mixed(), list[Event]()
    turns = [Turn(Span(0, 3), "A"), Turn(Span(2, 4), "B")]
    for stream in speaker_streams(recording, turns, Returning(make), on_event=events.append):
        assert [(patch.source, patch.review) for patch in stream.patches] == [("mixture", (UNRESOLVED,))]
        assert np.array_equal(stream.audio.samples, recording.crop(stream.span).samples)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda mixture: Voice(mixture.crop(Span(0, 2.5))), "samples at 8000 Hz"),
        (lambda mixture: Voice(Audio(mixture.samples, 16000, mixture.start)), "16000 Hz"),
        (lambda mixture: Voice(Audio(mixture.samples, mixture.rate)), "from 0.000 s"),
    ],
    ids=["another length", "another rate", "another place"],
)
def test_broken_promises_are_named(make: object, message: str) -> None:
    with pytest.raises(BrokenPromise, match=message):
        list(speaker_streams(mixed(), [Turn(Span(0, 3), "A"), Turn(Span(2, 4), "B")], Returning(make)))


class Silent:
    rate = RATE

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def separate(self, mixture: Audio, enrollment: Mapping[Speaker, Sequence[Audio]]) -> Mapping[Speaker, Voice]:
        if self.error is not None:
            raise self.error
        return {}


@pytest.mark.parametrize(("separator", "kind"), [(Silent(), BrokenPromise), (Silent(RuntimeError("no")), StageError)])
def test_failures_say_who_and_where(separator: Separator, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=r"separating A, B at 2\.00–3\.00 s"):
        list(speaker_streams(mixed(), [Turn(Span(0, 3), "A"), Turn(Span(2, 4), "B")], separator))


def test_clean_speech_keeps_away_from_others_and_is_bounded() -> None:
    recording = mixed(120.0)
    turns = [Turn(Span(0, 60), "A"), Turn(Span(60, 61), "B"), Turn(Span(61, 61.5), "A"), Turn(Span(70, 120), "A")]
    clean = clean_speech(recording, turns, "A", max_seconds=80.0)
    assert [(round(clip.start, 3), round(clip.duration, 3)) for clip in clean] == [(0.0, 59.85), (70.0, 20.15)]
    assert all(np.shares_memory(clip.samples, recording.samples) for clip in clean)
    assert [clip.span for clip in clean_speech(recording, turns, "B")] == [Span(60.15, 60.85)]
    assert clean_speech(recording, [Turn(Span(0, 3), "A"), Turn(Span(0, 3), "B")], "A") == ()


def test_a_long_turn_is_cut_where_it_is_quiet_and_both_sides_hear_the_moment() -> None:
    samples = mixed(40.0).samples.copy()
    samples[20 * RATE : 20 * RATE + RATE // 5] = 0
    first, second = speaker_streams(Audio(samples, RATE), [Turn(Span(0, 40), "A")], None)
    cut = first.turns[-1].end
    assert 20.0 < cut < 20.2
    assert second.turns == (Span(cut, 40),)
    assert first.span.end == pytest.approx(cut + 0.25, abs=1e-3)
    assert second.span.start == pytest.approx(cut - 0.25, abs=1e-3)


def test_a_long_stretch_is_cut_at_its_longest_pause() -> None:
    turns = [Turn(Span(0, 16), "A"), Turn(Span(16.5, 20), "A"), Turn(Span(20.2, 40), "A")]
    clips = plan(turns, Span(0, 60), options=RegionOptions()).clips
    assert [clip.turns for clip in clips] == [(Span(0, 16),), (Span(16.5, 20), Span(20.2, 40))]


def test_short_clips_get_context_but_never_from_others() -> None:
    clips = plan([Turn(Span(2, 2.2), "A"), Turn(Span(2.3, 4), "B")], Span(0, 6), options=RegionOptions()).clips
    assert [(clip.speaker, round(clip.span.start, 3), clip.span.end) for clip in clips] == [
        ("A", 1.6, 2.3),
        ("B", 2.2, 4.25),
    ]


def test_regions_are_separated_lazily_and_progress_is_reported() -> None:
    oracle, events = Oracle(), list[Event]()
    turns = [Turn(Span(at, at + 1.0), who) for at in range(5) for who in "AB"]
    turns = [Turn(Span(t.span.start + 0.1 * (t.speaker == "B"), t.span.end - 0.3), t.speaker) for t in turns]
    streams = speaker_streams(mixed(), turns, oracle, options=RegionOptions(join=0.0), on_event=events.append)
    assert oracle.calls == []
    next(streams)
    assert len(oracle.calls) == 1
    list(streams)
    started, *progress = events
    assert isinstance(started, Started)
    assert [event.done for event in progress if isinstance(event, Progressed)][-1] == pytest.approx(started.total)


def test_samples_that_are_not_finite_are_noticed() -> None:
    events = list[Event]()
    bad = Returning(lambda mixture: Voice(mixture.replaced(np.full_like(mixture.samples, np.inf))))
    list(speaker_streams(mixed(), [Turn(Span(0, 3), "A"), Turn(Span(2, 4), "B")], bad, on_event=events.append))
    assert sum(isinstance(event, Notice) for event in events) == 2


def peak(minutes: int) -> int:
    """Bytes that streams take beyond the recording, for a meeting with 30 % overlap whose streams are let go."""
    recording = Audio(np.tile(mixed().samples, minutes * 10), RATE)
    turns = [
        Turn(Span(at, at + 2.0 + 0.9), who)
        for at, who in zip(range(0, minutes * 60 - 3, 2), itertools.cycle("ABC"), strict=False)
    ]
    halves = Returning(lambda mixture: Voice(mixture.replaced(mixture.samples / 2)))
    tracemalloc.start()
    for _ in speaker_streams(recording, turns, halves):
        pass
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return used


def test_memory_does_not_grow_with_the_meeting_but_for_its_turns() -> None:
    short, long = peak(4), peak(16)
    assert long - short < 480 * 1500  # about 1.5 kB for each of 360 more turns, not 24 kB for each second of voice


def test_settings_that_cannot_cut_are_refused() -> None:
    with pytest.raises(SettingsError):
        RegionOptions(padding=-1)
    with pytest.raises(SettingsError):
        RegionOptions(window=0)


def test_resampled_enrollment_is_kept_for_the_whole_meeting() -> None:
    seen: list[tuple[int, ...]] = []

    class Watching(Oracle):
        def separate(self, mixture: Audio, enrollment: Mapping[Speaker, Sequence[Audio]]) -> Mapping[Speaker, Voice]:
            seen.append(tuple(id(clips) for clips in enrollment.values()))
            return super().separate(mixture, enrollment)

    turns = [Turn(Span(0, 6), "A"), Turn(Span(1, 2), "B"), Turn(Span(3, 4), "B")]
    list(speaker_streams(mixed(), turns, Watching(16000)))
    assert len(seen) == 2
    assert seen[0] == seen[1]


def test_turns_and_overlaps_shorter_than_a_sample() -> None:
    turns = [
        Turn(Span(0, 2), "A"),
        Turn(Span(2 - 1e-6, 3), "B"),
        Turn(Span(1, 1 + 1e-6), "C"),
        Turn(Span(6 - 1e-6, 9), "D"),
    ]
    assert [(s.speaker, len(s.audio.samples)) for s in speaker_streams(mixed(), turns, Oracle())] == [
        ("A", 2 * RATE),
        ("B", 1.25 * RATE),
        ("D", 0.5 * RATE),
    ]
    assert list(speaker_streams(Audio(np.zeros(0, np.float32), RATE), turns, Oracle())) == []


def test_beyond_a_predicted_boundary_inside_anothers_turn_the_voice_is_played_and_the_other_is_unchanged() -> None:
    turns = [Turn(Span(0, 3), "A"), Turn(Span(2, 5), "B")]
    first, second = speaker_streams(
        mixed(), turns, Oracle(), options=RegionOptions(padding=0.25, boundary_extension=0.15)
    )
    assert (first.speaker, first.span, first.turns) == ("A", Span(0, 3.15), (Span(0, 3),))
    assert (second.speaker, second.span.start, second.turns) == ("B", 1.85, (Span(2, 5),))
    assert [patch.span for patch in first.patches] == [Span(2, 3), Span(3, 3.15)]
    for stream, beyond in ((first, Span(3.0, 3.15)), (second, Span(1.85, 1.98))):
        part = stream.audio.crop(beyond)
        assert np.allclose(part.samples, humming(part, stream.speaker).samples, atol=1e-6)
    alone = Span(1.85, 2.0)
    assert np.array_equal(first.audio.crop(alone).samples, mixed().crop(alone).samples)


def test_beyond_a_boundary_a_refused_voice_is_silent_and_not_the_other_speaker() -> None:
    turns = [Turn(Span(0, 3), "A"), Turn(Span(2, 5), "B")]
    first, _ = speaker_streams(
        mixed(), turns, Oracle(doubted="A"), options=RegionOptions(padding=0.25, boundary_extension=0.15)
    )
    assert [(patch.span, patch.source) for patch in first.patches] == [
        (Span(2, 3), "mixture"),
        (Span(3, 3.15), "silent"),
    ]
    assert not first.audio.crop(Span(3.02, 3.15)).samples.any()


def test_between_two_overlaps_no_moment_is_separated_twice() -> None:
    turns = [Turn(Span(0, 2), "A"), Turn(Span(1, 4), "B"), Turn(Span(2.1, 3), "A"), Turn(Span(3.1, 4), "C")]
    regions = plan(turns, Span(0, 6), options=RegionOptions(boundary_extension=0.15)).regions
    assert all(before.span.end <= after.span.start for before, after in itertools.pairwise(regions))
    pieces = [piece.span for region in regions for piece in region.pieces]
    assert all(before.end <= after.start for before, after in itertools.pairwise(pieces))
    assert Span(2, 2.05) in pieces
    assert Span(2.05, 2.1) in pieces
