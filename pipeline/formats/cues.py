"""Subtitle cues: which words share a cue, and how long a cue stays.

The words are cut into cues by dynamic programming over all cuts, like Knuth and Plass's paragraphs (Software: Practice
and Experience 11, 1981): a cue that ends with a sentence costs nothing, one that ends in the middle of a phrase, spans
a pause, flashes by or mixes people who do not overlap costs more. All times here are whole milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from meetsplit.pipeline.data import Segment, Speaker, Transcript
from meetsplit.pipeline.formats.line_breaking import Layout, blank, ends_clause, ends_sentence
from meetsplit.pipeline.formats.text import milliseconds, one_line, width

LONGEST = 7_000
"""Milliseconds that a cue is shown at most."""

LEAST = 100
"""Milliseconds that a cue is shown at least: words that begin sooner after a cue's beginning are part of it."""

LONGEST_LINGER = 1_000
"""Milliseconds that a cue stays after its last word at most, for it to be read."""

MOST_WORDS = 200
"""No cue holds more words than about this, however many people speak at once: a wall of words is no subtitle."""

PAUSE = 0.6
"""Seconds of silence inside a cue that cost something."""

MOST_PAUSES = 12
"""A cue whose pauses cost more grows no further."""

CUE_PRICE = 1.0
"""Of every cue: few cues are better than many."""

PAUSE_PRICE = 2.0
"""Per second of a pause."""

CHANGE_PRICE = 3.0
"""Per change of the speaker inside a cue where the speakers do not overlap."""

EXCESS_PRICE = 100.0
"""Per line more than the layout allows: more than anything that a cut could cost."""

LATE_PRICE = 6.0
"""Per second by which a cue reaches into the next one."""

FLASH_PRICE = 8.0
"""Of a cue that is shown for no time at all; it falls to nothing at the shortest duration."""

HASTE_PRICE = 5.0
"""Per second that is lacking to read a cue."""

EMPTY_PRICE = 0.5
"""Of a cue without letters; it falls with the square of the room that is left."""


@dataclass(frozen=True, slots=True)
class Timing:
    """When cues begin and end, in milliseconds: the least gap between two, how long one is shown if possible, and the
    time that it takes to read a column of text.
    """

    gap: int = 83
    shortest: int = 1_000
    per_column: float = 50.0


class CueWord(NamedTuple):
    """A word on a clock of milliseconds.

    ``last`` says that its segment ends with it; ``breaks`` is the price of ending a cue behind it, 0 to 2;
    ``columns`` is its width on the screen, ``glue`` that of the blank between it and the same speaker's word before
    it.
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
    words: tuple[CueWord, ...]

    @property
    def columns(self) -> int:
        """The width of the text, with the blanks between each speaker's words."""
        seen: set[Speaker] = set()
        columns = 0
        for word in self.words:
            columns += word.columns + (word.glue if word.speaker in seen else 0)
            seen.add(word.speaker)
        return columns

    @property
    def by_speaker(self) -> dict[Speaker, tuple[int, ...]]:
        """The numbers of each speaker's words, speakers in order of their first word."""
        numbers: dict[Speaker, list[int]] = {}
        for number, word in enumerate(self.words):
            numbers.setdefault(word.speaker, []).append(number)
        return {speaker: tuple(own) for speaker, own in numbers.items()}


def cue_words(transcript: Transcript) -> tuple[CueWord, ...]:
    """Every word that has text, by start.

    Each speaker's words keep the order of the transcript, whatever their times say.
    """
    by_speaker: dict[Speaker, list[_TimedText]] = {}
    for segment in transcript.segments:
        _append_words(by_speaker.setdefault(segment.speaker, []), segment)
    words = (word for speaker, texts in by_speaker.items() for word in _priced(texts, speaker))
    return tuple(sorted(words, key=lambda word: word.start))


class _TimedText(NamedTuple):
    start: int
    end: int
    text: str
    last: bool


def _append_words(texts: list[_TimedText], segment: Segment) -> None:
    """Append the segment's words to those of its speaker, none earlier than the one before it."""
    for number, word in enumerate(segment.words, 1):
        if text := one_line(word.text):
            start = max(milliseconds(word.span.start), texts[-1].start if texts else 0)
            end = max(milliseconds(word.span.end), start)
            texts.append(_TimedText(start, end, text, number == len(segment.words)))


