"""Batched decoding: the tokens of many windows at once, by Whisper's own modules and rules.

`whisper.decode` takes a batch too, but in version 20250625 not with beams or several samples, and it asks the device
for every row's state after every token. Here beams share the keys and values of their window, the books of the search
are kept in NumPy with one exchange per token, and windows that are done leave the batch. What a window's tokens are
does not depend on the other windows: `beam_search` and `sample` give what `whisper.decode` gives for each alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from whisper.decoding import ApplyTimestampRules, DecodingTask, SuppressTokens

Tokens: TypeAlias = tuple[int, ...]
History: TypeAlias = npt.NDArray[np.int64]
"""The tokens chosen so far, shape (rows, tokens)."""

CACHE_STEP = 64
"""Positions by which the decoder's kept keys and values grow at once."""

MAX_BATCH = {"cuda": 64, "cpu": 16}
"""Windows decoded at once where memory allows; more gain nothing (docs/benchmarks.md)."""

MEMORY_FILE = Path("/proc/meminfo")
"""Where Linux says how much main memory can be had."""

MEMORY_SHARE = 0.6
"""Of the free memory, what a batch may take."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Tokens of a window, up to the end of text, and the sum of their log probabilities, that end included."""

    tokens: Tokens
    log_probability: float


@dataclass(frozen=True, slots=True)
class SearchLimits:
    """``tokens``: at most so many per window; ``length_penalty``: None, or Google's alpha, 0 to 1."""

    tokens: int
    length_penalty: float | None = None


@dataclass(frozen=True, slots=True)
class Sampling:
    """``count`` sequences of each window are drawn at the temperature; the same ones for the same seed."""

    temperature: float
    count: int
    seed: int


class CachedDecoder:
    """Whisper's text decoder over a batch of windows, with the keys and values of the tokens so far.

    Rows are the beams or samples, the same number for each window, window by window. ``features``: the encoder's
    output, shape (windows, frames, channels).
    """

    def __init__(self, model: Any, features: Tensor) -> None:
        self._decoder, self._dtype = model.decoder, features.dtype
        attentions = [block.cross_attn for block in model.decoder.blocks]
        self._cross = [(_heads(a.key(features), a), _heads(a.value(features), a)) for a in attentions]
        self._kept: list[tuple[Tensor, Tensor]] = []
        self._length = 0

    def start(self, prompts: Tensor) -> Tensor:
        """The output at each position of the prompts (windows, tokens), shape (windows, tokens, channels)."""
        return self._forward(prompts)

    def step(self, tokens: npt.NDArray[np.int64]) -> Tensor:
        """The logits after one more token in each row, float32, shape (rows, vocabulary)."""
        device = self._decoder.token_embedding.weight.device
        return self.logits(self._forward(torch.from_numpy(tokens).to(device)[:, None])[:, 0])

    def logits(self, output: Tensor) -> Tensor:
        """The logits of outputs of shape (…, channels)."""
        embedding: Tensor = self._decoder.token_embedding.weight.to(output.dtype)
        return (output @ embedding.T).float()

    def reorder(self, rows: npt.NDArray[np.int64]) -> None:
        """Go on with these rows, which may repeat; as many for each window."""
        if self._kept and not np.array_equal(rows, np.arange(self._kept[0][0].shape[0])):
            index = torch.from_numpy(rows).to(self._kept[0][0].device)
            self._kept = [(keys.index_select(0, index), values.index_select(0, index)) for keys, values in self._kept]

    def keep_windows(self, windows: npt.NDArray[np.int64]) -> None:
        """Go on with these windows only; `reorder` has to follow."""
        index = torch.from_numpy(windows).to(self._cross[0][0].device)
        self._cross = [(keys.index_select(0, index), values.index_select(0, index)) for keys, values in self._cross]

    def _forward(self, tokens: Tensor) -> Tensor:
        decoder, count = self._decoder, tokens.shape[1]
        x = decoder.token_embedding(tokens) + decoder.positional_embedding[self._length : self._length + count]
        x = x.to(self._dtype)
        for number, block in enumerate(decoder.blocks):
            x = x + self._self_attention(number, block.attn, block.attn_ln(x))
            x = x + self._cross_attention(number, block.cross_attn, block.cross_attn_ln(x))
            x = x + block.mlp(block.mlp_ln(x))
        self._length += count
        output: Tensor = decoder.ln(x)
        return output

    def _self_attention(self, number: int, attention: Any, x: Tensor) -> Tensor:
        query, key, value = (
            _heads(project(x), attention) for project in (attention.query, attention.key, attention.value)
        )
        first, last = self._length, self._length + x.shape[1]
        if not first:
            self._kept.append((F.pad(key, (0, 0, 0, CACHE_STEP)), F.pad(value, (0, 0, 0, CACHE_STEP))))
        keys, values = self._kept[number]
        if last > keys.shape[2]:
            keys, values = F.pad(keys, (0, 0, 0, CACHE_STEP)), F.pad(values, (0, 0, 0, CACHE_STEP))
            self._kept[number] = keys, values
        keys[:, :, first:last], values[:, :, first:last] = key, value
        keys, values = keys[:, :, :last], values[:, :, :last]
        if first:  # written out: fused kernels are chosen anew for every length, which takes longer than one token does
            attended = (query * query.shape[3] ** -0.5 @ keys.transpose(2, 3)).softmax(dim=-1) @ values
        else:
            attended = F.scaled_dot_product_attention(query, keys, values, is_causal=True)
        output: Tensor = attention.out(attended.transpose(1, 2).flatten(2))
        return output

    def _cross_attention(self, number: int, attention: Any, x: Tensor) -> Tensor:
        keys, values = self._cross[number]
        by_window = attention.query(x).view(keys.shape[0], -1, x.shape[2])  # a window's rows are so many queries
        attended = F.scaled_dot_product_attention(_heads(by_window, attention), keys, values)
        output: Tensor = attention.out(attended.transpose(1, 2).reshape(x.shape))
        return output


