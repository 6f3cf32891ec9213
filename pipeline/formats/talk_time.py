"""Numbers of a conversation: how long each person speaks, how often and how fast; as values, as a table, and as CSV.

The page computes the same numbers again after corrections; docs/formats.md defines them for both.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from typing import TYPE_CHECKING, TypeAlias

from meetsplit.pipeline.data import Span, Speaker, Transcript, Turn
from meetsplit.pipeline.data.timeline import (
    activity,
    by_speaker,
    crop,
    during,
    intersection,
    shared,
    subtract,
    support,
    total,
)
from meetsplit.pipeline.formats.people import by_person
from meetsplit.pipeline.formats.text import cell, one_line, speaker_names
from meetsplit.pipeline.settings import Outputs

if TYPE_CHECKING:
    import pandas as pd

PAUSE = 2.0
"""Seconds of silence that do not end a monologue."""

BACKCHANNEL = 1.0
"""Seconds that another person's speech has to last to end a monologue: a shorter one is a "mm-hm"."""

MINUTE = 60.0
"""Seconds of a stretch over which talk time is counted, in recordings of up to `MOST_STRETCHES` minutes."""

MOST_STRETCHES = 1440
"""Stretches of a recording at most; in longer recordings each is as many whole minutes long as it takes."""


@dataclass(frozen=True, slots=True)
class TalkTime:
    """One person's numbers, computed from the turns and the words.

    ``seconds`` is how long the person speaks; ``share`` (0 to 1) is the part of all speakers' seconds; ``turns`` counts
    stretches of speech; ``words_per_minute`` is over the person's own seconds, None where there are none;
    ``overlapped_seconds`` is how much of it another person speaks too; ``interruptions`` counts the stretches that
    begin while another person is already speaking; ``longest_monologue`` is in seconds: pauses of up to `PAUSE` do not
    end a monologue, nor does other people's speech of less than `BACKCHANNEL`.
    """

    speaker: Speaker
    name: str
    seconds: float
    share: float
    turns: int
    words: int
    words_per_minute: float | None
    overlapped_seconds: float
    interruptions: int
    longest_monologue: float


@dataclass(frozen=True, slots=True)
class Stretch:
    """A minute of a recording, the last one shorter: ``seconds`` of each person who speaks in it."""

    start: float
    end: float
    seconds: Mapping[Speaker, float]


COLUMNS = tuple(field.name for field in fields(TalkTime))

QUALITY_COLUMNS = ("judged_seconds", "bleed", "margin", "dnsmos_sig", "dnsmos_bak", "dnsmos_ovr")
"""More columns, of people whose tracks were judged (`TrackQuality`)."""


def talk_times(transcript: Transcript) -> tuple[TalkTime, ...]:
    """The numbers of every person with a turn or a word, by label; labels with one name are one person."""
    transcript = by_person(transcript)
    speech, names = by_speaker(transcript.turns), speaker_names(transcript)
    seconds = {speaker: total(spans) for speaker, spans in speech.items()}
    all_seconds = sum(seconds.values())
    words: Counter[Speaker] = Counter()
    for segment in transcript.segments:
        words[segment.speaker] += len(segment.words)
    overlapped, floor = shared(speech.values()), _floor(speech)
    starts = sorted(span.start for spans in speech.values() for span in spans)
    ends = sorted(span.end for spans in speech.values() for span in spans)
    people = []
    for speaker, name in names.items():
        spans, spoken = speech.get(speaker, ()), seconds.get(speaker, 0.0)
        people.append(
            TalkTime(
                speaker,
                name,
                spoken,
                spoken / all_seconds if all_seconds else 0.0,
                len(spans),
                words[speaker],
                60 * words[speaker] / spoken if spoken else None,
                total(part for span in spans for part in crop(during(overlapped, span), span)),
                # Begun before and not over yet is another person's turn: a person's own stretches lie apart.
                sum(bisect_left(starts, span.start) > bisect_right(ends, span.start) for span in spans),
                _longest_monologue(speaker, spans, floor),
            )
        )
    return tuple(people)


_Floor: TypeAlias = Sequence[tuple[Span, tuple[Speaker, ...]]]
"""Who speaks for `BACKCHANNEL` or longer when, see `timeline.activity`."""


