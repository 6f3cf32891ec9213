"""Model folders are data: whatever they ask for, nothing of it runs, and each refusal is one sentence.

Public layouts still open.
"""

from __future__ import annotations

import os
import pickle
import re
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from meetsplit.pipeline.data import Audio
from meetsplit.pipeline.embedders.ecapa import EcapaEmbedder
from meetsplit.pipeline.errors import MissingWeights, StageError
from meetsplit.pipeline.models import registry
from meetsplit.pipeline.models.model_yaml import MAX_BYTES, read_mapping
from meetsplit.pipeline.models.speechbrain_folder import open_folder
from meetsplit.pipeline.separators.sepformer import SepformerSeparator
from meetsplit.pipeline.settings import Settings

RATE = 16_000


class Hostile:
    """A pickle that makes a folder when it is opened."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def separator(folder: Path, **settings: Any) -> SepformerSeparator:
    return SepformerSeparator.load(Settings(**settings), {"separator": folder}, "cpu")


def trap(folder: Path, place: Path, text: str) -> Path:
    """A copy of a good SpeechBrain folder whose file begins with ``text``."""
    copy = shutil.copytree(folder, place / "trap")
    file = copy / "hyperparams.yaml"
    file.write_text(f"{text}\n{file.read_text('utf-8')}", "utf-8")
    return copy


def refused(opening: Callable[[], object], *, option: bool = True) -> str:
    """The one sentence with which this ends."""
    with pytest.raises(StageError) as refusal:
        opening()
    message = str(refusal.value)
    assert "\n" not in message
    assert ("--trust-model-code" in message) == option, message
    return message


BYPASSES = {
    "python-tag": 'x: !!python/object/apply:os.mkdir ["MARK"]',
    "comment-in-a-string": 'x: {a: " #", b: !apply:os.mkdir ["MARK"]}',
    "comment-in-a-string-of-two-lines": 'x: {a: "one\n# two", b: !apply:os.mkdir ["MARK"]}\ny: "\n# !apply:os.mkdir"',
    "escaped-letter": 'x: !%61pply:os.mkdir ["MARK"]',
    "verbatim-tag": 'x: !<!%61pply:os.mkdir> ["MARK"]',
    "tag-directive": '%TAG !e! !ap\n---\nx: !e!ply:os.mkdir ["MARK"]',
    "speechbrain-shell": 'x: !apply:speechbrain.utils.superpowers.run_shell ["mkdir MARK"]',
    "speechbrain-import": "x: !apply:speechbrain.utils.superpowers.import_from_path [FOLDER/evil.py]",
    "speechbrain-subprocess": 'x: !apply:speechbrain.utils.superpowers.subprocess.check_output [["mkdir", "MARK"]]',
    "torch-os": 'x: !apply:torch.nn.modules.module.torch.os.mkdir ["MARK"]',
}


@pytest.mark.parametrize("name", BYPASSES)
def test_no_spelling_of_a_call_in_hyperparams_runs(name: str, sepformer_folder: Path, tmp_path: Path) -> None:
    mark = tmp_path / "owned"
    (tmp_path / "evil.py").write_text(f"import os\nos.mkdir({str(mark)!r})\n", "utf-8")
    folder = trap(
        sepformer_folder, tmp_path, BYPASSES[name].replace("MARK", str(mark)).replace("FOLDER", str(tmp_path))
    )
    message = refused(lambda: separator(folder))
    assert not mark.exists()
    assert re.search(r"hyperparams\.yaml, line [123]: it asks for '", message)


def test_code_runs_only_when_the_folder_is_trusted(sepformer_folder: Path, tmp_path: Path) -> None:
    """What ``--trust-model-code`` means."""
    mark = tmp_path / "owned"
    folder = trap(sepformer_folder, tmp_path, f'x: !apply:os.mkdir ["{mark}"]')
    refused(lambda: separator(folder))
    assert not mark.exists()
    assert separator(folder, trust_model_code=True).counts == {2}
    assert mark.exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x: !include:/etc/passwd", "!include:/etc/passwd"),
        ("x: !new:subprocess.Popen {args: [touch, owned]}", "!new:subprocess.Popen"),
        ("x: !name:builtins.eval", "!name:builtins.eval"),
        ("x: !apply:torch.load [encoder.ckpt]", "!apply:torch.load"),
        ("x: !new:speechbrain.lobes.models.dual_path.Encoder.__init__ {}", "Encoder.__init__"),
        ("x: !module:os", "!module:os"),
        ("<<: {a: 1}", "'<<'"),
        ("{1: 2}: 3", "no plain word"),
        ("x: 1\nx: 2", "'x' for the second time"),
    ],
)
def test_what_is_not_on_the_list_is_named(text: str, message: str, sepformer_folder: Path, tmp_path: Path) -> None:
    assert message in refused(lambda: separator(trap(sepformer_folder, tmp_path, text)))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("kernel_size: 16\n    out", "kernel_size: !new:torch.nn.ModuleList []\n    out", "a number, a word or a list"),
        ("kernel_size: 16\n    out", "kernel_size: [1, 2]\n    out", "kernel_size of .*Encoder is no number"),
        ("kernel_size: 16\n    out", "kernel_size: 1e99\n    out", "kernel_size of .*Encoder is no number"),
        (
            "kernel_size: 16\n    out",
            "kernel_size: 16\n    padding_mode: zeros\n    out",
            "the argument 'padding_mode'",
        ),
        ("norm: ln", 'norm: "l n; x"', "norm of .* is no word"),
        ("intra_model: !ref <SBtfintra>", "intra_model: !ref <MaskNet>", "inside itself"),
        ("intra_model: !ref <SBtfintra>", "intra_model: !ref <nothing>", "a reference to 'nothing'"),
        ("intra_model: !ref <SBtfintra>", "intra_model: plain", "a part of the network is needed here"),
        ("num_spks: 2", "num_spks: !ref <num_spks>", "a reference to itself"),
        ("num_spks: 2", "num_spks: two", "num_spks of .*Dual_Path_Model is no number"),
        ("    loadables:", "    custom_hooks: {}\n    loadables:", "custom_hooks of the pretrainer"),
        ("    loadables:", "    paths: {encoder: ..}\n    loadables:", r"the place '\.\.' of a checkpoint"),
    ],
)
def test_arguments_are_numbers_words_and_parts(
    old: str, new: str, message: str, sepformer_folder: Path, tmp_path: Path
) -> None:
    folder = trap(sepformer_folder, tmp_path, "")
    file = folder / "hyperparams.yaml"
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), "utf-8")
    assert re.search(message, refused(lambda: separator(folder)))


def test_checkpoints_come_from_the_folder_whatever_place_is_named(sepformer_folder: Path, tmp_path: Path) -> None:
    """Paths of the public files name hub repositories.

    An absolute or parent path is no way out of the folder either.
    """
    folder = trap(sepformer_folder, tmp_path, "")
    shutil.copy(folder / "encoder.ckpt", tmp_path / "outside.ckpt")
    file = folder / "hyperparams.yaml"
    text = file.read_text("utf-8")
    for place in ("../outside.ckpt", str(tmp_path / "outside.ckpt"), "https://example.org/x/outside.ckpt"):
        file.write_text(text.replace("    loadables:", f"    paths: {{encoder: '{place}'}}\n    loadables:"), "utf-8")
        assert str(folder / "outside.ckpt") in refused(lambda: separator(folder), option=False)


BOMBS = {
    "aliases": "a0: &a0 [x, x]\n" + "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)),
    "references": "a0: ''\n"
    + "\n".join(f"a{n}: !ref <a{n - 1}>,<a{n - 1}>" for n in range(1, 60))
    + "\nnum_spks: !ref <a59>",
    "empty-references": "a0: ''\n"
    + "\n".join(f"a{n}: !ref <a{n - 1}><a{n - 1}>" for n in range(1, 60))
    + "\nnum_spks: !ref <a59>",
    "depth": "x: " + "[" * 5000,
    "cycle": "x: &x [*x]\nnum_spks: !ref <x>",
    "size": "# " + "x" * MAX_BYTES,
}


@pytest.mark.parametrize("name", BOMBS)
def test_small_files_with_large_meanings_are_refused(name: str, sepformer_folder: Path, tmp_path: Path) -> None:
    folder = trap(sepformer_folder, tmp_path, "")
    file = folder / "hyperparams.yaml"
    rest = file.read_text("utf-8")
    file.write_text(f"{BOMBS[name]}\n{rest.replace('num_spks: 2', '') if 'num_spks' in BOMBS[name] else rest}", "utf-8")
    if name == "aliases":  # never unfolded, hence no bomb
        assert separator(folder).counts == {2}
        return
    with pytest.raises(StageError) as refusal:
        separator(folder)
    assert "\n" not in str(refusal.value)


def test_a_file_that_is_no_yaml_or_no_text_is_a_sentence(tmp_path: Path) -> None:
    for content in (b"a: [", b"\xff\xfe", b"- a list", b""):
        (tmp_path / "x.yaml").write_bytes(content)
        with pytest.raises(StageError, match=r"x\.yaml"):
            read_mapping(tmp_path / "x.yaml", "separate")


@pytest.mark.parametrize("content", ["pickle", "zip", "beside-weights"])
def test_a_speechbrain_checkpoint_that_calls_something_is_refused(
    content: str, sepformer_folder: Path, tmp_path: Path
) -> None:
    mark = tmp_path / "owned"
    folder = trap(sepformer_folder, tmp_path, "")
    if content == "pickle":
        (folder / "encoder.ckpt").write_bytes(pickle.dumps(Hostile(mark)))
    else:
        beside = torch.load(folder / "encoder.ckpt", weights_only=True) if content == "beside-weights" else {}
        torch.save({**beside, "x": Hostile(mark)}, folder / "encoder.ckpt")
    assert "encoder.ckpt" in refused(lambda: separator(folder))
    assert not mark.exists()


def test_checkpoints_stay_weights_whatever_torchs_environment_says(
    sepformer_folder: Path, ecapa_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    mark = tmp_path / "owned"
    folder = trap(sepformer_folder, tmp_path, "")
    torch.save({"x": Hostile(mark)}, folder / "decoder.ckpt")
    refused(lambda: separator(folder))
    other = shutil.copytree(ecapa_folder, tmp_path / "ecapa")
    torch.save({"x": Hostile(mark)}, other / "embedding_model.ckpt")
    refused(lambda: EcapaEmbedder.load(Settings(), {"embedder": other}, "cpu"))
    assert not mark.exists()


def test_weights_of_another_network_are_a_sentence(sepformer_folder: Path, tmp_path: Path) -> None:
    folder = trap(sepformer_folder, tmp_path, "")
    torch.save({}, folder / "masknet.ckpt")
    assert re.search(
        r"masknet\.ckpt lacks \d+ of the network's weights", refused(lambda: separator(folder), option=False)
    )


def test_a_whisper_checkpoint_that_calls_something_is_refused(
    whisper_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from meetsplit.pipeline.transcribers.whisper import WhisperTranscriber

    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    mark = tmp_path / "owned"
    content = torch.load(whisper_file, weights_only=True)
    torch.save({**content, "x": Hostile(mark)}, tmp_path / "evil.pt")
    with pytest.raises(StageError, match=r"evil\.pt is no Whisper checkpoint"):
        WhisperTranscriber.load(Settings(), {"model": tmp_path / "evil.pt"}, "cpu")
    assert not mark.exists()


# pyannote.audio


def pyannote(folder: Path, **settings: Any) -> object:
    from meetsplit.pipeline.diarizers.pyannote import PyannoteDiarizer

    return PyannoteDiarizer.load(Settings(**settings), {"pipeline": folder}, "cpu")


def changed(folder: Path, place: Path, old: str = "", new: str = "") -> Path:
    """A copy of a pipeline's folder with other words in its config.yaml; ``new`` is added where ``old`` is empty."""
    copy = shutil.copytree(folder, place / "pipeline")
    config = copy / "config.yaml"
    text = config.read_text("utf-8")
    assert old in text
    config.write_text(text.replace(old, new, 1) if old else f"{text}\n{new}\n", "utf-8")
    return copy


