"""Speaker labels ``SPEAKER_00``, ``SPEAKER_01``…, and their assignment to the names that a source uses."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence

from meetsplit.pipeline.data import Speaker

_LABEL = re.compile(r"SPEAKER_([0-9]{2,9})")
"""The form of a label; a longer number would make file names that no disk takes."""


def label(number: int) -> Speaker:
    """The label of the speaker with that number.

    >>> label(3), label(100)
    ('SPEAKER_03', 'SPEAKER_100')
    """
    return f"SPEAKER_{number:02d}"


def is_label(name: str) -> bool:
    """Whether ``name`` is a label, and so no person's name.

    >>> is_label("SPEAKER_03"), is_label("Speaker 3")
    (True, False)
    """
    return _LABEL.fullmatch(name) is not None


def assign_labels(names: Sequence[str]) -> tuple[Speaker, ...]:
    """A label for each of ``names``, which may repeat; different entries get different labels.

    A name that is a label already keeps it. The others get the numbers that are left, in their order.

    >>> assign_labels(["Bob", "SPEAKER_00", "Ann"])
    ('SPEAKER_01', 'SPEAKER_00', 'SPEAKER_02')
    """
    first_index: dict[Speaker, int] = {}
    for index, name in enumerate(names):
        if is_label(name):
            first_index.setdefault(name, index)
    taken = {int(name.removeprefix("SPEAKER_")) for name in first_index}
    free = (number for number in itertools.count() if number not in taken)
    return tuple(name if first_index.get(name) == index else label(next(free)) for index, name in enumerate(names))


def person_names(names: Mapping[Speaker, str]) -> tuple[tuple[Speaker, str], ...]:
    """Names by label without those that are labels: one speaker's label is never shown as another's name.

    >>> person_names({"SPEAKER_00": "Ann", "SPEAKER_01": "SPEAKER_01"})
    (('SPEAKER_00', 'Ann'),)
    """
    return tuple((speaker, name) for speaker, name in names.items() if not is_label(name))
