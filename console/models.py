"""The commands about models: list them, fetch them."""

from __future__ import annotations

from typing import Annotated

import typer

from meetsplit.console.options import GivenOptions, Quiet, resolve_settings, run_options
from meetsplit.console.terminal import Terminal, print_line


@run_options("cache_dir", "config")
def list_models(*, options: GivenOptions) -> None:
    """List the models meetsplit knows and whether they are on this machine."""
    from meetsplit.console.tables import models_table

    settings, _ = resolve_settings(options, ())
    Terminal().print(models_table(settings))


@run_options("hf_token", "cache_dir", "model_dir", "offline", "config")
def fetch(
    name: Annotated[
        str,
        typer.Argument(
            help="embedded, default, a name from `models list`, a hub id or a Whisper model.", metavar="NAME"
        ),
    ] = "default",
    *,
    quiet: Quiet = False,
    options: GivenOptions,
) -> None:
    """Bring models to this machine, so that later runs need no network."""
    from meetsplit.console.progress import Reporter
    from meetsplit.pipeline.models.catalog import fetch_named

    settings, _ = resolve_settings(options, ())
    with Reporter(Terminal(stderr=True), quiet=quiet) as on_event:
        for described, path in fetch_named(name, settings, on_event):
            print_line(f"{described}: {path}")
