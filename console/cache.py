"""Commands about the cache of finished stages: show, clear, prune."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table

from meetsplit.console.options import GivenOptions, resolve_settings, run_options
from meetsplit.console.quantities import ago, counted, megabytes
from meetsplit.console.terminal import print_line, wide

if TYPE_CHECKING:
    from meetsplit.pipeline.cache.run_cache import ClearResult

_FOLDER = {"cache_dir": "Folder of the cache. (default: ~/.cache/meetsplit)"}


@run_options("cache_dir", "config", helps=_FOLDER)
def show(*, options: GivenOptions) -> None:
    """List the recordings whose stages are kept, with the room they take and when they were last used."""
    from meetsplit.pipeline.cache.run_cache import cached_runs, cached_runs_folder

    folder = cached_runs_folder(resolve_settings(options, ())[0])
    runs = cached_runs(folder)
    console = wide()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("recording", "size", "last used", "folder"):
        table.add_column(heading, overflow="fold")
    for run in runs:
        table.add_row(run.name, megabytes(run.size), f"{ago(run.age)} ago", run.folder.name)
    if runs:
        console.print(table)
    console.print(
        f"{counted(len(runs), 'recording')}, {megabytes(sum(run.size for run in runs))} in {folder}",
        highlight=False,
        soft_wrap=True,
    )


@run_options("cache_dir", "config", helps=_FOLDER)
def clear(
    *,
    older_than: Annotated[
        float, typer.Option(help="Only what was last used more than this many days ago.", min=0, metavar="DAYS")
    ] = 0.0,
    options: GivenOptions,
) -> None:
    """Remove kept stages and tracks; transcripts and results that were written elsewhere stay."""
    from meetsplit.pipeline.cache import run_cache

    settings, _ = resolve_settings(options, ())
    print_cleared(run_cache.clear(run_cache.cached_runs_folder(settings), older_than=older_than * 86400))


@run_options("cache_dir", "cache_size", "config", helps=_FOLDER)
def prune(
    *,
    older_than: Annotated[
        float | None,
        typer.Option(
            help="Remove what was last used more than this many days ago. (default: --cache-age)",
            min=0,
            metavar="DAYS",
        ),
    ] = None,
    options: GivenOptions,
) -> None:
    """Hold the cache to its limits now, as every run does at its end: remove what is too old, then what was used
    longest ago.
    """
    from meetsplit.pipeline.cache import run_cache
    from meetsplit.pipeline.data.units import days_or_none, size_or_none

    settings, _ = resolve_settings(options, ())
    age = days_or_none(settings.cache_age if older_than is None else older_than, "--older-than")
    print_cleared(
        run_cache.prune(
            run_cache.cached_runs_folder(settings), size=size_or_none(settings.cache_size, "--cache-size"), age=age
        )
    )


def print_cleared(result: ClearResult) -> None:
    """Say what was removed and what was not; exit code 1 where something could not be removed."""
    freed = megabytes(sum(run.size for run in result.removed))
    print_line(f"{counted(len(result.removed), 'recording')} cleared, {freed} freed")
    for run in result.in_use:
        print_line(f"{run.name} is being worked on and was left alone")
    for run, why in result.failed:
        print_line(f"{run.name}: {run.folder} could not be removed: {why}")
    if result.failed:
        raise typer.Exit(1)
