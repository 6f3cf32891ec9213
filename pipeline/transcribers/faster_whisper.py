"""The transcriber `faster-whisper`: Whisper in CTranslate2's format, in eight bits on a CPU.

Models are those that the package faster-whisper takes, computed by the engine below it, CTranslate2
(https://github.com/OpenNMT/CTranslate2). Windows, batches, fallbacks and filters are those of `whisper`; the encoder,
the search and the attention's alignment are the engine's.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import ctranslate2
import numpy as np
import torch
from torch import Tensor
from whisper.model import ModelDimensions
from whisper.utils import compression_ratio

from meetsplit.pipeline.errors import SettingsError, StageError
from meetsplit.pipeline.models.ctranslate2_folder import is_ctranslate2_folder, whisper_shapes
from meetsplit.pipeline.settings import Settings
from meetsplit.pipeline.transcribers.hallucinations import RawWord
from meetsplit.pipeline.transcribers.whisper import WhisperTranscriber, packed_seconds
from meetsplit.pipeline.transcribers.whisper_alignment import MAX_BYTES, MEDIAN_FRAMES, TokenizedText, aligned_words
from meetsplit.pipeline.transcribers.whisper_decoding import Candidate, best_candidate
from meetsplit.pipeline.transcribers.whisper_windows import DecodedText, WindowDecoder

COMPUTE_TYPES: Mapping[str, Mapping[str, str]] = {
    "cpu": {
        "default": "int8",
        "int8": "int8",
        "int8_float16": "int8",
        "float16": "float32",
        "float32": "float32",
    },
    "cuda": {
        "default": "float16",
        "int8": "int8",
        "int8_float16": "int8_float16",
        "float16": "float16",
        "float32": "float32",
    },
}
"""What is computed on each kind of device for each ``--compute-type``: a CPU has no half precision."""


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """How windows are searched: ``most_tokens`` for each, ``suppressed`` tokens never, drawn above temperature 0."""

    temperature: float
    count: int
    patience: float
    most_tokens: int
    suppressed: Sequence[int]


@dataclass(frozen=True, slots=True)
class FoundTexts:
    """Candidates for one window, the most probable for its length first, and its probability of no speech."""

    candidates: tuple[Candidate, ...]
    no_speech: float


class CTranslate2Whisper:
    """A Whisper of CTranslate2's with the attributes of openai-whisper's class that `WhisperTranscriber` reads.

    ``decoder`` has no blocks: `whisper.DecodingTask`, of which only prompt and rules are used, looks for them.
    """

    decoder = SimpleNamespace(blocks=())

    def __init__(self, engine: Any, dims: ModelDimensions, device: torch.device) -> None:
        self._engine, self.dims, self.device = engine, dims, device

    @classmethod
    def load(cls, folder: Path, *, device: str, compute_type: str, threads: int) -> Self:
        """From a converted folder. Raises `StageError` for one that holds no Whisper, or where the engine fails."""
        dims = _dimensions(folder)
        on = torch.device(device)
        ctranslate2.set_log_level(logging.ERROR)
        try:
            engine = ctranslate2.models.Whisper(
                str(folder),
                device=on.type,
                device_index=on.index or 0,
                compute_type=compute_type,
                intra_threads=threads or torch.get_num_threads(),
            )
        except (RuntimeError, ValueError) as error:
            raise StageError("transcribe", f"{folder}: CTranslate2 cannot load it on {device}: {error}") from error
        return cls(engine, dims, on)

    @property
    def is_multilingual(self) -> bool:
        """Whether it knows other languages than English."""
        return bool(self.dims.n_vocab >= 51865)

    @property
    def num_languages(self) -> int:
        """How many languages its vocabulary has."""
        return int(self.dims.n_vocab) - 51765 - int(self.is_multilingual)

    def encoder(self, mel: Tensor) -> Tensor:
        """The encoder's output for spectrograms (windows, bands, frames), shape (windows, frames / 2, channels)."""
        encoded = self._engine.encode(_to_engine(mel))
        if self.device.type == "cpu":
            return torch.from_numpy(np.array(encoded))
        return torch.as_tensor(encoded, device=self.device).clone()

    def detect_language(self, features: Tensor) -> tuple[None, Any]:
        """Probability of each language in each window, by its code, from the encoder's output or spectrograms.

        Like `whisper.detect_language`: a list of mappings beside the tokens (left out), a single one for one window.
        """
        windows = features if features.ndim == 3 else features[None]
        found = [
            {token.strip("<|>"): probability for token, probability in window}
            for window in self._engine.detect_language(_to_engine(windows))
        ]
        return None, found if features.ndim == 3 else found[0]

    def search(self, features: Tensor, prompts: Sequence[Sequence[int]], how: SearchOptions) -> list[FoundTexts]:
        """What is most probably said in each window: by beams at temperature 0, else the best of what is drawn."""
        draws = how.temperature > 0.0
        kind = (
            {"beam_size": 1, "sampling_topk": 0, "sampling_temperature": how.temperature}
            if draws
            else {"beam_size": how.count, "patience": how.patience}
        )
        results = self._engine.generate(
            _to_engine(features),
            [list(prompt) for prompt in prompts],
            num_hypotheses=how.count,
            max_length=max(2 * how.most_tokens, how.most_tokens + len(prompts[0])),
            return_scores=True,
            return_no_speech_prob=True,
            suppress_tokens=list(how.suppressed),
            **kind,
        )
        return [
            FoundTexts(
                tuple(
                    Candidate(tuple(tokens), score * max(len(tokens), 1))
                    for tokens, score in zip(result.sequences_ids, result.scores, strict=True)
                ),
                result.no_speech_prob,
            )
            for result in results
        ]

    def align(
        self, features: Tensor, start: Sequence[int], texts: Sequence[TokenizedText]
    ) -> list[tuple[RawWord, ...]]:
        """The words of texts that begin with the same ``start`` tokens, with times in seconds into their windows."""
        frames = [max(2, round(text.duration * 100)) for text in texts]
        tokens = [list(text.tokens) for text in texts]
        found = self._engine.align(_to_engine(features), list(start), tokens, frames, median_filter_width=MEDIAN_FRAMES)
        words = []
        for text, own in zip(texts, found, strict=True):
            token_path, frame_path = np.array(own.alignments, dtype=np.int64).reshape(-1, 2).T
            words.append(aligned_words(text, token_path, frame_path, np.array(own.text_token_probs)))
        return words


