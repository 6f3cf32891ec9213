"""How words become subtitles: which words share a cue, and how long a cue stays.

The words are cut into cues by dynamic programming over all cuts, like Knuth and Plass's paragraphs (Software: Practice
and Experience 11, 1981): a cue that ends with a sentence costs nothing, one that ends in the middle of a phrase, spans
a pause, flashes by or mixes people who do not overlap costs more. All times here are whole milliseconds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

from meetsplit.pipeline.data import Speaker, Transcript
from meetsplit.pipeline.exporters.lines import Layout, blank, ends_clause, ends_sentence
from meetsplit.pipeline.exporters.text import milliseconds, one_line, width

LONGEST = 7_000
"""No cue lasts longer, unless a single word does."""
SHORTEST = 1_000
"""A cue lingers up to this long after its start, if nothing else is to be shown."""
FLICKER = 300
"""Cues nearer than this follow each other without a gap."""
PER_LETTER = 50
"""Reading time of a letter: 20 a second, the usual rule for adults."""
LONGEST_LINGER = 1_000


@dataclass(frozen=True, slots=True)
class Spoken:
    """A word on a clock of milliseconds.

    ``last`` says that its segment ends with it; ``breaks`` is the price of ending a cue behind it, 0 to 2; ``columns`` is
    its width on the screen, ``glue`` that of the blank between it and the same speaker's word before it.
    """

    start: int
    end: int
    text: str
    speaker: Speaker
    last: bool = False
    breaks: float = 0.0
    columns: int = 0
    glue: int = 1


@dataclass(frozen=True, slots=True)
class Cue:
    """Words shown together from ``start`` to ``end``, in the order in which they begin."""

    start: int
    end: int
    words: tuple[Spoken, ...]

    @property
    def blocks(self) -> dict[Speaker, tuple[str, ...]]:
        """Each speaker's words, speakers in order of their first word."""
        blocks: dict[Speaker, tuple[str, ...]] = {}
        for word in self.words:
            blocks[word.speaker] = (*blocks.get(word.speaker, ()), word.text)
        return blocks


def spoken(transcript: Transcript) -> tuple[Spoken, ...]:
    """Every word that has text, by start. Each speaker's words keep the order of the transcript, whatever their times say."""
    said: dict[Speaker, list[Spoken]] = {}
    for segment in transcript.segments:
        words = said.setdefault(segment.speaker, [])
        for number, word in enumerate(segment.words, 1):
            if text := one_line(word.text):
                start = max(milliseconds(word.span.start), words[-1].start if words else 0)
                words.append(Spoken(start, max(milliseconds(word.span.end), start), text, segment.speaker, number == len(segment.words)))
    return tuple(sorted((word for words in said.values() for word in _priced(words)), key=lambda word: word.start))


def _priced(words: Sequence[Spoken]) -> list[Spoken]:
    priced: list[Spoken] = []
    for before, word, after in zip([None, *words], words, [*words[1:], None], strict=False):
        glue = blank(before.text, word.text) if before else 1
        priced.append(replace(word, breaks=_price(word, after), columns=width(word.text), glue=glue))
    return priced


def _price(word: Spoken, after: Spoken | None) -> float:
    if after is None or after.start - word.end >= 1_000 or ends_sentence(word.text):
        return 0.0
    if word.last or after.start - word.end >= 400:
        return 0.3
    pause = max(after.start - word.end, 0) / 1000
    return 0.6 if ends_clause(word.text) else 2.0 - 3.0 * pause


def cues(words: Sequence[Spoken], layout: Layout) -> tuple[Cue, ...]:
    """The words, sorted by start, cut into cues that begin at different times and in order.

    A cue ends with its last word, so cues may overlap where people do; `apart` ends that. A cue holds more lines than
    the layout allows only where more people speak at once or words have no time between them.
    """
    best, back = [0.0] + [float("inf")] * len(words), [0] * (len(words) + 1)
    for first in range(len(words)):
        if best[first] == float("inf"):
            continue
        growing = _Growing(layout, words[first].start)
        reached = False
        for last in range(first, len(words)):
            growing.add(words[last])
            if reached and growing.full:
                break
            available = words[last + 1].start - growing.start if last + 1 < len(words) else None
            if available is not None and available <= 0:
                continue
            price = best[first] + growing.price(available)
            reached = True
            if price < best[last + 1]:
                best[last + 1], back[last + 1] = price, first
    edges = [len(words)]
    while edges[-1] > 0:
        edges.append(back[edges[-1]])
    pairs = zip(edges[:0:-1], edges[-2::-1], strict=True)
    return tuple(Cue(words[a].start, max(w.end for w in words[a:b]), tuple(words[a:b])) for a, b in pairs)


