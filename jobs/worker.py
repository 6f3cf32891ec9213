"""How does a worker live? It takes jobs from the queue, takes over those of dead workers, and stops within seconds."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, NoReturn

from dbos import DBOS, DBOSClient, DBOSPortableJSONSerializer

from meetsplit.jobs import schedule
from meetsplit.jobs import workflows as flows
from meetsplit.jobs.crashes import DEMOTED_FROM
from meetsplit.jobs.database import APPLICATION, NEWS, RECORDINGS, SCANS, Database, explained, prepare
from meetsplit.jobs.job_store import Store
from meetsplit.jobs.liveness import Lease, lease
from meetsplit.jobs.resources import Limits
from meetsplit.jobs.steps import Workshop
from meetsplit.pipeline.errors import JobError, MeetsplitError
from meetsplit.pipeline.events import EventListener, Notice, ignore_events
from meetsplit.pipeline.formats.control_characters import shown

LOOK_EVERY = 2.0
"""Seconds between two looks at the other workers and at cancellations."""

CATCH_UP_EVERY = 10.0
"""Seconds between two looks for scheduled runs that were missed."""

POLL_EVERY = {RECORDINGS: 0.2, SCANS: 1.0, NEWS: 1.0}
"""Seconds between two looks into each queue: what a free worker waits for its next job. A look costs milliseconds."""

RECORD_WITHIN = 2.0
"""Seconds that writing down the end of a job may take when the worker stops."""

PATIENCE = 5.0
"""Seconds that a stage may go on after the worker was asked to stop."""

LAST = 1_000_000
"""The priority of a job that goes after all others, in DBOS's numbers."""

Scan = Callable[[DBOSClient, Mapping[str, Any], str], dict[str, Any]]
"""Looks into a scheduled folder and queues what it finds; see `schedule.scan`."""


@dataclass(frozen=True, slots=True)
class Worker:
    """What a worker is told: its own settings, its limits, who hears about its work, and how scheduled folders are looked at."""

    own: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    on_event: EventListener = ignore_events
    listeners: flows.Listeners = field(default_factory=flows.Listeners)
    scan: Scan | None = None


