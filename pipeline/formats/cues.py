"""How words become subtitles: which words share a cue, and how long a cue stays.

The words are cut into cues by dynamic programming over all cuts, like Knuth and Plass's paragraphs (Software: Practice
and Experience 11, 1981): a cue that ends with a sentence costs nothing, one that ends in the middle of a phrase, spans
a pause, flashes by or mixes people who do not overlap costs more. All times here are whole milliseconds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from meetsplit.pipeline.data import Speaker, Transcript
from meetsplit.pipeline.formats.line_breaking import Layout, blank, ends_clause, ends_sentence
from meetsplit.pipeline.formats.text import milliseconds, one_line, width

LONGEST = 7_000
"""No cue lasts longer, unless a single word does."""
SHORTEST = 1_000
"""A cue lingers up to this long after its start, if nothing else is to be shown."""
FLICKER = 300
"""Cues nearer than this follow each other without a gap."""
PER_LETTER = 50
"""Reading time of a letter: 20 a second, the usual rule for adults."""
LONGEST_LINGER = 1_000
MOST_WORDS = 200
"""No cue holds more words than about this, however many people speak at once: a wall of words is no subtitle."""


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
        blocks: dict[Speaker, list[str]] = {}
        for word in self.words:
            blocks.setdefault(word.speaker, []).append(word.text)
        return {speaker: tuple(texts) for speaker, texts in blocks.items()}


def spoken(transcript: Transcript) -> tuple[Spoken, ...]:
    """Every word that has text, by start. Each speaker's words keep the order of the transcript, whatever their times say."""
    said: dict[Speaker, list[Spoken]] = {}
    for segment in transcript.segments:
        words = said.setdefault(segment.speaker, [])
        for number, word in enumerate(segment.words, 1):
            if text := one_line(word.text):
                start = max(milliseconds(word.span.start), words[-1].start if words else 0)
                words.append(
                    Spoken(
                        start,
                        max(milliseconds(word.span.end), start),
                        text,
                        segment.speaker,
                        number == len(segment.words),
                    )
                )
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
    heads = _heads(words, layout)
    for first in range(len(words)):
        if best[first] < float("inf"):
            for last, price in _prices(words, first, layout, heads):
                if best[first] + price < best[last + 1]:
                    best[last + 1], back[last + 1] = best[first] + price, first
    edges = [len(words)]
    while edges[-1] > 0:
        edges.append(back[edges[-1]])
    pairs = zip(edges[:0:-1], edges[-2::-1], strict=True)
    return tuple(Cue(words[a].start, max(w.end for w in words[a:b]), tuple(words[a:b])) for a, b in pairs)


def _heads(words: Sequence[Spoken], layout: Layout) -> dict[Speaker, tuple[int, int]]:
    """Columns that stand before each speaker's words, alone and in a shared cue; -1 for nothing."""
    speakers = {word.speaker for word in words}
    heads = {speaker: (layout.head(speaker, False), layout.head(speaker, True)) for speaker in speakers}
    return {
        speaker: (width(alone) if alone else -1, width(shared) if shared else -1)
        for speaker, (alone, shared) in heads.items()
    }


def _prices(  # noqa: C901, PLR0915 - the innermost loop, see below
    words: Sequence[Spoken], first: int, layout: Layout, heads: Mapping[Speaker, tuple[int, int]]
) -> Iterator[tuple[int, float]]:
    """The last word and the price of every cue that begins with the word ``first`` and is worth a look.

    Each takes one word more than the one before, and what a price is made of is kept up in nearly constant time: this
    is the innermost loop of everything written, so names are local and nothing is looked up twice.
    """
    room, most_lines, start, count = layout.width, layout.count, words[first].start, len(words)
    several = len(heads) > 1
    end, pauses, changes, reached = 0, 0.0, 0, False
    previous = words[first]
    order: dict[Speaker, int] = {}
    breaks: dict[Speaker, float] = {}
    alone: dict[Speaker, tuple[int, int]] = {}
    shared: dict[Speaker, tuple[int, int]] = {}
    lines_alone = lines_shared = columns = people = 0
    for last in range(first, count):
        word = words[last]
        speaker = word.speaker
        if people:
            gap = (word.start - end) / 1000
            if gap > 0.6:
                pauses += 2.0 * gap
            if gap >= 0 and previous.speaker != speaker:
                changes += 1
        if speaker in breaks:
            lines, used = alone[speaker]
            columns -= used + (lines - 1) * room
            lines_alone -= lines
            lines, used = _filled(lines, used, word.glue, word.columns, room)
        else:
            order[speaker] = people
            people += 1
            lines, used = _filled(1, heads[speaker][0], 1, word.columns, room)
        alone[speaker] = lines, used
        columns += used + (lines - 1) * room
        lines_alone += lines
        if several:
            if speaker in breaks:
                lines_shared -= shared[speaker][0]
                shared[speaker] = _filled(*shared[speaker], word.glue, word.columns, room)
            else:
                shared[speaker] = _filled(1, heads[speaker][1], 1, word.columns, room)
            lines_shared += shared[speaker][0]
        breaks[speaker] = word.breaks
        # Of those who began their latest word last, the one who began to speak first.
        if word.start > previous.start or order[speaker] <= order[previous.speaker]:
            previous = word
        if word.end > end:
            end = word.end
        long = end - start
        excess = lines_alone - most_lines if people == 1 else lines_shared - max(most_lines, people)
        if reached and (excess > 1 or long > LONGEST or pauses > 12 or last - first >= MOST_WORDS):
            return
        available = words[last + 1].start - start if last + 1 < count else None
        if available is not None and available <= 0:
            continue
        reached = True
        price = 1.0 + pauses + 3.0 * changes + (10.0 * excess if excess > 0 else 0.0)
        price += sum(breaks.values())
        if available is not None:
            if long > available:
                price += 6.0 * (long - available) / 1000
            shown = min(long if long > SHORTEST else SHORTEST, available)
            if shown < SHORTEST - 200:
                price += 8.0 * (SHORTEST - 200 - shown) / (SHORTEST - 200)
        unused = 1 - columns / (room * most_lines)
        yield last, price + 0.5 * unused**2 if unused > 0 else price


def _filled(lines: int, used: int, glue: int, columns: int, room: int) -> tuple[int, int]:
    """Lines, and columns of the last one, after one more word; ``used`` is -1 where nothing stands there yet."""
    if used < 0:
        return lines, columns
    grown = used + glue + columns
    return (lines, grown) if grown <= room else (lines + 1, columns)


def apart(found: Sequence[Cue]) -> tuple[Cue, ...]:
    """Cues that never overlap: each ends at the latest where the next one starts."""
    following = [cue.start for cue in found[1:]]
    return (
        *(replace(cue, end=min(cue.end, start)) for cue, start in zip(found, following, strict=False)),
        *found[len(following) :],
    )


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
        wanted = max(
            cue.end,
            min(
                cue.start + max(SHORTEST, letters * PER_LETTER), cue.end + LONGEST_LINGER, cue.start + LONGEST, duration
            ),
        )
        if later is not None:
            wanted = later if later - wanted < FLICKER else wanted
        longer.append(replace(cue, end=max(wanted, cue.start + 1)))
    return tuple(longer)