class TokenRules:
    """Which tokens may follow, for rows of a batch: the logit filters of a `whisper.DecodingTask`, all rows at once."""

    def __init__(self, task: DecodingTask, vocabulary: int, device: torch.device) -> None:
        tokenizer = task.tokenizer
        self.end, self._first_time = tokenizer.eot, tokenizer.timestamp_begin
        never = torch.zeros(vocabulary, dtype=torch.bool)
        never[tokenizer.no_timestamps] = True
        at_start = torch.zeros(vocabulary, dtype=torch.bool)
        at_start[[*tokenizer.encode(" "), tokenizer.eot]] = True
        self._has_times = False
        for rule in task.logit_filters:
            if isinstance(rule, SuppressTokens):
                never[rule.suppress_tokens] = True
            elif isinstance(rule, ApplyTimestampRules):
                self._has_times = True
                at_start[: self._first_time] = True
                if rule.max_initial_timestamp_index is not None:
                    at_start[self._first_time + rule.max_initial_timestamp_index + 1 :] = True
        self._never, self._at_start = never.to(device), at_start.to(device)

    def apply(self, logits: Tensor, history: History) -> None:
        """Set the logits (rows, vocabulary) of what may not follow the rows' history to minus infinity, in place.

        No text is blank. Unless the task has no timestamps, text begins with one, they come in pairs and do not
        decrease, and one is chosen where all of them together are more probable than any other token.
        """
        logits.masked_fill_(self._never, -torch.inf)
        if not history.shape[1]:
            logits.masked_fill_(self._at_start, -torch.inf)
        elif self._has_times:
            self._apply_to_times(logits, history)

    def _apply_to_times(self, logits: Tensor, history: History) -> None:
        first = self._first_time
        after_time = history[:, -1] >= first
        after_pair = after_time & (history[:, -2] >= first if history.shape[1] > 1 else True)
        latest = history.max(axis=1) + np.where(after_time, 0, 1)
        earliest = torch.from_numpy(np.where(after_pair, logits.shape[1], latest) - first).to(logits.device)
        times, text = logits[:, first:], logits[:, :first]
        times.masked_fill_(torch.arange(times.shape[1], device=logits.device) < earliest[:, None], -torch.inf)
        half_pairs = np.flatnonzero(after_time & ~after_pair)
        if len(half_pairs):
            text[torch.from_numpy(half_pairs).to(logits.device), : self.end] = -torch.inf
        text.masked_fill_((times.logsumexp(dim=1) > text.amax(dim=1))[:, None], -torch.inf)


