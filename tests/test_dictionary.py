"""The `dictionary` separator: SI-SDR gain, refusals, cached dictionaries, windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
import torch

from meetsplit.pipeline.data import Audio, Samples, Speaker
from meetsplit.pipeline.models.device import has_fast_bfloat16
from meetsplit.pipeline.protocols import Unseparated
from meetsplit.pipeline.separators import dictionary
from meetsplit.pipeline.separators.dictionary import WINDOW, DictionarySeparator, NmfOptions
from meetsplit.pipeline.settings import Settings
from meetsplit.scoring.separation import si_sdr

RATE = 16_000
Enrollment = Mapping[Speaker, Sequence[Audio]]


def hum(pitch: float, seconds: float, seed: int) -> Samples:
    """Syllables of a wandering pitch."""
    noise = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    beats = np.arange(0.0, seconds + 0.5, 0.25)
    phase = 2 * np.pi * np.cumsum(pitch * np.interp(t, beats, noise.uniform(0.85, 1.15, len(beats)))) / RATE
    loudness = np.interp(t, beats, noise.uniform(0.0, 1.0, len(beats)))
    return (0.05 * loudness * sum(np.sin(k * phase) / k for k in range(1, 15))).astype(np.float32)


def speech(pitch: float, seconds: float, seed: int) -> list[Audio]:
    return [Audio(hum(pitch, seconds, seed), RATE, 5.0)]


@pytest.fixture(scope="module")
def enrollment() -> Enrollment:
    return {"SPEAKER_00": speech(100, 8, 1), "SPEAKER_01": speech(170, 8, 2), "SPEAKER_02": speech(290, 8, 3)}


@pytest.fixture(scope="module")
def truth() -> Mapping[Speaker, Samples]:
    return {"SPEAKER_00": hum(100, 3, 11), "SPEAKER_01": hum(170, 3, 12), "SPEAKER_02": hum(290, 3, 13)}


@pytest.mark.parametrize("count", [2, 3])
def test_each_voice_is_closer_to_its_own_truth_than_the_mixture(
    enrollment: Enrollment, truth: Mapping[Speaker, Samples], count: int
) -> None:
    names = sorted(enrollment)[:count]
    mixture = Audio(np.sum([truth[name] for name in names], axis=0, dtype=np.float32), RATE)
    voices = DictionarySeparator().separate(mixture, {name: enrollment[name] for name in names})
    for name in names:
        assert si_sdr(voices[name].audio.samples, truth[name]) > si_sdr(mixture.samples, truth[name]) + 5.0


def test_the_voices_add_up_to_the_mixture(enrollment: Enrollment, truth: Mapping[Speaker, Samples]) -> None:
    mixture = Audio(np.sum(list(truth.values()), axis=0, dtype=np.float32), RATE)
    voices = DictionarySeparator().separate(mixture, enrollment)
    residual = np.sum([voice.audio.samples for voice in voices.values()], axis=0) - mixture.samples
    assert np.abs(residual).max() < 1e-5 * np.abs(mixture.samples).max()


@pytest.mark.parametrize(
    "clips", [[], [Audio(np.ones(8000, np.float32), RATE)], [Audio(np.zeros(5 * RATE, np.float32), RATE)]]
)
def test_too_little_enrollment_is_refused(
    enrollment: Enrollment, truth: Mapping[Speaker, Samples], clips: list[Audio]
) -> None:
    mixture = Audio(truth["SPEAKER_00"], RATE)
    with pytest.raises(Unseparated, match="SPEAKER_09") as error:
        DictionarySeparator().separate(mixture, {"SPEAKER_00": enrollment["SPEAKER_00"], "SPEAKER_09": clips})
    assert error.value.reason == "overlap-unresolved"


def test_another_rate_is_refused(enrollment: Enrollment) -> None:
    with pytest.raises(ValueError, match="16000 Hz, not 8000 Hz"):
        DictionarySeparator().separate(Audio(np.zeros(8000, np.float32), 8000), enrollment)


def test_a_dictionary_is_made_once_for_equal_clips(
    enrollment: Enrollment, truth: Mapping[Speaker, Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[float] = []
    make_dictionary = DictionarySeparator._make_dictionary

    def counting(self: DictionarySeparator, clips: Sequence[Audio]) -> torch.Tensor:
        made.append(sum(clip.duration for clip in clips))
        return make_dictionary(self, clips)

    monkeypatch.setattr(DictionarySeparator, "_make_dictionary", counting)
    separator = DictionarySeparator()
    mixture = Audio(truth["SPEAKER_00"], RATE)
    again = {name: [Audio(clip.samples.copy(), RATE, 77.0) for clip in clips] for name, clips in enrollment.items()}
    first, second = separator.separate(mixture, enrollment), separator.separate(mixture, again)
    assert len(made) == len(enrollment)
    assert all(np.array_equal(first[name].audio.samples, second[name].audio.samples) for name in enrollment)


def test_the_seed_draws_the_exemplars(enrollment: Enrollment, truth: Mapping[Speaker, Samples]) -> None:
    mixture = Audio(truth["SPEAKER_00"] + truth["SPEAKER_01"], RATE)
    options = NmfOptions(exemplars=20)

    def voice(seed: int) -> Samples:
        return DictionarySeparator(seed=seed, options=options).separate(mixture, enrollment)["SPEAKER_00"].audio.samples

    assert np.array_equal(voice(1), voice(1))
    assert not np.array_equal(voice(1), voice(2))
    assert isinstance(DictionarySeparator.load(Settings(seed=3), {}, "cpu"), DictionarySeparator)


def test_windows_leave_no_seams(enrollment: Enrollment) -> None:
    # Frames are factorised with their neighbours alone: away from the cuts, only the grid of the frames changes.
    seconds = WINDOW * 1.5
    mixture = Audio(hum(100, seconds, 21) + hum(170, seconds, 22), RATE)
    names = {name: enrollment[name] for name in ("SPEAKER_00", "SPEAKER_01")}
    options = NmfOptions(exemplars=100, updates=10, pruning=())
    separator = DictionarySeparator(options=options)
    whole = separator.separate(mixture, names)["SPEAKER_00"].audio
    middle = separator.separate(Audio(mixture.samples[: 12 * RATE], RATE), names)["SPEAKER_00"].audio
    assert si_sdr(whole.samples[: 11 * RATE], middle.samples[: 11 * RATE]) > 25.0


@pytest.mark.parametrize("over_relaxed", [True, False])
def test_voices_are_the_same_in_bfloat16(
    over_relaxed: bool,
    enrollment: Enrollment,
    truth: Mapping[Speaker, Samples],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mixture = Audio(np.sum(list(truth.values()), axis=0).astype(np.float32), RATE)
    options = NmfOptions(over_relaxed=over_relaxed)
    answers = []
    for is_fast in (False, True):
        monkeypatch.setattr(dictionary, "has_fast_bfloat16", lambda _, is_fast=is_fast: is_fast)
        answers.append(DictionarySeparator(options=options).separate(mixture, enrollment))
    exact, rounded = answers
    for speaker in truth:
        assert si_sdr(exact[speaker].audio.samples, rounded[speaker].audio.samples) > 25.0
        assert not np.array_equal(exact[speaker].audio.samples, rounded[speaker].audio.samples)


def test_only_processors_are_asked_for_bfloat16() -> None:
    assert has_fast_bfloat16("cpu") in (True, False)
    assert not has_fast_bfloat16("cuda:1")


def stairs(pitches: Sequence[float], seconds: float) -> Samples:
    """Tones of 40 ms, in this order again and again."""
    t = np.arange(round(seconds * RATE)) / RATE
    pitch = np.array(pitches)[(t / 0.04).astype(int) % len(pitches)]
    return (0.1 * np.sin(2 * np.pi * np.cumsum(pitch) / RATE)).astype(np.float32)


def test_voices_with_the_same_sounds_are_told_apart_by_their_order() -> None:
    up, down = (300.0, 500.0, 800.0, 1200.0), (1200.0, 800.0, 500.0, 300.0)
    names = {"up": [Audio(stairs(up, 6.0), RATE)], "down": [Audio(stairs(down, 6.0), RATE)]}
    mixture = Audio(stairs(up, 2.0), RATE)

    def share_of_the_right_one(options: NmfOptions) -> float:
        voices = DictionarySeparator(options=options).separate(mixture, names)
        powers = {name: float(np.square(voice.audio.samples).sum()) for name, voice in voices.items()}
        return powers["up"] / sum(powers.values())

    # At other speeds, tones of one pitch would be other pitches of the other.
    assert share_of_the_right_one(NmfOptions(speeds=(1.0,), context=(0,))) < 0.7
    assert share_of_the_right_one(NmfOptions(speeds=(1.0,))) > 0.9


def test_what_is_beyond_a_clip_is_silence_in_its_exemplars() -> None:
    quiet, loud = Audio(stairs((500.0,), 1.0), RATE), Audio(10 * stairs((900.0,), 1.0), RATE, 1.0)
    separator = DictionarySeparator(options=NmfOptions(speeds=(1.0,), min_loudness=0.0))
    exemplars = separator.exemplars([quiet, loud])
    first = exemplars.magnitudes[exemplars.times == 0.0][0]
    before, own, after = first.sum(dim=1)
    assert before == 0.0
    assert own > 0.0
    assert after > 0.0


@pytest.mark.parametrize("bins", [1, 100, 320, 513])
def test_bands_hold_every_bin_once(bins: int) -> None:
    bands = dictionary._bands(bins, 128, torch.device("cpu"))
    assert torch.equal(bands.sum(dim=0), torch.ones(bins))
    widths = bands.sum(dim=1)
    assert torch.equal(widths[:128], torch.ones(min(bins, 128)))
    assert widths.min() >= 1.0


def test_spectra_are_shifted_by_frames() -> None:
    spectra = torch.tensor([[1.0, 2.0, 3.0]])
    later, same, earlier = (dictionary._shifted(spectra, offset).tolist() for offset in (1, 0, -2))
    assert (later, same, earlier) == ([[2.0, 3.0, 0.0]], [[1.0, 2.0, 3.0]], [[0.0, 0.0, 1.0]])


@pytest.mark.parametrize("nearest_first", [True, False])
def test_other_speeds_fill_what_room_there_is(nearest_first: bool) -> None:
    """A tone of 500 Hz has its energy in bin 32; at four fifths of the speed, in a lower one."""
    clip = Audio(stairs((500.0,), 2.0), RATE)
    options = NmfOptions(speeds=(0.8, 1.0), min_loudness=0.0, exemplars=100, nearest_first=nearest_first)
    exemplars = DictionarySeparator(options=options).exemplars([clip])
    bins = exemplars.magnitudes[:, 1].argmax(dim=1)
    assert len(bins) == 100
    assert bool((bins == 32).all()) == nearest_first
