"""SubRip: ``Name: text``, one cue at a time; people who speak at once share a cue, each on a line with a dash.

SRT has no speakers and players handle overlapping cues badly, so no two cues overlap in time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from meetsplit.pipeline.data import Speaker, Transcript
from meetsplit.pipeline.formats.cue_names import short_names, speaker_orders
from meetsplit.pipeline.formats.cue_timing import in_turn, timing_of
from meetsplit.pipeline.formats.cues import Cue, CueWord, cue_words, cues
from meetsplit.pipeline.formats.line_breaking import NO_LIMIT, Layout, lines
from meetsplit.pipeline.formats.text import milliseconds, speaker_names, stamp
from meetsplit.pipeline.formats.word_highlighting import marked, moments, underlined
from meetsplit.pipeline.settings import Outputs

DASH = "-"
"""Stands before the words of each of several people in a cue."""


def write(transcript: Transcript, outputs: Outputs) -> str:
    """The transcript as SubRip subtitles; empty for an empty transcript."""
    names = short_names(speaker_names(transcript), outputs.max_line_width)
    return _written(cue_words(transcript), names, milliseconds(transcript.duration), outputs)


def shown_cues(transcript: Transcript, outputs: Outputs) -> tuple[Cue, ...]:
    """The cues of `write` with the times at which they are shown."""
    names = short_names(speaker_names(transcript), outputs.max_line_width)
    return _shown(cue_words(transcript), _layout(names, outputs), milliseconds(transcript.duration), outputs)


def write_each(transcript: Transcript, outputs: Outputs) -> dict[Speaker, str]:
    """Each speaker's words as subtitles of their own, without names; for everybody who says anything."""
    words: dict[Speaker, list[CueWord]] = {}
    for word in cue_words(transcript):
        words.setdefault(word.speaker, []).append(word)
    duration = milliseconds(transcript.duration)
    return {speaker: _written(words[speaker], {}, duration, outputs) for speaker in sorted(words)}


def _written(words: Sequence[CueWord], names: Mapping[Speaker, str], duration: int, outputs: Outputs) -> str:
    """The words as cues; ``names`` is empty where none is to be shown."""
    layout = _layout(names, outputs)
    shown = _shown(words, layout, duration, outputs)
    blocks: list[str] = []
    for cue, (order, is_change) in zip(shown, speaker_orders(shown), strict=True):
        heads = [layout.head(speaker, len(order) > 1) for speaker in order]
        if layout.naming == "change" and not is_change:
            heads = [DASH if len(order) > 1 else "" for _ in order]
        for moment in moments(cue, outputs.highlight_words):
            times = f"{stamp(moment.start, ',')} --> {stamp(moment.end, ',')}"
            text = _text(cue, dict(zip(order, heads, strict=True)), layout, moment.spoken)
            blocks.append(f"{len(blocks) + 1}\n{times}\n{text}")
    return "\n".join(blocks)


def _layout(names: Mapping[Speaker, str], outputs: Outputs) -> Layout:
    naming = outputs.speaker_names if names else "never"

    def head(speaker: Speaker, shared: bool) -> str:
        dash = DASH if shared else ""
        return dash if naming == "never" else f"{dash} {names[speaker]}:".lstrip()

    most_words = outputs.max_words_per_line or NO_LIMIT
    return Layout(outputs.max_line_width, outputs.max_line_count, head, most_words, naming)


def _shown(words: Sequence[CueWord], layout: Layout, duration: int, outputs: Outputs) -> tuple[Cue, ...]:
    timing = timing_of(outputs)
    return in_turn(cues(words, layout, timing), timing, duration)


def _text(cue: Cue, heads: Mapping[Speaker, str], layout: Layout, spoken: frozenset[int]) -> str:
    """The lines of a cue; ``heads`` are what stands before each speaker's words, from top to bottom."""
    by_speaker = cue.by_speaker
    broken: list[str] = []
    for speaker, head in heads.items():
        numbers = by_speaker[speaker]
        texts = [cue.words[number].text for number in numbers]
        written = marked(texts, numbers, spoken)
        if head == DASH:  # no line is broken behind it
            texts[0], written[0] = f"{DASH} {texts[0]}", f"{DASH} {written[0]}"
        broken += lines(texts, layout, "" if head == DASH else head, written)
    return "".join(f"{underlined(_plain(line))}\n" for line in broken)


def _plain(text: str) -> str:
    r"""The text with other letters for what players take for an arrow, a tag or an ASS command: SRT has no escapes.

    >>> _plain("a --> b, <b>bold</b>, {\\an8}, 1 < 2")
    'a -> b, ‹b›bold‹/b›, (\\an8}, 1 < 2'
    """
    text = re.sub("-{2,}>", "->", text).replace("{\\", "(\\")
    return re.sub(r"<(/?[A-Za-z][^<>]*)>", r"‹\1›", text)
