"""Formats of transcripts: one module each, with ``write(transcript, outputs) -> str`` and ``read`` where it is read.

Rounding happens here and nowhere else. Every format takes an empty transcript.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from meetsplit.pipeline.data import Transcript
from meetsplit.pipeline.errors import AudioError, SettingsError, nearest
from meetsplit.pipeline.formats import (
    audacity,
    meetsplit_json,
    rttm,
    seglst,
    srt,
    stm,
    tsv,
    txt,
    vtt,
    whisperx_json,
)
from meetsplit.pipeline.formats.json_node import parse
from meetsplit.pipeline.formats.talk_time import talk_time, talk_time_csv
from meetsplit.pipeline.settings import Outputs

__all__ = [
    "Format",
    "export",
    "format_named",
    "names",
    "read_transcript",
    "read_transcript_file",
    "suffixes",
    "talk_time",
]


@dataclass(frozen=True, slots=True)
class Format:
    """A file format: ``suffix`` follows the recording's stem, ``write`` makes the text."""

    suffix: str
    write: Callable[[Transcript, Outputs], str]


FORMATS: Final = {
    "srt": Format(".srt", srt.write),
    "vtt": Format(".vtt", vtt.write),
    "json": Format(".json", meetsplit_json.write),
    "txt": Format(".txt", txt.write),
    "tsv": Format(".tsv", tsv.write),
    "rttm": Format(".rttm", rttm.write),
    "stm": Format(".stm", stm.write),
    "seglst": Format(".seglst.json", seglst.write),
    "audacity": Format(".audacity.txt", audacity.write),
    "csv": Format(".csv", talk_time_csv),
}


def names() -> tuple[str, ...]:
    """The names of all formats."""
    return tuple(FORMATS)


def suffixes() -> tuple[str, ...]:
    """The suffixes of all formats, which follow the recording's stem."""
    return tuple(file_format.suffix for file_format in FORMATS.values())


def format_named(name: str) -> Format:
    """The format of that name; `SettingsError` names the nearest one where there is none."""
    if name not in FORMATS:
        raise SettingsError(f"unknown output format {name!r}: {nearest(name, FORMATS)}")
    return FORMATS[name]


def export(transcript: Transcript, name: str, outputs: Outputs) -> str:
    """The transcript in the format ``name``; `SettingsError` for an unknown name."""
    return format_named(name).write(transcript, outputs)


def read_transcript_file(path: Path) -> Transcript:
    """The transcript in a JSON file, see `read_transcript`. Raises `AudioError` for a file that cannot be read."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AudioError(f"{path}: cannot be read as a transcript: {reason}") from error
    return read_transcript(text, str(path))


def read_transcript(text: str, origin: str = "transcript.json") -> Transcript:
    """The transcript in a JSON text: our own exactly, WhisperX's and openai-whisper's as far as they go.

    ``origin`` is the file's name for messages and, for JSON of other programs, the recording. Raises `SettingsError`,
    which says the line of a JSON error or the address of a wrong key.
    """
    if not isinstance(text, str) or ("\n" not in text and text.rstrip().lower().endswith(".json")):
        raise SettingsError(f"read_transcript takes the text of a file; Transcript.read({str(text)!r}) reads the file")
    document = parse(text, origin)
    if not isinstance(document.value, dict) or ("schema" not in document and "segments" not in document):
        raise SettingsError(
            f"{origin}: no transcript: a JSON object with 'segments' is needed, from meetsplit, WhisperX or whisper"
        )
    return meetsplit_json.read(document) if "schema" in document else whisperx_json.read(document)
