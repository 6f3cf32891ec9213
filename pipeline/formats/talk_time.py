"""Who spoke how much: a table with a row per person."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from meetsplit.pipeline.data import Span, Speaker, Transcript
from meetsplit.pipeline.data.timeline import by_speaker, crop, during, shared, total
from meetsplit.pipeline.formats.text import cell, one_line, people
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


def csv(transcript: Transcript, outputs: Outputs) -> str:
    """The table of `talk_time` as CSV, without formulas (see `cell`); only the header where nobody spoke."""
    table = talk_time(transcript)
    return str(
        table.assign(speaker=table["speaker"].map(cell), name=table["name"].map(cell)).to_csv(
            index=False, lineterminator="\n"
        )
    )


def talk_time(transcript: Transcript) -> pd.DataFrame:
    """A row per speaker, in the columns `COLUMNS`, computed from the turns and the words.

    ``seconds`` is how long the person speaks; ``share`` (0 to 1) is the part of everybody's seconds; ``turns`` counts
    stretches of speech; ``words_per_minute`` is over the person's own seconds, empty where there are none;
    ``overlapped_seconds`` is how much of it somebody else speaks too; ``interruptions`` counts the turns that begin while
    somebody else is already speaking.
    """
    import pandas as pd

    spans, names = by_speaker(transcript.turns), people(transcript)
    spoken = {speaker: total(found) for speaker, found in spans.items()}
    everybody = sum(spoken.values())
    said: Counter[Speaker] = Counter()
    for segment in transcript.segments:
        said[segment.speaker] += len(segment.words)
    crowded = shared(spans.values())
    begun, over = _edges(spans.values())
    rows = []
    for speaker, name in names.items():
        own, seconds, words = spans.get(speaker, ()), spoken.get(speaker, 0), said[speaker]
        pace = round(60 * words / seconds, 1) if seconds else None
        share = round(seconds / everybody, 4) if everybody else 0.0
        overlapped = round(total(part for span in own for part in crop(during(crowded, span), span)), 3)
        # Whoever has begun before and is not over yet is somebody else: a person's own stretches lie apart.
        interruptions = sum(bisect_left(begun, span.start) > bisect_right(over, span.start) for span in own)
        rows.append(
            (one_line(speaker), name, round(seconds, 3), share, len(own), words, pace, overlapped, interruptions)
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _edges(spans: Iterable[Sequence[Span]]) -> tuple[list[float], list[float]]:
    """All starts and all ends, sorted."""
    everything = [span for own in spans for span in own]
    return sorted(span.start for span in everything), sorted(span.end for span in everything)
