"""The durable workflows as DBOS runs and recovers them: a recording, the notification of its end, a scheduled scan."""

from __future__ import annotations

import dataclasses
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dbos import DBOS

from meetsplit.jobs import deliveries, hooks, webhooks
from meetsplit.jobs.crashes import MAX_CRASHES, CrashCounter, WorkerKilled
from meetsplit.jobs.database import APPLICATION, NOTIFICATIONS, VERSION
from meetsplit.jobs.deliveries import NOTIFY_WORKFLOW, Delivery, notification_id
from meetsplit.jobs.job import CompletionActions, JobSpec
from meetsplit.jobs.job_store import JobStore
from meetsplit.jobs.resources import MemoryLimit
from meetsplit.jobs.steps import STEPS, StepRunner, mark_failed
from meetsplit.jobs.submission import WORKFLOW, attempt_number, enqueue_options, job_id, key_of
from meetsplit.pipeline.files.locks import hold_lock

SECRET = "MEETSPLIT_WEBHOOK_SECRET"
"""The environment variable with the secret that webhooks are signed with; only workers need it."""

SCAN_WORKFLOW = "scan"
"""The name of the workflow of a scheduled scan; stored with every schedule, so it never changes."""

MAX_STARTS = 100
"""How often DBOS starts a job at most, whatever its stages do: the last resort, see `crashes`."""


class StopGate:
    """Blocks workflow threads between steps once the worker is stopping.

    A blocked workflow stays PENDING in DBOS, and the next worker recovers it.
    """

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self.full = threading.Event()
        self.working = threading.Event()
        self._active: list[str] = []

    @property
    def active(self) -> tuple[str, ...]:
        """The ids of the workflows that run or wait here."""
        return tuple(self._active)

    @contextmanager
    def tracking(self, workflow: str) -> Iterator[None]:
        """Inside the block, a workflow counts as active."""
        self._active.append(workflow)
        try:
            yield
        finally:
            self._active.remove(workflow)

    def wait(self) -> None:
        """Return at once, or never while the worker is stopping."""
        self.working.clear()
        if self.stopping.is_set():
            threading.Event().wait()
        self.working.set()


@dataclass(frozen=True, slots=True)
class JobListeners:
    """Callbacks of a worker: ``finished`` with job id, specification and error; ``undelivered`` with job id, recording
    and a sentence, for each notification that could not be delivered.
    """

    finished: Callable[[str, JobSpec, str | None], None] = lambda job, spec, error: None
    undelivered: Callable[[str, str, str], None] = lambda job, recording, sentence: None


