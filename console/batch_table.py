"""The table of a batch that is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from meetsplit.jobs.outcomes import JobOutcome
from meetsplit.pipeline.formats.control_characters import shown
from meetsplit.pipeline.formats.text import clock

_STYLES = {"failed": "red", "cancelled": "yellow", "unfinished": "yellow", "failed before": "red"}


def table(
    outcomes: Sequence[JobOutcome], refused: Sequence[tuple[Path, Exception]], undelivered: Mapping[str, str]
) -> Group:
    """A row per recording, and the counts below. ``undelivered`` holds the failed deliveries by job id."""
    rows = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("recording", "result", "length", "people", "words", "to check", "note"):
        rows.add_column(heading, overflow="fold")
    recordings: dict[str, Path] = {}
    counts: Counter[str] = Counter()
    for outcome in outcomes:
        job, spec, result = outcome.submission.job, outcome.submission.spec, outcome.result
        state, note = outcome.state, outcome.error or str(result.get("note") or "")
        if job in recordings:
            state, note = "same recording", f"as {recordings[job].name}"
        elif state == "done before":
            note = f"results went to {spec.root}; --force repeats it"
        elif job in undelivered:
            note = f"{note}{'; ' if note else ''}not delivered: {undelivered[job]}"
        recordings.setdefault(job, spec.recording)
        counts[state] += 1
        length, numbers = "", ["", "", ""]
        if result:
            length = clock(int(1000 * float(result["duration"])))
            numbers = [str(result[name]) for name in ("people", "words", "check")]
        rows.add_row(str(spec.recording), state, length, *numbers, note, style=_STYLES.get(state))
    for path, error in refused:
        counts["failed"] += 1
        rows.add_row(shown(str(path)), "failed", "", "", "", "", str(error), style="red")
    sums = [f"{count} {state}" for state, count in counts.items()]
    if undelivered:
        sums.append("1 delivery failed" if len(undelivered) == 1 else f"{len(undelivered)} deliveries failed")
    return Group(rows, Text(", ".join(sums)))
