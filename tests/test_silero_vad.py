"""Silero's voice activity detector: equal to the original, in blocks, and told apart from other files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from test_ge2e import hum

from meetsplit.pipeline.diarizers import silero_vad
from meetsplit.pipeline.diarizers.silero_vad import CHUNK, SileroVad, load_silero_vad, speech_probabilities
from meetsplit.pipeline.errors import StageError


@pytest.fixture(scope="module")
def vad(embedded_weights: dict[str, Path]) -> SileroVad:
    return load_silero_vad(embedded_weights["vad"])


ORIGINAL = [0.0387124, 0.1681755, 0.0405718, 0.0190812, 0.0200307]
"""What ``TinySileroVAD`` of silero-vad 6.2.3 (its ``tinygrad_model.py``) answers over tinygrad 0.14.0 for the chunks of
``hum(0.16)``."""


def test_equals_the_original(vad: SileroVad) -> None:
    assert speech_probabilities(vad, hum(0.16)) == pytest.approx(ORIGINAL, abs=1e-5)


def test_blocks_make_no_difference_and_the_last_chunk_is_filled_up(
    vad: SileroVad, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = hum(1.3)
    whole = speech_probabilities(vad, sound)
    assert len(whole) == -(-len(sound) // CHUNK)
    monkeypatch.setattr(silero_vad, "_BLOCK_CHUNKS", 7)
    assert speech_probabilities(vad, sound) == pytest.approx(whole, abs=1e-6)
    assert speech_probabilities(vad, sound, 0.5) == pytest.approx(speech_probabilities(vad, sound / 2), abs=1e-6)
    assert len(speech_probabilities(vad, sound[:0])) == 0


def test_a_tone_and_silence_are_no_speech(vad: SileroVad) -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(48000) / 16000).astype(np.float32)
    for sound in (np.zeros(48000, np.float32), 0.3 * tone):
        assert speech_probabilities(vad, sound)[10:].max() < 0.5


def test_another_file_is_refused(tmp_path: Path) -> None:
    save_file({"conv1.weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(StageError, match=r"loading .*other\.safetensors"):
        load_silero_vad(tmp_path / "other.safetensors")
