"""Stems of result files: safe on every disk, short enough for every suffix, and different for different recordings."""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from meetsplit.pipeline.formats import suffixes

FAILED = ".failed.txt"
"""Suffix of the file that says why a recording has no results."""

TRACK = re.compile(r"SPEAKER_\d{2,}\.(wav|flac|mp3|m4a)")
"""Names of tracks of people without a name, within a track folder."""

PAGE_RECORDING = "recording.webm"
"""Name of the compressed recording that a page links to, within a track folder; no track has that suffix."""

BACKGROUND = "background.wav"
"""Name of what was taken out of a recording, within a track folder; no track has that name."""

RECORDING_SUFFIXES = (".wav", ".flac", ".mp3", ".m4a")
"""Suffixes of a set's own recording (of a redacted one), which is called like the set."""

NAME_MAX = 255
"""Bytes in the longest file name of common disks."""

FALLBACK = "recording"
"""The stem of a recording whose name holds nothing that a file could be called."""

_RESERVED = frozenset(
    {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
)
_HASH_DIGITS = 8


def safe_stem(name: str, fallback: str = FALLBACK) -> str:
    """A stem like ``name`` that names visible files inside one folder on every system; ``fallback`` where nothing is
    left of it.

    Control characters and separators become underscores, dots at the beginning and dots and spaces at the end go, and a
    device's name of Windows gets an underscore.

    >>> safe_stem("call"), safe_stem(".."), safe_stem(".hidden"), safe_stem("a\\tb. "), safe_stem("con")
    ('call', 'recording', 'hidden', 'a_b', '_con')
    """
    plain = "".join("_" if unicodedata.category(letter) == "Cc" or letter in "/\\" else letter for letter in name)
    stem = plain.lstrip(".").rstrip(". ") or fallback
    return f"_{stem}" if stem.partition(".")[0].rstrip().casefold() in _RESERVED else stem


def shorten_stem(stem: str, name_max: int = NAME_MAX) -> str:
    """The stem, cut off and ended with part of its SHA-256 where a result's name would exceed ``name_max`` bytes."""
    return shorten(stem, name_max - max(len(ending) for ending in stem_endings()))


def shorten(stem: str, longest: int) -> str:
    """The stem, cut off and ended with part of its SHA-256 where it exceeds ``longest`` bytes."""
    if _size(stem) <= longest:
        return stem
    short = stem
    while _size(short) > longest - _HASH_DIGITS - 1:
        short = short[:-1]
    digest = hashlib.sha256(stem.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{short.rstrip('. ')}-{digest[:_HASH_DIGITS]}"


def name_max(folder: Path) -> int:
    """Bytes in the longest file name on the disk of an existing folder."""
    try:
        return min(os.pathconf(folder, "PC_NAME_MAX"), NAME_MAX)
    except (AttributeError, OSError, ValueError):  # not on Windows, and not on every disk
        return NAME_MAX


@functools.cache
def stem_endings() -> tuple[str, ...]:
    """Everything that may follow a stem: nothing for the folder of the tracks, and the suffixes of all files."""
    return ("", *suffixes(), FAILED)


def fold_name(name: str) -> str:
    """The name as disks compare it that ignore case and the composition of letters."""
    return unicodedata.normalize("NFC", name.casefold())


def names_of_stem(stem: str) -> frozenset[str]:
    """Every name that results with this stem may have in their folder, folded."""
    return frozenset(fold_name(stem + ending) for ending in stem_endings())


def claimed_names(stems: Iterable[str]) -> Mapping[str, str]:
    """The stem by each folded name that its results may have; for stems whose names differ."""
    return {name: stem for stem in stems for name in names_of_stem(stem)}


def alternative_stems(base: str, extension: str, parent: str) -> Iterator[str]:
    """Other stems for a recording, without end: with its extension, its folder's name (if not empty), then a number.

    >>> list(itertools.islice(alternative_stems("call", ".wav", "may"), 4))
    ['call-wav', 'call-may', 'call-2', 'call-3']
    """
    for addition in (extension.lstrip("."), parent):
        if addition:
            yield safe_stem(f"{base}-{addition}")
    for number in itertools.count(2):
        yield f"{base}-{number}"


def unique_stems(paths: Iterable[Path]) -> Mapping[Path, str]:
    """A stem for each recording of one command, such that no two recordings' results share a name.

    The first recording with a stem keeps it. A later one adds its extension (if no other has the same), its folder's
    name or a number, the first of these that is free. The same file given twice has one stem; a link is named after
    itself.

    >>> list(unique_stems([Path("a/call.wav"), Path("b/call.wav"), Path("b/call.m4a")]).values())
    ['call', 'call-b', 'call-m4a']
    """
    files = {path: absolute_path(path) for path in paths}
    distinct = list(dict.fromkeys(files.values()))
    files_with_name = Counter(fold_name(file.name) for file in distinct)
    taken: set[str] = set()
    stems: dict[Path, str] = {}

    def take_first_free(file: Path, candidates: Iterable[str]) -> None:
        for stem in candidates:
            if not names_of_stem(stem) & taken:
                stems[file] = stem
                taken.update(names_of_stem(stem))
                return

    for file in distinct:
        take_first_free(file, [safe_stem(file.stem)])
    for file in distinct:
        if file not in stems:
            extension = file.suffix if files_with_name[fold_name(file.name)] == 1 else ""
            take_first_free(file, alternative_stems(safe_stem(file.stem), extension, file.parent.name))
    return {path: stems[file] for path, file in files.items()}


def absolute_path(path: Path) -> Path:
    """The absolute path of a file; links among its folders are followed, the file itself may be a link."""
    return Path(os.path.realpath(path.parent)) / path.name


def _size(name: str) -> int:
    return len(name.encode("utf-8", "surrogatepass"))
