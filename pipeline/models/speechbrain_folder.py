"""SpeechBrain's model folders, opened as data: ``hyperparams.yaml`` is parsed, and only allowed modules are built.

SpeechBrain reads this file with HyperPyYAML, which imports, builds and calls whatever a file names: opening it there
means running it. Here the file is composed to a tree of nodes, every tag in it is checked against `speechbrain_parts`,
and the few modules that a task needs are built from the tree with arguments that are numbers, words or other such
modules. What only training needs (optimizers, schedulers, loggers, seeds) is allowed by name, so that public files
open, and neither imported nor built. Weights are read with ``weights_only=True``, from files inside the folder,
whatever place their ``paths`` name. Nothing is linked, copied or fetched.
"""

from __future__ import annotations

import importlib
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
import yaml

from meetsplit.pipeline.errors import MissingWeights, StageError
from meetsplit.pipeline.models.model_yaml import (
    TRUST,
    Node,
    custom_tag,
    entries,
    is_number,
    is_word,
    read_mapping,
    refuse,
    scalar_value,
)
from meetsplit.pipeline.models.speechbrain_parts import ACTIVATIONS, PARTS, PRETRAINER, Kind, is_allowed

MAX_SIZES = 64
"""The most entries of a list of sizes."""

_MAX_TEXT = 4096
_REFERENCE = re.compile(r"<([^<>]*)>")


@dataclass(frozen=True)
class OpenedFolder:
    """The requested modules of a folder, with their weights, and numbers of its file's top level."""

    modules: Mapping[str, torch.nn.Module]
    numbers: Mapping[str, int | float]


def open_folder(stage: str, folder: Path, modules: Sequence[str], numbers: Sequence[str]) -> OpenedFolder:
    """The ``modules`` of a SpeechBrain folder with their weights, and those ``numbers`` that its file has at its top.

    Raises `MissingWeights` where ``hyperparams.yaml`` is not there, `StageError` where it or a checkpoint asks for
    anything that is not on the allow-list, or where weights are missing.
    """
    file = hyperparams_file(stage, folder)
    builder = _Builder(stage, file)
    built = {name: builder.build(builder.module_node(name)) for name in modules}
    checkpoints = builder.checkpoint_names(modules)
    for name, module in built.items():
        if name in checkpoints:
            _load_weights(stage, module, folder / checkpoints[name])
        elif any(True for _ in module.parameters()):
            raise StageError(
                stage, f"{file} does not say where the weights of {name} are: its pretrainer has no such loadable"
            )
    top_level = {name: builder.number(name) for name in numbers}
    return OpenedFolder(built, {name: value for name, value in top_level.items() if value is not None})


def open_as_code(interface: Any, stage: str, folder: Path, device: str) -> Any:
    """The folder as SpeechBrain itself opens it, running what its ``hyperparams.yaml`` asks for.

    See ``--trust-model-code``. ``interface`` is a class of ``speechbrain.inference``. Nothing is linked, copied or
    fetched.
    """
    from speechbrain.utils.fetching import FetchConfig, LocalStrategy

    top = read_mapping(hyperparams_file(stage, folder), stage)
    has_path = any(key.value == "pretrained_path" for key, _ in top.value)
    return interface.from_hparams(
        source=str(folder),
        savedir=None,
        # Some hub files say "pretrained_path: speechbrain/…" and would fetch their weights anew.
        overrides={"pretrained_path": str(folder)} if has_path else {},
        local_strategy=LocalStrategy.NO_LINK,
        fetch_config=FetchConfig(allow_network=False),
        run_opts={"device": speechbrain_device(device)},
    )


def speechbrain_device(device: str) -> str:
    """The device as SpeechBrain spells it."""
    return "cuda:0" if device == "cuda" else device


def hyperparams_file(stage: str, folder: Path) -> Path:
    """The folder's ``hyperparams.yaml``. Raises `MissingWeights` where there is none."""
    file = folder / "hyperparams.yaml"
    if not file.is_file():
        raise MissingWeights(
            stage, f"{folder} is no SpeechBrain model: it has no hyperparams.yaml; fetch the whole hub folder"
        )
    return file


