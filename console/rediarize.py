"""The command `rediarize`: new speakers for the words of a finished transcript."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from meetsplit.console.options import GivenOptions, given_files, resolve_settings, run_options
from meetsplit.console.terminal import Terminal, print_line


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
    options: GivenOptions,
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
    if options.get("transcriber", "script") != "script" or "script" in options:
        raise SettingsError(
            "rediarize keeps the transcript's words: drop --transcriber and --script, or use `meetsplit run`"
        )
    with Reporter(Terminal(stderr=True), quiet=quiet) as on_event:
        for path in source:
            transcript, recording = rediarize.pair(path, audio)
            with rediarize.script(transcript) as (script, language):
                defaults: dict[str, Any] = {"separate": "off", "output_dir": transcript.parent}
                if language:
                    defaults["language"] = language
                settings, outputs = resolve_settings({**defaults, **options, "script": script}, names())
                stem = safe_stem(f"{transcript.stem}-rediarized")
                plain = wish(recording, outputs)
                inputs = (*plain.inputs, transcript, *given_files(options, source))
                wished = dataclasses.replace(
                    plain, base=stem, first=stem, extension="", parent="", inputs=inputs, note=None
                )
                with (
                    ResultsFolder(outputs.folder).reservation(wished) as reserved,
                    open_cache(recording, settings, on_event=on_event) as stage_cache,
                ):
                    pipeline = Pipeline(settings, on_event=on_event)
                    written = file_away(
                        pipeline, recording, outputs, reserved, open_cache=stage_cache, on_event=on_event
                    )
            summary(Terminal(), recording, written)
            if written.place.why is not None:
                print_line(f"  written as {written.place.stem}.*, because {written.place.why}")