class CTranslate2WindowDecoder(WindowDecoder):
    """A `WindowDecoder` whose search and alignment are the engine's."""

    _model: CTranslate2Whisper

    def _search(self, features: Tensor, languages: Sequence[str], temperature: float) -> list[DecodedText]:
        tasks = [self.decoding_task(language) for language in languages]
        task, how = tasks[0], self.rules
        options = SearchOptions(
            temperature,
            how.beams if temperature == 0.0 else how.samples,
            how.patience,
            min(task.sample_len, task.n_ctx + 1 - len(task.initial_tokens)),
            _suppressed(task),
        )
        found = self._model.search(features, [task.initial_tokens for task in tasks], options)
        chosen = [best_candidate(texts.candidates, how.length_penalty) for texts in found]
        return [
            DecodedText(
                candidate.tokens,
                candidate.log_probability / (len(candidate.tokens) + 1),
                texts.no_speech,
                compression_ratio(task.tokenizer.decode(list(candidate.tokens)).strip()),
            )
            for candidate, texts, task in zip(chosen, found, tasks, strict=True)
        ]

    def _word_times(self, features: Tensor, texts: Sequence[TokenizedText]) -> list[tuple[RawWord, ...]]:
        answers: list[tuple[RawWord, ...]] = [()] * len(texts)
        waiting = sorted((n for n, text in enumerate(texts) if text.tokens), key=lambda n: -len(texts[n].tokens))
        while waiting:
            start = texts[waiting[0]].tokenizer.sot_sequence
            count = max(1, MAX_BYTES // (4 * self._model.dims.n_vocab * (len(texts[waiting[0]].tokens) + 8)))
            numbers = [number for number in waiting if texts[number].tokenizer.sot_sequence == start][:count]
            waiting = [number for number in waiting if number not in numbers]
            rows = features.index_select(0, torch.tensor(numbers, device=features.device))
            aligned = self._model.align(rows, start, [texts[number] for number in numbers])
            for number, words in zip(numbers, aligned, strict=True):
                answers[number] = words
        return answers


class FasterWhisperTranscriber(WhisperTranscriber):
    """A `BatchTranscriber` over a Whisper in CTranslate2's format; see `WhisperTranscriber`.

    On a CPU it computes in 8-bit integers where the settings choose nothing. Texts that are drawn at temperatures
    above 0 are the same in every run with the same seed, but depend on the windows before. On Apple's ``mps`` it runs
    on the CPU.
    """

    decoder_type = CTranslate2WindowDecoder
    _model: CTranslate2Whisper
    _is_beside_mps = False

    @classmethod
    def load(cls, settings: Settings, weights: Mapping[str, Path], device: str) -> Self:
        """From ``weights["model"]``, a folder that CTranslate2's converter wrote."""
        if settings.condition_on_previous_text or settings.hallucination_silence_threshold is not None:
            raise SettingsError(
                "--condition-on-previous-text and --hallucination-silence-threshold: faster-whisper decodes every "
                "window by itself; drop them, or use --transcriber whisper"
            )
        on = "cpu" if device == "mps" else device
        kind = torch.device(on).type
        ctranslate2.set_random_seed(settings.seed)
        model = CTranslate2Whisper.load(
            weights["model"],
            device=on,
            compute_type=COMPUTE_TYPES[kind][settings.compute_type],
            threads=settings.threads,
        )
        transcriber = cls(model, settings, pack_seconds=packed_seconds(settings, weights["model"]))
        transcriber._is_beside_mps = device == "mps"
        return transcriber

    def _notices(self) -> Iterator[str]:
        kind, asked = self._model.device.type, self._settings.compute_type
        computed = COMPUTE_TYPES[kind][asked]
        if asked not in ("default", computed):
            yield f"--compute-type {asked}: on {kind} faster-whisper computes in {computed}"
        if self._is_beside_mps:
            yield "faster-whisper runs on the CPU: it does not know mps"


def _dimensions(folder: Path) -> ModelDimensions:
    """The dimensions of the Whisper in a folder; heads, which no shape tells, are 0. Raises `StageError`."""
    if not is_ctranslate2_folder(folder):
        raise StageError(
            "transcribe",
            f"{folder} is no CTranslate2 model: convert a Hugging Face folder with ct2-transformers-converter "
            "--model FOLDER --output_dir NEW",
        )
    shapes = whisper_shapes(folder)
    try:
        state, mels = shapes["encoder/conv1/weight"][:2]
        frames, text_context = (shapes[f"{part}/position_encodings/encodings"][0] for part in ("encoder", "decoder"))
        vocabulary, text_state = shapes["decoder/embeddings/weight"]
    except (KeyError, ValueError, IndexError) as error:
        raise StageError("transcribe", f"{folder} holds a Whisper of a shape that is not known: {error}") from error
    layers = [
        len({name.split("/")[1] for name in shapes if name.startswith(f"{part}/layer_")})
        for part in ("encoder", "decoder")
    ]
    return ModelDimensions(mels, frames, state, 0, layers[0], vocabulary, text_context, text_state, 0, layers[1])


def _suppressed(task: Any) -> list[int]:
    """The tokens that Whisper's rules never write, besides those that the engine knows by itself."""
    return [token for rule in task.logit_filters for token in getattr(rule, "suppress_tokens", ())]


def _to_engine(values: Tensor) -> Any:
    """The numbers as the engine takes them, where they lie."""
    contiguous = values.contiguous()
    return ctranslate2.StorageView.from_array(contiguous if contiguous.is_cuda else contiguous.numpy())
