"""What is in a segmentation file? PyanNet from safetensors, or from a checkpoint of pyannote.audio, without running what it names.

A segmentation says of every moment of a window which of a few local speakers speak. It either judges each of them alone
(Bredin and Laurent, 2021) or every set of them that may speak at once, the powerset (Plaquet and Bredin, 2023).
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

FACTS = ("hyper_parameters", "pyannote.audio")
"""What a checkpoint says about itself, and the header of our safetensors repeats as JSON under ``facts``."""


def load_segmentation(path: Path) -> PyanNet:
    """The network in the file at ``path``, ready to listen.

    ``.safetensors`` as `weights.fetch` and our recipe write it; anything else is read as the ``pytorch_model.bin`` or ``.ckpt``
    of a pyannote.audio model. Raises `StageError` for what holds no PyanNet.
    """
    with quiet_pyannote(), blame("diarize", f"loading {path}"):
        facts, tensors = _stored(path) if path.suffix == ".safetensors" else _pickled(path)
        kind = facts.get("pyannote.audio", {}).get("architecture", {}).get("class")
        if kind != "PyanNet" or "hyper_parameters" not in facts:
            what = f"a {kind}" if kind else "no model of pyannote.audio"
            raise StageError("diarize", f"{path} holds {what}; a segmentation is a PyanNet")
        shape = facts["hyper_parameters"]
        network = PyanNet(sincnet=shape["sincnet"], lstm={**shape["lstm"], "dropout": 0.0}, linear=shape["linear"])
        network.specifications = specifications(facts)
        network.build()
        network.load_state_dict(tensors)
    return network.eval()


def facts_of(path: Path) -> Mapping[str, Any]:
    """What the file says about its network: ``FACTS``. For files that `load_segmentation` takes."""
    with blame("diarize", f"reading {path}"):
        return (_stored(path) if path.suffix == ".safetensors" else _pickled(path))[0]


def specifications(facts: Mapping[str, Any]) -> Specifications:
    """What the network answers, in pyannote.audio's own terms."""
    said = facts["pyannote.audio"]["specifications"]
    most = said.get("powerset_max_classes")
    return Specifications(
        problem=Problem.MONO_LABEL_CLASSIFICATION if most else Problem.MULTI_LABEL_CLASSIFICATION,
        resolution=Resolution.FRAME,
        duration=said["duration"],
        warm_up=tuple(said.get("warm_up") or (0.0, 0.0)),
        classes=said["classes"],
        powerset_max_classes=most,
        permutation_invariant=True,
    )


def _stored(path: Path) -> tuple[Mapping[str, Any], dict[str, torch.Tensor]]:
    with safe_open(path, "np") as file:
        metadata = file.metadata() or {}
    return json.loads(metadata.get("facts", "{}")), load_file(path)


def _pickled(path: Path) -> tuple[Mapping[str, Any], dict[str, torch.Tensor]]:
    try:
        content = read_checkpoint(path)
    except (pickle.UnpicklingError, zipfile.BadZipFile, EOFError) as error:
        raise StageError("diarize", f"{path} is no checkpoint of pyannote.audio: {error}") from error
    state = content.get("state_dict", {})
    tensors = {
        name: torch.from_numpy(np.array(value)) for name, value in state.items() if isinstance(value, np.ndarray)
    }
    return {key: json_value(content[key]) for key in FACTS if key in content}, tensors
