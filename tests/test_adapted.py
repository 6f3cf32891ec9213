"""The `adapted` separator: shipped weights, adaptation to a meeting, budget and enrollment limits."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from meetsplit.pipeline.audio.reading import read
from meetsplit.pipeline.data import Audio, Samples, Speaker
from meetsplit.pipeline.diarizers.rttm import read_rttm
from meetsplit.pipeline.events import Event, Finished, Notice, Progressed, Started, ignore_events
from meetsplit.pipeline.models.weights import REFINER, locate
from meetsplit.pipeline.overlap.streams import clean_speech
from meetsplit.pipeline.protocols import Adaptable
from meetsplit.pipeline.separators import adapted_training
from meetsplit.pipeline.separators.adapted import (
    ADAPT_SECONDS_PER_OVERLAP,
    ADAPT_SHARE,
    MIN_ADAPT_SECONDS,
    MIN_REFINE_SECONDS,
    AdaptedSeparator,
)
from meetsplit.pipeline.separators.adapted_mixtures import (
    MAX_LEVEL_DIFFERENCE,
    SpectralBatch,
    at_random_levels,
    concatenate,
    make_mixture,
    random_excerpt,
    refiner_loss,
    weighted_round_robin,
)
from meetsplit.pipeline.separators.adapted_speech import EXCLUSION_MARGIN, TRAINING, Excerpt, SpeakerSpeech
from meetsplit.pipeline.separators.adapted_training import (
    MAX_LOSS,
    PAYING_GAIN,
    Adaptation,
    TrainingBudget,
    TrainingReport,
    _TrainState,
)
from meetsplit.pipeline.separators.dictionary import DictionarySeparator, NmfOptions
from meetsplit.pipeline.separators.mask_refiner import Config, Refiner, load, save
from meetsplit.scoring.separation import si_sdr

RATE = 16_000
SMALL = Config(width=24, blocks=2, speaker_dim=4)
QUICK = NmfOptions(exemplars=300, speeds=(1.0,), updates=6)
SMALL_BUDGET = 11.0
"""Seconds of a budget for a few steps."""

Enrollment = Mapping[Speaker, Sequence[Audio]]


def stopped_clock() -> float:
    """A clock that stands still: however busy this machine is, no training is cut short."""
    return 0.0


def small_separator(budget: float = 30.0, clock: Callable[[], float] = stopped_clock) -> AdaptedSeparator:
    """A separator that costs little: an untrained small refiner on poor dictionaries."""
    torch.manual_seed(1)
    training_budget = TrainingBudget(budget, clock=clock, validation_mixtures=4)
    return AdaptedSeparator(Refiner(SMALL), budget=training_budget, base=DictionarySeparator(options=QUICK))


@pytest.fixture(scope="module")
def voices() -> dict[Speaker, Audio]:
    """Half a minute of clean speech of each speaker of the sample meeting."""
    folder = Path(__file__).parents[1] / "sample_data"
    recording, turns = read(folder / "standup.m4a", RATE), read_rttm(folder / "standup.rttm")
    speakers = sorted({turn.speaker for turn in turns})
    clean = {speaker: clean_speech(recording, turns, speaker, 40.0) for speaker in speakers}
    return {speaker: Audio(np.concatenate([clip.samples for clip in clips]), RATE) for speaker, clips in clean.items()}


@pytest.fixture(scope="module")
def enrollment(voices: dict[Speaker, Audio]) -> dict[Speaker, list[Audio]]:
    """All but the first four seconds of each."""
    return {speaker: [Audio(audio.samples[4 * RATE :], RATE)] for speaker, audio in voices.items()}


@pytest.fixture(scope="module")
def truth(voices: dict[Speaker, Audio]) -> Samples:
    """The first four seconds of each, equally loud."""
    rows = np.stack([audio.samples[: 4 * RATE] for audio in voices.values()])
    return np.asarray(0.1 * rows / np.sqrt(np.mean(rows**2, axis=1, keepdims=True)), np.float32)


def gain(separator: AdaptedSeparator | DictionarySeparator, truth: Samples, enrollment: Enrollment) -> float:
    """SI-SDR improvement in dB, the mean over voices."""
    mixture = truth.sum(axis=0)
    voices = separator.separate(Audio(mixture, RATE), enrollment).values()
    improvements = [
        si_sdr(voice.audio.samples, row) - si_sdr(mixture, row) for voice, row in zip(voices, truth, strict=True)
    ]
    return float(np.mean(improvements))


def shipped_weights(cache: Path) -> Path:
    path = locate(REFINER, cache=cache)
    assert path is not None
    return path


def test_the_shipped_weights_are_those_of_their_card(tmp_path: Path) -> None:
    path = shipped_weights(tmp_path)
    assert path.stat().st_size <= 8_000_000
    card = path.with_name("refiner.md").read_text("utf-8")
    assert re.findall(r"\b[0-9a-f]{64}\b", card) == [hashlib.sha256(path.read_bytes()).hexdigest()]
    assert "CC BY 4.0" in card


def test_the_shipped_weights_beat_the_dictionary_on_unseen_voices(
    tmp_path: Path, truth: Samples, enrollment: dict[Speaker, list[Audio]]
) -> None:
    path = shipped_weights(tmp_path)
    pair = dict(list(enrollment.items())[:2])
    shipped = AdaptedSeparator(load(path), budget=TrainingBudget(0.0))
    assert gain(shipped, truth[:2], pair) > gain(DictionarySeparator(), truth[:2], pair)


def test_untrained_it_is_the_dictionary(truth: Samples, enrollment: dict[Speaker, list[Audio]]) -> None:
    base = DictionarySeparator(options=QUICK)
    assert gain(small_separator(), truth, enrollment) == pytest.approx(gain(base, truth, enrollment), abs=0.5)


def overlaps(enrollment: Enrollment) -> dict[tuple[Speaker, ...], float]:
    first, second, third = list(enrollment)[:3]
    return {(first, second): 20.0, (second, third): 4.0, (first, second, third): 2.0}


def test_a_refiner_is_adapted_to_the_voices_of_the_meeting(
    tmp_path: Path, truth: Samples, enrollment: dict[Speaker, list[Audio]]
) -> None:
    """Dictionaries poorer than those it was trained with; the mixtures that test it are not in the enrollment."""
    pair = dict(list(enrollment.items())[:2])
    progress: list[tuple[float, float]] = []
    base = DictionarySeparator(options=QUICK)
    budget = TrainingBudget(16.0, clock=stopped_clock)
    refiner = load(shipped_weights(tmp_path))
    before = {name: tensor.clone() for name, tensor in refiner.state_dict().items()}
    result = Adaptation(base, budget, 0, lambda *seconds: progress.append(seconds)).fit(
        refiner, {tuple(pair): 20.0}, pair
    )
    assert result is not None
    assert result.refiner is not None
    report = result.report
    assert report.complete
    assert report.done == report.planned == budget.plan(2)
    assert len(progress) == budget.validation_mixtures + report.done.mixtures + report.done.steps
    assert report.validated_steps == report.planned.validated.steps < report.done.steps
    assert report.snr_after > report.snr_before + 0.1
    assert all(torch.equal(before[name], tensor) for name, tensor in refiner.state_dict().items())
    shipped, adapted = (
        gain(AdaptedSeparator(one, budget=TrainingBudget(0.0), base=base), truth[:2], pair)
        for one in (refiner, result.refiner)
    )
    assert adapted > shipped + 0.8


def test_exemplars_from_the_mixture_are_excluded(enrollment: dict[Speaker, list[Audio]]) -> None:
    """Or training would lean on what no overlap has: clean exemplars of its own sound."""
    base = DictionarySeparator(options=QUICK)
    (clip,) = next(iter(enrollment.values()))
    speech = SpeakerSpeech.from_clips([clip], base)
    times, magnitudes = speech.exemplars.times, speech.exemplars.magnitudes
    dictionary = speech.dictionary_for(Excerpt(clip.samples, 3.0, 5.0))
    outside = (times < 3.0 - EXCLUSION_MARGIN) | (times > 5.0 + EXCLUSION_MARGIN)
    assert 0 < len(dictionary) == int(outside.sum()) < len(magnitudes)
    sums = dictionary.float().sum(dim=(1, 2))
    torch.testing.assert_close(sums, torch.ones_like(sums), rtol=0.0, atol=1e-2)  # but for bfloat16
    assert speech.dictionary_for(Excerpt(clip.samples, 0.0, clip.duration)).shape == magnitudes.shape


def test_silent_enrollment_is_left_out_of_the_training(enrollment: dict[Speaker, list[Audio]]) -> None:
    """Turns may be given where there is only silence."""
    first, second = list(enrollment)[:2]
    with_silent = {**enrollment, "silent": [Audio(np.zeros(20 * RATE, np.float32), RATE)]}
    budget = TrainingBudget(SMALL_BUDGET, clock=stopped_clock, validation_mixtures=4)
    adaptation = Adaptation(DictionarySeparator(options=QUICK), budget, 0, lambda *_: None)
    torch.manual_seed(1)
    result = adaptation.fit(Refiner(SMALL), {(first, second): 9.0, (first, "silent"): 30.0}, with_silent)
    assert result is not None
    assert np.isfinite([result.report.snr_before, result.report.snr_after]).all()
    adapted = result.refiner
    assert adapted is None or all(torch.isfinite(tensor).all() for tensor in adapted.parameters())
    assert adaptation.fit(Refiner(SMALL), {(first, "silent"): 30.0}, with_silent) is None


def test_excerpts_are_not_drawn_from_pauses() -> None:
    rng = np.random.default_rng(0)
    samples = np.concatenate([np.zeros(40_000, np.float32), rng.standard_normal(20_000).astype(np.float32)])
    starts = [random_excerpt(samples, 8_000, rng)[0] for _ in range(50)]
    assert np.mean([start > 32_000 for start in starts]) > 0.7
    start, short = random_excerpt(samples[-3_000:], 8_000, rng)
    assert (start, len(short)) == (0, 8_000)
    mixture = at_random_levels(np.stack([samples[-8_000:], 30 * samples[-16_000:-8_000]]), rng)
    assert float(np.mean(mixture.sum(axis=0) ** 2)) == pytest.approx(1.0, rel=1e-3)
    ratio = 10 * np.log10(np.mean(mixture[0] ** 2) / np.mean(mixture[1] ** 2))
    assert abs(ratio) <= MAX_LEVEL_DIFFERENCE


def test_adaptation_is_reproducible(truth: Samples, enrollment: dict[Speaker, list[Audio]]) -> None:
    mixture = Audio(truth.sum(axis=0), RATE)
    separator = small_separator(SMALL_BUDGET)
    assert isinstance(separator, Adaptable)
    events: list[Event] = []
    adapted = [
        separator.adapt(overlaps(enrollment), enrollment, on_event) for on_event in (ignore_events, events.append)
    ]
    runs = [one.separate(mixture, enrollment) for one in adapted]
    for speaker in enrollment:
        assert np.array_equal(runs[0][speaker].audio.samples, runs[1][speaker].audio.samples)
    np.testing.assert_allclose(sum(voice.audio.samples for voice in runs[0].values()), mixture.samples, atol=1e-5)
    assert {type(event) for event in events} == {Started, Progressed, Finished}
    assert all(
        event.stage == "learn" and event.total == SMALL_BUDGET
        for event in events
        if isinstance(event, Started | Progressed)
    )


def test_no_adaptation_without_a_budget_or_overlap(enrollment: dict[Speaker, list[Audio]]) -> None:
    events: list[Event] = []
    separator = small_separator(0.0)
    assert separator.adapt(overlaps(enrollment), enrollment, events.append) is separator
    separator = small_separator()
    assert separator.adapt({(next(iter(enrollment)),): 5.0}, enrollment, events.append) is separator
    assert not events


def test_speakers_with_short_enrollment_are_named(truth: Samples, enrollment: dict[Speaker, list[Audio]]) -> None:
    first, second = list(enrollment)[:2]
    for seconds, how in (
        (MIN_ADAPT_SECONDS - 1.0, "without learning"),
        (MIN_REFINE_SECONDS - 1.0, "by the dictionary alone"),
    ):
        short = {
            first: enrollment[first],
            second: [Audio(enrollment[second][0].samples[: round(seconds * RATE)], RATE)],
        }
        events: list[Event] = []
        separator = small_separator()
        assert separator.adapt({(first, second): 5.0}, short, events.append) is separator
        (notice,) = events
        assert isinstance(notice, Notice)
        assert second in notice.text
        assert how in notice.text
    base = DictionarySeparator(options=QUICK)
    mixture = Audio(truth[:2].sum(axis=0), RATE)
    plain, adapted = base.separate(mixture, short), separator.separate(mixture, short)
    assert all(np.array_equal(plain[name].audio.samples, adapted[name].audio.samples) for name in short)


class TickingClock:
    """A clock on which every reading takes a second."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def test_the_clock_bounds_the_training(enrollment: dict[Speaker, list[Audio]]) -> None:
    events: list[Event] = []
    small_separator(20.0, TickingClock()).adapt(overlaps(enrollment), enrollment, events.append)
    (notice,) = [event for event in events if isinstance(event, Notice)]
    assert re.search(r"the budget of 20 s was over after \d+ of \d+ mixtures and \d+ of \d+ steps", notice.text)
    assert max(event.done for event in events if isinstance(event, Progressed)) <= 20.0


