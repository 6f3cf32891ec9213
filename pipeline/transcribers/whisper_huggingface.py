"""Whisper folders in Hugging Face's format, such as fine-tuned models: read as data into openai-whisper's class.

Weights come from ``*.safetensors``, or from a ``pytorch_model.bin`` that `checkpoints` reads without running it. Both
layouts hold the same tensors under other names (see ``convert_openai_to_hf`` in transformers).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from whisper.model import ModelDimensions, Whisper

from meetsplit.pipeline.errors import StageError
from meetsplit.pipeline.models.checkpoints import read_checkpoint

VOCABULARIES = (51864, 51865, 51866)
"""Rows of the embedding: English only, 99 languages, 100 languages."""

_DIMENSIONS = {
    "n_mels": "num_mel_bins",
    "n_audio_ctx": "max_source_positions",
    "n_audio_state": "d_model",
    "n_audio_head": "encoder_attention_heads",
    "n_audio_layer": "encoder_layers",
    "n_vocab": "vocab_size",
    "n_text_ctx": "max_target_positions",
    "n_text_state": "d_model",
    "n_text_head": "decoder_attention_heads",
    "n_text_layer": "decoder_layers",
}
"""The fields of `ModelDimensions` by their names in ``config.json``."""

_MOST = 65536
"""No dimension of a Whisper is larger."""

_NAMES = (
    (r"^model\.", ""),
    (r"\.layers\.", ".blocks."),
    (r"\.self_attn_layer_norm\.", ".attn_ln."),
    (r"\.encoder_attn_layer_norm\.", ".cross_attn_ln."),
    (r"\.final_layer_norm\.", ".mlp_ln."),
    (r"\.self_attn\.", ".attn."),
    (r"\.encoder_attn\.", ".cross_attn."),
    (r"\.q_proj\.", ".query."),
    (r"\.k_proj\.", ".key."),
    (r"\.v_proj\.", ".value."),
    (r"\.out_proj\.", ".out."),
    (r"\.fc1\.", ".mlp.0."),
    (r"\.fc2\.", ".mlp.2."),
    (r"^encoder\.layer_norm\.", "encoder.ln_post."),
    (r"^decoder\.layer_norm\.", "decoder.ln."),
    (r"\.embed_positions\.weight$", ".positional_embedding"),
    (r"\.embed_tokens\.", ".token_embedding."),
)
"""Hugging Face's names and OpenAI's, in the order in which they are replaced."""


def openai_name(name: str) -> str:
    """The name of a tensor in OpenAI's layout.

    >>> openai_name("model.decoder.layers.3.encoder_attn.q_proj.weight")
    'decoder.blocks.3.cross_attn.query.weight'
    """
    for pattern, replacement in _NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def load_folder(folder: Path, device: str) -> Any:
    """The model in a folder, with the alignment heads that its ``generation_config.json`` names.

    Raises `StageError` with one sentence for a folder that holds no whole Whisper.
    """
    config = _config(folder)
    try:
        dimensions = ModelDimensions(**{name: _dimension(config, key) for name, key in _DIMENSIONS.items()})
        state = {openai_name(name): tensor.float() for name, tensor in _tensors(folder) if name != "proj_out.weight"}
        _check_dimensions(dimensions, state)
        with torch.random.fork_rng(devices=[]):
            model = Whisper(dimensions)
        _check_tensors(state, model.state_dict())
        model.load_state_dict(state)
    except (ValueError, RuntimeError, OSError, EOFError, KeyError, UnpicklingError, SafetensorError) as error:
        raise StageError("transcribe", f"{folder} is no whole Whisper in Hugging Face's format: {error}") from error
    _set_alignment_heads(model, folder)
    return model.to(device)


def _config(folder: Path) -> Mapping[str, Any]:
    """What ``config.json`` says. Raises `StageError` for a folder without one, or of another kind of model."""
    if (folder / "adapter_config.json").is_file():
        raise StageError(
            "transcribe",
            f"{folder} is a LoRA adapter without its model: merge it (merge_and_unload) and save the whole",
        )
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise StageError(
            "transcribe", f"{folder} is no Whisper folder: it has no config.json that can be read ({error})"
        ) from error
    kind = config.get("model_type") if isinstance(config, dict) else None
    if not isinstance(config, dict) or kind != "whisper":
        raise StageError("transcribe", f"{folder} is no Whisper folder: its config.json says model_type {kind!r}")
    return config


def _dimension(config: Mapping[str, Any], key: str) -> int:
    value = config.get(key)
    if not isinstance(value, int) or not 0 < value <= _MOST:
        raise ValueError(f"config.json says {key} {value!r:.40}")
    if key == "vocab_size" and value not in VOCABULARIES:
        raise ValueError(f"its vocabulary has {value} tokens, Whisper's have {VOCABULARIES[0]} to {VOCABULARIES[-1]}")
    return value


def _tensors(folder: Path) -> Iterator[tuple[str, Tensor]]:
    """The tensors of all files with weights, by Hugging Face's names."""
    paths = sorted(folder.glob("model*.safetensors"))
    for path in paths:
        with safe_open(path, framework="pt") as file:
            yield from ((name, file.get_tensor(name)) for name in file.keys())  # noqa: SIM118
    pickled = [] if paths else sorted(folder.glob("pytorch_model*.bin"))
    for path in pickled:
        yield from ((name, torch.tensor(value)) for name, value in read_checkpoint(path).items())
    if not paths and not pickled:
        raise ValueError("it has no model.safetensors and no pytorch_model.bin")


