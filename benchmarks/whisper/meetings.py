"""The meetings that are transcribed, noise in turns or a recording with its true turns; the cpWER of their words."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from meetsplit.pipeline.data import Audio, Span
from meetsplit.pipeline.settings import Settings
from meetsplit.pipeline.transcribers.whisper_languages import RATE

if TYPE_CHECKING:
    from meetsplit.scoring.sessions import Session


@dataclass(frozen=True, slots=True, eq=False)
class Meeting:
    """Clips of each speaker's stream, on the clock of a meeting of ``duration`` seconds.

    ``recording`` is the file that they come from, None for noise.
    """

    streams: tuple[tuple[Audio, ...], ...]
    duration: float
    recording: Path | None = None

    @property
    def turns(self) -> list[Audio]:
        """All clips, stream by stream."""
        return [clip for clips in self.streams for clip in clips]

    @property
    def speech(self) -> float:
        """Seconds of all clips together."""
        return sum(clip.duration for clip in self.turns)

    def tracks(self) -> Iterator[Audio]:
        """Each stream in full length, silent between the clips."""
        for clips in self.streams:
            samples = np.zeros(round(self.duration * RATE), np.float32)
            for clip in clips:
                first = round(clip.start * RATE)
                samples[first : first + len(clip.samples)] = clip.samples[: len(samples) - first]
            yield Audio(samples, RATE)


def noise_meeting(minutes: float, speakers: int = 4) -> Meeting:
    """A meeting of noise: speakers in turn, turns of log-normal length, half a second between them; always the same."""
    rng = np.random.default_rng(0)
    streams: list[list[Audio]] = [[] for _ in range(speakers)]
    at, last = 0.5, -1
    while True:
        length = round(float(np.clip(rng.lognormal(1.3, 0.8), 0.5, 20.0)) * RATE)
        if at + length / RATE > 60 * minutes:
            return Meeting(tuple(map(tuple, streams)), 60 * minutes)
        last = int(rng.choice([number for number in range(speakers) if number != last]))
        swell = 0.1 * (0.55 - 0.45 * np.cos(2 * np.pi * 4.0 * np.arange(length) / RATE))  # even noise is no voice
        samples = (swell * rng.standard_normal(length, np.float32)).astype(np.float32)
        streams[last].append(Audio(samples, RATE, round(at * RATE) / RATE))
        at += length / RATE + 0.5


def recorded_meeting(recording: Path) -> Meeting:
    """A recording with the turns of the .rttm beside it, overlaps taken apart by `adapted` without adaptation."""
    from meetsplit.pipeline.audio.wav import read_span
    from meetsplit.pipeline.cache.stage_cache import StageCache
    from meetsplit.pipeline.run import Pipeline

    with tempfile.TemporaryDirectory() as folder:
        no_words = Path(folder) / "no-words.stm"
        no_words.touch()
        settings = Settings(
            rttm=recording.with_suffix(".rttm"),
            separator="adapted",
            adapt_budget=0.0,
            script=no_words,
            device="cpu",
            offline=True,
        )
        run = Pipeline(settings).open(recording, StageCache(Path(folder)))
        clips: dict[str, list[Audio]] = {}
        for info in run.separate():
            clips.setdefault(info.speaker, []).append(read_span(run.tracks[info.speaker], info.span))
        streams = tuple(tuple(clips[speaker]) for speaker in sorted(clips))
        return Meeting(streams, run.diarize().duration, recording)


def cpwer(meetings: Sequence[Meeting], texts: Sequence[Sequence[str]]) -> float:
    """cpWER in percent of all meetings together, with a text for each clip, or for each stream, of each of them."""
    from meetsplit.scoring.pairing import Pair
    from meetsplit.scoring.protocol import Protocol
    from meetsplit.scoring.scores import score

    pairs = [Pair(f"{n}", *_sessions(*own)) for n, own in enumerate(zip(meetings, texts, strict=True))]
    rate = score(pairs, Protocol()).pooled.total.words["cpwer"].rate
    return 100 * rate if rate is not None else float("nan")


def _sessions(meeting: Meeting, texts: Sequence[str]) -> tuple[Session, Session]:
    """What was said by the ``.stm`` beside the recording, and what was understood."""
    from meetsplit.scoring.session_files import read_sessions
    from meetsplit.scoring.sessions import Utterance, make_session

    if meeting.recording is None:
        raise ValueError("noise has no words")
    whole = Span(0.0, meeting.duration)
    labels = [str(number) for number, clips in enumerate(meeting.streams) for _ in clips]
    spans = [clip.span for clip in meeting.turns]
    if len(texts) == len(meeting.streams):
        labels, spans = [str(number) for number in range(len(texts))], [whole] * len(texts)
    utterances = [Utterance(*entry) for entry in zip(spans, labels, texts, strict=True) if entry[2].strip()]
    (reference,) = read_sessions(meeting.recording.with_suffix(".stm"))
    return reference, make_session(reference.recording, "the benchmark", utterances)
