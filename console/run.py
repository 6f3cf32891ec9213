"""The commands `run` and `demo`: recordings become transcripts and tracks, one after another."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meetsplit.console.options import (
    GivenOptions,
    Quiet,
    given_files,
    keeps_cache,
    print_files,
    resolve_settings,
    run_options,
)
from meetsplit.console.terminal import Terminal, note_placement, print_error
from meetsplit.pipeline.errors import MeetsplitError, SettingsError

if TYPE_CHECKING:
    from meetsplit.console.run_times import RunTimes
    from meetsplit.pipeline.channels.recording import MultiFileRecording
    from meetsplit.pipeline.results.ownership import ResultRequest
    from meetsplit.pipeline.results.writing import WrittenResults
    from meetsplit.pipeline.run import Pipeline
    from meetsplit.pipeline.settings import Outputs, Settings


@run_options()
def run(
    audio: Annotated[
        list[Path],
        typer.Argument(help="Recordings: any audio or video file.", show_default=False, metavar="RECORDING"),
    ],
    *,
    together: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The files are one meeting of this name, one person's microphone each; "
            "ben.wav@1.5 begins 1.5 s later.",
        ),
    ] = None,
    quiet: Quiet = False,
    options: GivenOptions,
) -> None:
    """Turn recordings into transcripts and one audio file per person."""
    run_recordings(audio, options, together=together, quiet=quiet)


@run_options("output_dir", "device", "cache_dir")
def demo(*, quiet: Quiet = False, options: GivenOptions) -> None:
    """Do the whole job on 17 seconds of a meeting that come with meetsplit, with models that need no account.

    The recording and its results go to ./meetsplit-demo unless -o says otherwise.
    """
    from meetsplit.console import sample
    from meetsplit.console.progress import Reporter
    from meetsplit.pipeline.models.catalog import fetch_named

    given = {"output_dir": sample.FOLDER, **options}
    settings, outputs = resolve_settings(given, ())
    recording = sample.copy_to(outputs.folder)
    with Reporter(Terminal(stderr=True), quiet=quiet) as on_event:
        for _ in fetch_named("embedded", settings, on_event):
            pass
    run_recordings([recording], {**given, "num_speakers": sample.SPEAKERS, "offline": True}, quiet=quiet)
    if not quiet:
        for sentence in sample.what_next(recording):
            Terminal(stderr=True).say(sentence)


def run_recordings(
    audio: list[Path], options: GivenOptions, *, together: str | None = None, quiet: bool = False
) -> None:
    """Run recordings one after another, and say what came of each. Exits with an error where one of them failed."""
    from meetsplit.console.progress import Reporter
    from meetsplit.console.run_times import RunTimes
    from meetsplit.console.summary import summary
    from meetsplit.console.tables import plan_table
    from meetsplit.pipeline.events import Opened
    from meetsplit.pipeline.formats import names
    from meetsplit.pipeline.models.weights import default_cache
    from meetsplit.pipeline.results.folder import ResultsFolder
    from meetsplit.pipeline.run import Pipeline

    settings, outputs = resolve_settings(_for_together(options, together), names())
    print_files(options, quiet=quiet)
    all_sources = _sources(audio, together)
    sources, failed = _readable(all_sources, settings, outputs, quiet=quiet)
    results, keep, inputs = ResultsFolder(outputs.folder), keeps_cache(options), given_files(options, audio)
    results.check_writable()
    with Reporter(Terminal(stderr=True), quiet=quiet, keeps=keep) as on_event:
        pipeline = Pipeline(settings, on_event=on_event)
        plan = pipeline.preflight()
        if not quiet:
            Terminal(stderr=True).print(plan_table(plan.backends, is_brief=True))
        times_folder = (settings.cache_dir or default_cache()) if keep else None
        times = RunTimes(on_event, plan, sources, stretch=settings.stretch, cache=times_folder, quiet=quiet)
        for path in sources:
            on_event(Opened(str(path)))
            make_request = functools.partial(_result_request, path, outputs=outputs, sources=sources, inputs=inputs)
            try:
                written = _run_recording(path, pipeline, outputs, make_request, times, keep=keep)
            except MeetsplitError as error:
                failed.append((path, error))
                on_event.finish(str(path))
                print_error(error)
                continue
            summary(Terminal(), path, written)
            times.conclude(path)
        times.conclude_all(len(sources) - sum(source in sources for source, _ in failed))
    _exit_if_failed(failed, len(all_sources))


def _for_together(options: GivenOptions, meeting: str | None) -> GivenOptions:
    """The options; files of one meeting have a channel per person. Raises `SettingsError` for another wish."""
    if meeting is None:
        return options
    if options.get("channels", "split") != "split":
        raise SettingsError(
            f"--together {meeting}: a file per person is a channel per person: drop --channels {options['channels']}"
        )
    return {**options, "channels": "split"}


def _readable(
    sources: Mapping[Path | MultiFileRecording, str], settings: Settings, outputs: Outputs, *, quiet: bool
) -> tuple[Mapping[Path | MultiFileRecording, str], list[tuple[Path | MultiFileRecording, MeetsplitError]]]:
    """The recordings that can be read, and the others with their errors, which are printed: before any other work.

    Raises `SettingsError` for settings that no recording can be processed with, `typer.Exit` where none can be read.
    """
    from meetsplit.console.before_work import check_recording, check_words
    from meetsplit.pipeline.models.selection import check_settings

    def say(text: str) -> None:
        if not quiet:
            Terminal(stderr=True).say(f"note: {text}")

    check_settings(settings)
    check_words(settings)
    failed: list[tuple[Path | MultiFileRecording, MeetsplitError]] = []
    for source in sources:
        try:
            check_recording(source, settings, outputs, say)
        except MeetsplitError as error:
            failed.append((source, error))
            print_error(error)
    unreadable = {source for source, _ in failed}
    if len(unreadable) == len(sources):
        _exit_if_failed(failed, len(sources))
    return {source: stem for source, stem in sources.items() if source not in unreadable}, failed


def _exit_if_failed(failed: Sequence[tuple[Path | MultiFileRecording, MeetsplitError]], total: int) -> None:
    """End with the exit code of what failed, saying which of several recordings that was."""
    if failed and total > 1:
        Terminal(stderr=True).say(
            f"{len(failed)} of {total} recordings failed: {', '.join(str(path) for path, _ in failed)}"
        )
    if failed:
        raise typer.Exit(max(error.exit_code for _, error in failed))


def _run_recording(
    path: Path | MultiFileRecording,
    pipeline: Pipeline,
    outputs: Outputs,
    make_request: Callable[[str], ResultRequest],
    times: RunTimes,
    *,
    keep: bool,
) -> WrittenResults:
    """Run one recording and publish its results. ``make_request`` makes the request for the SHA-256 of its content."""
    from meetsplit.pipeline.cache.content import hash_recording
    from meetsplit.pipeline.cache.run_cache import open_cache
    from meetsplit.pipeline.results.disk_space import check_disks
    from meetsplit.pipeline.results.folder import ResultsFolder
    from meetsplit.pipeline.results.writing import write_results

    settings, on_event, content = pipeline.settings, pipeline.on_event, hash_recording(path)
    with (
        ResultsFolder(outputs.folder).reservation(make_request(content.sha256)) as reservation,
        open_cache(path, settings, keep=keep, sha256=content.sha256, on_event=on_event) as stage_cache,
    ):
        note_placement(path, reservation.placement)
        recording_run = pipeline.open(path, stage_cache, content, outputs=outputs)
        stages = recording_run.remaining_stages()
        elsewhere = "--output-dir or " + ("--cache-dir" if keep else "TMPDIR")
        check_disks(path, settings, outputs, stage_cache.folder, elsewhere=elsewhere, stages=stages)
        times.announce(path, stages)
        return write_results(recording_run, outputs, reservation, on_event)


def _sources(files: Sequence[Path], meeting: str | None) -> Mapping[Path | MultiFileRecording, str]:
    """The recordings of the command, each with the stem that its results would have beside the others'."""
    from meetsplit.pipeline.channels.recording import together
    from meetsplit.pipeline.results.stems import safe_stem, unique_stems

    if meeting is not None:
        recording = together(meeting, files)
        return {recording: safe_stem(recording.stem)}
    stems = unique_stems(files)
    return {path: stems[path] for path in files}


def _result_request(
    path: Path | MultiFileRecording,
    sha256: str,
    *,
    outputs: Outputs,
    sources: Mapping[Path | MultiFileRecording, str],
    inputs: tuple[Path, ...],
) -> ResultRequest:
    """The result set of one recording of this command, whose ``inputs`` are never overwritten."""
    import dataclasses

    from meetsplit.pipeline.results.ownership import result_request
    from meetsplit.pipeline.results.stems import claimed_names

    request = result_request(path, outputs, sha256=sha256)
    return dataclasses.replace(
        request, preferred=sources[path], peers=claimed_names(sources.values()), inputs=(*request.inputs, *inputs)
    )
