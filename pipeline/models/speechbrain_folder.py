"""SpeechBrain's model folders, opened as data: ``hyperparams.yaml`` names parts of an exact list, and only those are built.

SpeechBrain reads this file with HyperPyYAML, which imports, builds and calls whatever a file names: opening it there means running
it. Here the file is composed to a tree of nodes, every tag in it is looked at, and the few modules that a task needs are built from
the tree with arguments that are numbers, words or other such modules. What only training needs (optimizers, schedulers, loggers,
seeds) is known by name, so that public files open, and neither imported nor built. Weights are read with ``weights_only=True``, from
files inside the folder whatever place their ``paths`` name. Nothing is linked, copied or fetched.
"""

from __future__ import annotations

import importlib
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import torch
import yaml

from meetsplit.pipeline.errors import MissingWeights, StageError
from meetsplit.pipeline.models.model_yaml import (
    TRUST,
    Node,
    custom_tag,
    document,
    entries,
    is_number,
    is_word,
    refuse,
    scalar,
)

Kind: TypeAlias = Literal["number", "flag", "word", "numbers", "part", "activation"]

LONGEST = 64
"""Entries of a list of sizes."""

_LONGEST_TEXT = 4096
_REFERENCE = re.compile(r"<([^<>]*)>")


def _arguments(**kinds: str) -> Mapping[str, Kind]:
    """Argument names by kind turned round: ``number="a b"`` to ``{"a": "number", "b": "number"}``."""
    return MappingProxyType({name: kind for kind, names in kinds.items() for name in names.split()})  # type: ignore[misc]


_TRANSFORMER = {
    "number": "num_layers d_model nhead d_ffn kdim vdim dropout",
    "flag": "use_positional_encoding norm_before causal use_norm use_skip",
    "word": "activation attention_type norm_type",
    "numbers": "input_shape",
}

PARTS: Mapping[str, Mapping[str, Kind]] = MappingProxyType(
    {
        "speechbrain.lobes.models.dual_path.Encoder": _arguments(number="kernel_size out_channels in_channels"),
        "speechbrain.lobes.models.dual_path.Decoder": _arguments(
            number="in_channels out_channels kernel_size stride padding output_padding groups dilation", flag="bias"
        ),
        "speechbrain.lobes.models.dual_path.SBTransformerBlock": _arguments(**_TRANSFORMER),
        "speechbrain.lobes.models.dual_path.Dual_Path_Model": _arguments(
            number="in_channels out_channels num_layers K num_spks max_length",
            flag="skip_around_intra linear_layer_after_inter_intra use_global_pos_enc",
            word="norm",
            part="intra_model inter_model",
        ),
        "speechbrain.lobes.models.resepformer.SBTransformerBlock_wnormandskip": _arguments(**_TRANSFORMER),
        "speechbrain.lobes.models.resepformer.ResourceEfficientSeparator": _arguments(
            number="input_dim num_spk layer unit segment_size dropout",
            flag="causal",
            word="nonlinear mem_type",
            part="seg_model mem_model",
        ),
        "speechbrain.lobes.models.ECAPA_TDNN.ECAPA_TDNN": _arguments(
            number="input_size lin_neurons attention_channels res2net_scale se_channels dropout",
            flag="global_context",
            numbers="channels kernel_sizes dilations groups",
            activation="activation",
        ),
        "speechbrain.lobes.models.ResNet.ResNet": _arguments(
            number="input_size lin_neurons", numbers="channels block_sizes strides", activation="activation"
        ),
        "speechbrain.lobes.models.Xvector.Xvector": _arguments(
            number="tdnn_blocks lin_neurons in_channels",
            numbers="tdnn_channels tdnn_kernel_sizes tdnn_dilations",
            activation="activation",
        ),
        "speechbrain.lobes.features.Fbank": _arguments(
            number="sample_rate f_min f_max n_fft n_mels param_change_factor param_rand_factor left_frames right_frames "
            "win_length hop_length",
            flag="deltas context requires_grad",
            word="filter_shape",
        ),
        "speechbrain.processing.features.InputNormalization": _arguments(
            number="avg_factor length_dim update_until_epoch epsilon",
            flag="mean_norm std_norm avoid_padding_norm",
            word="norm_type",
        ),
    }
)
"""What may be built, and with which arguments."""

ACTIVATIONS = frozenset(
    {"torch.nn.ReLU", "torch.nn.LeakyReLU", "torch.nn.GELU", "torch.nn.PReLU", "torch.nn.Tanh", "torch.nn.Sigmoid"}
)
"""Classes that an argument may name."""