def _priced(texts: Sequence[_TimedText], speaker: Speaker) -> list[CueWord]:
    words: list[CueWord] = []
    before = ""
    for number, word in enumerate(texts, 1):
        after = texts[number] if number < len(texts) else None
        glue = blank(before, word.text) if before else 1
        breaks = _break_price(word, after)
        words.append(CueWord(word.start, word.end, word.text, speaker, word.last, breaks, width(word.text), glue))
        before = word.text
    return words


def _break_price(word: _TimedText, after: _TimedText | None) -> float:
    """The price of ending a cue between two words of one speaker."""
    if after is None or after.start - word.end >= 1_000 or ends_sentence(word.text):
        return 0.0
    if word.last or after.start - word.end >= 400:
        return 0.3
    if ends_clause(word.text):
        return 0.6
    return 2.0 - 3.0 * (max(after.start - word.end, 0) / 1000)


def cues(
    words: Sequence[CueWord], layout: Layout, timing: Timing, rooms: Sequence[int] | None = None
) -> tuple[Cue, ...]:
    """The words, sorted by start, cut into cues that begin in order, each at least the gap and `LEAST` after the last.

    A cue begins with its first word and ends with its last one; they may overlap where people do. A cue holds more
    lines than the layout allows only where more people speak at once or words have no time between them. ``rooms``
    are the columns of each word's line, for the words of one speaker; a cue has as many as the narrowest of its words.
    """
    edges = [len(words)]
    first_words = _cheapest_cuts(words, layout, timing, rooms)
    while edges[-1] > 0:
        edges.append(first_words[edges[-1]])
    pairs = zip(edges[:0:-1], edges[-2::-1], strict=True)
    return tuple(Cue(words[a].start, max(w.end for w in words[a:b]), tuple(words[a:b])) for a, b in pairs)


