"""The real Whisper path on a model that really hears: the miniature Whisper of ``tests/models`` on the sample meeting."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import whisper

from meetsplit.pipeline.audio.reading import read, write_wav
from meetsplit.pipeline.data import Audio, Span
from meetsplit.pipeline.events import ignore_events
from meetsplit.pipeline.run import Pipeline
from meetsplit.pipeline.settings import Settings
from meetsplit.pipeline.transcribers.whisper import WhisperTranscriber
from meetsplit.scoring.pairing import Pair
from meetsplit.scoring.protocol import Protocol
from meetsplit.scoring.scores import score
from meetsplit.scoring.session_files import read_sessions
from meetsplit.scoring.sessions import Utterance, make_session
from meetsplit.training.mini_whisper.evaluation import errors
from meetsplit.training.mini_whisper.model import expanded
from meetsplit.training.mini_whisper.targets import english

ROOT = Path(__file__).parents[1]
STORED = ROOT / "tests" / "models" / "mini-whisper.safetensors"
SAMPLE = ROOT / "sample_data"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model in the format of OpenAI's own files."""
    english()  # whisper leaves a file open when it first reads its tokens; here that is expected
    path = tmp_path_factory.mktemp("mini") / "mini.pt"
    torch.save(expanded(STORED), path)
    return path


@pytest.fixture(scope="module")
def transcriber(checkpoint: Path) -> WhisperTranscriber:
    return WhisperTranscriber.load(Settings(), {"model": checkpoint}, "cpu")


@pytest.fixture(scope="module")
def meeting() -> Audio:
    return read(SAMPLE / "standup.m4a", 16000)


def alone(meeting: Audio) -> Iterator[tuple[Audio, str, tuple[tuple[str, float], ...]]]:
    """The utterances that nobody talks over: sound, text, and the words with their true starts."""
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
    clip, text, _ = next(alone(meeting))
    result = whisper.transcribe(model, np.array(clip.samples), fp16=False)
    assert result["language"] == "en"
    wrong, count = errors(result["text"], text)
    assert wrong <= 0.15 * count


def test_undisturbed_utterances_are_understood_and_timed(transcriber: WhisperTranscriber, meeting: Audio) -> None:
    clips = list(alone(meeting))
    assert len(clips) >= 8
    totals, off = np.zeros(2), []
    for (clip, text, timed), heard in zip(
        clips, transcriber.transcribe([clip for clip, _, _ in clips], ignore_events), strict=True
    ):
        assert heard.language == "en"
        assert all(clip.span.start <= word.span.start <= word.span.end <= clip.span.end for word in heard.words)
        totals += errors(" ".join(word.text for word in heard.words), text)
        if [re.sub(r"[^a-z0-9']", "", word.text.lower()) for word in heard.words] == [word for word, _ in timed]:
            off += [abs(word.span.start - at) for word, (_, at) in zip(heard.words, timed, strict=True)]
    assert totals[0] <= 0.1 * totals[1]
    assert len(off) >= 50
    assert np.median(off) <= 0.08
    assert np.percentile(off, 90) <= 0.2


@pytest.mark.parametrize("level", [0.0, 1e-4])
def test_where_nobody_speaks_nothing_is_heard(transcriber: WhisperTranscriber, level: float) -> None:
    noise = np.random.default_rng(0).standard_normal(16000 * 6).astype(np.float32) * np.float32(level)
    (heard,) = transcriber.transcribe([Audio(noise, 16000)], ignore_events)
    assert heard.words == ()


def test_a_shifted_clip_shifts_its_words(transcriber: WhisperTranscriber, meeting: Audio) -> None:
    clip, _, _ = min(alone(meeting), key=lambda one: one[0].duration)
    later = Audio(np.array(clip.samples), clip.rate, clip.start + 100.0)
    here, there = (next(iter(transcriber.transcribe([one], ignore_events))).words for one in (clip, later))
    assert len(here) >= 5
    assert [word.text for word in here] == [word.text for word in there]
    np.testing.assert_allclose([w.span.start + 100 for w in here], [w.span.start for w in there], atol=1e-6)


def test_a_prompt_is_accepted(checkpoint: Path, meeting: Audio) -> None:
    prompted = WhisperTranscriber.load(
        Settings(initial_prompt="The report, the bank and Kubernetes.", language="en"), {"model": checkpoint}, "cpu"
    )
    clip, text, _ = next(alone(meeting))
    (heard,) = prompted.transcribe([clip], ignore_events)
    wrong, count = errors(" ".join(word.text for word in heard.words), text)
    assert wrong <= 0.2 * count


def excerpt(meeting: Audio, folder: Path) -> Path:
    """Fifty seconds of the sample meeting that begin and end between two turns, with much overlap: sound, turns and words."""
    span = Span(30.4, 83.2)
    write_wav(folder / "standup.wav", Audio(np.array(meeting.crop(span).samples), meeting.rate))
    for suffix, times in (("rttm", (3,)), ("stm", (3, 4))):
        kept = []
        for line in (SAMPLE / f"standup.{suffix}").read_text("utf-8").splitlines():
            fields = line.split()
            if span.start <= float(fields[times[0]]) < span.end:
                for at in times:
                    fields[at] = f"{float(fields[at]) - span.start:.3f}"
                kept.append(" ".join(fields) + "\n")
        (folder / f"standup.{suffix}").write_text("".join(kept), "utf-8")
    return folder / "standup.wav"


def test_a_part_of_the_sample_meeting_with_true_turns(checkpoint: Path, meeting: Audio, tmp_path: Path) -> None:
    recording = excerpt(meeting, tmp_path)
    settings = Settings(
        rttm=tmp_path / "standup.rttm",
        transcriber="whisper",
        model=str(checkpoint),
        separator="adapted",
        adapt_budget=0.0,
        device="cpu",
        offline=True,
    )
    transcript = Pipeline(settings).run(recording)
    heard = (
        Utterance(Span(s.words[0].span.start, s.words[-1].span.end), s.speaker, " ".join(w.text for w in s.words))
        for s in transcript.segments
    )
    (reference,) = read_sessions(tmp_path / "standup.stm")
    assert sum(len(utterance.text.split()) for utterance in reference.utterances) > 100
    scores = score([Pair("standup", reference, make_session("standup", "the miniature Whisper", heard))], Protocol())
    rate = scores.pooled.total.words["cpwer"].rate
    assert rate is not None
    assert rate <= 0.15
