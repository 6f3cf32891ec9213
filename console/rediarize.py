"""The command `rediarize`: new speakers for the words of a finished transcript."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from meetsplit.console.options import (
    GivenOptions,
    Quiet,
    RecordingElsewhere,
    given_files,
    keeps_cache,
    print_files,
    resolve_settings,
    run_options,
)
from meetsplit.console.terminal import Terminal
from meetsplit.pipeline.settings import WHISPER_OPTIONS

_WORDS = ("transcriber", "script", "model", "language", "task", "initial_prompt", *WHISPER_OPTIONS, "batch_size")
_NOT_HERE = (*_WORDS, "start", "end")
"""Options about words, which come from the transcript, and all of them."""


@run_options(
    hidden=(*_NOT_HERE, "model_dir"),
    helps={
        "output_dir": "Folder for the results. (default: that of the transcript)",
        "separate": "Where voices are separated: off (default), overlaps, strict or everywhere.",
    },
)
def rediarize(
    source: Annotated[
        list[Path],
        typer.Argument(
            help="Transcripts (JSON) or the recordings they belong to.", show_default=False, metavar="TRANSCRIPT"
        ),
    ],
    *,
    audio: RecordingElsewhere = None,
    quiet: Quiet = False,
    options: GivenOptions,
) -> None:
    """Find the speakers of a finished transcript again, with other settings, and keep its words.

    The result is written beside the transcript as NAME-rediarized.*; the transcript itself stays as it is.
    """
    import dataclasses

    from meetsplit.console.progress import Reporter
    from meetsplit.console.summary import summary, times_sentence
    from meetsplit.pipeline.cache.content import hash_recording
    from meetsplit.pipeline.cache.run_cache import open_cache
    from meetsplit.pipeline.errors import SettingsError
    from meetsplit.pipeline.formats import names
    from meetsplit.pipeline.results import rediarize
    from meetsplit.pipeline.results.folder import ResultsFolder
    from meetsplit.pipeline.results.ownership import result_request
    from meetsplit.pipeline.results.stems import safe_stem
    from meetsplit.pipeline.results.writing import permissions, write_results
    from meetsplit.pipeline.run import Pipeline

    if audio is not None and len(source) > 1:
        raise SettingsError("--audio belongs to one transcript: give one at a time")
    given = [name for name in _NOT_HERE if options.get(name, "script") != "script" or name == "script" in options]
    if given:
        raise SettingsError(
            f"rediarize keeps the transcript's words: drop --{given[0].replace('_', '-')}, or use `meetsplit run`"
        )
    print_files(options, quiet=quiet)
    keep = keeps_cache(options)
    with Reporter(Terminal(stderr=True), quiet=quiet) as on_event:
        for path in source:
            transcript_path, recording = rediarize.find_pair(path, audio)
            transcript = rediarize.read_words(transcript_path)
            # The transcript itself is the file of given words, so that no transcriber is selected or fetched.
            defaults: dict[str, Any] = {"separate": "off", "output_dir": transcript_path.parent}
            settings, outputs = resolve_settings({**options, "script": transcript_path}, names(), defaults=defaults)
            settings = dataclasses.replace(settings, start=None, end=None)  # of a settings file, for other commands
            stem = safe_stem(f"{transcript_path.stem}-rediarized")
            content = hash_recording(recording)
            request = dataclasses.replace(
                result_request(recording, outputs, sha256=content.sha256),
                base=stem, preferred=stem, extension="", parent="", note=None, label=transcript.recording,
                inputs=(recording, transcript_path, *given_files(options, source)),
            )  # fmt: skip
            with (
                ResultsFolder(outputs.folder).reservation(request) as reservation,
                open_cache(recording, settings, keep=keep, sha256=content.sha256, on_event=on_event) as stage_cache,
            ):
                pipeline = Pipeline(settings, on_event=on_event)
                recording_run = pipeline.open(recording, stage_cache, content, words=transcript, outputs=outputs)
                mode = permissions(transcript_path)
                written = write_results(recording_run, outputs, reservation, on_event, mode=mode)
            progress = on_event.finish(str(recording))
            summary(Terminal(), recording, written)
            if progress is not None and not quiet:
                text = times_sentence(progress, time.monotonic() - progress.began)
                Terminal(stderr=True).say(text, style="dim")
