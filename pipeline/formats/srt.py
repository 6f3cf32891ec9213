"""SubRip: ``Name: text``, one cue at a time; people who speak at once share a cue, each on a line with a dash.

SRT has no speakers and players handle overlapping cues badly, so no two cues overlap in time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from meetsplit.pipeline.data import Speaker, Transcript
from meetsplit.pipeline.formats.cues import Cue, apart, cues, lingering, spoken
from meetsplit.pipeline.formats.line_breaking import Layout, lines
from meetsplit.pipeline.formats.text import milliseconds, people, stamp
from meetsplit.pipeline.settings import Outputs


def subrip(transcript: Transcript, outputs: Outputs) -> str:
    """The transcript as SubRip subtitles; empty for an empty transcript."""
    names = people(transcript)

    def head(speaker: Speaker, shared: bool) -> str:
        return f"- {names[speaker]}:" if shared else f"{names[speaker]}:"

    layout = Layout(outputs.max_line_width, outputs.max_line_count, head)
    shown = lingering(apart(cues(spoken(transcript), layout)), milliseconds(transcript.duration))
    times = [f"{stamp(cue.start, ',')} --> {stamp(cue.end, ',')}" for cue in shown]
    texts = [_text(cue, order, layout) for cue, order in zip(shown, _orders(shown), strict=True)]
    return "\n".join(
        f"{number}\n{time}\n{text}" for number, (time, text) in enumerate(zip(times, texts, strict=True), 1)
    )


def _orders(shown: Sequence[Cue]) -> Iterator[tuple[Speaker, ...]]:
    """Each cue's speakers from top to bottom: those in mid-sentence keep their places, the others follow as they begin."""
    places: dict[Speaker, int] = {}
    for cue in shown:
        order = tuple(sorted(cue.blocks, key=lambda speaker: places.get(speaker, max(places.values(), default=0) + 1)))
        yield order
        unfinished = {word.speaker: word.breaks > 0 for word in cue.words}
        places = {speaker: place for place, speaker in enumerate(order) if unfinished[speaker]}


def _text(cue: Cue, order: Sequence[Speaker], layout: Layout) -> str:
    blocks = cue.blocks
    found = (line for speaker in order for line in lines(blocks[speaker], layout, layout.head(speaker, len(order) > 1)))
    return "".join(f"{_plain(line)}\n" for line in found)


def _plain(text: str) -> str:
    r"""SRT has no escapes: what players take for an arrow, a tag or an ASS command is written with other letters.

    >>> _plain("a --> b, <b>bold</b>, {\\an8}, 1 < 2")
    'a -> b, ‹b›bold‹/b›, (\\an8}, 1 < 2'
    """
    text = re.sub("-{2,}>", "->", text).replace("{\\", "(\\")
    return re.sub(r"<(/?[A-Za-z][^<>]*)>", r"‹\1›", text)
