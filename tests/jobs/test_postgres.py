"""Several workers on one PostgreSQL: sharing, killing, vanishing. The suite starts a cluster of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

pytestmark = pytest.mark.slow

OPTIONS = ("-f", "json,srt")


@dataclass(frozen=True)
class Cluster:
    """A PostgreSQL server in a folder of its own, which no other user may enter."""

    bin: Path
    folder: Path
    port: int
    user: str

    def call(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        other = {"user": self.user, "group": self.user, "extra_groups": []} if os.geteuid() == 0 else {}
        return subprocess.run(
            [str(self.bin / program), *arguments], cwd=self.folder, capture_output=True, text=True, check=False, **other
        )  # type: ignore[call-overload, no-any-return]

    def url(self, name: str) -> str:
        return f"postgresql://{self.user}@127.0.0.1:{self.port}/{name}"


def programs() -> Path | None:
    found = shutil.which("initdb")
    places = [Path(found).parent] if found else []
    return next(
        (
            place
            for place in [*places, *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
            if (place / "initdb").exists()
        ),
        None,
    )


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    place = programs()
    if place is None:
        pytest.skip("PostgreSQL's programs are not here: apt-get install postgresql")
    user = "postgres" if os.geteuid() == 0 else os.environ.get("USER", "postgres")
    folder = Path(tempfile.mkdtemp(prefix="meetsplit-pg-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, user, user)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        made = Cluster(place, folder, port, user)
        data = str(folder / "data")
        begun = made.call("initdb", "-D", data, "-U", user, "-A", "trust", "--no-sync")
        if begun.returncode:
            pytest.skip(f"initdb does not work here: {begun.stderr.strip()[-300:]}")
        options = f"-p {port} -k {folder} -c fsync=off -c listen_addresses=127.0.0.1"
        started = made.call("pg_ctl", "-D", data, "-w", "-o", options, "-l", str(folder / "log"), "start")
        assert started.returncode == 0, (folder / "log").read_text()
        yield made
        made.call("pg_ctl", "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def shared(workspace: Any, cluster: Cluster) -> Any:
    """A workspace whose queue is a database of its own on the cluster."""
    name = f"meetsplit_{workspace.root.name.lower().strip('0123456789')}"[:50]
    workspace.env["MEETSPLIT_DATABASE"] = cluster.url(name)
    return workspace


def elsewhere(workspace: Any) -> dict[str, str]:
    """The environment of another machine: the same queue and recordings, a state folder of its own."""
    return {"MEETSPLIT_STATE": str(workspace.root / "state2")}


def test_two_machines_one_killed(shared: Any) -> None:
    for number in range(6):
        shared.recording(f"call{number}.wav", seconds=100, seed=number)
    shared.batch(*OPTIONS, "--queue-only", seconds=100)
    workers = [shared.start("worker"), shared.start("worker", env=elsewhere(shared))]
    workers[0].until("separate …")
    workers[0].kill()
    done = [line for line in workers[0].lines if line.startswith("done")]
    while len(done) < 6:
        done.append(workers[1].until("done: "))
    assert workers[1].signal(signal.SIGTERM) == 0
    assert len(set(done)) == 6
    assert [job["state"] for job in shared.jobs()] == ["done"] * 6
    one = shared.run(
        "run", shared.calls / "call3.wav", *shared.model_free_options(100), "-o", shared.root / "alone", "-q", *OPTIONS
    )
    assert one.process.returncode == 0
    assert {name: content for name, content in shared.files().items() if name.startswith("call3")} == shared.files(
        shared.root / "alone"
    )


def test_the_same_batch_on_two_machines(shared: Any) -> None:
    """Both ask for the same six recordings at once: each is done by one of them."""
    for number in range(6):
        shared.recording(f"call{number}.wav", seconds=20, seed=number)
    command = ("batch", shared.calls, *shared.model_free_options(20), "-o", shared.out, *OPTIONS)
    both = [shared.start(*command), shared.start(*command, env=elsewhere(shared))]
    assert [running.end() for running in both] == [0, 0]
    done = [line for running in both for line in running.lines if line.startswith("done ")]
    assert len(done) == 6
    assert len({line.partition(": ")[2] for line in done}) == 6
    assert len(shared.jobs()) == 6


def test_a_machine_that_vanishes_and_comes_back(shared: Any, cluster: Cluster) -> None:
    """The server loses a worker in the middle of a job; another one does it; the first comes back and spoils
    nothing.
    """
    shared.recording("call.wav", seconds=300)
    shared.batch(*OPTIONS, "--queue-only", seconds=300)
    first = shared.start("worker")
    first.until("separate …")
    first.process.send_signal(signal.SIGSTOP)
    with psycopg.connect(shared.env["MEETSPLIT_DATABASE"], autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
    second = shared.start("worker", env=elsewhere(shared))
    second.until("done: ")
    before = shared.files()
    first.process.send_signal(signal.SIGCONT)
    time.sleep(4)
    assert first.process.poll() is None, "it goes on with other work"
    for worker in (first, second):
        assert worker.signal(signal.SIGTERM) == 0
    assert [(job["state"], job["attempt"]) for job in shared.jobs()] == [("done", 1)]
    assert shared.files() == before
    assert "Traceback" not in "\n".join(first.lines)


def test_the_server_is_not_there(workspace: Any) -> None:
    workspace.recording("call.wav")
    output = workspace.run(
        "batch",
        workspace.calls,
        *workspace.model_free_options(),
        "--database",
        "postgresql://nobody:secret@127.0.0.1:9/queue",
        code=1,
    )
    text = "\n".join(output.lines)
    assert "the queue at postgresql://127.0.0.1:9/queue cannot be" in text
    assert "secret" not in text
    assert "Traceback" not in text
    workspace.run("batch", workspace.calls, *workspace.model_free_options(), "--database", "mysql://host/queue", code=2)


def test_a_database_without_jobs_is_an_empty_list(shared: Any, cluster: Cluster) -> None:
    """Neither the tables nor a state folder are there yet; a database that is not there at all may be a slip of the
    pen.
    """
    missing = shared.run("jobs", "list", code=1)
    assert "does not exist" in "\n".join(missing.lines)
    assert "Logging error" not in "\n".join(missing.lines)
    with psycopg.connect(cluster.url("postgres"), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{shared.env["MEETSPLIT_DATABASE"].rpartition("/")[2]}"')
    output = shared.run("jobs", "list")
    assert "there are no jobs yet" in "\n".join(output.lines)
    assert "Logging error" not in "\n".join(output.lines)
    assert shared.run("schedule", "list", "--json").lines == ["[]"]
    shared.recording("call.wav")
    shared.batch("-f", "json", "--no-tracks")
    listed = shared.run("jobs", "list", "--json", env=elsewhere(shared))
    assert "Logging error" not in "\n".join(listed.lines)
    assert '"state": "done"' in "\n".join(listed.lines)


def test_a_recording_that_killed_its_worker_waits_behind_the_others(shared: Any) -> None:
    """The order of the queue is changed in PostgreSQL, too."""
    for number in range(2):
        shared.recording(f"call{number}.wav", seconds=100, seed=number)
    shared.batch(*OPTIONS, "--queue-only", seconds=100)
    first = shared.start("worker")
    first.until("separate …")
    first.kill()
    (interrupted,) = [job for job in shared.jobs() if job["state"] == "interrupted"]
    marker = shared.state / "jobs" / interrupted["job"].partition(".")[0] / "stage.json"
    row = json.loads(marker.read_text())
    marker.write_text(json.dumps(row | {"crashes": 2}))
    second = shared.start("worker")
    other = "call1" if "call0" in interrupted["recording"] else "call0"
    assert other in second.until("done: ")
    second.until("done: ")
    second.signal(signal.SIGTERM)
