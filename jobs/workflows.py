"""What does a job go through, whatever happens to its worker? The durable workflows, as DBOS runs and resumes them."""

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
from meetsplit.jobs.crashes import LIMIT, Crashes, WorkerKilled
from meetsplit.jobs.database import APPLICATION, NEWS, VERSION
from meetsplit.jobs.deliveries import NEWS_WORKFLOW, Delivery
from meetsplit.jobs.job import Order
from meetsplit.jobs.job_store import Store
from meetsplit.jobs.steps import STEPS, Workshop, set_aside
from meetsplit.jobs.submission import WORKFLOW, attempt, number, options
from meetsplit.pipeline.files.locks import hold_lock

SECRET = "MEETSPLIT_WEBHOOK_SECRET"
"""The environment variable with the secret that webhooks are signed with; only workers need it."""

SCAN_WORKFLOW = "scan"

STARTS = 100
"""How often DBOS starts a job at most, whatever its stages do: the last resort, see `crashes`."""


class Gate:
    """Where jobs wait instead of beginning a stage: while the worker is stopping, for ever."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self.full = threading.Event()
        self.working = threading.Event()
        self._active: list[str] = []

    @property
    def active(self) -> tuple[str, ...]:
        """The names of the workflows that run or wait here."""
        return tuple(self._active)

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """Count a workflow as active."""
        self._active.append(name)
        try:
            yield
        finally:
            self._active.remove(name)

    def pass_through(self) -> None:
        """Go on, or never again: the job is resumed by the next worker."""
        self.working.clear()
        if self.stopping.is_set():
            threading.Event().wait()
        self.working.set()


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who hears of the work in this process: how each job ended, and which deliveries of a job's end failed."""

    finished: Callable[[str, Order, str | None], None] = lambda job, order, error: None
    undelivered: Callable[[str, str, str], None] = lambda job, recording, sentence: None


