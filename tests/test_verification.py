"""Verification: real second voices stay, leakage is muted, and every doubt leaves its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meetsplit.pipeline.audio.crossfade import FADE
from meetsplit.pipeline.cache.keys import cache_keys
from meetsplit.pipeline.data import Audio, Samples, Span, Speaker, Turn, Voice
from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.events import Event, Notice
from meetsplit.pipeline.models.selection import preflight
from meetsplit.pipeline.overlap.leakage import (
    MAX_FOREIGN_TO_MIXTURE,
    MAX_LEAKAGE_TO_ENROLLMENT,
    MUTE_EDGE,
    VoiceLevels,
    is_leakage,
    mute_leakage,
    voice_levels,
)
from meetsplit.pipeline.overlap.regions import Piece, Region
from meetsplit.pipeline.overlap.streams import speaker_streams
from meetsplit.pipeline.overlap.verification import (
    LOW_MARGIN,
    MIN_VERIFY_SECONDS,
    POSSIBLE_LEAK,
    THREE_VOICES,
    UNRESOLVED,
    VerificationOptions,
    decide,
)
from meetsplit.pipeline.settings import OVERLAP_CHECKS, Settings
from meetsplit.speakers.verify import EmbeddingVerifier

RATE = 8000
WHERE = Span(1.0, 3.0)
PAIR = Region(WHERE, ("A", "B"), Span(0.5, 3.5), (Piece(WHERE, ("A", "B")),))


def noise(seed: int, level: float = 0.1, start: float = 0.5, seconds: float = 3.0) -> Audio:
    rng = np.random.default_rng(seed)
    return Audio((level * rng.standard_normal(round(seconds * RATE))).astype(np.float32), RATE, start)


def enrollment(level: float = 0.1) -> dict[Speaker, tuple[Audio, ...]]:
    return {"A": (noise(10, level, 10.0),), "B": (noise(11, level, 20.0),)}


def mixture(*voices: Audio) -> Audio:
    return voices[0].replaced(np.sum([voice.samples for voice in voices], axis=0, dtype=np.float32))


class FixedVerifier:
    """A verifier with given margins; keeps the voices of each call."""

    def __init__(self, **margins: float | None) -> None:
        self.fixed = margins
        self.calls: list[Mapping[Speaker, Audio]] = []

    def margins(
        self, voices: Mapping[Speaker, Audio], enrollment: Mapping[Speaker, Sequence[Audio]]
    ) -> Mapping[Speaker, float | None]:
        self.calls.append(voices)
        return {speaker: self.fixed[speaker] for speaker in voices}


def outcomes(
    a: Audio, b: Audio, options: VerificationOptions, region: Region = PAIR
) -> dict[Speaker, tuple[str, tuple[str, ...], float | None]]:
    decisions = decide({"A": Voice(a), "B": Voice(b)}, mixture(a, b), region, enrollment(), options=options)
    return {speaker: (decision.source, decision.review, decision.margin) for speaker, decision in decisions.items()}


def test_two_voices_at_usual_levels_pass_every_check() -> None:
    options = VerificationOptions(verifier=FixedVerifier(A=0.3, B=0.06), leakage=True)
    assert outcomes(noise(1), noise(2, 0.03), options) == {"A": ("separated", (), 0.3), "B": ("separated", (), 0.06)}


def test_a_voice_unlike_its_speaker_is_flagged_and_costs_the_other_nothing() -> None:
    options = VerificationOptions(verifier=FixedVerifier(A=0.3, B=0.01), leakage=True)
    assert outcomes(noise(1), noise(2), options) == {
        "A": ("separated", (), 0.3),
        "B": ("separated", (LOW_MARGIN,), 0.01),
    }
    believing = VerificationOptions(threshold=None, verifier=FixedVerifier(A=0.3, B=0.01))
    assert outcomes(noise(1), noise(2), believing)["B"] == ("separated", (), 0.01)


def test_voices_with_a_low_mean_margin_leave_the_recording_to_all() -> None:
    alike = VerificationOptions(verifier=FixedVerifier(A=0.06, B=0.03))
    assert outcomes(noise(1), noise(2), alike) == {
        "A": ("mixture", (LOW_MARGIN,), 0.06),
        "B": ("mixture", (LOW_MARGIN,), 0.03),
    }
    one = VerificationOptions(verifier=FixedVerifier(A=None, B=0.2))
    assert {source for source, _, _ in outcomes(noise(1), noise(2), one).values()} == {"separated"}


def test_a_name_that_the_separator_doubts_is_not_believed() -> None:
    a, b = noise(1), noise(2)
    decisions = decide(
        {"A": Voice(a, 0.3), "B": Voice(b, 0.01)},
        mixture(a, b),
        PAIR,
        enrollment(),
        options=VerificationOptions(verifier=FixedVerifier()),
    )
    assert {who: (decision.source, decision.review) for who, decision in decisions.items()} == {
        "A": ("separated", ()),
        "B": ("mixture", (LOW_MARGIN,)),
    }


def test_leakage_is_silenced_and_the_remaining_voice_is_the_recording() -> None:
    assert outcomes(noise(1), noise(2, 0.001), VerificationOptions(leakage=True)) == {
        "A": ("mixture", (POSSIBLE_LEAK,), None),
        "B": ("silent", (POSSIBLE_LEAK,), None),
    }
    assert outcomes(noise(1), noise(2, 0.001), VerificationOptions())["B"] == ("separated", (), None)


def test_of_three_voices_two_stay_separated() -> None:
    region = Region(WHERE, ("A", "B", "C"), Span(0.5, 3.5), (Piece(WHERE, ("A", "B", "C")),))
    voices = {"A": noise(1), "B": noise(2, 0.001), "C": noise(3)}
    clean = {**enrollment(), "C": (noise(12),)}
    decisions = decide(
        {who: Voice(voice) for who, voice in voices.items()},
        mixture(*voices.values()),
        region,
        clean,
        options=VerificationOptions(leakage=True),
    )
    assert {who: decision.source for who, decision in decisions.items()} == {
        "A": "separated",
        "B": "silent",
        "C": "separated",
    }
    assert all(decision.review == (POSSIBLE_LEAK,) for decision in decisions.values())


def test_three_voices_at_once_are_played_and_flagged() -> None:
    region = Region(WHERE, ("A", "B", "C"), Span(0.5, 3.5), (Piece(WHERE, ("A", "B", "C")),))
    voices = {"A": noise(1), "B": noise(2), "C": noise(3)}
    decisions = decide(
        {who: Voice(voice) for who, voice in voices.items()},
        mixture(*voices.values()),
        region,
        {**enrollment(), "C": (noise(12),)},
        options=VerificationOptions(),
    )
    assert {(decision.source, decision.review) for decision in decisions.values()} == {("separated", (THREE_VOICES,))}


def test_where_all_voices_would_be_silenced_none_is() -> None:
    a, b = noise(1, 0.001), noise(2, 0.001)
    decisions = decide(
        {"A": Voice(a), "B": Voice(b)}, noise(3), PAIR, enrollment(), options=VerificationOptions(leakage=True)
    )
    assert {(decision.source, decision.review) for decision in decisions.values()} == {("mixture", (UNRESOLVED,))}


def test_short_voices_are_played_without_verification() -> None:
    short = Span(1.0, 1.0 + 0.9 * MIN_VERIFY_SECONDS)
    verifier = FixedVerifier(A=-1.0, B=-1.0)
    region = Region(short, ("A", "B"), Span(0.5, 3.5), (Piece(short, ("A", "B")),))
    assert outcomes(noise(1), noise(2), VerificationOptions(verifier=verifier), region) == {
        "A": ("separated", (), None),
        "B": ("separated", (), None),
    }
    assert verifier.calls == []


def test_voices_are_verified_in_their_pieces_without_context() -> None:
    verifier = FixedVerifier(A=1.0, B=1.0)
    outcomes(noise(1), noise(2), VerificationOptions(verifier=verifier))
    assert [{who: voice.span for who, voice in voices.items()} for voices in verifier.calls] == [
        {"A": WHERE, "B": WHERE}
    ]


@settings(deadline=None)
@given(st.floats(MAX_FOREIGN_TO_MIXTURE + 0.01, 30), st.floats(-80, 30) | st.none(), st.floats(-2, 2) | st.none())
def test_a_voice_that_is_loud_beside_the_other_is_never_leakage(
    to_mixture: float, to_enrollment: float | None, margin: float | None
) -> None:
    assert not is_leakage(VoiceLevels(to_mixture, to_enrollment), margin)


@settings(deadline=None)
@given(st.floats(-80, 30), st.floats(MAX_LEAKAGE_TO_ENROLLMENT + 0.01, 30))
def test_a_voice_as_loud_as_usual_is_leakage_only_if_it_sounds_like_another(
    to_mixture: float, to_enrollment: float
) -> None:
    assert not is_leakage(VoiceLevels(to_mixture, to_enrollment), None)
    assert not is_leakage(VoiceLevels(to_mixture, to_enrollment), 0.0)


def test_moments_of_leakage_are_muted() -> None:
    voice, other = noise(1).samples.copy(), noise(2)
    pause = slice(RATE, round(1.6 * RATE))
    voice[pause] *= 0.003
    voice_audio = Audio(voice, RATE, 0.5)
    muted = mute_leakage(voice_audio, mixture(voice_audio, other), enrollment()["A"]).samples
    fade = round(FADE * RATE)
    edge = round(MUTE_EDGE * RATE)
    assert not muted[pause.start + edge + fade : pause.stop - edge - fade].any()
    assert np.array_equal(muted[: pause.start], voice[: pause.start])
    assert np.array_equal(muted[pause.stop :], voice[pause.stop :])
    assert np.array_equal(mute_leakage(voice_audio, mixture(voice_audio, other), ()).samples, voice)
    alone = mute_leakage(voice_audio, voice_audio, enrollment()["A"]).samples
    assert np.array_equal(alone, voice)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 1000), st.floats(0.02, 0.3))
def test_a_word_of_usual_loudness_is_never_muted(seed: int, seconds: float) -> None:
    word = noise(seed, seconds=seconds).samples
    voice = np.zeros(3 * RATE, np.float32)
    at = RATE + seed
    voice[at : at + len(word)] = word
    voice_audio = Audio(voice, RATE, 0.5)
    assert np.array_equal(
        mute_leakage(voice_audio, mixture(voice_audio, noise(seed + 1)), enrollment()["A"]).samples, voice
    )


def test_an_overlap_of_no_samples_is_separated_without_doubt() -> None:
    point = Span(1.0, 1.0 + 1e-9)
    region = Region(point, ("A", "B"), Span(0.5, 3.5), (Piece(point, ("A", "B")),))
    assert {
        source for source, _, _ in outcomes(noise(1), noise(2), VerificationOptions(leakage=True), region).values()
    } == {"separated"}


def test_levels_are_measured_in_the_pieces() -> None:
    voice = noise(1, 0.01)
    loud = voice.samples.copy()
    loud[: voice.index(0.9)] = 1.0
    levels = voice_levels(voice.replaced(loud), noise(2, 0.1), PAIR.pieces_of("A"), [noise(3, 0.1)])
    assert levels.to_mixture == pytest.approx(-20, abs=0.5)
    assert levels.to_enrollment == pytest.approx(-20, abs=0.5)
    assert voice_levels(voice, voice, PAIR.pieces_of("A"), []).to_enrollment is None


def test_a_silenced_voice_is_silent_in_the_stream_and_fades() -> None:
    quiet, loud = 0.0005, 0.1
    a, b = noise(1, loud, 0.0, 6.0), noise(2, quiet, 0.0, 6.0)

    class Ideal:
        rate = RATE

        def separate(self, mixture: Audio, enrollment: Mapping[Speaker, Sequence[Audio]]) -> Mapping[Speaker, Voice]:
            return {"A": Voice(a.crop(mixture.span)), "B": Voice(b.crop(mixture.span))}

    other = a.samples.copy()
    other[a.index(4.5) :] = noise(3, loud, 0.0, 1.5).samples
    recording = a.replaced(other + b.samples)
    turns = [Turn(Span(0.5, 4), "A"), Turn(Span(2, 3), "B"), Turn(Span(4.5, 6), "B")]
    streams = {
        (stream.speaker, stream.turns): stream
        for stream in speaker_streams(recording, turns, Ideal(), verification=VerificationOptions(leakage=True))
    }
    silenced = streams["B", (Span(2, 3),)]
    assert [(patch.span, patch.source, patch.review) for patch in silenced.patches] == [
        (Span(2, 3), "silent", (POSSIBLE_LEAK,))
    ]
    inner = Span(2 + FADE, 3 - FADE)
    assert not silenced.audio.crop(inner).samples.any()
    remaining = streams["A", (Span(0.5, 4),)]
    assert np.array_equal(remaining.audio.samples, recording.crop(remaining.span).samples)
    assert [(patch.source, patch.review) for patch in remaining.patches] == [("mixture", (POSSIBLE_LEAK,))]


def test_without_overlaps_nothing_is_separated_and_every_sample_is_the_recordings() -> None:
    class Never:
        rate = RATE

        def separate(self, mixture: Audio, enrollment: Mapping[Speaker, Sequence[Audio]]) -> Mapping[Speaker, Voice]:
            raise AssertionError("nothing is to be taken apart")

    recording = noise(1, 0.1, 0.0, 6.0)
    turns = [Turn(Span(0.5, 2), "A"), Turn(Span(2, 3), "B"), Turn(Span(3.5, 6), "A")]
    for stream in speaker_streams(
        recording, turns, Never(), verification=VerificationOptions(verifier=FixedVerifier(), leakage=True)
    ):
        assert np.shares_memory(stream.audio.samples, recording.samples)
        assert np.array_equal(stream.audio.samples, recording.crop(stream.span).samples)


class ByLevel:
    """Embeds a clip by its loudness: quiet voices point one way, loud ones the other; silence does not tell."""

    rate = RATE

    def embed(self, clips: Sequence[Audio]) -> npt.NDArray[np.float32]:
        return np.array([self._row(clip.samples) for clip in clips], np.float32).reshape(-1, 2)

    def _row(self, samples: Samples) -> tuple[float, float]:
        if not samples.any():
            return np.nan, np.nan
        return (1.0, 0.0) if np.abs(samples).mean() > 0.05 else (0.0, 1.0)


def test_margins_are_against_the_nearest_other_and_none_for_silence() -> None:
    loads: list[int] = []

    def load() -> ByLevel:
        loads.append(1)
        return ByLevel()

    verifier = EmbeddingVerifier(load)
    assert loads == []
    clean = {"A": (noise(1, 0.2),), "B": (noise(2, 0.01),)}
    silence = Audio(np.zeros(RATE, np.float32), RATE)
    assert verifier.margins({"A": noise(3, 0.2), "B": noise(4, 0.2)}, clean) == {"A": 1.0, "B": -1.0}
    assert verifier.margins({"A": silence}, clean) == {"A": None}
    assert verifier.margins({"A": noise(3, 0.2)}, {"A": clean["A"]}) == {"A": None}
    assert verifier.margins({"A": noise(3, 0.2), "B": noise(4, 0.2)}, {**clean, "B": ()}) == {"A": None, "B": None}
    assert loads == [1]


def test_without_a_voice_encoder_nothing_is_verified_and_a_notice_says_so(tmp_path: Path) -> None:
    truth = tmp_path / "turns.rttm"
    truth.write_text("SPEAKER x 1 0.0 1.0 <NA> <NA> A <NA> <NA>\n", "utf-8")
    options = Settings(
        rttm=truth, script=truth, separator="dictionary", overlap_checks="verify", offline=True, cache_dir=tmp_path
    )
    events: list[Event] = []
    assert preflight(options, events.append).of("embedder") is None
    assert ["not verified" in event.text for event in events if isinstance(event, Notice)] == [True]
    events.clear()
    for other in (
        replace(options, overlap_checks="leakage,duplicates"),
        replace(options, separate="off"),
        replace(options, separator="none"),
    ):
        assert preflight(other, events.append).of("embedder") is None
    assert events == []


def test_overlap_checks_have_one_spelling_and_change_only_the_stages_they_belong_to(tmp_path: Path) -> None:
    assert Settings(overlap_checks="duplicates, verify").overlap_checks == "verify,duplicates"
    assert Settings(overlap_checks="all").overlap_checks == ",".join(OVERLAP_CHECKS)
    assert Settings(overlap_checks="none").overlap_checks == Settings(overlap_checks="").overlap_checks == "none"
    with pytest.raises(SettingsError, match="--overlap-checks leek"):
        Settings(overlap_checks="leek")
    truth = tmp_path / "turns.rttm"
    truth.write_text("", "utf-8")
    options = Settings(
        rttm=truth, script=truth, separator="dictionary", overlap_checks="none", offline=True, cache_dir=tmp_path
    )
    selection = preflight(options)
    plain = cache_keys("c0ffee", options, selection)
    assert cache_keys("c0ffee", replace(options, overlap_checks="duplicates"), selection) == plain
    leakage = cache_keys("c0ffee", replace(options, overlap_checks="leakage"), selection)
    assert leakage.diarize == plain.diarize
    assert leakage.separate != plain.separate
    assert leakage.transcribe != plain.transcribe
