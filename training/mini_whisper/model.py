"""The miniature Whisper: openai-whisper's class with small dimensions, its losses, and its file.

Of the 51 865 rows of its embedding some 1800 are in use. All others share one vector, which training pushes away from
every output: in the softmax it counts as often as there are such rows, so the loss is exactly that of the full model.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from whisper.model import ModelDimensions, MultiHeadAttention, Whisper, sinusoids

from meetsplit.pipeline.errors import SettingsError
from meetsplit.training.mini_whisper.targets import IGNORE, WINDOW, Batch, ReducedVocabulary
from meetsplit.training.mini_whisper.voices import PHONES

DIMENSIONS = ModelDimensions(80, WINDOW, 128, 2, 3, 51865, 448, 128, 2, 2)
"""Three encoder and two decoder layers of 128 channels; everything else is as in OpenAI's multilingual models."""

PHONE_WEIGHT = 0.5
WORD_WEIGHT = 1.0
ATTENTION_WEIGHT = 1.5
"""Weights of the auxiliary losses beside the loss of the next token."""

TIMESTAMP_SPREAD = 1.5
"""Label smoothing of timestamp tokens: standard deviation, in tokens, of the target's distribution."""

TIMESTAMP_REACH = 4
"""Timestamp tokens on either side of the right one that get a part of that distribution."""

TOKEN_EMBEDDING = "decoder.token_embedding.weight"


def reduced_dimensions(dimensions: ModelDimensions, vocabulary: ReducedVocabulary) -> ModelDimensions:
    """The dimensions with only the rows in use and one for all others."""
    return ModelDimensions(**{**asdict(dimensions), "n_vocab": len(vocabulary.tokens) + 1})


@dataclass(frozen=True, slots=True, eq=False)
class Losses:
    """The losses of the next token, of the phone and the word at each frame, and of the attention's alignment."""

    tokens: Tensor
    phones: Tensor
    words: Tensor
    attention: Tensor

    @property
    def total(self) -> Tensor:
        """The weighted sum."""
        return self.tokens + PHONE_WEIGHT * self.phones + WORD_WEIGHT * self.words + ATTENTION_WEIGHT * self.attention


class TrainableWhisper(nn.Module):
    """A Whisper with a reduced vocabulary and auxiliary losses.

    Beside the next token it predicts, at each encoder frame, the phone and the word, and, at each token, attends to
    where in the sound the token is: all heads of the last decoder layer, which openai-whisper takes for word times,
    to the next token; one head of the first layer to the one before. ``phones`` and ``words`` are the heads of the
    frame labels.
    """

    def __init__(self, vocabulary: ReducedVocabulary, dimensions: ModelDimensions = DIMENSIONS) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.whisper = Whisper(reduced_dimensions(dimensions, vocabulary))
        self.phones = nn.Linear(dimensions.n_audio_state, len(PHONES))
        self.words = nn.Linear(dimensions.n_audio_state, len(vocabulary.word_numbers) + 1)
        with torch.no_grad():
            decoder = self.whisper.decoder
            nn.init.normal_(decoder.token_embedding.weight, std=dimensions.n_text_state**-0.5)
            nn.init.normal_(decoder.positional_embedding, std=0.02)
            times = sinusoids(WINDOW + 1, dimensions.n_text_state) * dimensions.n_text_state**-0.5
            decoder.token_embedding.weight[vocabulary.timestamp(0) : vocabulary.timestamp(WINDOW) + 1] = times
        self.unused_tokens = dimensions.n_vocab - len(vocabulary.tokens)

    def encode(self, mel: Tensor, offset: int) -> Tensor:
        """The encoder on a window of any length that begins ``offset`` frames into the full one."""
        encoder = self.whisper.encoder
        x = F.gelu(encoder.conv2(F.gelu(encoder.conv1(mel)))).permute(0, 2, 1)
        x = x + encoder.positional_embedding[offset : offset + x.shape[1]].to(x.dtype)
        for block in encoder.blocks:
            x = x + self_attention(block.attn, block.attn_ln(x))
            x = x + block.mlp(block.mlp_ln(x))
        encoded: Tensor = encoder.ln_post(x)
        return encoded

    def forward(self, batch: Batch) -> Losses:
        """The losses of a batch."""
        encoded = self.encode(batch.mel, batch.offset)
        decoder = self.whisper.decoder
        x = decoder.token_embedding(batch.inputs) + decoder.positional_embedding[: batch.inputs.shape[1]]
        x = x.to(encoded.dtype)
        previous_spans = torch.cat([torch.zeros_like(batch.spans[:, :1]), batch.spans[:, :-1]], dim=1)
        attention_losses = []
        for number, block in enumerate(decoder.blocks):
            x = x + block.attn(block.attn_ln(x), mask=decoder.mask)[0]
            attended, log_weights = cross_attention(block.cross_attn, block.cross_attn_ln(x), encoded)
            x = x + attended
            x = x + block.mlp(block.mlp_ln(x))
            if number >= len(decoder.blocks) // 2:
                attention_losses.append(alignment_loss(log_weights, batch.spans))
            else:
                attention_losses.append(alignment_loss(log_weights[:, :1], previous_spans))
        logits = (decoder.ln(x) @ decoder.token_embedding.weight.to(x.dtype).T).float()
        return Losses(
            tokens=self.token_loss(logits, batch.targets),
            phones=frame_loss(self.phones(encoded), batch.phones),
            words=frame_loss(self.words(encoded), batch.words),
            attention=torch.stack(attention_losses).mean(),
        )

    def token_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy over all tokens of the full model, with label smoothing between neighbouring timestamps."""
        has_loss = targets != IGNORE
        logits, targets = logits[has_loss], targets[has_loss]
        multiplicity = torch.zeros(logits.shape[-1])
        multiplicity[-1] = float(torch.tensor(float(self.unused_tokens)).log())
        log_probabilities = F.log_softmax(logits + multiplicity, dim=-1)
        hard = -log_probabilities.gather(1, targets[:, None])[:, 0]
        first_timestamp = self.vocabulary.timestamp(0)
        neighbours = torch.arange(-TIMESTAMP_REACH, TIMESTAMP_REACH + 1)
        distribution = torch.softmax(-((neighbours / TIMESTAMP_SPREAD) ** 2) / 2, dim=0)
        rows = (targets[:, None] + neighbours).clamp(first_timestamp, self.vocabulary.timestamp(WINDOW))
        smoothed = -(log_probabilities.gather(1, rows) * distribution).sum(dim=1)
        return torch.where(targets >= first_timestamp, smoothed, hard).mean()


def frame_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of labels per encoder frame."""
    return F.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORE)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(clips, steps, channels) as (clips, heads, steps, channels of a head)."""
    return x.view(*x.shape[:2], heads, -1).permute(0, 2, 1, 3)


def self_attention(attention: MultiHeadAttention, x: Tensor) -> Tensor:
    """Self-attention of the encoder; in half precision on a CPU this is faster than torch's fused one."""
    projected = (attention.query(x), attention.key(x), attention.value(x))
    query, key, value = (split_heads(tensor, attention.n_head) for tensor in projected)
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    weights = scores.to(value.dtype).softmax(dim=-1, dtype=value.dtype)
    out: Tensor = attention.out((weights @ value).permute(0, 2, 1, 3).flatten(start_dim=2))
    return out


