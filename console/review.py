"""The command `review`: a finished transcript in the browser, and corrections that were saved there."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meetsplit.console.options import (
    FORMAT_OPTIONS,
    GivenOptions,
    given_files,
    print_files,
    resolve_settings,
    run_options,
)
from meetsplit.console.terminal import Terminal, note_placement, print_line

if TYPE_CHECKING:
    from meetsplit.pipeline.events import EventListener
    from meetsplit.pipeline.settings import Outputs


@run_options(
    "output_format",
    *FORMAT_OPTIONS,
    "name",
    "names",
    "overwrite",
    "config",
    helps={
        "output_format": "Formats that corrections are written in, beside JSON and the page. (default: those that are "
        "there)",
    },
)
def review(
    transcript: Annotated[
        Path,
        typer.Argument(
            help="A transcript: its JSON file, meetsplit's, WhisperX's or whisper's.",
            show_default=False,
            metavar="TRANSCRIPT",
        ),
    ],
    *,
    take: Annotated[
        Path | None,
        typer.Option(
            help="Corrections to take, which the page saved. (default: a newer NAME.corrected.json beside it)",
            metavar="FILE",
        ),
    ] = None,
    no_open: Annotated[
        bool, typer.Option("--no-open", help="Open no browser: print where the page is, and what was written.")
    ] = False,
    options: GivenOptions,
) -> None:
    """Open a finished transcript in the browser, to see, hear and correct it; take corrections that were saved there.

    The page is made where it is missing. What its button "Save" downloads is NAME.corrected.json: with it beside the
    transcript (or with --take), the transcript and the files beside it are written anew with the corrections, and the
    transcript as it was is kept as NAME.original.json.
    """
    from meetsplit.console.progress import Reporter
    from meetsplit.console.summary import shown_files
    from meetsplit.pipeline.formats import names
    from meetsplit.pipeline.results.corrections import find_corrections

    path, take = _transcript_and_corrections(transcript, take)
    _, outputs = resolve_settings(options, names())
    print_files(options)
    with Reporter(Terminal(stderr=True)) as on_event:
        corrections = take or find_corrections(path, on_event)
        files: tuple[Path, ...] = ()
        if corrections is not None and not _are_in(path, corrections):
            files = _take(
                path,
                corrections,
                _with_formats(outputs, path, "output_format" in options),
                given_files(options, ()),
                on_event,
            )
        is_named = "name" in options or "names" in options
        page = _page_among(files) or _page(path, outputs, on_event, is_named=is_named)
    for line in shown_files(Terminal(), [file for file in files if file != page or not no_open]):
        print_line(line)
    if no_open:
        print_line(str(page))
    else:
        _open(page)


def _transcript_and_corrections(path: Path, take: Path | None) -> tuple[Path, Path | None]:
    """The transcript's JSON, and the corrections to take: a user may name these, the page or the recording instead."""
    from meetsplit.pipeline.formats.html.saved import corrected_stem

    stem = corrected_stem(path)
    if stem is not None and take is None and path.with_name(f"{stem}.json").is_file():
        return path.with_name(f"{stem}.json"), path
    beside = path.with_suffix(".json")
    return (beside, take) if path.suffix != ".json" and beside.is_file() else (path, take)


def _with_formats(outputs: Outputs, path: Path, is_chosen: bool) -> Outputs:
    """The outputs that corrections are written in: the page, and those chosen or there."""
    import dataclasses

    from meetsplit.pipeline.results.editing import formats_of_set

    others = outputs.formats if is_chosen else formats_of_set(path)
    return dataclasses.replace(outputs, formats=tuple(dict.fromkeys((*others, "html"))))


def _are_in(path: Path, corrections: Path) -> bool:
    """Whether corrections were taken before, which is said."""
    from meetsplit.pipeline.formats import read_transcript_file

    are_in = read_transcript_file(corrections) == read_transcript_file(path)
    if are_in:
        Terminal(stderr=True).say(f"the corrections in {corrections} are in {path} already")
    return are_in


def _take(
    path: Path, corrections: Path, outputs: Outputs, inputs: tuple[Path, ...], on_event: EventListener
) -> tuple[Path, ...]:
    """Take corrections and say so; the files with them."""
    from meetsplit.pipeline.results.corrections import take_corrections

    taken = take_corrections(path, corrections, outputs, inputs, on_event)
    if taken.published.placement.stem != path.stem:
        note_placement(path, taken.published.placement)
    Terminal(stderr=True).say(f"corrections taken from {corrections}; the transcript before them is {taken.kept}")
    return taken.published.files


def _page_among(files: Iterable[Path]) -> Path | None:
    return next((file for file in files if file.suffix == ".html"), None)


def _page(path: Path, outputs: Outputs, on_event: EventListener, *, is_named: bool) -> Path:
    """The page of a transcript: the one beside it where that shows the transcript as it is, else a new one.

    With names that are given now, it is a new one.
    """
    import dataclasses

    from meetsplit.pipeline.formats import read_transcript_file
    from meetsplit.pipeline.formats.html import shows
    from meetsplit.pipeline.results.writing import export_transcript

    page = path.with_suffix(".html")
    if not is_named and page.is_file() and shows(page, read_transcript_file(path)):
        return page
    published = export_transcript(path, path.parent, dataclasses.replace(outputs, formats=("html",)), (), on_event)
    if published.placement.stem != path.stem:
        note_placement(path, published.placement)
    return _page_among(published.files) or page


def _open(page: Path) -> None:
    """Open a page in the browser, and say so; where no browser can be had, say where the page is."""
    has_screen = sys.platform != "linux" or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    )
    if has_screen and webbrowser.open(page.resolve().as_uri()):
        Terminal(stderr=True).say(f"opened {page} in the browser", style="dim")
    else:
        Terminal(stderr=True).say("no browser was found here; open this page in one:")
        print_line(str(page))
