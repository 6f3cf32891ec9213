"""The command `rediarize`: new speakers for the words of a finished transcript."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from meetsplit.console.options import GivenOptions, given_files, resolve_settings, run_options
from meetsplit.console.terminal import Terminal


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
    from meetsplit.console.summary import summary, times_sentence
    from meetsplit.pipeline import rediarize
    from meetsplit.pipeline.cache.content import hash_recording
    from meetsplit.pipeline.cache.run_cache import open_cache
    from meetsplit.pipeline.errors import SettingsError
    from meetsplit.pipeline.formats import names
    from meetsplit.pipeline.results.folder import ResultsFolder
    from meetsplit.pipeline.results.ownership import result_request
    from meetsplit.pipeline.results.stems import safe_stem
    from meetsplit.pipeline.results.writing import write_results
    from meetsplit.pipeline.run import Pipeline

    if audio is not None and len(source) > 1:
        raise SettingsError("--audio belongs to one transcript: give one at a time")
    if options.get("transcriber", "script") != "script" or "script" in options:
        raise SettingsError(
            "rediarize keeps the transcript's words: drop --transcriber and --script, or use `meetsplit run`"
        )
    with Reporter(Terminal(stderr=True), quiet=quiet) as on_event:
        for path in source:
            transcript, recording = rediarize.find_pair(path, audio)
            with rediarize.words_as_ctm(transcript) as (script, language):
                defaults: dict[str, Any] = {"separate": "off", "output_dir": transcript.parent}
                if language:
                    defaults["language"] = language
                settings, outputs = resolve_settings({**defaults, **options, "script": script}, names())
                stem = safe_stem(f"{transcript.stem}-rediarized")
                content = hash_recording(recording)
                request = result_request(recording, outputs, sha256=content.sha256)
                inputs = (*request.inputs, transcript, *given_files(options, source))
                request = dataclasses.replace(
                    request, base=stem, preferred=stem, extension="", parent="", inputs=inputs, note=None
                )
                with (
                    ResultsFolder(outputs.folder).reservation(request) as reservation,
                    open_cache(recording, settings, sha256=content.sha256, on_event=on_event) as stage_cache,
                ):
                    recording_run = Pipeline(settings, on_event=on_event).open(recording, stage_cache, content)
                    written = write_results(recording_run, outputs, reservation, on_event)
            progress = on_event.finish(str(recording))
            summary(Terminal(), recording, written)
            if progress is not None and not quiet:
                text = times_sentence(progress, time.monotonic() - progress.began)
                Terminal(stderr=True).say(text, style="dim")