def popen(mark: Path) -> str:
    return f"preprocessors: {{x: {{name: subprocess.Popen, params: {{args: [mkdir, {mark}]}}}}}}"


def test_a_preprocessor_of_pyannote_does_not_run(tiny_pipeline: Path, tmp_path: Path) -> None:
    mark = tmp_path / "owned"
    message = refused(lambda: pyannote(changed(tiny_pipeline, tmp_path, new=popen(mark))))
    assert "preprocessors" in message
    assert "subprocess.Popen" in message
    assert not mark.exists()


def test_pyannote_runs_code_only_when_the_folder_is_trusted(tiny_pipeline: Path, tmp_path: Path) -> None:
    mark = tmp_path / "owned"
    # A class that can be called and leaves a trace, but no process that a test would have to wait for.
    line = f"preprocessors: {{x: {{name: os.mkdir, params: {{path: {mark}}}}}}}"
    folder = changed(tiny_pipeline, tmp_path, new=line)
    refused(lambda: pyannote(folder))
    assert not mark.exists()
    pyannote(folder, trust_model_code=True)
    assert mark.exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("pyannote.audio.pipelines.SpeakerDiarization", "os.system", "'os.system'"),
        ("pyannote.audio.pipelines.SpeakerDiarization", "pyannote.audio.pipelines.utils.get_pipeline", "get_pipeline"),
        ("clustering: VBxClustering", "clustering: OracleClustering", "clustering 'OracleClustering'"),
        ("$model/segmentation", "$model/../elsewhere", "elsewhere"),
        ("$model/segmentation", "/etc/passwd", "'/etc/passwd'"),
        ("$model/segmentation", "{checkpoint: /etc/passwd}", "checkpoint"),
        ("$model/plda", "https://example.org/a/b", "example.org"),
        ("segmentation_step: 0.5", "segmentation_step: {a: b}", "segmentation_step is no number"),
        ("segmentation_step: 0.5", "use_auth_token: x", "use_auth_token"),
        ("threshold: 0.6", "threshold: [1]", "threshold is neither a number nor a word"),
        ("pipeline:", "pipeline: !!python/object/apply:os.system [true]\nother:", "python/object/apply"),
        ("", "freeze: {segmentation: {min_duration_off: 1.0}}", "freeze"),
    ],
)
def test_a_pyannote_pipeline_is_of_known_parts(
    old: str, new: str, message: str, tiny_pipeline: Path, tmp_path: Path
) -> None:
    assert message in refused(lambda: pyannote(changed(tiny_pipeline, tmp_path, old, new)))


