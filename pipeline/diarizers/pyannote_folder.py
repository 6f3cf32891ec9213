"""pyannote.audio's pipeline folders, opened as data: nothing that ``config.yaml`` or checkpoints name is imported.

pyannote.audio itself imports and calls any class that a ``config.yaml`` names as pipeline or preprocessor, imports the
module that a checkpoint names, and unpickles checkpoints without restriction. Here a pipeline is a `SpeakerDiarization`
whose networks are of an exact list; their weights, sizes and specifications come through `read_checkpoint`, which runs
nothing.

    config.yaml                          as in pyannote/speaker-diarization-community-1, or 3.1 with hub ids
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
"""Networks that a checkpoint may hold, by class name."""

PIPELINES = frozenset(
    {"pyannote.audio.pipelines.SpeakerDiarization", "pyannote.audio.pipelines.speaker_diarization.SpeakerDiarization"}
)
"""Names under which a ``config.yaml`` may ask for the diarization pipeline."""

CLUSTERINGS = frozenset({"VBxClustering", "AgglomerativeClustering", "KMeansClustering"})

_CONFIG_KEYS = frozenset({"version", "dependencies", "pipeline", "params"})
_NUMERIC_PARAMS = frozenset({"segmentation_step", "segmentation_batch_size", "embedding_batch_size"})
_BOOLEAN_PARAMS = frozenset({"embedding_exclude_overlap", "legacy"})
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+(@[\w.-]+)?")
_FOLDER_PATH = re.compile(r"(?:\$model|\.)/([\w.-]+(?:/[\w.-]+)*)")
_MODEL_FILE = "pytorch_model.bin"
_PLDA_FILES = ("xvec_transform.npz", "plda.npz")

FetchHub = Callable[[str, str | None, tuple[str, ...]], Path]
"""A function from a hub repository's id, its revision and the needed files to its folder on this machine."""


def open_pipeline(config: Path, fetch_hub: FetchHub) -> SpeakerDiarization:
    """The pipeline of a ``config.yaml`` with its networks loaded.

    Raises `StageError` for a file that asks for anything but a diarization pipeline of the parts listed here.
    """
    content = plain_value("diarize", config, read_mapping(config, "diarize"))
    _check_keys(config, content, _CONFIG_KEYS, "")
    pipeline_node = content.get("pipeline")
    if not isinstance(pipeline_node, dict) or pipeline_node.get("name") not in PIPELINES:
        name = str(pipeline_node.get("name") if isinstance(pipeline_node, dict) else pipeline_node)[:100]
        raise _refusal(config, f"it asks for the pipeline {name!r}, which is none of {', '.join(sorted(PIPELINES))}")
    _check_keys(config, pipeline_node, {"name", "params"}, "pipeline: ")
    pipeline = SpeakerDiarization(**_pipeline_arguments(config, pipeline_node.get("params") or {}, fetch_hub))
    pipeline.instantiate(_instantiation_params(config, content.get("params", pipeline.default_parameters())))
    return pipeline


def open_network(path: Path) -> Model:
    """The network in a ``pytorch_model.bin`` or ``.ckpt`` of pyannote.audio.

    Raises `StageError` for what holds none of `NETWORKS`.
    """
    if not path.is_file():
        raise MissingWeights("diarize", f"{path} is missing: fetch the whole folder")
    try:
        content = read_checkpoint(path)
    except (pickle.UnpicklingError, zipfile.BadZipFile, EOFError) as error:
        raise StageError("diarize", f"{path} is no checkpoint of pyannote.audio: {error}") from error
    metadata = json_value(content.get("pyannote.audio", {}))
    architecture = metadata.get("architecture", {}) if isinstance(metadata, dict) else {}
    kind = str(architecture.get("class"))
    if kind not in NETWORKS or not str(architecture.get("module")).startswith("pyannote.audio.models."):
        raise _refusal(
            path, f"it asks for the network {architecture.get('module')}.{kind}, which is none of {', '.join(NETWORKS)}"
        )
    network = NETWORKS[kind](**_hyperparameters(path, kind, json_value(content.get("hyper_parameters", {}))))
    network.specifications = _specifications(path, metadata.get("specifications"))
    network.setup()
    state = content.get("state_dict")
    arrays = state if isinstance(state, dict) else {}
    tensors = {
        name: torch.from_numpy(np.array(value)) for name, value in arrays.items() if isinstance(value, np.ndarray)
    }
    missing = network.load_state_dict(tensors, strict=False).missing_keys
    missing_weights = sorted(set(missing) & {name for name, _ in network.named_parameters()})
    if missing_weights:
        example = missing_weights[0]
        raise StageError("diarize", f"{path} lacks {len(missing_weights)} of the network's weights, {example} for one")
    return network.eval()


def _refusal(file: Path, what: str) -> StageError:
    """The error for a file that asks for code, or for parts not listed here."""
    return StageError("diarize", f"{file}: {what}: not opened; {TRUST}")


def _check_keys(config: Path, node: Mapping[str, Any], allowed: frozenset[str] | set[str], where: str) -> None:
    """Raise `StageError` for a mapping with other keys than ``allowed``, unless they are empty."""
    for name, value in node.items():
        if name not in allowed and value not in (None, {}, []):
            raise _refusal(
                config, f"{where}{name[:60]}, with {str(value)[:80]!r}, is none of {', '.join(sorted(allowed))}"
            )


