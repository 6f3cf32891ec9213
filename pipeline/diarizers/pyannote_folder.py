"""pyannote.audio's pipeline folders, opened as data: ``config.yaml`` and checkpoints are read, and nothing that they name is imported.

pyannote.audio itself imports and calls whatever class a ``config.yaml`` names as pipeline or preprocessor, imports the module that a
checkpoint names, and unpickles checkpoints without restriction. Here a pipeline is a `SpeakerDiarization` whose networks are of an
exact list; their weights, sizes and specifications come through `read_checkpoint`, which runs nothing.

    config.yaml                          as pyannote/speaker-diarization-community-1 has it, or 3.1 with hub ids for its networks
    segmentation/pytorch_model.bin       ``$model/segmentation``
    embedding/pytorch_model.bin          ``$model/embedding``
    plda/plda.npz, xvec_transform.npz    ``$model/plda``; arrays, read without pickle
"""

from __future__ import annotations

import inspect
import pickle
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from meetsplit.pipeline.diarizers.pyannote_compat import quiet_pyannote
from meetsplit.pipeline.errors import MissingWeights, StageError
from meetsplit.pipeline.models.checkpoints import json_value, read_checkpoint
from meetsplit.pipeline.models.model_yaml import TRUST, is_number, is_word, plain_value, read_mapping

with quiet_pyannote():
    from pyannote.audio.core.model import Model
    from pyannote.audio.core.plda import PLDA
    from pyannote.audio.core.task import Problem, Resolution, Specifications
    from pyannote.audio.models import embedding, segmentation
    from pyannote.audio.pipelines import SpeakerDiarization

NETWORKS: Mapping[str, type[Model]] = MappingProxyType(
    {
        "PyanNet": segmentation.PyanNet,
        "XVectorMFCC": embedding.XVectorMFCC,
        "XVectorSincNet": embedding.XVectorSincNet,
        "WeSpeakerResNet34": embedding.WeSpeakerResNet34,
        "WeSpeakerResNet152": embedding.WeSpeakerResNet152,
        "WeSpeakerResNet221": embedding.WeSpeakerResNet221,
        "WeSpeakerResNet293": embedding.WeSpeakerResNet293,
    }
)
"""What a checkpoint may hold."""

PIPELINES = frozenset(
    {"pyannote.audio.pipelines.SpeakerDiarization", "pyannote.audio.pipelines.speaker_diarization.SpeakerDiarization"}
)
CLUSTERINGS = frozenset({"VBxClustering", "AgglomerativeClustering", "KMeansClustering"})

_KNOWN = frozenset({"version", "dependencies", "pipeline", "params"})
_NUMBERS = frozenset({"segmentation_step", "segmentation_batch_size", "embedding_batch_size"})
_FLAGS = frozenset({"embedding_exclude_overlap", "legacy"})
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+(@[\w.-]+)?")
_INSIDE = re.compile(r"(?:\$model|\.)/([\w.-]+(?:/[\w.-]+)*)")
_MODEL = "pytorch_model.bin"
_PLDA = ("xvec_transform.npz", "plda.npz")

FetchHub = Callable[[str, str | None, tuple[str, ...]], Path]
"""A hub repository's folder on this machine, from its id, its revision and the files that are needed of it."""


def open_pipeline(config: Path, fetch_hub: FetchHub) -> SpeakerDiarization:
    """The pipeline of a ``config.yaml`` with its networks loaded.

    Raises `StageError` for a file that asks for anything else than a diarization pipeline of known parts.
    """
    said = plain_value("diarize", config, read_mapping(config, "diarize"))
    _only(config, said, _KNOWN, "")
    about = said.get("pipeline")
    if not isinstance(about, dict) or about.get("name") not in PIPELINES:
        name = str(about.get("name") if isinstance(about, dict) else about)[:100]
        raise _refusal(config, f"it asks for the pipeline {name!r}, which is none of {', '.join(sorted(PIPELINES))}")
    _only(config, about, {"name", "params"}, "pipeline: ")
    pipeline = SpeakerDiarization(**_arguments(config, about.get("params") or {}, fetch_hub))
    pipeline.instantiate(_parameters(config, said.get("params", pipeline.default_parameters())))
    return pipeline


def open_network(path: Path) -> Model:
    """The network in a ``pytorch_model.bin`` or ``.ckpt`` of pyannote.audio. Raises `StageError` for what holds none of `NETWORKS`."""
    if not path.is_file():
        raise MissingWeights("diarize", f"{path} is missing: fetch the whole folder")
    try:
        content = read_checkpoint(path)
    except (pickle.UnpicklingError, zipfile.BadZipFile, EOFError) as error:
        raise StageError("diarize", f"{path} is no checkpoint of pyannote.audio: {error}") from error
    about = json_value(content.get("pyannote.audio", {}))
    architecture = about.get("architecture", {}) if isinstance(about, dict) else {}
    kind = str(architecture.get("class"))
    if kind not in NETWORKS or not str(architecture.get("module")).startswith("pyannote.audio.models."):
        raise _refusal(
            path, f"it asks for the network {architecture.get('module')}.{kind}, which is none of {', '.join(NETWORKS)}"
        )
    network = NETWORKS[kind](**_hyperparameters(path, kind, json_value(content.get("hyper_parameters", {}))))
    network.specifications = _specifications(path, about.get("specifications"))
    network.setup()
    state = content.get("state_dict")
    arrays = (
        {name: value for name, value in state.items() if isinstance(value, np.ndarray)}
        if isinstance(state, dict)
        else {}
    )
    tensors = {name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}
    lacking = network.load_state_dict(tensors, strict=False).missing_keys
    needed = sorted(set(lacking) & {name for name, _ in network.named_parameters()})
    if needed:
        raise StageError("diarize", f"{path} lacks {len(needed)} of the network's weights, {needed[0]} for one")
    return network.eval()


