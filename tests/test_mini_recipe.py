"""The recipe of the miniature Whisper, without its synthesizers: clips, targets, the model's own arithmetic, resuming."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import whisper
from hypothesis import given, settings
from hypothesis import strategies as st
from whisper.model import ModelDimensions

from meetsplit.training.mini_whisper.clips import Studio, noises, paced, piece, put
from meetsplit.training.mini_whisper.corpus import Corpus, Place, held_out
from meetsplit.training.mini_whisper.evaluation import errors
from meetsplit.training.mini_whisper.model import Pupil, expanded, full, kept
from meetsplit.training.mini_whisper.sentences import Phrasebook, phrasebook
from meetsplit.training.mini_whisper.targets import IGNORE, Batch, Codebook, batch, codebook, example
from meetsplit.training.mini_whisper.train import Plan, course, lesson
from meetsplit.training.mini_whisper.voices import RATE, Spoken, Timed
from meetsplit.training.trainer import Course

STANDUP = Path(__file__).parents[1] / "sample_data" / "standup.txt"
TINY = ModelDimensions(80, 1500, 32, 2, 1, 51865, 448, 32, 2, 2)


def tone(words: int, voice: str = "awb") -> Spoken:
    """A made-up sentence: each word is 0.2 s of its own loudness, after 0.1 s of silence."""
    samples = np.zeros(round((0.2 + 0.2 * words) * RATE), np.float32)
    timed = []
    for number in range(words):
        start = 0.1 + 0.2 * number
        samples[round(start * RATE) : round((start + 0.2) * RATE)] = (number + 1) / 20
        timed.append(Timed("report." if number == words - 1 else "report", start, start + 0.2))
    phones = (
        Timed("pau", 0.0, 0.1),
        Timed("aa", 0.1, 0.1 + 0.2 * words),
        Timed("pau", 0.1 + 0.2 * words, 0.2 + 0.2 * words),
    )
    return Spoken(voice, samples, tuple(timed), phones)


@pytest.fixture(scope="module")
def book() -> Phrasebook:
    return phrasebook(STANDUP)


@pytest.fixture(scope="module")
def rows(book: Phrasebook) -> Codebook:
    return codebook(book.vocabulary)


@pytest.fixture(scope="module")
def studio() -> Studio:
    spoken = [tone(words, voice) for voice in ("awb", "slt") for words in (1, 3, 6, 9)]
    places, first = [], 0
    for one in spoken:
        places.append(Place(0, first, len(one.samples), one.voice, one.words, one.phones))
        first += len(one.samples)
    pcm = np.concatenate([np.rint(one.samples * 32768).astype(np.int16) for one in spoken])
    voices = {voice: tuple(place for place in places if place.voice == voice) for voice in ("awb", "slt")}
    return Studio(Corpus((pcm,), tuple(places)), voices, noises(40))


def test_sentences_stay_inside_the_vocabulary_and_look_written(book: Phrasebook) -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        sentence = book.sentence(rng)
        assert sentence[0].isupper()
        assert sentence[-1] in ".?"
        assert {word.strip(",.?").lower() for word in sentence.split()} <= set(book.vocabulary)


def test_no_sentence_of_the_sample_is_trained_on_in_the_voice_that_speaks_it_there(book: Phrasebook) -> None:
    for sentence, owners in book.owners.items():
        timed = tuple(Timed(word, 0, 0) for word in sentence.split())
        for voice in ("awb", "rms", "slt"):
            assert held_out(book, Place(0, 0, 1, voice, timed, ())) == (voice in owners)


@given(st.integers(1, 9), st.data(), st.floats(0.9, 1.1))
@settings(deadline=None, max_examples=40)
def test_words_stay_on_their_sound_when_a_sentence_is_cut_and_slowed(
    words: int, data: st.DataObject, factor: float
) -> None:
    first = data.draw(st.integers(0, words - 1))
    last = data.draw(st.integers(first + 1, words))
    part = paced(piece(tone(words), first, last), factor)
    assert len(part.words) == last - first
    for number, word in enumerate(part.words, first):
        middle = part.samples[round((word.start + 0.03) * RATE) : round((word.end - 0.03) * RATE)]
        np.testing.assert_allclose(middle, (number + 1) / 20, atol=1e-6)


def test_sound_outside_a_track_is_left_out() -> None:
    track = np.zeros(RATE, np.float32)
    put(track, np.ones(RATE, np.float32), -0.5)
    put(track, np.ones(RATE, np.float32), 0.75)
    put(track, np.ones(RATE, np.float32), 3.0)
    assert track.sum() == RATE * 0.75


def test_clips_keep_their_words_inside_and_in_order(studio: Studio) -> None:
    rng = np.random.default_rng(1)
    for seconds in (1.0, 4.0, 12.0, 28.0):
        for _ in range(6):
            clip = studio.clip(rng, seconds)
            times = [time for sentence in clip.sentences for word in sentence for time in (word.start, word.end)]
            assert np.diff(times).min(initial=0.0) > -1e-6
            assert all(0 <= time <= clip.duration <= seconds + 3 for time in times)
            assert np.isfinite(clip.samples).all()


def test_targets_are_what_whisper_writes(studio: Studio, rows: Codebook) -> None:
    rng = np.random.default_rng(2)
    seen = set()
    for _ in range(40):
        clip = studio.clip(rng, 3.0)
        inputs, targets, spans = example(rows, clip, rng, 0)
        assert len(inputs) == len(targets) == len(spans)
        asked = [rows.tokens[row] for row in targets if row != IGNORE]
        begin = rows.tokenizer.timestamp_begin
        text = rows.tokenizer.decode([token for token in asked if token < rows.tokenizer.eot]).strip()
        assert text == clip.text
        assert asked[0] == (rows.tokenizer.sot_sequence[1] if clip.sentences else rows.tokenizer.no_speech)
        assert asked[-1] == rows.tokenizer.eot
        if rows.tokenizer.no_timestamps not in asked and clip.sentences:
            stamps = [(token - begin) / 50 for token in asked if token >= begin]
            truth = [time for sentence in clip.sentences for time in (sentence[0].start, sentence[-1].end)]
            np.testing.assert_allclose(stamps, truth, atol=0.011)
        seen |= {bool(clip.sentences), rows.tokenizer.no_timestamps in asked}
    assert seen == {True, False}


def fixed(studio: Studio, rows: Codebook, frames: int = 1500) -> Batch:
    rng = np.random.default_rng(3)
    return batch(rows, [studio.clip(rng, 3.0) for _ in range(2)], rng, frames, 0)


def test_pupil_and_openai_whisper_compute_the_same(studio: Studio, rows: Codebook) -> None:
    torch.manual_seed(0)
    pupil = Pupil(rows, TINY).eval()
    given = fixed(studio, rows)
    with torch.no_grad():
        sound = pupil.heard(given.mel, 0)
        torch.testing.assert_close(sound, pupil.whisper.encoder(given.mel), atol=1e-4, rtol=1e-4)
        small = pupil.whisper(given.mel, given.inputs)
        large = full(pupil.whisper, rows, TINY)
        tokens = torch.tensor([*rows.tokens, 0])[given.inputs]
        whole = large(given.mel, tokens).double().log_softmax(dim=-1)
        asked = given.targets != IGNORE
        right = torch.tensor([*rows.tokens, 0])[given.targets.clamp(min=0)]
        expected = -whole.gather(2, right[..., None])[..., 0][asked & (given.targets < rows.timestamp(0))].mean()
        hard = torch.where(given.targets < rows.timestamp(0), given.targets, IGNORE)
        torch.testing.assert_close(pupil.mistaken(small, hard).double(), expected, atol=1e-4, rtol=1e-4)


def test_a_stored_model_is_loaded_by_openai_whisper(studio: Studio, rows: Codebook, tmp_path: Path) -> None:
    torch.manual_seed(1)
    pupil = Pupil(rows, TINY).eval()
    kept(tmp_path / "model.safetensors", pupil.whisper, rows, TINY)
    torch.save(expanded(tmp_path / "model.safetensors"), tmp_path / "model.pt")
    model = whisper.load_model(str(tmp_path / "model.pt"), device="cpu")
    given = fixed(studio, rows)
    tokens = torch.tensor([*rows.tokens, 0])[given.inputs]
    with torch.no_grad():
        before, after = full(pupil.whisper, rows, TINY)(given.mel, tokens), model(given.mel, tokens)
    torch.testing.assert_close(before, after, atol=0.02, rtol=0.02)
    assert model.is_multilingual
    assert (tmp_path / "model.safetensors").stat().st_size < 500_000


def test_learning_lowers_every_loss_and_goes_on_where_it_was_stopped(
    studio: Studio, rows: Codebook, tmp_path: Path
) -> None:
    def fresh() -> Course[Batch]:
        torch.manual_seed(2)
        return course(Pupil(rows, TINY))

    given = fixed(studio, rows, frames=240)
    whole = fresh()
    losses = []
    for step in range(12):
        losses.append(whole.learn(given, 4e-3))
        if step == 5:
            whole.save(tmp_path / "state.pt")
    assert sum(losses[-1]) < 0.8 * sum(losses[0])
    resumed = fresh()
    resumed.resume(tmp_path / "state.pt")
    assert resumed.step == 6
    again = [resumed.learn(given, 4e-3) for _ in range(6)]
    np.testing.assert_allclose(again, losses[6:], rtol=1e-5)


def test_a_step_depends_on_seed_and_number_alone(studio: Studio, rows: Codebook) -> None:
    plan = Plan(10, 1e-3, 5)
    one, two, other = (lesson(studio, rows, plan, step) for step in (3, 3, 4))
    assert torch.equal(one.mel, two.mel)
    assert torch.equal(one.targets, two.targets)
    assert one.mel.shape != other.mel.shape or not torch.equal(one.mel, other.mel)


@pytest.mark.parametrize(
    ("heard", "wrong"),
    [("We have a contract", 0), ("We have the contract.", 1), ("", 4), ("We have got a contract", 1)],
)
def test_word_errors(heard: str, wrong: int) -> None:
    assert errors(heard, "We have a contract.") == (wrong, 4)
