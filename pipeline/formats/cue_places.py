"""Places of cues that are shown at once: side by side in columns, above each other where more than three speak.

A cue that is shown alone has no place: it is centred and as wide as the screen. Of those shown at once, each has half
the width where never more than two are, otherwise a third; the fourth to sixth stand in a row above, and so on. That
is the colouring of an interval graph: in order of their starts, each cue takes a place that is free, so that no more
columns are used than cues are shown at one time. A person keeps the side where they stood last, wherever it is free.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from meetsplit.pipeline.data import Speaker
from meetsplit.pipeline.formats.cues import Cue

UNITS = 6
"""Units of the screen's width: columns are halves or thirds."""

THIRD, HALF = 2, 3
"""Units of a column."""

MOST_COLUMNS, MOST_ROWS = 3, 3

SCREEN = 64
"""Letters that fit into the whole width of a screen, of a player's usual size, with some room to spare."""

MARGIN = 2
"""Per cent of the width that keep two columns apart."""


@dataclass(frozen=True, slots=True)
class Place:
    """A column of ``units`` at ``left`` of `UNITS`, in a ``row`` counted from the bottom."""

    left: int
    units: int
    row: int = 0

    @property
    def middle(self) -> float:
        """The middle of the column in units."""
        return self.left + self.units / 2

    @property
    def position(self) -> int:
        """The middle of the column in per cent."""
        return round(100 * self.middle / UNITS)

    @property
    def size(self) -> int:
        """The width of the column in per cent."""
        return 100 * self.units // UNITS - MARGIN + (1 if self.units == THIRD else 0)

    @property
    def letters(self) -> int:
        """Letters that fit into a line."""
        return SCREEN * self.size // 100

    def is_beside(self, other: Place) -> bool:
        """Whether the places have no room in common."""
        return self.row != other.row or self.left + self.units <= other.left or other.left + other.units <= self.left


_HALVES = tuple(Place(left, HALF) for left in (0, HALF))
_THIRDS = tuple(Place(left, THIRD, row) for row in range(MOST_ROWS) for left in (0, UNITS - THIRD, THIRD))


def places(shown: Sequence[Cue], gap: int) -> list[Place | None]:
    """A place for each of the cues, sorted by start, of one speaker each; None for one that is shown alone.

    Cues less than ``gap`` milliseconds apart have different places, too. None as well for more than `_THIRDS` at once.
    """
    together = _shown_together(shown, gap)
    sides: dict[Speaker, float] = {}
    active: list[tuple[int, Place]] = []
    chosen: list[Place | None] = []
    for cue, most in zip(shown, together, strict=True):
        active = [(end, place) for end, place in active if end > cue.start]
        place = None
        if most > 1:
            speaker = cue.words[0].speaker
            candidates = _by_preference(most, sides.get(speaker))
            place = next((one for one in candidates if all(one.is_beside(other) for _, other in active)), None)
        if place is not None:
            sides[speaker] = place.middle
            active.append((cue.end + gap, place))
        chosen.append(place)
    return chosen


def _by_preference(most: int, side: float | None) -> list[Place]:
    """The places for one of ``most`` cues at once, those nearest to the side first, without one from left to right."""
    halves = _HALVES if most <= len(_HALVES) else ()

    def by_side(candidates: Sequence[Place]) -> list[Place]:
        if side is None:
            return list(candidates)
        return sorted(candidates, key=lambda place: (place.row, abs(place.middle - side)))

    return by_side(halves) + by_side(_THIRDS)


def _shown_together(shown: Sequence[Cue], gap: int) -> list[int]:
    """For each cue the most that are shown at one time while it is, itself included; more than three count as four."""
    most = [1] * len(shown)
    active: list[int] = []
    rising: list[int] = []
    for number, cue in enumerate(shown):
        active = [other for other in active if shown[other].end + gap > cue.start]
        active.append(number)
        count = min(len(active), MOST_COLUMNS + 1)
        rising = [other for other in (*rising, number) if shown[other].end + gap > cue.start]
        for other in rising:
            most[other] = max(most[other], count)
        rising = [other for other in rising if most[other] <= MOST_COLUMNS]
    return most


def heights(shown: Sequence[Cue], placed: Sequence[Place | None], lines: Sequence[int], gap: int) -> list[int | None]:
    """For each cue with a place, the line from the bottom (1 is the lowest) at which its text begins; None without.

    All cues of a stretch in which each is shown with another begin at one height, row by row, whatever their lines.
    """
    begins: list[int | None] = [None] * len(shown)
    stretch: list[int] = []
    end = 0

    def close() -> None:
        height = max((lines[number] for number in stretch), default=0)
        for number in stretch:
            place = placed[number]
            begins[number] = None if place is None else height * (place.row + 1)
        stretch.clear()

    for number, cue in enumerate(shown):
        if placed[number] is None:
            continue
        if cue.start >= end:
            close()
        stretch.append(number)
        end = max(end, cue.end + gap)
    close()
    return begins