def test_eight_people_and_two_hours_cost_no_more_than_two_people(voices: dict[Speaker, Audio]) -> None:
    """Twenty-eight pairs with minutes of overlap each: the budget decides how much is trained, not the overlaps."""
    rng = np.random.default_rng(0)
    whole = np.concatenate([audio.samples for audio in voices.values()])
    enrollment = {f"S{k}": [Audio(np.roll(whole, int(rng.integers(len(whole)))), RATE)] for k in range(8)}
    overlap_seconds = {(f"S{a}", f"S{b}"): 60.0 + a + b for b in range(8) for a in range(b)}
    base, progress = DictionarySeparator(options=QUICK), list[tuple[float, float]]()
    budget = TrainingBudget(SMALL_BUDGET + 4.0, clock=stopped_clock)
    adaptation = Adaptation(base, budget, 0, lambda *seconds: progress.append(seconds))
    result = adaptation.fit(Refiner(SMALL), overlap_seconds, enrollment)
    assert result is not None
    assert result.report.complete
    assert result.refiner is not None
    planned = budget.plan(8)
    assert 0 < result.report.done.steps == planned.steps < budget.plan(2).steps
    assert len(progress) == budget.validation_mixtures + planned.mixtures + planned.steps


def test_mixtures_are_allotted_by_overlap() -> None:
    overlap_seconds = {("A", "B"): 60.0, ("A", "C"): 30.0, ("A", "B", "C"): 10.0}
    groups = list(weighted_round_robin(overlap_seconds, 100))
    assert {group: groups.count(group) for group in overlap_seconds} == {
        ("A", "B"): 60,
        ("A", "C"): 30,
        ("A", "B", "C"): 10,
    }