def _cheapest_cuts(  # noqa: C901, PLR0915 - see the docstring
    words: Sequence[CueWord], layout: Layout, timing: Timing, rooms: Sequence[int] | None
) -> list[int]:
    """For each number of words, the first word of the last cue when so many words are cut into the cheapest cues.

    A cue grows by one word at a time, and what its price is made of is kept up in nearly constant time: this is the
    innermost loop of everything written, so it is one function, names are local and nothing is looked up twice.
    `PlainCue` in tests/test_long_transcripts.py is the same price from its plain definition.
    """
    numbers = {speaker: number for number, speaker in enumerate(dict.fromkeys(word.speaker for word in words))}
    heads = [(_columns_of_head(speaker, layout, False), _columns_of_head(speaker, layout, True)) for speaker in numbers]
    rows = [(w.start, w.end, numbers[w.speaker], w.breaks, w.columns, w.glue) for w in words]
    starts = [*(word.start for word in words), float("inf")]
    most_lines, most_words, count = layout.count, layout.words, len(words)
    gap, shortest, per_column = timing.gap, timing.shortest, timing.per_column
    several, names_once = len(numbers) > 1, layout.naming == "change"
    cheapest, first_words = [0.0] + [float("inf")] * count, [0] * (count + 1)
    # The speaker of the last cue of the cheapest cues, where it has only one, otherwise -1.
    only_speakers = [-1] * (count + 1)
    for first in range(count):
        price_before = cheapest[first]
        if price_before == float("inf"):
            continue
        room = layout.width if rooms is None else rooms[first]
        whole_room = room * most_lines
        start = latest_start = words[first].start
        latest_speaker, latest_order = -1, 0
        end, pauses, changes, reached = start, 0.0, 0, False
        # Per speaker, in order of the first word: the columns taken of the last line (-1: none) and its words, in a
        # cue of one person and in a shared one, and the price of ending the cue behind the latest word.
        orders: dict[int, int] = {}
        alone: list[int] = []
        alone_words: list[int] = []
        shared: list[int] = []
        shared_words: list[int] = []
        breaks: list[float] = []
        lines_alone = lines_shared = columns = letters = people = 0
        for last in range(first, count):
            word_start, word_end, speaker, word_breaks, word_columns, glue = rows[last]

            # pauses, and changes of the speaker without overlap
            if people:
                pause = (word_start - end) / 1000
                if pause > PAUSE:
                    pauses += PAUSE_PRICE * pause
                if pause >= 0 and latest_speaker != speaker:
                    changes += 1

            # the speaker's lines with this word
            if rooms is not None and rooms[last] < room:
                room = rooms[last]
                whole_room = room * most_lines
                if people:
                    lines_alone, columns, alone[0], alone_words[0] = _refilled(rows[first:last], heads, layout, room)
            if speaker in orders:
                order = orders[speaker]
                breaks[order] = word_breaks
                used_alone, used_shared = alone[order], shared[order]
                letters += glue
            else:
                order = orders[speaker] = people
                used_alone, used_shared = heads[speaker]
                if names_once and only_speakers[first] == speaker:
                    used_alone = -1
                alone.append(used_alone)
                alone_words.append(0)
                shared.append(used_shared)
                shared_words.append(0)
                breaks.append(word_breaks)
                people += 1
                lines_alone += 1
                lines_shared += 1
                if used_alone > 0:
                    columns += used_alone
                glue = 1
            letters += word_columns
            if used_alone < 0:
                columns += word_columns
                alone[order] = word_columns
                alone_words[order] = 1
            elif used_alone + glue + word_columns <= room and alone_words[order] < most_words:
                columns += glue + word_columns
                alone[order] = used_alone + glue + word_columns
                alone_words[order] += 1
            else:
                columns += room - used_alone + word_columns
                alone[order] = word_columns
                alone_words[order] = 1
                lines_alone += 1
            if several:
                if used_shared < 0:
                    shared[order] = word_columns
                    shared_words[order] = 1
                elif used_shared + glue + word_columns <= room and shared_words[order] < most_words:
                    shared[order] = used_shared + glue + word_columns
                    shared_words[order] += 1
                else:
                    shared[order] = word_columns
                    shared_words[order] = 1
                    lines_shared += 1

            # of those who began their latest word last, the one who began to speak first
            if word_start > latest_start or order <= latest_order:
                latest_start, latest_speaker, latest_order = word_start, speaker, order
            if word_end > end:
                end = word_end

            length = end - start
            if people == 1:
                excess = lines_alone - most_lines
            else:
                excess = lines_shared - (people if people > most_lines else most_lines)
            if reached and (excess > 1 or length > LONGEST or pauses > MOST_PAUSES or last - first >= MOST_WORDS):
                break
            shown = starts[last + 1] - start - gap
            if shown < LEAST:
                continue
            reached = True

            price = CUE_PRICE + pauses + CHANGE_PRICE * changes
            if excess > 0:
                price += EXCESS_PRICE * excess
            price += breaks[0] if people == 1 else sum(breaks)
            if length > shown + gap:
                price += LATE_PRICE * (length - shown - gap) / 1000
            if shown < shortest:
                price += FLASH_PRICE * (shortest - shown) / shortest
            readable: float = length + LONGEST_LINGER
            if readable > shown:
                readable = shown
            if readable > LONGEST:
                readable = LONGEST
            if letters * per_column > readable:
                price += HASTE_PRICE * (letters * per_column - readable) / 1000
            unused = 1 - columns / whole_room
            if unused > 0:
                price += EMPTY_PRICE * unused**2
            price += price_before
            if price < cheapest[last + 1]:
                cheapest[last + 1], first_words[last + 1] = price, first
                only_speakers[last + 1] = speaker if people == 1 else -1
    return first_words


def _refilled(
    rows: Sequence[tuple[int, int, int, float, int, int]],
    heads: Sequence[tuple[int, int]],
    layout: Layout,
    room: int,
) -> tuple[int, int, int, int]:
    """Lines, columns, and columns and words of the last line, of one speaker's words in lines of another width."""
    used = heads[rows[0][2]][0]
    lines, columns, in_line = 1, max(used, 0), 0
    for number, (_, _, _, _, word_columns, word_glue) in enumerate(rows):
        glue = word_glue if number else 1
        if used < 0:
            columns, used, in_line = columns + word_columns, word_columns, 1
        elif used + glue + word_columns <= room and in_line < layout.words:
            columns, used, in_line = columns + glue + word_columns, used + glue + word_columns, in_line + 1
        else:
            columns, used, in_line = columns + room - used + word_columns, word_columns, 1
            lines += 1
    return lines, columns, used, in_line


def _columns_of_head(speaker: Speaker, layout: Layout, shared: bool) -> int:
    """Columns that stand before the speaker's words, alone or in a shared cue; -1 for none."""
    head = layout.head(speaker, shared)
    return width(head) if head else -1
