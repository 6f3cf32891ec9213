"""What does a job go through, whatever happens to its worker? The durable workflows, as DBOS runs and resumes them."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from dbos import DBOS

from meetsplit.jobs import done
from meetsplit.jobs.database import APPLICATION, NEWS, VERSION
from meetsplit.jobs.desk import WORKFLOW, attempt, number, options
from meetsplit.jobs.order import Order
from meetsplit.jobs.store import Store
from meetsplit.jobs.work import STEPS, Workshop, set_aside
from meetsplit.pipeline.locks import locked

SECRET = "MEETSPLIT_WEBHOOK_SECRET"
"""The environment variable with the secret that webhooks are signed with; only workers need it."""

NEWS_WORKFLOW, SCAN_WORKFLOW = "news", "scan"

ATTEMPTS = 10
"""How often a job may take its worker down before it is set aside."""


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


class Flow:
    """The workflows of one worker. ``scan`` looks into a scheduled folder; ``finished`` hears how each job ended."""

    def __init__(self, store: Store, workshop: Workshop, gate: Gate, *, finished: Callable[[str, Order, str | None], None]) -> None:
        self._store, self._workshop, self.gate, self._finished = store, workshop, gate, finished
        self.working_on: str | None = None
        self.full: Callable[[], bool] = lambda: False

    def register(self, scan: Callable[[Mapping[str, Any], str], dict[str, Any]]) -> None:
        """Tell DBOS about the workflows; before it is launched."""
        flow = self

        @DBOS.workflow(name=WORKFLOW, max_recovery_attempts=ATTEMPTS)
        def recording(request: dict[str, Any], tried: int) -> dict[str, Any]:
            with flow.gate.inside(str(DBOS.workflow_id)):
                return flow.recording(request, tried, str(DBOS.workflow_id))

        @DBOS.workflow(name=NEWS_WORKFLOW)
        def news(afterwards: dict[str, Any], content: dict[str, Any]) -> list[str]:
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
            with locked(self._store.lock(key)):
                for name in STEPS:
                    self.gate.pass_through()
                    result = DBOS.run_step({"name": name}, self._workshop.step, name, order, job)
        except Exception as error:
            self._ended(job)
            again = self._workshop.cancelled != job and tried < order.afterwards.retries
            self._failed(order, job, str(error), tried, again=again)
            raise
        self._ended(job)
        self._announce(order, job, {"status": "done", **result})
        self._finished(job, dataclasses.replace(order, stem=result.get("stem", order.stem)), None)
        return result

    def news(self, afterwards: Mapping[str, Any], content: Mapping[str, Any]) -> list[str]:
        """Tell whoever wants to know; what each of them answered."""
        answers: list[str] = []
        for name, tell in self._listeners(afterwards, content).items():
            try:
                tries = 5 if name == "webhook" else 1
                answers.append(
                    DBOS.run_step({"name": name, "retries_allowed": tries > 1, "max_attempts": tries, "backoff_rate": 3.0}, tell)
                )
            except Exception as error:
                answers.append(str(error))
        return answers

    def _listeners(self, afterwards: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, Callable[[], str]]:
        wanted: dict[str, Callable[[], str]] = {}
        if afterwards.get("command"):
            wanted["command"] = lambda: done.run_command(afterwards["command"], content, patience=float(afterwards.get("patience", 60.0)))
        if afterwards.get("webhook"):
            wanted["webhook"] = lambda: done.post(afterwards["webhook"], content, secret=os.environ.get(SECRET))
        return wanted

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

    def _failed(self, order: Order, job: str, sentence: str, tried: int, *, again: bool) -> None:
        """Keep the sentence; queue the next attempt, or set the recording aside and tell."""
        key = job.partition(".")[0]
        DBOS.run_step({"name": "fail"}, self._store.fail, key, sentence)
        if again:
            wait = order.afterwards.delay * 4**tried
            following = options(number(key, attempt(job) + 1), order.priority, delay=wait)
            DBOS.enqueue_workflow_with_options(following, order.to_json(), tried + 1)
        else:
            if order.afterwards.retries:
                DBOS.run_step({"name": "set aside"}, set_aside, order, job, sentence, tried + 1)
            self._announce(order, job, {"status": "failed", "error": sentence})
        self._finished(job, order, sentence)

    def _announce(self, order: Order, job: str, facts: Mapping[str, Any]) -> None:
        """Queue the news of a job's end, for those who asked for them."""
        if not order.afterwards.command and order.afterwards.webhook is None:
            return
        content = {"job": job, "recording": str(order.recording), "stem": order.stem, "folder": str(order.outputs.folder), **facts}
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