class Flow:
    """The workflows of one worker. ``scan`` looks into a scheduled folder."""

    def __init__(self, store: Store, workshop: Workshop, gate: Gate, listeners: Listeners) -> None:
        self._store, self._workshop, self.gate, self._listeners = store, workshop, gate, listeners
        self.crashes = Crashes(store)
        self.working_on: str | None = None
        self.full: Callable[[], bool] = lambda: False

    def register(self, scan: Callable[[Mapping[str, Any], str], dict[str, Any]]) -> None:
        """EventListener DBOS about the workflows; before it is launched."""
        flow = self

        @DBOS.workflow(name=WORKFLOW, max_recovery_attempts=STARTS)
        def recording(request: dict[str, Any], tried: int) -> dict[str, Any]:
            with flow.gate.inside(str(DBOS.workflow_id)):
                return flow.recording(request, tried, str(DBOS.workflow_id))

        @DBOS.workflow(name=NEWS_WORKFLOW)
        def news(afterwards: dict[str, Any], content: dict[str, Any]) -> list[dict[str, Any]]:
            with flow.gate.inside(str(DBOS.workflow_id)):
                return flow.news(afterwards, content)

        @DBOS.workflow(name=SCAN_WORKFLOW)
        def look(scheduled: datetime, context: dict[str, Any]) -> dict[str, Any]:
            with flow.gate.inside(str(DBOS.workflow_id)):
                return DBOS.run_step({"name": "scan"}, scan, context, str(DBOS.workflow_id))

    def recording(self, request: Mapping[str, Any], tried: int, job: str) -> dict[str, Any]:
        """Every stage of one order, each done once; what came out. A failure is kept, and repeated if so ordered."""
        key = job.partition(".")[0]
        order = Order.from_json(request)
        result: dict[str, Any] = {}
        self.working_on = job
        self._mind_memory()
        try:
            with hold_lock(self._store.lock(key)):
                for name in STEPS:
                    self.gate.pass_through()
                    result = DBOS.run_step({"name": name}, self._stage, name, order, job)
        except Exception as error:
            self._ended(job)
            killed = WorkerKilled.__name__ in (
                type(error).__name__,
                getattr(error, "name", None),
            )  # the name, where it was stored
            if not killed and self._workshop.cancelled != job and tried < order.afterwards.retries:
                self._again(order, job, str(error), tried)
            else:
                self._give_up(
                    order, job, str(error), LIMIT if killed else tried + 1, aside=killed or order.afterwards.retries > 0
                )
            raise
        self._ended(job)
        self._announce(order, job, {"status": "done", **result})
        self._listeners.finished(job, dataclasses.replace(order, stem=result.get("stem", order.stem)), None)
        return result

    def news(self, afterwards: Mapping[str, Any], content: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Deliver a job's end to its command and its webhook, each attempt a step; how each of them ended, see `Delivery`."""
        ended: list[Delivery] = []
        for kind, send in self._senders(afterwards, content).items():
            ended.append(self._deliver(kind, send))
            if not ended[-1].delivered:
                job, recording = str(content.get("job")), str(content.get("recording"))
                logging.getLogger("dbos").warning("%s: not delivered: %s", job, ended[-1].answer)
                self._listeners.undelivered(job, recording, ended[-1].answer)
        return [delivery.to_json() for delivery in ended]

    def _deliver(self, kind: str, send: Callable[[], str]) -> Delivery:
        tries = deliveries.ATTEMPTS[kind]
        pause = deliveries.FIRST_PAUSE
        for left in reversed(range(tries)):
            try:
                return Delivery(kind, True, str(DBOS.run_step({"name": kind}, send)))
            except Exception as error:
                if not left:
                    return Delivery(kind, False, f"{error}{f' ({tries} attempts)' if tries > 1 else ''}")
            DBOS.sleep(pause)
            pause *= deliveries.PAUSE_FACTOR
        raise AssertionError("there is at least one attempt")

    def _senders(self, afterwards: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, Callable[[], str]]:
        wanted: dict[str, Callable[[], str]] = {}
        command, url = afterwards.get("command"), afterwards.get("webhook")
        if command:
            patience, inherited = float(afterwards.get("patience", 60.0)), tuple(afterwards.get("environment", ()))
            wanted["command"] = lambda: hooks.run(command, content, patience=patience, inherited=inherited)
        if url:
            wanted["webhook"] = lambda: webhooks.post(url, content, secret=os.environ.get(SECRET))
        return wanted

    def _stage(self, name: str, order: Order, job: str) -> dict[str, Any]:
        return self.crashes.guarded(job, name, lambda: self._workshop.step(name, order, job))

    def _mind_memory(self) -> None:
        """Stop the worker where even without models it holds too much: a process rarely gives memory back."""
        if self.full():
            self._workshop.unload()
            if self.full():
                self.gate.full.set()
                self.gate.stopping.set()

    def _ended(self, job: str) -> None:
        self._workshop.close(job)
        self.gate.working.clear()
        self.working_on = None

    def _again(self, order: Order, job: str, sentence: str, tried: int) -> None:
        """Keep why the job failed and queue its next attempt."""
        DBOS.run_step({"name": "fail"}, self._store.fail, job.partition(".")[0], sentence)
        following = options(
            number(job.partition(".")[0], attempt(job) + 1), order.priority, delay=order.afterwards.delay * 4**tried
        )
        DBOS.enqueue_workflow_with_options(following, order.to_json(), tried + 1)
        self._listeners.finished(job, order, sentence)

    def _give_up(self, order: Order, job: str, sentence: str, times: int, *, aside: bool) -> None:
        """Keep why the job failed, and tell; ``aside`` also says so beside the results."""
        DBOS.run_step({"name": "fail"}, self._store.fail, job.partition(".")[0], sentence)
        if aside:
            DBOS.run_step({"name": "set aside"}, set_aside, order, job, sentence, times)
        self._announce(order, job, {"status": "failed", "error": sentence})
        self._listeners.finished(job, order, sentence)

    def _announce(self, order: Order, job: str, facts: Mapping[str, Any]) -> None:
        """Queue the news of a job's end, for those who asked for them."""
        if not order.afterwards.command and order.afterwards.webhook is None:
            return
        content = {
            "job": job,
            "recording": str(order.recording),
            "stem": order.stem,
            "folder": str(order.outputs.folder),
            **facts,
        }
        DBOS.enqueue_workflow_with_options(
            {
                "workflow_name": NEWS_WORKFLOW,
                "queue_name": NEWS,
                "workflow_id": f"{job}.news",
                "app_version": VERSION,
                "application_name": APPLICATION,
            },
            order.to_json()["afterwards"],
            content,
        )
