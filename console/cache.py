"""Commands about what earlier runs left: the shelf of finished stages, and new speakers for an old transcript."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table

from meetsplit.console.options import run_options, given_files, resolve_settings
from meetsplit.console.terminal import Terminal

if TYPE_CHECKING:
    from meetsplit.pipeline.cache.run_cache import ClearResult

Cache = Annotated[
    bool,
    typer.Option(
        "--cache/--no-cache",
        help="Keep finished stages and every person's track under the cache folder, so that the next run of a recording "
        "repeats only what changed; see `meetsplit cache`.",
        rich_help_panel="This machine",
    ),
]

cache_app = typer.Typer(
    no_args_is_help=True,
    help="Finished stages of earlier runs, tracks of the recordings included: what is kept, and removing it.",
)


def register(app: typer.Typer) -> None:
    """Give the command line the commands of this file."""
    app.add_typer(cache_app, name="cache")
    app.command()(rediarize)


@cache_app.command("show")
@run_options("cache_dir")
def show(*, asked: Mapping[str, Any]) -> None:
    """List the recordings whose stages are kept, with the room they take and when they were last used."""
    from meetsplit.pipeline.cache.run_cache import cached_runs, runs_folder

    folder = runs_folder(resolve_settings(asked, ())[0])
    found = cached_runs(folder)
    console = wide()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("recording", "size", "last used", "folder"):
        table.add_column(heading, overflow="fold")
    for kept in found:
        table.add_row(kept.name, megabytes(kept.size), f"{ago(kept.age)} ago", kept.folder.name)
    if found:
        console.print(table)
    console.print(
        f"{len(found)} recordings, {megabytes(sum(kept.size for kept in found))} in {folder}",
        highlight=False,
        soft_wrap=True,
    )


@cache_app.command("clear")
@run_options("cache_dir")
def clear(
    *,
    older_than: Annotated[
        float, typer.Option(help="Only what was last used more than this many days ago.", min=0)
    ] = 0.0,
    asked: Mapping[str, Any],
) -> None:
    """Remove kept stages and tracks; transcripts and results that were written elsewhere stay."""
    from meetsplit.pipeline.cache import run_cache

    tell_cleared(run_cache.clear(run_cache.runs_folder(resolve_settings(asked, ())[0]), older_than=older_than * 86400))


@cache_app.command("prune")
@run_options("cache_dir", "cache_size", "config")
def prune(
    *,
    older_than: Annotated[
        float | None,
        typer.Option(help="Remove what was last used more than this many days ago. (default: --cache-age)", min=0),
    ] = None,
    asked: Mapping[str, Any],
) -> None:
    """Hold the cache to its limits now, as every run does at its end: remove what is too old, then what was used
    longest ago.
    """
    from meetsplit.pipeline.cache import run_cache
    from meetsplit.pipeline.data.units import days_or_none, size_or_none

    settings, _ = resolve_settings(asked, ())
    age = days_or_none(settings.cache_age if older_than is None else older_than, "--older-than")
    tell_cleared(
        run_cache.prune(
            run_cache.runs_folder(settings), size=size_or_none(settings.cache_size, "--cache-size"), age=age
        )
    )


def tell_cleared(done: ClearResult) -> None:
    """Say what went and what stayed; exit code 1 where something could not be removed."""
    print_line(f"{len(done.gone)} recordings cleared, {megabytes(sum(kept.size for kept in done.gone))} freed")
    for kept in done.busy:
        print_line(f"{kept.name} is being worked on and was left alone")
    for kept, why in done.failed:
        print_line(f"{kept.name}: {kept.folder} could not be removed: {why}")
    if done.failed:
        raise typer.Exit(1)


@run_options()
def rediarize(
    source: Annotated[
        list[Path], typer.Argument(help="Transcripts (JSON) or the recordings they belong to.", show_default=False)
    ],
    *,
    audio: Annotated[
        Path | None, typer.Option(help="The recording, where it does not lie beside the transcript.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but the results and errors.")] = False,
    asked: Mapping[str, Any],
) -> None:
    """Find the speakers of a finished transcript again, with other settings, and keep its words: nothing is
    transcribed.

    The result is written beside the transcript as NAME-rediarized.*; the transcript itself stays as it is.
    """
    import dataclasses

    from meetsplit.console.progress import Reporter
    from meetsplit.console.tables import summary
    from meetsplit.pipeline import rediarize
    from meetsplit.pipeline.cache.run_cache import open_cache
    from meetsplit.pipeline.errors import SettingsError
    from meetsplit.pipeline.formats import names
    from meetsplit.pipeline.results.folder import ResultsFolder
    from meetsplit.pipeline.results.ownership import wish
    from meetsplit.pipeline.results.stems import safe_stem
    from meetsplit.pipeline.results.writing import file_away
    from meetsplit.pipeline.run import Pipeline

    if audio is not None and len(source) > 1:
        raise SettingsError("--audio belongs to one transcript: give one at a time")
    if asked.get("transcriber", "script") != "script" or "script" in asked:
        raise SettingsError(
            "rediarize keeps the transcript's words: drop --transcriber and --script, or use `meetsplit run`"
        )
    wanted = {"output_dir": Path(), "separate": "off"} | dict(asked)
    with Reporter(Terminal(stderr=True), quiet=quiet) as on_event:
        for given in source:
            transcript, recording = rediarize.pair(given, audio)
            folder = wanted["output_dir"] if "output_dir" in asked else transcript.parent
            with rediarize.script(transcript) as (script, language):
                own = {**({"language": language} if language else {}), **wanted, "script": script, "output_dir": folder}
                settings, outputs = resolve_settings(own, names())
                stem = safe_stem(f"{transcript.stem}-rediarized")
                plain = wish(recording, outputs)
                inputs = (*plain.inputs, transcript, *given_files(asked, source))
                wished = dataclasses.replace(
                    plain, base=stem, first=stem, extension="", parent="", inputs=inputs, note=None
                )
                with (
                    ResultsFolder(outputs.folder).reservation(wished) as reserved,
                    open_cache(recording, settings, on_event=on_event) as kept,
                ):
                    written = file_away(
                        Pipeline(settings, on_event=on_event),
                        recording,
                        outputs,
                        reserved,
                        open_cache=kept,
                        on_event=on_event,
                    )
            summary(Terminal(), recording, written)
            if written.place.why is not None:
                print_line(f"  written as {written.place.stem}.*, because {written.place.why}")


def megabytes(size: float) -> str:
    """A size for people.

    >>> megabytes(123_456_789)
    '123.5 MB'
    """
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def ago(seconds: float) -> str:
    """A length of time for people, in its largest unit.

    >>> ago(7300.0)
    '2 h'
    """
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def wide() -> Terminal:
    """Where tables go: the terminal at its width, a file or a pipe without folding."""
    console = Terminal()
    return console if console.is_terminal else Terminal(width=400)


def print_line(text: str) -> None:
    """One plain line on stdout."""
    Terminal().print(text, highlight=False, markup=False, soft_wrap=True)
