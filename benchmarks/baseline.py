"""What would one glue together from the same parts? The stack without isolation: every voice everywhere, every track whole.

Diarize; separate the *whole* recording into every speaker's voice; transcribe every full-length track. It is what users of the
single tools write, and the yardstick for what planning saves. The public weights that such scripts load (SepFormer, Whisper) are
replaced by the backends that run here, so that both stacks use the same models and only the way they are used differs.
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
    """Seconds that each stage of the plain stack takes on one recording, model loading included."""
    plan = preflight(settings)
    seconds: dict[str, float] = {}
    at = time.monotonic()

    def lap(stage: str) -> None:
        nonlocal at
        seconds[stage], at = time.monotonic() - at, time.monotonic()

    def loaded(stage: str) -> object:
        choice = plan.of(stage)
        if choice is None:
            raise ValueError(f"the plain stack needs a {stage}")
        return registry.load(stage, choice.backend, settings, choice.weights, choice.device)

    audio = read(recording, RATE)
    lap("decode")
    turns = loaded("diarizer").diarize(audio, ignore_events)  # type: ignore[attr-defined]
    lap("diarize")
    enrollment = {speaker: clean_speech(audio, turns, speaker) for speaker in sorted({turn.speaker for turn in turns})}
    voices = loaded("separator").separate(audio, enrollment)  # type: ignore[attr-defined]
    lap("separate")
    transcriber = loaded("transcriber")
    for voice in voices.values():
        list(transcriber.transcribe([voice.audio], ignore_events))  # type: ignore[attr-defined]
    lap("transcribe")
    return seconds
