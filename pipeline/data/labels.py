"""Speakers' labels: ``SPEAKER_00``, ``SPEAKER_01``…, and which one each speaker of a source with names of its own gets."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence

from meetsplit.pipeline.data import Speaker

_LABEL = re.compile(r"SPEAKER_([0-9]{2,9})")
"""A label of our own kind; a longer number would make names of files that no disk takes."""


def label(number: int) -> Speaker:
    """The label of the speaker with that number.

    >>> label(3), label(100)
    ('SPEAKER_03', 'SPEAKER_100')
    """
    return f"SPEAKER_{number:02d}"


def is_label(name: str) -> bool:
    """Whether ``name`` is a label and so no person's name.

    >>> is_label("SPEAKER_03"), is_label("Speaker 3")
    (True, False)
    """
    return _LABEL.fullmatch(name) is not None


def assigned(names: Sequence[str]) -> tuple[Speaker, ...]:
    """A label for each of ``names``, which may repeat; different entries get different labels.

    A name that is a label keeps it: whoever wrote it means that speaker wherever it is shown. The others get the numbers
    that are left, in their order.

    >>> assigned(["Bob", "SPEAKER_00", "Ann"])
    ('SPEAKER_01', 'SPEAKER_00', 'SPEAKER_02')
    """
    kept: dict[Speaker, int] = {}
    for at, name in enumerate(names):
        if is_label(name):
            kept.setdefault(name, at)
    numbers = {int(name.removeprefix("SPEAKER_")) for name in kept}
    free = (number for number in itertools.count() if number not in numbers)
    return tuple(name if kept.get(name) == at else label(next(free)) for at, name in enumerate(names))


def people(assigned_names: Mapping[Speaker, str]) -> tuple[tuple[Speaker, str], ...]:
    """The persons' names by label, without those that are labels: one speaker's label is never shown as another's name.

    >>> people({"SPEAKER_00": "Ann", "SPEAKER_01": "SPEAKER_01"})
    (('SPEAKER_00', 'Ann'),)
    """
    return tuple((speaker, name) for speaker, name in assigned_names.items() if not is_label(name))
