"""The separator that learns the voices of a meeting: what it starts from, what it learns, and within which bounds."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from meetsplit.pipeline.audio.reading import read
from meetsplit.pipeline.data import Audio, Samples, Speaker
from meetsplit.pipeline.diarizers.rttm import read_rttm
from meetsplit.pipeline.events import Event, Finished, Notice, Progressed, Started, ignore_events
from meetsplit.pipeline.models.weights import REFINER, locate
from meetsplit.pipeline.overlap.streams import clean_speech
from meetsplit.pipeline.protocols import Adaptable
from meetsplit.pipeline.separators.adapted import ENOUGH, TRUSTED, WORTH, AdaptedSeparator
from meetsplit.pipeline.separators.adapted_mixtures import LOUDER, levelled, shared_out, stretch
from meetsplit.pipeline.separators.adapted_training import AROUND, Course, Plan, _Speech
from meetsplit.pipeline.separators.dictionary import DictionarySeparator, Recipe
from meetsplit.pipeline.separators.mask_refiner import Refiner, Shape, kept, opened
from meetsplit.scoring.separation import si_sdr

RATE = 16_000
SMALL = Shape(width=24, blocks=2, portrait=4)
QUICK = Recipe(exemplars=300, warps=(1.0,), updates=6)
BRIEF = 11.0
"""Seconds of a budget for a few steps."""

Enrollment = Mapping[Speaker, Sequence[Audio]]


def still() -> float:
    """A clock that stands still: however busy this machine is, nothing is cut short."""
    return 0.0


def small(budget: float = 30.0, clock: Callable[[], float] = still) -> AdaptedSeparator:
    """A separator that costs little: an untrained small refiner on poor dictionaries."""
    torch.manual_seed(1)
    return AdaptedSeparator(
        Refiner(SMALL), plan=Plan(budget, clock=clock, exam=4), base=DictionarySeparator(recipe=QUICK)
    )


@pytest.fixture(scope="module")
def voices() -> dict[Speaker, Audio]:
    """Half a minute each of two people of the sample meeting, where nobody else speaks."""
    folder = Path(__file__).parents[1] / "sample_data"
    recording, turns = read(folder / "standup.m4a", RATE), read_rttm(folder / "standup.rttm")
    people = sorted({turn.speaker for turn in turns})
    clean = {speaker: clean_speech(recording, turns, speaker, 40.0) for speaker in people}
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
    mixture = truth.sum(axis=0)
    found = separator.separate(Audio(mixture, RATE), enrollment)
    return float(
        np.mean(
            [
                si_sdr(voice.audio.samples, row) - si_sdr(mixture, row)
                for voice, row in zip(found.values(), truth, strict=True)
            ]
        )
    )


def shipped(cache: Path) -> Path:
    path = locate(REFINER, cache=cache)
    assert path is not None
    return path


def test_the_shipped_weights_are_those_of_their_card(tmp_path: Path) -> None:
    path = shipped(tmp_path)
    assert path.stat().st_size <= 8_000_000
    card = path.with_name("refiner.md").read_text("utf-8")
    assert re.findall(r"\b[0-9a-f]{64}\b", card) == [hashlib.sha256(path.read_bytes()).hexdigest()]
    assert "CC BY 4.0" in card


def test_the_shipped_weights_beat_the_dictionary_on_voices_that_they_never_heard(
    tmp_path: Path, truth: Samples, enrollment: dict[Speaker, list[Audio]]
) -> None:
    path = shipped(tmp_path)
    pair = dict(list(enrollment.items())[:2])
    assert gain(AdaptedSeparator(opened(path), plan=Plan(0.0)), truth[:2], pair) > gain(
        DictionarySeparator(), truth[:2], pair
    )


def test_untrained_it_is_the_dictionary(truth: Samples, enrollment: dict[Speaker, list[Audio]]) -> None:
    base = DictionarySeparator(recipe=QUICK)
    assert gain(small(), truth, enrollment) == pytest.approx(gain(base, truth, enrollment), abs=0.5)


def overlap_seconds(enrollment: Enrollment) -> dict[tuple[Speaker, ...], float]:
    first, second, third = list(enrollment)[:3]
    return {(first, second): 20.0, (second, third): 4.0, (first, second, third): 2.0}


def test_a_refiner_learns_the_voices_of_the_meeting(
    tmp_path: Path, truth: Samples, enrollment: dict[Speaker, list[Audio]]
) -> None:
    """What dictionaries poorer than those that it was trained with get wrong, without hearing the mixtures that examine it."""
    pair = dict(list(enrollment.items())[:2])
    told: list[float] = []
    base = DictionarySeparator(recipe=QUICK)
    plan = Plan(14.0, clock=still)
    refiner = opened(shipped(tmp_path))
    before = {name: tensor.clone() for name, tensor in refiner.state_dict().items()}
    taught, report = Course(base, plan, 0, told.append).teach(refiner, {tuple(pair): 20.0}, pair)
    assert taught is not None
    assert report is not None
    mixtures, steps = plan.shares(2)
    assert report.whole
    assert (report.mixtures, report.steps) == (mixtures, steps)
    assert len(told) == plan.exam + mixtures + steps
    assert report.after > report.before + 0.1
    assert all(torch.equal(before[name], tensor) for name, tensor in refiner.state_dict().items())
    gains = [gain(AdaptedSeparator(one, plan=Plan(0.0), base=base), truth[:2], pair) for one in (refiner, taught)]
    assert gains[1] > gains[0] + 0.8


def test_a_dictionary_does_not_know_the_mixture_that_it_explains(enrollment: dict[Speaker, list[Audio]]) -> None:
    """Or learning would lean on what no overlap has: its own sound heard alone."""
    base = DictionarySeparator(recipe=QUICK)
    (clip,) = next(iter(enrollment.values()))
    speech = _Speech.of([clip], base)
    dictionary = speech.without(3.0, 5.0)
    away = (speech.moments < 3.0 - AROUND) | (speech.moments > 5.0 + AROUND)
    assert 0 < dictionary.shape[1] == int(away.sum()) < speech.exemplars.shape[1]
    torch.testing.assert_close(dictionary.sum(dim=0), torch.ones(dictionary.shape[1]))
    assert speech.without(0.0, clip.duration).shape == speech.exemplars.shape


def test_who_is_never_heard_teaches_nothing_and_spoils_nothing(enrollment: dict[Speaker, list[Audio]]) -> None:
    """Turns may be given where there is only silence."""
    first, second = list(enrollment)[:2]
    silent = {**enrollment, "nobody": [Audio(np.zeros(20 * RATE, np.float32), RATE)]}
    base = DictionarySeparator(recipe=QUICK)
    course = Course(base, Plan(BRIEF, clock=still, exam=4), 0, lambda _: None)
    torch.manual_seed(1)
    taught, report = course.teach(Refiner(SMALL), {(first, second): 9.0, (first, "nobody"): 30.0}, silent)
    assert report is not None
    assert np.isfinite([report.before, report.after]).all()
    assert taught is None or all(torch.isfinite(tensor).all() for tensor in taught.parameters())
    assert course.teach(Refiner(SMALL), {(first, "nobody"): 30.0}, silent) == (None, None)


def test_a_pause_is_no_lesson() -> None:
    rng = np.random.default_rng(0)
    samples = np.concatenate([np.zeros(40_000, np.float32), rng.standard_normal(20_000).astype(np.float32)])
    starts = [stretch(samples, 8_000, rng)[0] for _ in range(50)]
    assert np.mean([start > 32_000 for start in starts]) > 0.7
    start, short = stretch(samples[-3_000:], 8_000, rng)
    assert (start, len(short)) == (0, 8_000)
    mixture = levelled(np.stack([samples[-8_000:], 30 * samples[-16_000:-8_000]]), rng)
    assert float(np.mean(mixture.sum(axis=0) ** 2)) == pytest.approx(1.0, rel=1e-3)
    ratio = 10 * np.log10(np.mean(mixture[0] ** 2) / np.mean(mixture[1] ** 2))
    assert abs(ratio) <= LOUDER


def test_the_same_again_learns_the_same(truth: Samples, enrollment: dict[Speaker, list[Audio]]) -> None:
    mixture = Audio(truth.sum(axis=0), RATE)
    separator = small(BRIEF)
    assert isinstance(separator, Adaptable)
    events: list[Event] = []
    learned = [
        separator.learned(overlap_seconds(enrollment), enrollment, on_event)
        for on_event in (ignore_events, events.append)
    ]
    runs = [one.separate(mixture, enrollment) for one in learned]
    for speaker in enrollment:
        assert np.array_equal(runs[0][speaker].audio.samples, runs[1][speaker].audio.samples)
    np.testing.assert_allclose(sum(voice.audio.samples for voice in runs[0].values()), mixture.samples, atol=1e-5)
    assert {type(event) for event in events} == {Started, Progressed, Finished}
    assert all(
        event.stage == "learn" and event.total == BRIEF for event in events if isinstance(event, Started | Progressed)
    )


def test_nothing_is_learned_without_a_budget_or_overlap(enrollment: dict[Speaker, list[Audio]]) -> None:
    events: list[Event] = []
    separator = small(0.0)
    assert separator.learned(overlap_seconds(enrollment), enrollment, events.append) is separator
    separator = small()
    assert separator.learned({(next(iter(enrollment)),): 5.0}, enrollment, events.append) is separator
    assert not events


def test_who_speaks_alone_too_little_is_named(truth: Samples, enrollment: dict[Speaker, list[Audio]]) -> None:
    first, second = list(enrollment)[:2]
    for seconds, how in ((ENOUGH - 1.0, "without learning"), (TRUSTED - 1.0, "by the dictionary alone")):
        scarce = {
            first: enrollment[first],
            second: [Audio(enrollment[second][0].samples[: round(seconds * RATE)], RATE)],
        }
        events: list[Event] = []
        separator = small()
        assert separator.learned({(first, second): 5.0}, scarce, events.append) is separator
        (notice,) = events
        assert isinstance(notice, Notice)
        assert second in notice.text
        assert how in notice.text
    base = DictionarySeparator(recipe=QUICK)
    mixture = Audio(truth[:2].sum(axis=0), RATE)
    plain, own = base.separate(mixture, scarce), separator.separate(mixture, scarce)
    assert all(np.array_equal(plain[one].audio.samples, own[one].audio.samples) for one in scarce)


class Clock:
    """Every look at it takes a second."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def test_the_clock_is_an_upper_bound(enrollment: dict[Speaker, list[Audio]]) -> None:
    events: list[Event] = []
    small(20.0, Clock()).learned(overlap_seconds(enrollment), enrollment, events.append)
    (notice,) = [event for event in events if isinstance(event, Notice)]
    assert re.search(r"the budget of 20 s was over after \d+ of \d+ mixtures and \d+ of \d+ steps", notice.text)
    assert max(event.done for event in events if isinstance(event, Progressed)) <= 20.0


