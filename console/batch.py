"""Commands that work through many recordings: batch, watch, worker."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meetsplit.console.cache import wide
from meetsplit.console.job_options import be_nice, interruptible, place, queue_options, request
from meetsplit.console.jobs import jobs_app
from meetsplit.console.options import run_options
from meetsplit.console.schedules import schedule_app
from meetsplit.console.worker_output import (
    check_models,
    left_over,
    news,
    print_notes,
    print_outcomes,
    pause,
    progress,
    say,
    worker_options,
    watch_on,
)
from meetsplit.pipeline.errors import AudioError, SettingsError

if TYPE_CHECKING:
    from meetsplit.jobs.submission import Repeat

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but the results and errors.")]
FULL = 75
"""Exit code of a worker that stopped because of --max-memory: start it again and it goes on."""

_NICE = 10


def register(app: typer.Typer) -> None:
    """Give the command line the commands of this room."""
    for command in (batch, watch, worker):
        app.command()(command)
    app.add_typer(jobs_app, name="jobs")
    app.add_typer(schedule_app, name="schedule")


@run_options()
@queue_options()
def batch(
    paths: Annotated[
        list[str], typer.Argument(help="Recordings, folders with recordings, or globs.", show_default=False)
    ],
    *,
    force: Annotated[bool, typer.Option("--force", help="Repeat what is done already.")] = False,
    queue_only: Annotated[bool, typer.Option("--queue-only", help="Leave the work to `meetsplit worker`.")] = False,
    quiet: Quiet = False,
    queue: Mapping[str, Any],
    asked: Mapping[str, Any],
) -> None:
    """Work through many recordings, and pick up where it was when interrupted. What is done already is skipped."""
    from meetsplit.console.batch_table import table
    from meetsplit.jobs import database, requests
    from meetsplit.jobs.deliveries import failures
    from meetsplit.jobs.discovery import search
    from meetsplit.jobs.file_index import FileIndex
    from meetsplit.jobs.outcomes import outcomes, wait
    from meetsplit.jobs.submission import JobQueue
    from meetsplit.jobs.worker import Worker

    wanted = request(queue, asked, retries=0)
    base, store = place(queue)
    found = search(paths, wanted.patterns)
    for complaint in found.complaints:
        say(f"note: {complaint}")
    if not found.found:
        raise AudioError(f"{', '.join(paths)}: no recordings there; --include says which files count")
    taken = requests.take(found.found, wanted, FileIndex.at(store.ready().state))
    repeat: Repeat = "always" if force else "failed"
    if queue_only:
        with database.client(base, store, make=True) as client:
            slips = JobQueue(client, store).submit_all(taken.orders, repeat=repeat)
            say(f"{sum(slip.outcome == 'queued' for slip in slips)} of {len(slips)} recordings queued")
        return
    be_nice(queue["nice"] or 0)
    with progress(quiet) as on_event:
        check_models(wanted, on_event)
    with (
        progress(quiet) as on_event,
        Worker(base, store, worker_options(queue, asked, on_event, print_outcomes(len(taken.orders), quiet))) as worker,
    ):
        slips = JobQueue(worker.client, store).submit_all(taken.orders, repeat=repeat)
        with interruptible(worker, say) as stopped:
            newest = wait(JobQueue(worker.client, store), slips, pause(worker, stopped.asked.is_set))
            news(worker, newest.values(), pause(worker, stopped.asked.is_set))
        ended = outcomes(worker.client, slips, newest)
        code = stopped.code or (FULL if worker.full else 0)
        untold = failures(worker.client, newest.values())
        undelivered = {job: untold[last] for job, last in newest.items() if last in untold}
        wide().print(table(ended, taken.refused, undelivered))
        if worker.full:
            say("--max-memory is reached: what is left waits in the queue; run the same command again")
        code = code or int(bool(taken.refused) or any(ending.failed for ending in ended))
        worker.stop(code)
    raise typer.Exit(code)


@run_options()
@queue_options()
def watch(
    folder: Annotated[Path, typer.Argument(help="The folder with the recordings, subfolders included.")],
    *,
    once: Annotated[bool, typer.Option("--once", help="Take what is there, finish it and end: for cron.")] = False,
    poll: Annotated[
        float, typer.Option(help="Seconds between two looks; a file is taken after three alike.", min=0.05)
    ] = 5.0,
    quiet: Quiet = False,
    queue: Mapping[str, Any],
    asked: Mapping[str, Any],
) -> None:
    """Transcribe every recording in a folder and every new one; results go to FOLDER/transcripts unless -o says
    otherwise.

    Recordings stay where they are and as they are. One that fails is tried again twice, then set aside with the reason
    beside the results.
    """
    from meetsplit.jobs.file_index import FileIndex
    from meetsplit.jobs.outcomes import wait
    from meetsplit.jobs.submission import JobQueue
    from meetsplit.jobs.watch import REPEATS_WITHIN, Watch, single_watch_lock
    from meetsplit.jobs.worker import Worker

    wanted = request(queue, asked, retries=2, folder=folder / "transcripts")
    if wanted.outputs.folder == folder.absolute():
        raise SettingsError(
            f"-o {folder}: results cannot go to the watched folder itself: choose a folder below it or elsewhere"
        )
    base, store = place(queue)
    with ExitStack() as held:
        if once:
            lock = single_watch_lock(store, folder, wanted.outputs.folder)
            if lock is None:
                say(f"note: another `meetsplit watch --once` is still at work on {folder}; this one ends")
                return
            held.enter_context(lock)
        be_nice(_NICE if queue["nice"] is None else queue["nice"])
        with progress(quiet) as on_event:
            check_models(wanted, on_event)
        failed: list[str] = []
        with (
            progress(quiet) as on_event,
            Worker(base, store, worker_options(queue, asked, on_event, print_outcomes(None, quiet, failed))) as worker,
        ):
            desk = JobQueue(worker.client, store)
            watching = Watch(folder.absolute(), wanted, desk, FileIndex.at(store.state))
            with interruptible(worker, say, terminated=0) as stopped:
                passing = pause(worker, stopped.asked.is_set, poll)
                if once:
                    look = watching.once(passing)
                    print_notes(look.complaints, look.unsettled)
                    newest = wait(desk, look.slips, pause(worker, stopped.asked.is_set), within=REPEATS_WITHIN)
                    news(worker, newest.values(), pause(worker, stopped.asked.is_set))
                    left_over(desk.delays(newest.values()))
                else:
                    watch_on(watching.look, passing)
            code = stopped.code or (FULL if worker.full else int(once and bool(failed) and not stopped.asked.is_set()))
            worker.stop(code)
    raise typer.Exit(code)


@run_options("hf_token", "cache_dir", "offline", "device")
@queue_options("state_dir", "database", "max_memory", "nice")
def worker(*, quiet: Quiet = False, queue: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Work on what is queued, one recording at a time, and keep schedules running, until it is stopped."""
    from meetsplit.jobs.worker import Worker

    base, store = place(queue)
    be_nice(queue["nice"] or 0)
    with (
        progress(quiet) as on_event,
        Worker(base, store, worker_options(queue, asked, on_event, print_outcomes(None, quiet))) as worker,
    ):
        if not quiet:
            say(f"waiting for work in {base.place}")
        with interruptible(worker, say, terminated=0) as stopped:
            while not worker.full and not stopped.asked.wait(0.5):
                pass
        code = FULL if worker.full else stopped.code
        if worker.full:
            say("--max-memory is reached: this worker ends, and a new one can go on")
        worker.stop(code)
    raise typer.Exit(code)
