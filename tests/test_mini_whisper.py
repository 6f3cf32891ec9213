"""The real Whisper path with a trained model: the miniature Whisper of ``tests/models`` on the sample meeting."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import whisper

from meetsplit.pipeline.audio.reading import read, write_wav
from meetsplit.pipeline.data import Audio, Span, Turn
from meetsplit.pipeline.data.timeline import gaps
from meetsplit.pipeline.diarizers.rttm import read_rttm
from meetsplit.pipeline.events import ignore_events
from meetsplit.pipeline.run import Pipeline
from meetsplit.pipeline.settings import Settings
from meetsplit.pipeline.transcribers.whisper import WhisperTranscriber
from meetsplit.scoring.pairing import Pair
from meetsplit.scoring.protocol import Protocol
from meetsplit.scoring.scores import score
from meetsplit.scoring.session_files import read_sessions
from meetsplit.scoring.sessions import Utterance, make_session
from meetsplit.training.mini_whisper.evaluation import word_errors
from meetsplit.training.mini_whisper.model import to_openai_checkpoint
from meetsplit.training.mini_whisper.targets import english_tokenizer

ROOT = Path(__file__).parents[1]
STORED = ROOT / "tests" / "models" / "mini-whisper.safetensors"
SAMPLE = ROOT / "sample_data"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model in the format of OpenAI's own files."""
    english_tokenizer()  # whisper leaves a file open when it first reads its tokens; here that is expected
    path = tmp_path_factory.mktemp("mini") / "mini.pt"
    torch.save(to_openai_checkpoint(STORED), path)
    return path


@pytest.fixture(scope="module")
def transcriber(checkpoint: Path) -> WhisperTranscriber:
    return WhisperTranscriber.load(Settings(model=str(checkpoint)), {"model": checkpoint}, "cpu")


@pytest.fixture(scope="module")
def meeting() -> Audio:
    return read(SAMPLE / "standup.m4a", 16000)


def utterances_without_overlap(meeting: Audio) -> Iterator[tuple[Audio, str, tuple[tuple[str, float], ...]]]:
    """The utterances without overlap: sound, text, and the words with their true starts."""
    rows = [line.split(maxsplit=5) for line in (SAMPLE / "standup.stm").read_text("utf-8").splitlines()]
    words = [line.split() for line in (SAMPLE / "standup.ctm").read_text("utf-8").splitlines()]
    for _, _, speaker, start, end, text in rows:
        others = [
            row
            for row in rows
            if row[2] != speaker and float(row[3]) < float(end) + 0.1 and float(row[4]) > float(start) - 0.1
        ]
        if not others:
            begin, stop = float(start), float(end)
            timed = tuple(
                (word, float(at)) for _, who, at, _, word in words if who == speaker and begin - 0.1 <= float(at) < stop
            )
            yield meeting.crop(Span(max(begin - 0.15, 0.0), stop + 0.15)), text, timed


def test_the_model_is_the_one_that_its_card_describes() -> None:
    card = STORED.with_suffix(".md").read_text("utf-8")
    assert hashlib.sha256(STORED.read_bytes()).hexdigest() in re.findall(r"\b[0-9a-f]{64}\b", card)
    assert STORED.stat().st_size <= 8_000_000


def test_openai_whisper_loads_and_hears_it(checkpoint: Path, meeting: Audio) -> None:
    model = whisper.load_model(str(checkpoint), device="cpu")
    assert model.is_multilingual
    clip, text, _ = next(utterances_without_overlap(meeting))
    result = whisper.transcribe(model, np.array(clip.samples), fp16=False)
    assert result["language"] == "en"
    wrong, count = word_errors(result["text"], text)
    assert wrong <= 0.15 * count


def test_undisturbed_utterances_are_understood_and_timed(transcriber: WhisperTranscriber, meeting: Audio) -> None:
    clips = list(utterances_without_overlap(meeting))[::2]
    assert len(clips) >= 5
    totals, start_errors = np.zeros(2), []
    for (clip, text, timed), transcript in zip(
        clips, transcriber.transcribe([clip for clip, _, _ in clips], ignore_events), strict=True
    ):
        assert transcript.language == "en"
        assert all(clip.span.start <= word.span.start <= word.span.end <= clip.span.end for word in transcript.words)
        totals += word_errors(" ".join(word.text for word in transcript.words), text)
        if [re.sub(r"[^a-z0-9']", "", word.text.lower()) for word in transcript.words] == [word for word, _ in timed]:
            start_errors += [abs(word.span.start - at) for word, (_, at) in zip(transcript.words, timed, strict=True)]
    assert totals[0] <= 0.1 * totals[1]
    assert len(start_errors) >= 25
    assert np.median(start_errors) <= 0.08
    assert np.percentile(start_errors, 90) <= 0.2


