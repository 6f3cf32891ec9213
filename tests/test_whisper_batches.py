"""Batches of windows: the same text as one window at a time, whoever speaks and however much memory there is."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from voices import babble
from whisper.decoding import DecodingOptions, DecodingTask
from whisper.decoding import decode as decode_alone
from whisper.model import ModelDimensions, Whisper

from meetsplit.pipeline.data import Audio, ClipTranscript
from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.events import ignore_events
from meetsplit.pipeline.run import Pipeline
from meetsplit.pipeline.settings import Settings
from meetsplit.pipeline.transcribers import whisper_decoding as decoding
from meetsplit.pipeline.transcribers.hallucinations import RawWord
from meetsplit.pipeline.transcribers.whisper import WhisperTranscriber, packed_seconds
from meetsplit.pipeline.transcribers.whisper_alignment import TokenizedText, word_times
from meetsplit.pipeline.transcribers.whisper_options import decoding_options
from meetsplit.pipeline.transcribers.whisper_windows import (
    DecodedText,
    TextRules,
    WindowDecoder,
    WindowJob,
    WindowText,
)

RATE = 16000


def clip(start: float, seconds: float) -> Audio:
    return Audio(babble(seconds, seed=round(start)), RATE, start)


@pytest.fixture(scope="module")
def model() -> Any:
    """A small multilingual Whisper with random weights, large enough ones that its beams differ."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        random_model = Whisper(ModelDimensions(80, 1500, 32, 2, 1, 51865, 448, 32, 2, 2)).eval()
        with torch.no_grad():
            random_model.decoder.positional_embedding.normal_()
            random_model.decoder.ln.weight.fill_(4.0)
            for block in random_model.decoder.blocks:
                block.cross_attn.out.weight.mul_(10.0)
    return random_model


@pytest.fixture(scope="module")
def features(model: Any) -> torch.Tensor:
    """Five encoded windows."""
    with torch.random.fork_rng(), torch.inference_mode():
        torch.manual_seed(2)
        return torch.randn(5, 1500, 32) + 3 * torch.randn(5, 1, 32)


@pytest.fixture(scope="module")
def task(model: Any) -> DecodingTask:
    with warnings.catch_warnings():  # whisper leaves a file open when it first reads its tokens
        warnings.simplefilter("ignore", ResourceWarning)
        return DecodingTask(model, DecodingOptions(language="en", prompt="Quarterly numbers", fp16=False))


def search(model: Any, task: DecodingTask, features: torch.Tensor, find: Callable[..., Any]) -> list[Any]:
    """What ``find`` finds for the windows, at most 14 tokens for each."""
    with torch.inference_mode():
        decoder = decoding.CachedDecoder(model, features)
        prompts = torch.tensor([task.initial_tokens] * len(features))
        first_logits = decoder.logits(decoder.start(prompts)[:, -1])
        rules = decoding.TokenRules(task, model.dims.n_vocab, features.device)
        return list(find(decoder, first_logits, rules, decoding.SearchLimits(14)))


@pytest.mark.parametrize("beams", [1, 3])
def test_a_batch_is_decoded_as_whisper_decodes_each_window_alone(
    model: Any, task: DecodingTask, features: torch.Tensor, beams: int
) -> None:
    found = search(model, task, features, lambda *a: decoding.beam_search(*a, beams=beams, most=beams))
    options = DecodingOptions(
        language="en", prompt="Quarterly numbers", fp16=False, beam_size=beams, sample_len=14, temperature=0.0
    )
    for window, candidate in zip(features, found, strict=True):
        with warnings.catch_warnings():  # whisper sorts tensors with NumPy
            warnings.simplefilter("ignore", DeprecationWarning)
            alone = decode_alone(model, window, options)
        assert list(candidate.tokens) == alone.tokens
        assert candidate.log_probability / (len(candidate.tokens) + 1) == pytest.approx(alone.avg_logprob, abs=1e-4)
    assert len({candidate.tokens for candidate in found}) > 1, "windows differ"


def test_what_is_sampled_does_not_depend_on_the_batch(model: Any, task: DecodingTask, features: torch.Tensor) -> None:
    def sample(*arguments: Any) -> Any:
        return decoding.sample(*arguments, decoding.Sampling(0.8, 2, seed=3))

    together = search(model, task, features, sample)
    assert [search(model, task, features[n : n + 1], sample)[0].tokens for n in range(5)] == [
        candidate.tokens for candidate in together
    ]
    tokens = {candidate.tokens for candidate in together}
    first_time = task.tokenizer.timestamp_begin
    assert all(own[0] >= first_time for own in tokens), "whisper's rules hold: text begins with a timestamp"


