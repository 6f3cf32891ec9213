"""Names of result files: one stem per recording, such that no two recordings' results share a name."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path


def unique_stems(paths: Iterable[Path], folder: Path, suffixes: Iterable[str]) -> Mapping[Path, str]:
    """The stem under which each recording's results go to ``folder``, such that no two results share a name.

    The first recording with a stem keeps it. A later one adds its extension (if no other has the same), its folder's name
    or a number, the first of these that is free: ``call.m4a``, ``call.wav``, ``may/call.m4a`` become ``call``,
    ``call-wav``, ``call-may``.
    Case and composition of letters make no difference, since some disks ignore them. The same file given twice has one
    stem; the recordings themselves are never in the way of their results. ``suffixes`` are those of all results.

    >>> list(unique_stems([Path("a/call.wav"), Path("b/call.wav")], Path("out"), [".srt"]).values())
    ['call', 'call-b']
    """
    kinds = ("", *suffixes)
    files = {path: path.resolve() for path in paths}
    place = folder.resolve()
    taken = {_folded(file.name) for file in files.values() if file.parent == place}
    stems: dict[Path, str] = {}
    distinct = list(dict.fromkeys(files.values()))
    same = Counter(_folded(file.name) for file in distinct)
    for again in (False, True):
        for file in distinct:
            options = _options(file, told_by_extension=same[_folded(file.name)] == 1) if again else [file.stem]
            for stem in () if file in stems else options:
                claimed = {_folded(stem + kind) for kind in kinds}
                if not claimed & taken:
                    stems[file] = stem
                    taken |= claimed
                    break
    return {path: stems[file] for path, file in files.items()}


def _options(file: Path, told_by_extension: bool) -> Iterator[str]:
    if told_by_extension and file.suffix:
        yield f"{file.stem}-{file.suffix[1:]}"
    if file.parent.name:
        yield f"{file.stem}-{file.parent.name}"
    number = 2
    while True:
        yield f"{file.stem}-{number}"
        number += 1


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())
