"""The command line: arguments, printing, exit codes."""

from __future__ import annotations

import errno
import functools
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from meetsplit import __version__
from meetsplit.console import batch, cache, help
from meetsplit.console.options import (
    GivenOptions,
    given_files,
    keeps_cache,
    print_files,
    resolve_settings,
    run_options,
)
from meetsplit.console.rediarize import rediarize
from meetsplit.console.scores import score
from meetsplit.console.terminal import Terminal
from meetsplit.console.whisper_arguments import translated
from meetsplit.pipeline.errors import MeetsplitError, SettingsError

if TYPE_CHECKING:
    from meetsplit.console.run_times import RunTimes
    from meetsplit.pipeline.channels.recording import MultiFileRecording
    from meetsplit.pipeline.results.folder import Placement
    from meetsplit.pipeline.results.ownership import ResultRequest
    from meetsplit.pipeline.results.writing import WrittenResults
    from meetsplit.pipeline.run import Pipeline
    from meetsplit.pipeline.settings import Outputs, Settings

app = typer.Typer(
    name="meetsplit",
    cls=help.CommandGroup,
    help="Who said what, even where people talk over each other, and a clean audio file per person.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
models = typer.Typer(cls=help.CommandGroup, no_args_is_help=True, help="Models on this machine, and fetching them.")
_NO_OUTPUT = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EPIPE, errno.EBADF})
"""Error numbers of writing to a stream that leads to a full disk or to a program that has ended."""

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but the results and errors.")]


def _out() -> Terminal:
    return Terminal()


def _err() -> Terminal:
    return Terminal(stderr=True)


