"""Commands that work through many recordings: batch, watch, worker."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meetsplit.console.job_options import (
    RETRIES,
    TO_TRANSCRIPTS,
    QueueOptions,
    be_nice,
    interruptible,
    job_request,
    open_store,
    queue_options,
)
from meetsplit.console.options import GivenOptions, Quiet, print_files, run_options
from meetsplit.console.terminal import wide
from meetsplit.console.worker_output import (
    check_models,
    outcome_printer,
    pause,
    print_late_retries,
    print_notes,
    progress,
    say,
    wait_for_notifications,
    watch_forever,
    worker_options,
)
from meetsplit.pipeline.errors import AudioError, SettingsError

if TYPE_CHECKING:
    from meetsplit.jobs.job_store import JobStore
    from meetsplit.jobs.requests import BuiltJobs, Request
    from meetsplit.jobs.submission import Repeat, Submission

FULL = 75
"""Exit code of a worker that stopped because of --max-memory: start it again and it goes on."""

_NICE = 10
"""The niceness of `watch` unless --nice says otherwise."""


@run_options(without=("cache",))
@queue_options()
def batch(
    paths: Annotated[
        list[str],
        typer.Argument(help="Recordings, folders with recordings, or globs.", show_default=False, metavar="PATH"),
    ],
    *,
    force: Annotated[bool, typer.Option("--force", help="Repeat what is done already.")] = False,
    queue_only: Annotated[bool, typer.Option("--queue-only", help="Leave the work to `meetsplit worker`.")] = False,
    quiet: Quiet = False,
    queue: QueueOptions,
    options: GivenOptions,
) -> None:
    """Work through many recordings, and pick up where it was when interrupted. What is done already is skipped."""
    from meetsplit.console.batch_table import table
    from meetsplit.jobs import database
    from meetsplit.jobs.deliveries import failures
    from meetsplit.jobs.outcomes import outcomes, wait
    from meetsplit.jobs.submission import JobQueue
    from meetsplit.jobs.worker import Worker

    began = time.monotonic()
    request = job_request(queue, options, retries=0, quiet=quiet)
    base, store = open_store(queue)
    built = _build(paths, request, store)
    repeat: Repeat = "always" if force else "failed"
    if queue_only:
        with database.client(base, store, make=True) as client:
            _print_queued(JobQueue(client, store).submit_all(built.jobs, repeat=repeat))
        return
    be_nice(queue.nice or 0)
    with progress(quiet) as on_event:
        check_models(request, on_event)
    with (
        progress(quiet) as on_event,
        Worker(
            base,
            store,
            worker_options(queue, options, on_event, outcome_printer(on_event, quiet, total=len(built.jobs))),
        ) as running,
    ):
        job_queue = JobQueue(running.client, store)
        on_event.expect({str(spec.recording): 1.0 for spec in built.jobs})  # the worker begins while they are queued
        submissions = job_queue.submit_all(built.jobs, repeat=repeat)
        on_event.expect({str(submission.spec.recording): 1.0 for submission in submissions if submission.is_to_do})
        with interruptible(running, say) as interruption:
            newest = wait(job_queue, submissions, pause(running, interruption.requested.is_set))
            wait_for_notifications(running, newest.values(), pause(running, interruption.requested.is_set))
        ended = outcomes(running.client, submissions, newest)
        answers = failures(running.client, newest.values())
        undelivered = {job: answers[attempt] for job, attempt in newest.items() if attempt in answers}
        wide().print(table(ended, built.refused, undelivered, time.monotonic() - began))
        if running.full:
            say("--max-memory is reached: what is left waits in the queue; run the same command again")
        some_failed = bool(built.refused) or any(outcome.failed for outcome in ended)
        code = interruption.code or (FULL if running.full else int(some_failed))
        running.stop(code)
    raise typer.Exit(code)


def _build(paths: Sequence[str], request: Request, store: JobStore) -> BuiltJobs:
    """The jobs of the recordings at these paths. Raises `AudioError` where there are none."""
    from meetsplit.jobs.discovery import search
    from meetsplit.jobs.file_index import FileIndex
    from meetsplit.jobs.requests import build_jobs

    search_result = search(paths, request.patterns)
    for complaint in search_result.complaints:
        say(f"note: {complaint}")
    if not search_result.recordings:
        raise AudioError(f"{', '.join(paths)}: no recordings there; --include says which files count")
    return build_jobs(search_result.recordings, request, FileIndex.load(store.ready().state))


def _print_queued(submissions: Sequence[Submission]) -> None:
    queued = sum(submission.outcome == "queued" for submission in submissions)
    say(f"{queued} of {len(submissions)} recordings queued")


@run_options(without=("cache",), helps=TO_TRANSCRIPTS)
@queue_options(helps=RETRIES | {"nice": "Leave the processor to others: 0 (not) to 19. (default: 10)"})
def watch(
    folder: Annotated[
        Path, typer.Argument(help="The folder with the recordings, subfolders included.", metavar="FOLDER")
    ],
    *,
    once: Annotated[bool, typer.Option("--once", help="Take what is there, finish it and end: for cron.")] = False,
    poll: Annotated[
        float,
        typer.Option(
            help="Seconds between two scans of the folder; a file is taken when three have seen it unchanged.",
            min=0.05,
            metavar="SECONDS",
        ),
    ] = 5.0,
    quiet: Quiet = False,
    queue: QueueOptions,
    options: GivenOptions,
) -> None:
    """Transcribe every recording in a folder, and every new one as it comes.

    Recordings stay where they are and as they are. One that fails is tried again twice, then set aside with the reason
    beside the results.
    """
    from meetsplit.jobs.file_index import FileIndex
    from meetsplit.jobs.outcomes import wait
    from meetsplit.jobs.submission import JobQueue
    from meetsplit.jobs.watch import RETRY_WITHIN, FolderWatch, single_watch_lock
    from meetsplit.jobs.worker import Worker
    from meetsplit.pipeline.results.folder import ResultsFolder

    request = job_request(queue, options, retries=2, folder=folder / "transcripts", quiet=quiet)
    if request.outputs.folder == folder.absolute():
        raise SettingsError(
            f"-o {folder}: results cannot go to the watched folder itself: choose a folder below it or elsewhere"
        )
    base, store = open_store(queue)
    with ExitStack() as resources:
        if once:
            lock = single_watch_lock(store, folder, request.outputs.folder)
            if lock is None:
                say(f"note: another `meetsplit watch --once` is still at work on {folder}; this one ends")
                return
            resources.enter_context(lock)
        be_nice(_NICE if queue.nice is None else queue.nice)
        if folder.is_dir():  # one that is not there is said by the first scan, and not made
            ResultsFolder(request.outputs.folder).check_writable()
        with progress(quiet) as on_event:
            check_models(request, on_event)
        failed: list[str] = []
        with (
            progress(quiet) as on_event,
            Worker(
                base, store, worker_options(queue, options, on_event, outcome_printer(on_event, quiet, failed=failed))
            ) as running,
        ):
            job_queue = JobQueue(running.client, store)
            watched = FolderWatch(folder.absolute(), request, job_queue, FileIndex.load(store.state))
            with interruptible(running, say, terminated=0) as interruption:
                stop_requested = interruption.requested.is_set
                if once:
                    result = watched.scan_until_stable(pause(running, stop_requested, poll))
                    print_notes(result.complaints, result.unsettled)
                    newest = wait(job_queue, result.submissions, pause(running, stop_requested), within=RETRY_WITHIN)
                    wait_for_notifications(running, newest.values(), pause(running, stop_requested))
                    print_late_retries(job_queue.delays(newest.values()))
                else:
                    watch_forever(watched.scan, pause(running, stop_requested, poll))
            some_failed = once and bool(failed) and not interruption.requested.is_set()
            code = interruption.code or (FULL if running.full else int(some_failed))
            running.stop(code)
    raise typer.Exit(code)


@run_options("hf_token", "cache_dir", "model_dir", "offline", "device", "threads", "batch_size", "config")
@queue_options("state_dir", "database", "max_memory", "nice")
def worker(*, quiet: Quiet = False, queue: QueueOptions, options: GivenOptions) -> None:
    """Work on what is queued, one recording at a time, and keep schedules running, until it is stopped."""
    from meetsplit.jobs.worker import Worker

    print_files(options, quiet=quiet)
    base, store = open_store(queue)
    be_nice(queue.nice or 0)
    with (
        progress(quiet) as on_event,
        Worker(base, store, worker_options(queue, options, on_event, outcome_printer(on_event, quiet))) as running,
    ):
        if not quiet:
            say(f"waiting for work in {base.place}")
        with interruptible(running, say, terminated=0) as interruption:
            while not running.full and not interruption.requested.wait(0.5):
                pass
        code = FULL if running.full else interruption.code
        if running.full:
            say("--max-memory is reached: this worker ends, and a new one can go on")
        running.stop(code)
    raise typer.Exit(code)