@pytest.mark.parametrize("speakers", [2, 3, 8, 20])
@pytest.mark.parametrize("budget", [0.0, 1.0, 5.0, 30.0, 120.0, 3600.0])
def test_planned_work_costs_at_most_the_budget(budget: float, speakers: int) -> None:
    costs = TrainingBudget(budget)
    work = costs.plan(speakers)
    seconds = (
        speakers * costs.dictionary_cost
        + (costs.validation_mixtures + work.mixtures) * costs.mixture_cost
        + 3 * costs.validation_cost
        + work.steps * costs.step_cost
    )
    assert (work.mixtures, work.steps) == (0, 0) or seconds <= budget + 1e-6
    assert costs.cost(speakers, work) == pytest.approx(seconds)


def test_weights_survive_the_file(tmp_path: Path) -> None:
    torch.manual_seed(3)
    refiner = Refiner(SMALL)
    torch.nn.init.normal_(refiner.out_proj.weight)
    save(tmp_path / "r.safetensors", refiner)
    again = load(tmp_path / "r.safetensors")
    assert again.config == SMALL
    magnitudes, estimates, profiles = torch.rand(1, 513, 9), torch.rand(1, 3, 513, 9), torch.rand(1, 3, 513)
    with torch.inference_mode():
        masks = again(magnitudes, estimates, profiles)
        torch.testing.assert_close(masks, refiner(magnitudes, estimates, profiles), atol=1e-2, rtol=1e-2)
        torch.testing.assert_close(masks.sum(dim=1), torch.ones(1, 513, 9))
        reversed_speakers = again(magnitudes, estimates.flip(1), profiles.flip(1)).flip(1)
        torch.testing.assert_close(masks, reversed_speakers)


