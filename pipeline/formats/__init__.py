"""From a transcript to text: one pure function per format, and this table of them.

Rounding happens here and nowhere else. Every format takes an empty transcript.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from meetsplit.pipeline.data import Transcript
from meetsplit.pipeline.errors import SettingsError, nearest
from meetsplit.pipeline.formats.meetsplit_json import native
from meetsplit.pipeline.formats.plain_text import audacity, tsv, txt
from meetsplit.pipeline.formats.scoring_formats import rttm, seglst, stm
from meetsplit.pipeline.formats.srt import subrip
from meetsplit.pipeline.formats.talk_time import csv, talk_time
from meetsplit.pipeline.formats.transcript_json import read_transcript
from meetsplit.pipeline.formats.vtt import webvtt
from meetsplit.pipeline.settings import Outputs

__all__ = ["Format", "export", "format_named", "names", "read_transcript", "suffixes", "talk_time"]


@dataclass(frozen=True, slots=True)
class Format:
    """How a transcript looks on disk: ``suffix`` follows the recording's stem, ``render`` makes the text."""

    suffix: str
    render: Callable[[Transcript, Outputs], str]


FORMATS: Final = {
    "srt": Format(".srt", subrip),
    "vtt": Format(".vtt", webvtt),
    "json": Format(".json", native),
    "txt": Format(".txt", txt),
    "tsv": Format(".tsv", tsv),
    "rttm": Format(".rttm", rttm),
    "stm": Format(".stm", stm),
    "seglst": Format(".seglst.json", seglst),
    "audacity": Format(".audacity.txt", audacity),
    "csv": Format(".csv", csv),
}


def names() -> tuple[str, ...]:
    """The names of all formats."""
    return tuple(FORMATS)


def suffixes() -> tuple[str, ...]:
    """What follows the recording's stem, for all formats."""
    return tuple(known.suffix for known in FORMATS.values())


def format_named(name: str) -> Format:
    """The format of that name; `SettingsError` names the nearest one where there is none."""
    if name not in FORMATS:
        raise SettingsError(f"unknown output format {name!r}: {nearest(name, FORMATS)}")
    return FORMATS[name]


def export(transcript: Transcript, name: str, outputs: Outputs) -> str:
    """The transcript in the format ``name``; `SettingsError` for a name that nobody knows."""
    return format_named(name).render(transcript, outputs)
