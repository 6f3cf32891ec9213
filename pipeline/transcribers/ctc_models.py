"""Models for CTC alignment: wav2vec2 and its kin, whose output is a probability of each letter every 20 ms.

A. Baevski et al., "wav2vec 2.0: A framework for self-supervised learning of speech representations", NeurIPS 2020. They
come as torchaudio has them, or in folders of Hugging Face's format, which are read as data into torchaudio's class (see
``import_huggingface_model`` there); the package transformers is not needed.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torchaudio import pipelines
from torchaudio.models import wav2vec2_model

from meetsplit.pipeline.data import Samples
from meetsplit.pipeline.errors import StageError
from meetsplit.pipeline.models.checkpoints import read_checkpoint
from meetsplit.pipeline.models.sources import TORCHAUDIO_MODELS

RATE = 16000
"""The rate in Hz of all these models."""

STRIDE = 320
"""Samples from one frame of torchaudio's models to the next."""

DELIMITER = "|"
"""The label between two words, where a model has one."""

_MOST = 65536
"""No dimension of a wav2vec2 is larger."""


@dataclass(frozen=True, slots=True, eq=False)
class CtcModel:
    """A network with its labels: the number of each letter's output, as letters are spelled there, and of the blank.

    ``stride`` is in samples; with ``normalizes``, it takes sound of mean 0 and variance 1. ``language`` is the only one
    that it knows, None where that is not known.
    """

    network: Any
    labels: Mapping[str, int]
    blank: int
    stride: int = STRIDE
    normalizes: bool = False
    language: str | None = None

    def emissions(self, samples: Samples) -> Tensor:
        """The logarithm of each label's probability in each frame, on the CPU, shape (frames, labels).

        No frame for sound that is too short for one.
        """
        device = next(self.network.parameters()).device
        sound = torch.tensor(samples, device=device)[None]
        if self.normalizes:
            sound = torch.nn.functional.layer_norm(sound, sound.shape)
        with torch.inference_mode():
            try:
                output: Tensor = self.network(sound)[0][0]
            except RuntimeError:
                if len(samples) >= 2 * self.stride:
                    raise
                return torch.zeros(0, len(self.labels) + 1)
        return output.float().log_softmax(dim=-1).cpu()

    def label_of(self, letter: str) -> int | None:
        """The number of a letter's label, in either case, without its accents where it is not known with them."""
        plain = unicodedata.normalize("NFKD", letter)[:1]
        for spelt in (letter, letter.lower(), letter.upper(), plain, plain.lower(), plain.upper()):
            if spelt in self.labels:
                return self.labels[spelt]
        return None


def load_ctc_model(name: str, path: Path, device: str) -> CtcModel:
    """The model: ``path`` is the file of torchaudio's model of that name, or a folder in Hugging Face's format.

    Raises `StageError` with one sentence for what cannot be read.
    """
    try:
        model = _torchaudio_model(name, path) if path.is_file() else _folder_model(path)
    except (
        ValueError,
        TypeError,
        KeyError,
        RuntimeError,
        OSError,
        EOFError,
        UnpicklingError,
        SafetensorError,
    ) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise StageError("align", f"--align-model {name}: {path} is no whole wav2vec2 for CTC: {reason}") from error
    model.network.to(device).eval()
    return model


def _torchaudio_model(name: str, path: Path) -> CtcModel:
    if name not in TORCHAUDIO_MODELS:
        raise ValueError("a file by itself does not say which model it is: name one of torchaudio's, or a folder")
    bundle: Any = getattr(pipelines, name)
    has_star = name == "MMS_FA"  # a wildcard of its own, after the labels: ours takes its place
    options, labelled = ({"with_star": False}, {"star": None}) if has_star else ({}, {})
    where = {"model_dir": str(path.parent), "file_name": path.name, "map_location": "cpu", "weights_only": True}
    with torch.random.fork_rng(devices=[]):
        # The file is there, so nothing is downloaded.
        network = bundle.get_model(**options, dl_kwargs={**where, "progress": False})
    labels = {label: number for number, label in enumerate(bundle.get_labels(**labelled)) if number}
    return CtcModel(network, labels, blank=0, language=TORCHAUDIO_MODELS[name].language)