def test_a_short_overlap_is_given_a_short_adaptation(voices: dict[Speaker, Audio]) -> None:
    events: list[Event] = []
    enrollment = {speaker: [audio] for speaker, audio in voices.items()}
    small_separator().adapt({tuple(sorted(enrollment))[:2]: 0.5}, enrollment, events.append)
    assert [event.total for event in events if isinstance(event, Started)] == [0.5 * ADAPT_SECONDS_PER_OVERLAP]


@pytest.mark.parametrize(
    ("gain", "recording_seconds", "totals"),
    [(PAYING_GAIN, 32.0, [8.0, 14.0]), (PAYING_GAIN - 0.1, 32.0, [8.0]), (9.0, 240.0, [14.0])],
)
def test_more_than_a_quarter_of_the_recording_is_learned_only_where_it_pays(
    voices: dict[Speaker, Audio],
    monkeypatch: pytest.MonkeyPatch,
    gain: float,
    recording_seconds: float,
    totals: list[float],
) -> None:
    """Validation says what it is to say: 4 dB at first, and so much more from then on."""
    enrollment = {speaker: [audio] for speaker, audio in voices.items()}
    snr = itertools.chain([4.0], itertools.repeat(4.0 + gain))
    monkeypatch.setattr(adapted_training, "validate", lambda *_: next(snr))
    events: list[Event] = []
    group = tuple(sorted(enrollment))[:2]
    separator = small_separator(14.0)
    adapted = separator.adapt({group: 100.0}, enrollment, events.append, recording_seconds=recording_seconds)
    assert adapted is not separator
    assert [event.total for event in events if isinstance(event, Started)] == totals
    assert totals[0] == min(ADAPT_SHARE * recording_seconds, 14.0)
    planned = TrainingBudget(totals[-1], validation_mixtures=4).plan(2)
    (finished,) = [event for event in events if isinstance(event, Finished)]
    assert f"4.0 → {4.0 + gain:.1f} dB" in str(finished)
    assert f"after {planned.validated.steps} of {planned.steps} steps" in str(finished)
    assert not [event for event in events if isinstance(event, Notice)]