def beam_search(
    decoder: CachedDecoder, first_logits: Tensor, rules: TokenRules, limits: SearchLimits, *, beams: int, most: int
) -> list[Candidate]:
    """The best of each window's ``most`` first ends of text among ``beams`` hypotheses, as `whisper.decode` has it.

    ``first_logits``: those after the prompts, shape (windows, vocabulary).
    """
    logits = first_logits
    windows = np.arange(len(logits))
    ended: list[list[Candidate]] = [[] for _ in windows]
    history: History = np.empty((len(logits), 0), np.int64)
    sums = torch.zeros(len(logits), device=logits.device)
    for step in range(limits.tokens):
        rules.apply(logits, history)
        best, tokens = logits.topk(beams + 1)
        scores = (best - logits.logsumexp(dim=-1, keepdim=True) + sums[:, None]).cpu().numpy().reshape(len(windows), -1)
        group = len(history) // len(windows)
        order = np.argsort(-scores, axis=1, kind="stable")
        scores = np.take_along_axis(scores, order, axis=1)
        chosen = np.take_along_axis(tokens.cpu().numpy().reshape(scores.shape), order, axis=1)
        rows = order // (beams + 1) + group * np.arange(len(windows))[:, None]
        is_end = chosen == rules.end
        rank = np.cumsum(~is_end, axis=1)
        for at, column in np.argwhere(is_end & (rank < beams)):
            if len(ended[windows[at]]) < most:
                ended[windows[at]].append(_candidate(history[rows[at, column]], scores[at, column]))
        goes_on = ~is_end & (rank <= beams)
        rows, chosen, kept_scores = rows[goes_on], chosen[goes_on], scores[goes_on]
        history = np.concatenate([history[rows], chosen[:, None]], axis=1)
        running = np.array([len(ended[window]) < most for window in windows])
        if not running.any() or step + 1 == limits.tokens:
            break
        if 2 * running.sum() <= len(windows):
            decoder.keep_windows(np.flatnonzero(running))
            kept = np.repeat(running, beams)
            windows, rows, history, kept_scores = windows[running], rows[kept], history[kept], kept_scores[kept]
        decoder.reorder(rows)
        sums = torch.from_numpy(kept_scores).to(logits.device)
        logits = decoder.step(history[:, -1])
    for at, window in enumerate(windows):
        own = slice(at * beams, (at + 1) * beams)
        for row in np.argsort(-kept_scores[own], kind="stable") if len(ended[window]) < most else ():
            if len(ended[window]) < beams:
                ended[window].append(_candidate(history[own][row], kept_scores[own][row]))
    return [best_candidate(candidates, limits.length_penalty) for candidates in ended]


