"""Written dialogues for simulated meetings, and the words of a text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from meetsplit.pipeline.data import Speaker
from meetsplit.pipeline.errors import SettingsError


@dataclass(frozen=True, slots=True)
class DialogueLine:
    """One utterance of a written dialogue.

    ``gap`` is in seconds from the end of everything said before: negative is an interruption or a back-channel.
    """

    speaker: Speaker
    gap: float
    text: str


def read_dialogue(path: Path) -> tuple[DialogueLine, ...]:
    """A dialogue from a text file: ``speaker gap text`` on each line; empty lines and ``#`` lines are skipped.

    Raises `SettingsError` that names the file and the line.
    """
    lines = []
    try:
        content = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot read the dialogue: {error}") from error
    for number, row in enumerate(content.splitlines(), 1):
        if not row.strip() or row.startswith("#"):
            continue
        try:
            speaker, gap, text = row.split(None, 2)
            lines.append(DialogueLine(speaker, float(gap), text.strip()))
        except ValueError as error:
            raise SettingsError(
                f"{path}, line {number}: a line is 'speaker gap text', the gap in seconds: {row!r}"
            ) from error
    return tuple(lines)


def words(text: str) -> tuple[str, ...]:
    """The words of a text in lower case, without punctuation.

    >>> words("Wait a minute. I'll call!")
    ('wait', 'a', 'minute', "i'll", 'call')
    """
    return tuple(re.findall(r"[a-z0-9']+", text.lower()))
