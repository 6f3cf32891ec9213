"""PyanNet segmentation models from safetensors or pyannote.audio checkpoints, read as data: no code in them is run.

A segmentation model gives the activity of a few local speakers in every frame of a window: either of each speaker
(multi-label; Bredin and Laurent, 2021) or of every set that may speak at once (powerset; Plaquet and Bredin, 2023).
"""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from meetsplit.pipeline.diarizers.pyannote_compat import quiet_pyannote
from meetsplit.pipeline.errors import StageError, blame
from meetsplit.pipeline.models.checkpoints import json_value, read_checkpoint

with quiet_pyannote():
    from pyannote.audio.core.task import Problem, Resolution, Specifications
    from pyannote.audio.models.segmentation import PyanNet

METADATA = ("hyper_parameters", "pyannote.audio")
"""Entries of a checkpoint with its metadata; the header of our safetensors has them as JSON under ``facts``."""


def load_segmentation(path: Path) -> PyanNet:
    """The network in the file at ``path``, in evaluation mode.

    ``.safetensors`` as `weights.fetch` and our recipe write it; anything else is read as the ``pytorch_model.bin`` or
    ``.ckpt`` of a pyannote.audio model. Raises `StageError` for what holds no PyanNet.
    """
    with quiet_pyannote(), blame("diarize", f"loading {path}"):
        metadata, tensors = _read(path)
        kind = metadata.get("pyannote.audio", {}).get("architecture", {}).get("class")
        if kind != "PyanNet" or "hyper_parameters" not in metadata:
            what = f"a {kind}" if kind else "no model of pyannote.audio"
            raise StageError("diarize", f"{path} holds {what}; a segmentation is a PyanNet")
        sizes = metadata["hyper_parameters"]
        network = PyanNet(sincnet=sizes["sincnet"], lstm={**sizes["lstm"], "dropout": 0.0}, linear=sizes["linear"])
        network.specifications = specifications(metadata)
        network.build()
        network.load_state_dict(tensors)
    return network.eval()


def read_metadata(path: Path) -> Mapping[str, Any]:
    """The entries `METADATA` of a file that `load_segmentation` takes."""
    with blame("diarize", f"reading {path}"):
        return _read(path)[0]


def specifications(metadata: Mapping[str, Any]) -> Specifications:
    """pyannote.audio's specifications of the network's output."""
    stored = metadata["pyannote.audio"]["specifications"]
    powerset_max_classes = stored.get("powerset_max_classes")
    return Specifications(
        problem=Problem.MONO_LABEL_CLASSIFICATION if powerset_max_classes else Problem.MULTI_LABEL_CLASSIFICATION,
        resolution=Resolution.FRAME,
        duration=stored["duration"],
        warm_up=tuple(stored.get("warm_up") or (0.0, 0.0)),
        classes=stored["classes"],
        powerset_max_classes=powerset_max_classes,
        permutation_invariant=True,
    )


def _read(path: Path) -> tuple[Mapping[str, Any], dict[str, torch.Tensor]]:
    """Metadata and weights."""
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_checkpoint(path)


def _read_safetensors(path: Path) -> tuple[Mapping[str, Any], dict[str, torch.Tensor]]:
    with safe_open(path, "np") as file:
        metadata = file.metadata() or {}
    return json.loads(metadata.get("facts", "{}")), load_file(path)


def _read_checkpoint(path: Path) -> tuple[Mapping[str, Any], dict[str, torch.Tensor]]:
    try:
        content = read_checkpoint(path)
    except (pickle.UnpicklingError, zipfile.BadZipFile, EOFError) as error:
        raise StageError("diarize", f"{path} is no checkpoint of pyannote.audio: {error}") from error
    state = content.get("state_dict", {})
    tensors = {
        name: torch.from_numpy(np.array(value)) for name, value in state.items() if isinstance(value, np.ndarray)
    }
    return {key: json_value(content[key]) for key in METADATA if key in content}, tensors
