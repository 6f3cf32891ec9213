"""Who spoke how much: a table with a row per person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meetsplit.pipeline.data import Speaker, Transcript
from meetsplit.pipeline.exporters.text import cell, name, one_line
from meetsplit.pipeline.settings import Outputs
from meetsplit.pipeline.timeline import by_speaker, overlaps, total

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("speaker", "name", "seconds", "share", "turns", "words", "words_per_minute", "overlapped_seconds", "interruptions")


def csv(transcript: Transcript, outputs: Outputs) -> str:
    """The table of `talk_time` as CSV, without formulas (see `cell`); only the header where nobody spoke."""
    table = talk_time(transcript)
    return str(table.assign(speaker=table["speaker"].map(cell), name=table["name"].map(cell)).to_csv(index=False, lineterminator="\n"))


def talk_time(transcript: Transcript) -> pd.DataFrame:
    """A row per speaker, in the columns `COLUMNS`, computed from the turns and the words.

    ``seconds`` is how long the person speaks; ``share`` (0 to 1) is the part of everybody's seconds; ``turns`` counts
    stretches of speech; ``words_per_minute`` is over the person's own seconds, empty where there are none;
    ``overlapped_seconds`` is how much of it somebody else speaks too; ``interruptions`` counts the turns that begin while
    somebody else is already speaking.
    """
    import pandas as pd

    spans = by_speaker(transcript.turns)
    everybody = sum(total(found) for found in spans.values())
    rows = []
    for speaker in transcript.speakers:
        seconds = total(spans.get(speaker, ()))
        words = sum(len(segment.words) for segment in transcript.segments if segment.speaker == speaker)
        pace = round(60 * words / seconds, 1) if seconds else None
        share = round(seconds / everybody, 4) if everybody else 0.0
        shared = round(total(o.span for o in overlaps(transcript.turns) if speaker in o.speakers), 3)
        turns = len(spans.get(speaker, ()))
        row = (
            one_line(speaker),
            name(transcript, speaker),
            round(seconds, 3),
            share,
            turns,
            words,
            pace,
            shared,
            _interruptions(transcript, speaker),
        )
        rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _interruptions(transcript: Transcript, speaker: Speaker) -> int:
    spans = by_speaker(transcript.turns)
    others = [span for other, found in spans.items() if other != speaker for span in found]
    return sum(any(other.start < span.start < other.end for other in others) for span in spans.get(speaker, ()))
