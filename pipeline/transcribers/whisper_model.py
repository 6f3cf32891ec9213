"""Whisper models in OpenAI's and in Hugging Face's format: loaded, with the heads whose attention follows the sound."""

from __future__ import annotations

import base64
import gzip
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
import whisper

from meetsplit.pipeline.errors import StageError
from meetsplit.pipeline.transcribers.whisper_huggingface import load_folder


def load_model(path: Path, device: str) -> Any:
    """The model in a .pt file as OpenAI publishes them, or in a folder in Hugging Face's format; raises `StageError`.

    Official models are known by the file's name (``small.pt``), and only they have their alignment heads chosen by
    hand; others use the upper half of all heads, as in the reference.
    """
    if path.is_dir():
        return load_folder(path, device).eval()
    try:
        with torch.random.fork_rng(devices=[]):
            model = whisper.load_model(str(path), device=device)
    except (KeyError, TypeError, RuntimeError, EOFError, OSError, ValueError, UnpicklingError) as error:
        # torch's own words would advise to load the file unsafely.
        raise StageError("transcribe", f"{path} is no Whisper checkpoint in OpenAI's format: fetch it again") from error
    set_alignment_heads(model, path.stem)
    return model.eval()


def set_alignment_heads(model: Any, name: str) -> None:
    """Set the heads that the reference uses for its model of that name, unless this file only bears the name."""
    heads = whisper._ALIGNMENT_HEADS.get(name)
    if heads is None:
        return
    count = model.dims.n_text_layer * model.dims.n_text_head
    if len(gzip.decompress(base64.b85decode(heads))) == count:
        model.set_alignment_heads(heads)


@contextmanager
def no_warnings() -> Iterator[None]:
    """A context without Whisper's warnings, on which no user could act: a slower kernel, a CPU beside a GPU, times of
    translations."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