class Engine:
    """A running worker; a context manager. Raises `JobError` where its queue cannot be used.

    There is one per process, because DBOS is one per process.
    """

    def __init__(self, base: Database, store: Store, worker: Worker) -> None:
        self._base, self._store, self._worker = base, store.ready(), worker
        self._gate = flows.Gate()
        self._workshop = Workshop(self._store, worker.own, worker.on_event)
        self._flow = flows.Flow(self._store, self._workshop, self._gate, worker.listeners)
        self._flow.full = worker.limits.full
        self._lease: Lease | None = None
        self._watching = threading.Thread(target=self._watch, name="meetsplit-watch", daemon=True)
        self._over = threading.Event()
        self._client: DBOSClient | None = None
        self._marks: Mapping[str, datetime] = {}
        self._caught_up = time.monotonic()
        self.code = 0

    def __enter__(self) -> Engine:
        prepare(self._base, self._store)
        self._lease = lease(self._base, self._store)
        with explained(self._base, self._store):
            self._client = DBOSClient(
                system_database_url=self._base.url,
                serializer=DBOSPortableJSONSerializer(),
                application_name=APPLICATION,
            )
            for queue, at_once in ((RECORDINGS, 1), (SCANS, 1), (NEWS, 4)):
                self._client.register_queue(
                    queue,
                    worker_concurrency=at_once,
                    polling_interval_sec=POLL_EVERY[queue],
                    on_conflict="always_update",
                )
            DBOS(config=self._base.config(self._lease.worker))
            self._flow.register(self._scan)
            for sentence in schedule.isolate(self._client):
                self._worker.on_event(Notice(sentence))
            self._marks = schedule.marks(self._client)
            DBOS.launch()
        self._watching.start()
        return self

    @property
    def client(self) -> DBOSClient:
        """A connection for queueing and looking."""
        if self._client is None:
            raise JobError("the worker is not running")
        return self._client

    @property
    def full(self) -> bool:
        """Whether the worker stopped because it holds more memory than it may."""
        return self._gate.full.is_set()

    @property
    def stopping(self) -> bool:
        """Whether the worker takes no new work."""
        return self._gate.stopping.is_set()

    def stop(self, code: int = 0) -> None:
        """Begin no further stage; ``code`` is the process's exit code where it has to end around a running one."""
        self.code = self.code or code
        self._gate.stopping.set()
        self._flow.crashes.stop()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait a little for the running stage; what is not done then is done again by whoever resumes the job.

        A stage cannot be interrupted from outside. The process ends around it, and the system takes its locks back.
        """
        self.stop()
        deadline = time.monotonic() + PATIENCE
        while self._gate.working.is_set() and time.monotonic() < deadline:
            time.sleep(0.05)
        self._over.set()
        if self._gate.active:
            self._end_around(error)
        self._let_record()
        self._watching.join(timeout=3)
        if self._client is not None:
            self._client.destroy()
        DBOS.destroy()
        if self._lease is not None:
            self._lease.close()

    def _let_record(self) -> None:
        """Wait until DBOS has written down the end of jobs that have ended; what it cannot, the next worker does."""
        if self._client is None or self._lease is None:
            return
        deadline = time.monotonic() + RECORD_WITHIN
        while time.monotonic() < deadline and self._client.list_workflows(
            status="PENDING", executor_id=self._lease.worker, load_input=False, load_output=False, limit=1
        ):
            time.sleep(0.02)

    def _end_around(self, error: BaseException | None) -> NoReturn:
        """End the process with its threads: Python would wait for a stage that may take hours."""
        if isinstance(error, MeetsplitError):
            print(f"error: {shown(str(error))}", file=sys.stderr)  # noqa: T201 - nobody after us can say it
        elif error is not None and not isinstance(error, KeyboardInterrupt):
            traceback.print_exception(error)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(self.code or (0 if error is None else 130 if isinstance(error, KeyboardInterrupt) else 1))

    def _scan(self, context: Mapping[str, Any], run: str) -> dict[str, Any]:
        if self._worker.scan is None:
            raise JobError("this worker looks into no folders; start `meetsplit worker`")
        return self._worker.scan(self.client, context, run)

    def _watch(self) -> None:
        """Every two seconds: keep our own lock, hear of cancellations, take over the jobs of the dead, catch up on schedules.

        Whatever goes wrong with one of these is said once for as long as it lasts, and stops neither the others nor the
        thread: what runs goes on, and the next look may succeed.
        """
        said: dict[str, str] = {}
        while not self._over.wait(LOOK_EVERY):
            for look in (self._keep_lock, self._hear_cancellation, self._take_over, self._catch_up):
                name = look.__name__.strip("_")
                try:
                    with explained(self._base, self._store):
                        look()
                    said.pop(name, None)
                except Exception as error:
                    sentence = (
                        str(error)
                        if isinstance(error, MeetsplitError)
                        else f"{name} failed: {type(error).__name__}: {error}"
                    )
                    if sentence not in said.values():
                        logging.getLogger("dbos").error("%s", sentence, exc_info=error)
                        self._worker.on_event(Notice(sentence))
                    said[name] = sentence

    def _keep_lock(self) -> None:
        if self._lease is not None:
            self._lease.beat()

    def _hear_cancellation(self) -> None:
        at_work = self._flow.working_on
        if self._lease is None or self._client is None or at_work is None:
            return
        found = self._client.list_workflows(workflow_ids=[at_work], load_input=False, load_output=False)
        if not found or found[0].status == "CANCELLED" or found[0].executor_id not in (None, self._lease.worker):
            self._workshop.cancelled = at_work

    def _take_over(self) -> None:
        if self._lease is None or self._client is None or self.stopping:
            return
        running = self._client.list_workflows(status="PENDING", load_input=False, load_output=False)
        others = {workflow.executor_id for workflow in running if workflow.executor_id} - {self._lease.worker}
        for other in sorted(others):
            if self._lease.dead(other):
                for workflow in running:
                    if workflow.executor_id == other and self._flow.crashes.count(workflow.workflow_id) >= DEMOTED_FROM:
                        self._demote(workflow.workflow_id)
                DBOS._recover_pending_workflows([other])

    def _demote(self, job: str) -> None:
        """Let the others in the queue go first: this job has ended its worker more than once."""
        if self._client is not None:
            table = self._client._sys_db.tables.workflow_status
            with self._client._sys_db.engine.begin() as connection:
                connection.execute(table.update().where(table.c.workflow_uuid == job).values(priority=LAST))

    def _catch_up(self) -> None:
        if self._client is None or self.stopping or time.monotonic() - self._caught_up < CATCH_UP_EVERY:
            return
        self._caught_up = time.monotonic()
        caught_up = schedule.catch_up(self._client, self._marks, datetime.now(UTC))
        self._marks = caught_up.marks
        if caught_up.complaints:
            raise JobError("; ".join(caught_up.complaints))
