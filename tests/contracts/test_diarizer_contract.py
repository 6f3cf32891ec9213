"""Contract of the `Diarizer` protocol, for every backend: real loaders, tiny or fetched models, synthetic sounds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from meetsplit.pipeline.data import Audio, Span, Turn
from meetsplit.pipeline.data.timeline import by_speaker
from meetsplit.pipeline.events import Event, Progressed, ignore_events
from meetsplit.pipeline.protocols import Diarizer
from meetsplit.pipeline.settings import Settings

RATE = 16000
Make = Callable[[Settings], Diarizer]
LOADED: dict[str, Diarizer] = {}
"""Diarizers with models by backend and settings: loading them takes longer than most of these sounds."""


@pytest.fixture(params=["embedded", "pyannote", "rttm"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Settings to diarizer, for each backend."""
    if request.param == "rttm":
        from meetsplit.pipeline.diarizers.rttm import RttmDiarizer

        lines = ["SPEAKER x 1 0.05 1.5 <NA> <NA> Ann <NA> <NA>", "SPEAKER x 1 1.0 2.5 <NA> <NA> Bob <NA> <NA>"]
        path = tmp_path / "x.rttm"
        path.write_text("\n".join(lines))
        return lambda settings: RttmDiarizer.load(Settings(rttm=path, seed=settings.seed), {}, "cpu")
    if request.param == "pyannote":
        from meetsplit.pipeline.diarizers.pyannote import PyannoteDiarizer

        folder: Path = request.getfixturevalue("tiny_pipeline")
        return lambda settings: loaded(
            f"pyannote {settings}", lambda: PyannoteDiarizer.load(settings, {"pipeline": folder}, "cpu")
        )
    from meetsplit.pipeline.diarizers.embedded import EmbeddedDiarizer

    weights: dict[str, Path] = request.getfixturevalue("embedded_weights")
    return lambda settings: loaded(f"embedded {settings}", lambda: EmbeddedDiarizer.load(settings, weights, "cpu"))


def loaded(name: str, load: Callable[[], Diarizer]) -> Diarizer:
    if name not in LOADED:
        LOADED[name] = load()
    return LOADED[name]


def speechlike(seconds: float, seed: int = 0) -> Audio:
    """Two voices in turn: pulses of two pitches through two resonances, in syllables, over a little noise."""
    rng = np.random.default_rng(seed)
    n = round(seconds * RATE)
    t = np.arange(n) / RATE
    sound = np.zeros(n)
    for pitch, resonance, phase in ((110.0, 600.0, 0.0), (210.0, 1100.0, np.pi)):
        wobble = pitch * (1 + 0.05 * np.sin(2 * np.pi * 0.7 * t + phase))
        pulses = np.diff(np.floor(np.cumsum(wobble) / RATE), prepend=0.0)
        ring = np.exp(-np.arange(400) / 60.0) * np.sin(2 * np.pi * resonance * np.arange(400) / RATE)
        voiced = np.convolve(np.append(pulses, 0.0), ring)[:n]
        syllables = np.clip(np.sin(2 * np.pi * 4.0 * t + phase), 0, 1)
        sound += voiced * syllables * (np.sin(2 * np.pi * 0.25 * t + phase) > 0)
    return Audio((0.05 * sound + 1e-4 * rng.standard_normal(n)).astype(np.float32), RATE)


def check(turns: object, audio: Audio) -> None:
    """Sorted, inside, labelled in order of first speech, the turns of one speaker disjoint."""
    assert isinstance(turns, tuple)
    assert list(turns) == sorted(turns)
    assert all(
        isinstance(turn, Turn) and audio.span.start <= turn.span.start < turn.span.end <= audio.span.end
        for turn in turns
    )
    speakers = list(dict.fromkeys(turn.speaker for turn in turns))
    assert speakers == [f"SPEAKER_{n:02d}" for n in range(len(speakers))]
    for speaker, spans in by_speaker(turns).items():
        assert list(spans) == [turn.span for turn in turns if turn.speaker == speaker]


