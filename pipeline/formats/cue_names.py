"""Names in subtitles: shortened so that they never eat the line, and shown at a change of speaker."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from meetsplit.pipeline.data import Speaker
from meetsplit.pipeline.data.labels import is_label
from meetsplit.pipeline.formats.cues import Cue
from meetsplit.pipeline.formats.text import width

SHARE = 3
"""A name takes at most one part of a line in so many."""

_LEAST = 4
_CUT = "…"


def short_names(names: Mapping[Speaker, str], line_width: int) -> dict[Speaker, str]:
    """Each speaker's name in at most a third of a line: as it is, in part, or cut off.

    Different names stay different.

    >>> short_names({"SPEAKER_00": "Dr. Maximiliane Hohenzollern (chair)", "SPEAKER_01": "Bo Li"}, 42)
    {'SPEAKER_00': 'Maximiliane', 'SPEAKER_01': 'Bo Li'}
    """
    room = max(_LEAST, line_width // SHARE)
    short = {speaker: _shortened(name, room) for speaker, name in names.items()}
    by_short: dict[str, list[str]] = {}
    for speaker, text in short.items():
        known = by_short.setdefault(text, [])
        if names[speaker] not in known:
            known.append(names[speaker])
    taken = set(by_short)

    def numbered(short: str) -> str:
        for number in range(1, len(names) + 2):
            end = f"{_CUT}{number}"
            text = f"{_cut(short.removesuffix(_CUT), max(room - width(end), 1))}{end}"
            if text not in taken:
                break
        taken.add(text)
        return text

    chosen: dict[str, str] = {}
    for text, full in by_short.items():
        for name in full:
            chosen[name] = text if len(full) == 1 or name == text else numbered(text)
    return {speaker: chosen[name] for speaker, name in names.items()}


def _shortened(name: str, room: int) -> str:
    """The name in ``room`` columns: whole, without brackets, its first words without titles, or cut off."""
    if width(name) <= room:
        return name
    if is_label(name):
        return f"S{name.removeprefix('SPEAKER_')}"
    plain = " ".join(re.sub(r"\([^()]*\)|\[[^\[\]]*\]", " ", name).split()) or name
    if width(plain) <= room:
        return plain
    words = plain.split()
    while len(words) > 1 and words[0].endswith("."):
        words = words[1:]
    for count in range(len(words), 0, -1):
        part = " ".join(words[:count])
        if width(part) <= room:
            return part
    return _cut(words[0], room - width(_CUT)).rstrip(" .,-") + _CUT


def _cut(text: str, room: int) -> str:
    """As many letters from the beginning as have ``room``."""
    end, used = 0, 0
    for letter in text:
        used += width(letter)
        if used > room:
            break
        end += 1
    return text[:end]


def speaker_orders(shown: Sequence[Cue]) -> Iterator[tuple[tuple[Speaker, ...], bool]]:
    """Each cue's speakers from top to bottom, and whether they are others than those of the cue before.

    The same people keep their places, so do those in mid-sentence; others follow as they begin.
    """
    before: tuple[Speaker, ...] = ()
    places: dict[Speaker, int] = {}
    for cue in shown:
        below = max(places.values(), default=0) + 1
        ranks = {speaker: places.get(speaker, below) for speaker in cue.by_speaker}
        same = ranks.keys() == set(before)
        order = before if same else tuple(sorted(ranks, key=ranks.__getitem__))
        yield order, not same
        unfinished = {word.speaker: word.breaks > 0 for word in cue.words}
        places = {speaker: place for place, speaker in enumerate(order) if unfinished[speaker]}
        before = order
