"""SubRip: ``Name: text``, one cue at a time; people who speak at once share a cue, each on a line with a dash.

SRT has no speakers and players handle overlapping cues badly, so no two cues overlap in time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from meetsplit.pipeline.data import Speaker, Transcript
from meetsplit.pipeline.formats.cues import Cue, cue_words, cues, linger, without_overlap
from meetsplit.pipeline.formats.line_breaking import Layout, lines
from meetsplit.pipeline.formats.text import milliseconds, speaker_names, stamp
from meetsplit.pipeline.settings import Outputs


def write(transcript: Transcript, outputs: Outputs) -> str:
    """The transcript as SubRip subtitles; empty for an empty transcript."""
    names = speaker_names(transcript)

    def head(speaker: Speaker, shared: bool) -> str:
        return f"- {names[speaker]}:" if shared else f"{names[speaker]}:"

    layout = Layout(outputs.max_line_width, outputs.max_line_count, head)
    shown = linger(without_overlap(cues(cue_words(transcript), layout)), milliseconds(transcript.duration))
    blocks: list[str] = []
    for number, (cue, order) in enumerate(zip(shown, _speaker_orders(shown), strict=True), 1):
        times = f"{stamp(cue.start, ',')} --> {stamp(cue.end, ',')}"
        blocks.append(f"{number}\n{times}\n{_text(cue, order, layout)}")
    return "\n".join(blocks)


def _speaker_orders(shown: Sequence[Cue]) -> Iterator[tuple[Speaker, ...]]:
    """Each cue's speakers from top to bottom: those in mid-sentence keep their places, others follow as they begin."""
    places: dict[Speaker, int] = {}
    for cue in shown:
        below = max(places.values(), default=0) + 1
        ranks = {speaker: places.get(speaker, below) for speaker in cue.blocks}
        order = tuple(sorted(ranks, key=ranks.__getitem__))
        yield order
        unfinished = {word.speaker: word.breaks > 0 for word in cue.words}
        places = {speaker: place for place, speaker in enumerate(order) if unfinished[speaker]}


def _text(cue: Cue, order: Sequence[Speaker], layout: Layout) -> str:
    blocks = cue.blocks
    shared = len(order) > 1
    broken = (line for speaker in order for line in lines(blocks[speaker], layout, layout.head(speaker, shared)))
    return "".join(f"{_plain(line)}\n" for line in broken)


def _plain(text: str) -> str:
    r"""The text with other letters for what players take for an arrow, a tag or an ASS command: SRT has no escapes.

    >>> _plain("a --> b, <b>bold</b>, {\\an8}, 1 < 2")
    'a -> b, ‹b›bold‹/b›, (\\an8}, 1 < 2'
    """
    text = re.sub("-{2,}>", "->", text).replace("{\\", "(\\")
    return re.sub(r"<(/?[A-Za-z][^<>]*)>", r"‹\1›", text)
