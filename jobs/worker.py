"""The worker process: takes jobs from the queue, recovers those of dead workers, and stops within seconds."""

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
from meetsplit.jobs.crashes import DEMOTE_AFTER
from meetsplit.jobs.database import APPLICATION, NOTIFICATIONS, RECORDINGS, SCANS, Database, prepare, translated_errors
from meetsplit.jobs.job_store import JobStore
from meetsplit.jobs.liveness import WorkerLock, worker_lock
from meetsplit.jobs.resources import MemoryLimit
from meetsplit.jobs.steps import StepRunner
from meetsplit.jobs.workflows import JobListeners, StopGate, Workflows
from meetsplit.pipeline.errors import JobError, MeetsplitError
from meetsplit.pipeline.events import EventListener, Notice, ignore_events
from meetsplit.pipeline.formats.control_characters import shown

CHECK_EVERY = 2.0
"""Seconds between two checks of the other workers, of cancellations, and for scheduled runs that were missed."""

POLL_EVERY = {RECORDINGS: 0.2, SCANS: 1.0, NOTIFICATIONS: 1.0}
"""Seconds between two polls of each queue: the wait of a free worker for its next job. A poll costs milliseconds."""

RECORD_WITHIN = 2.0
"""Seconds that recording the end of a job may take when the worker stops."""

GRACE_PERIOD = 5.0
"""Seconds that a stage may go on after the worker was asked to stop."""

LAST = 1_000_000
"""The priority of a demoted job, after all others, in DBOS's numbers."""

