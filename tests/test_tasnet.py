"""The separators convtasnet and dprnn: asteroid's checkpoints (layout of 0.7) through the real loaders."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import CONVTASNET, DPRNN, asteroid_checkpoint, asteroid_content

from meetsplit.pipeline.data import Audio
from meetsplit.pipeline.errors import MissingWeights, StageError
from meetsplit.pipeline.models.backend_choice import chosen_backend
from meetsplit.pipeline.models.sources import Hub, Local
from meetsplit.pipeline.models.weight_sources import weight_sources
from meetsplit.pipeline.run import Pipeline
from meetsplit.pipeline.separators.convtasnet import ConvTasNetSeparator
from meetsplit.pipeline.separators.dprnn import DprnnSeparator
from meetsplit.pipeline.settings import Settings

RATE = 16_000
ARGUMENTS = {"ConvTasNet": CONVTASNET, "DPRNNTasNet": DPRNN}
CLASSES = {"ConvTasNet": ConvTasNetSeparator, "DPRNNTasNet": DprnnSeparator}


def noise(seconds: float) -> Audio:
    return Audio((0.1 * np.random.default_rng(0).standard_normal(round(seconds * RATE))).astype(np.float32), RATE, 2.0)


def load(name: str, path: Path, **others: Path) -> Any:
    return CLASSES[name].load(Settings(), {"separator": path, **others}, "cpu")


def refusal(opening: Callable[[], object]) -> str:
    """The one sentence with which this ends."""
    with pytest.raises((StageError, MissingWeights)) as error:
        opening()
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("name", "excerpt", "levels"),
    [
        ("ConvTasNet", [[0.3015983, 0.3889357, 0.2933504], [0.1524378, 0.2088986, 0.1671112]], [0.6899538, 0.6688387]),
        ("DPRNNTasNet", [[0.0508916, 0.1764510, 0.2190228], [0.0457383, 0.1728546, 0.2186747]], [0.1618695, 0.1634680]),
    ],
)
def test_the_networks_answer_as_asteroids_own(
    name: str, excerpt: list[list[float]], levels: list[float], tmp_path: Path
) -> None:
    """The numbers are what asteroid 0.7.0 itself answers with these weights."""
    separator = load(name, asteroid_checkpoint(tmp_path / "it.pth", name, ARGUMENTS[name]))
    (network,) = separator._networks.values()
    voices = network.separate((0.1 * np.random.default_rng(0).standard_normal(2000)).astype(np.float32))
    np.testing.assert_allclose(voices[:, 1000:1003], excerpt, atol=2e-6)
    np.testing.assert_allclose(np.sqrt((voices**2).mean(axis=1)), levels, atol=2e-6)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("ConvTasNet", {"causal": True, "norm_type": "cgLN", "skip_chan": None, "encoder_activation": "prelu"}),
        ("ConvTasNet", {"norm_type": "bN", "skip_chan": 0, "mask_act": "softmax", "n_src": 3}),
        ("DPRNNTasNet", {"use_mulcat": True, "norm_type": "cLN", "rnn_type": "GRU", "num_layers": 2}),
        ("DPRNNTasNet", {"bidirectional": False, "hop_size": None, "mask_act": "swish", "norm_type": "fgLN"}),
    ],
)
def test_variants_of_the_architectures(name: str, changes: Mapping[str, Any], tmp_path: Path) -> None:
    """Each was compared with asteroid 0.7.0 when this was written: equal to the last bit."""
    arguments = {**ARGUMENTS[name], **changes}
    separator = load(name, asteroid_checkpoint(tmp_path / "it.pth", name, arguments))
    mixture, count = noise(0.4), arguments["n_src"]
    voices = separator.split(mixture, count)
    assert separator.counts == {count}
    assert np.abs(np.sum([voice.samples for voice in voices], axis=0) - mixture.samples).max() < 1e-5


def test_older_files_without_optional_arguments(tmp_path: Path) -> None:
    """Files of asteroid 0.3 say no sample rate, which was 8 kHz, and no encoder activation."""
    content = asteroid_content("DPRNNTasNet", DPRNN)
    for later in ("sample_rate", "encoder_activation", "use_mulcat", "num_layers"):
        del content["model_args"][later]
    torch.save(content, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert load("DPRNNTasNet", tmp_path / "old.pth").network_rates == {8000}


def test_a_second_model_for_three_voices(dprnn_folder: Path, tmp_path: Path) -> None:
    three = asteroid_checkpoint(tmp_path / "three.pth", "DPRNNTasNet", {**DPRNN, "n_src": 3})
    separator = load("DPRNNTasNet", dprnn_folder, separator_3=three)
    assert separator.counts == {2, 3}
    assert [voice.span for voice in separator.split(noise(0.5), 3)] == [noise(0.5).span] * 3
    assert "takes apart 2 voices, not 3" in refusal(lambda: load("DPRNNTasNet", three, separator_3=dprnn_folder))


def test_a_file_for_the_other_separator_says_which(dprnn_folder: Path, convtasnet_file: Path, tmp_path: Path) -> None:
    assert "a DPRNNTasNet: use --separator dprnn" in refusal(lambda: load("ConvTasNet", dprnn_folder))
    assert "a ConvTasNet: use --separator convtasnet" in refusal(lambda: load("DPRNNTasNet", convtasnet_file))
    content = {**asteroid_content("ConvTasNet", CONVTASNET), "model_name": "DCCRNet"}
    torch.save(content, tmp_path / "other.pth")
    assert "of asteroid's networks, ConvTasNet and DPRNNTasNet can be read" in refusal(
        lambda: load("ConvTasNet", tmp_path / "other.pth")
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_filters": 2_000_000_000}, "n_filters is 2000000000, and has to lie between 1 and 4096"),
        ({"hid_chan": 4096}, r"have the shape \[8, 4, 1\], and its model_args say \[4096, 4, 1\]"),
        ({"n_repeats": 3}, "lacks masker.TCN"),
        ({"n_repeats": 1}, "has more than it should: masker.TCN"),
        ({"n_blocks": 16, "conv_kernel_size": 63}, "span more than 65536 frames"),
        ({"n_filters": "many"}, "n_filters is 'many', no whole number"),
        ({"n_filters": float("nan")}, "no whole number"),
        ({"n_src": None}, "does not say n_src"),
        ({"n_src": 1}, "n_src is 1"),
        ({"causal": 1}, "causal is 1, neither true nor false"),
        ({"norm_type": "gLn"}, "did you mean 'gLN'"),
        ({"mask_act": ["relu"]}, "mask_act is"),
        ({"fb_name": "stft"}, "fb_name is 'stft'"),
        ({"stride": 33}, "stride is 33, and has to lie between 1 and 32"),
        ({"hook": "os.system"}, "'hook' is none of its arguments"),
        ({"out_chan": 7}, "out_chan is not n_filters, 12"),
    ],
)
def test_arguments_that_cannot_be_are_a_sentence(changes: Mapping[str, Any], message: str, tmp_path: Path) -> None:
    """What a file asks for is checked before anything of that size is made."""
    content = asteroid_content("ConvTasNet", CONVTASNET)
    content["model_args"] = {**content["model_args"], **changes}
    torch.save(content, tmp_path / "it.pth")
    with pytest.raises(StageError, match=message):
        load("ConvTasNet", tmp_path / "it.pth")


def test_too_many_frames_for_the_memory_are_refused(tmp_path: Path) -> None:
    wide = {**DPRNN, "bn_chan": 512, "kernel_size": 2, "stride": 1, "sample_rate": 16000}
    assert "do not fit into memory" in refusal(
        lambda: load("DPRNNTasNet", asteroid_checkpoint(tmp_path / "it.pth", "DPRNNTasNet", wide))
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.pop("model_args"), "it has no model_args"),
        (lambda content: content.update(state_dict=[1]), "of other kinds"),
        (lambda content: content["state_dict"].update({"masker.mask_net.1.bias": "x"}), "is no tensor of numbers"),
        (lambda content: content["state_dict"]["masker.mask_net.1.bias"].fill_(float("nan")), "not finite numbers"),
        (lambda content: content["state_dict"].pop("masker.mask_net.1.bias"), "lacks masker.mask_net.1.bias"),
    ],
)
def test_contents_that_cannot_be_are_a_sentence(
    change: Callable[[dict[str, Any]], object], message: str, tmp_path: Path
) -> None:
    content = asteroid_content("ConvTasNet", CONVTASNET)
    change(content)
    torch.save(content, tmp_path / "it.pth")
    assert message in refusal(lambda: load("ConvTasNet", tmp_path / "it.pth"))


class Hostile:
    """A pickle that makes a folder when it is opened."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def test_nothing_in_a_file_is_run(tmp_path: Path) -> None:
    mark = tmp_path / "owned"
    content = {**asteroid_content("ConvTasNet", CONVTASNET), "infos": Hostile(mark)}
    torch.save(content, tmp_path / "it.pth")
    assert load("ConvTasNet", tmp_path / "it.pth").counts == {2}
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Hostile(mark)))
    (tmp_path / "text.pth").write_text("no checkpoint", "utf-8")
    for name in ("plain.pth", "text.pth"):
        assert "cannot be read as a checkpoint" in refusal(lambda name=name: load("ConvTasNet", tmp_path / name))
    assert not mark.exists()
    assert "there is no pytorch_model.bin in it" in refusal(lambda: load("DPRNNTasNet", tmp_path))


