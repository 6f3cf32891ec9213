"""Speaking time per person as a table, and as CSV."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from typing import TYPE_CHECKING

from meetsplit.pipeline.data import Speaker, Transcript
from meetsplit.pipeline.data.timeline import by_speaker, crop, during, shared, total
from meetsplit.pipeline.formats.text import cell, one_line, speaker_names
from meetsplit.pipeline.settings import Outputs

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "speaker",
    "name",
    "seconds",
    "share",
    "turns",
    "words",
    "words_per_minute",
    "overlapped_seconds",
    "interruptions",
)


def talk_time_csv(transcript: Transcript, outputs: Outputs) -> str:
    """The table of `talk_time` as CSV, without formulas (see `cell`); only the header for an empty transcript."""
    table = talk_time(transcript)
    safe = table.assign(speaker=table["speaker"].map(cell), name=table["name"].map(cell))
    return str(safe.to_csv(index=False, lineterminator="\n"))


def talk_time(transcript: Transcript) -> pd.DataFrame:
    """A row per speaker, in the columns `COLUMNS`, computed from the turns and the words.

    ``seconds`` is how long the person speaks; ``share`` (0 to 1) is the part of all speakers' seconds; ``turns`` counts
    stretches of speech; ``words_per_minute`` is over the person's own seconds, empty where there are none;
    ``overlapped_seconds`` is how much of it another person speaks too; ``interruptions`` counts the turns that begin
    while another person is already speaking.
    """
    import pandas as pd

    speech, names = by_speaker(transcript.turns), speaker_names(transcript)
    seconds = {speaker: total(spans) for speaker, spans in speech.items()}
    all_seconds = sum(seconds.values())
    words: Counter[Speaker] = Counter()
    for segment in transcript.segments:
        words[segment.speaker] += len(segment.words)
    overlapped = shared(speech.values())
    starts = sorted(span.start for spans in speech.values() for span in spans)
    ends = sorted(span.end for spans in speech.values() for span in spans)
    rows = []
    for speaker, name in names.items():
        spans, spoken = speech.get(speaker, ()), seconds.get(speaker, 0)
        share = round(spoken / all_seconds, 4) if all_seconds else 0.0
        pace = round(60 * words[speaker] / spoken, 1) if spoken else None
        with_others = round(total(part for span in spans for part in crop(during(overlapped, span), span)), 3)
        # Begun before and not over yet is another person's turn: a person's own stretches lie apart.
        interruptions = sum(bisect_left(starts, span.start) > bisect_right(ends, span.start) for span in spans)
        counts = (round(spoken, 3), share, len(spans), words[speaker], pace, with_others, interruptions)
        rows.append((one_line(speaker), name, *counts))
    return pd.DataFrame(rows, columns=list(COLUMNS))