@pytest.mark.parametrize(("loss", "is_used"), [(MAX_LOSS + 0.1, False), (MAX_LOSS - 0.1, True)])
def test_weights_that_lost_much_are_not_used_nor_learned_on(
    enrollment: dict[Speaker, list[Audio]], monkeypatch: pytest.MonkeyPatch, loss: float, is_used: bool
) -> None:
    """A fifth of the speech says too little of a small loss."""
    snr = iter([4.0, 4.0 - loss])
    monkeypatch.setattr(adapted_training, "validate", lambda *_: next(snr))
    pair = dict(list(enrollment.items())[:2])
    budget = TrainingBudget(SMALL_BUDGET, clock=stopped_clock, validation_mixtures=4)
    adaptation = Adaptation(DictionarySeparator(options=QUICK), budget, 0, lambda *_: None)
    result = adaptation.fit(Refiner(SMALL), {tuple(pair): 9.0}, pair)
    assert result is not None
    assert (result.refiner is not None) == is_used
    assert result.report.complete
    planned = budget.plan(2)
    work = planned if is_used else planned.validated
    assert result.report == TrainingReport(4.0, 4.0 - loss, planned.validated.steps, work, work)


def test_the_result_lies_between_the_first_weights_and_their_average() -> None:
    state = _TrainState.start(Refiner(SMALL))
    with torch.no_grad():
        for weights in state.average.parameters():
            weights.add_(1.0)
    for weights, before in zip(state.result().parameters(), state.initial.parameters(), strict=True):
        torch.testing.assert_close(weights, before + 0.5)


