"""Names of track files: a person's name where it is known, else the label; safe on every disk, different for everybody.

Tracks are called as the run that writes them calls the people; `export` writes no tracks and renames none.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping

from meetsplit.pipeline.data import Speaker
from meetsplit.pipeline.formats.control_characters import shown
from meetsplit.pipeline.results.stems import BACKGROUND, NAME_MAX, fold_name, safe_stem, shorten

TRACK_SUFFIXES = (".wav", ".flac", ".mp3", ".m4a")
"""Suffixes of tracks; a name leaves room for any of them, so that it does not depend on the format."""

_REFUSED = re.compile(r'[<>:"|?*]')
"""Characters, besides separators, that Windows refuses in file names."""


def track_stems(
    speakers: Iterable[Speaker], names: Mapping[Speaker, str], name_max: int = NAME_MAX
) -> dict[Speaker, str]:
    """The name of each speaker's track without its suffix; with any, at most ``name_max`` bytes.

    A speaker without a name keeps the label. Of those with the same name, by label, the first has it as it is, the
    others with a number.

    >>> track_stems(["SPEAKER_00", "SPEAKER_01", "SPEAKER_02"], {"SPEAKER_00": "Al/Bo", "SPEAKER_02": "al_bo"})
    {'SPEAKER_01': 'SPEAKER_01', 'SPEAKER_00': 'Al_Bo', 'SPEAKER_02': 'al_bo-2'}
    """
    stems: dict[Speaker, str] = {}
    taken = {fold_name(BACKGROUND.partition(".")[0])}
    for speaker in sorted(speakers, key=lambda label: (bool(names.get(label)), label)):
        name = names.get(speaker) or speaker
        numbers = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
        candidates = (_safe(candidate, speaker, name_max) for candidate in numbers)
        stems[speaker] = next(stem for stem in candidates if fold_name(stem) not in taken)
        taken.add(fold_name(stems[speaker]))
    return stems


def _safe(name: str, speaker: Speaker, name_max: int) -> str:
    """A file's name like a person's: without characters that a terminal would obey or a disk refuses."""
    plain = "".join("_" if shown(letter) != letter else letter for letter in _REFUSED.sub("_", name))
    return shorten(safe_stem(plain.strip(), speaker), name_max - max(len(suffix) for suffix in TRACK_SUFFIXES))