def test_a_batch_of_one_and_of_many_have_the_same_words(checkpoint: Path, meeting: Audio) -> None:
    clips = sorted((clip for clip, _, _ in utterances_without_overlap(meeting)), key=lambda clip: clip.duration)[:3]
    words = []
    for size in (1, 16):
        settings = Settings(language="en", model=str(checkpoint))
        transcriber = WhisperTranscriber.load(settings, {"model": checkpoint}, "cpu")
        transcriber.batch_size = size
        words.append([answer.words for answer in transcriber.transcribe(clips, ignore_events)])
    for alone, together in zip(*words, strict=True):
        assert len(alone) >= 3
        assert [(word.text, word.span) for word in alone] == [(word.text, word.span) for word in together]


@pytest.mark.parametrize("level", [0.0, 1e-4])
def test_silence_and_noise_have_no_words(transcriber: WhisperTranscriber, level: float) -> None:
    noise = np.random.default_rng(0).standard_normal(16000 * 6).astype(np.float32) * np.float32(level)
    (transcript,) = transcriber.transcribe([Audio(noise, 16000)], ignore_events)
    assert transcript.words == ()


def test_a_shifted_clip_shifts_its_words(transcriber: WhisperTranscriber, meeting: Audio) -> None:
    clip, _, _ = min(utterances_without_overlap(meeting), key=lambda one: one[0].duration)
    later = Audio(np.array(clip.samples), clip.rate, clip.start + 100.0)
    here, there = (next(iter(transcriber.transcribe([one], ignore_events))).words for one in (clip, later))
    assert len(here) >= 5
    assert [word.text for word in here] == [word.text for word in there]
    np.testing.assert_allclose([w.span.start + 100 for w in here], [w.span.start for w in there], atol=1e-6)


def test_a_prompt_is_accepted(checkpoint: Path, meeting: Audio) -> None:
    prompted = WhisperTranscriber.load(
        Settings(initial_prompt="The report, the bank and Kubernetes.", language="en"), {"model": checkpoint}, "cpu"
    )
    clip, text, _ = next(utterances_without_overlap(meeting))
    (transcript,) = prompted.transcribe([clip], ignore_events)
    wrong, count = word_errors(" ".join(word.text for word in transcript.words), text)
    assert wrong <= 0.2 * count


def first_third(meeting: Audio, turns: Sequence[Turn]) -> Span:
    """The sample meeting up to the first pause after a third of it."""
    pauses = gaps([turn.span for turn in turns], meeting.span)
    end = next(pause.start for pause in pauses if pause.start >= meeting.duration / 3)
    return Span(0.0, end)


def write_excerpt(meeting: Audio, span: Span, folder: Path) -> Path:
    """The part of the sample meeting in ``span``, from its start on, with its turns and words; the recording's path."""
    write_wav(folder / "standup.wav", Audio(np.array(meeting.crop(span).samples), meeting.rate))
    for suffix, start_field in (("rttm", 3), ("stm", 3)):
        rows = [
            line
            for line in (SAMPLE / f"standup.{suffix}").read_text("utf-8").splitlines(keepends=True)
            if float(line.split()[start_field]) < span.end
        ]
        (folder / f"standup.{suffix}").write_text("".join(rows), "utf-8")
    return folder / "standup.wav"


def cpwer_with_true_turns(recording: Path, reference: Path, turns: Path, checkpoint: Path) -> float:
    """cpWER of the whole pipeline with the reference's turns, `adapted` separation without adaptation, and Whisper."""
    settings = Settings(
        rttm=turns,
        transcriber="whisper",
        model=str(checkpoint),
        separator="adapted",
        adapt_budget=0.0,
        device="cpu",
        offline=True,
    )
    transcript = Pipeline(settings).run(recording)
    hypothesis = (
        Utterance(
            Span(segment.words[0].span.start, segment.words[-1].span.end),
            segment.speaker,
            " ".join(word.text for word in segment.words),
        )
        for segment in transcript.segments
    )
    (session,) = read_sessions(reference)
    pair = Pair("standup", session, make_session("standup", "the miniature Whisper", hypothesis))
    rate = score([pair], Protocol()).pooled.total.words["cpwer"].rate
    assert rate is not None
    return rate


def test_the_first_third_of_the_sample_meeting_with_true_turns(
    checkpoint: Path, meeting: Audio, tmp_path: Path
) -> None:
    span = first_third(meeting, read_rttm(SAMPLE / "standup.rttm"))
    recording = write_excerpt(meeting, span, tmp_path)
    rate = cpwer_with_true_turns(recording, tmp_path / "standup.stm", tmp_path / "standup.rttm", checkpoint)
    assert rate <= 0.15


@pytest.mark.slow
@pytest.mark.exhaustive
def test_the_sample_meeting_with_true_turns(checkpoint: Path) -> None:
    rate = cpwer_with_true_turns(SAMPLE / "standup.m4a", SAMPLE / "standup.stm", SAMPLE / "standup.rttm", checkpoint)
    assert rate <= 0.15
