"""The baseline of the speed benchmark: the same models without restriction to overlaps.

Diarize; separate the *whole* recording into every speaker's voice; transcribe every full-length track. That is what
users of the single tools write, and the yardstick for what the restriction to overlaps saves. The public weights that
such scripts load (SepFormer, Whisper) are replaced by the backends that run here, so that both stacks use the same
models and differ only in how they are used.
"""

from __future__ import annotations

import time
from pathlib import Path

from meetsplit.pipeline.audio.reading import read
from meetsplit.pipeline.events import ignore_events
from meetsplit.pipeline.models import registry
from meetsplit.pipeline.models.selection import preflight
from meetsplit.pipeline.overlap.streams import clean_speech
from meetsplit.pipeline.run import RATE
from meetsplit.pipeline.settings import Settings


def seconds_by_stage(recording: Path, settings: Settings) -> dict[str, float]:
    """Seconds of each stage of the baseline on one recording, model loading included."""
    selection = preflight(settings)
    seconds: dict[str, float] = {}
    started = time.monotonic()

    def stop_clock(stage: str) -> None:
        nonlocal started
        now = time.monotonic()
        seconds[stage] = now - started
        started = now

    def load(stage: str) -> object:
        selected = selection.of(stage)
        if selected is None:
            raise ValueError(f"the plain stack needs a {stage}")
        return registry.load(stage, selected.backend, settings, selected.weights, selected.device)

    audio = read(recording, RATE)
    stop_clock("decode")
    turns = load("diarizer").diarize(audio, ignore_events)  # type: ignore[attr-defined]
    stop_clock("diarize")
    enrollment = {speaker: clean_speech(audio, turns, speaker) for speaker in sorted({turn.speaker for turn in turns})}
    voices = load("separator").separate(audio, enrollment)  # type: ignore[attr-defined]
    stop_clock("separate")
    transcriber = load("transcriber")
    for voice in voices.values():
        list(transcriber.transcribe([voice.audio], ignore_events))  # type: ignore[attr-defined]
    stop_clock("transcribe")
    return seconds
