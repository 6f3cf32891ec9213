"""Open-Unmix and Demucs: tiny checkpoints in their real formats, and files that are none.

Open-Unmix's layout is that of openunmix 1.3 (``torch.save`` of a state dict, old and new archives, with keys of a
filter bank beside those of the network); Demucs's are those of demucs 4.1: ``.th`` packages and the hub's safetensors.
"""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from meetsplit.pipeline.cleaners import openunmix
from meetsplit.pipeline.cleaners.openunmix import OpenUnmix, OpenUnmixCleaner
from meetsplit.pipeline.data import Audio
from meetsplit.pipeline.errors import MissingWeights, StageError
from meetsplit.pipeline.events import ignore_events
from meetsplit.pipeline.models import hub, weights
from meetsplit.pipeline.models.sources import OPENUNMIX_MODELS, Local, OpenUnmixFile
from meetsplit.pipeline.models.weight_sources import weight_sources
from meetsplit.pipeline.settings import Settings


def sound(rate: int, seconds: float = 1.0) -> Audio:
    noise = np.random.default_rng(0).standard_normal(round(seconds * rate))
    return Audio((0.1 * noise).astype(np.float32), rate, 3.0)


def unmix_state(bins: int = 2049, channels: int = 2, gain: float | None = None) -> OrderedDict[str, torch.Tensor]:
    """A small network's state dict as the package writes it; with ``gain``, one that answers that share of all."""
    torch.manual_seed(0)
    network = OpenUnmix(bins=bins, heard_bins=bins // 2, channels=channels, hidden=8, layers=3)
    if gain is not None:
        torch.nn.init.zeros_(network.output_scale)
        torch.nn.init.constant_(network.output_mean, gain)
    return OrderedDict({**network.state_dict(), "sample_rate": torch.tensor(44100.0), "stft.window": torch.ones(4096)})


@pytest.mark.parametrize("is_archive", [True, False])
@pytest.mark.parametrize(("bins", "channels", "kind", "rate"), [(2049, 2, "music", 44100), (513, 1, "noise", 16000)])
def test_open_unmix_says_by_its_sizes_what_it_takes_out(
    tmp_path: Path, is_archive: bool, bins: int, channels: int, kind: str, rate: int
) -> None:
    path = tmp_path / "vocals.pth"
    torch.save(unmix_state(bins, channels, gain=0.25), path, _use_new_zipfile_serialization=is_archive)
    cleaner = OpenUnmixCleaner.load(Settings(clean=kind), {"model": path}, "cpu")  # type: ignore[arg-type]
    assert (cleaner.rate, cleaner.removes) == (rate, {kind})
    audio = sound(rate)
    assert np.allclose(cleaner.clean(audio, {kind}).samples, audio.samples / 4, atol=1e-5)
    assert cleaner.clean(audio, {"other"}) is audio
    short = audio.slice(0, 5)
    assert np.allclose(cleaner.clean(short, {kind}).samples, short.samples / 4, atol=1e-5)
    other: Any = "noise" if kind == "music" else "music"
    with pytest.raises(StageError, match=f"takes out {kind}"):
        OpenUnmixCleaner.load(Settings(clean=other), {"model": path}, "cpu")


def changed(**values: torch.Tensor | None) -> dict[str, Any]:
    state: dict[str, Any] = dict(unmix_state())
    state |= {name.replace("__", "."): value for name, value in values.items()}
    return {name: value for name, value in state.items() if value is not None}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"state": 3}, "it has no 'output_mean'"),
        (changed(fc2__weight=None), "it has no 'fc2.weight'"),
        (changed(fc2__weight=torch.ones(3, 3)), "size mismatch"),
        (changed(fc1__weight=torch.ones(9_000, 0)), "none of an Open-Unmix"),
        (changed(output_mean=torch.ones(1000)), "have 1000 bins"),
        (changed(bn1__bias=torch.full((8,), np.nan)), "not finite"),
        ({"x": os.getcwd}, "no checkpoint of Open-Unmix"),
    ],
)
def test_files_that_are_no_open_unmix_are_refused_in_one_sentence(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "vocals.pth"
    torch.save(content, path)
    with pytest.raises(StageError, match=message) as refusal:
        openunmix.load_network(path)
    assert "\n" not in str(refusal.value)


def test_open_unmix_is_fetched_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    served = tmp_path / "vocals.pth"
    torch.save(unmix_state(), served)
    content = served.read_bytes()
    monkeypatch.setattr(hub, "_download", lambda address, target, on_event: target.write_bytes(content[:2000]))
    source = OpenUnmixFile("umxhq")

    def fetch() -> Path:
        return weights.fetch(source, stage="clean", cache=tmp_path, offline=False, token=None, on_event=ignore_events)

    with pytest.raises(MissingWeights, match="not whole; nothing was kept"):
        fetch()
    assert weights.locate(source, cache=tmp_path) is None
    monkeypatch.setattr(hub, "_download", lambda address, target, on_event: target.write_bytes(content))
    path = fetch()
    assert path.name == Path(OPENUNMIX_MODELS["umxhq"]).name
    assert weights.locate(source, cache=tmp_path) == path
    with pytest.raises(MissingWeights, match="models fetch umxse"):
        weights.fetch(
            OpenUnmixFile("umxse"), stage="clean", cache=tmp_path, offline=True, token=None, on_event=ignore_events
        )
    assert weight_sources("cleaner", "openunmix", Settings(clean="noise"))["model"] == OpenUnmixFile("umxse")
    own = Settings(clean="music", cleaner_model=str(served))
    assert weight_sources("cleaner", "openunmix", own)["model"] == Local(served)


DEMUCS = {
    "sources": ["drums", "vocals"],
    "channels": 8,
    "channels_time": 8,
    "growth": 1,
    "nfft": 1024,
    "depth": 4,
    "t_layers": 1,
    "t_heads": 2,
    "dconv_depth": 1,
    "segment": Fraction(1, 2),
}


def small_demucs(**changes: Any) -> tuple[dict[str, Any], Any]:
    from demucs.htdemucs import HTDemucs

    torch.manual_seed(0)
    kwargs = DEMUCS | changes
    return kwargs, HTDemucs(**kwargs)


def write_safetensors(path: Path, kwargs: Mapping[str, Any], network: Any, **metadata: str) -> Path:
    """A file as demucs's export to the hub writes it."""
    plain = {
        name: {"_type": "fraction", "numerator": value.numerator, "denominator": value.denominator}
        if isinstance(value, Fraction)
        else value
        for name, value in kwargs.items()
    }
    header = {"klass": "demucs.htdemucs.HTDemucs", "args": "[]", "kwargs": json.dumps(plain), **metadata}
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, path, metadata=header)
    return path