def _refusal(file: Path, what: str) -> StageError:
    return StageError("diarize", f"{file}: {what}: not opened; {TRUST}")


def _only(config: Path, said: Mapping[str, Any], known: frozenset[str] | set[str], where: str) -> None:
    for name, value in said.items():
        if name not in known and value not in (None, {}, []):
            raise _refusal(
                config, f"{where}{name[:60]}, with {str(value)[:80]!r}, is none of {', '.join(sorted(known))}"
            )


def _arguments(config: Path, given: Any, fetch_hub: FetchHub) -> dict[str, Any]:
    """The arguments of the pipeline's class."""
    if not isinstance(given, dict):
        raise _refusal(config, "pipeline: params is no mapping")
    _only(config, given, {"segmentation", "embedding", "plda", "clustering"} | _NUMBERS | _FLAGS, "pipeline: params: ")
    clustering = given.get("clustering", "VBxClustering")
    if clustering not in CLUSTERINGS:
        raise _refusal(config, f"clustering {str(clustering)[:60]!r} is none of {', '.join(sorted(CLUSTERINGS))}")
    for name in _NUMBERS & given.keys():
        if not is_number(given[name]):
            raise _refusal(config, f"{name} is no number")
    for name in _FLAGS & given.keys():
        if not isinstance(given[name], bool):
            raise _refusal(config, f"{name} is neither true nor false")
    networks = {}
    for role in ("segmentation", "embedding"):
        place = _place(config, role, given.get(role), fetch_hub)
        networks[role] = open_network(place / _MODEL if place.is_dir() else place)
    # Only one kind of clustering has a use for a PLDA; for the others the class would fetch one all the same.
    plda = (
        _plda(_place(config, "plda", given.get("plda"), fetch_hub))
        if clustering == "VBxClustering"
        else object.__new__(PLDA)
    )
    return {
        **{name: given[name] for name in (_NUMBERS | _FLAGS) & given.keys()},
        **networks,
        "plda": plda,
        "clustering": clustering,
    }


def _plda(place: Path) -> PLDA:
    files = [place / name for name in _PLDA]
    for file in files:
        if not zipfile.is_zipfile(
            file
        ):  # numpy would take anything else for a pickle, and refuse that in words of its own
            raise StageError("diarize", f"{file} is no archive of arrays (.npz): fetch the whole folder")
    return PLDA(*files)


def _place(config: Path, role: str, value: Any, fetch_hub: FetchHub) -> Path:
    """Where a network or PLDA lies: inside the folder of ``config``, or in a hub repository."""
    inside = _INSIDE.fullmatch(value) if isinstance(value, str) else None
    if inside is not None and not {".", ".."} & set(inside[1].split("/")):
        return config.parent / inside[1]
    if isinstance(value, str) and _HUB_ID.fullmatch(value):
        repository, _, revision = value.partition("@")
        return fetch_hub(repository, revision or None, _PLDA if role == "plda" else (_MODEL,))
    raise _refusal(config, f"{role} {str(value)[:80]!r} is neither a place in the folder ($model/…) nor a hub id")


def _parameters(config: Path, given: Any) -> dict[str, dict[str, Any]]:
    """Thresholds and the like, two levels deep."""
    if not isinstance(given, dict) or not all(isinstance(group, dict) for group in given.values()):
        raise _refusal(config, "params is no mapping of mappings")
    for group, values in given.items():
        for name, value in values.items():
            if not (is_number(value) or isinstance(value, bool) or is_word(value)):
                raise _refusal(config, f"params: {group}: {name} is neither a number nor a word")
    return given


def _hyperparameters(path: Path, kind: str, given: Any) -> dict[str, Any]:
    """What the network's class takes of what the checkpoint says."""
    taken = inspect.signature(NETWORKS[kind].__init__).parameters.keys() - {"self", "task"}
    chosen = {name: value for name, value in given.items() if name in taken} if isinstance(given, dict) else {}
    for name, value in chosen.items():
        if not _is_size(value):
            raise _refusal(path, f"the setting {name} of {kind} is neither a number nor a word nor a mapping of such")
    return chosen


def _is_size(value: Any) -> bool:
    if isinstance(value, dict):
        return all(is_word(name) and _is_size(one) for name, one in value.items())
    if isinstance(value, list):
        return all(_is_size(one) for one in value)
    return value is None or isinstance(value, bool) or is_number(value) or is_word(value)


def _specifications(path: Path, said: Any) -> Specifications:
    """What the network answers. Enumerations come from `json_value` as lists of their one value."""
    if not isinstance(said, dict):
        raise StageError("diarize", f"{path} does not say what its network answers")
    try:
        return Specifications(
            problem=Problem(*said["problem"]),
            resolution=Resolution(*said["resolution"]),
            duration=float(said["duration"]),
            min_duration=None if said.get("min_duration") is None else float(said["min_duration"]),
            warm_up=tuple(float(seconds) for seconds in said.get("warm_up") or (0.0, 0.0)),
            classes=None if said.get("classes") is None else [str(name) for name in said["classes"]],
            powerset_max_classes=None
            if said.get("powerset_max_classes") is None
            else int(said["powerset_max_classes"]),
            permutation_invariant=bool(said.get("permutation_invariant", False)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StageError("diarize", f"{path} does not say what its network answers: {error}") from error
