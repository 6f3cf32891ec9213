"""The command `doctor`: which backends would run on this machine, and what is missing."""

from __future__ import annotations

import typer

from meetsplit.console.options import GivenOptions, resolve_settings, run_options
from meetsplit.console.terminal import Terminal


@run_options(
    "channels",
    "clean",
    "cleaner",
    "cleaner_model",
    "diarizer",
    "diarizer_model",
    "rttm",
    "separator",
    "separator_model",
    "separate",
    "transcriber",
    "model",
    "language",
    "task",
    "align_model",
    "script",
    "model_dir",
    "device",
    "offline",
    "hf_token",
    "cache_dir",
    "config",
)
def doctor(*, options: GivenOptions) -> None:
    """Say which backends would run here, why, and what is missing."""
    from meetsplit.console.diagnosis import machine_table
    from meetsplit.console.tables import plan_table
    from meetsplit.pipeline.models.selection import UnavailableBackend, check_backends

    settings, _ = resolve_settings(options, ())
    rows = check_backends(settings)
    console = Terminal()
    console.print(plan_table(rows))
    console.print()
    console.print(machine_table(settings))
    if any(isinstance(row, UnavailableBackend) for row in rows):
        raise typer.Exit(1)
