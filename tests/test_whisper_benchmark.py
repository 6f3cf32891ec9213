"""The benchmark of Whisper: every window gets the same number of tokens, whoever decodes it."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pytest
import whisper
from whisper.model import ModelDimensions

from meetsplit.benchmarks.whisper.measuring import Row, measure_ours, measure_reference
from meetsplit.benchmarks.whisper.meetings import noise_meeting
from meetsplit.benchmarks.whisper.models import DIMENSIONS, random_model, token_count
from meetsplit.benchmarks.whisper.report import table
from meetsplit.benchmarks.words import Spoken, time_errors
from meetsplit.pipeline.data import Audio, ClipTranscript, Span, Word


def test_both_decode_the_fixed_number_of_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DIMENSIONS, "base", ModelDimensions(80, 1500, 64, 8, 1, 51865, 448, 64, 8, 6))
    decoded: list[int] = []
    decode = whisper.Whisper.decode

    def counted(*arguments: Any, **options: Any) -> Any:
        result = decode(*arguments, **options)
        decoded.append(len(result.tokens))
        return result

    monkeypatch.setattr(whisper.Whisper, "decode", counted)
    meeting = noise_meeting(0.2, speakers=2)
    lengths = [token_count(clip.duration) for clip in meeting.turns]
    with warnings.catch_warnings():  # whisper sorts tensors with NumPy, and leaves a file open
        warnings.simplefilter("ignore")
        model = random_model("base", "cpu")
        reference = list(measure_reference("base", model, meeting, streams=False))
        ours = list(measure_ours("base", model, meeting, (2,), (0.0, 28.0)))
    assert decoded[1:] == lengths, "after a turn to warm up"
    assert [row.windows for row in (*reference, *ours)][:2] == [len(lengths)] * 2
    assert ours[1].windows < len(lengths), "packed windows are fewer"
    assert [len(row.texts) for row in ours] == [len(lengths)] * 2
    assert all(text.split()[0] == "word" for text in ours[0].texts)


def test_the_meeting_of_noise_is_always_the_same_and_nobody_talks_twice_in_a_row() -> None:
    one, other = noise_meeting(1.0), noise_meeting(1.0)
    assert [clip.start for clip in one.turns] == [clip.start for clip in other.turns]
    order = sorted((clip.start, speaker) for speaker, clips in enumerate(one.streams) for clip in clips)
    assert all(before != after for (_, before), (_, after) in itertools.pairwise(order))
    for track, clips in zip(one.tracks(), one.streams, strict=True):
        assert len(track.samples) == 60 * 16000
        assert np.count_nonzero(track.samples) <= sum(len(clip.samples) for clip in clips)


def test_times_are_compared_of_words_that_were_understood() -> None:
    def words(text: str, start: float) -> list[Word]:
        return [Word(Span(start + n, start + n + 0.5), word) for n, word in enumerate(text.split())]

    class Understands:
        rate = 16000

        def transcribe(self, clips: Iterable[Audio], on_event: object) -> Iterator[ClipTranscript]:
            return (ClipTranscript(tuple(words("good evening, every one", 0.1))) for _ in clips)

    turns = [Spoken(Audio(np.zeros(16000, np.float32), 16000), tuple(words("Good morning every one.", 0.0)))]
    errors = time_errors(Understands(), turns)
    assert errors.spoken == 4
    assert errors.starts == pytest.approx([0.1] * 3)
    assert errors.ends == pytest.approx([0.1] * 3)


def test_times_faster_are_those_for_each_minute_of_the_meeting() -> None:
    rows = [Row("x", "whisper.transcribe per turn", 1.0, 9, 30.0, 30.0, None), Row("x", "ours", 2.0, 9, 6.0, 9.0, 1.5)]
    assert [line.split("|")[8].strip() for line in list(table(rows))[2:]] == ["1.0", "10.0"]