def test_windows_that_are_done_leave_the_batch(model: Any, task: DecodingTask, features: torch.Tensor) -> None:
    rows: list[int] = []

    class Rules(decoding.TokenRules):
        """Ends the first four windows after two tokens, the last one never; a row's window is told by its logits."""

        def apply(self, logits: torch.Tensor, history: decoding.History) -> None:
            super().apply(logits, history)
            rows.append(len(logits))
            logits[:, self.end] = -torch.inf
            if history.shape[1] == 2:
                logits[: 4 * (len(logits) // 5)] = -torch.inf
                logits[: 4 * (len(logits) // 5), self.end] = 0.0

    def beam_search(decoder: Any, logits: Any, rules: Any, limits: Any) -> Any:
        return decoding.beam_search(decoder, logits, Rules(task, 51865, logits.device), limits, beams=1, most=1)

    found = search(model, task, features, beam_search)
    assert [len(candidate.tokens) for candidate in found] == [2, 2, 2, 2, 14]
    assert rows == [5, 5, 5, *[1] * 11]


def test_word_times_do_not_depend_on_the_batch(model: Any, task: DecodingTask, features: torch.Tensor) -> None:
    tokenizer = task.tokenizer
    spoken = ["Good morning.", "", "We counted 12 % of 300 boxes today, didn't we?", "Ja", "So - now, then"]
    texts = [
        TokenizedText(tuple(tokenizer.encode(" " + text)) if text else (), tokenizer, 4.0 + 5 * number)
        for number, text in enumerate(spoken)
    ]
    with torch.inference_mode():
        together = word_times(model, features, texts)
        alone = [word_times(model, features[n : n + 1], [text])[0] for n, text in enumerate(texts)]
    for number, (own, words) in enumerate(zip(spoken, together, strict=True)):
        assert "".join(word.text for word in words).strip() == own, "every word is timed, numerals and symbols too"
        assert all(0.0 <= word.start <= word.end <= 4.0 + 5 * number for word in words)
        assert [word.start for word in words] == sorted(word.start for word in words)
        assert [(w.start, w.end) for w in words] == [(w.start, w.end) for w in alone[number]]
        assert [w.confidence for w in words] == pytest.approx([w.confidence for w in alone[number]], abs=1e-5)


@pytest.mark.parametrize(
    ("log_probability", "no_speech", "compression", "taken_as"),
    [
        (-0.3, 0.1, 1.2, "speech"),
        (-0.3, 0.9, 1.2, "speech"),  # sure of its words, it hears somebody
        (-1.2, 0.9, 1.2, "silence"),
        (-1.2, 0.1, 1.2, "improbable"),
        (-0.3, 0.1, 2.6, "repetitive"),
        (-1.2, 0.9, 2.6, "silence"),
    ],
)
def test_a_text_is_judged_as_whisper_judges_it(
    log_probability: float, no_speech: float, compression: float, taken_as: str
) -> None:
    text, rules = DecodedText((), log_probability, no_speech, compression), _rules()
    assert rules.needs_fallback(text) == (taken_as in ("improbable", "repetitive"))
    assert rules.is_silence(text) == (taken_as == "silence")
    unlimited = _rules(compression_ratio_threshold=None, logprob_threshold=None, no_speech_threshold=None)
    assert [unlimited.needs_fallback(text), unlimited.is_silence(text), unlimited.is_repetitive(text)] == [False] * 3


@pytest.mark.parametrize(
    ("log_probability", "no_speech", "compression", "out_of_pace", "reason"),
    [
        (-0.3, 0.1, 1.2, False, None),
        (-1.2, 0.1, 1.2, False, None),  # hard to hear, and kept as Whisper keeps it
        (-2.1, 0.1, 1.2, False, "dropped-improbable"),
        (-1.2, 0.9, 1.2, False, "dropped-no-speech"),
        (-1.2, 0.9, 2.6, False, "dropped-repetition"),
        (-0.3, 0.1, 1.2, True, "dropped-pace"),
    ],
)
def test_a_text_is_dropped_for_a_reason(
    log_probability: float, no_speech: float, compression: float, out_of_pace: bool, reason: str | None
) -> None:
    text = DecodedText((), log_probability, no_speech, compression, "text", out_of_pace)
    assert _rules().reason(text) == reason
    assert _rules(logprob_threshold=None).reason(replace(text, no_speech=0.0)) != "dropped-improbable"


def _rules(**settings: Any) -> TextRules:
    fake = SimpleNamespace(device=torch.device("cpu"))
    return TextRules.of(decoding_options(fake, Settings(**settings)))


class WordPerSecond(WindowDecoder):
    """Writes one word for every second of a piece: the piece's start on the recording's clock."""

    def __init__(self, model: Any, settings: Settings) -> None:
        super().__init__(model, settings)
        self.batches: list[list[int]] = []
        self.change: Callable[[WindowJob, WindowText], WindowText] = lambda job, text: text

    def decode(self, jobs: Sequence[WindowJob]) -> list[WindowText]:
        self.batches.append([len(job.window.pieces) for job in jobs])
        return [self.change(job, WindowText(tuple(self._one_word_each(job)), None, False)) for job in jobs]

    def _one_word_each(self, job: WindowJob) -> Iterator[RawWord]:
        for offset, piece in zip(job.window.offsets, job.window.pieces, strict=True):
            for second in range(math.ceil(piece.audio.duration)):
                start = offset / RATE + second
                yield RawWord(start, start + 0.4, f"{piece.audio.start:g}", 0.5)


class Stenographer(WhisperTranscriber):
    """A transcriber without a model; see `WordPerSecond`."""

    decoder_type = WordPerSecond
    decoder: WordPerSecond

    def __init__(self, *, pack_seconds: float = 29.0) -> None:
        device = torch.device("cpu")
        shape = SimpleNamespace(n_vocab=51865, n_audio_ctx=1500, n_audio_state=8, n_text_ctx=448, n_text_state=8)
        shape.n_text_layer = 1
        fake = SimpleNamespace(device=device, dims=shape, is_multilingual=True, num_languages=99)
        super().__init__(fake, Settings(language="en"), pack_seconds=pack_seconds)


def streams() -> list[list[Audio]]:
    """Clips of three people; one of them is silent once, and another altogether."""
    silence = Audio(np.zeros(RATE, np.float32), RATE, 60.0)
    return [
        [clip(1.0, 6.0), clip(20.0, 9.0), silence, clip(70.0, 12.0), clip(90.0, 5.0)],
        [silence],
        [clip(8.0, 11.0), clip(30.0, 25.0), clip(83.0, 0.5)],
    ]


def texts(answers: Iterator[ClipTranscript]) -> list[str]:
    """The words of each answer, each word once."""
    return [" ".join(dict.fromkeys(word.text for word in answer.words)) for answer in answers]


EXPECTED = ["1", "20", "", "70", "90", "", "8", "30", "83"]


def test_settings_say_how_turns_are_packed(model: Any) -> None:
    assert WhisperTranscriber(model, Settings(language="en", pack_seconds=28)).pack_seconds == 28.0
    assert WhisperTranscriber(model, Settings(pack_seconds=28), pack_seconds=0.0).pack_seconds == 0.0
    with pytest.raises(SettingsError, match="--pack-seconds 31: between 0"):
        Settings(pack_seconds=31)


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        (Settings(), 28.0),
        (Settings(model="small"), 28.0),
        (Settings(model="distil-whisper/distil-large-v3"), 28.0),
        (Settings(model="tuned/model.pt"), 0.0),
        (Settings(model="~/model.pt"), 0.0),
        (Settings(model="tuned/model.pt", pack_seconds=20), 20.0),
        (Settings(model="small", pack_seconds=0), 0.0),
    ],
)
def test_only_models_of_a_name_pack_turns_by_default(settings: Settings, seconds: float) -> None:
    own = (settings.model or "").endswith(".pt")
    weights = Path(settings.model or "").expanduser() if own else Path("cache") / "small.pt"
    assert packed_seconds(settings, weights) == seconds


@pytest.mark.parametrize(("pack_seconds", "windows"), [(29.0, [1, 1, 2, 3]), (0.0, [1] * 7)])
def test_answers_come_in_the_order_of_the_clips(pack_seconds: float, windows: list[int]) -> None:
    stenographer = Stenographer(pack_seconds=pack_seconds)
    stenographer.batch_size = 16
    assert texts(stenographer.transcribe_streams(streams(), ignore_events)) == EXPECTED
    assert sorted(itertools.chain(*stenographer.decoder.batches)) == windows
    for word, start in zip(
        stenographer.transcribe_streams(streams()[:1], ignore_events), (1.0, 20.0, None, 70.0, 90.0), strict=True
    ):
        assert start is None or word.words[0].span.start == start


def test_batches_are_sorted_by_length_and_read_ahead_is_bounded() -> None:
    stenographer = Stenographer()
    stenographer.batch_size = 2
    consumed: list[float] = []

    def long_clips() -> Iterator[Audio]:
        for number in range(40):
            consumed.append(number)
            yield clip(40.0 * number, 15.0 + number % 5)

    answers = stenographer.transcribe(long_clips(), ignore_events)
    assert consumed == []
    assert next(answers).words[0].text == "0"
    assert len(consumed) == 9, "four batches of two windows, and the clip that opens the next one"
    assert len(list(answers)) == 39


@pytest.mark.parametrize(("wanted", "used"), [(None, 6), (2, 2), (100, 6)])
def test_batch_size_is_a_bound_within_what_fits_into_the_memory(
    model: Any, wanted: int | None, used: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "batch_size", lambda model, **options: 6)
    assert WhisperTranscriber(model, Settings(language="en", batch_size=wanted)).batch_size == used


def test_memory_that_is_used_up_halves_the_batch() -> None:
    stenographer = Stenographer(pack_seconds=0.0)
    stenographer.batch_size = 16
    decode = stenographer.decoder.decode

    def short_of_memory(jobs: Sequence[WindowJob]) -> list[WindowText]:
        if len(jobs) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return decode(jobs)

    stenographer.decoder.decode = short_of_memory  # type: ignore[method-assign]
    assert texts(stenographer.transcribe_streams(streams(), ignore_events)) == EXPECTED
    assert stenographer.decoder.batches == [[1], [1], [1], [1], [1], [1], [1]]
    stenographer.batch_size = 1
    stenographer.decoder.decode = lambda jobs: short_of_memory([*jobs, *jobs, *jobs])  # type: ignore[method-assign]
    with pytest.raises(torch.OutOfMemoryError):
        texts(stenographer.transcribe_streams(streams(), ignore_events))


def test_a_packed_window_without_a_believable_text_is_decoded_clip_by_clip() -> None:
    stenographer = Stenographer()
    stenographer.decoder.change = lambda job, text: replace(text, failed=len(job.window.pieces) > 1)
    assert texts(stenographer.transcribe_streams(streams(), ignore_events)) == EXPECTED
    stenographer.decoder.change = lambda job, text: replace(text, failed=True)
    assert texts(stenographer.transcribe_streams(streams(), ignore_events)) == [""] * 9


def test_a_clip_of_a_packed_window_with_too_few_words_is_decoded_alone() -> None:
    stenographer = Stenographer()

    def only_the_first_clip(job: WindowJob, text: WindowText) -> WindowText:
        return replace(text, words=text.words[:6])

    stenographer.decoder.change = only_the_first_clip
    assert texts(stenographer.transcribe_streams(streams(), ignore_events)) == EXPECTED
    assert sorted(itertools.chain(*stenographer.decoder.batches)) == [1, 1, 1, 1, 1, 1, 2, 3]


def test_a_window_is_decoded_again_from_its_last_word_on() -> None:
    stenographer = Stenographer(pack_seconds=0.0)

    def six_words_at_once(job: WindowJob, text: WindowText) -> WindowText:
        words = text.words[:6]
        return replace(text, words=words, decoded_until=words[-1].start + 1.0)

    stenographer.decoder.change = six_words_at_once
    answers = list(stenographer.transcribe_streams(streams(), ignore_events))
    assert [len(answer.words) for answer in answers] == [6, 9, 0, 12, 5, 0, 11, 25, 1]
    assert sum(map(len, stenographer.decoder.batches)) == 1 + 2 + 2 + 1 + 2 + 5 + 1
    assert [word.span.start for word in answers[1].words] == pytest.approx([20.0 + second for second in range(9)])


def test_the_streams_of_all_speakers_reach_the_transcriber_at_once(call: Any) -> None:
    call.write_pcm(call.path, [(32767 * babble(6.0)).astype("<i2")])
    model = call.path.with_suffix(".pt")
    model.write_bytes(b"any")
    settings = Settings(
        rttm=call.rttm, separate="off", overlap_checks="none", model=str(model), transcriber="whisper", device="cpu"
    )
    stenographer = Stenographer()
    transcript = Pipeline(settings, loaded={"transcriber": stenographer}).run(call.path)
    assert stenographer.decoder.batches == [[1, 1]]
    said = {segment.speaker: segment.words for segment in transcript.segments}
    assert sorted(said) == ["SPEAKER_00", "SPEAKER_01"]
    for words in said.values():
        assert {word.text for word in words} == {f"{words[0].span.start:g}"}, "the words of the speaker's own clip"