PRETRAINER = "speechbrain.utils.parameter_transfer.Pretrainer"
SEEDS = frozenset(
    {
        "torch.manual_seed",
        "torch.cuda.manual_seed_all",
        "numpy.random.seed",
        "random.seed",
        "speechbrain.utils.seed_everything",
    }
)
"""Calls that may stand in a file; they are not made."""

UNUSED = frozenset(
    {
        PRETRAINER,
        "speechbrain.dataio.encoder.CategoricalEncoder",
        "speechbrain.lobes.models.ECAPA_TDNN.Classifier",
        "speechbrain.lobes.models.ResNet.Classifier",
        "speechbrain.lobes.models.Xvector.Classifier",
        "speechbrain.inference.interfaces.AudioNormalizer",
        "speechbrain.dataio.preprocess.AudioNormalizer",
        "speechbrain.nnet.losses.get_si_snr_with_pitwrapper",
        "speechbrain.nnet.losses.get_snr_with_pitwrapper",
        "speechbrain.nnet.losses.LogSoftmaxWrapper",
        "speechbrain.nnet.losses.AdditiveAngularMargin",
        "speechbrain.nnet.losses.nll_loss",
        "speechbrain.nnet.schedulers.ReduceLROnPlateau",
        "speechbrain.nnet.schedulers.CyclicLRScheduler",
        "speechbrain.nnet.schedulers.LinearScheduler",
        "speechbrain.utils.checkpoints.Checkpointer",
        "speechbrain.utils.epoch_loop.EpochCounter",
        "speechbrain.utils.train_logger.FileTrainLogger",
        "speechbrain.utils.metric_stats.MetricStats",
        "speechbrain.utils.metric_stats.ErrorRateStats",
        "speechbrain.lobes.augment.TimeDomainSpecAugment",
        "speechbrain.lobes.augment.EnvCorrupt",
        "speechbrain.processing.speech_augmentation.SpeedPerturb",
        "speechbrain.processing.speech_augmentation.DropFreq",
        "speechbrain.processing.speech_augmentation.DropChunk",
        "speechbrain.augment.time_domain.SpeedPerturb",
        "speechbrain.augment.time_domain.DropFreq",
        "speechbrain.augment.time_domain.DropChunk",
        "speechbrain.augment.time_domain.AddNoise",
        "speechbrain.augment.time_domain.AddReverb",
        "speechbrain.augment.augmenter.Augmenter",
        "torch.nn.ModuleList",
        "torch.optim.Adam",
        "torch.optim.AdamW",
        "torch.optim.SGD",
        "torch.nn.BCEWithLogitsLoss",
    }
)
"""What may stand in a file and is never imported: public folders carry what they were trained with."""

_DATA_TAGS = frozenset({"!ref", "!copy", "!tuple", "!PLACEHOLDER"})
"""Tags that build nothing."""


@dataclass(frozen=True)
class Opened:
    """What a folder holds: the modules asked for, with their weights, and numbers of the file's top level."""

    modules: Mapping[str, torch.nn.Module]
    numbers: Mapping[str, int | float]


def open_folder(stage: str, folder: Path, modules: Sequence[str], numbers: Sequence[str]) -> Opened:
    """The ``modules`` of a SpeechBrain folder with their weights, and those of the top-level ``numbers`` that it says.

    Raises `MissingWeights` where ``hyperparams.yaml`` is not there, `StageError` where it or a checkpoint asks for anything that is
    not on this module's lists, or where weights are missing.
    """
    file = described(stage, folder)
    reader = _Reader(stage, file)
    found = {name: reader.part(reader.module(name)) for name in modules}
    places = reader.checkpoints(tuple(modules))
    for name, module in found.items():
        if name in places:
            _fill(stage, module, folder / places[name])
        elif any(True for _ in module.parameters()):
            raise StageError(
                stage, f"{file} does not say where the weights of {name} are: its pretrainer has no such loadable"
            )
    return Opened(found, {name: value for name in numbers if (value := reader.number(name)) is not None})


def run_as_code(interface: Any, stage: str, folder: Path, device: str) -> Any:
    """The folder as SpeechBrain itself opens it, which runs whatever its ``hyperparams.yaml`` asks for; see ``--trust-model-code``.

    ``interface`` is a class of ``speechbrain.inference``. Nothing is linked, copied or fetched here either.
    """
    from speechbrain.utils.fetching import FetchConfig, LocalStrategy

    top = document(described(stage, folder), stage)
    said = any(key.value == "pretrained_path" for key, _ in top.value)
    return interface.from_hparams(
        source=str(folder),
        savedir=None,
        # Some hub files say "pretrained_path: speechbrain/…" and would fetch their weights anew.
        overrides={"pretrained_path": str(folder)} if said else {},
        local_strategy=LocalStrategy.NO_LINK,
        fetch_config=FetchConfig(allow_network=False),
        run_opts={"device": on(device)},
    )


