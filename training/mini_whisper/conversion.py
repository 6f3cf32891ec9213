"""The miniature Whisper, and any other of openai-whisper's class, in Hugging Face's and in CTranslate2's format.

CTranslate2's own converter reads models of transformers. What it looks at are their tensors and a few settings, so it
is given those under transformers' names, and transformers need not be installed.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from ctranslate2.converters.converter import Converter
from ctranslate2.converters.transformers import WhisperLoader
from safetensors.torch import save_file
from torch import Tensor
from whisper.decoding import DecodingOptions, DecodingTask, SuppressTokens
from whisper.tokenizer import get_tokenizer

_NAMES = (
    (r"^", "model."),
    (r"\.blocks\.", ".layers."),
    (r"\.attn_ln\.", ".self_attn_layer_norm."),
    (r"\.cross_attn_ln\.", ".encoder_attn_layer_norm."),
    (r"\.mlp_ln\.", ".final_layer_norm."),
    (r"\.attn\.", ".self_attn."),
    (r"\.cross_attn\.", ".encoder_attn."),
    (r"\.query\.", ".q_proj."),
    (r"\.key\.", ".k_proj."),
    (r"\.value\.", ".v_proj."),
    (r"\.out\.", ".out_proj."),
    (r"\.mlp\.0\.", ".fc1."),
    (r"\.mlp\.2\.", ".fc2."),
    (r"\.(ln_post|ln)\.", ".layer_norm."),
    (r"\.positional_embedding$", ".embed_positions.weight"),
    (r"\.token_embedding\.", ".embed_tokens."),
)
"""OpenAI's names of tensors and Hugging Face's."""


def write_hugging_face(model: Any, folder: Path) -> Path:
    """Write a folder as `save_pretrained` of transformers does, without a tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in _tensors(model).items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "whisper", **_config(model)}), "utf-8")
    heads = {"alignment_heads": _alignment_heads(model)}
    (folder / "generation_config.json").write_text(json.dumps(heads), "utf-8")
    return folder


def write_ctranslate2(model: Any, folder: Path) -> Path:
    """Write a folder as ``ct2-transformers-converter`` does, in single precision."""
    _Converter(model).convert(str(folder))
    return folder


class _Loader(WhisperLoader):  # type: ignore[misc]
    """The converter's reader of Whisper models, for linear layers that are no classes of transformers."""

    def set_linear(self, spec: Any, module: Any, **_: Any) -> None:
        spec.weight = module.weight
        if hasattr(module, "bias"):
            spec.bias = module.bias


class _Converter(Converter):  # type: ignore[misc]
    def __init__(self, model: Any) -> None:
        self._model = model

    def _load(self) -> Any:
        tensors = _tensors(self._model)
        tensors["proj_out.weight"] = tensors["model.decoder.embed_tokens.weight"]
        view = _tree(tensors)
        view.config = SimpleNamespace(**_config(self._model))
        view.generation_config = SimpleNamespace(**_generation_config(self._model))
        loader = _Loader()
        spec = loader.get_model_spec(view)
        loader.set_config(spec.config, view, None)
        tokenizer = _tokenizer(self._model)
        names = [f"token {number}" for number in range(tokenizer.eot)]
        if self._model.is_multilingual:  # by this empty token, the engine knows that it is
            names[-1] = ""
        names += [tokenizer.encoding.decode([number]) for number in range(tokenizer.eot, self._model.dims.n_vocab)]
        spec.register_vocabulary(names)
        return spec


def _tensors(model: Any) -> dict[str, Tensor]:
    """The tensors of the model by Hugging Face's names."""
    return {_hugging_face_name(name): value.detach().float().cpu() for name, value in model.state_dict().items()}


def _hugging_face_name(name: str) -> str:
    for pattern, replacement in _NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def _tree(tensors: dict[str, Tensor]) -> Any:
    """The tensors as attributes of objects in objects; numbered ones are lists."""
    root: dict[str, Any] = {}
    for name, tensor in tensors.items():
        *path, last = name.split(".")
        branch = root
        for step in path:
            branch = branch.setdefault(step, {})
        branch[last] = tensor

    def as_objects(node: Any) -> Any:
        if not isinstance(node, dict):
            return node
        if all(key.isdecimal() for key in node):
            return [as_objects(node[key]) for key in sorted(node, key=int)]
        return SimpleNamespace(**{key: as_objects(value) for key, value in node.items()})

    return as_objects(root)


def _config(model: Any) -> dict[str, int]:
    dims = model.dims
    return {
        "num_mel_bins": dims.n_mels,
        "max_source_positions": dims.n_audio_ctx,
        "max_target_positions": dims.n_text_ctx,
        "d_model": dims.n_audio_state,
        "encoder_layers": dims.n_audio_layer,
        "encoder_attention_heads": dims.n_audio_head,
        "decoder_layers": dims.n_text_layer,
        "decoder_attention_heads": dims.n_text_head,
        "vocab_size": dims.n_vocab,
    }


def _generation_config(model: Any) -> dict[str, Any]:
    tokenizer = _tokenizer(model)
    task = DecodingTask(model, DecodingOptions(language="en", fp16=False))
    suppressed = next(rule.suppress_tokens for rule in task.logit_filters if isinstance(rule, SuppressTokens))
    languages = tokenizer.all_language_tokens if model.is_multilingual else ()
    return {
        "suppress_tokens": list(suppressed),
        "begin_suppress_tokens": [*tokenizer.encode(" "), tokenizer.eot],
        "alignment_heads": _alignment_heads(model),
        "lang_to_id": {f"<|{number}|>": number for number in languages},
    }


def _alignment_heads(model: Any) -> list[list[int]]:
    """Layer and head of each head that follows the sound."""
    pairs: list[list[int]] = torch.nonzero(model.alignment_heads.to_dense()).tolist()
    return pairs


def _tokenizer(model: Any) -> Any:
    return get_tokenizer(model.is_multilingual, num_languages=model.num_languages, language="en", task="transcribe")