def test_a_spectral_batch_has_the_loss_of_its_mixtures(enrollment: dict[Speaker, list[Audio]]) -> None:
    base = DictionarySeparator(options=QUICK)
    first, second = (SpeakerSpeech.from_clips(clips, base) for clips in list(enrollment.values())[:2])
    rng = np.random.default_rng(0)
    mixtures = []
    for _ in range(3):
        excerpts = [speech.excerpt(rng, TRAINING) for speech in (first, second)]
        voices = at_random_levels(np.stack([excerpt.samples for excerpt in excerpts]), rng)
        dictionaries = [
            speech.dictionary_for(excerpt) for speech, excerpt in zip((first, second), excerpts, strict=True)
        ]
        mixtures.append(make_mixture(base, voices.sum(axis=0), voices, dictionaries))
    torch.manual_seed(3)
    refiner = Refiner(SMALL).eval()
    torch.nn.init.normal_(refiner.out_proj.weight, std=0.1)
    spectral = concatenate([SpectralBatch.from_mixtures(mixture) for mixture in mixtures])
    assert (len(spectral), spectral.voices) == (3, 2)
    with torch.inference_mode():
        expected = refiner_loss(refiner, concatenate(mixtures))
        torch.testing.assert_close(spectral.loss(refiner), expected, atol=0.02, rtol=0.0)


def test_an_equalized_batch_is_one_of_another_microphone(enrollment: dict[Speaker, list[Audio]]) -> None:
    base = DictionarySeparator(options=QUICK)
    first, second = (clips[0].samples[: 2 * 16_000] for clips in list(enrollment.values())[:2])
    voices = at_random_levels(np.stack([first, second]), np.random.default_rng(0))
    dictionaries = [base.dictionary(name, clips) for name, clips in list(enrollment.items())[:2]]
    mixture = make_mixture(base, voices.sum(axis=0), voices, dictionaries)
    gains = torch.linspace(0.5, 2.0, 513).unsqueeze(0)
    plain, equalized = SpectralBatch.from_mixtures(mixture), SpectralBatch.from_mixtures(mixture, gains)
    torch.testing.assert_close(equalized.magnitudes, plain.magnitudes * gains.unsqueeze(1).half(), atol=0.01, rtol=0.01)
    torch.testing.assert_close(equalized.best_masks, plain.best_masks, atol=0.1, rtol=0.01)
    louder = (equalized.profiles.float() - plain.profiles.float()).exp()
    torch.testing.assert_close(louder, gains.expand(1, 2, 513), atol=0.02, rtol=0.0)
    torch.testing.assert_close(
        equalized.estimates.float(), plain.estimates.float() * gains[:, None, None], atol=0.02, rtol=0.01
    )
    colored = torch.fft.irfft(torch.fft.rfft(mixture.waveforms[0, 1].double()) * torch.linspace(0.5, 2.0, 16_001))
    power = equalized.voice_power[0, 0] / plain.voice_power[0, 0]
    expected = colored.square().sum() / mixture.waveforms[0, 1].double().square().sum()
    assert float(power) == pytest.approx(float(expected), rel=0.05)


def test_weights_load_under_the_names_in_the_file_and_our_own(tmp_path: Path) -> None:
    """Files have the names of the first release; tensors under the attributes' own names are understood, too."""
    refiner = Refiner(SMALL)
    save(tmp_path / "first.safetensors", refiner)
    with safe_open(tmp_path / "first.safetensors", framework="pt") as file:
        names, sizes = set(file.keys()), json.loads(file.metadata()["shape"])
    assert {"trust", "enter.weight", "blocks.1.bend.weight"} < names
    assert sizes == {"bins": 513, "width": 24, "blocks": 2, "turn": 5, "portrait": 4}
    tensors = {name: tensor.contiguous() for name, tensor in refiner.state_dict().items()}
    save_file(tensors, tmp_path / "own.safetensors", metadata={"shape": json.dumps(asdict(SMALL))})
    again = load(tmp_path / "own.safetensors")
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in again.state_dict().items())
