"""Commands that work through many recordings: batch, watch, worker."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from meetsplit.console.kept import wide
from meetsplit.console.listed import jobs_app
from meetsplit.console.options import asking
from meetsplit.console.queueing import be_nice, interruptible, place, queueing, request
from meetsplit.console.schedules import schedule_app
from meetsplit.pipeline.errors import AudioError, SettingsError

if TYPE_CHECKING:
    from dbos import DBOSClient

    from meetsplit.jobs.desk import Slip
    from meetsplit.jobs.engine import Engine, Worker
    from meetsplit.jobs.order import Order
    from meetsplit.pipeline.events import Tell

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


@asking()
@queueing()
def batch(
    paths: Annotated[list[str], typer.Argument(help="Recordings, folders with recordings, or globs.", show_default=False)],
    *,
    force: Annotated[bool, typer.Option("--force", help="Repeat what is done already.")] = False,
    queue_only: Annotated[bool, typer.Option("--queue-only", help="Leave the work to `meetsplit worker`.")] = False,
    quiet: Quiet = False,
    queue: Mapping[str, Any],
    asked: Mapping[str, Any],
) -> None:
    """Work through many recordings, and pick up where it was when interrupted. What is done already is skipped."""
    from meetsplit.console.endings import table
    from meetsplit.jobs import database, intake
    from meetsplit.jobs.batch import endings, wait
    from meetsplit.jobs.desk import Desk
    from meetsplit.jobs.engine import Engine
    from meetsplit.jobs.finding import search
    from meetsplit.jobs.ledger import Ledger

    wanted = request(queue, asked, retries=0)
    base, store = place(queue)
    found = search(paths, wanted.patterns)
    for complaint in found.complaints:
        _say(f"note: {complaint}")
    if not found.found:
        raise AudioError(f"{', '.join(paths)}: no recordings there; --include says which files count")
    taken = intake.take(found.found, wanted, Ledger.at(store.ready().state))

    def put(client: DBOSClient) -> tuple[Slip, ...]:
        desk = Desk(client, store)
        return tuple(desk.put(order, repeat="always" if force else "failed") for order in taken.orders)

    if queue_only:
        with database.client(base, store, make=True) as client:
            slips = put(client)
            _say(f"{sum(slip.outcome == 'queued' for slip in slips)} of {len(slips)} recordings queued")
        return
    be_nice(queue["nice"] or 0)
    with _progress(quiet) as tell, Engine(base, store, _told(queue, asked, tell, _outcomes(len(taken.orders), quiet))) as engine:
        slips = put(engine.client)
        with interruptible(engine, _say) as stopped:
            newest = wait(Desk(engine.client, store), slips, _pause(engine, stopped.asked.is_set))
            _news(engine, _pause(engine, stopped.asked.is_set))
        ended = endings(engine.client, slips, newest)
        code = stopped.code or (FULL if engine.full else 0)
        wide().print(table(ended, taken.refused))
        if engine.full:
            _say("--max-memory is reached: what is left waits in the queue; run the same command again")
        code = code or int(bool(taken.refused) or any(ending.failed for ending in ended))
        engine.stop(code)
    raise typer.Exit(code)


@asking()
@queueing()
def watch(
    folder: Annotated[Path, typer.Argument(help="The folder with the recordings, subfolders included.")],
    *,
    once: Annotated[bool, typer.Option("--once", help="Take what is there, finish it and end: for cron.")] = False,
    poll: Annotated[float, typer.Option(help="Seconds between two looks; a file is taken after three alike.", min=0.05)] = 5.0,
    quiet: Quiet = False,
    queue: Mapping[str, Any],
    asked: Mapping[str, Any],
) -> None:
    """Transcribe every recording in a folder and every new one; results go to FOLDER/transcripts unless -o says otherwise.

    Recordings stay where they are and as they are. One that fails is tried again twice, then set aside with the reason
    beside the results.
    """
    from meetsplit.jobs.batch import wait
    from meetsplit.jobs.desk import Desk
    from meetsplit.jobs.engine import Engine
    from meetsplit.jobs.ledger import Ledger
    from meetsplit.jobs.watch import Watch

    wanted = request(queue, asked, retries=2, folder=folder / "transcripts")
    if wanted.outputs.folder == folder.absolute():
        raise SettingsError(f"-o {folder}: results cannot go to the watched folder itself: choose a folder below it or elsewhere")
    base, store = place(queue)
    be_nice(_NICE if queue["nice"] is None else queue["nice"])
    failed: list[str] = []
    with _progress(quiet) as tell, Engine(base, store, _told(queue, asked, tell, _outcomes(None, quiet, failed))) as engine:
        desk = Desk(engine.client, store)
        watching = Watch(folder.absolute(), wanted, desk, Ledger.at(store.state))
        with interruptible(engine, _say, terminated=0) as stopped:
            pause = _pause(engine, stopped.asked.is_set, poll)
            if once:
                look = watching.once(pause)
                _noted(look.complaints, look.unsettled)
                wait(desk, look.slips, _pause(engine, stopped.asked.is_set))
                _news(engine, _pause(engine, stopped.asked.is_set))
            else:
                _watch_on(watching.look, pause)
        code = stopped.code or (FULL if engine.full else int(once and bool(failed) and not stopped.asked.is_set()))
        engine.stop(code)
    raise typer.Exit(code)


@asking("hf_token", "cache_dir", "offline", "device")
@queueing("state_dir", "database", "max_memory", "nice")
def worker(*, quiet: Quiet = False, queue: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Work on what is queued, one recording at a time, and keep schedules running, until it is stopped."""
    from meetsplit.jobs.engine import Engine

    base, store = place(queue)
    be_nice(queue["nice"] or 0)
    with _progress(quiet) as tell, Engine(base, store, _told(queue, asked, tell, _outcomes(None, quiet))) as engine:
        if not quiet:
            _say(f"waiting for work in {base.place}")
        with interruptible(engine, _say, terminated=0) as stopped:
            while not engine.full and not stopped.asked.wait(0.5):
                pass
        code = FULL if engine.full else stopped.code
        if engine.full:
            _say("--max-memory is reached: this worker ends, and a new one can go on")
        engine.stop(code)
    raise typer.Exit(code)


