"""Whose results a set is, and what is to be written of a recording and under which names; see `results`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from meetsplit.pipeline import formats
from meetsplit.pipeline.cache.stage_cache import fingerprint
from meetsplit.pipeline.channels.recording import MultiFileRecording
from meetsplit.pipeline.results.stems import located, safe_stem
from meetsplit.pipeline.settings import Outputs


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose results a set is: the absolute path of a ``recording`` and the SHA-256 of its ``content``."""

    recording: str
    content: str

    def is_same(self, known: Owner) -> bool:
        """Whether ``known`` is this recording: the same content at the same path, or at a path where nothing is any more."""
        return self.content == known.content and (
            self.recording == known.recording or not os.path.lexists(known.recording)
        )


@dataclass(frozen=True, slots=True)
class Wish:
    """A result set to be written.

    ``base`` is the stem that the recording's own name gives, ``first`` the one to try first; ``extension`` and ``parent``
    tell recordings with the same base apart. ``suffixes`` are those of the text files, ``tracks`` says whether there is a
    folder of tracks. ``inputs`` are files that the command reads, ``peers`` the names that the recordings of the same
    command claim, see `stems.claims`. ``note`` says why ``base`` is not the recording's name itself.
    """

    owner: Owner
    base: str
    first: str
    suffixes: tuple[str, ...]
    tracks: bool = False
    extension: str = ""
    parent: str = ""
    inputs: tuple[Path, ...] = ()
    peers: Mapping[str, str] = field(default_factory=dict)
    overwrite: bool = False
    note: str | None = None


def owner_of(source: Path | MultiFileRecording, content: str | None = None) -> Owner:
    """Whose results those of ``source`` are; ``content`` is its `fingerprint`, where it is known already.

    Raises `AudioError` for a recording that cannot be read.
    """
    paths = [one.path for one in source.microphones] if isinstance(source, MultiFileRecording) else [source]
    return Owner(", ".join(str(located(path)) for path in paths), content or fingerprint(source))


def wish(source: Path | MultiFileRecording, outputs: Outputs, owner: Owner | None = None) -> Wish:
    """The result set of a recording under its own name. Raises `AudioError` for a recording that cannot be read."""
    base = safe_stem(source.stem)
    suffixes = tuple(formats.format_named(name).suffix for name in outputs.formats)
    note = None if base == source.stem else "its own name is not fit for files on every system"
    plain = Wish(
        owner or owner_of(source), base, base, suffixes, outputs.tracks, overwrite=outputs.overwrite, note=note
    )
    if isinstance(source, MultiFileRecording):
        return dataclasses.replace(plain, inputs=tuple(one.path for one in source.microphones))
    path = located(source)
    return dataclasses.replace(plain, extension=path.suffix, parent=path.parent.name, inputs=(path,))
