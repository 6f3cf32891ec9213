"""The command `export`: a finished transcript in other formats."""

from __future__ import annotations

import dataclasses

from meetsplit.console.options import (
    FORMAT_OPTIONS,
    GivenOptions,
    Transcripts,
    print_files,
    resolve_settings,
    run_options,
)
from meetsplit.console.terminal import Terminal, note_placement, print_line


@run_options(
    "output_dir",
    "output_format",
    *FORMAT_OPTIONS,
    "name",
    "names",
    "overwrite",
    "config",
    helps={
        "output_dir": "Folder for the files. (default: that of the transcript)",
        "output_format": "Formats, with commas or one per option. (default: all but json)",
    },
)
def export(
    transcript: Transcripts,
    *,
    options: GivenOptions,
) -> None:
    """Write a finished transcript in other formats, with other subtitle rules or names."""
    from meetsplit.console.progress import Reporter
    from meetsplit.console.summary import shown_files
    from meetsplit.pipeline.formats import names
    from meetsplit.pipeline.results.corrections import find_corrections
    from meetsplit.pipeline.results.writing import export_transcript

    _, outputs = resolve_settings(options, names())
    print_files(options)
    if "output_format" not in options:  # a settings file may ask for JSON: of runs, not of a transcript in JSON
        outputs = dataclasses.replace(outputs, formats=tuple(name for name in outputs.formats if name != "json"))
    with Reporter(Terminal(stderr=True)) as on_event:
        for path in transcript:
            folder = outputs.folder if "output_dir" in options else path.parent
            published = export_transcript(path, folder, outputs, transcript, on_event)
            if published.placement.stem != path.stem:
                note_placement(path, published.placement)
            newer = find_corrections(path, on_event)
            if newer is not None:
                Terminal(stderr=True).say(
                    f"note: {newer} holds newer corrections of {path}, which are not in these files: `meetsplit review "
                    f"{path}` takes them, and writes all of them anew"
                )
            for line in shown_files(Terminal(), published.files):
                print_line(line)
