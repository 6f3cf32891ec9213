"""SubRip: ``Name: text``, one cue at a time; people who speak at once share a cue, each on a line with a dash.

SRT has no speakers and players handle overlapping cues badly, so no two cues overlap in time.
"""

from __future__ import annotations

import re

from meetsplit.pipeline.data import Speaker, Transcript
from meetsplit.pipeline.exporters.lines import Layout, lines
from meetsplit.pipeline.exporters.subtitles import Cue, apart, cues, lingering, spoken
from meetsplit.pipeline.exporters.text import milliseconds, name, stamp
from meetsplit.pipeline.settings import Outputs


def subrip(transcript: Transcript, outputs: Outputs) -> str:
    """The transcript as SubRip subtitles; empty for an empty transcript."""
    people = {speaker: name(transcript, speaker) for speaker in transcript.speakers}

    def head(speaker: Speaker, shared: bool) -> str:
        return f"- {people[speaker]}:" if shared else f"{people[speaker]}:"

    layout = Layout(outputs.max_line_width, outputs.max_line_count, head)
    shown = lingering(apart(cues(spoken(transcript), layout)), milliseconds(transcript.duration))
    texts = [_text(cue, before, layout) for before, cue in zip((None, *shown), shown, strict=False)]
    times = [f"{stamp(cue.start, ',')} --> {stamp(cue.end, ',')}" for cue in shown]
    return "\n".join(f"{number}\n{time}\n{text}" for number, (time, text) in enumerate(zip(times, texts, strict=True), 1))


def _text(cue: Cue, before: Cue | None, layout: Layout) -> str:
    """The cue's lines; whoever goes on with a sentence from the cue before comes first."""
    unfinished = {word.speaker: word.breaks > 0 for word in before.words} if before else {}
    blocks = sorted(cue.blocks.items(), key=lambda block: not unfinished.get(block[0], False))
    return "".join(f"{_plain(line)}\n" for speaker, words in blocks for line in lines(words, layout, layout.head(speaker, len(blocks) > 1)))


def _plain(text: str) -> str:
    r"""SRT has no escapes: what players take for an arrow, a tag or an ASS command is written with other letters.

    >>> _plain("a --> b, <b>bold</b>, {\\an8}, 1 < 2")
    'a -> b, ‹b›bold‹/b›, (\\an8}, 1 < 2'
    """
    text = re.sub("-{2,}>", "->", text).replace("{\\", "(\\")
    return re.sub(r"<(/?[A-Za-z][^<>]*)>", r"‹\1›", text)
