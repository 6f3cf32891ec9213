"""Command lines of WhisperX and whisper: understood, and run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from voices import babble

from meetsplit.cli import main
from meetsplit.console.whisper_arguments import translated
from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.transcribers import whisper

WHISPERX = """call.wav --diarize --hf_token X --print_progress True --verbose False --no_align --align_model X
    --interpolate_method nearest --vad_method silero --vad_onset 0.5 --chunk_size 20 --segment_resolution chunk
    --fp16 False --model_cache_only True --batch_size 4 --beam_size 2 --best_of None --temperature 0.2 --patience 2
    --suppress_tokens -1,5 --no_speech_threshold 0.5 --logprob_threshold None --compression_ratio_threshold 2.0
    --condition_on_previous_text True --threads 1 --device cpu --device_index 0 --hotwords Acme --language None
    --output_dir out --output_format aud --max_line_width None --task transcribe --return_char_alignments"""


@pytest.mark.parametrize(
    ("line", "expected", "left_out"),
    [
        ("run a.wav --diarize b.wav", "run a.wav b.wav", "--diarize"),
        ("run --verbose True a_b.wav --output_dir=o_u", "run a_b.wav --output-dir=o_u", "--verbose"),
        ("run a.wav --suppress_tokens -1", "run a.wav --suppress-tokens -1", ""),
        ("run a.wav --condition_on_previous_text False", "run a.wav --no-condition-on-previous-text", ""),
        ("run a.wav --suppress_numerals b.wav", "run a.wav --suppress-numerals b.wav", ""),
        ("run a.wav --model_cache_only False", "run a.wav", ""),
        ("run a.wav --model_cache_only True", "run a.wav --offline", ""),
        ("run a.wav --fp16 True --compute_type float16", "run a.wav --compute-type float16", ""),
        ("run a.wav --compute_type int8", "run a.wav --compute-type int8", ""),
        ("run a.wav --compute_type bfloat16", "run a.wav", "--compute-type bfloat16"),
        ("run a.wav --device cuda --device_index 1", "run a.wav --device cuda:1", ""),
        ("run a.wav --device_index 2 -- --x", "run a.wav --device cuda:2 -- --x", ""),
        ("run a.wav --batch_size 4", "run a.wav --batch-size 4", ""),
        ("run a.wav --batch_size None", "run a.wav", ""),
        ("run a.wav --align_model MMS_FA", "run a.wav --align-model MMS_FA", ""),
        ("run a.wav --align_model=MMS_FA --no_align", "run a.wav", "--no-align, --align-model"),
        ("run a.wav --align_model None", "run a.wav", ""),
        ("run a.wav --clip_timestamps 0,30", "run a.wav --end 30", ""),
        ("run a.wav --language None --diarize_model x/y", "run a.wav --diarizer-model x/y", ""),
        ("batch a --highlight_words True", "batch a --highlight-words", ""),
        ("jobs list --verbose", "jobs list --verbose", ""),
    ],
)
def test_a_line_in_our_words(line: str, expected: str, left_out: str) -> None:
    translation = translated(line.split())
    assert translation.arguments == expected.split()
    assert ", ".join(translation.left_out) == left_out


@pytest.mark.parametrize("option", ["--device_index x", "--clip_timestamps 0,1,2,3"])
def test_what_cannot_be_done_is_refused(option: str) -> None:
    with pytest.raises(SettingsError, match=r"--device-index x|one stretch"):
        translated(f"run a.wav {option}".split())


def test_a_line_of_whisperx_runs(
    call: Any, whisper_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    received: list[dict[str, Any]] = []
    transcribe = whisper.whisper.transcribe

    def recording_transcribe(*arguments: Any, **options: Any) -> Any:
        received.append(options)
        return transcribe(*arguments, **options)

    monkeypatch.setattr(whisper.whisper, "transcribe", recording_transcribe)
    monkeypatch.chdir(call.path.parent)
    call.write_pcm(call.path, [(32767 * babble(6.0)).astype("<i2")])
    given = ["--rttm", str(call.rttm), "--separate", "off", "--no-cache", "--model", str(whisper_file)]
    with pytest.raises(SystemExit) as ended:
        main(["run", *WHISPERX.split(), *given, "-f", "json"])
    assert ended.value.code == 0
    said = capsys.readouterr().err
    (note,) = [line for line in said.splitlines() if "without a counterpart" in line]
    for option in ("--diarize,", "--no-align", "--return-char-alignments", "docs/from-whisperx.md"):
        assert option in note
    assert sorted(path.name for path in Path("out").iterdir() if path.is_file()) == ["call.audacity.txt", "call.json"]
    settings = json.loads(Path("out/call.json").read_text("utf-8"))["made_by"]["settings"]
    assert settings["hotwords"] == "Acme"
    assert "best_of" in settings
    assert "model_dir" not in settings
    options = received[0]
    expected = {
        "beam_size": 2,
        "best_of": None,
        "patience": 2.0,
        "temperature": (0.2, 0.4, 0.6, 0.8, 1.0),
        "suppress_tokens": "-1,5",
        "no_speech_threshold": 0.5,
        "logprob_threshold": None,
        "compression_ratio_threshold": 2.0,
        "condition_on_previous_text": True,
        "initial_prompt": "Acme",
        "carry_initial_prompt": True,
        "fp16": False,
    }
    assert {name: options[name] for name in expected} == expected


def test_quiet_says_no_note(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "nowhere.wav", "--diarize", "--quiet"])
    assert "counterpart" not in capsys.readouterr().err
