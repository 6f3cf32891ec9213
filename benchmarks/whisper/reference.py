"""The reference: `whisper.transcribe` on one clip, and what it needs to run on random weights and on any GPU."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
import whisper
from torch import Tensor

from meetsplit.pipeline.data import Audio
from meetsplit.pipeline.settings import Settings
from meetsplit.pipeline.transcribers.whisper_options import temperatures


@contextmanager
def one_decoding_per_window() -> Iterator[None]:
    """A context in which `whisper.transcribe` goes on where a window ends, wherever it puts its last random word."""
    module: Any = sys.modules["whisper.transcribe"]
    original = module.add_word_timestamps

    def to_the_end(*, segments: list[dict[str, Any]], num_frames: int, **options: Any) -> None:
        original(segments=segments, num_frames=num_frames, **options)
        for segment in segments:
            if segment["words"]:
                segment["words"][-1]["end"] = (segment["seek"] + num_frames) / 100

    module.add_word_timestamps = to_the_end
    try:
        yield
    finally:
        module.add_word_timestamps = original


def reference(model: Any, clip: Audio, tokens: int | None) -> str:
    """The text of one clip by `whisper.transcribe` with word times; with ``tokens``, every window gets so many."""
    usual = Settings()
    options: dict[str, Any] = {"beam_size": usual.beam_size, "word_timestamps": True}
    options |= {"condition_on_previous_text": False}
    options |= {"language": "en", "fp16": model.device.type == "cuda", "verbose": None}
    if tokens is None:
        attempts = temperatures(usual.temperature, usual.temperature_increment_on_fallback)
        options |= {"temperature": attempts, "best_of": usual.best_of}
    else:
        end = whisper.tokenizer.get_tokenizer(True).eot
        options |= {"temperature": 0.0, "sample_len": tokens, "without_timestamps": True}
        options |= {"suppress_tokens": f"-1,{end}", "compression_ratio_threshold": None}
        options |= {"logprob_threshold": None, "no_speech_threshold": None}
    return str(whisper.transcribe(model, np.array(clip.samples), **options)["text"])


@contextmanager
def cpu_alignment() -> Iterator[None]:
    """A context in which openai-whisper aligns on the CPU where its Triton kernels do not build."""
    import whisper.timing as timing

    original = timing.dtw, timing.median_filter

    def median(x: Tensor, width: int) -> Tensor:
        padded = torch.nn.functional.pad(x, (width // 2, width // 2, 0, 0), mode="reflect")
        return padded.unfold(-1, width, 1).sort()[0][..., width // 2]

    timing.dtw, timing.median_filter = (lambda x: timing.dtw_cpu(x.double().cpu().numpy())), median
    try:
        yield
    finally:
        timing.dtw, timing.median_filter = original


def alignment_of_the_reference(device: torch.device) -> AbstractContextManager[None]:
    """A context in which openai-whisper can align on the device: its Triton kernels do not build with every version."""
    if device.type != "cuda":
        return nullcontext()
    from whisper.timing import dtw, median_filter

    try:
        dtw(median_filter(torch.randn(2, 20, 200, device=device), 7)[0])
    except Exception as error:
        print(f"openai-whisper aligns on the CPU: {type(error).__name__}: {error}", file=sys.stderr)
        return cpu_alignment()
    return nullcontext()
