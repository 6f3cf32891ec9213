"""Contract of the `Transcriber` protocol: one suite, every backend, real loaders.

The clips are the first sentence of the sample meeting, spoken by a synthetic voice. A trained miniature Whisper fits in
as one more line of `make`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from meetsplit.pipeline.audio.reading import read
from meetsplit.pipeline.data import Audio, ClipTranscript, Span
from meetsplit.pipeline.events import ignore_events
from meetsplit.pipeline.protocols import BatchTranscriber, Transcriber, transcribe_all
from meetsplit.pipeline.settings import Settings
from meetsplit.pipeline.transcribers.given_words import GivenWordsTranscriber

SAMPLE = Path(__file__).parents[2] / "sample_data" / "standup.m4a"
SENTENCE = Span(0.85, 3.2)

Make = Callable[[float], Transcriber]
"""A transcriber for clips that lie so many seconds later than in the sample: given words have to be shifted."""


@pytest.fixture(scope="module")
def sentence() -> Audio:
    """A clip of speech, "good morning everyone let us", in its place on the clock."""
    return read(SAMPLE).crop(SENTENCE)


@pytest.fixture(scope="module", params=["whisper", "faster-whisper", "sphinx", "script"])
def make(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Make:
    if request.param == "whisper":
        from meetsplit.pipeline.transcribers.whisper import WhisperTranscriber

        path = request.getfixturevalue("whisper_file")
        whisper = WhisperTranscriber.load(Settings(language="en", model=str(path)), {"model": path}, "cpu")
        return lambda later: whisper
    if request.param == "faster-whisper":
        pytest.importorskip("ctranslate2", reason="the extra [fast] is not installed")
        from meetsplit.pipeline.transcribers.faster_whisper import FasterWhisperTranscriber

        folder = request.getfixturevalue("ctranslate2_folder")
        settings = Settings(language="en", model=str(folder))
        faster_whisper = FasterWhisperTranscriber.load(settings, {"model": folder}, "cpu")
        return lambda later: faster_whisper
    if request.param == "sphinx":
        pytest.importorskip("pocketsphinx", reason="the extra [offline] is not installed")
        from meetsplit.pipeline.transcribers.sphinx import SphinxTranscriber

        sphinx = SphinxTranscriber.load(Settings(), {}, "cpu")
        return lambda later: sphinx
    folder = tmp_path_factory.mktemp("script")

    def script(later: float) -> Transcriber:
        path = folder / f"{later}.ctm"
        words = (
            ("good", 0.84),
            ("morning", 1.1),
            ("everyone", 1.7),
            ("let", 2.4),
            ("us", 2.7),
            ("start", 3.1),
            ("now", 9.0),
        )
        path.write_text("".join(f"standup 1 {start + later} 0.25 {word}\n" for word, start in words), "utf-8")
        return GivenWordsTranscriber.load(Settings(script=path), {}, "cpu")

    return script


def shifted(clip: Audio, later: float) -> Audio:
    return Audio(clip.samples, clip.rate, clip.start + later)


def transcribe(transcriber: Transcriber, *clips: Audio) -> list[ClipTranscript]:
    return list(transcriber.transcribe(clips, ignore_events))


def test_it_is_a_transcriber(make: Make) -> None:
    assert isinstance(make(0.0), Transcriber)
    assert make(0.0).rate == 16000


def test_no_clips_no_answers(make: Make) -> None:
    assert transcribe(make(0.0)) == []


def test_words_are_inside_the_clip_sorted_and_stripped(make: Make, sentence: Audio) -> None:
    (answer,) = transcribe(make(0.0), sentence)
    words = answer.words
    assert words
    assert list(words) == sorted(words)
    assert all(sentence.span.start <= word.span.start < word.span.end <= sentence.span.end for word in words)
    assert all(word.text == word.text.strip() != "" for word in words)
    assert all(word.confidence is None or 0.0 <= word.confidence <= 1.0 for word in words)


def test_one_answer_per_clip_in_order_when_asked_for(make: Make, sentence: Audio) -> None:
    consumed: list[int] = []

    def clips() -> Iterator[Audio]:
        for number, clip in enumerate((sentence, Audio(np.zeros(8000, np.float32), 16000, 50.0), sentence)):
            consumed.append(number)
            yield clip

    transcriber = make(0.0)
    answers = transcriber.transcribe(clips(), ignore_events)
    assert consumed == []
    first = next(answers)
    assert consumed == ([0, 1, 2] if isinstance(transcriber, BatchTranscriber) else [0])
    rest = list(answers)
    assert [bool(answer.words) for answer in (first, *rest)] == [True, False, True]
    assert rest[1] == first, "an answer depends on its clip only"


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.2, 3.0])
def test_silence_gives_no_words(make: Make, seconds: float) -> None:
    assert transcribe(make(0.0), Audio(np.zeros(round(seconds * 16000), np.float32), 16000, 1.0))[0].words == ()


def test_a_click_is_no_word_but_ends_nothing(make: Make) -> None:
    (answer,) = transcribe(make(0.0), Audio(np.full(100, 0.5, np.float32), 16000, 20.0))
    assert answer.words == ()


def test_a_later_clip_has_later_words(make: Make, sentence: Audio) -> None:
    (here,), (there,) = transcribe(make(0.0), sentence), transcribe(make(100.0), shifted(sentence, 100.0))
    assert [word.text for word in there.words] == [word.text for word in here.words]
    assert [word.confidence for word in there.words] == pytest.approx([word.confidence for word in here.words])
    for a, b in zip(here.words, there.words, strict=True):
        assert (b.span.start - 100.0, b.span.end - 100.0) == pytest.approx((a.span.start, a.span.end), abs=1e-6)


def test_streams_of_several_people_are_answered_one_after_another(make: Make, sentence: Audio) -> None:
    silence = Audio(np.zeros(8000, np.float32), 16000, 50.0)
    alone = transcribe(make(0.0), sentence)[0]
    answers = list(transcribe_all(make(0.0), [[silence, sentence], [], [sentence, sentence]], ignore_events))
    assert [answer.words for answer in answers] == [(), alone.words, alone.words, alone.words]


def test_silence_appended_adds_no_word(make: Make, sentence: Audio) -> None:
    longer = Audio(np.concatenate([sentence.samples, np.zeros(8 * 16000, np.float32)]), 16000, sentence.start)
    assert transcribe(make(0.0), longer) == transcribe(make(0.0), sentence)


def test_the_clip_is_left_as_it_was(make: Make, sentence: Audio) -> None:
    before = sentence.samples.copy()
    transcribe(make(0.0), sentence)
    assert (sentence.samples == before).all()
    assert not sentence.samples.flags.writeable
