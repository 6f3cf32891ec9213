"""Word times of many windows at once, from the decoder's cross-attention by dynamic time warping.

The method is that of `whisper.timing`: the text is forced through the decoder, the attention of the heads that follow
the sound is normalised over the tokens and smoothed, and the cheapest monotonic path says when each token is spoken.
Here it takes a batch, and the encoder's output is the one that was decoded from.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor
from whisper.timing import WordTiming, dtw_cpu, merge_punctuations

from meetsplit.pipeline.transcribers.hallucinations import RawWord

FRAMES_PER_SECOND = 50
"""Encoder frames, which the decoder attends to."""

MEDIAN_FRAMES = 7
"""Frames over which attention is smoothed."""

MAX_BYTES = 2**29
"""Bytes that the logits and attention scores of the tokens forced through the decoder at once may take."""

LONGEST_WORD = 1.4
"""Seconds beyond which a word at the edge of a sentence is cut, whatever the others last."""

Steps: TypeAlias = npt.NDArray[np.integer[Any]]
"""A number at each step of a path."""

_SENTENCE_ENDS = ".。!！?？"
_PREPENDED, _APPENDED = "\"'“¿([{-", "\"'.。,，!！?？:：”)]}、"


@dataclass(frozen=True, slots=True)
class TokenizedText:
    """Text tokens of a window, the tokenizer of its language and task, and the seconds of sound in the window."""

    tokens: tuple[int, ...]
    tokenizer: Any
    duration: float


def word_times(model: Any, features: Tensor, texts: Sequence[TokenizedText]) -> list[tuple[RawWord, ...]]:
    """The words of each text with times in seconds into its window and their mean token probability as confidence.

    ``features``: the encoder's output for each window, shape (windows, frames, channels).
    """
    answers: list[tuple[RawWord, ...]] = [()] * len(texts)
    waiting = sorted((n for n, text in enumerate(texts) if text.tokens), key=lambda n: -len(texts[n].tokens))
    heads = model.alignment_heads.indices().shape[1]
    bytes_per_token = 4 * (model.dims.n_vocab + heads * model.dims.n_audio_ctx)
    while waiting:
        count = max(1, MAX_BYTES // (bytes_per_token * (len(texts[waiting[0]].tokens) + 8)))
        numbers, waiting = waiting[:count], waiting[count:]
        index = torch.tensor(numbers, device=features.device)
        aligned = _align(model, features.index_select(0, index), [texts[number] for number in numbers])
        for number, words in zip(numbers, aligned, strict=True):
            answers[number] = words
    return answers


def _align(model: Any, features: Tensor, texts: Sequence[TokenizedText]) -> list[tuple[RawWord, ...]]:
    prompts = [(*text.tokenizer.sot_sequence, text.tokenizer.no_timestamps) for text in texts]
    forced = [[*prompt, *text.tokens, text.tokenizer.eot] for prompt, text in zip(prompts, texts, strict=True)]
    longest = max(map(len, forced))
    tokens = torch.tensor([row + [row[-1]] * (longest - len(row)) for row in forced], device=features.device)
    attention, output = _attention(model, features, tokens)
    words = []
    for row, (text, prompt) in enumerate(zip(texts, prompts, strict=True)):
        first, count = len(prompt) - 1, len(text.tokens)
        probabilities = output[row, first : first + count, : text.tokenizer.eot].softmax(dim=-1)
        own = torch.tensor(text.tokens, device=features.device)[:, None]
        confidences = probabilities.gather(1, own)[:, 0].cpu().numpy()
        frames = max(1, round(text.duration * FRAMES_PER_SECOND))
        matrix = _alignment_matrix(attention[row, :, : len(forced[row]), :frames])[first:-1]
        words.append(_words(text, matrix, confidences))
    return words


def _attention(model: Any, features: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Attention scores of the alignment heads, (windows, heads, tokens, frames), and logits of forced tokens."""
    scores: dict[int, Tensor] = {}

    def keep(heads: list[int], layer: int, module: Any, inputs: tuple[Tensor, ...], _: Any) -> None:
        x, sound = inputs[0], inputs[1]
        query, key = (
            _of_heads(project, source, module.n_head, heads)
            for project, source in ((module.query, x), (module.key, sound))
        )
        scale = query.shape[-1] ** -0.25
        scores[layer] = ((query * scale) @ (key * scale).transpose(-1, -2)).float()

    by_layer: dict[int, list[int]] = {}
    for layer, head in model.alignment_heads.indices().T.tolist():
        by_layer.setdefault(layer, []).append(head)
    hooks = [
        model.decoder.blocks[layer].cross_attn.register_forward_hook(partial(keep, heads, layer))
        for layer, heads in by_layer.items()
    ]
    try:
        logits: Tensor = model.decoder(tokens, features)
    finally:
        for hook in hooks:
            hook.remove()
    return torch.cat([scores[layer] for layer in by_layer], dim=1), logits


