"""Formats of transcripts: one module each, with ``write(transcript, outputs) -> str`` and ``read`` where it is read.

Rounding happens here and nowhere else. Every format takes an empty transcript. All but ``json``, which keeps the
labels, and ``html``, which does it itself, write of people: labels with one name are one person, see `people`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from meetsplit.pipeline.data import Speaker, Transcript
from meetsplit.pipeline.errors import AudioError, SettingsError, nearest
from meetsplit.pipeline.formats import (
    audacity,
    docx,
    html,
    lanes,
    markdown,
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
from meetsplit.pipeline.formats.people import of_people
from meetsplit.pipeline.formats.talk_time import talk_time, talk_time_csv
from meetsplit.pipeline.settings import SOUND_FORMATS, Outputs

__all__ = [
    "Format",
    "SpeakerFormat",
    "export",
    "format_named",
    "names",
    "read_transcript",
    "read_transcript_file",
    "speaker_formats",
    "suffixes",
    "suffixes_of",
    "talk_time",
]


@dataclass(frozen=True, slots=True)
class Format:
    """A file format: ``suffix`` follows the recording's stem, ``write`` makes the text."""

    suffix: str
    write: Callable[[Transcript, Outputs], str | bytes]


@dataclass(frozen=True, slots=True)
class SpeakerFormat:
    """A format with a file per speaker: ``suffix`` follows the speaker's name, ``write`` makes each one's text."""

    suffix: str
    write: Callable[[Transcript, Outputs], Mapping[Speaker, str]]


FORMATS: Final = {
    "srt": Format(".srt", of_people(srt.write)),
    "vtt": Format(".vtt", of_people(vtt.write)),
    "json": Format(".json", meetsplit_json.write),
    "txt": Format(".txt", of_people(txt.write)),
    "tsv": Format(".tsv", of_people(tsv.write)),
    "rttm": Format(".rttm", of_people(rttm.write)),
    "stm": Format(".stm", of_people(stm.write)),
    "seglst": Format(".seglst.json", of_people(seglst.write)),
    "audacity": Format(".audacity.txt", of_people(audacity.write)),
    "csv": Format(".csv", of_people(talk_time_csv)),
    "html": Format(".html", html.write),
    "md": Format(".md", of_people(markdown.write)),
    "docx": Format(".docx", of_people(docx.write)),
    "svg": Format(".svg", of_people(lanes.write)),
}


SPEAKER_FORMATS: Final = {"srt-per-speaker": SpeakerFormat(".srt", of_people(srt.write_each))}
"""By the names of `settings.PER_SPEAKER_FORMATS`."""


def names() -> tuple[str, ...]:
    """The names of all formats that are one file."""
    return tuple(FORMATS)


def suffixes() -> tuple[str, ...]:
    """The suffixes of all formats that are one file, which follow the recording's stem."""
    return tuple(file_format.suffix for file_format in FORMATS.values())


def suffixes_of(chosen: Iterable[str], *, from_sound: bool = False) -> tuple[str, ...]:
    """The suffixes of those of the chosen formats that are one file.

    Raises `SettingsError` for an unknown one, and for those made ``from_sound`` where there is only a transcript.
    """
    names = [name for name in chosen if name not in SPEAKER_FORMATS]
    return tuple(f".{name}" if from_sound and name in SOUND_FORMATS else format_named(name).suffix for name in names)


def speaker_formats(chosen: Iterable[str]) -> tuple[SpeakerFormat, ...]:
    """Those of the chosen formats that have a file per speaker."""
    return tuple(SPEAKER_FORMATS[name] for name in chosen if name in SPEAKER_FORMATS)


def format_named(name: str) -> Format:
    """The format of that name, made of a transcript; `SettingsError` names the nearest one where there is none."""
    if name in SOUND_FORMATS:
        raise SettingsError(f"{name} is made of the sound: only a run writes it (meetsplit run RECORDING -f {name})")
    if name not in FORMATS:
        raise SettingsError(f"unknown output format {name!r}: {nearest(name, FORMATS)}")
    return FORMATS[name]


def export(transcript: Transcript, name: str, outputs: Outputs) -> str:
    """The transcript in the format ``name``, one of `names`; `SettingsError` for another one."""
    if name in SPEAKER_FORMATS:
        raise SettingsError(f"{name} is a file per speaker and no single text: write it with -f {name}")
    text = format_named(name).write(transcript, outputs)
    if isinstance(text, bytes):
        raise SettingsError(f"{name} is no text: write it with -f {name}, or from Python with Transcript.save")
    return text


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
