"""WhisperX as it is in its wheel: its own writers read our JSON, and its options are understood."""

from __future__ import annotations

import importlib.util
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
from command_lines import program

from meetsplit.console.whisper_arguments import translated
from meetsplit.pipeline.errors import MissingWeights
from meetsplit.pipeline.models import weights, wheels

GOLDEN = Path(__file__).parent / "golden" / "meeting.json"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """WhisperX's wheel; skipped where no package index answers."""
    folder = tmp_path_factory.mktemp("whisperx")
    source = weights.EMBEDDED_SEGMENTATION
    assert (source.package, source.version) == ("whisperx", "3.8.6")
    try:
        return wheels._download(source, folder, "diarize")
    except MissingWeights as error:
        pytest.skip(f"needs the wheel of {source.requirement}, and pip's package index does not give it here: {error}")


@pytest.fixture(scope="module")
def writers(wheel: Path) -> Any:
    """WhisperX's module of writers."""
    with zipfile.ZipFile(wheel) as archive:
        module = Path(archive.extract("whisperx/utils.py", wheel.parent))
    spec = importlib.util.spec_from_file_location("whisperx_utils", module)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.mark.parametrize("highlight", [False, True])
def test_every_writer_of_whisperx_writes_our_transcript(writers: Any, highlight: bool, tmp_path: Path) -> None:
    result = json.loads(GOLDEN.read_text("utf-8"))
    options = {"max_line_width": None, "max_line_count": None, "highlight_words": highlight}
    for name in ("srt", "vtt", "txt", "tsv", "json", "aud"):
        writers.get_writer(name, str(tmp_path))(result, "meeting.wav", options)
    segments = result["segments"]
    said = [f"[{segment['speaker']}]: {segment['text']}" for segment in segments]
    assert (tmp_path / "meeting.txt").read_text("utf-8").splitlines() == said
    assert json.loads((tmp_path / "meeting.json").read_text("utf-8")) == result
    assert len((tmp_path / "meeting.tsv").read_text("utf-8").splitlines()) == 1 + len(segments)
    subtitles = (tmp_path / "meeting.srt").read_text("utf-8")
    assert subtitles.count("<u>") == (sum(len(segment["words"]) for segment in segments) if highlight else 0)
    assert highlight or subtitles.count("\n[SPEAKER_") == len(segments)


def test_every_option_of_whisperx_is_understood_with_its_default(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        source = archive.read("whisperx/__main__.py").decode("utf-8")
    arguments = []
    for option, definition in re.findall(r'add_argument\("(--[\w-]+)"(.*)', source):
        default = re.search(r'default ?= ?"?([^",\s)]+)', definition)
        if 'action="version"' not in definition:
            arguments += [option] if default is None else [option, default[1]]
    assert len(arguments) > 80, "48 options of version 3.8.6, most of them with a value"
    translation = translated(["run", "call.wav", *arguments])
    context = program().commands["run"].make_context("run", translation.arguments[1:])
    assert context.params["batch_size"] == 8
    assert context.params["model"] == "small"
    assert context.params["diarizer_model"] == "pyannote/speaker-diarization-community-1"
    assert "--no-align" in translation.left_out