def _pipeline_arguments(config: Path, params: Any, fetch_hub: FetchHub) -> dict[str, Any]:
    """Arguments of `SpeakerDiarization`: the ``params`` of ``pipeline`` with networks and PLDA loaded."""
    if not isinstance(params, dict):
        raise _refusal(config, "pipeline: params is no mapping")
    allowed = {"segmentation", "embedding", "plda", "clustering"} | _NUMERIC_PARAMS | _BOOLEAN_PARAMS
    _check_keys(config, params, allowed, "pipeline: params: ")
    clustering = params.get("clustering", "VBxClustering")
    if clustering not in CLUSTERINGS:
        raise _refusal(config, f"clustering {str(clustering)[:60]!r} is none of {', '.join(sorted(CLUSTERINGS))}")
    for name in _NUMERIC_PARAMS & params.keys():
        if not is_number(params[name]):
            raise _refusal(config, f"{name} is no number")
    for name in _BOOLEAN_PARAMS & params.keys():
        if not isinstance(params[name], bool):
            raise _refusal(config, f"{name} is neither true nor false")
    networks = {}
    for role in ("segmentation", "embedding"):
        place = _locate(config, role, params.get(role), fetch_hub)
        networks[role] = open_network(place / _MODEL_FILE if place.is_dir() else place)
    # Only one kind of clustering has a use for a PLDA; for the others the class would fetch one all the same.
    if clustering == "VBxClustering":
        plda = _open_plda(_locate(config, "plda", params.get("plda"), fetch_hub))
    else:
        plda = object.__new__(PLDA)
    return {
        **{name: params[name] for name in (_NUMERIC_PARAMS | _BOOLEAN_PARAMS) & params.keys()},
        **networks,
        "plda": plda,
        "clustering": clustering,
    }


def _open_plda(place: Path) -> PLDA:
    """The PLDA in a folder."""
    files = [place / name for name in _PLDA_FILES]
    for file in files:
        # numpy would take anything else for a pickle, and refuse that in words of its own.
        if not zipfile.is_zipfile(file):
            raise StageError("diarize", f"{file} is no archive of arrays (.npz): fetch the whole folder")
    return PLDA(*files)


def _locate(config: Path, role: str, value: Any, fetch_hub: FetchHub) -> Path:
    """The path of a network or PLDA: inside the folder of ``config``, or in a hub repository."""
    inside = _FOLDER_PATH.fullmatch(value) if isinstance(value, str) else None
    if inside is not None and not {".", ".."} & set(inside[1].split("/")):
        return config.parent / inside[1]
    if isinstance(value, str) and _HUB_ID.fullmatch(value):
        repository, _, revision = value.partition("@")
        return fetch_hub(repository, revision or None, _PLDA_FILES if role == "plda" else (_MODEL_FILE,))
    raise _refusal(config, f"{role} {str(value)[:80]!r} is neither a place in the folder ($model/…) nor a hub id")


def _instantiation_params(config: Path, params: Any) -> dict[str, dict[str, Any]]:
    """The ``params`` with which a pipeline is instantiated: thresholds and the like, two levels deep."""
    if not isinstance(params, dict) or not all(isinstance(group, dict) for group in params.values()):
        raise _refusal(config, "params is no mapping of mappings")
    for group, values in params.items():
        for name, value in values.items():
            if not (is_number(value) or isinstance(value, bool) or is_word(value)):
                raise _refusal(config, f"params: {group}: {name} is neither a number nor a word")
    return params


def _hyperparameters(path: Path, kind: str, stored: Any) -> dict[str, Any]:
    """Those of the checkpoint's hyperparameters that the network's class takes."""
    parameters = inspect.signature(NETWORKS[kind].__init__).parameters.keys() - {"self", "task"}
    values = stored if isinstance(stored, dict) else {}
    hyperparameters = {name: value for name, value in values.items() if name in parameters}
    for name, value in hyperparameters.items():
        if not _is_size(value):
            raise _refusal(path, f"the setting {name} of {kind} is neither a number nor a word nor a mapping of such")
    return hyperparameters


def _is_size(value: Any) -> bool:
    """Whether a hyperparameter is plain: a number, a word, a flag, or lists and mappings of such."""
    if isinstance(value, dict):
        return all(is_word(name) and _is_size(item) for name, item in value.items())
    if isinstance(value, list):
        return all(_is_size(item) for item in value)
    return value is None or isinstance(value, bool) or is_number(value) or is_word(value)


def _specifications(path: Path, stored: Any) -> Specifications:
    """pyannote's specifications of the network's output. Enumerations come from `json_value` as lists of their one
    value.
    """
    if not isinstance(stored, dict):
        raise StageError("diarize", f"{path} does not say what its network answers")
    min_duration, classes = stored.get("min_duration"), stored.get("classes")
    powerset_max_classes = stored.get("powerset_max_classes")
    try:
        return Specifications(
            problem=Problem(*stored["problem"]),
            resolution=Resolution(*stored["resolution"]),
            duration=float(stored["duration"]),
            min_duration=None if min_duration is None else float(min_duration),
            warm_up=tuple(float(seconds) for seconds in stored.get("warm_up") or (0.0, 0.0)),
            classes=None if classes is None else [str(name) for name in classes],
            powerset_max_classes=None if powerset_max_classes is None else int(powerset_max_classes),
            permutation_invariant=bool(stored.get("permutation_invariant", False)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StageError("diarize", f"{path} does not say what its network answers: {error}") from error
