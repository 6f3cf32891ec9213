"""The recipe of the miniature Whisper, without its synthesizers: clips, targets, the model's losses, resuming."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import whisper
from hypothesis import given, settings
from hypothesis import strategies as st
from whisper.model import ModelDimensions

from meetsplit.training.mini_whisper.clips import ClipGenerator, add_at, cut_words, make_noises, stretched
from meetsplit.training.mini_whisper.corpus import Corpus, CorpusEntry, is_held_out
from meetsplit.training.mini_whisper.evaluation import word_errors
from meetsplit.training.mini_whisper.model import TrainableWhisper, save, to_openai_checkpoint, with_full_vocabulary
from meetsplit.training.mini_whisper.sentences import SentenceGenerator, sentence_generator
from meetsplit.training.mini_whisper.targets import (
    IGNORE,
    Batch,
    ReducedVocabulary,
    collate,
    make_example,
    reduced_vocabulary,
)
from meetsplit.training.mini_whisper.train import Hyperparameters, make_batch, new_state
from meetsplit.training.mini_whisper.voices import RATE, SynthesizedSentence, TimedLabel
from meetsplit.training.trainer import TrainState

STANDUP = Path(__file__).parents[1] / "sample_data" / "standup.txt"
TINY = ModelDimensions(80, 1500, 32, 2, 1, 51865, 448, 32, 2, 2)


def tone(words: int, voice: str = "awb") -> SynthesizedSentence:
    """A synthetic sentence: each word is 0.2 s of its own amplitude, after 0.1 s of silence."""
    samples = np.zeros(round((0.2 + 0.2 * words) * RATE), np.float32)
    timed = []
    for number in range(words):
        start = 0.1 + 0.2 * number
        samples[round(start * RATE) : round((start + 0.2) * RATE)] = (number + 1) / 20
        timed.append(TimedLabel("report." if number == words - 1 else "report", start, start + 0.2))
    phones = (
        TimedLabel("pau", 0.0, 0.1),
        TimedLabel("aa", 0.1, 0.1 + 0.2 * words),
        TimedLabel("pau", 0.1 + 0.2 * words, 0.2 + 0.2 * words),
    )
    return SynthesizedSentence(voice, samples, tuple(timed), phones)


@pytest.fixture(scope="module")
def sentences() -> SentenceGenerator:
    return sentence_generator(STANDUP)


@pytest.fixture(scope="module")
def vocabulary(sentences: SentenceGenerator) -> ReducedVocabulary:
    return reduced_vocabulary(sentences.vocabulary)


@pytest.fixture(scope="module")
def generator() -> ClipGenerator:
    synthesized = [tone(words, voice) for voice in ("awb", "slt") for words in (1, 3, 6, 9)]
    entries, first = [], 0
    for sentence in synthesized:
        length = len(sentence.samples)
        entries.append(CorpusEntry(0, first, length, sentence.voice, sentence.words, sentence.phones))
        first += length
    pcm = np.concatenate([np.rint(sentence.samples * 32768).astype(np.int16) for sentence in synthesized])
    by_voice = {voice: tuple(entry for entry in entries if entry.voice == voice) for voice in ("awb", "slt")}
    return ClipGenerator(Corpus((pcm,), tuple(entries)), by_voice, make_noises(40))


def test_sentences_stay_inside_the_vocabulary_and_look_written(sentences: SentenceGenerator) -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        sentence = sentences.sentence(rng)
        assert sentence[0].isupper()
        assert sentence[-1] in ".?"
        assert {word.strip(",.?").lower() for word in sentence.split()} <= set(sentences.vocabulary)


def test_sentences_of_the_sample_are_held_out_in_the_voice_that_speaks_them_there(
    sentences: SentenceGenerator,
) -> None:
    for sentence, speakers in sentences.speakers.items():
        timed = tuple(TimedLabel(word, 0, 0) for word in sentence.split())
        for voice in ("awb", "rms", "slt"):
            assert is_held_out(sentences, CorpusEntry(0, 0, 1, voice, timed, ())) == (voice in speakers)


@given(st.integers(1, 9), st.data(), st.floats(0.9, 1.1))
@settings(deadline=None, max_examples=40)
def test_words_stay_on_their_sound_when_a_sentence_is_cut_and_slowed(
    words: int, data: st.DataObject, factor: float
) -> None:
    first = data.draw(st.integers(0, words - 1))
    last = data.draw(st.integers(first + 1, words))
    part = stretched(cut_words(tone(words), first, last), factor)
    assert len(part.words) == last - first
    for number, word in enumerate(part.words, first):
        middle = part.samples[round((word.start + 0.03) * RATE) : round((word.end - 0.03) * RATE)]
        np.testing.assert_allclose(middle, (number + 1) / 20, atol=1e-6)


def test_sound_outside_a_track_is_left_out() -> None:
    track = np.zeros(RATE, np.float32)
    add_at(track, np.ones(RATE, np.float32), -0.5)
    add_at(track, np.ones(RATE, np.float32), 0.75)
    add_at(track, np.ones(RATE, np.float32), 3.0)
    assert track.sum() == RATE * 0.75


def test_clips_keep_their_words_inside_and_in_order(generator: ClipGenerator) -> None:
    rng = np.random.default_rng(1)
    for seconds in (1.0, 4.0, 12.0, 28.0):
        for _ in range(6):
            clip = generator.clip(rng, seconds)
            times = [time for sentence in clip.sentences for word in sentence for time in (word.start, word.end)]
            assert np.diff(times).min(initial=0.0) > -1e-6
            assert all(0 <= time <= clip.duration <= seconds + 3 for time in times)
            assert np.isfinite(clip.samples).all()


def test_targets_are_what_whisper_writes(generator: ClipGenerator, vocabulary: ReducedVocabulary) -> None:
    rng = np.random.default_rng(2)
    seen = set()
    for _ in range(40):
        clip = generator.clip(rng, 3.0)
        example = make_example(vocabulary, clip, rng, 0)
        assert len(example.inputs) == len(example.targets) == len(example.spans)
        tokens = [vocabulary.tokens[row] for row in example.targets if row != IGNORE]
        begin = vocabulary.tokenizer.timestamp_begin
        text = vocabulary.tokenizer.decode([token for token in tokens if token < vocabulary.tokenizer.eot]).strip()
        assert text == clip.text
        assert tokens[0] == (vocabulary.tokenizer.sot_sequence[1] if clip.sentences else vocabulary.tokenizer.no_speech)
        assert tokens[-1] == vocabulary.tokenizer.eot
        if vocabulary.tokenizer.no_timestamps not in tokens and clip.sentences:
            stamps = [(token - begin) / 50 for token in tokens if token >= begin]
            truth = [time for sentence in clip.sentences for time in (sentence[0].start, sentence[-1].end)]
            np.testing.assert_allclose(stamps, truth, atol=0.011)
        seen |= {bool(clip.sentences), vocabulary.tokenizer.no_timestamps in tokens}
    assert seen == {True, False}


def fixed_batch(generator: ClipGenerator, vocabulary: ReducedVocabulary, frames: int = 1500) -> Batch:
    rng = np.random.default_rng(3)
    return collate(vocabulary, [generator.clip(rng, 3.0) for _ in range(2)], rng, frames, 0)


def test_the_trainable_and_openai_whisper_compute_the_same(
    generator: ClipGenerator, vocabulary: ReducedVocabulary
) -> None:
    torch.manual_seed(0)
    model = TrainableWhisper(vocabulary, TINY).eval()
    batch = fixed_batch(generator, vocabulary)
    with torch.no_grad():
        encoded = model.encode(batch.mel, 0)
        torch.testing.assert_close(encoded, model.whisper.encoder(batch.mel), atol=1e-4, rtol=1e-4)
        small = model.whisper(batch.mel, batch.inputs)
        large = with_full_vocabulary(model.whisper, vocabulary, TINY)
        tokens = torch.tensor([*vocabulary.tokens, 0])[batch.inputs]
        whole = large(batch.mel, tokens).double().log_softmax(dim=-1)
        has_loss = batch.targets != IGNORE
        right = torch.tensor([*vocabulary.tokens, 0])[batch.targets.clamp(min=0)]
        expected = -whole.gather(2, right[..., None])[..., 0][
            has_loss & (batch.targets < vocabulary.timestamp(0))
        ].mean()
        hard = torch.where(batch.targets < vocabulary.timestamp(0), batch.targets, IGNORE)
        torch.testing.assert_close(model.token_loss(small, hard).double(), expected, atol=1e-4, rtol=1e-4)


def test_a_stored_model_is_loaded_by_openai_whisper(
    generator: ClipGenerator, vocabulary: ReducedVocabulary, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    trained = TrainableWhisper(vocabulary, TINY).eval()
    save(tmp_path / "model.safetensors", trained.whisper, vocabulary, TINY)
    torch.save(to_openai_checkpoint(tmp_path / "model.safetensors"), tmp_path / "model.pt")
    model = whisper.load_model(str(tmp_path / "model.pt"), device="cpu")
    batch = fixed_batch(generator, vocabulary)
    tokens = torch.tensor([*vocabulary.tokens, 0])[batch.inputs]
    with torch.no_grad():
        before = with_full_vocabulary(trained.whisper, vocabulary, TINY)(batch.mel, tokens)
        after = model(batch.mel, tokens)
    torch.testing.assert_close(before, after, atol=0.02, rtol=0.02)
    assert model.is_multilingual
    assert (tmp_path / "model.safetensors").stat().st_size < 500_000


def test_learning_lowers_every_loss_and_goes_on_where_it_was_stopped(
    generator: ClipGenerator, vocabulary: ReducedVocabulary, tmp_path: Path
) -> None:
    def fresh() -> TrainState[Batch]:
        torch.manual_seed(2)
        return new_state(TrainableWhisper(vocabulary, TINY))

    batch = fixed_batch(generator, vocabulary, frames=240)
    whole = fresh()
    losses = []
    for step in range(12):
        losses.append(whole.train_step(batch, 4e-3))
        if step == 5:
            whole.save(tmp_path / "state.pt")
    assert sum(losses[-1]) < 0.8 * sum(losses[0])
    resumed = fresh()
    resumed.resume(tmp_path / "state.pt")
    assert resumed.step == 6
    again = [resumed.train_step(batch, 4e-3) for _ in range(6)]
    np.testing.assert_allclose(again, losses[6:], rtol=1e-5)


def test_a_step_depends_on_seed_and_number_alone(generator: ClipGenerator, vocabulary: ReducedVocabulary) -> None:
    hyperparameters = Hyperparameters(10, 1e-3, 5)
    one, two, other = (make_batch(generator, vocabulary, hyperparameters, step) for step in (3, 3, 4))
    assert torch.equal(one.mel, two.mel)
    assert torch.equal(one.targets, two.targets)
    assert one.mel.shape != other.mel.shape or not torch.equal(one.mel, other.mel)


@pytest.mark.parametrize(
    ("hypothesis", "errors"),
    [("We have a contract", 0), ("We have the contract.", 1), ("", 4), ("We have got a contract", 1)],
)
def test_word_errors(hypothesis: str, errors: int) -> None:
    assert word_errors(hypothesis, "We have a contract.") == (errors, 4)
