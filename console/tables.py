"""Tables and summaries of backends, results and models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from meetsplit.pipeline.channels.recording import MultiFileRecording
from meetsplit.pipeline.data import Transcript
from meetsplit.pipeline.formats.text import clock
from meetsplit.pipeline.models import catalog, weights
from meetsplit.pipeline.models.selection import SelectedBackend, UnavailableBackend
from meetsplit.pipeline.results.writing import WrittenResults
from meetsplit.pipeline.settings import Settings

_SHOWN = 5
"""Segments for review that a summary names."""


def plan_table(rows: Sequence[SelectedBackend | UnavailableBackend]) -> Group:
    """The selected backends: a row per stage, and below how to get those that were passed over."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("stage", "backend", "weights", "device", "why"):
        table.add_column(heading, overflow="fold")
    notes: list[Text] = []
    for row in rows:
        if isinstance(row, UnavailableBackend):
            table.add_row(row.stage, row.backend, "–", "–", "cannot run, see below", style="red")
            notes.append(Text(f"no {row.stage}: {row.error}", style="red"))
            continue
        described = ", ".join(weights.describe(source) for source in row.sources.values()) or "–"
        table.add_row(row.stage, row.backend, described, row.device, row.reason)
        notes += [Text(f"for a better {row.stage}: {sentence}", style="dim") for sentence in row.passed_over]
    return Group(table, *notes)


def to_check(transcript: Transcript) -> str | None:
    """The segments for review in a sentence; None where there are none."""
    for_review = [segment for segment in transcript.segments if segment.review]
    if not for_review:
        return None
    shown = ", ".join(
        f"{clock(int(1000 * segment.span.start))} {transcript.name_of(segment.speaker)} ({', '.join(segment.review)})"
        for segment in for_review[:_SHOWN]
    )
    more = f" and {len(for_review) - _SHOWN} more" if len(for_review) > _SHOWN else ""
    stretches = "stretch" if len(for_review) == 1 else "stretches"
    return f"{len(for_review)} {stretches} to check: {shown}{more}"


def summary(console: Console, source: Path | MultiFileRecording, written: WrittenResults) -> None:
    """Print what was written for one recording."""
    transcript = written.transcript
    length, count = clock(int(1000 * transcript.duration)), len(transcript.speakers)
    words = sum(len(segment.words) for segment in transcript.segments)
    console.print(
        f"{source}: {length}, {count} {'person' if count == 1 else 'people'}, {words} words",
        highlight=False,
        markup=False,
    )
    check = to_check(transcript)
    if check:
        console.print(f"  {check}", highlight=False, markup=False, soft_wrap=True)
    for path in written.files:
        console.print(f"  {path}", highlight=False, markup=False, soft_wrap=True)


def models_table(settings: Settings) -> Table:
    """The models of the catalog, and where each is on this machine."""
    cache = settings.cache_dir or weights.default_cache()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("name", "model", "here"):
        table.add_column(heading, overflow="fold")
    for name, sources in catalog.named_models().items():
        for source in sources if name != "default" else ():
            place = weights.locate(source, cache=cache)
            table.add_row(name, weights.describe(source), str(place) if place else "no")
    table.add_row("default", "community-1, sepformer, ecapa and Whisper (small; turbo with a GPU)", "")
    return table
