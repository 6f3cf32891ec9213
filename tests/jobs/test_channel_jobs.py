"""Recordings with a channel per person go through the queue like all others."""

from __future__ import annotations

import json
import wave
from pathlib import Path
from typing import Any

import numpy as np

from meetsplit.jobs.job import JobSpec
from meetsplit.pipeline.settings import Outputs, Settings

RATE = 16000


def stereo(path: Path) -> Path:
    """Two seconds of one tone on the left, then of another on the right."""
    rng, times = np.random.default_rng(0), np.arange(2 * RATE) / RATE
    sound = 0.0005 * rng.standard_normal((5 * RATE, 2))
    for number, pitch in enumerate((220.0, 330.0)):
        at = round((0.2 + 2.4 * number) * RATE)
        tone = 0.2 * np.sin(2 * np.pi * pitch * times) * np.sin(2 * np.pi * 2 * times) ** 2
        sound[at : at + len(tone), number] += tone
        sound[at : at + len(tone), 1 - number] += 0.1 * tone
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((sound * 32767).astype("<i2").tobytes())
    return path


def test_an_order_remembers_its_channels() -> None:
    order = JobSpec(
        Path("/in/call.wav"), "c0ffee", Settings(channels="split"), Outputs(Path("/out")), Path("/out"), "call"
    )
    again = JobSpec.from_json(json.loads(json.dumps(order.to_json())))
    assert again == order
    mixed = JobSpec(Path("/in/call.wav"), "c0ffee", Settings(), Outputs(Path("/out")), Path("/out"), "call")
    assert mixed.key != order.key


def test_a_batch_of_calls(workspace: Any) -> None:
    stereo(workspace.calls / "call.wav")
    words = workspace.root / "words.ctm"
    words.write_text("call 1 1.0 0.3 left 0.9\ncall 1 3.4 0.3 right 0.9\n")
    workspace.run(
        "batch",
        workspace.calls / "call.wav",
        "--channels",
        "split",
        "--script",
        words,
        "-o",
        workspace.out,
        "-f",
        "json",
    )
    written = json.loads((workspace.out / "call.json").read_text("utf-8"))
    assert [(segment["speaker"], segment["text"].strip()) for segment in written["segments"]] == [
        ("SPEAKER_00", "left"),
        ("SPEAKER_01", "right"),
    ]
    assert (workspace.out / "call" / "SPEAKER_01.wav").is_file()
