"""The miniature Whisper itself: openai-whisper's class with small dimensions, how it learns, and how it is kept.

Of the 51 865 rows of its embedding some 1800 are in use. All others share one vector, which training pushes away from
every output: in the softmax it counts as often as there are such rows, so the loss is exactly that of the full model.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from whisper.model import ModelDimensions, MultiHeadAttention, Whisper, sinusoids

from meetsplit.training.mini_whisper.targets import IGNORE, WINDOW, Batch, Codebook
from meetsplit.training.mini_whisper.voices import PHONES

DIMS = ModelDimensions(80, WINDOW, 128, 2, 3, 51865, 448, 128, 2, 2)
"""Three encoder and two decoder layers of 128 channels; everything else is as in OpenAI's multilingual models."""

PHONE_WEIGHT, WORD_WEIGHT, LISTEN_WEIGHT = 0.5, 1.0, 1.5
SOFTNESS = 1.5
"""Timestamp tokens next to the right one are not quite wrong: standard deviation in tokens of the target's spread."""


def shrunk(dims: ModelDimensions, book: Codebook) -> ModelDimensions:
    """The dimensions with only the rows in use and one for all others."""
    return ModelDimensions(**{**asdict(dims), "n_vocab": len(book.tokens) + 1})


class Pupil(nn.Module):
    """A Whisper with few rows that is being taught.

    Beside the next token it is asked, at each encoder frame, which phone and which word is heard, and, at each token, to
    look where in the sound the token is: all heads of the last decoder layer, which openai-whisper takes for word times, look at the
    next token; one head of the first layer looks at the one before.
    """

    def __init__(self, book: Codebook, dims: ModelDimensions = DIMS) -> None:
        super().__init__()
        self.book = book
        self.whisper = Whisper(shrunk(dims, book))
        self.phones = nn.Linear(dims.n_audio_state, len(PHONES))
        self.words = nn.Linear(dims.n_audio_state, len(book.numbers) + 1)
        with torch.no_grad():
            nn.init.normal_(self.whisper.decoder.token_embedding.weight, std=dims.n_text_state**-0.5)
            nn.init.normal_(self.whisper.decoder.positional_embedding, std=0.02)
            times = sinusoids(WINDOW + 1, dims.n_text_state) * dims.n_text_state**-0.5
            self.whisper.decoder.token_embedding.weight[book.timestamp(0) : book.timestamp(WINDOW) + 1] = times
        self.unused = dims.n_vocab - len(book.tokens)

    def heard(self, mel: Tensor, offset: int) -> Tensor:
        """The encoder on a window of any length that begins ``offset`` frames into the full one."""
        encoder = self.whisper.encoder
        x = F.gelu(encoder.conv2(F.gelu(encoder.conv1(mel)))).permute(0, 2, 1)
        x = x + encoder.positional_embedding[offset : offset + x.shape[1]].to(x.dtype)
        for block in encoder.blocks:
            x = x + attended(block.attn, block.attn_ln(x))
            x = x + block.mlp(block.mlp_ln(x))
        out: Tensor = encoder.ln_post(x)
        return out

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The losses of the next token, of the phones and words at each frame, and of where it looks."""
        sound = self.heard(batch.mel, batch.offset)
        decoder = self.whisper.decoder
        x = decoder.token_embedding(batch.inputs) + decoder.positional_embedding[: batch.inputs.shape[1]]
        x = x.to(sound.dtype)
        before = torch.cat([torch.zeros_like(batch.spans[:, :1]), batch.spans[:, :-1]], dim=1)
        looked = []
        for number, block in enumerate(decoder.blocks):
            x = x + block.attn(block.attn_ln(x), mask=decoder.mask)[0]
            seen, where = listen(block.cross_attn, block.cross_attn_ln(x), sound)
            x = x + seen
            x = x + block.mlp(block.mlp_ln(x))
            late = number >= len(decoder.blocks) // 2
            looked.append(astray(where if late else where[:, :1], batch.spans if late else before))
        logits = (decoder.ln(x) @ decoder.token_embedding.weight.to(x.dtype).T).float()
        phones = F.cross_entropy(self.phones(sound).float().flatten(0, 1), batch.phones.flatten(), ignore_index=IGNORE)
        words = F.cross_entropy(self.words(sound).float().flatten(0, 1), batch.words.flatten(), ignore_index=IGNORE)
        return self.mistaken(logits, batch.targets), phones, words, torch.stack(looked).mean()

    def mistaken(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy over all tokens of the full model; timestamps near the right one are nearly right."""
        asked = targets != IGNORE
        logits, right = logits[asked], targets[asked]
        weight = torch.zeros(logits.shape[-1])
        weight[-1] = float(torch.tensor(float(self.unused)).log())
        chances = F.log_softmax(logits + weight, dim=-1)
        plain = -chances.gather(1, right[:, None])[:, 0]
        first = self.book.timestamp(0)
        near = torch.arange(-4, 5)
        spread = torch.softmax(-((near / SOFTNESS) ** 2) / 2, dim=0)
        rows = (right[:, None] + near).clamp(first, self.book.timestamp(WINDOW))
        soft = -(chances.gather(1, rows) * spread).sum(dim=1)
        return torch.where(right >= first, soft, plain).mean()


