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
    return "\n".join(_cue(number, cue, layout) for number, cue in enumerate(shown, 1))


def _cue(number: int, cue: Cue, layout: Layout) -> str:
    blocks = cue.blocks
    text = [line for speaker, words in blocks.items() for line in lines(words, layout, layout.head(speaker, len(blocks) > 1))]
    return f"{number}\n{stamp(cue.start, ',')} --> {stamp(cue.end, ',')}\n" + "".join(f"{_plain(line)}\n" for line in text)


def _plain(text: str) -> str:
    r"""SRT has no escapes: what players take for an arrow, a tag or an ASS command is written with other letters.

    >>> _plain("a --> b, <b>bold</b>, {\\an8}, 1 < 2")
    'a -> b, ‹b›bold‹/b›, (\\an8}, 1 < 2'
    """
    text = re.sub("-{2,}>", "->", text).replace("{\\", "(\\")
    return re.sub(r"<(/?[A-Za-z][^<>]*)>", r"‹\1›", text)