@pytest.mark.parametrize("seconds", [0.0, 0.02, 0.2, 2.0, 5.0, 12.3])
def test_any_length(make: Make, seconds: float) -> None:
    diarizer = make(Settings())
    assert isinstance(diarizer, Diarizer)
    assert diarizer.rate == RATE
    audio = speechlike(seconds)
    before = audio.samples.copy()
    check(diarizer.diarize(audio, ignore_events), audio)
    assert np.array_equal(audio.samples, before)


def test_silence_gives_no_turns(make: Make, request: pytest.FixtureRequest) -> None:
    if "rttm" in request.node.name:
        pytest.skip("rttm takes its turns from the file, not from the sound")
    assert make(Settings()).diarize(Audio(np.zeros(3 * RATE, np.float32), RATE), ignore_events) == ()


def test_turns_are_on_the_recordings_clock(make: Make, request: pytest.FixtureRequest) -> None:
    if "rttm" in request.node.name:
        pytest.skip("rttm's turns are on the recording's clock already")
    audio = speechlike(8.0)
    later = Audio(audio.samples, RATE, 100.0)
    here, there = make(Settings()).diarize(audio, ignore_events), make(Settings()).diarize(later, ignore_events)
    check(there, later)
    assert [(t.speaker, round(t.span.start + 100, 6), round(t.span.end + 100, 6)) for t in here] == [
        (t.speaker, round(t.span.start, 6), round(t.span.end, 6)) for t in there
    ]


def test_volume_moves_no_turn(make: Make, request: pytest.FixtureRequest) -> None:
    """Where the diarizer normalises loudness; a pyannote pipeline gets the audio as it is."""
    if "pyannote" in request.node.name:
        pytest.skip("a pyannote pipeline gets the audio untouched, and may depend on its level")
    audio = speechlike(12.0, seed=1)
    loud_turns = make(Settings()).diarize(audio, ignore_events)
    frame = 0.02
    for gain in (0.5, 0.1):
        quiet = Audio((audio.samples * np.float32(gain)).astype(np.float32), RATE)
        quiet_turns = make(Settings()).diarize(quiet, ignore_events)
        assert [turn.speaker for turn in loud_turns] == [turn.speaker for turn in quiet_turns]
        for one, other in zip(loud_turns, quiet_turns, strict=True):
            assert abs(one.span.start - other.span.start) < 2 * frame
            assert abs(one.span.end - other.span.end) < 2 * frame


def test_same_sound_same_turns(make: Make) -> None:
    audio = speechlike(7.0)
    diarizer = make(Settings())
    assert diarizer.diarize(audio, ignore_events) == diarizer.diarize(audio, ignore_events)


@pytest.mark.parametrize(
    "bounds", [Settings(num_speakers=1), Settings(max_speakers=2), Settings(min_speakers=2, max_speakers=3)]
)
def test_speaker_bounds(make: Make, bounds: Settings, request: pytest.FixtureRequest) -> None:
    if "rttm" in request.node.name:
        pytest.skip("rttm takes its speakers from the file")
    audio = speechlike(15.0)
    turns = make(bounds).diarize(audio, ignore_events)
    check(turns, audio)
    assert len({turn.speaker for turn in turns}) <= (bounds.num_speakers or bounds.max_speakers or 99)


def test_progress_never_falls(make: Make) -> None:
    events: list[Event] = []
    make(Settings()).diarize(speechlike(12.0), events.append)
    progress = [event for event in events if isinstance(event, Progressed)]
    assert all(
        event.stage == "diarize" and event.total is not None and 0 <= event.done <= event.total + 1e-9
        for event in progress
    )
    assert [event.done for event in progress] == sorted(event.done for event in progress)


def test_the_check_itself_finds_mistakes() -> None:
    audio = speechlike(2.0)
    check((Turn(Span(0, 1), "SPEAKER_00"), Turn(Span(0.5, 2), "SPEAKER_01")), audio)
    for wrong in (
        (Turn(Span(0, 1), "SPEAKER_01"),),
        (Turn(Span(0, 3), "SPEAKER_00"),),
        [Turn(Span(0, 1), "SPEAKER_00")],
    ):
        with pytest.raises(AssertionError):
            check(wrong, audio)
