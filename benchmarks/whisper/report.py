"""The measurements as a table of the page, and as JSON with the command and the machine that made them."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch

from meetsplit.benchmarks.whisper.measuring import Row
from meetsplit.pipeline.models.device import processors


def table(rows: Sequence[Row]) -> Iterator[str]:
    """One line per row; the factor is over `whisper.transcribe` per turn of the same model, per minute of meeting."""
    columns = (
        "minutes",
        "windows",
        "seconds",
        "processor s",
        "real-time factor",
        "times faster",
        "cpWER %",
        "GPU, GiB",
    )
    yield f"| model | how | {' | '.join(columns)} |"
    yield "|---|---|" + "--:|" * len(columns)
    per_turn = {row.model: row.seconds / row.minutes for row in rows if row.how.endswith("per turn")}
    for row in rows:
        faster = per_turn.get(row.model, float("nan")) / (row.seconds / row.minutes)
        memory, errors = ("–" if value is None else f"{value:.1f}" for value in (row.gib, row.cpwer))
        yield (
            f"| {row.model} | {row.how} | {row.minutes:g} | {row.windows} | {row.seconds:.1f} | "
            f"{row.processor_seconds:.1f} | {row.seconds / (60 * row.minutes):.4f} | {faster:.1f} | "
            f"{errors} | {memory} |"
        )


def machine() -> str:
    """Processor cores that this process may use, threads, GPU, and torch's version."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    cores = f"{processors()} cores ({platform.machine()})"
    return f"{cores}, {torch.get_num_threads()} threads, {gpu}, torch {torch.__version__}"


def document(rows: Sequence[Row], command: Sequence[str]) -> Mapping[str, Any]:
    """Rows with the command and the machine that made them, as JSON."""
    today = datetime.date.today().isoformat()
    return {"rows": [asdict(row) for row in rows], "made_by": f"`{' '.join(command)}`, {today}; {machine()}."}
