"""WebVTT (W3C Candidate Recommendation 2019): ``<v Name>``, people who speak at once side by side, a colour per person.

Reasons to listen again are notes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from meetsplit.pipeline.data import Segment, Speaker, Transcript
from meetsplit.pipeline.formats.cue_names import short_names
from meetsplit.pipeline.formats.cue_places import UNITS, Place, heights, places
from meetsplit.pipeline.formats.cue_timing import FLASH_SHARE, side_by_side, timing_of
from meetsplit.pipeline.formats.cues import LONGEST, PAUSE, Cue, CueWord, Timing, cue_words, cues
from meetsplit.pipeline.formats.line_breaking import NO_LIMIT, Layout, lines
from meetsplit.pipeline.formats.text import clock, milliseconds, one_line, speaker_names, stamp
from meetsplit.pipeline.formats.word_highlighting import marked, moments, underlined
from meetsplit.pipeline.settings import Outputs

COLORS = ("#FFFFFF", "#F0E442", "#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#999999")
"""A colour per person, then from the first again: those of Okabe and Ito (Color Universal Design, 2008), which people
with any kind of colour vision tell apart, without the two that are too dark on a player's black box."""

MOST_PASSES = 6
"""Times that a transcript is cut into cues for lines of the width of their columns."""


def write(transcript: Transcript, outputs: Outputs) -> str:
    """The transcript as WebVTT; only the header for an empty transcript."""
    names = speaker_names(transcript)
    layout = _layout(transcript, outputs)
    shown, placed = shown_cues(transcript, outputs)
    heads = _heads(shown, placed, layout, outputs)
    texts = [[word.text for word in cue.words] for cue in shown]
    layouts = [_narrowed(layout, place) for place in placed]
    counts = [len(lines(text, own, head)) for text, own, head in zip(texts, layouts, heads, strict=True)]
    begins = heights(shown, placed, counts, timing_of(outputs).gap)
    blocks: list[tuple[int, int, str]] = []
    for number, cue in enumerate(shown):
        settings = _settings(placed[number], begins[number])
        name = _escaped(names[cue.words[0].speaker])
        words = texts[number]
        for moment in moments(cue, outputs.highlight_words):
            written = marked(words, range(len(words)), moment.spoken)
            broken = lines(words, layouts[number], heads[number], written)
            text = "\n".join(underlined(_escaped(line)) for line in broken)
            times = f"{stamp(moment.start)} --> {stamp(moment.end)}"
            blocks.append((moment.start, 1, f"{times}{settings}\n<v {name}>{text}\n"))
    notes = [(milliseconds(segment.span.start), 0, _note(segment)) for segment in transcript.segments if segment.review]
    ordered = sorted([*blocks, *notes], key=lambda block: block[:2])
    style = _style(list(names.values())) if outputs.vtt_colors else []
    return "\n".join(["WEBVTT\n", *style, *(text for _, _, text in ordered)])


def _layout(transcript: Transcript, outputs: Outputs) -> Layout:
    """The room of a cue that is shown alone; with a head where names are shown."""
    short = short_names(speaker_names(transcript), outputs.max_line_width)
    is_named = outputs.vtt_names and outputs.speaker_names != "never"
    most_words = outputs.max_words_per_line or NO_LIMIT

    def head(speaker: Speaker, shared: bool) -> str:
        return f"{short[speaker]}:" if is_named else ""

    return Layout(outputs.max_line_width, outputs.max_line_count, head, most_words)


def _narrowed(layout: Layout, place: Place | None) -> Layout:
    """The layout in lines of the width of a column."""
    return layout if place is None else replace(layout, width=min(layout.width, place.letters))


def shown_cues(transcript: Transcript, outputs: Outputs) -> tuple[tuple[Cue, ...], list[Place | None]]:
    """The cues of `write`, of one speaker each, with the times at which they are shown, sorted by start; their places.

    Which cues stand in columns is known only when they are cut, and how they are cut depends on the width of their
    columns: those in columns are cut again, for narrower lines, until all fit.
    """
    layout, timing, duration = _layout(transcript, outputs), timing_of(outputs), milliseconds(transcript.duration)
    by_speaker: dict[Speaker, list[CueWord]] = {}
    for word in cue_words(transcript):
        by_speaker.setdefault(word.speaker, []).append(word)
    rooms = {speaker: [layout.width] * len(own) for speaker, own in by_speaker.items()}
    cut: dict[Speaker, tuple[Cue, ...]] = {}
    changed = sorted(by_speaker)
    for _ in range(MOST_PASSES):
        cut |= {speaker: cues(by_speaker[speaker], layout, timing, rooms[speaker]) for speaker in changed}
        shown = sorted((cue for own in cut.values() for cue in own), key=lambda cue: (cue.start, cue.end))
        timed = side_by_side(shown, timing, duration)
        placed = places(timed, timing.gap)
        changed = _narrow(rooms, timed, placed)
        if not changed:
            break
    return _without_flashes(timed, placed, layout, timing, duration)