def on(device: str) -> str:
    """The device as SpeechBrain spells it."""
    return "cuda:0" if device == "cuda" else device


def described(stage: str, folder: Path) -> Path:
    """The folder's ``hyperparams.yaml``. Raises `MissingWeights` where there is none."""
    file = folder / "hyperparams.yaml"
    if not file.is_file():
        raise MissingWeights(
            stage, f"{folder} is no SpeechBrain model: it has no hyperparams.yaml; fetch the whole hub folder"
        )
    return file


def _fill(stage: str, module: Any, path: Path) -> None:
    """Load a module's weights, which must be all there. Numbers of a normalization are no parameters and have a way of their own."""
    from speechbrain.utils.checkpoints import hook_on_loading_state_dict_checkpoint

    if not path.is_file():
        raise StageError(stage, f"{path} is missing: fetch the whole hub folder")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's advice about old pickles is no use to anyone here
            state = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise StageError(
            stage, f"{path} is no file of weights, or asks for code beside them: not opened; {TRUST}"
        ) from error
    if not isinstance(state, dict):
        raise StageError(stage, f"{path} holds a {type(state).__name__}, not weights by name")
    if hasattr(module, "_load_statistics_dict"):
        module._load_statistics_dict(state)
        return
    lacking = module.load_state_dict(hook_on_loading_state_dict_checkpoint(state), strict=False).missing_keys
    needed = sorted(set(lacking) & {name for name, _ in module.named_parameters()})
    if needed:
        raise StageError(
            stage,
            f"{path} lacks {len(needed)} of the network's weights, {needed[0]} for one: it belongs to another network",
        )