def test_eight_people_and_two_hours_cost_no_more_than_two_people(voices: dict[Speaker, Audio]) -> None:
    """Twenty-eight pairs with minutes of overlap each: as much is learned as the budget allows, not as the overlaps ask for."""
    rng = np.random.default_rng(0)
    whole = np.concatenate([audio.samples for audio in voices.values()])
    enrollment = {f"S{k}": [Audio(np.roll(whole, int(rng.integers(len(whole)))), RATE)] for k in range(8)}
    overlap_seconds = {(f"S{a}", f"S{b}"): 60.0 + a + b for b in range(8) for a in range(b)}
    base, told = DictionarySeparator(recipe=QUICK), list[float]()
    plan = Plan(BRIEF + 4.0, clock=still)
    _, report = Course(base, plan, 0, told.append).teach(Refiner(SMALL), overlap_seconds, enrollment)
    assert report is not None
    mixtures, steps = plan.shares(8)
    assert report.whole
    assert 0 < report.steps == steps < plan.shares(2)[1]
    assert len(told) == plan.exam + mixtures + steps


def test_lessons_are_shared_out_by_overlap() -> None:
    given = {("A", "B"): 60.0, ("A", "C"): 30.0, ("A", "B", "C"): 10.0}
    groups = list(shared_out(given, 100))
    assert {group: groups.count(group) for group in given} == {("A", "B"): 60, ("A", "C"): 30, ("A", "B", "C"): 10}