class Workflows:
    """The workflows of one worker."""

    def __init__(
        self,
        store: JobStore,
        step_runner: StepRunner,
        gate: StopGate,
        listeners: JobListeners,
        memory_limit: MemoryLimit,
    ) -> None:
        self._store, self._step_runner, self._gate, self._listeners = store, step_runner, gate, listeners
        self._memory_limit = memory_limit
        self.crashes = CrashCounter(store)
        self.running_job: str | None = None

    def register(self, scan: Callable[[Mapping[str, Any], str], dict[str, Any]]) -> None:
        """Register the workflows with DBOS, before it is launched. ``scan`` runs a scheduled scan of a folder."""
        workflows, gate = self, self._gate

        @DBOS.workflow(name=WORKFLOW, max_recovery_attempts=MAX_STARTS)
        def recording(request: dict[str, Any], failures: int) -> dict[str, Any]:
            with gate.tracking(str(DBOS.workflow_id)):
                try:
                    return workflows.recording(request, failures, str(DBOS.workflow_id))
                finally:
                    gate.working.clear()

        @DBOS.workflow(name=NOTIFY_WORKFLOW)
        def notify(actions: dict[str, Any], notification: dict[str, Any]) -> list[dict[str, Any]]:
            with gate.tracking(str(DBOS.workflow_id)):
                return workflows.notify(CompletionActions.from_json(actions), notification)

        @DBOS.workflow(name=SCAN_WORKFLOW)
        def scheduled_scan(scheduled: datetime, context: dict[str, Any]) -> dict[str, Any]:
            with gate.tracking(str(DBOS.workflow_id)):
                return DBOS.run_step({"name": "scan"}, scan, context, str(DBOS.workflow_id))

    def recording(self, request: Mapping[str, Any], failures: int, job: str) -> dict[str, Any]:
        """Every step of one job, each done once; returns the last one's result.

        ``failures`` is the number of attempts that failed before. A failure is stored, and the job queued again where
        it has retries left.
        """
        spec = JobSpec.from_json(request)
        result: dict[str, Any] = {}
        self.running_job = job
        self._stop_if_memory_is_full()
        try:
            with hold_lock(self._store.lock(key_of(job))):
                for name in STEPS:
                    self._gate.wait()
                    result = DBOS.run_step({"name": name}, self._run_step, name, spec, job)
        except Exception as error:
            self._release(job)
            self._handle_failure(spec, job, error, failures)
            raise
        self._release(job)
        self._enqueue_notification(spec, job, {"status": "done", **result})
        self._listeners.finished(job, dataclasses.replace(spec, stem=result.get("stem", spec.stem)), None)
        return result

    def notify(self, actions: CompletionActions, notification: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Run the command and call the webhook of a job's end, each attempt a step; returns each `Delivery` as JSON."""
        results: list[Delivery] = []
        for kind, send in _senders(actions, notification).items():
            delivery = self._deliver(kind, send)
            results.append(delivery)
            if not delivery.delivered:
                job, recording = str(notification.get("job")), str(notification.get("recording"))
                logging.getLogger("dbos").warning("%s: not delivered: %s", job, delivery.answer)
                self._listeners.undelivered(job, recording, delivery.answer)
        return [delivery.to_json() for delivery in results]

    def _deliver(self, kind: str, send: Callable[[], str]) -> Delivery:
        """Try a delivery, with exponential backoff between the attempts."""
        attempts = deliveries.ATTEMPTS[kind]
        pause = deliveries.FIRST_PAUSE
        for attempts_left in reversed(range(attempts)):
            try:
                return Delivery(kind, True, str(DBOS.run_step({"name": kind}, send)))
            except Exception as error:
                if not attempts_left:
                    return Delivery(kind, False, f"{error}{f' ({attempts} attempts)' if attempts > 1 else ''}")
            DBOS.sleep(pause)
            pause *= deliveries.PAUSE_FACTOR
        raise AssertionError("there is at least one attempt")

    def _run_step(self, name: str, spec: JobSpec, job: str) -> dict[str, Any]:
        return self.crashes.run_counted(job, name, lambda: self._step_runner.run(name, spec, job))

    def _stop_if_memory_is_full(self) -> None:
        """Stop the worker where even without models it holds too much: a process rarely gives memory back."""
        if self._memory_limit.exceeded():
            self._step_runner.unload()
            if self._memory_limit.exceeded():
                self._gate.full.set()
                self._gate.stopping.set()

    def _release(self, job: str) -> None:
        """Note that no job runs any more, and release the job's audio."""
        self._step_runner.close(job)
        self.running_job = None

    def _handle_failure(self, spec: JobSpec, job: str, error: Exception, failures: int) -> None:
        """Queue the next attempt at a failed job where it has one, else give the job up."""
        actions = spec.on_completion
        # An error that was stored comes back as another class, which holds the name of its own.
        killed = WorkerKilled.__name__ in (type(error).__name__, getattr(error, "name", None))
        cancelled = self._step_runner.cancelled == job
        if not killed and not cancelled and failures < actions.retries:
            self._requeue(spec, job, str(error), failures)
            return
        attempts = MAX_CRASHES if killed else failures + 1
        self._give_up(spec, job, str(error), attempts, beside_results=killed or actions.retries > 0)

    def _requeue(self, spec: JobSpec, job: str, sentence: str, failures: int) -> None:
        """Store why the job failed and queue its next attempt, with exponential backoff."""
        DBOS.run_step({"name": "fail"}, self._store.write_failure, key_of(job), sentence)
        next_attempt = enqueue_options(
            job_id(key_of(job), attempt_number(job) + 1),
            spec.priority,
            delay=spec.on_completion.delay * 4**failures,
        )
        DBOS.enqueue_workflow_with_options(next_attempt, spec.to_json(), failures + 1)
        self._listeners.finished(job, spec, sentence)

    def _give_up(self, spec: JobSpec, job: str, sentence: str, attempts: int, *, beside_results: bool) -> None:
        """Store why the job failed, and notify; ``beside_results`` also writes NAME.failed.txt into the results
        folder.
        """
        DBOS.run_step({"name": "fail"}, self._store.write_failure, key_of(job), sentence)
        if beside_results:
            DBOS.run_step({"name": "set aside"}, mark_failed, spec, job, sentence, attempts)
        self._enqueue_notification(spec, job, {"status": "failed", "error": sentence})
        self._listeners.finished(job, spec, sentence)

    def _enqueue_notification(self, spec: JobSpec, job: str, facts: Mapping[str, Any]) -> None:
        """Queue the notification of a job's end, where it has a command or a webhook."""
        if not spec.on_completion.command and spec.on_completion.webhook is None:
            return
        notification = {
            "job": job,
            "recording": str(spec.recording),
            "stem": spec.stem,
            "folder": str(spec.outputs.folder),
            **facts,
        }
        DBOS.enqueue_workflow_with_options(
            {
                "workflow_name": NOTIFY_WORKFLOW,
                "queue_name": NOTIFICATIONS,
                "workflow_id": notification_id(job),
                "app_version": VERSION,
                "application_name": APPLICATION,
            },
            spec.on_completion.to_json(),
            notification,
        )


def _senders(actions: CompletionActions, notification: Mapping[str, Any]) -> dict[str, Callable[[], str]]:
    """The deliveries that ``actions`` ask for, by kind."""
    senders: dict[str, Callable[[], str]] = {}
    command, url = actions.command, actions.webhook
    if command:
        senders["command"] = lambda: hooks.run(
            command, notification, patience=actions.patience, inherited=actions.environment
        )
    if url:
        senders["webhook"] = lambda: webhooks.post(url, notification, secret=os.environ.get(SECRET))
    return senders