def sample(
    decoder: CachedDecoder,
    first_logits: Tensor,
    rules: TokenRules,
    limits: SearchLimits,
    sampling: Sampling,
) -> list[Candidate]:
    """The best of several random token sequences of each window, as `whisper.decode` has it."""
    count = sampling.count
    decoder.reorder(np.repeat(np.arange(len(first_logits)), count))
    logits = first_logits.repeat_interleave(count, dim=0)
    windows = np.arange(len(first_logits))
    generator = np.random.default_rng(sampling.seed)  # every window draws the same numbers, whatever its batch
    ended: list[list[Candidate]] = [[] for _ in windows]
    history: History = np.empty((len(logits), 0), np.int64)
    sums = np.zeros(len(logits))
    for step in range(limits.tokens):
        rules.apply(logits, history)
        draws = torch.from_numpy(generator.random(count, np.float32)).to(logits.device).repeat(len(windows))
        cumulated = (logits / sampling.temperature).softmax(dim=-1).cumsum(dim=-1)
        targets = draws.clamp(max=1 - 1e-6) * cumulated[:, -1]
        drawn = torch.searchsorted(cumulated, targets[:, None], right=True)
        gains = (logits.gather(1, drawn)[:, 0] - logits.logsumexp(dim=-1)).cpu().numpy()
        chosen = drawn[:, 0].cpu().numpy()
        if step:
            over = history[:, -1] == rules.end
            chosen, gains = np.where(over, rules.end, chosen), np.where(over, 0.0, gains)
        sums = sums + gains
        history = np.concatenate([history, chosen[:, None]], axis=1)
        running = (chosen != rules.end).reshape(len(windows), count).any(axis=1)
        is_last = step + 1 == limits.tokens
        rows = np.arange(len(history))
        leave = ~running if 2 * running.sum() <= len(windows) else np.zeros(len(windows), bool)
        for at in np.flatnonzero(leave | is_last):
            own = slice(at * count, (at + 1) * count)
            ended[windows[at]] = [_candidate(*pair) for pair in zip(history[own], sums[own], strict=True)]
        if is_last or leave.all():
            break
        if leave.any():
            decoder.keep_windows(np.flatnonzero(~leave))
            kept = np.repeat(~leave, count)
            windows, rows, history, sums = windows[~leave], rows[kept], history[kept], sums[kept]
        decoder.reorder(rows)
        logits = decoder.step(history[:, -1])
    for candidates in ended:
        candidates[:] = [_candidate_up_to_end(candidate, rules.end) for candidate in candidates]
    return [best_candidate(candidates, limits.length_penalty) for candidates in ended]


def to_half(model: Any) -> None:
    """Keep the weights of a Whisper in half precision where it computes in it, so that it need not convert them anew
    for every token; norms and positions stay in single precision."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Embedding):
            module.half()


def batch_size(model: Any, *, group: int, half: bool) -> int:
    """How many windows fit into `MEMORY_SHARE` of the free memory with ``group`` rows each; at least one."""
    dims, size = model.dims, 2 if half else 4
    encoder = 16 * dims.n_audio_ctx * dims.n_audio_state * size
    kept = 2 * dims.n_text_layer * dims.n_text_state * (dims.n_audio_ctx + 2 * group * dims.n_text_ctx) * size
    logits = 4 * 4 * dims.n_vocab * group
    fitting = int(MEMORY_SHARE * free_memory(model.device) / (encoder + kept + logits))
    return min(max(fitting, 1), MAX_BATCH.get(model.device.type, MAX_BATCH["cpu"]))


def free_memory(device: torch.device) -> int:
    """Bytes that are free on the device; of the main memory of other systems than Linux, 4 GiB are assumed to be."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if not MEMORY_FILE.exists():
        return 2**32
    lines = dict(line.split(":", 1) for line in MEMORY_FILE.read_text("ascii").splitlines())
    return int(lines["MemAvailable"].split()[0]) * 1024


def is_out_of_memory(error: Exception) -> bool:
    """Whether the error says that memory is used up, on a GPU or on the CPU."""
    says_so = any(words in str(error) for words in ("can't allocate memory", "out of memory"))
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or says_so


def _heads(x: Tensor, attention: Any) -> Tensor:
    """(rows, tokens, channels) as (rows, heads, tokens, channels of a head)."""
    return x.view(*x.shape[:2], attention.n_head, -1).transpose(1, 2)


def _candidate(history: npt.NDArray[np.int64], score: float) -> Candidate:
    return Candidate(tuple(history.tolist()), float(score))


def _candidate_up_to_end(candidate: Candidate, end: int) -> Candidate:
    tokens = candidate.tokens
    return Candidate(tokens[: tokens.index(end)] if end in tokens else tokens, candidate.log_probability)


def best_candidate(candidates: Sequence[Candidate], length_penalty: float | None) -> Candidate:
    """The most probable candidate for its length (Wu et al., 2016, section 7); the first of equal ones."""

    def score(candidate: Candidate) -> float:
        length = max(len(candidate.tokens), 1)
        penalty = length if length_penalty is None else ((5 + length) / 6) ** length_penalty
        return candidate.log_probability / penalty

    return max(candidates, key=score)
