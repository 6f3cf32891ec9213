"""Markdown: people's names as headings, a time before each paragraph, words that others talk over between ``//``."""

from __future__ import annotations

import re

from meetsplit.pipeline.data import Transcript
from meetsplit.pipeline.data.transcript import join_words
from meetsplit.pipeline.formats.paragraphs import OVERLAP, paragraphs
from meetsplit.pipeline.formats.text import clock, milliseconds, one_line, speaker_names
from meetsplit.pipeline.settings import Outputs

NOTE = f"Words between {OVERLAP} are said while another person speaks."
"""Explains the marks, where there are any."""

_SPECIAL = re.compile(r"([\\`*_\[\]{}<>#|~&!$^])")
"""What Markdown, in its common dialects, may take for more than text."""


def write(transcript: Transcript, outputs: Outputs) -> str:
    """A title, then a heading where the person changes and paragraphs ``**[hh:mm:ss]** …``, the first word's time."""
    blocks, names = [], speaker_names(transcript)
    speaker, overlapped = None, False
    for paragraph in paragraphs(transcript):
        if paragraph.speaker != speaker:
            blocks.append(f"## {escaped(names[paragraph.speaker])}")
            speaker = paragraph.speaker
        text = escaped(join_words(paragraph.tokens))
        blocks.append(f"**[{clock(milliseconds(paragraph.start))}]** {text}")
        overlapped = overlapped or any(run.overlapped for run in paragraph.runs)
    if not blocks:
        return ""
    title = [f"# {escaped(one_line(transcript.recording)) or 'Transcript'}", *([f"*{NOTE}*"] if overlapped else [])]
    return "\n\n".join([*title, *blocks]) + "\n"


def escaped(text: str) -> str:
    r"""The text without what Markdown would take for more than text.

    >>> escaped("<b> *now*")
    '\\<b\\> \\*now\\*'
    """
    return _SPECIAL.sub(r"\\\1", text)
