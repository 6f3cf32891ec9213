"""Contract of the `Separator` protocol: one suite for every backend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from meetsplit.pipeline.data import Audio, Samples, Speaker
from meetsplit.pipeline.events import ignore_events
from meetsplit.pipeline.models import weights
from meetsplit.pipeline.protocols import BlindSeparator, Embedder, Matcher, Separator
from meetsplit.pipeline.settings import Settings
from meetsplit.speakers.match import EmbeddingMatcher

RATE = 16_000
BACKENDS = ("none", "dictionary", "adapted", "adapted, fitted", "sepformer+spectra", "sepformer+ecapa",
            "convtasnet", "dprnn")  # fmt: skip
Enrollment = Mapping[Speaker, Sequence[Audio]]


def babble(pitch: float, seconds: float, seed: int) -> Samples:
    """A hum with syllables and a wandering pitch: a synthetic voice."""
    noise = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    bends = np.arange(0.0, seconds + 1.0, 0.5)
    bend = np.interp(t, bends, noise.uniform(0.9, 1.1, len(bends)))
    phase = 2 * np.pi * np.cumsum(pitch * bend) / RATE
    hum = sum(np.sin(k * phase + k) / k for k in range(1, 12))
    syllables = 0.5 + 0.5 * np.sin(2 * np.pi * (3 + seed % 3) * t + seed)
    return (0.05 * hum * syllables).astype(np.float32)


class Spectra:
    """An `Embedder` of coarse mean spectra: enough to tell a low hum from a high one."""

    rate = RATE

    def embed(self, clips: Sequence[Audio]) -> npt.NDArray[np.float32]:
        rows = []
        for clip in clips:
            power = np.abs(np.fft.rfft(clip.samples, 4096))[:256].reshape(64, 4).sum(axis=1)
            rows.append(power / np.linalg.norm(power) if power.any() else np.full(64, np.nan))
        return np.array(rows, np.float32).reshape(len(clips), 64)


@pytest.fixture(scope="module")
def separators(
    sepformer_folder: Path,
    ecapa_folder: Path,
    convtasnet_file: Path,
    dprnn_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Mapping[str, Separator]:
    from meetsplit.pipeline.embedders.ecapa import EcapaEmbedder
    from meetsplit.pipeline.separators.adapted import AdaptedSeparator
    from meetsplit.pipeline.separators.convtasnet import ConvTasNetSeparator
    from meetsplit.pipeline.separators.dictionary import DictionarySeparator
    from meetsplit.pipeline.separators.dprnn import DprnnSeparator
    from meetsplit.pipeline.separators.matching import MatchingSeparator
    from meetsplit.pipeline.separators.passthrough import PassthroughSeparator
    from meetsplit.pipeline.separators.sepformer import SepformerSeparator

    settings = Settings(adapt_budget=9.0)
    refiner = weights.locate(weights.REFINER, cache=tmp_path_factory.mktemp("cache"))
    assert refiner is not None
    adapted = AdaptedSeparator.load(settings, {"refiner": refiner}, "cpu")
    clean = {"SPEAKER_00": [Audio(babble(110, 9, 7), RATE)], "SPEAKER_01": [Audio(babble(190, 9, 8), RATE)]}
    fitted = adapted.adapt({tuple(clean): 5.0}, clean, ignore_events)
    blind = SepformerSeparator.load(settings, {"separator": sepformer_folder}, "cpu")
    return {
        "none": PassthroughSeparator.load(settings, {}, "cpu"),
        "dictionary": DictionarySeparator.load(settings, {}, "cpu"),
        "adapted": adapted,
        "adapted, fitted": fitted,
        "sepformer+spectra": MatchingSeparator(blind, EmbeddingMatcher(Spectra())),
        "sepformer+ecapa": MatchingSeparator(
            blind, EmbeddingMatcher(EcapaEmbedder.load(settings, {"embedder": ecapa_folder}, "cpu"))
        ),
        "convtasnet": MatchingSeparator(
            ConvTasNetSeparator.load(settings, {"separator": convtasnet_file}, "cpu"), EmbeddingMatcher(Spectra())
        ),
        "dprnn": MatchingSeparator(
            DprnnSeparator.load(settings, {"separator": dprnn_folder}, "cpu"), EmbeddingMatcher(Spectra())
        ),
    }


@pytest.fixture(params=BACKENDS)
def separator(request: pytest.FixtureRequest, separators: Mapping[str, Separator]) -> Separator:
    return separators[request.param]


@pytest.fixture(scope="module")
def enrollment() -> Enrollment:
    return {"SPEAKER_00": [Audio(babble(110, 4, 1), RATE, 1.0)], "SPEAKER_01": [Audio(babble(190, 3, 2), RATE, 7.0)]}


@pytest.fixture(scope="module")
def mixture() -> Audio:
    return Audio(babble(110, 2.5, 3) + babble(190, 2.5, 4), RATE, 12.5)


def rows(separator: Separator, mixture: Audio, enrollment: Enrollment) -> npt.NDArray[np.float32]:
    """The checked voices, one row per enrolled speaker."""
    voices = separator.separate(mixture, enrollment)
    assert sorted(voices) == sorted(enrollment)
    for voice in voices.values():
        assert voice.audio.rate == mixture.rate
        assert voice.audio.start == mixture.start
        assert voice.audio.samples.shape == mixture.samples.shape
        assert np.isfinite(voice.audio.samples).all()
        assert voice.margin is None or -2.0 <= voice.margin <= 2.0
    return np.stack([voices[speaker].audio.samples for speaker in enrollment])


def test_it_is_a_separator(separator: Separator) -> None:
    assert isinstance(separator, Separator)
    assert separator.rate == RATE


def test_one_voice_per_speaker_on_the_mixtures_own_scale(
    separator: Separator, mixture: Audio, enrollment: Enrollment
) -> None:
    voices = rows(separator, mixture, enrollment)
    peak = np.abs(mixture.samples).max()
    if np.array_equal(voices[0], mixture.samples):  # "none": every voice is the mixture
        assert np.array_equal(voices[1], mixture.samples)
    else:
        assert np.abs(voices.sum(axis=0) - mixture.samples).max() <= 1e-5 * peak


@pytest.mark.parametrize("seconds", [0.0005, 0.05, 0.3])
def test_very_short_mixtures(separator: Separator, mixture: Audio, enrollment: Enrollment, seconds: float) -> None:
    rows(separator, Audio(mixture.samples[: round(seconds * RATE)], RATE, 3.0), enrollment)


def test_long_mixtures(separator: Separator, enrollment: Enrollment) -> None:
    long = Audio(babble(110, 30, 5) + babble(190, 30, 6), RATE)
    assert np.abs(rows(separator, long, enrollment)).max() > 0.0


def test_silence_gives_silence(separator: Separator, enrollment: Enrollment) -> None:
    assert not rows(separator, Audio(np.zeros(RATE, np.float32), RATE), enrollment).any()


def test_silence_inside_a_mixture(separator: Separator, mixture: Audio, enrollment: Enrollment) -> None:
    samples = mixture.samples.copy()
    samples[RATE // 2 : RATE] = 0.0
    rows(separator, Audio(samples, RATE), enrollment)


def test_inputs_stay_as_they_are(separator: Separator, mixture: Audio, enrollment: Enrollment) -> None:
    before = [mixture.samples.copy(), *(clip.samples.copy() for clips in enrollment.values() for clip in clips)]
    separator.separate(mixture, enrollment)
    after = [mixture.samples, *(clip.samples for clips in enrollment.values() for clip in clips)]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_separation_is_reproducible(separator: Separator, mixture: Audio, enrollment: Enrollment) -> None:
    assert np.array_equal(rows(separator, mixture, enrollment), rows(separator, mixture, enrollment))


def test_a_later_mixture_gives_the_same_voices(separator: Separator, mixture: Audio, enrollment: Enrollment) -> None:
    later = Audio(mixture.samples, RATE, mixture.start + 100.0)
    assert np.array_equal(rows(separator, mixture, enrollment), rows(separator, later, enrollment))


@pytest.mark.parametrize("gain", [0.5, 1e-3])
def test_voices_scale_with_the_mixture(
    separator: Separator, mixture: Audio, enrollment: Enrollment, gain: float
) -> None:
    quiet = Audio(mixture.samples * np.float32(gain), RATE, mixture.start)
    loud = rows(separator, mixture, enrollment)
    np.testing.assert_allclose(rows(separator, quiet, enrollment) / gain, loud, atol=1e-4 * np.abs(loud).max())


def test_the_order_of_the_speakers_does_not_matter(
    separator: Separator, mixture: Audio, enrollment: Enrollment
) -> None:
    reverse = dict(reversed(list(enrollment.items())))
    loud = rows(separator, mixture, enrollment)
    np.testing.assert_allclose(rows(separator, mixture, reverse)[::-1], loud, atol=1e-3 * np.abs(loud).max())


def test_a_speaker_alone_is_the_mixture(separator: Separator, mixture: Audio, enrollment: Enrollment) -> None:
    alone = rows(separator, mixture, {"SPEAKER_00": enrollment["SPEAKER_00"]})
    assert np.array_equal(alone[0], mixture.samples)


def test_matcher_and_models_implement_their_protocols(
    sepformer_folder: Path, convtasnet_file: Path, dprnn_folder: Path
) -> None:
    from meetsplit.pipeline.models import registry

    for name, path in (("sepformer", sepformer_folder), ("convtasnet", convtasnet_file), ("dprnn", dprnn_folder)):
        separator = registry.load("separator", name, Settings(), {"separator": path}, "cpu")
        assert isinstance(separator, BlindSeparator)
    assert isinstance(Spectra(), Embedder)
    assert isinstance(EmbeddingMatcher(Spectra()), Matcher)