def _without_flashes(
    shown: tuple[Cue, ...], placed: list[Place | None], layout: Layout, timing: Timing, duration: int
) -> tuple[tuple[Cue, ...], list[Place | None]]:
    """The cues, those that would only flash by joined with their speaker's next ones where both fit into one cue.

    Words that stood in a narrow column in one pass are cut for it in all later ones, although they may have got a
    wider column since.
    """
    refused: set[tuple[Speaker, int]] = set()
    for _ in range(MOST_PASSES):
        followers = _followers_of_flashes(shown, placed, layout, timing, duration, refused)
        if not followers:
            break
        taken = set(followers.values())
        joined: list[Cue] = []
        for number, cue in enumerate(shown):
            if number not in taken:
                words = cue.words + (shown[followers[number]].words if number in followers else ())
                joined.append(Cue(cue.start, max(word.end for word in words), words))
        timed = side_by_side(sorted(joined, key=lambda cue: (cue.start, cue.end)), timing, duration)
        timed_places = places(timed, timing.gap)
        # Joined cues have to fit, and all whose columns have become narrower by that.
        letters = {
            (cue.words[0].speaker, cue.start): _narrowed(layout, place).width
            for number, (cue, place) in enumerate(zip(shown, placed, strict=True))
            if number not in followers
        }
        crowded = [
            cue
            for cue, place in zip(timed, timed_places, strict=True)
            if _narrowed(layout, place).width < letters.get((cue.words[0].speaker, cue.start), layout.width + 1)
            and not _fits(cue, _narrowed(layout, place))
        ]
        if not crowded:
            shown, placed = timed, timed_places
            continue
        refused |= {
            (cue.words[0].speaker, cue.start)
            for cue in (shown[number] for number in followers)
            if any(other.start <= cue.start + LONGEST and cue.start <= other.end + timing.gap for other in crowded)
        }
    return shown, placed


def _followers_of_flashes(
    shown: Sequence[Cue],
    placed: Sequence[Place | None],
    layout: Layout,
    timing: Timing,
    duration: int,
    refused: Collection[tuple[Speaker, int]],
) -> dict[int, int]:
    """Numbers of cues that only flash by, each with that of its speaker's next cue where the two could be one."""
    later: dict[Speaker, int] = {}
    followers: dict[int, int] = {}
    for number in range(len(shown) - 1, -1, -1):
        cue = shown[number]
        speaker = cue.words[0].speaker
        follower = later.get(speaker)
        later[speaker] = number
        is_flash = cue.end - cue.start < FLASH_SHARE * timing.shortest and cue.end < duration
        if not is_flash or follower is None or follower in followers or (speaker, cue.start) in refused:
            continue
        last, following = max(word.end for word in cue.words), shown[follower]
        if following.start - last > 1000 * PAUSE or max(w.end for w in following.words) - cue.start > LONGEST:
            continue
        narrower = min((_narrowed(layout, placed[at]) for at in (number, follower)), key=lambda own: own.width)
        if _fits(Cue(cue.start, following.end, cue.words + following.words), narrower):
            followers[number] = follower
    return followers


def _fits(cue: Cue, layout: Layout) -> bool:
    """Whether the words of a cue have room in the lines of the layout, beside a name where names are shown."""
    head = layout.head(cue.words[0].speaker, False)
    return len(lines([word.text for word in cue.words], layout, head)) <= layout.count


def _narrow(rooms: Mapping[Speaker, list[int]], shown: Sequence[Cue], placed: Sequence[Place | None]) -> list[Speaker]:
    """Narrow the rooms of words that stand in columns; returns the speakers of those that were wider."""
    first_words = dict.fromkeys(rooms, 0)
    changed: set[Speaker] = set()
    for cue, place in zip(shown, placed, strict=True):
        speaker = cue.words[0].speaker
        first = first_words[speaker]
        last = first_words[speaker] = first + len(cue.words)
        if place is not None and place.letters < min(rooms[speaker][first:last]):
            rooms[speaker][first:last] = [min(room, place.letters) for room in rooms[speaker][first:last]]
            changed.add(speaker)
    return sorted(changed)


def _heads(shown: Sequence[Cue], placed: Sequence[Place | None], layout: Layout, outputs: Outputs) -> list[str]:
    """What stands before each cue's words: with names at a change, nothing where the same person was shown before."""
    latest: list[Speaker | None] = [None] * UNITS
    heads: list[str] = []
    for cue, place in zip(shown, placed, strict=True):
        speaker = cue.words[0].speaker
        row = 0 if place is None else place.row
        columns = slice(None) if place is None else slice(place.left, place.left + place.units)
        is_change = row > 0 or set(latest[columns]) != {speaker}
        heads.append(layout.head(speaker, False) if outputs.speaker_names == "every" or is_change else "")
        if row == 0:
            latest[columns] = [speaker] * len(latest[columns])
    return heads


def _settings(place: Place | None, begins: int | None) -> str:
    """The settings of a cue: where its column is and at which line from the bottom its text begins."""
    return "" if place is None else f" line:-{begins} position:{place.position}% size:{place.size}%"


def _style(names: Sequence[str]) -> list[str]:
    """The colours of people's words, in a style block; none for a single person."""
    distinct = list(dict.fromkeys(names))
    if len(distinct) < 2:
        return []
    rules = [
        f"::cue(v[voice={_css_string(name)}]) {{ color: {COLORS[number % len(COLORS)]} }}\n"
        for number, name in enumerate(distinct)
    ]
    return [f"STYLE\n{''.join(rules)}"]


def _css_string(text: str) -> str:
    r"""The text as a CSS string without the arrow that would end the style block.

    >>> print(_css_string('Bo "B" --> \\'))
    "Bo \"B\" --\3e  \\"
    """
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace(">", "\\3e ")
    return f'"{escaped}"'


def _note(segment: Segment) -> str:
    when = f"{clock(milliseconds(segment.span.start))}–{clock(milliseconds(segment.span.end) + 999)}"
    return re.sub("-{2,}>", "->", one_line(f"NOTE check {when} {segment.speaker} {', '.join(segment.review)}")) + "\n"


def _escaped(text: str) -> str:
    """The text without tags, entities and arrows.

    >>> _escaped("a --> <b> & c")
    'a --&gt; &lt;b&gt; &amp; c'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