def rewritten(path: Path, **parts: Any) -> None:
    content = torch.load(path, weights_only=False)
    content.update(parts)
    torch.save(content, path)


def test_a_pyannote_checkpoint_is_never_unpickled(tiny_pipeline: Path, tmp_path: Path) -> None:
    """Other objects in a checkpoint become stubs, so that public files with their trainers' callbacks open."""
    mark = tmp_path / "owned"
    folder = changed(tiny_pipeline, tmp_path)
    rewritten(folder / "segmentation" / "pytorch_model.bin", callbacks={"x": Hostile(mark)})
    pyannote(folder)
    (folder / "embedding" / "pytorch_model.bin").write_bytes(pickle.dumps(Hostile(mark)))
    assert "embedding" in refused(lambda: pyannote(folder), option=False)
    assert not mark.exists()


def test_a_pyannote_checkpoint_imports_no_module_that_it_names(
    tiny_pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "owned"
    (tmp_path / "evil_network.py").write_text(f"import os\nos.mkdir({str(mark)!r})\nclass PyanNet: pass\n", "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = changed(tiny_pipeline, tmp_path)
    path = folder / "segmentation" / "pytorch_model.bin"
    about = torch.load(path, weights_only=False)["pyannote.audio"]
    for module, kind in (("evil_network", "PyanNet"), ("pyannote.audio.models.segmentation.SSeRiouSS", "SSeRiouSS")):
        rewritten(path, **{"pyannote.audio": {**about, "architecture": {"module": module, "class": kind}}})
        assert f"{module}.{kind}" in refused(lambda: pyannote(folder))
    assert not mark.exists()
    assert "evil_network" not in sys.modules


def test_plda_arrays_are_read_without_pickle(tiny_pipeline: Path, tmp_path: Path) -> None:
    mark = tmp_path / "owned"
    folder = changed(tiny_pipeline, tmp_path)
    np.savez(folder / "plda" / "plda.npz", mu=np.array([Hostile(mark)], dtype=object), tr=np.eye(8), psi=np.ones(8))
    assert "allow_pickle" in refused(lambda: pyannote(folder), option=False)
    (folder / "plda" / "plda.npz").write_bytes(pickle.dumps(Hostile(mark)))
    assert "no archive of arrays" in refused(lambda: pyannote(folder), option=False)
    assert not mark.exists()


# the public layouts, with small dimensions

WITH_ANCHORS = """\
# as sepformer-libri3mix and -wham16k-enhancement have it: parts by anchor and alias
sample_rate: 16000
num_spks: 2
N_encoder_out: 16
kernel_stride: 8
Encoder: &id003 !new:speechbrain.lobes.models.dual_path.Encoder
  kernel_size: 16
  out_channels: 16
SBtfintra: &id001 !new:speechbrain.lobes.models.dual_path.SBTransformerBlock
  num_layers: 1
  d_model: 16
  nhead: 2
  d_ffn: 32
  dropout: 0
  use_positional_encoding: true
  norm_before: true
SBtfinter: &id002 !new:speechbrain.lobes.models.dual_path.SBTransformerBlock
  num_layers: 1
  d_model: 16
  nhead: 2
  d_ffn: 32
  dropout: 0
  use_positional_encoding: true
  norm_before: true
MaskNet: &id005 !new:speechbrain.lobes.models.dual_path.Dual_Path_Model
  num_spks: 2
  in_channels: 16
  out_channels: 16
  num_layers: 1
  K: 250
  intra_model: *id001
  inter_model: *id002
  norm: ln
  linear_layer_after_inter_intra: false
  skip_around_intra: true
Decoder: &id004 !new:speechbrain.lobes.models.dual_path.Decoder
  in_channels: 16
  out_channels: 1
  kernel_size: 16
  stride: 8
  bias: false
modules:
  encoder: *id003
  decoder: *id004
  masknet: *id005
"""

TRAINED_WITH = """\
# as sepformer-whamr and the community's SepFormers have it: the whole training file, paths of another machine included
seed: 1234
__set_seed: !apply:torch.manual_seed [1234]
data_folder: /network/tmp1/somebody/whamr
experiment_name: sepformer-whamr
output_folder: results/sepformer-whamr/1234
train_log: results/sepformer-whamr/1234/train_log.txt
skip_prep: false
auto_mix_prec: false
lr: 0.00015
loss_upper_lim: 999999
dataloader_opts:
  batch_size: 1
  num_workers: 3
speedperturb: !new:speechbrain.lobes.augment.TimeDomainSpecAugment
  perturb_prob: 1.0
  drop_freq_prob: 0.0
  drop_chunk_prob: 0.0
  sample_rate: 8000
  speeds: [95, 100, 105]
"""

TRAINED_AFTER = """\
optimizer: !name:torch.optim.Adam
  lr: 0.00015
  weight_decay: 0
loss: !name:speechbrain.nnet.losses.get_si_snr_with_pitwrapper
lr_scheduler: &id007 !new:speechbrain.nnet.schedulers.ReduceLROnPlateau
  factor: 0.5
  patience: 2
  dont_halve_until_epoch: 85
epoch_counter: &id006 !new:speechbrain.utils.epoch_loop.EpochCounter
  limit: 200
checkpointer: !new:speechbrain.utils.checkpoints.Checkpointer
  checkpoints_dir: results/sepformer-whamr/1234/save
  recoverables:
    encoder: *id003
    decoder: *id004
    masknet: *id005
    counter: *id006
    lr_scheduler: *id007
train_logger: !new:speechbrain.utils.train_logger.FileTrainLogger
  save_file: results/sepformer-whamr/1234/train_log.txt
"""

PRETRAINER = """\
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
  loadables:
    encoder: !ref <Encoder>
    masknet: !ref <MaskNet>
    decoder: !ref <Decoder>
"""

RESEPFORMER = """\
# as resepformer-wsj02mix has it
sample_rate: 8000
num_spks: 2
Encoder: !new:speechbrain.lobes.models.dual_path.Encoder
  kernel_size: 16
  out_channels: 16
intra_mdl: !new:speechbrain.lobes.models.resepformer.SBTransformerBlock_wnormandskip
  num_layers: 1
  d_model: 16
  nhead: 2
  d_ffn: 32
  dropout: 0
  use_positional_encoding: true
  norm_before: true
  use_norm: true
  use_skip: true
mem_mdl: !new:speechbrain.lobes.models.resepformer.SBTransformerBlock_wnormandskip
  num_layers: 1
  d_model: 16
  nhead: 2
  d_ffn: 32
  dropout: 0
  use_positional_encoding: true
  norm_before: true
  use_norm: true
  use_skip: true
MaskNet: !new:speechbrain.lobes.models.resepformer.ResourceEfficientSeparator
  input_dim: 16
  num_spk: 2
  causal: false
  unit: 32
  segment_size: 150
  layer: 1
  mem_type: av
  seg_model: !ref <intra_mdl>
  mem_model: !ref <mem_mdl>
Decoder: !new:speechbrain.lobes.models.dual_path.Decoder
  in_channels: 16
  out_channels: 1
  kernel_size: 16
  stride: 8
  bias: false
modules:
  encoder: !ref <Encoder>
  decoder: !ref <Decoder>
  masknet: !ref <MaskNet>
"""


def noise(seconds: float) -> Audio:
    return Audio((0.1 * np.random.default_rng(0).standard_normal(round(seconds * RATE))).astype(np.float32), RATE)


@pytest.mark.parametrize(
    "layout", [WITH_ANCHORS, TRAINED_WITH + WITH_ANCHORS + TRAINED_AFTER], ids=["anchors", "training file"]
)
def test_public_sepformers_open_and_separate_as_speechbrains_own_loader_does(
    layout: str, sepformer_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(sepformer_folder, tmp_path / "hub")
    (folder / "hyperparams.yaml").write_text(layout + PRETRAINER, "utf-8")
    ours = separator(folder).split(noise(0.5), 2)
    theirs = separator(sepformer_folder, trust_model_code=True).split(noise(0.5), 2)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one.samples, other.samples)
    assert not (tmp_path / "results").exists()


def test_the_resource_efficient_sepformer_opens(
    make_speechbrain_folder: Callable[[Path, str], Path], tmp_path: Path
) -> None:
    folder = make_speechbrain_folder(tmp_path / "hub", RESEPFORMER + PRETRAINER)
    assert len(separator(folder).split(noise(0.5), 2)) == 2


FAMILIES = {
    "convtasnet": """\
MaskNet: !new:speechbrain.lobes.models.conv_tasnet.MaskNet
  N: 16
  B: 8
  H: 16
  P: 3
  X: 2
  R: 1
  C: !ref <num_spks>
  norm_type: gLN
  causal: false
  mask_nonlinear: relu
""",
    "dprnn": """\
intra: !new:speechbrain.lobes.models.dual_path.SBRNNBlock
  num_layers: 1
  input_size: 16
  hidden_channels: 16
  dropout: 0
  bidirectional: true
inter: !new:speechbrain.lobes.models.dual_path.SBRNNBlock
  num_layers: 1
  input_size: 16
  hidden_channels: 16
  dropout: 0
  bidirectional: true
MaskNet: !new:speechbrain.lobes.models.dual_path.Dual_Path_Model
  num_spks: !ref <num_spks>
  in_channels: 16
  out_channels: 16
  num_layers: 1
  K: 50
  intra_model: !ref <intra>
  inter_model: !ref <inter>
  norm: ln
  linear_layer_after_inter_intra: true
  skip_around_intra: true
""",
}
"""Mask networks of SpeechBrain's WSJ0Mix recipes (1.0), beside SepFormer."""


@pytest.mark.parametrize("family", FAMILIES)
def test_the_older_networks_of_speechbrains_recipes_open_by_their_own_name(
    family: str, make_speechbrain_folder: Callable[[Path, str], Path], tmp_path: Path
) -> None:
    around = RESEPFORMER.partition("intra_mdl:")
    decoder = "Decoder:" + around[2].partition("Decoder:")[2]
    folder = make_speechbrain_folder(tmp_path / "hub", around[0] + FAMILIES[family] + decoder + PRETRAINER)
    loaded = registry.load("separator", family, Settings(), {"separator": folder}, "cpu")
    assert loaded.network_rates == {8000}
    assert len(loaded.split(noise(0.3), 2)) == 2


EMBEDDERS = {
    "xvect": """\
embedding_model: !new:speechbrain.lobes.models.Xvector.Xvector
    in_channels: !ref <n_mels>
    activation: !name:torch.nn.LeakyReLU
    tdnn_blocks: 5
    tdnn_channels: [16, 16, 16, 16, 32]
    tdnn_kernel_sizes: [5, 3, 3, 1, 1]
    tdnn_dilations: [1, 2, 3, 1, 1]
    lin_neurons: 12
classifier: !new:speechbrain.lobes.models.Xvector.Classifier
    input_shape: [null, null, 12]
    activation: !name:torch.nn.LeakyReLU
    lin_blocks: 1
    lin_neurons: 12
    out_neurons: !ref <out_n_neurons>
""",
    "resnet": """\
embedding_model: !new:speechbrain.lobes.models.ResNet.ResNet
    input_size: !ref <n_mels>
    channels: [8, 8, 8, 8]
    strides: [1, 2, 2, 2]
    block_sizes: [1, 1, 1, 1]
    lin_neurons: 12
classifier: !new:speechbrain.lobes.models.ResNet.Classifier
    input_size: 12
    out_neurons: !ref <out_n_neurons>
""",
}


@pytest.mark.parametrize("kind", EMBEDDERS)
def test_public_voice_encoders_open(
    kind: str, ecapa_folder: Path, make_speechbrain_folder: Any, tmp_path: Path
) -> None:
    """The layout of spkrec-xvect-voxceleb and spkrec-resnet-voxceleb.

    Spkrec-ecapa-voxceleb's is that of the fixture.
    """
    text = (ecapa_folder / "hyperparams.yaml").read_text("utf-8")
    start, end = text.index("embedding_model: !new"), text.index("mean_var_norm_emb: !new")
    folder = make_speechbrain_folder(tmp_path / "hub", text[:start] + EMBEDDERS[kind] + text[end:])
    ours, theirs = (
        EcapaEmbedder.load(Settings(trust_model_code=trust), {"embedder": folder}, "cpu") for trust in (False, True)
    )
    rows = []
    for embedder in (ours, theirs):
        with torch.random.fork_rng():  # SpeechBrain's pooling adds a little noise
            torch.manual_seed(0)
            rows.append(embedder.embed([noise(1.0)]))
    assert rows[0].shape == (1, 12)
    np.testing.assert_array_equal(rows[0], rows[1])


def test_a_global_normalization_keeps_its_numbers(ecapa_folder: Path) -> None:
    opened = open_folder("match", ecapa_folder, ("mean_var_norm_emb",), ())
    assert getattr(opened.modules["mean_var_norm_emb"], "count", None) == 1


def test_the_older_pyannote_layout_opens_with_networks_from_the_hub(
    tiny_pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """speaker-diarization-3.1 names its networks by hub ids and brings no PLDA."""
    from meetsplit.pipeline.diarizers.pyannote import PyannoteDiarizer
    from meetsplit.pipeline.events import ignore_events
    from meetsplit.pipeline.models import weights

    (tmp_path / "config.yaml").write_text(
        "version: 3.1.0\npipeline:\n  name: pyannote.audio.pipelines.SpeakerDiarization\n  params:\n"
        "    clustering: AgglomerativeClustering\n    embedding: pyannote/wespeaker-voxceleb-resnet34-LM@abc\n"
        "    embedding_batch_size: 4\n    embedding_exclude_overlap: true\n"
        "    segmentation: pyannote/segmentation-3.0\n"
        "    segmentation_batch_size: 4\nparams:\n  clustering:\n    method: centroid\n    min_cluster_size: 12\n"
        "    threshold: 0.7045654963945799\n  segmentation:\n    min_duration_off: 0.0\n",
        "utf-8",
    )
    fetched: list[tuple[str, str | None]] = []

    def fetch(source: weights.Hub, **_: Any) -> Path:
        fetched.append((source.repo_id, source.revision))
        return tiny_pipeline / ("embedding" if "wespeaker" in source.repo_id else "segmentation")

    monkeypatch.setattr(weights, "fetch", fetch)
    diarizer = PyannoteDiarizer.load(Settings(), {"pipeline": tmp_path}, "cpu")
    assert sorted(fetched) == [("pyannote/segmentation-3.0", None), ("pyannote/wespeaker-voxceleb-resnet34-LM", "abc")]
    assert isinstance(diarizer.diarize(noise(6.0), ignore_events), tuple)


def test_the_wespeaker_network_of_the_public_pipelines_opens(tmp_path: Path) -> None:
    import lightning
    from pyannote.audio.core.task import Problem, Resolution, Specifications

    from meetsplit.pipeline.diarizers.pyannote_folder import NETWORKS, open_network

    network = NETWORKS["WeSpeakerResNet34"]()
    network.specifications = Specifications(
        problem=Problem.REPRESENTATION, resolution=Resolution.CHUNK, duration=5.0, min_duration=None, classes=["a"]
    )
    network.build()
    checkpoint: dict[str, Any] = {
        "state_dict": network.state_dict(),
        "hyper_parameters": dict(network.hparams),
        "pytorch-lightning_version": lightning.__version__,
    }
    network.on_save_checkpoint(checkpoint)
    path = tmp_path / "pytorch_model.bin"
    torch.save(checkpoint, path)
    with zipfile.ZipFile(path) as archive:
        assert any(name.endswith("data.pkl") for name in archive.namelist())
    network_read = open_network(path)
    assert network_read.specifications == network.specifications
    for name, tensor in network.state_dict().items():
        assert torch.equal(network_read.state_dict()[name], tensor), name
    with pytest.raises(MissingWeights, match="is missing"):
        open_network(tmp_path / "nothing.bin")
