"""Demucs: vocals out of music by a hybrid of waveform and spectrogram networks.

Rouard, Massa, Défossez, "Hybrid Transformers for Music Source Separation", 2023. The networks are those of the package
demucs (4.1); which of them a file is for and how large it is are read as data, never by running what a pickle asks for.
"""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from demucs.apply import BagOfModels, apply_model
from demucs.demucs import Demucs
from demucs.hdemucs import HDemucs
from demucs.htdemucs import HTDemucs
from safetensors import SafetensorError, safe_open

from meetsplit.pipeline.data import Audio
from meetsplit.pipeline.errors import StageError, blame
from meetsplit.pipeline.models.checkpoints import StubObject, read_checkpoint
from meetsplit.pipeline.models.model_yaml import plain_value, read_mapping
from meetsplit.pipeline.settings import Settings

_CLASSES = {f"{cls.__module__}.{cls.__name__}": cls for cls in (Demucs, HDemucs, HTDemucs)}

_LONGEST_REASON = 200
"""Letters of a reason: a network with other tensors has a long list of them."""

_OVERLAP = 0.25
"""Share of a segment that Demucs's own windows share."""


class DemucsCleaner:
    """A `Cleaner` of music: of what Demucs hears, the vocals stay."""

    def __init__(self, bag: BagOfModels, device: str = "cpu") -> None:
        self.rate: int = int(bag.samplerate)
        self.removes: frozenset[str] = frozenset({"music"})
        self._bag, self._device = bag.eval(), device
        self._vocals = list(bag.sources).index("vocals")

    @classmethod
    def load(cls, settings: Settings, weights: Mapping[str, Path], device: str) -> DemucsCleaner:
        """The models at ``weights["model"]``: a folder as the hub has it, or one ``.safetensors`` or ``.th`` file.

        Raises `StageError` for files that hold something else.
        """
        path = weights["model"]
        with blame("clean", f"loading Demucs from {path}"):
            return cls(load_bag(path), device)

    @torch.inference_mode()
    def clean(self, audio: Audio, kinds: Collection[str]) -> Audio:
        """The vocals in the audio."""
        if audio.rate != self.rate:
            raise ValueError(f"this Demucs hears at {self.rate} Hz, not {audio.rate} Hz")
        if "music" not in kinds or not np.any(audio.samples):
            return audio
        wave = torch.tensor(audio.samples)
        mean, spread = wave.mean(), wave.std() + 1e-8
        mixture = ((wave - mean) / spread).expand(1, int(self._bag.audio_channels), -1)
        # Without shifts, which draw at random: the same sound gives the same voices.
        sources = apply_model(
            self._bag, mixture, shifts=0, split=True, overlap=_OVERLAP, progress=False, device=self._device
        )
        vocals = sources[0, self._vocals].mean(dim=0) * spread + mean
        return audio.replaced(np.asarray(vocals.cpu().numpy(), np.float32))


def load_bag(path: Path) -> BagOfModels:
    """The models at a path, which answer together. Raises `StageError`."""
    if path.is_dir():
        models, weights = _models_of_folder(path)
    else:
        models, weights = [load_model(path)], None
    for model in models:
        if "vocals" not in model.sources:
            raise StageError("clean", f"{path} knows {', '.join(map(str, model.sources))}, and no vocals")
    return BagOfModels(models, weights)


def _models_of_folder(folder: Path) -> tuple[list[Any], Any]:
    descriptions = sorted(folder.glob("*.yaml"))
    if len(descriptions) != 1:
        raise StageError("clean", f"{folder} is no folder of a Demucs: one .yaml file says which models it has")
    content = plain_value("clean", descriptions[0], read_mapping(descriptions[0], "clean"))
    names = content.get("models") if isinstance(content, dict) else None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise StageError("clean", f"{descriptions[0]} does not say which models it has")
    models = [load_model(_file_of(folder, name)) for name in names]
    weights = content.get("weights")
    if weights is not None and not _are_weights(weights, len(models), len(models[0].sources)):
        raise StageError("clean", f"{descriptions[0]}: weights are a list of numbers per model")
    return models, weights


def _file_of(folder: Path, name: str) -> Path:
    files = [file for file in sorted(folder.iterdir()) if file.suffix in (".safetensors", ".th")]
    own = [file for file in files if file.stem == name or file.stem.startswith(f"{name}-")]
    if not own:
        raise StageError("clean", f"{folder} lacks the model {name}: fetch the whole folder")
    return own[0]


def _are_weights(weights: Any, models: int, sources: int) -> bool:
    return (
        isinstance(weights, list)
        and len(weights) == models
        and all(isinstance(row, list) and len(row) == sources for row in weights)
        and all(isinstance(value, int | float) for row in weights for value in row)
    )


def load_model(path: Path) -> Any:
    """One of Demucs's networks in a file. Raises `StageError`."""
    try:
        name, args, kwargs, state = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
        if name not in _CLASSES:
            raise ValueError(f"it asks for {name}")
        model = _CLASSES[name](*args, **kwargs)
        model.load_state_dict(state)
    except (
        pickle.UnpicklingError, EOFError, zipfile.BadZipFile, SafetensorError, OSError,
        KeyError, ValueError, TypeError, RuntimeError, AttributeError, AssertionError,
    ) as error:  # fmt: skip
        reason = f"it has no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())[:_LONGEST_REASON]
        raise StageError("clean", f"{path} is no model of Demucs: {reason or type(error).__name__}") from error
    if not all(bool(torch.isfinite(tensor).all()) for tensor in model.state_dict().values()):
        raise StageError("clean", f"{path} holds numbers that are not finite")
    return model.eval()


_Parts = tuple[str, Sequence[Any], Mapping[str, Any], Mapping[str, torch.Tensor]]
"""The class of a network, its arguments, and its tensors."""


def _read_safetensors(path: Path) -> _Parts:
    """A file as the hub has it: the class and its arguments are JSON in the header."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    if "structure" in metadata:
        raise ValueError("it is quantized (diffq), which is not read here")
    args, kwargs = (_plain(json.loads(metadata[key])) for key in ("args", "kwargs"))
    return metadata["klass"], args, kwargs, tensors


def _read_pickle(path: Path) -> _Parts:
    """A file of Demucs's own server, ``955717e8-8726e21a.th``."""
    content = read_checkpoint(path)
    cls, state = content["klass"], content["state"]
    if not isinstance(cls, type) or "__quantized" in state:
        raise ValueError("it is quantized (diffq), or no package of Demucs")
    tensors = {name: torch.tensor(np.ascontiguousarray(value)).float() for name, value in state.items()}
    return f"{cls.__module__}.{cls.__name__}", _plain(content["args"]), _plain(content["kwargs"]), tensors


def _plain(value: Any) -> Any:
    """Arguments as plain values: fractions, which JSON and our reader of pickles hold as something else, too."""
    if isinstance(value, StubObject) and type(value).__name__ == "Fraction":
        return Fraction(*(value.args or ("0",)))
    if isinstance(value, dict):
        if value.get("_type") == "fraction":
            return Fraction(int(value["numerator"]), int(value["denominator"]))
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise ValueError(f"an argument is {type(value).__name__}")