def parted(x: Tensor, heads: int) -> Tensor:
    """(clips, steps, channels) as (clips, heads, steps, channels of a head)."""
    return x.view(*x.shape[:2], heads, -1).permute(0, 2, 1, 3)


def attended(attention: MultiHeadAttention, x: Tensor) -> Tensor:
    """Self-attention of the encoder; in half precision on a CPU this is faster than torch's fused one."""
    query, key, value = (
        parted(y, attention.n_head) for y in (attention.query(x), attention.key(x), attention.value(x))
    )
    where = (
        ((query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)).to(value.dtype).softmax(dim=-1, dtype=value.dtype)
    )
    out: Tensor = attention.out((where @ value).permute(0, 2, 1, 3).flatten(start_dim=2))
    return out


def listen(attention: MultiHeadAttention, x: Tensor, sound: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-attention as openai-whisper does it, and the logarithm of its weights, (clips, heads, tokens, frames)."""
    query, key, value = (
        parted(y, attention.n_head) for y in (attention.query(x), attention.key(sound), attention.value(sound))
    )
    where = ((query @ key.transpose(-1, -2)).float() * query.shape[-1] ** -0.5).log_softmax(dim=-1)
    seen = (where.exp().to(value.dtype) @ value).permute(0, 2, 1, 3).flatten(start_dim=2)
    out: Tensor = attention.out(seen)
    return out, where


def astray(where: Tensor, spans: Tensor) -> Tensor:
    """How little of the attention lies where it should: minus the logarithm of the part inside ``spans``; empty ones do not count."""
    frames = torch.arange(where.shape[-1])
    inside = (frames >= spans[..., :1]) & (frames < spans[..., 1:])
    asked = inside.any(dim=-1)
    hit = where.masked_fill(~inside[:, None], -torch.inf).transpose(1, 2)[asked]
    return -hit.logsumexp(dim=-1).clamp(min=-12).mean()


def full(pupil: Whisper, book: Codebook, dims: ModelDimensions = DIMS) -> Whisper:
    """The model with all rows of the embedding, as openai-whisper's own functions want it."""
    state = dict(pupil.state_dict())
    small = state["decoder.token_embedding.weight"]
    rows = small[-1:].repeat(dims.n_vocab, 1)
    rows[list(book.tokens)] = small[:-1]
    model = Whisper(dims)
    model.load_state_dict({**state, "decoder.token_embedding.weight": rows})
    return model.eval()


def kept(path: Path, pupil: Whisper, book: Codebook, dims: ModelDimensions = DIMS) -> None:
    """Writes the model with only its rows in use, in half precision."""
    state = {
        name: value.half().contiguous()
        for name, value in pupil.state_dict().items()
        if name != "encoder.positional_embedding"
    }
    save_file(
        {**state, "tokens": torch.tensor(book.tokens, dtype=torch.int32)}, path, {"dims": json.dumps(asdict(dims))}
    )


def expanded(path: Path) -> dict[str, object]:
    """What openai-whisper keeps in its ``.pt`` files, from a file of `kept`: ``torch.save`` it, and ``whisper.load_model`` takes it."""
    with safe_open(path, framework="pt") as file:
        dims = ModelDimensions(**json.loads(file.metadata()["dims"]))
        state = {name: file.get_tensor(name).float() for name in file.keys() if name != "tokens"}  # noqa: SIM118
        tokens = file.get_tensor("tokens").long()
    small = state["decoder.token_embedding.weight"]
    rows = small[-1:].repeat(dims.n_vocab, 1)
    rows[tokens] = small[:-1]
    state["decoder.token_embedding.weight"] = rows
    state["encoder.positional_embedding"] = sinusoids(dims.n_audio_ctx, dims.n_audio_state)
    return {"dims": asdict(dims), "model_state_dict": state}
