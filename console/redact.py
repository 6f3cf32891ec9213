"""The command `redact`: a new set of results in which some people can be neither heard nor read."""

from __future__ import annotations

from typing import Annotated

import typer

from meetsplit.console.editing import TranscriptPath, transcript_beside
from meetsplit.console.options import (
    FORMAT_OPTIONS,
    GivenOptions,
    Quiet,
    RecordingElsewhere,
    print_files,
    resolve_settings,
    run_options,
)
from meetsplit.console.terminal import Terminal, note_placement, print_line


@run_options(
    "output_dir",
    "output_format",
    "track_format",
    *FORMAT_OPTIONS,
    "name",
    "names",
    "overwrite",
    "config",
    helps={
        "output_dir": "Folder for the files. (default: that of the transcript)",
        "track_format": "Format of the recording's copy: wav (default), flac, mp3 or m4a. Tracks keep theirs.",
    },
)
def redact(
    transcript: TranscriptPath,
    people: Annotated[
        list[str] | None,
        typer.Argument(help="Labels or names of those who are taken out.", show_default=False, metavar="SPEAKER"),
    ] = None,
    *,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            "--keep",
            help="Instead: the label or name of someone who stays, everybody else is taken out, and so is what is "
            "nobody's turn; may be repeated.",
            metavar="SPEAKER",
        ),
    ] = None,
    audio: RecordingElsewhere = None,
    quiet: Quiet = False,
    options: GivenOptions,
) -> None:
    """Take people out of a finished transcript: their voice is muted, their words and names are blanked.

    A new set of results is written, NAME-redacted.*, with a copy of the recording; transcript and recording stay as
    they are. The others stay audible in overlaps, where their tracks take the recording's place. What others say
    *about* someone is not recognized: read the result before it is given away.
    """
    from meetsplit.console.progress import Reporter
    from meetsplit.console.quantities import counted
    from meetsplit.console.summary import shown_files
    from meetsplit.pipeline.formats import names
    from meetsplit.pipeline.results.redacting import redact_results

    path = transcript_beside(transcript)
    _, outputs = resolve_settings(options, names(), defaults={"output_dir": path.parent})
    print_files(options, quiet=quiet)
    with Reporter(Terminal(stderr=True), quiet=quiet) as on_event:
        done = redact_results(path, people or (), outputs, keep=keep or (), audio=audio, on_event=on_event)
        if done.published.placement.stem != f"{path.stem}-redacted":
            note_placement(path, done.published.placement)
    if not quiet:
        sentence = f"{', '.join(done.redacted)}: neither heard nor read in {done.recording} and what lies beside it"
        if done.blanked:
            sentence += f"; {counted(done.blanked, 'word')} of others that may be theirs are blanked, too"
        if done.silenced >= 0.05:
            sentence += f"; overlaps are silent for {done.silenced:.1f} s, where voices were not taken apart"
        Terminal(stderr=True).say(f"{sentence}. {path} is as it was: to take this back, remove the new files")
    for line in shown_files(Terminal(), done.published.files):
        print_line(line)
