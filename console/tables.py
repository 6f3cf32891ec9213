"""How results and plans look in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from meetsplit.pipeline.channels.recording import MultiFileRecording
from meetsplit.pipeline.data import Transcript
from meetsplit.pipeline.models import catalog, weights
from meetsplit.pipeline.models.selection import SelectedBackend, UnavailableBackend
from meetsplit.pipeline.results.writing import Written
from meetsplit.pipeline.settings import Settings

_SHOWN = 5


def plan_table(job_statuses: Sequence[SelectedBackend | UnavailableBackend]) -> Group:
    """The pre-flight: one row a stage, and below how to get the backends that were passed over."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("stage", "backend", "weights", "device", "why"):
        table.add_column(heading, overflow="fold")
    notes: list[Text] = []
    for row in job_statuses:
        if isinstance(row, UnavailableBackend):
            table.add_row(row.stage, row.backend, "–", "–", "cannot run, see below", style="red")
            notes.append(Text(f"no {row.stage}: {row.error}", style="red"))
            continue
        described = ", ".join(weights.describe(source) for source in row.sources.values()) or "–"
        table.add_row(row.stage, row.backend, described, row.device, row.why)
        notes += [Text(f"for a better {row.stage}: {sentence}", style="dim") for sentence in row.better]
    return Group(table, *notes)


def clock(seconds: float) -> str:
    """Time for people.

    >>> clock(3725.4)
    '01:02:05'
    """
    whole = int(seconds)
    return f"{whole // 3600:02d}:{whole % 3600 // 60:02d}:{whole % 60:02d}"


def to_check(transcript: Transcript) -> str | None:
    """Which stretches a person should listen to again; None where there are none."""
    doubtful = [segment for segment in transcript.segments if segment.review]
    if not doubtful:
        return None
    shown = ", ".join(
        f"{clock(s.span.start)} {transcript.name_of(s.speaker)} ({', '.join(s.review)})" for s in doubtful[:_SHOWN]
    )
    more = f" and {len(doubtful) - _SHOWN} more" if len(doubtful) > _SHOWN else ""
    stretches = "stretch" if len(doubtful) == 1 else "stretches"
    return f"{len(doubtful)} {stretches} to check: {shown}{more}"


def summary(console: Console, source: Path | MultiFileRecording, written: Written) -> None:
    """What came out of one recording."""
    transcript = written.transcript
    people, words = len(transcript.speakers), sum(len(segment.words) for segment in transcript.segments)
    console.print(
        f"{source}: {clock(transcript.duration)}, {people} {'person' if people == 1 else 'people'}, {words} words",
        highlight=False,
        markup=False,
    )
    check = to_check(transcript)
    if check:
        console.print(f"  {check}", highlight=False, markup=False, soft_wrap=True)
    for path in written.files:
        console.print(f"  {path}", highlight=False, markup=False, soft_wrap=True)


def models_table(settings: Settings) -> Table:
    """Every model meetsplit knows by name, and where it is on this machine."""
    cache = settings.cache_dir or weights.default_cache()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("name", "model", "here"):
        table.add_column(heading, overflow="fold")
    for name, sources in catalog.known().items():
        for source in sources if name != "default" else ():
            place = weights.locate(source, cache=cache)
            table.add_row(name, weights.describe(source), str(place) if place else "no")
    table.add_row("default", "community-1, sepformer, ecapa and Whisper (small; turbo with a GPU)", "")
    return table
