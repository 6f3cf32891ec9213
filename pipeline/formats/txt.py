"""Plain text for people: a paragraph per turn, words that others talk over between ``//``."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from meetsplit.pipeline.data import Transcript
from meetsplit.pipeline.formats.line_breaking import blank
from meetsplit.pipeline.formats.paragraphs import paragraphs
from meetsplit.pipeline.formats.text import clock, milliseconds, speaker_names, width
from meetsplit.pipeline.settings import Outputs


def write(transcript: Transcript, outputs: Outputs) -> str:
    """A paragraph per turn, ``[hh:mm:ss] Name: …``, with an empty line between; the time is the first word's."""
    texts, names = [], speaker_names(transcript)
    for paragraph in paragraphs(transcript):
        times = clock(milliseconds(paragraph.start))
        if outputs.txt_end_times:
            times += f"–{clock(milliseconds(paragraph.end))}"
        texts.append(_wrapped([f"[{times}] {names[paragraph.speaker]}:", *paragraph.tokens], outputs.txt_width))
    return "\n".join(texts)


def _wrapped(tokens: Sequence[str], most: int) -> str:
    """The words on lines of ``most`` columns, without limit for 0; a longer word stands alone on its line."""
    text, used = tokens[0], width(tokens[0])
    for before, token in itertools.pairwise(tokens):
        glue, columns = blank(before, token), width(token)
        if most and used + glue + columns > most:
            text, used = f"{text}\n{token}", columns
        else:
            text, used = text + " " * glue + token, used + glue + columns
    return f"{text}\n"
