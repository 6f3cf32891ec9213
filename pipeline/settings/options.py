"""The option of a setting on the command line: its help text, its group, its flags; metadata of the field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PANELS = (RECORDING, WHO, OVERLAPS, WORDS, WHISPER, FILES, MACHINE) = (
    "The recording",
    "Who spoke when",
    "Where voices overlap",
    "What was said",
    "How Whisper decodes",
    "What is written",
    "This machine",
)
"""Groups of options in `--help`, in order."""


@dataclass(frozen=True, slots=True)
class Option:
    """The command-line option of a setting; metadata of its field.

    ``name`` is None and ``flags`` empty where the field's own name is the option: ``track_gate`` and ``--track-gate``.
    ``variable`` is the environment variable that gives the option, too. ``metavar`` stands for its value in the help,
    where the kind of the value says too little.
    """

    panel: str
    help: str
    name: str | None = None
    flags: tuple[str, ...] = ()
    variable: str | None = None
    metavar: str | None = None


def as_option(panel: str, text: str, **more: Any) -> Mapping[str, Option]:
    """A field's metadata with its option; see `Option`."""
    return {"option": Option(panel, text, **more)}