class _Growing:
    """A cue while it takes on words: lines, silence and changes of speaker, each kept up in constant time."""

    def __init__(self, layout: Layout, start: int) -> None:
        self.layout, self.start, self.end = layout, start, 0
        self.pauses, self.changes = 0.0, 0
        self.latest: dict[Speaker, Spoken] = {}
        self.filled: dict[tuple[Speaker, bool], tuple[int, int]] = {}

    def add(self, word: Spoken) -> None:
        """Take on the next word."""
        if self.latest:
            gap = (word.start - self.end) / 1000
            self.pauses += 2.0 * gap if gap > 0.6 else 0.0
            previous = max(self.latest.values(), key=lambda other: other.start)
            self.changes += previous.speaker != word.speaker and gap >= 0
        for shared in (False, True):
            lines, used = self.filled.get((word.speaker, shared), (0, 0))
            if not lines:
                head = self.layout.head(word.speaker, shared)
                lines, used = (1, width(head)) if head else (1, -1)
            glue = word.glue if word.speaker in self.latest else 1
            grown = word.columns + (used + glue if used >= 0 else 0)
            fits = grown <= self.layout.width or used < 0
            self.filled[word.speaker, shared] = (lines, grown) if fits else (lines + 1, word.columns)
        self.latest[word.speaker] = word
        self.end = max(self.end, word.end)

    @property
    def excess(self) -> int:
        shared = len(self.latest) > 1
        lines = sum(count for (_, kind), (count, _) in self.filled.items() if kind is shared)
        return lines - max(self.layout.count, len(self.latest))

    @property
    def full(self) -> bool:
        return self.excess > 1 or self.end - self.start > LONGEST or self.pauses > 12

    def price(self, available: int | None) -> float:
        """What this cue costs if the next one starts ``available`` milliseconds after it; None: nothing follows."""
        shown = self.end - self.start if available is None else min(max(self.end - self.start, SHORTEST), available)
        price = 1.0 + self.pauses + 3.0 * self.changes + 10.0 * max(self.excess, 0)
        price += sum(word.breaks for word in self.latest.values())
        if available is not None:
            price += 6.0 * max(self.end - self.start - available, 0) / 1000
            price += 8.0 * max(SHORTEST - 200 - shown, 0) / (SHORTEST - 200)
        used = sum(used + (lines - 1) * self.layout.width for (_, kind), (lines, used) in self.filled.items() if not kind)
        return price + 0.5 * max(1 - used / (self.layout.width * self.layout.count), 0) ** 2


def apart(found: Sequence[Cue]) -> tuple[Cue, ...]:
    """Cues that never overlap: each ends at the latest where the next one starts."""
    following = [cue.start for cue in found[1:]]
    return (*(replace(cue, end=min(cue.end, start)) for cue, start in zip(found, following, strict=False)), *found[len(following) :])


def lingering(found: Sequence[Cue], duration: int) -> tuple[Cue, ...]:
    """Cues that stay long enough to be read and do not flicker, yet never into the start of another cue.

    ``found`` is sorted by start; nothing lingers beyond ``duration``.
    """
    longer: list[Cue] = []
    starts = sorted({cue.start for cue in found})
    for cue in found:
        after = bisect_left(starts, max(cue.end, cue.start + 1))
        later = starts[after] if after < len(starts) else None
        letters = sum(len(word.text) + 1 for word in cue.words)
        wanted = max(cue.end, min(cue.start + max(SHORTEST, letters * PER_LETTER), cue.end + LONGEST_LINGER, cue.start + LONGEST, duration))
        if later is not None:
            wanted = later if later - wanted < FLICKER else wanted
        longer.append(replace(cue, end=max(wanted, cue.start + 1)))
    return tuple(longer)
