"""WebVTT (W3C Candidate Recommendation 2019): ``<v Name>``, people who speak at once side by side.

Reasons to listen again are notes.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace

from meetsplit.pipeline.data import Segment, Speaker, Transcript
from meetsplit.pipeline.formats.cues import Cue, CueWord, cue_words, cues, linger, without_overlap
from meetsplit.pipeline.formats.line_breaking import Layout, lines
from meetsplit.pipeline.formats.text import clock, milliseconds, one_line, speaker_names, stamp
from meetsplit.pipeline.settings import Outputs

TOUCH = 100
"""Milliseconds of overlap below which two people only touch: the first cue ends where the second starts."""


def write(transcript: Transcript, outputs: Outputs) -> str:
    """The transcript as WebVTT; only the header for an empty transcript."""
    layout = Layout(outputs.max_line_width, outputs.max_line_count, lambda speaker, shared: "")
    names = speaker_names(transcript)
    shown = linger(_trim_touches(_cues_by_start(transcript, layout)), milliseconds(transcript.duration))
    blocks = [
        (cue.start, 1, _cue(names[cue.words[0].speaker], cue, position, layout))
        for cue, position in zip(shown, _positions(shown), strict=True)
    ]
    notes = [(milliseconds(segment.span.start), 0, _note(segment)) for segment in transcript.segments if segment.review]
    ordered = sorted([*blocks, *notes], key=lambda block: block[:2])
    return "\n".join(["WEBVTT\n", *(text for _, _, text in ordered)])


def _cues_by_start(transcript: Transcript, layout: Layout) -> list[Cue]:
    """Cues of one speaker each; a speaker's own do not overlap."""
    words: dict[Speaker, list[CueWord]] = {}
    for word in cue_words(transcript):
        words.setdefault(word.speaker, []).append(word)
    by_speaker = (without_overlap(cues(words[speaker], layout)) for speaker in sorted(words))
    return sorted((cue for own in by_speaker for cue in own), key=lambda cue: (cue.start, cue.end))


def _trim_touches(shown: Sequence[Cue]) -> tuple[Cue, ...]:
    trimmed: list[Cue] = []
    starts = [cue.start for cue in shown]
    for cue in shown:
        after = bisect_right(starts, cue.start)
        later = shown[after] if after < len(shown) else None
        touches = later is not None and 0 < cue.end - later.start < TOUCH and later.end > cue.end
        trimmed.append(replace(cue, end=later.start) if touches and later is not None else cue)
    return tuple(trimmed)


def _positions(shown: Sequence[Cue]) -> list[str]:
    """The settings of each cue: a column per person within each stretch of cues that overlap one another."""
    positions: list[str] = []
    at = 0
    while at < len(shown):
        last, end = at + 1, shown[at].end
        while last < len(shown) and shown[last].start < end:
            end = max(end, shown[last].end)
            last += 1
        positions += _columns(shown[at:last])
        at = last
    return positions


def _columns(overlapping: Sequence[Cue]) -> Iterable[str]:
    speakers = sorted({cue.words[0].speaker for cue in overlapping})
    columns = {speaker: number for number, speaker in enumerate(speakers)}
    for cue in overlapping:
        left = 100 * columns[cue.words[0].speaker] // len(columns)
        yield f" position:{left}% size:{100 // len(columns)}% align:left" if len(columns) > 1 else ""


def _cue(name: str, cue: Cue, position: str, layout: Layout) -> str:
    text = "\n".join(_escaped(line) for line in lines([word.text for word in cue.words], layout))
    return f"{stamp(cue.start)} --> {stamp(cue.end)}{position}\n<v {_escaped(name)}>{text}\n"


def _note(segment: Segment) -> str:
    when = f"{clock(milliseconds(segment.span.start))}–{clock(milliseconds(segment.span.end) + 999)}"
    return re.sub("-{2,}>", "->", one_line(f"NOTE check {when} {segment.speaker} {', '.join(segment.review)}")) + "\n"


def _escaped(text: str) -> str:
    """The text without tags, entities and arrows.

    >>> _escaped("a --> <b> & c")
    'a --&gt; &lt;b&gt; &amp; c'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