def _of_heads(project: Callable[[Tensor], Tensor], x: Tensor, count: int, heads: list[int]) -> Tensor:
    """The projection of x for some of ``count`` heads, shape (windows, heads, steps, channels of a head)."""
    return project(x).view(*x.shape[:2], count, -1)[:, :, heads].transpose(1, 2)


def _alignment_matrix(scores: Tensor) -> Tensor:
    """How much each token (heads, tokens, frames) attends to each frame beside the others, shape (tokens, frames)."""
    weights = scores.softmax(dim=-1)
    deviation, mean = torch.std_mean(weights, dim=-2, keepdim=True, unbiased=False)
    weights = (weights - mean) / deviation.clamp(min=1e-12)
    reach = MEDIAN_FRAMES // 2
    if weights.shape[-1] > reach:
        padded = F.pad(weights, (reach, reach), mode="reflect")
        weights = padded.unfold(-1, MEDIAN_FRAMES, 1).sort()[0][..., reach]
    return weights.mean(dim=0)


def _words(text: TokenizedText, matrix: Tensor, confidences: np.ndarray) -> tuple[RawWord, ...]:
    """The words along the cheapest path through the matrix (text tokens and the end, frames)."""
    token_path, frame_path = dtw_cpu(-matrix.double().cpu().numpy())
    return aligned_words(text, token_path, frame_path, confidences)


def aligned_words(
    text: TokenizedText, token_path: Steps, frame_path: Steps, confidences: npt.NDArray[Any]
) -> tuple[RawWord, ...]:
    """The words along a monotonic path from the first token and frame to the end of text and the last frame.

    ``token_path`` and ``frame_path``: the numbers of the token and of the frame at each step; ``confidences``: the
    probability of each token.
    """
    is_jump = np.pad(np.diff(token_path), (1, 0), constant_values=1).astype(bool)
    times = frame_path[is_jump] / FRAMES_PER_SECOND
    spelled, tokens = text.tokenizer.split_to_word_tokens([*text.tokens, text.tokenizer.eot])
    edges = np.cumsum([0, *(len(own) for own in tokens[:-1])])
    timings = [
        WordTiming(word, own, float(times[first]), float(times[last]), float(confidences[first:last].mean()))
        for word, own, first, last in zip(spelled, tokens, edges[:-1], edges[1:], strict=False)
    ]
    _shorten_at_sentence_edges(timings)
    merge_punctuations(timings, _PREPENDED, _APPENDED)
    return tuple(RawWord(t.start, t.end, t.word, t.probability) for t in timings if t.word.strip())


def _shorten_at_sentence_edges(timings: Sequence[WordTiming]) -> None:
    """Cut words at the edge of a sentence that last more than twice the median: they hold the pause (in place)."""
    durations = [timing.end - timing.start for timing in timings if timing.end > timing.start]
    longest = min(2 * float(np.median(durations)), LONGEST_WORD) if durations else LONGEST_WORD
    for before, timing in itertools.pairwise(timings):
        if timing.end - timing.start > longest:
            if timing.word in _SENTENCE_ENDS:
                timing.end = timing.start + longest
            elif before.word in _SENTENCE_ENDS:
                timing.start = timing.end - longest
