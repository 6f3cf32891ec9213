"""Contract of the `Cleaner` protocol: one suite for every backend."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from meetsplit.pipeline.cleaners.embedded import EmbeddedCleaner
from meetsplit.pipeline.cleaners.openunmix import OpenUnmix, OpenUnmixCleaner
from meetsplit.pipeline.data import Audio
from meetsplit.pipeline.models import registry, weights
from meetsplit.pipeline.protocols import Cleaner
from meetsplit.pipeline.settings import BACKEND_NAMES, Settings

BACKENDS = ("embedded", "demucs", "openunmix", "openunmix, noise")


@pytest.fixture(scope="module")
def cleaners(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Cleaner]:
    from demucs.apply import BagOfModels
    from demucs.htdemucs import HTDemucs

    from meetsplit.pipeline.cleaners.demucs import DemucsCleaner

    spectra = weights.locate(weights.SPEECH_SPECTRA, cache=tmp_path_factory.mktemp("cache"))
    assert spectra is not None
    torch.manual_seed(0)
    sizes = {
        "channels": 8,
        "channels_time": 8,
        "growth": 1,
        "nfft": 1024,
        "t_layers": 1,
        "t_heads": 2,
        "dconv_depth": 1,
    }
    demucs = HTDemucs(["drums", "vocals"], segment=Fraction(1, 2), depth=4, **sizes)
    unmix = [OpenUnmix(bins=n, heard_bins=n // 2, channels=c, hidden=8, layers=1) for n, c in ((2049, 2), (513, 1))]
    return {
        "embedded": EmbeddedCleaner.load(Settings(), {"speech": spectra}, "cpu"),
        "demucs": DemucsCleaner(BagOfModels([demucs])),
        "openunmix": OpenUnmixCleaner(unmix[0]),
        "openunmix, noise": OpenUnmixCleaner(unmix[1]),
    }


@pytest.fixture(params=BACKENDS)
def cleaner(request: pytest.FixtureRequest, cleaners: Mapping[str, Cleaner]) -> Cleaner:
    return cleaners[request.param]


def sound(cleaner: Cleaner, seconds: float) -> Audio:
    noise = np.random.default_rng(0).standard_normal(round(seconds * cleaner.rate))
    return Audio((0.1 * noise).astype(np.float32), cleaner.rate, 12.5)


def test_every_backend_is_here() -> None:
    names = {name.partition(",")[0] for name in BACKENDS}
    assert names == set(BACKEND_NAMES["cleaner"]) == set(registry.BACKENDS["cleaner"])


def test_it_is_a_cleaner(cleaner: Cleaner) -> None:
    assert isinstance(cleaner, Cleaner)
    assert cleaner.removes
    assert cleaner.removes <= {"music", "noise"}


@pytest.mark.parametrize("seconds", [0.0002, 0.05, 1.3])
def test_the_same_stretch_comes_back_finite_and_what_is_given_stays_as_it_is(cleaner: Cleaner, seconds: float) -> None:
    audio = sound(cleaner, seconds)
    before = audio.samples.copy()
    cleaned = cleaner.clean(audio, cleaner.removes)
    assert (cleaned.rate, cleaned.start, cleaned.samples.shape) == (audio.rate, audio.start, audio.samples.shape)
    assert cleaned.samples.dtype == np.float32
    assert np.isfinite(cleaned.samples).all()
    assert np.array_equal(audio.samples, before)


def test_silence_stays_silence(cleaner: Cleaner) -> None:
    silence = Audio(np.zeros(cleaner.rate, np.float32), cleaner.rate)
    assert not cleaner.clean(silence, cleaner.removes).samples.any()


def test_the_same_sound_gives_the_same_answer(cleaner: Cleaner) -> None:
    audio = sound(cleaner, 1.0)
    cleaned = cleaner.clean(audio, cleaner.removes).samples
    assert np.array_equal(cleaned, cleaner.clean(audio, cleaner.removes).samples)


def test_another_rate_is_a_mistake_of_ours(cleaner: Cleaner) -> None:
    with pytest.raises(ValueError, match="Hz"):
        cleaner.clean(Audio(np.ones(100, np.float32), 8000), cleaner.removes)


def test_a_model_is_loaded_by_its_address(tmp_path: Path) -> None:
    paths = {"speech": weights.locate(weights.SPEECH_SPECTRA, cache=tmp_path) or tmp_path}
    loaded = registry.load("cleaner", "embedded", Settings(clean="all"), paths, "cpu")
    assert isinstance(loaded, Cleaner)