def _load_weights(stage: str, module: Any, path: Path) -> None:
    """Load a module's weights, which must be complete.

    The statistics of a normalization are loaded by its own method.
    """
    from speechbrain.utils.checkpoints import hook_on_loading_state_dict_checkpoint

    if not path.is_file():
        raise StageError(stage, f"{path} is missing: fetch the whole hub folder")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's advice about old pickles does not help a user
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
    absent = module.load_state_dict(hook_on_loading_state_dict_checkpoint(state), strict=False).missing_keys
    missing = sorted(set(absent) & {name for name, _ in module.named_parameters()})
    if missing:
        raise StageError(
            stage,
            f"{path} lacks {len(missing)} of the network's weights, {missing[0]} for one: "
            "it belongs to another network",
        )


class _Builder:
    """Builds modules from the tree of a ``hyperparams.yaml``, every tag of which is on the allow-list.

    Each node once.
    """

    def __init__(self, stage: str, file: Path) -> None:
        self._stage, self._file = stage, file
        top = read_mapping(file, stage)
        self._check_tags(top)
        self._top = self._entries(top)
        self._built: dict[int, torch.nn.Module] = {}
        self._values: dict[int, Any] = {}
        self._in_progress: set[int] = set()

    def module_node(self, name: str) -> Node:
        """The node behind ``modules: name:``."""
        modules = self._top_mapping("modules")
        if name not in modules:
            raise StageError(
                self._stage, f"{self._file} has no {name} under modules: this is a model for something else"
            )
        return self._resolve(modules[name])

    def number(self, name: str) -> int | float | None:
        """A number of the top level; None where the file does not have it."""
        if name not in self._top:
            return None
        value = self._value(self._top[name])
        if not is_number(value):
            refuse(self._stage, self._file, self._top[name], f"{name} is no number")
        return float(value) if isinstance(value, float) else int(value)

    def checkpoint_names(self, modules: Sequence[str]) -> Mapping[str, str]:
        """The names of the files with the modules' weights; modules without weights are left out."""
        pretrainer = self._top.get("pretrainer")
        if not isinstance(pretrainer, yaml.MappingNode) or pretrainer.tag != f"!new:{PRETRAINER}":
            raise StageError(self._stage, f"{self._file} has no pretrainer, which says where the weights are")
        arguments = self._entries(pretrainer)
        for argument in arguments.keys() - {"loadables", "paths", "collect_in"}:
            refuse(self._stage, self._file, arguments[argument], f"{argument} of the pretrainer")
        loadables = self._entries(arguments["loadables"]) if "loadables" in arguments else {}
        paths = self._entries(arguments["paths"]) if "paths" in arguments else {}
        names: dict[str, str] = {}
        for key, node in loadables.items():
            target = self._resolve(node)
            for module in modules:
                if target is self.module_node(module):
                    names[module] = self._file_name(paths[key]) if key in paths else f"{key}.ckpt"
        return names

    def _file_name(self, node: Node) -> str:
        """The last part of a path: weights come from the folder itself, whatever place it names."""
        value = self._value(node)
        name = value.replace("\\", "/").rsplit("/", 1)[-1] if isinstance(value, str) else ""
        if name in ("", ".", "..") or "\0" in name or ":" in name:
            refuse(self._stage, self._file, node, f"the place {str(value)[:60]!r} of a checkpoint")
        return name

    def _check_tags(self, node: Node, seen: set[int] | None = None) -> None:
        """Check every tag of the tree. Raises `StageError` for the first that is not on the allow-list."""
        seen = set() if seen is None else seen
        if id(node) in seen:
            return
        seen.add(id(node))
        tag = custom_tag(node)
        if tag is not None and not is_allowed(tag):
            refuse(self._stage, self._file, node, f"it asks for {tag[:100]!r}")
        children: Sequence[Node] = ()
        if isinstance(node, yaml.MappingNode):
            children = list(self._entries(node).values())
        elif isinstance(node, yaml.SequenceNode):
            children = node.value
        for child in children:
            self._check_tags(child, seen)

    def _entries(self, node: Node) -> dict[str, Node]:
        if not isinstance(node, yaml.MappingNode):
            refuse(self._stage, self._file, node, "no mapping where one is needed")
        return entries(self._stage, self._file, node)

    def _top_mapping(self, name: str) -> dict[str, Node]:
        if name not in self._top:
            raise StageError(self._stage, f"{self._file} has no {name}: this is no model for inference")
        return self._entries(self._top[name])

    def _resolve(self, node: Node) -> Node:
        """The node behind ``!ref <name>``, through several if need be; any other node itself."""
        passed: set[int] = set()
        while node.tag == "!ref":
            reference = _REFERENCE.fullmatch(str(node.value)) if isinstance(node, yaml.ScalarNode) else None
            if reference is None:
                return node
            if id(node) in passed:
                refuse(self._stage, self._file, node, "a reference to itself")
            passed.add(id(node))
            node = self._top_node(reference[1], node)
        return node

    def _top_node(self, name: str, node: Node) -> Node:
        """The top-level node of that name, to which ``node`` refers."""
        if name not in self._top:
            refuse(
                self._stage, self._file, node, f"a reference to {name[:60]!r}, which the file does not have at its top"
            )
        return self._top[name]

    def _value(self, node: Node) -> Any:
        """The value of a scalar or a list of them; references inside a text are replaced by their values."""
        node = self._resolve(node)
        if id(node) not in self._values:
            if id(node) in self._in_progress:
                refuse(self._stage, self._file, node, "a reference to itself")
            self._in_progress.add(id(node))
            self._values[id(node)] = self._evaluate(node)
            self._in_progress.discard(id(node))
        return self._values[id(node)]

    def _evaluate(self, node: Node) -> Any:
        if isinstance(node, yaml.SequenceNode) and custom_tag(node) in (None, "!tuple"):
            return [self._value(item) for item in node.value[: MAX_SIZES + 1]]
        if isinstance(node, yaml.ScalarNode) and node.tag == "!ref":
            text = _REFERENCE.sub(lambda match: str(self._value(self._top_node(match[1], node))), str(node.value))
            if len(text) > _MAX_TEXT:
                refuse(self._stage, self._file, node, f"a text of more than {_MAX_TEXT} letters")
            return text
        if isinstance(node, yaml.ScalarNode) and custom_tag(node) is None:
            return scalar_value(node)
        return refuse(self._stage, self._file, node, "a number, a word or a list of such is needed here")

    def build(self, node: Node) -> torch.nn.Module:
        """The module that this node describes; the same one each time."""
        node = self._resolve(node)
        if id(node) in self._built:
            return self._built[id(node)]
        name = node.tag.removeprefix("!new:")
        if name not in PARTS or not isinstance(node, yaml.MappingNode):
            refuse(self._stage, self._file, node, f"a part of the network is needed here, not {node.tag[:100]!r}")
        if id(node) in self._in_progress:
            refuse(self._stage, self._file, node, "a part of the network inside itself")
        self._in_progress.add(id(node))
        arguments = {key: self._argument(name, key, value) for key, value in self._entries(node).items()}
        self._in_progress.discard(id(node))
        module: torch.nn.Module = _import_class(name)(**arguments)
        self._built[id(node)] = module
        return module

    def _argument(self, part: str, name: str, node: Node) -> Any:
        kind = PARTS[part].get(name)
        if kind is None:
            refuse(self._stage, self._file, node, f"the argument {name[:60]!r} of {part}")
        if kind == "part":
            return self.build(node)
        if kind == "activation":
            target = self._resolve(node)
            if target.tag.removeprefix("!name:") not in ACTIVATIONS or getattr(target, "value", None):
                refuse(self._stage, self._file, node, f"{name} of {part} is none of {', '.join(sorted(ACTIVATIONS))}")
            return _import_class(target.tag.removeprefix("!name:"))
        value = self._value(node)
        if value is not None and not self._fits(value, kind):
            what = "list of numbers" if kind == "numbers" else kind
            refuse(self._stage, self._file, node, f"{name} of {part} is no {what} that fits")
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
                is_short_list = isinstance(value, list) and len(value) <= MAX_SIZES
                return is_short_list and all(entry is None or is_number(entry) for entry in value)
        return False


def _import_class(name: str) -> Any:
    """A class of `PARTS` or `ACTIVATIONS`."""
    module, _, kind = name.rpartition(".")
    return getattr(importlib.import_module(module), kind)
