"""The measurements: the same meeting by the reference and by each of our transcribers, a row each."""

from __future__ import annotations

import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from meetsplit.benchmarks.whisper.meetings import Meeting, cpwer
from meetsplit.benchmarks.whisper.models import (
    FixedTokenFasterWhisper,
    FixedTokenTranscriber,
    random_model,
    token_count,
    trained_model,
)
from meetsplit.benchmarks.whisper.reference import alignment_of_the_reference, one_decoding_per_window, reference
from meetsplit.pipeline.events import ignore_events
from meetsplit.pipeline.settings import Settings
from meetsplit.pipeline.transcribers.faster_whisper import FasterWhisperTranscriber
from meetsplit.pipeline.transcribers.whisper import WhisperTranscriber
from meetsplit.pipeline.transcribers.whisper_languages import RATE
from meetsplit.pipeline.transcribers.whisper_windows import WindowJob, WindowText

PACKINGS = (0.0, 12.0, 28.0)
"""Seconds up to which clips are packed into windows; 0: a clip per window."""


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement: how long it took, on the clock and in processor time, what it decoded, and peak GPU memory.

    ``texts``: one for each clip, stream by stream, or for each stream; ``cpwer``: the rate in percent, if any.
    """

    model: str
    how: str
    minutes: float
    windows: int
    seconds: float
    processor_seconds: float
    gib: float | None
    texts: tuple[str, ...] = ()
    cpwer: float | None = None


def measure(
    name: str,
    device: str,
    meetings: Sequence[Meeting],
    batches: Sequence[int],
    *,
    references: Sequence[str] = ("turns", "streams"),
    with_packing: bool = True,
) -> list[Row]:
    """All rows of one model, each for all meetings together."""
    model = trained_model(device) if name == "mini" else random_model(name, device)
    measured: list[list[Row]] = []
    for meeting in meetings:
        rows = list(measure_reference(name, model, meeting, streams="streams" in references)) if references else []
        packings = PACKINGS if with_packing else (0.0,)
        rows += measure_ours(name, model, meeting, batches, packings)
        rows += measure_faster_whisper(name, model, meeting, max(batches), packings)
        measured.append(rows)
    return [pooled(meetings, rows) for rows in zip(*measured, strict=True)]


def pooled(meetings: Sequence[Meeting], rows: Sequence[Row]) -> Row:
    """One row for the same work on several meetings; with the cpWER where they are recordings."""
    memory = [row.gib for row in rows if row.gib is not None]
    return Row(
        rows[0].model,
        rows[0].how,
        sum(row.minutes for row in rows),
        sum(row.windows for row in rows),
        sum(row.seconds for row in rows),
        sum(row.processor_seconds for row in rows),
        max(memory) if memory else None,
        tuple(text for row in rows for text in row.texts),
        None if meetings[0].recording is None else cpwer(meetings, [row.texts for row in rows]),
    )


def timed(model: str, how: str, meeting: Meeting, windows: int, work: Callable[[], Sequence[str]]) -> Row:
    """The row of some work."""
    is_gpu = torch.cuda.is_available() and torch.cuda.memory_allocated() > 0
    if is_gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    began, processor = time.perf_counter(), time.process_time()
    texts = tuple(work())
    if is_gpu:
        torch.cuda.synchronize()
    row = Row(
        model,
        how,
        meeting.duration / 60,
        windows,
        time.perf_counter() - began,
        time.process_time() - processor,
        torch.cuda.max_memory_allocated() / 2**30 if is_gpu else None,
        texts,
    )
    print(f"{model}, {how}: {row.seconds:.2f} s", file=sys.stderr, flush=True)
    return row


def measure_reference(name: str, model: Any, meeting: Meeting, *, streams: bool) -> Iterator[Row]:
    """`whisper.transcribe` for each turn, and for each stream in full length."""
    fixed = name != "mini"
    with one_decoding_per_window() if fixed else nullcontext(), alignment_of_the_reference(model.device):
        turns = meeting.turns
        reference(model, turns[0], token_count(2.0) if fixed else None)
        yield timed(
            name,
            "whisper.transcribe per turn",
            meeting,
            len(turns),
            lambda: [reference(model, clip, token_count(clip.duration) if fixed else None) for clip in turns],
        )
        if streams:
            tracks = list(meeting.tracks())
            windows = sum(-(-len(track.samples) // (30 * RATE)) for track in tracks)
            tokens = token_count(meeting.speech / windows) if fixed else None
            yield timed(
                name,
                "whisper.transcribe per full-length stream",
                meeting,
                windows,
                lambda: [reference(model, track, tokens) for track in tracks],
            )


def measure_ours(
    name: str, model: Any, meeting: Meeting, batches: Sequence[int], packings: Sequence[float]
) -> Iterator[Row]:
    """Our transcriber at each batch size, packed up to so many seconds; with 0, one clip per window."""
    settings = Settings(language="en")
    kind = WhisperTranscriber if name == "mini" else FixedTokenTranscriber
    for seconds, batch in itertools.product(packings, batches):
        transcriber = kind(model, settings)
        transcriber.batch_size = batch
        yield measure_packed(name, "", transcriber, meeting, seconds)


def measure_packed(name: str, prefix: str, transcriber: WhisperTranscriber, meeting: Meeting, seconds: float) -> Row:
    """A transcriber with its clips packed up to so many seconds, with 0 one per window, after a first try of two."""
    transcriber.pack_seconds = seconds
    list(transcriber.transcribe_streams([meeting.streams[0][:2]], ignore_events))
    windows = 0
    decode = transcriber.decoder.decode

    def counted(jobs: Sequence[WindowJob]) -> list[WindowText]:
        nonlocal windows
        windows += len(jobs)
        return decode(jobs)

    transcriber.decoder.decode = counted  # type: ignore[method-assign]
    packing = f"packed up to {seconds:g} s" if seconds else "a clip per window"
    how = f"{prefix}{packing}, batch {transcriber.batch_size}"
    row = timed(name, how, meeting, 0, partial(_texts, transcriber, meeting))
    transcriber.decoder.decode = decode  # type: ignore[method-assign]
    return replace(row, windows=windows)


def measure_faster_whisper(
    name: str, model: Any, meeting: Meeting, batch: int, packings: Sequence[float]
) -> Iterator[Row]:
    """`faster-whisper` with the same weights for each precision, packed up to so many seconds."""
    from meetsplit.training.mini_whisper.conversion import write_ctranslate2

    kind = FasterWhisperTranscriber if name == "mini" else FixedTokenFasterWhisper
    with tempfile.TemporaryDirectory() as folder:
        weights = {"model": write_ctranslate2(model, Path(folder) / "converted")}
        for compute_type, seconds in itertools.product(("float32", "int8"), packings):
            settings = Settings(language="en", compute_type=compute_type)
            transcriber = kind.load(settings, weights, model.device.type)
            transcriber.batch_size = batch
            yield measure_packed(name, f"faster-whisper, {compute_type}, ", transcriber, meeting, seconds)


def _texts(transcriber: WhisperTranscriber, meeting: Meeting) -> list[str]:
    """The text of each clip."""
    answers = transcriber.transcribe_streams(meeting.streams, ignore_events)
    return [" ".join(word.text for word in answer.words) for answer in answers]