def _check_dimensions(dimensions: ModelDimensions, state: Mapping[str, Tensor]) -> None:
    """Raise `ValueError` for dimensions that the tensors do not have: no model is made larger than its file."""
    vocabulary, text_state = state["decoder.token_embedding.weight"].shape
    found = {
        "n_audio_state": state["encoder.conv1.weight"].shape[0],
        "n_mels": state["encoder.conv1.weight"].shape[1],
        "n_audio_ctx": state["encoder.positional_embedding"].shape[0],
        "n_text_ctx": state["decoder.positional_embedding"].shape[0],
        "n_text_state": text_state,
        "n_vocab": vocabulary,
        "n_audio_layer": _layers(state, "encoder"),
        "n_text_layer": _layers(state, "decoder"),
    }
    for name, size in found.items():
        if getattr(dimensions, name) != size:
            stated = f"{_DIMENSIONS[name]} {getattr(dimensions, name)}"
            raise ValueError(f"config.json says {stated}, but its tensors have {size}")
    for name, state_size in (("n_audio_head", dimensions.n_audio_state), ("n_text_head", text_state)):
        if state_size % getattr(dimensions, name):
            raise ValueError(f"{state_size} channels are no multiple of {getattr(dimensions, name)} heads")


def _layers(state: Mapping[str, Tensor], part: str) -> int:
    return len({name.split(".")[2] for name in state if name.startswith(f"{part}.blocks.")})


def _check_tensors(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Raise `ValueError` for tensors that are missing, too many or of another shape."""
    for what, names in (("lacks", expected.keys() - found.keys()), ("has unknown", found.keys() - expected.keys())):
        if names:
            raise ValueError(f"it {what} {len(names)} tensors, such as {min(names):.80}")
    for name, tensor in found.items():
        if tensor.shape != expected[name].shape:
            raise ValueError(f"{name} has the shape {tuple(tensor.shape)}, not {tuple(expected[name].shape)}")


def _set_alignment_heads(model: Any, folder: Path) -> None:
    """Set the heads in ``generation_config.json``, pairs of layer and head; without them it is the upper half's."""
    heads = torch.zeros(model.dims.n_text_layer, model.dims.n_text_head, dtype=torch.bool)
    try:
        named = json.loads((folder / "generation_config.json").read_text("utf-8"))["alignment_heads"]
        for layer, head in named:
            heads[layer, head] = True
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError):
        named = ()
    if not named:
        heads[model.dims.n_text_layer // 2 :] = True
    model.register_buffer("alignment_heads", heads.to_sparse(), persistent=False)
