"""The `sphinx` transcriber with the real decoder: words of the sample, and refusals."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from meetsplit.pipeline.audio.reading import read
from meetsplit.pipeline.data import Audio, ClipTranscript, Span
from meetsplit.pipeline.errors import MissingDependency, SettingsError, StageError
from meetsplit.pipeline.events import ignore_events
from meetsplit.pipeline.settings import Settings
from meetsplit.pipeline.transcribers.sphinx import SphinxTranscriber

SAMPLE = Path(__file__).parents[1] / "sample_data" / "standup.m4a"
REFERENCE = "good morning everyone let us start with our plan for this week and then we can talk about the money"

needs_sphinx = pytest.mark.skipif(
    "not __import__('importlib.util').util.find_spec('pocketsphinx')", reason="the extra [offline] is not installed"
)


@pytest.fixture(scope="module")
def sphinx() -> SphinxTranscriber:
    return SphinxTranscriber.load(Settings(language="English"), {}, "cpu")


@pytest.fixture(scope="module")
def sentence() -> Audio:
    return read(SAMPLE).crop(Span(0.85, 6.43))


@pytest.fixture(scope="module")
def answer(sphinx: SphinxTranscriber, sentence: Audio) -> ClipTranscript:
    return transcribe(sphinx, sentence)


def transcribe(sphinx: SphinxTranscriber, clip: Audio) -> ClipTranscript:
    (answer,) = sphinx.transcribe([clip], ignore_events)
    return answer


@needs_sphinx
def test_words_and_times_of_the_sample(answer: ClipTranscript) -> None:
    words = [word.text.lower() for word in answer.words]
    assert len(set(words) & set(REFERENCE.split())) >= 15
    first = answer.words[0]
    assert first.text == "good"
    assert (first.span.start, first.span.end) == pytest.approx((0.84, 0.98), abs=0.1)
    assert answer.language == "en"


@needs_sphinx
def test_no_marks_of_the_decoder_reach_the_text(answer: ClipTranscript) -> None:
    assert all(letter.isalpha() or letter in "'-." for word in answer.words for letter in word.text)


@needs_sphinx
def test_loudness_changes_no_word(sphinx: SphinxTranscriber, sentence: Audio) -> None:
    greeting = sentence.crop(Span(0.85, 2.25))
    quiet = greeting.replaced(greeting.samples * np.float32(0.02))
    assert (
        [word.text for word in transcribe(sphinx, quiet).words]
        == [word.text for word in transcribe(sphinx, greeting).words]
        != []
    )


@needs_sphinx
def test_other_threads_go_on_while_it_decodes(sphinx: SphinxTranscriber, sentence: Audio) -> None:
    """The bars of a terminal are drawn by a thread, and pocketsphinx keeps Python's lock."""
    turns = 0
    is_done = threading.Event()

    def count() -> None:
        nonlocal turns
        while not is_done.wait(0.001):
            turns += 1

    thread = threading.Thread(target=count)
    thread.start()
    transcribe(sphinx, sentence)
    is_done.set()
    thread.join()
    assert turns > 10


@needs_sphinx
def test_a_decoder_that_is_killed_is_a_sentence(sentence: Audio) -> None:
    sphinx = SphinxTranscriber.load(Settings(threads=1), {}, "cpu")
    transcribe(sphinx, sentence.crop(Span(0.85, 1.5)))
    process = sphinx._idle[0]._process
    process.kill()
    process.wait()
    greeting = sentence.crop(Span(0.85, 2.25))
    with pytest.raises(StageError, match="pocketsphinx ended with code -9"):
        transcribe(sphinx, greeting)
    assert transcribe(sphinx, greeting).words, "the next clip begins with another process"


@needs_sphinx
def test_several_decoders_answer_in_the_order_of_the_clips(sentence: Audio) -> None:
    long, short, silent = sentence, sentence.crop(Span(0.85, 2.25)), sentence.crop(Span(0.0, 0.5))
    streams = [[long, silent, short], [], [short, long]]
    alone, together = (SphinxTranscriber(decoders) for decoders in (1, 3))
    expected = [transcribe(alone, clip) for clips in streams for clip in clips]
    assert list(together.transcribe_streams(streams, ignore_events)) == expected
    assert expected[0].words != expected[2].words
    assert len(together._idle) > 1


@needs_sphinx
def test_a_transcription_that_is_given_up_does_not_wait_for_the_clips_that_are_left(sentence: Audio) -> None:
    sphinx = SphinxTranscriber(2)
    minutes = Audio(np.tile(sentence.samples, 40), sentence.rate)
    answers = sphinx.transcribe([sentence.crop(Span(0.85, 2.25)), minutes], ignore_events)
    assert next(answers).words
    answers.close()
    assert len(sphinx._idle) == 1, "the other decoder was killed while it had its clip"
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("sphinx")]


@pytest.mark.parametrize("language", ["de", "German", "zh"])
def test_other_languages_are_refused_with_the_way_out(language: str) -> None:
    with pytest.raises(SettingsError, match="--transcriber whisper"):
        SphinxTranscriber.load(Settings(language=language), {}, "cpu")


def test_translation_is_refused_with_the_way_out() -> None:
    with pytest.raises(SettingsError, match="--transcriber whisper"):
        SphinxTranscriber.load(Settings(task="translate"), {}, "cpu")


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(MissingDependency, match=r"pip install 'meetsplit\[offline\]'"):
        SphinxTranscriber.load(Settings(), {}, "cpu")