def _version(requested: bool) -> None:
    if requested:
        print(f"meetsplit {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Options of every command; `main` reads --debug wherever it stands."""


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
    _run(audio, options, together=together, quiet=quiet)


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
    with Reporter(_err(), quiet=quiet) as on_event:
        for _ in fetch_named("embedded", settings, on_event):
            pass
    _run([recording], {**given, "num_speakers": sample.SPEAKERS, "offline": True}, quiet=quiet)
    if not quiet:
        for sentence in sample.what_next(recording):
            _err().say(sentence)


def _run(audio: list[Path], options: GivenOptions, *, together: str | None = None, quiet: bool = False) -> None:
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
    with Reporter(_err(), quiet=quiet, keeps=keep) as on_event:
        pipeline = Pipeline(settings, on_event=on_event)
        plan = pipeline.preflight()
        if not quiet:
            _err().print(plan_table(plan.backends, is_brief=True))
        times_folder = (settings.cache_dir or default_cache()) if keep else None
        times = RunTimes(on_event, plan, sources, cache=times_folder, quiet=quiet)
        for path in sources:
            on_event(Opened(str(path)))
            make_request = functools.partial(_result_request, path, outputs=outputs, sources=sources, inputs=inputs)
            try:
                written = _run_recording(path, pipeline, outputs, make_request, times, keep=keep)
            except MeetsplitError as error:
                failed.append((path, error))
                on_event.finish(str(path))
                _complain(error)
                continue
            summary(_out(), path, written)
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
            _err().say(f"note: {text}")

    check_settings(settings)
    check_words(settings)
    failed: list[tuple[Path | MultiFileRecording, MeetsplitError]] = []
    for source in sources:
        try:
            check_recording(source, settings, outputs, say)
        except MeetsplitError as error:
            failed.append((source, error))
            _complain(error)
    unreadable = {source for source, _ in failed}
    if len(unreadable) == len(sources):
        _exit_if_failed(failed, len(sources))
    return {source: stem for source, stem in sources.items() if source not in unreadable}, failed


def _exit_if_failed(failed: Sequence[tuple[Path | MultiFileRecording, MeetsplitError]], total: int) -> None:
    """End with the exit code of what failed, saying which of several recordings that was."""
    if failed and total > 1:
        _err().say(f"{len(failed)} of {total} recordings failed: {', '.join(str(path) for path, _ in failed)}")
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
        _note(path, reservation.placement)
        recording_run = pipeline.open(path, stage_cache, content)
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


def _note(path: Path | MultiFileRecording, placement: Placement) -> None:
    """Say which results have another name than their recording."""
    if placement.reason is not None:
        _err().say(f"note: {path} is written as {placement.stem}.*, because {placement.reason}")


@run_options(
    "channels",
    "diarizer",
    "diarizer_model",
    "rttm",
    "separator",
    "separator_model",
    "separate",
    "transcriber",
    "model",
    "language",
    "task",
    "script",
    "model_dir",
    "device",
    "offline",
    "hf_token",
    "cache_dir",
    "config",
)
def doctor(*, options: GivenOptions) -> None:
    """Say which backends would run here, why, and what is missing."""
    from meetsplit.console.diagnosis import machine_table
    from meetsplit.console.tables import plan_table
    from meetsplit.pipeline.models.selection import UnavailableBackend, check_backends

    settings, _ = resolve_settings(options, ())
    rows = check_backends(settings)
    console = _out()
    console.print(plan_table(rows))
    console.print()
    console.print(machine_table(settings))
    if any(isinstance(row, UnavailableBackend) for row in rows):
        raise typer.Exit(1)


@run_options("cache_dir", "config")
def models_list(*, options: GivenOptions) -> None:
    """List the models meetsplit knows and whether they are on this machine."""
    from meetsplit.console.tables import models_table

    settings, _ = resolve_settings(options, ())
    _out().print(models_table(settings))


@run_options("hf_token", "cache_dir", "model_dir", "offline", "config")
def models_fetch(
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
    with Reporter(_err(), quiet=quiet) as on_event:
        for described, path in fetch_named(name, settings, on_event):
            _out().print(f"{described}: {path}", highlight=False, markup=False, soft_wrap=True)


@run_options(
    "output_dir",
    "output_format",
    "max_line_width",
    "max_line_count",
    "max_words_per_line",
    "min_gap",
    "min_duration",
    "max_cps",
    "speaker_names",
    "vtt_names",
    "vtt_colors",
    "highlight_words",
    "txt_width",
    "txt_end_times",
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
    transcript: Annotated[
        list[Path],
        typer.Argument(
            help="Transcripts: JSON files, meetsplit's, WhisperX's or whisper's.",
            show_default=False,
            metavar="TRANSCRIPT",
        ),
    ],
    *,
    options: GivenOptions,
) -> None:
    """Write a finished transcript in other formats, with other subtitle rules or names."""
    import dataclasses

    from meetsplit.console.progress import Reporter
    from meetsplit.pipeline.formats import names
    from meetsplit.pipeline.results.writing import export_transcript

    _, outputs = resolve_settings(options, names())
    print_files(options)
    if "output_format" not in options:  # a settings file may ask for JSON: of runs, not of a transcript in JSON
        outputs = dataclasses.replace(outputs, formats=tuple(name for name in outputs.formats if name != "json"))
    with Reporter(_err()) as on_event:
        for path in transcript:
            folder = outputs.folder if "output_dir" in options else path.parent
            published = export_transcript(path, folder, outputs, transcript, on_event)
            if published.placement.stem != path.stem:
                _note(path, published.placement)
            for file in published.files:
                _out().print(str(file), highlight=False, markup=False, soft_wrap=True)


help.add_command(app, run, "run", help.TRANSCRIBE)
help.add_command(app, demo, "demo", help.TRANSCRIBE)
help.add_command(app, batch.batch, "batch", help.TRANSCRIBE)
help.add_command(app, batch.watch, "watch", help.TRANSCRIBE)
help.add_command(app, export, "export", help.AFTERWARDS)
help.add_command(app, rediarize, "rediarize", help.AFTERWARDS)
help.add_command(app, score, "score", help.AFTERWARDS)
batch.register(app)
help.add_command(app, doctor, "doctor", help.MACHINE)
help.add_command(models, models_list, "list", group="models")
help.add_command(models, models_fetch, "fetch", group="models")
app.add_typer(models, name="models", rich_help_panel=help.MACHINE)
cache.register(app)


def _complain(error: MeetsplitError | str) -> None:
    _err().say(f"error: {error}", style="bold red")


@contextmanager
def _terminable() -> Iterator[None]:
    """Inside the block, SIGTERM and SIGHUP raise `SystemExit`, so that temporary files are removed as after Ctrl-C.

    The exit codes are 143 and 129. Further signals do not end the cleaning. A signal that is ignored, as SIGHUP is
    under ``nohup``, stays ignored. The commands that work on a queue replace SIGTERM's handler by their own.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = ("SIGTERM", "SIGHUP")  # Windows has no SIGHUP
    numbers = [number for name in names if (number := getattr(signal, name, None)) is not None]
    handled = [number for number in numbers if signal.getsignal(number) == signal.SIG_DFL]

    def terminate(number: int, frame: FrameType | None) -> None:
        for handled_number in handled:
            signal.signal(handled_number, lambda number, frame: None)
        raise SystemExit(128 + number)

    for number in handled:
        signal.signal(number, terminate)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, signal.SIG_DFL)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: code 0 done, 1 something failed, 2 wrong usage, 130 interrupted.

    After SIGTERM the code is 143, after SIGHUP 129.
    """
    # Read when the numerics are loaded: threads that wait for each other leave the processor to others. On an idle
    # machine that costs nothing, on a busy one spinning threads made a step of learning twice as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file name need not be UTF-8
    spelt = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in spelt
    code = _exit_code([argument for argument in spelt if argument != "--debug"], debug)
    try:
        if sys.stdout is not None and not sys.stdout.closed:
            sys.stdout.flush()
    except OSError as error:
        code = code or _without_output(error)
    sys.exit(code)


def _exit_code(arguments: Sequence[str], debug: bool) -> str | int | None:
    """Run the command line; returns its exit code. With ``debug``, errors pass through."""
    try:
        with _terminable():
            translation = translated(arguments)
            if translation.note is not None and not {"-q", "--quiet"} & set(translation.arguments):
                _err().print(f"note: {translation.note}", markup=False, highlight=False, soft_wrap=True)
            whole = "_MEETSPLIT_COMPLETE" in os.environ  # a shell asks for options
            command_line = app if whole else help.for_command_line(app, translation.arguments)
            command_line(translation.arguments, prog_name="meetsplit")
    except SystemExit as ended:
        return ended.code
    except MeetsplitError as error:
        if debug:
            raise
        _complain(error)
        return error.exit_code
    except Exception as error:
        if debug:
            raise
        if isinstance(error, OSError) and error.errno in _NO_OUTPUT and error.filename is None:
            return _without_output(error)
        _complain(
            f"something unexpected happened, which is a fault of meetsplit's own: {type(error).__name__}: {error}. "
            "Run again with --debug and report what it prints."
        )
        return 1
    return 0


def _without_output(error: OSError) -> int:
    """Say why standard output cannot be written and close it, so that nothing tries again; returns the exit code."""
    with open(os.devnull, "wb") as nowhere, suppress(OSError, ValueError):
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
    if error.errno != errno.EPIPE:  # a reader that stops early, such as `head`, needs no message
        with suppress(OSError):
            _complain(
                f"standard output cannot be written: {error.strerror or error}; files that were written are whole"
            )
    return 1


if __name__ == "__main__":
    main()