Scan = Callable[[DBOSClient, Mapping[str, Any], str], dict[str, Any]]
"""A scheduled scan of a folder, given its stored context and the id of the run; see `schedule.scan`."""


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """Options of a worker: ``settings`` laid over those of every job, the memory limit, listeners, and scheduled
    scans. ``before_exit`` is called where the process ends around a running stage.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    memory_limit: MemoryLimit = field(default_factory=MemoryLimit)
    on_event: EventListener = ignore_events
    listeners: JobListeners = field(default_factory=JobListeners)
    scan: Scan | None = None
    before_exit: Callable[[], None] = lambda: None


class Worker:
    """A running worker; a context manager. Raises `JobError` where its queue cannot be used.

    There is one per process, because DBOS is one per process.
    """

    def __init__(self, base: Database, store: JobStore, options: WorkerOptions) -> None:
        self._base, self._store, self._options = base, store.ready(), options
        self._gate = StopGate()
        self._step_runner = StepRunner(self._store, options.settings, options.on_event)
        self._workflows = Workflows(self._store, self._step_runner, self._gate, options.listeners, options.memory_limit)
        self._lock: WorkerLock | None = None
        self._housekeeper = threading.Thread(target=self._keep_house, name="meetsplit-watch", daemon=True)
        self._over = threading.Event()
        self._client: DBOSClient | None = None
        self._last_runs: Mapping[str, datetime] = {}
        self.code = 0

    def __enter__(self) -> Worker:
        prepare(self._base, self._store)
        self._lock = worker_lock(self._base, self._store)
        with translated_errors(self._base, self._store):
            self._client = DBOSClient(
                system_database_url=self._base.url,
                serializer=DBOSPortableJSONSerializer(),
                application_name=APPLICATION,
            )
            for queue, concurrency in ((RECORDINGS, 1), (SCANS, 1), (NOTIFICATIONS, 4)):
                self._client.register_queue(
                    queue,
                    worker_concurrency=concurrency,
                    polling_interval_sec=POLL_EVERY[queue],
                    on_conflict="always_update",
                )
            DBOS(config=self._base.config(self._lock.worker))
            self._workflows.register(self._scan)
            for sentence in schedule.pause_impossible(self._client):
                self._options.on_event(Notice(sentence))
            self._last_runs = schedule.last_runs(self._client)
            DBOS.launch()
        self._housekeeper.start()
        return self

    @property
    def client(self) -> DBOSClient:
        """A connection for queueing and reading."""
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
        self._workflows.crashes.stop()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the running stage, for a grace period; what is not done then is done again by the worker that
        resumes the job.

        A stage cannot be interrupted from outside. The process ends around it, and the system takes its locks back.
        """
        self.stop()
        deadline = time.monotonic() + GRACE_PERIOD
        while self._gate.working.is_set() and time.monotonic() < deadline:
            time.sleep(0.05)
        self._over.set()
        self._wait_for_records()
        if self._gate.active:
            self._exit_now(error)
        self._housekeeper.join(timeout=3)
        if self._client is not None:
            self._client.destroy()
        DBOS.destroy()
        if self._lock is not None:
            self._lock.close()

    def _wait_for_records(self) -> None:
        """Wait until DBOS has recorded the end of jobs that have ended; what it cannot record, the next worker does.

        Workflows that run or are held at the gate stay PENDING, and are not waited for.
        """
        if self._client is None or self._lock is None:
            return
        deadline = time.monotonic() + RECORD_WITHIN
        while time.monotonic() < deadline:
            pending = self._client.list_workflows(
                status="PENDING", executor_id=self._lock.worker, load_input=False, load_output=False
            )
            if {workflow.workflow_id for workflow in pending} <= set(self._gate.active):
                return
            time.sleep(0.02)

    def _exit_now(self, error: BaseException | None) -> NoReturn:
        """End the process without waiting for its threads: a stage may take hours."""
        self._options.before_exit()
        if isinstance(error, MeetsplitError):
            print(f"error: {shown(str(error))}", file=sys.stderr)  # noqa: T201 - the process ends here
        elif error is not None and not isinstance(error, KeyboardInterrupt):
            traceback.print_exception(error)
        sys.stdout.flush()
        sys.stderr.flush()
        if isinstance(error, KeyboardInterrupt):
            os._exit(self.code or 130)
        os._exit(self.code or int(error is not None))

    def _scan(self, context: Mapping[str, Any], run: str) -> dict[str, Any]:
        if self._options.scan is None:
            raise JobError("this worker looks into no folders; start `meetsplit worker`")
        return self._options.scan(self.client, context, run)

    def _keep_house(self) -> None:
        """Every two seconds: refresh the lock, check for cancellations, recover jobs of dead workers, backfill
        schedules.

        A failure of one of these is reported once for as long as it lasts, and stops neither the others nor the thread:
        jobs that run go on, and the next try may succeed.
        """
        tasks = {
            "keep_lock": self._refresh_lock,
            "hear_cancellation": self._check_cancellation,
            "take_over": self._recover_jobs,
            "catch_up": self._backfill,
        }
        failures: dict[str, str] = {}
        while not self._over.wait(CHECK_EVERY):
            for name, task in tasks.items():
                try:
                    with translated_errors(self._base, self._store):
                        task()
                except Exception as error:
                    sentence = f"{name} failed: {type(error).__name__}: {error}"
                    if isinstance(error, MeetsplitError):
                        sentence = str(error)
                    if sentence not in failures.values():
                        logging.getLogger("dbos").error("%s", sentence, exc_info=error)
                        self._options.on_event(Notice(sentence))
                    failures[name] = sentence
                else:
                    failures.pop(name, None)

    def _refresh_lock(self) -> None:
        if self._lock is not None:
            self._lock.refresh()

    def _check_cancellation(self) -> None:
        """End the running job at its next event where it was cancelled, deleted, or taken over by another worker."""
        job = self._workflows.running_job
        if self._lock is None or self._client is None or job is None:
            return
        workflows = self._client.list_workflows(workflow_ids=[job], load_input=False, load_output=False)
        ours = (None, self._lock.worker)
        if not workflows or workflows[0].status == "CANCELLED" or workflows[0].executor_id not in ours:
            self._step_runner.cancelled = job

    def _recover_jobs(self) -> None:
        """Take over the jobs of workers whose locks are free; those that crashed repeatedly go behind the others."""
        if self._lock is None or self._client is None or self.stopping:
            return
        pending = self._client.list_workflows(status="PENDING", load_input=False, load_output=False)
        others = {workflow.executor_id for workflow in pending if workflow.executor_id} - {self._lock.worker}
        for other in sorted(others):
            if not self._lock.is_free(other):
                continue
            for workflow in pending:
                if workflow.executor_id != other:
                    continue
                if self._workflows.crashes.count(workflow.workflow_id) >= DEMOTE_AFTER:
                    self._demote(workflow.workflow_id)
            DBOS._recover_pending_workflows([other])

    def _demote(self, job: str) -> None:
        """Give a job the lowest priority."""
        if self._client is not None:
            table = self._client._sys_db.tables.workflow_status
            with self._client._sys_db.engine.begin() as connection:
                connection.execute(table.update().where(table.c.workflow_uuid == job).values(priority=LAST))

    def _backfill(self) -> None:
        """Queue the scheduled runs that were missed."""
        if self._client is None or self.stopping:
            return
        backfill = schedule.backfill_missed(self._client, self._last_runs, datetime.now(UTC))
        self._last_runs = backfill.last_runs
        if backfill.complaints:
            raise JobError("; ".join(backfill.complaints))
