"""The voice model: PLDA and VBx against their formulas written out, groups, merging, and the shipped table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from meetsplit.pipeline.diarizers.voice_model import (
    LITTLE,
    MUCH,
    SPEECH,
    VOICE_MODEL,
    Grouping,
    LikelyOne,
    People,
    VoiceModel,
    Weights,
    directions,
    estimate_people,
    estimate_voice_model,
    first_groups,
    merge_alike,
    same_person_log_ratio,
    vbx,
)
from meetsplit.pipeline.errors import StageError


def voices(people: int, each: int, seed: int = 0) -> tuple[Any, Any, Any]:
    """Features of people drawn from the model itself, whose each is, and the variances between people."""
    rng = np.random.default_rng(seed)
    between = np.linspace(20.0, 0.5, 24)
    points = rng.standard_normal((people, 24)) * np.sqrt(between)
    owners = np.repeat(np.arange(people), each)
    return (points[owners] + rng.standard_normal((people * each, 24))).astype(np.float32), owners, between


PRIOR = Weights(complexity=MUCH.complexity)


def diarized(features: Any, between: Any, bounds: tuple[int, int] = (1, 99)) -> Any:
    """The person of each row, as the diarizer finds them."""
    rows, weights = directions(features, between), np.ones(len(features))
    groups = vbx(features, weights, first_groups(rows, weights, bounds[0]), between, PRIOR, fewest=bounds[0])
    return merge_alike(groups, rows, weights, bounds).argmax(axis=1)


def test_the_model_finds_the_covariances_that_embeddings_were_drawn_with() -> None:
    rng = np.random.default_rng(1)
    between, within = np.diag([4.0, 1.0, 0.25]) * 1e-4, np.diag([1.0, 2.0, 0.5]) * 1e-4
    people = np.repeat(np.arange(400), 20)
    points = rng.multivariate_normal(np.zeros(3), between, 400)
    rows = np.array([1.0, 0.0, 0.0]) * 0 + points[people] + rng.multivariate_normal(np.zeros(3), within, len(people))
    # Far from the mean, unit length changes nothing but a scale.
    lifted = np.column_stack([rows, np.full(len(rows), 1.0)])
    lifted -= lifted.mean(axis=0)
    lifted[:, 3] = np.where(np.arange(len(rows)) % 2 == 0, 1.0, -1.0)
    model = estimate_voice_model("x", lifted, people, directions=3, shrinkage=0.0)
    ratios = np.sort(np.diag(between) / np.diag(within))[::-1]
    assert model.between == pytest.approx(ratios, rel=0.25)


def test_log_ratios_are_those_of_gaussians() -> None:
    rng = np.random.default_rng(2)
    between = np.array([3.0, 1.0])
    people = People(rng.standard_normal((2, 2)), np.array([[0.2, 0.4], [0.5, 0.1]]))
    row = rng.standard_normal((1, 2))
    (ratios,) = people.log_ratios(row, between)
    for person in range(2):
        # The expected log-likelihood under the person's Gaussian: that of its mean less half the variance it adds.
        point = np.sqrt(between) * people.means[person]
        likelihood = multivariate_normal(point).logpdf(row[0]) - 0.5 * (between * people.variances[person]).sum()
        assert ratios[person] == pytest.approx(likelihood - multivariate_normal(np.zeros(2)).logpdf(row[0]))


def test_people_are_the_posterior_of_a_linear_gaussian_model() -> None:
    features, owners, between = voices(2, 7)
    chosen = np.eye(2)[owners]
    people = estimate_people(features, chosen, between, Weights(1.0, 1.0))
    for person in range(2):
        own = features[owners == person].astype(np.float64)
        precision = np.eye(24) + len(own) * np.diag(between)
        mean = np.linalg.solve(precision, np.sqrt(between) * own.sum(axis=0))
        assert people.means[person] == pytest.approx(mean, abs=1e-4)
        assert people.variances[person] == pytest.approx(1.0 / np.diag(precision))


def test_one_round_of_vbx_is_the_published_formula() -> None:
    """Equations 16, 17 and 24 of Landini et al. (2022), with F_A and F_B, for a chain without memory."""
    features, owners, between = voices(2, 5)
    start = 0.8 * np.eye(2)[owners] + 0.1
    f_a, f_b = 0.4, 3.0
    rho = features * np.sqrt(between)
    expected = np.zeros((10, 2))
    for person in range(2):
        precision = 1.0 + f_a / f_b * start[:, person].sum() * between
        alpha = f_a / f_b / precision * (start[:, person : person + 1] * rho).sum(axis=0)
        score = rho @ alpha - 0.5 * (between * (1.0 / precision + alpha**2)).sum()
        expected[:, person] = np.log(0.5) + f_a * score
    expected = np.exp(expected - expected.max(axis=1, keepdims=True))
    expected /= expected.sum(axis=1, keepdims=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("meetsplit.pipeline.diarizers.voice_model.ITERATIONS", 1)
        found = vbx(features, np.ones(10), start, between, Weights(f_a, f_b))
    assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("people", [1, 2, 5, 9])
def test_people_are_counted_and_told_apart(people: int) -> None:
    features, owners, between = voices(people, 60, seed=people)
    found = diarized(features, between)
    assert len(set(zip(found, owners, strict=True))) == len(set(found)) == people


@pytest.mark.parametrize("bounds", [(1, 1), (1, 2), (3, 3), (5, 5), (6, 8)])
def test_bounds_on_the_number_of_people(bounds: tuple[int, int]) -> None:
    features, _, between = voices(4, 40)
    groups = first_groups(directions(features, between), np.ones(160), bounds[0])
    groups = vbx(features, np.ones(160), groups, between, PRIOR, fewest=bounds[0])
    groups = merge_alike(groups, directions(features, between), np.ones(160), bounds)
    assert bounds[0] <= groups.shape[1] <= bounds[1]


def test_the_greater_the_complexity_the_more_windows_a_person_needs() -> None:
    features, owners, between = voices(2, 40, seed=3)
    # The second person speaks for less than a second and is heard badly: four windows that count a tenth.
    few, weights = features[:44], np.where(owners[:44] == 0, 1.0, 0.1)
    start = np.eye(2)[owners[:44]] * 0.98 + 0.01
    kept = [vbx(few, weights, start, between, prior).shape[1] for prior in (PRIOR, Weights(complexity=3.0))]
    assert kept == [2, 1]


def test_between_little_and_much_speech_grouping_is_in_proportion() -> None:
    assert [Grouping.of_speech(seconds) for seconds in (0.0, SPEECH[0])] == [LITTLE, LITTLE]
    assert [Grouping.of_speech(seconds) for seconds in (SPEECH[1], 10_000.0)] == [MUCH, MUCH]
    middle = Grouping.of_speech(sum(SPEECH) / 2)
    assert middle.complexity == pytest.approx((LITTLE.complexity + MUCH.complexity) / 2)
    assert LITTLE.same_group > middle.same_group > MUCH.same_group
    assert LITTLE.perhaps_same < middle.perhaps_same < MUCH.perhaps_same


def test_the_ratio_of_one_person_to_two_is_that_of_gaussians() -> None:
    rng = np.random.default_rng(4)
    between, prior = np.array([3.0, 1.0, 0.2]), Weights(evidence=0.25)
    first, second, rows = rng.standard_normal(3), rng.standard_normal(3), (8.0, 40.0)
    expected = 0.0
    for direction in range(3):
        noise = [1.0 / (0.25 * count + 1e-3) for count in rows]
        covariance = np.full((2, 2), between[direction]) + np.diag(noise)
        pair = (first[direction], second[direction])
        expected += multivariate_normal(np.zeros(2), covariance).logpdf(pair)
        expected -= multivariate_normal(np.zeros(2), np.diag(np.diag(covariance))).logpdf(pair)
    assert same_person_log_ratio(first, second, rows, between, prior) == pytest.approx(expected)
    assert same_person_log_ratio(first, first, rows, between) > same_person_log_ratio(first, -first, rows, between)


@pytest.mark.parametrize(("rows", "people"), [(6, 1), (200, 2)])
def test_alike_people_are_one_unless_there_is_enough_speech_to_tell_them_apart(rows: int, people: int) -> None:
    rng, angle = np.random.default_rng(5), np.arccos(0.6) / 2
    between = np.full(24, 4.0)
    axes = np.zeros((2, 24))
    axes[:, 0], axes[:, 1] = np.cos(angle), (np.sin(angle), -np.sin(angle))
    owners = np.arange(2 * rows) % 2
    features = (8.0 * axes[owners] + 0.1 * rng.standard_normal((2 * rows, 24))).astype(np.float32)
    own, unit, weights = np.eye(2)[owners], directions(features, between), np.ones(2 * rows)
    is_one = LikelyOne(own, features, between, 0.5)
    assert merge_alike(own, unit, weights, (1, 9)).shape[1] == 2
    assert merge_alike(own, unit, weights, (1, 9), is_one=is_one).shape[1] == people
    assert merge_alike(own, unit, weights, (2, 9), is_one=is_one).shape[1] == 2
    assert merge_alike(own, unit, weights, (1, 9), is_one=LikelyOne(own, features, between, 0.65)).shape[1] == 2


def test_the_shipped_model_is_read_and_a_damaged_one_is_a_sentence(tmp_path: Path) -> None:
    model = VoiceModel.load(VOICE_MODEL)
    assert (model.encoder, model.projection.shape) == ("ge2e", (256, 128))
    assert (np.diff(model.between) <= 0).all()
    assert VOICE_MODEL.stat().st_size < 1e6
    model.save(tmp_path / "again.safetensors")
    assert np.array_equal(VoiceModel.load(tmp_path / "again.safetensors").projection, model.projection)
    (tmp_path / "broken").write_bytes(VOICE_MODEL.read_bytes()[:1000])
    with pytest.raises(StageError, match="voice model"):
        VoiceModel.load(tmp_path / "broken")


def test_the_card_names_the_shipped_model() -> None:
    import hashlib

    digest = hashlib.sha256(VOICE_MODEL.read_bytes()).hexdigest()
    assert digest in VOICE_MODEL.with_suffix(".md").read_text("utf-8")


def test_the_recipe_tells_the_people_of_its_utterances_apart() -> None:
    """With an encoder that hears the spectrum: people are hums of different pitches, each in rooms as well."""
    from meetsplit.pipeline.data import Audio
    from meetsplit.training.plda import is_held_out, make_voice_model
    from meetsplit.training.speech import Utterance

    class SpectrumEncoder:
        def encode(self, mels: Any, batch: int = 256) -> Any:
            rows = np.log(mels.mean(dim=1).numpy() + 1e-6)
            return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    rng = np.random.default_rng(0)
    times = np.arange(4 * 16000) / 16000
    people = {}
    for number in range(4):
        sound = np.sin(2 * np.pi * 200 * (number + 1) * times) * rng.uniform(0.5, 1.0, len(times))
        people[f"p{number}"] = [Utterance(f"p{number}", Audio((0.1 * sound).astype(np.float32), 16000))]
    encoder: Any = SpectrumEncoder()
    model, count = make_voice_model(people, encoder)
    assert count > 4 * 5
    assert model.between[2] > 1.0
    assert model.features(np.ones((2, 40), np.float32)).shape == (2, len(model.between))
    assert 0 < sum(is_held_out(str(number)) for number in range(90)) < 60
