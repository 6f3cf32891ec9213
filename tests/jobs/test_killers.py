"""A job that ends its worker: counted per stage without progress, last in the queue, then set aside with every
notice.
"""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from meetsplit.jobs.crashes import MAX_CRASHES, CrashCounter, WorkerKilled
from meetsplit.jobs.job_store import JobStore

JOB = "0123456789abcdef.1"

pytestmark = pytest.mark.slow

DEADLY = """
import os, signal
from meetsplit.jobs.steps import StepRunner

run = StepRunner.run

def deadly(self, name, spec, job):
    if name == "separate" and spec.stem == "killer":
        os.kill(os.getpid(), signal.SIGKILL)
    return run(self, name, spec, job)

StepRunner.run = deadly
"""
"""What a worker executes first so that separating one recording kills it, as the system does when memory runs out."""


class Killed(BaseException):
    """What stands for the end of a process here: nothing after it runs."""


def killed(crashes: CrashCounter, store: JobStore, job: str = JOB, stage: str = "separate") -> None:
    """Begin a stage and die in it: the file lies there as it did while the stage ran."""
    stored: list[dict[str, Any] | None] = []

    def die() -> dict[str, Any]:
        stored.append(store.read(job.partition(".")[0], "stage"))
        raise Killed

    with pytest.raises(Killed):
        crashes.run_counted(job, stage, die)
    assert stored[0] is not None
    store.write(job.partition(".")[0], "stage", stored[0])


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "state").ready()


def test_a_stage_that_ends_its_worker_again_and_again_is_not_begun_once_more(store: JobStore) -> None:
    for number in range(MAX_CRASHES):
        assert CrashCounter(store).count(JOB) == number
        killed(CrashCounter(store), store)
    begun: list[int] = []
    with pytest.raises(WorkerKilled, match=f"the stage separate ended its worker {MAX_CRASHES} times in a row"):
        CrashCounter(store).run_counted(JOB, "separate", lambda: begun.append(1) or {})
    assert begun == []


def test_progress_begins_the_count_anew(store: JobStore) -> None:
    for _ in range(MAX_CRASHES - 1):
        killed(CrashCounter(store), store, stage="diarize")
    assert CrashCounter(store).run_counted(JOB, "diarize", lambda: {"seconds": 1.0}) == {"seconds": 1.0}
    assert CrashCounter(store).count(JOB) == 0
    for _ in range(MAX_CRASHES):
        killed(CrashCounter(store), store, stage="separate")
    with pytest.raises(WorkerKilled, match="the stage separate"):
        CrashCounter(store).run_counted(JOB, "separate", dict)


def test_another_stage_and_another_job_begin_the_count_anew(store: JobStore) -> None:
    for _ in range(MAX_CRASHES):
        killed(CrashCounter(store), store, stage="diarize")
    assert CrashCounter(store).run_counted(JOB, "separate", dict) == {}
    for _ in range(MAX_CRASHES):
        killed(CrashCounter(store), store)
    assert CrashCounter(store).run_counted(JOB.replace(".1", ".2"), "separate", dict) == {}


def test_a_stage_that_fails_is_no_crash(store: JobStore) -> None:
    def fail() -> dict[str, Any]:
        raise ValueError("no sound")

    for _ in range(MAX_CRASHES + 1):
        with pytest.raises(ValueError, match="no sound"):
            CrashCounter(store).run_counted(JOB, "separate", fail)
    assert CrashCounter(store).count(JOB) == 0


def test_a_worker_that_is_stopped_in_a_stage_is_no_crash(store: JobStore) -> None:
    killed(CrashCounter(store), store)
    for _ in range(MAX_CRASHES + 1):
        crashes = CrashCounter(store)

        def stopped(crashes: CrashCounter = crashes) -> dict[str, Any]:
            assert crashes.count(JOB) == 2
            crashes.stop()
            assert crashes.count(JOB) == 1, "the stop is not counted, what was before it still is"
            raise Killed

        with pytest.raises(Killed):
            crashes.run_counted(JOB, "separate", stopped)
        store.write(JOB.partition(".")[0], "stage", {"job": JOB, "stage": "separate", "crashes": 1})


def test_a_damaged_count_is_none(store: JobStore) -> None:
    for damage in ("", "[]", '{"job": 1}', json.dumps({"job": JOB, "stage": "separate", "crashes": "many"})):
        store.folder(JOB.partition(".")[0]).mkdir(parents=True, exist_ok=True)
        (store.folder(JOB.partition(".")[0]) / "stage.json").write_text(damage)
        assert CrashCounter(store).count(JOB) == 0


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills by signal")
def test_a_recording_that_kills_its_worker_is_set_aside_with_every_notice(workspace: Any) -> None:
    """The others get done before it comes a third time; then its reason lies beside the results, and the hook is
    told.
    """
    workspace.recording("killer.wav", seed=1)
    workspace.recording("good.wav", seed=2)
    asked = (*workspace.model_free_options(), "-o", workspace.out, "-f", "json", "--no-tracks", "--queue-only")
    hook = ("--on-done", "sh -c 'echo \"$MEETSPLIT_STATUS $MEETSPLIT_STEM $MEETSPLIT_ERROR\" >> told'")
    workspace.run("batch", workspace.calls / "killer.wav", *asked, *hook, "--priority", "high")
    for number in range(MAX_CRASHES):
        if number == 2:
            workspace.run("batch", workspace.calls / "good.wav", *asked)
        assert workspace.start("worker", first=DEADLY).end() == -signal.SIGKILL
        assert (workspace.out / "good.json").exists() == (number >= 2)
        assert (
            json.loads((workspace.state / "jobs" / killer(workspace) / "stage.json").read_text())["crashes"]
            == number + 1
        )
    last = workspace.start("worker", first=DEADLY)
    sentence = f"the stage separate ended its worker {MAX_CRASHES} times in a row"
    assert sentence in last.until("failed: ")
    deadline = 600
    while not (workspace.root / "told").exists() and deadline:
        deadline -= 1
        signal.sigtimedwait([], 0.1)
    code = last.signal(signal.SIGTERM)
    assert code == 0
    (notification,) = (workspace.root / "told").read_text().splitlines()
    assert notification.startswith(f"failed killer {sentence}")
    assert sentence in (workspace.out / "killer.failed.txt").read_text()
    assert f"was tried {MAX_CRASHES} times and set aside" in (workspace.out / "killer.failed.txt").read_text()
    assert sentence in (workspace.state / "jobs" / killer(workspace) / "failed.txt").read_text()
    states = {Path(job["recording"]).stem: (job["state"], job["error"]) for job in workspace.jobs()}
    assert states["good"] == ("done", None)
    assert states["killer"][0] == "failed"
    assert sentence in states["killer"][1]


def killer(workspace: Any) -> str:
    """The key of the job that kills."""
    (key,) = {str(job["job"]).partition(".")[0] for job in workspace.jobs() if "killer" in job["recording"]}
    return key