def _told(queue: Mapping[str, Any], asked: Mapping[str, Any], tell: Tell, finished: Callable[[str, Order, str | None], None]) -> Worker:
    """What a worker of this process is told."""
    from meetsplit.console.options import settle
    from meetsplit.jobs import schedule
    from meetsplit.jobs.engine import Worker
    from meetsplit.jobs.limits import Limits, size

    settings, _ = settle({name: asked[name] for name in ("config", *_OWN) if name in asked}, _known_formats())
    own = {name: getattr(settings, name) for name in _OWN if getattr(settings, name) not in (None, "auto", False)}
    _, store = place(queue)
    limits = Limits(size(queue["max_memory"]) if queue["max_memory"] else None)

    def scan(client: DBOSClient, context: Mapping[str, Any], run: str) -> dict[str, Any]:
        def breathe() -> bool:
            time.sleep(1.0)
            return True

        return schedule.scan(client, context, store, breathe)

    return Worker(own, limits, tell, finished, scan)


_OWN = ("hf_token", "cache_dir", "offline", "device")
"""Settings that a worker lays over those of an order."""


def _known_formats() -> tuple[str, ...]:
    from meetsplit.pipeline.exporters import names

    return names()


def _progress(quiet: bool) -> Any:
    from meetsplit.console.progress import Reporter

    return Reporter(Console(stderr=True), quiet=quiet)


def _outcomes(total: int | None, quiet: bool, failed: list[str] | None = None) -> Callable[[str, Order, str | None], None]:
    """Says how each job ended, and keeps the failed ones."""
    count: list[str] = []

    def hear(job: str, order: Order, error: str | None) -> None:
        count.append(job)
        if error is not None and failed is not None:
            failed.append(job)
        if error is not None:
            _say(f"failed: {order.recording}: {error}")
        elif not quiet:
            _say(f"done{f' {len(count)} of {total}' if total else ''}: {order.recording} → {order.outputs.folder / order.stem}.*")

    return hear


def _pause(engine: Engine, stopped: Callable[[], bool], seconds: float = 0.2) -> Callable[[], bool]:
    """A pause between two looks that ends early when the process is asked to stop; False then."""

    def pause() -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not stopped() and not engine.full:
            time.sleep(min(0.05, seconds))
        return not stopped() and not engine.full

    return pause


def _news(engine: Engine, pause: Callable[[], bool]) -> None:
    """Let commands and webhooks of finished jobs be told before the process ends."""
    from meetsplit.jobs.flow import NEWS_WORKFLOW

    while engine.client.list_workflows(name=NEWS_WORKFLOW, status=["ENQUEUED", "PENDING"], load_input=False, limit=1) and pause():
        pass


def _watch_on(look: Callable[[], Any], pause: Callable[[], bool]) -> None:
    """Look until asked to stop; a complaint is said once for as long as it lasts."""
    said: tuple[str, ...] = ()
    while True:
        seen = look()
        if seen.complaints != said:
            _noted([complaint for complaint in seen.complaints if complaint not in said], 0)
            said = seen.complaints
        if not pause():
            return


def _noted(complaints: Sequence[str], unsettled: int) -> None:
    for complaint in complaints:
        _say(f"note: {complaint}")
    if unsettled:
        _say(f"note: {unsettled} {'file is' if unsettled == 1 else 'files are'} still being written to and left for the next time")


def _say(text: str) -> None:
    Console(stderr=True).print(text, highlight=False, markup=False, soft_wrap=True)
