"""WebVTT (W3C Candidate Recommendation 2019): ``<v Name>``, people who speak at once side by side, reasons to check as notes."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace

from meetsplit.pipeline.data import Segment, Speaker, Transcript
from meetsplit.pipeline.formats.cues import Cue, Spoken, apart, cues, lingering, spoken
from meetsplit.pipeline.formats.line_breaking import Layout, lines
from meetsplit.pipeline.formats.text import clock, milliseconds, one_line, people, stamp
from meetsplit.pipeline.settings import Outputs

TOUCH = 100
"""Two people who speak at once for fewer milliseconds only touch: the first cue ends where the second starts."""


def webvtt(transcript: Transcript, outputs: Outputs) -> str:
    """The transcript as WebVTT; only the header for an empty transcript."""
    layout = Layout(outputs.max_line_width, outputs.max_line_count, lambda speaker, shared: "")
    names, said = people(transcript), dict[Speaker, list[Spoken]]()
    for word in spoken(transcript):
        said.setdefault(word.speaker, []).append(word)
    each = [apart(cues(said[who], layout)) for who in sorted(said)]
    alone = sorted((cue for found in each for cue in found), key=lambda cue: (cue.start, cue.end))
    shown = lingering(_untouched(alone), milliseconds(transcript.duration))
    blocks = [
        (cue.start, 1, _cue(names[cue.words[0].speaker], cue, place, layout))
        for cue, place in zip(shown, _places(shown), strict=True)
    ]
    blocks += [
        (milliseconds(segment.span.start), 0, _note(segment)) for segment in transcript.segments if segment.review
    ]
    return "\n".join(["WEBVTT\n", *(text for _, _, text in sorted(blocks, key=lambda block: block[:2]))])


def _untouched(found: Sequence[Cue]) -> tuple[Cue, ...]:
    trimmed: list[Cue] = []
    starts = [cue.start for cue in found]
    for cue in found:
        after = bisect_right(starts, cue.start)
        later = found[after] if after < len(found) else None
        touches = later is not None and 0 < cue.end - later.start < TOUCH and later.end > cue.end
        trimmed.append(replace(cue, end=later.start) if touches and later is not None else cue)
    return tuple(trimmed)


def _places(found: Sequence[Cue]) -> list[str]:
    """The settings of each cue: a column per person within each stretch of cues that overlap one another."""
    places: list[str] = []
    at = 0
    while at < len(found):
        last, end = at + 1, found[at].end
        while last < len(found) and found[last].start < end:
            end = max(end, found[last].end)
            last += 1
        places += _columns(found[at:last])
        at = last
    return places


def _columns(together: Sequence[Cue]) -> Iterable[str]:
    places = {speaker: number for number, speaker in enumerate(sorted({cue.words[0].speaker for cue in together}))}
    for cue in together:
        left = 100 * places[cue.words[0].speaker] // len(places)
        yield f" position:{left}% size:{100 // len(places)}% align:left" if len(places) > 1 else ""


def _cue(name: str, cue: Cue, place: str, layout: Layout) -> str:
    text = "\n".join(_escaped(line) for line in lines([word.text for word in cue.words], layout))
    return f"{stamp(cue.start)} --> {stamp(cue.end)}{place}\n<v {_escaped(name)}>{text}\n"


def _note(segment: Segment) -> str:
    when = f"{clock(milliseconds(segment.span.start))}–{clock(milliseconds(segment.span.end) + 999)}"
    return re.sub("-{2,}>", "->", one_line(f"NOTE check {when} {segment.speaker} {', '.join(segment.review)}")) + "\n"


def _escaped(text: str) -> str:
    """Text that holds no tag, no entity and no arrow.

    >>> _escaped("a --> <b> & c")
    'a --&gt; &lt;b&gt; &amp; c'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