def _folder_model(folder: Path) -> CtcModel:
    config, vocabulary = _json(folder / "config.json"), _json(folder / "vocab.json")
    kind = config.get("model_type")
    if kind != "wav2vec2" or config.get("adapter_attn_dim") or config.get("add_adapter"):
        raise ValueError(f"its config.json says model_type {kind!r}, or an adapter, and only plain wav2vec2 is known")
    if not all(isinstance(number, int) for number in vocabulary.values()):
        raise ValueError("its vocab.json has a vocabulary per language: save the model with one of them")
    state = {_torchaudio_name(key): tensor.float() for key, tensor in _tensors(folder)}
    shapes = _shapes(config)
    layers = len({key.split(".")[3] for key in state if key.startswith("encoder.transformer.layers.")})
    if layers != shapes["encoder_num_layers"]:
        raise ValueError(f"config.json says {shapes['encoder_num_layers']} layers, its tensors have {layers}")
    with torch.device("meta"):  # takes no memory: a wrong config.json must not ask for any
        network = wav2vec2_model(**shapes, aux_num_out=_whole(config, "vocab_size"))
    network.load_state_dict(_with_weight_norm(state, network.state_dict()), strict=True, assign=True)
    blank = config.get("pad_token_id")
    if not isinstance(blank, int) or not 0 <= blank < config["vocab_size"]:
        raise ValueError(f"config.json says pad_token_id {blank!r}, which is no label")
    labels = {
        label: number
        for label, number in vocabulary.items()
        if len(label) == 1 and 0 <= number < config["vocab_size"] and number != blank
    }
    stride = math.prod(step for *_, step in shapes["extractor_conv_layer_config"])
    return CtcModel(network, labels, blank, stride, _normalizes(folder))


def _shapes(config: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `torchaudio.models.wav2vec2_model`, without dropout."""
    convolutions = [_wholes(config, key) for key in ("conv_dim", "conv_kernel", "conv_stride")]
    return {
        "extractor_mode": f"{config.get('feat_extract_norm', 'group')}_norm",
        "extractor_conv_layer_config": list(zip(*convolutions, strict=True)),
        "extractor_conv_bias": bool(config.get("conv_bias", False)),
        "encoder_embed_dim": _whole(config, "hidden_size"),
        "encoder_projection_dropout": 0.0,
        "encoder_pos_conv_kernel": _whole(config, "num_conv_pos_embeddings"),
        "encoder_pos_conv_groups": _whole(config, "num_conv_pos_embedding_groups"),
        "encoder_num_layers": _whole(config, "num_hidden_layers"),
        "encoder_num_heads": _whole(config, "num_attention_heads"),
        "encoder_attention_dropout": 0.0,
        "encoder_ff_interm_features": _whole(config, "intermediate_size"),
        "encoder_ff_interm_dropout": 0.0,
        "encoder_dropout": 0.0,
        "encoder_layer_norm_first": bool(config.get("do_stable_layer_norm", False)),
        "encoder_layer_drop": 0.0,
    }


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"it has no {path.name} that can be read") from error
    if not isinstance(content, dict):
        raise ValueError(f"its {path.name} is no table")
    return content


def _whole(config: Mapping[str, Any], key: str) -> int:
    value = config.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _MOST:
        raise ValueError(f"config.json says {key} {value!r:.40}")
    return value


def _wholes(config: Mapping[str, Any], key: str) -> list[int]:
    values = config.get(key)
    if not isinstance(values, list) or not 0 < len(values) <= 32:
        raise ValueError(f"config.json says {key} {values!r:.40}")
    return [_whole({key: value}, key) for value in values]


def _tensors(folder: Path) -> Iterator[tuple[str, Tensor]]:
    """The tensors of all files with weights, by Hugging Face's names, without those that only training needs."""
    paths = sorted(folder.glob("model*.safetensors"))
    for path in paths:
        with safe_open(path, framework="pt") as file:
            yield from ((name, file.get_tensor(name)) for name in file.keys() if _is_used(name))  # noqa: SIM118
    pickled = [] if paths else sorted(folder.glob("pytorch_model*.bin"))
    for path in pickled:
        yield from ((name, torch.tensor(value)) for name, value in read_checkpoint(path).items() if _is_used(name))
    if not paths and not pickled:
        raise ValueError("it has no model.safetensors and no pytorch_model.bin")


def _is_used(name: str) -> bool:
    return name != "wav2vec2.masked_spec_embed"


def _torchaudio_name(name: str) -> str:
    """The name of a tensor in torchaudio's class.

    >>> _torchaudio_name("wav2vec2.encoder.layers.0.layer_norm.bias"), _torchaudio_name("lm_head.weight")
    ('encoder.transformer.layers.0.layer_norm.bias', 'aux.weight')
    """
    for pattern, replacement in (
        (r"^wav2vec2\.encoder\.", "encoder.transformer."),
        (r"^wav2vec2\.feature_projection\.", "encoder.feature_projection."),
        (r"^wav2vec2\.", ""),
        (r"^lm_head\.", "aux."),
    ):
        renamed = re.sub(pattern, replacement, name)
        if renamed != name:
            return renamed
    return name


def _with_weight_norm(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with the two of the normalised convolution under the names of this torch version."""
    pairs = (("weight_g", "parametrizations.weight.original0"), ("weight_v", "parametrizations.weight.original1"))
    renamed = dict(state)
    for name in state:
        for pair in pairs:
            for old, new in (pair, pair[::-1]):
                wanted = name.removesuffix(old) + new
                if name.endswith(f".{old}") and name not in expected and wanted in expected:
                    renamed[wanted] = renamed.pop(name)
    return renamed


def _normalizes(folder: Path) -> bool:
    """Whether the model takes sound of mean 0 and variance 1: Hugging Face's default."""
    path = folder / "preprocessor_config.json"
    return bool(_json(path).get("do_normalize", True)) if path.is_file() else True