@pytest.mark.parametrize(
    ("model", "separator"),
    [
        ("JorisCos/ConvTasNet_Libri3Mix_sepclean_8k", "convtasnet"),
        ("mpariente/DPRNNTasNet-ks2_WHAM_sepclean", "dprnn"),
        ("speechbrain/resepformer-wsj02mix", "sepformer"),
        ("FILE", "convtasnet"),
    ],
)
def test_naming_a_model_is_naming_its_separator(model: str, separator: str, convtasnet_file: Path) -> None:
    named = str(convtasnet_file) if model == "FILE" else model
    settings = Settings(separator_model=named)
    assert chosen_backend("separator", settings) == separator
    source = weight_sources("separator", separator, settings)["separator"]
    assert source == (Local(convtasnet_file) if model == "FILE" else Hub(model))


def test_a_model_for_8_khz_is_said_so(dprnn_folder: Path, ecapa_folder: Path) -> None:
    notices: list[str] = []
    settings = Settings(separator="dprnn", separator_model=str(dprnn_folder), offline=True)
    pipeline = Pipeline(
        settings,
        on_event=lambda event: notices.append(str(event)),
        loaded={"separator": load("DPRNNTasNet", dprnn_folder), "embedder": object()},
    )
    pipeline.load_separator()
    assert any("made for 8 kHz" in notice and "3.7 kHz" in notice for notice in notices)