def cross_attention(attention: MultiHeadAttention, x: Tensor, encoded: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-attention as openai-whisper does it, and the logarithm of its weights, (clips, heads, tokens, frames)."""
    projected = (attention.query(x), attention.key(encoded), attention.value(encoded))
    query, key, value = (split_heads(tensor, attention.n_head) for tensor in projected)
    log_weights = ((query @ key.transpose(-1, -2)).float() * query.shape[-1] ** -0.5).log_softmax(dim=-1)
    attended = (log_weights.exp().to(value.dtype) @ value).permute(0, 2, 1, 3).flatten(start_dim=2)
    out: Tensor = attention.out(attended)
    return out, log_weights


def alignment_loss(log_weights: Tensor, spans: Tensor) -> Tensor:
    """Minus the logarithm of the attention inside ``spans``: the mean over tokens whose span is not empty."""
    frames = torch.arange(log_weights.shape[-1])
    inside = (frames >= spans[..., :1]) & (frames < spans[..., 1:])
    has_span = inside.any(dim=-1)
    inside_weights = log_weights.masked_fill(~inside[:, None], -torch.inf).transpose(1, 2)[has_span]
    return -inside_weights.logsumexp(dim=-1).clamp(min=-12).mean()


def with_full_vocabulary(
    whisper: Whisper, vocabulary: ReducedVocabulary, dimensions: ModelDimensions = DIMENSIONS
) -> Whisper:
    """The model with all rows of the embedding, as openai-whisper's own functions need it."""
    state = dict(whisper.state_dict())
    reduced = state[TOKEN_EMBEDDING]
    rows = reduced[-1:].repeat(dimensions.n_vocab, 1)
    rows[list(vocabulary.tokens)] = reduced[:-1]
    model = Whisper(dimensions)
    model.load_state_dict({**state, TOKEN_EMBEDDING: rows})
    return model.eval()


def save(path: Path, whisper: Whisper, vocabulary: ReducedVocabulary, dimensions: ModelDimensions = DIMENSIONS) -> None:
    """Write the model with only its rows in use, in half precision."""
    state = {
        name: value.half().contiguous()
        for name, value in whisper.state_dict().items()
        if name != "encoder.positional_embedding"
    }
    state["tokens"] = torch.tensor(vocabulary.tokens, dtype=torch.int32)
    save_file(state, path, {"dims": json.dumps(asdict(dimensions))})


def load(path: Path, whisper: Whisper, vocabulary: ReducedVocabulary) -> None:
    """Read a file of `save` into a model with the same vocabulary. Raises `SettingsError` for another one."""
    state = load_file(path)
    if state.pop("tokens").tolist() != list(vocabulary.tokens):
        raise SettingsError(f"{path}: was trained on another vocabulary: give the same --dialogue and --vocabulary")
    state = {name: tensor.float() for name, tensor in state.items()}
    whisper.load_state_dict({**whisper.state_dict(), **state})


def to_openai_checkpoint(path: Path) -> dict[str, object]:
    """The content of an openai-whisper ``.pt`` file, from a file of `save`.

    Written with ``torch.save``, it is read by ``whisper.load_model``.
    """
    with safe_open(path, framework="pt") as file:
        dimensions = ModelDimensions(**json.loads(file.metadata()["dims"]))
        state = {name: file.get_tensor(name).float() for name in file.keys() if name != "tokens"}  # noqa: SIM118
        tokens = file.get_tensor("tokens").long()
    reduced = state[TOKEN_EMBEDDING]
    rows = reduced[-1:].repeat(dimensions.n_vocab, 1)
    rows[tokens] = reduced[:-1]
    state[TOKEN_EMBEDDING] = rows
    state["encoder.positional_embedding"] = sinusoids(dimensions.n_audio_ctx, dimensions.n_audio_state)
    return {"dims": asdict(dimensions), "model_state_dict": state}