@pytest.mark.parametrize("people", [2, 3, 8, 20])
@pytest.mark.parametrize("budget", [0.0, 1.0, 5.0, 30.0, 120.0, 3600.0])
def test_a_plan_costs_its_budget_at_most(budget: float, people: int) -> None:
    plan = Plan(budget)
    mixtures, steps = plan.shares(people)
    spent = (
        people * plan.reading
        + (plan.exam + mixtures) * plan.asking
        + (plan.exams + 1) * plan.marking
        + steps * plan.step
    )
    assert (mixtures, steps) == (0, 0) or spent <= budget + 1e-6


def test_weights_survive_the_file(tmp_path: Path) -> None:
    torch.manual_seed(3)
    refiner = Refiner(SMALL)
    torch.nn.init.normal_(refiner.leave.weight)
    kept(tmp_path / "r.safetensors", refiner)
    again = opened(tmp_path / "r.safetensors")
    assert again.shape == SMALL
    given = torch.rand(1, 513, 9), torch.rand(1, 3, 513, 9), torch.rand(1, 3, 513)
    with torch.inference_mode():
        masks = again(*given)
        torch.testing.assert_close(masks, refiner(*given), atol=1e-2, rtol=1e-2)
        torch.testing.assert_close(masks.sum(dim=1), torch.ones(1, 513, 9))
        turned = again(given[0], given[1].flip(1), given[2].flip(1)).flip(1)
        torch.testing.assert_close(masks, turned)


def test_a_moment_of_overlap_is_worth_a_moment_of_learning(voices: dict[Speaker, Audio]) -> None:
    told: list[Event] = []
    enrollment = {speaker: [audio] for speaker, audio in voices.items()}
    small().learned({tuple(sorted(enrollment))[:2]: 0.5}, enrollment, told.append)
    assert [event.total for event in told if isinstance(event, Started)] == [0.5 * WORTH]
