"""The command `stats`: who speaks how long, how fast and over whom, of finished transcripts."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meetsplit.console.options import Transcripts
from meetsplit.console.terminal import Terminal

if TYPE_CHECKING:
    from rich.table import Table

    from meetsplit.pipeline.data import Transcript

_BAR_WIDTH = 6
_PLOT_WIDTH = 60
_NAME_WIDTH = 14
_EIGHTHS = " ▁▂▃▄▅▆▇█"
_PARTS = " ▏▎▍▌▋▊▉█"


def stats(
    transcript: Transcripts,
    *,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", help="Write the table into this CSV file, too.", metavar="FILE")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print data instead of a table: every person, and every minute.")
    ] = False,
) -> None:
    """Count who speaks how long, how fast and over whom.

    The numbers are those of the page and of the format csv.
    """
    from meetsplit.pipeline.errors import SettingsError
    from meetsplit.pipeline.files import write
    from meetsplit.pipeline.formats import read_transcript_file
    from meetsplit.pipeline.formats.control_characters import json_escaped

    if csv_file is not None and any(_is_same(csv_file, path) for path in transcript):
        raise SettingsError(f"--csv {csv_file}: is a transcript that is read; choose another name for the table")
    read = [(path, read_transcript_file(path)) for path in transcript]
    console = Terminal()
    if as_json:
        rows = [_data(path, one) for path, one in read]
        console.print(json_escaped(json.dumps(rows, indent=2, ensure_ascii=False)), soft_wrap=True)
    else:
        for number, (path, one) in enumerate(read):
            if number:
                console.print()
            _show(console, path, one)
    if csv_file is not None:
        write(csv_file, _csv([one for _, one in read]))


def _show(console: Terminal, path: Path, transcript: Transcript) -> None:
    from meetsplit.console.quantities import counted
    from meetsplit.pipeline.formats.talk_time import stretches, talk_times
    from meetsplit.pipeline.formats.text import clock

    people = talk_times(transcript)
    count = "1 person" if len(people) == 1 else f"{len(people)} people"
    words = sum(person.words for person in people)
    length = clock(1000 * round(transcript.duration))
    console.print(f"{path}: {length}, {count}, {counted(words, 'word')}", soft_wrap=True)
    if not people:
        return
    console.print()
    console.print(_table(people))
    if transcript.quality:
        console.print(_quality_table(transcript))
    parts = stretches(transcript)
    if len(parts) > 1:
        _plot(console, {person.name: person.speaker for person in people}, parts)


def _table(people: Sequence[Any]) -> Table:
    """A row per person; 80 columns suffice."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from meetsplit.pipeline.data.units import clock_time
    from meetsplit.pipeline.formats.text import shortened

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("person", no_wrap=True)
    table.add_column("talks", justify="right", no_wrap=True)
    table.add_column("share", no_wrap=True)
    for heading in ("turns", "words", "w/min", "at once", "cuts in", "longest"):
        table.add_column(heading, justify="right", no_wrap=True)
    most = max(person.share for person in people) or 1.0
    for person in people:
        table.add_row(
            Text(shortened(person.name, _NAME_WIDTH)),
            clock_time(round(person.seconds)),
            f"{person.share:4.0%} {_bar(person.share / most)}",
            str(person.turns),
            str(person.words),
            "–" if person.words_per_minute is None else f"{person.words_per_minute:.0f}",
            clock_time(round(person.overlapped_seconds)),
            str(person.interruptions),
            clock_time(round(person.longest_monologue)),
        )
    return table


def _quality_table(transcript: Transcript) -> Table:
    """A row per person whose track was judged; 80 columns suffice."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from meetsplit.pipeline.data.units import clock_time
    from meetsplit.pipeline.formats.people import by_person
    from meetsplit.pipeline.formats.talk_time import quality_columns
    from meetsplit.pipeline.formats.text import shortened, speaker_names

    has_marks = "dnsmos_ovr" in quality_columns([transcript])
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("track", no_wrap=True)
    for heading in ("judged", "bleed", "margin", *(("speech", "background", "overall") if has_marks else ())):
        table.add_column(heading, justify="right", no_wrap=True)
    people = by_person(transcript)
    names = speaker_names(people)
    for speaker, one in people.quality:
        marks = ("–", "–", "–") if one.dnsmos is None else tuple(f"{mark:.1f}" for mark in astuple(one.dnsmos))
        table.add_row(
            Text(shortened(names.get(speaker, speaker), _NAME_WIDTH)),
            clock_time(round(one.seconds)),
            "–" if one.bleed is None else f"{one.bleed:.0f} dB",
            "–" if one.margin is None else f"{one.margin:.2f}",
            *(marks if has_marks else ()),
        )
    return table


def _plot(console: Terminal, speakers: Mapping[str, str], parts: Sequence[Any]) -> None:
    """A line per person: how much of each minute, or of several, that person speaks."""
    from rich.text import Text

    from meetsplit.pipeline.formats.text import shortened

    together = -(-len(parts) // _PLOT_WIDTH)
    groups = [parts[first : first + together] for first in range(0, len(parts), together)]
    minutes = together * (parts[0].end - parts[0].start) / 60
    console.print(f"over time, {'a minute' if minutes == 1 else f'{minutes:.0f} minutes'} per sign:")
    for name, speaker in speakers.items():
        levels = [
            sum(part.seconds.get(speaker, 0.0) for part in group) / (group[-1].end - group[0].start) for group in groups
        ]
        signs = "".join(_EIGHTHS[math.ceil(min(level, 1.0) * 8)] for level in levels)
        console.print(Text(f"{shortened(name, _NAME_WIDTH):<{_NAME_WIDTH}} {signs}".rstrip()), soft_wrap=True)


def _bar(share: float) -> str:
    """A bar of up to `_BAR_WIDTH` signs, to an eighth of a sign."""
    eighths = round(share * _BAR_WIDTH * 8)
    return "█" * (eighths // 8) + _PARTS[eighths % 8].strip()


def _data(path: Path, transcript: Transcript) -> dict[str, Any]:
    from meetsplit.pipeline.formats.meetsplit_json import tracks_json
    from meetsplit.pipeline.formats.talk_time import rounded, stretches, talk_times

    return {
        "transcript": str(path),
        "recording": transcript.recording,
        "duration": transcript.duration,
        "people": [asdict(rounded(person)) for person in talk_times(transcript)],
        **({"tracks": tracks_json(transcript)} if transcript.quality else {}),
        "minutes": [
            {
                "start": part.start,
                "end": part.end,
                "seconds": {speaker: round(seconds, 3) for speaker, seconds in part.seconds.items()},
            }
            for part in stretches(transcript)
        ],
    }


def _csv(transcripts: Sequence[Transcript]) -> str:
    """A row per person and recording, without formulas (see `text.cell`); of judged tracks, their numbers follow."""
    from meetsplit.pipeline.formats.talk_time import COLUMNS, quality_columns, quality_numbers, rounded, talk_times
    from meetsplit.pipeline.formats.text import cell, one_line

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = quality_columns(transcripts)
    writer.writerow(["recording", *COLUMNS, *columns])
    for transcript in transcripts:
        numbers = quality_numbers(transcript)
        for person in talk_times(transcript):
            values = [cell(value) if isinstance(value, str) else value for value in astuple(rounded(person))]
            judged = numbers.get(person.speaker, {})
            writer.writerow([cell(one_line(transcript.recording)), *values, *(judged.get(name) for name in columns)])
    return text.getvalue()


def _is_same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:  # one of them is not there
        return False