class _Reader:
    """A file's tree, every tag of which is known, and the modules built from it so far."""

    def __init__(self, stage: str, file: Path) -> None:
        self._stage, self._file = stage, file
        top = document(file, stage)
        self._check(top)
        self._top = self._entries(top)
        self._built: dict[int, torch.nn.Module] = {}
        self._values: dict[int, Any] = {}
        self._open: set[int] = set()

    def module(self, name: str) -> Node:
        """The node behind ``modules: name:``."""
        modules = self._mapping("modules")
        if name not in modules:
            raise StageError(
                self._stage, f"{self._file} has no {name} under modules: this is a model for something else"
            )
        return self._resolved(modules[name])

    def number(self, name: str) -> int | float | None:
        """A number of the top level; None where it is not said."""
        if name not in self._top:
            return None
        value = self._value(self._top[name])
        if not is_number(value):
            refuse(self._stage, self._file, self._top[name], f"{name} is no number")
        return float(value) if isinstance(value, float) else int(value)

    def checkpoints(self, modules: Sequence[str]) -> Mapping[str, str]:
        """The names of the files with the modules' weights; modules without weights are left out."""
        pretrainer = self._top.get("pretrainer")
        if not isinstance(pretrainer, yaml.MappingNode) or pretrainer.tag != f"!new:{PRETRAINER}":
            raise StageError(self._stage, f"{self._file} has no pretrainer, which says where the weights are")
        said = self._entries(pretrainer)
        for name in said.keys() - {"loadables", "paths", "collect_in"}:
            refuse(self._stage, self._file, said[name], f"{name} of the pretrainer")
        loadables, paths = (self._entries(said[key]) if key in said else {} for key in ("loadables", "paths"))
        found = {}
        for key, node in loadables.items():
            target = self._resolved(node)
            for name in modules:
                if target is self.module(name):
                    found[name] = self._file_name(paths[key]) if key in paths else f"{key}.ckpt"
        return found

    def _file_name(self, node: Node) -> str:
        """The last part of a path: weights come from the folder itself, whatever place it names."""
        value = self._value(node)
        name = value.replace("\\", "/").rsplit("/", 1)[-1] if isinstance(value, str) else ""
        if name in ("", ".", "..") or "\0" in name or ":" in name:
            refuse(self._stage, self._file, node, f"the place {str(value)[:60]!r} of a checkpoint")
        return name

    def _check(self, node: Node, seen: set[int] | None = None) -> None:
        """Look at every tag of the tree. Raises `StageError` for the first that is not known."""
        seen = set() if seen is None else seen
        if id(node) in seen:
            return
        seen.add(id(node))
        tag = custom_tag(node)
        if tag is not None:
            kind, _, name = tag.partition(":")
            known = {
                "!new": PARTS.keys() | UNUSED,
                "!name": ACTIVATIONS | UNUSED,
                "!apply": SEEDS,
                "!applyref": SEEDS,
            }.get(kind, frozenset())
            if name not in known and tag not in _DATA_TAGS:
                refuse(self._stage, self._file, node, f"it asks for {tag[:100]!r}")
        if isinstance(node, yaml.MappingNode):
            for value in self._entries(node).values():
                self._check(value, seen)
        elif isinstance(node, yaml.SequenceNode):
            for value in node.value:
                self._check(value, seen)

    def _entries(self, node: Node) -> dict[str, Node]:
        if not isinstance(node, yaml.MappingNode):
            refuse(self._stage, self._file, node, "no mapping where one is needed")
        return entries(self._stage, self._file, node)

    def _mapping(self, name: str) -> dict[str, Node]:
        if name not in self._top:
            raise StageError(self._stage, f"{self._file} has no {name}: this is no model for inference")
        return self._entries(self._top[name])

    def _resolved(self, node: Node) -> Node:
        """The node behind ``!ref <name>``, through several if need be; other nodes are their own."""
        passed: set[int] = set()
        while node.tag == "!ref":
            whole = _REFERENCE.fullmatch(str(node.value)) if isinstance(node, yaml.ScalarNode) else None
            if whole is None:
                return node
            if id(node) in passed:
                refuse(self._stage, self._file, node, "a reference to itself")
            passed.add(id(node))
            node = self._named(node, whole[1])
        return node

    def _named(self, node: Node, name: str) -> Node:
        if name not in self._top:
            refuse(
                self._stage, self._file, node, f"a reference to {name[:60]!r}, which the file does not have at its top"
            )
        return self._top[name]

    def _value(self, node: Node) -> Any:
        """Scalars and lists of them; text with references inside becomes text."""
        node = self._resolved(node)
        if id(node) not in self._values:
            if id(node) in self._open:
                refuse(self._stage, self._file, node, "a reference to itself")
            self._open.add(id(node))
            self._values[id(node)] = self._computed(node)
            self._open.discard(id(node))
        return self._values[id(node)]

    def _computed(self, node: Node) -> Any:
        if isinstance(node, yaml.SequenceNode) and custom_tag(node) in (None, "!tuple"):
            return [self._value(item) for item in node.value[: LONGEST + 1]]
        if isinstance(node, yaml.ScalarNode) and node.tag == "!ref":
            text = _REFERENCE.sub(lambda found: str(self._value(self._named(node, found[1]))), str(node.value))
            if len(text) > _LONGEST_TEXT:
                refuse(self._stage, self._file, node, f"a text of more than {_LONGEST_TEXT} letters")
            return text
        if isinstance(node, yaml.ScalarNode) and custom_tag(node) is None:
            return scalar(node)
        return refuse(self._stage, self._file, node, "a number, a word or a list of such is needed here")

    def part(self, node: Node) -> torch.nn.Module:
        """The module that this node asks for; the same one each time."""
        node = self._resolved(node)
        if id(node) in self._built:
            return self._built[id(node)]
        name = node.tag.removeprefix("!new:")
        if name not in PARTS or not isinstance(node, yaml.MappingNode):
            refuse(self._stage, self._file, node, f"a part of the network is needed here, not {node.tag[:100]!r}")
        if id(node) in self._open:
            refuse(self._stage, self._file, node, "a part of the network inside itself")
        self._open.add(id(node))
        given = {key: self._argument(name, key, value) for key, value in self._entries(node).items()}
        self._open.discard(id(node))
        built: torch.nn.Module = _imported(name)(**given)
        self._built[id(node)] = built
        return built

    def _argument(self, part: str, name: str, node: Node) -> Any:
        kind = PARTS[part].get(name)
        if kind is None:
            refuse(self._stage, self._file, node, f"the argument {name[:60]!r} of {part}")
        if kind == "part":
            return self.part(node)
        if kind == "activation":
            behind = self._resolved(node)
            if behind.tag.removeprefix("!name:") not in ACTIVATIONS or getattr(behind, "value", None):
                refuse(self._stage, self._file, node, f"{name} of {part} is none of {', '.join(sorted(ACTIVATIONS))}")
            return _imported(behind.tag.removeprefix("!name:"))
        value = self._value(node)
        if value is not None and not self._fits(value, kind):
            refuse(
                self._stage,
                self._file,
                node,
                f"{name} of {part} is no {'list of numbers' if kind == 'numbers' else kind} that fits",
            )
        return value

    @staticmethod
    def _fits(value: Any, kind: Kind) -> bool:
        match kind:
            case "number":
                return is_number(value)
            case "flag":
                return isinstance(value, bool)
            case "word":
                return is_word(value)
            case "numbers":
                return (
                    isinstance(value, list) and len(value) <= LONGEST and all(v is None or is_number(v) for v in value)
                )
        return False


def _imported(name: str) -> Any:
    """A class of `PARTS` or `ACTIVATIONS`."""
    module, _, kind = name.rpartition(".")
    return getattr(importlib.import_module(module), kind)