def _floor(speech: Mapping[Speaker, Sequence[Span]]) -> _Floor:
    return activity(
        Turn(span, speaker) for speaker, spans in speech.items() for span in spans if span.duration >= BACKCHANNEL
    )


def _longest_monologue(speaker: Speaker, spans: Sequence[Span], floor: _Floor) -> float:
    longest = 0.0
    for monologue in support(spans, PAUSE):
        first = bisect_right(floor, monologue.start, key=lambda piece: piece[0].end)
        last = bisect_left(floor, monologue.end, key=lambda piece: piece[0].start)
        others = [span for span, speakers in floor[first:last] if speakers != (speaker,)]
        longest = max(longest, *(span.duration for span in subtract([monologue], others)), 0.0)
    return longest


def stretches(transcript: Transcript) -> tuple[Stretch, ...]:
    """Who speaks how long in each minute, from 0 to the end of the recording or of the last turn."""
    speech = by_speaker(by_person(transcript).turns)
    end = max([transcript.duration, *(spans[-1].end for spans in speech.values() if spans)])
    length = MINUTE * max(math.ceil(end / MINUTE / MOST_STRETCHES), 1)
    seconds: list[dict[Speaker, float]] = [{} for _ in range(math.ceil(end / length))]
    for speaker, spans in speech.items():
        for span in spans:
            for number in range(int(span.start // length), len(seconds)):
                part = intersection(span, Span(number * length, (number + 1) * length))
                if part is None:
                    break
                seconds[number][speaker] = seconds[number].get(speaker, 0.0) + part.duration
    return tuple(
        Stretch(number * length, min((number + 1) * length, end), spoken) for number, spoken in enumerate(seconds)
    )


def talk_time_csv(transcript: Transcript, outputs: Outputs) -> str:
    """The table of `talk_time` as CSV, without formulas (see `cell`); only the header for an empty transcript."""
    table = talk_time(transcript)
    safe = table.assign(speaker=table["speaker"].map(cell), name=table["name"].map(cell))
    return str(safe.to_csv(index=False, lineterminator="\n"))


def talk_time(transcript: Transcript) -> pd.DataFrame:
    """A row per speaker with the numbers of `TalkTime`, times rounded to milliseconds; the columns are `COLUMNS`.

    Where tracks were judged, those of `quality_columns` follow.
    """
    import pandas as pd

    columns, numbers = quality_columns([transcript]), quality_numbers(transcript)
    rows = [
        (*astuple(rounded(person)), *(numbers.get(person.speaker, {}).get(column) for column in columns))
        for person in talk_times(transcript)
    ]
    return pd.DataFrame(rows, columns=[*COLUMNS, *columns])


def quality_columns(transcripts: Iterable[Transcript]) -> tuple[str, ...]:
    """Those of `QUALITY_COLUMNS` that a table of these transcripts has: none where no track was judged."""
    judged = [one for transcript in transcripts for _, one in transcript.quality]
    if not judged:
        return ()
    has_marks = any(one.dnsmos is not None for one in judged)
    return tuple(name for name in QUALITY_COLUMNS if has_marks or not name.startswith("dnsmos"))


def quality_numbers(transcript: Transcript) -> Mapping[Speaker, Mapping[str, float | None]]:
    """Of each person whose track was judged, `QUALITY_COLUMNS` as they are written, by the person's label."""
    return {
        speaker: {
            "judged_seconds": round(one.seconds, 3),
            "bleed": _rounded(one.bleed, 1),
            "margin": _rounded(one.margin, 3),
            **{
                f"dnsmos_{key}": None if one.dnsmos is None else round(getattr(one.dnsmos, key), 2)
                for key in ("sig", "bak", "ovr")
            },
        }
        for speaker, one in by_person(transcript).quality
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits) + 0.0  # no -0.0


def rounded(person: TalkTime) -> TalkTime:
    """The numbers as they are written: times to milliseconds, shares to four digits, words per minute to one."""
    pace = person.words_per_minute
    return TalkTime(
        one_line(person.speaker),
        person.name,
        round(person.seconds, 3),
        round(person.share, 4),
        person.turns,
        person.words,
        None if pace is None else round(pace, 1),
        round(person.overlapped_seconds, 3),
        person.interruptions,
        round(person.longest_monologue, 3),
    )