def test_demucs_is_read_from_the_hubs_folder_a_file_and_its_own_packages(tmp_path: Path) -> None:
    from demucs.apply import apply_model

    from meetsplit.pipeline.cleaners.demucs import DemucsCleaner

    kwargs, network = small_demucs()
    folder = tmp_path / "HTDemucs"
    folder.mkdir()
    (folder / "htdemucs.yaml").write_text("models: ['955717e8']\n", "utf-8")
    file = write_safetensors(folder / "955717e8.safetensors", kwargs, network)
    package = tmp_path / "955717e8-8726e21a.th"
    torch.save({"klass": type(network), "args": (), "kwargs": kwargs, "state": network.state_dict()}, package)
    audio = sound(44100, 0.7)
    mixture = torch.tensor(audio.samples)
    mean, spread = mixture.mean(), mixture.std() + 1e-8
    wave = ((mixture - mean) / spread).expand(1, 2, -1)
    expected = apply_model(network.eval(), wave, shifts=0, overlap=0.25)[0, 1].mean(dim=0) * spread + mean
    for path in (folder, file, package):
        cleaner = DemucsCleaner.load(Settings(clean="music"), {"model": path}, "cpu")
        assert (cleaner.rate, cleaner.removes) == (44100, {"music"})
        vocals = cleaner.clean(audio, {"music"})
        assert (vocals.start, len(vocals.samples)) == (3.0, len(audio.samples))
        assert np.allclose(vocals.samples, expected.detach().numpy(), atol=1e-5)
    silent = Audio(np.zeros(44100, np.float32), 44100)
    assert not cleaner.clean(silent, {"music"}).samples.any()


def test_files_that_are_no_demucs_are_refused_in_one_sentence(tmp_path: Path) -> None:
    from meetsplit.pipeline.cleaners.demucs import DemucsCleaner

    kwargs, network = small_demucs()
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no")
    empty = tmp_path / "empty"
    empty.mkdir()
    with torch.no_grad():
        next(network.parameters()).fill_(np.nan)
    not_finite = write_safetensors(tmp_path / "nan.safetensors", kwargs, network)
    cases = [
        (broken, "no model of Demucs"),
        (empty, "one .yaml file says which models it has"),
        (not_finite, "not finite"),
        (write_safetensors(tmp_path / "a.safetensors", kwargs, network, klass="os.system"), "it asks for os.system"),
        (write_safetensors(tmp_path / "b.safetensors", kwargs, network, structure="{}"), "quantized"),
        (write_safetensors(tmp_path / "c.safetensors", {**kwargs, "channels": 16}, network), "no model of Demucs"),
        (write_safetensors(tmp_path / "d.safetensors", {**kwargs, "unknown": 1}, network), "no model of Demucs"),
        (write_safetensors(tmp_path / "e.safetensors", *small_demucs(sources=["drums", "bass"])), "and no vocals"),
    ]
    for path, message in cases:
        with pytest.raises(StageError, match=message) as refusal:
            DemucsCleaner.load(Settings(clean="music"), {"model": path}, "cpu")
        assert "\n" not in str(refusal.value)
