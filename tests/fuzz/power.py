"""Every command, with a fault at every operation on the disk: `python -m fuzz.power --help`, with tests/ on the path.

For each scenario a small recording is worked on once without faults: that is what has to come out in the end. Then, for
each number n of an operation and each fault of `faulty.FAULTS`, the same command runs with the fault at operation n,
and after it

    whole      every file at its final name has its complete old or its complete new content
    foreign    what was there before and is not this command's is there unchanged
    said       a command that fails says so in one sentence, without a traceback; one that ends with 0 has
               written everything

and then the same command without faults ends with everything that has to come out, and with nothing else: no temporary
files, in the results, the cache, the jobs and the folder for scratch. What violates one of these is a finding.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fuzz import faulty, recordings

SECONDS = 3
FORMATS = "json,srt,txt"
PATIENCE = 120.0
"""Seconds that a command on three seconds of sound may take, on a machine that does much else."""

Files = dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A command on a small recording.

    ``prepare`` puts what the command finds into the folder; a file whose name begins with ``foreign`` is never the
    command's. ``arguments`` are relative to the folder.
    """

    name: str
    prepare: Callable[[Path], None]
    arguments: tuple[str, ...]


def _inputs(root: Path) -> None:
    recordings.tone(root / "in" / "call.wav", SECONDS)
    recordings.turns_and_words(root / "in" / "call.rttm", root / "in" / "call.ctm", SECONDS)
    recordings.turns_and_words(root / "in" / "old.rttm", root / "in" / "old.ctm", SECONDS, word="earlier")
    (root / "out" / "call").mkdir(parents=True)
    (root / "tmp").mkdir()
    for place in ("out", "out/call", "in"):
        (root / place / "foreign notes.txt").write_text("kept since 1998")


def _stereo_inputs(root: Path) -> None:
    """A recording whose tracks are rendered at its own rate and with its own channels."""
    _inputs(root)
    recordings.tone(root / "in" / "call.wav", SECONDS, rate=22050, channels=2)


def _run(*more: str, words: str = "call", command: str = "run") -> tuple[str, ...]:
    known = ("--rttm", f"in/{words}.rttm", "--script", f"in/{words}.ctm", "--device", "cpu", "--offline")
    return (command, "in/call.wav", *known, "-o", "out", "-f", FORMATS, "-q", *more)


def _after_another(command: str, *more: str) -> Callable[[Path], None]:
    """The same recording was worked on before, with other words: its results are there, its stages are kept."""

    def prepare(root: Path) -> None:
        _inputs(root)
        code, said = undisturbed(root, _run(*more, words="old", command=command))
        if code:
            raise RuntimeError(f"the earlier {command} failed: {said}")

    return prepare


def _with_transcript(root: Path) -> None:
    _inputs(root)
    code, said = undisturbed(root, _run("--separate", "off"))
    if code:
        raise RuntimeError(f"the run before the export failed: {said}")
    (root / "out" / "call.vtt").write_text("WEBVTT\n\nfrom an earlier export\n")


OFF, NONE, DICTIONARY = ("--separate", "off"), ("--separator", "none"), ("--separator", "dictionary")

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("run", _inputs, _run(*OFF)),
        Scenario("run-again", _after_another("run", *OFF), _run(*OFF)),
        Scenario("run-no-cache", _inputs, _run(*NONE, "--no-cache")),
        Scenario("run-flac", _inputs, _run(*OFF, "--track-format", "flac", "--track-gate", "hard")),
        Scenario("run-stereo", _stereo_inputs, _run(*NONE)),
        Scenario("run-dictionary", _inputs, _run(*DICTIONARY)),
        Scenario("batch", _inputs, _run(*NONE, command="batch")),
        Scenario("batch-move", _inputs, _run(*OFF, "--move-done", "done", command="batch")),
        Scenario("export", _with_transcript, ("export", "out/call.json", "-f", "srt,tsv,csv", "-o", "exported")),
        Scenario(
            "export-again",
            _with_transcript,
            ("export", "out/call.json", "-f", "vtt,srt", "--name", "SPEAKER_00=Ann", "--overwrite"),
        ),
    )
}


@dataclass(slots=True)
class Tally:
    """What was tried, and what was found."""

    operations: dict[str, int] = field(default_factory=dict)
    tried: Counter[str] = field(default_factory=Counter)
    findings: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """For the process that asked."""
        return {
            "operations": self.operations,
            "tried": dict(self.tried),
            "findings": self.findings,
            "seconds": round(self.seconds, 1),
        }


def undisturbed(root: Path, arguments: Sequence[str]) -> tuple[int, str]:
    """Run the command without faults: exit code, and what it said."""
    return _child(root, arguments, None, -1, root.parent / "image")


def _child(root: Path, arguments: Sequence[str], fault: str | None, at: int, image: Path) -> tuple[int, str]:
    """Run the command in a process of its own with its own disk. A code of -1 stands for a process that did not end."""
    said, counted = root.parent / "said", root.parent / "counted"
    for old in (image, counted):
        old.unlink(missing_ok=True)
    pid = os.fork()
    if pid == 0:
        _be_the_command(root, arguments, faulty.FaultyDisk(root, fault=fault, at=at, image=image), said, counted)
    code = _ended(pid)
    return code, said.read_text("utf-8", "replace") if said.exists() else ""


def _be_the_command(root: Path, arguments: Sequence[str], disk: faulty.FaultyDisk, said: Path, counted: Path) -> None:
    """In the child: never returns."""
    code = 70
    try:
        os.setsid()
        os.chdir(root)
        out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.environ.update(recordings.environment(root))
        tempfile.tempdir = None
        from meetsplit import cli
        from meetsplit.pipeline import files

        files.disk = disk
        try:
            cli.main([*arguments])
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        counted.write_text("\n".join(disk.operations), "utf-8")
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _ended(pid: int) -> int:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return -1


def files_below(folder: Path) -> Files:
    """Every file by relative path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def published(root: Path) -> Files:
    """What a user sees: everything outside the cache, the jobs, the scratch folder and the staging folders of
    results.
    """
    inner = ("cache", "state", "tmp", ".local")
    return {
        name: content
        for name, content in files_below(root).items()
        if name.split("/")[0] not in inner
        and not name.endswith(".meetsplit/lock")
        and not re.search(r"\.meetsplit/[^/]+\.part/", name)
    }


def leftovers(root: Path) -> list[str]:
    """Temporary files and folders, wherever they are."""
    hidden = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.name.endswith(".part") or ".meetsplit-" in path.name
    }
    scratch = {path.relative_to(root).as_posix() for path in (root / "tmp").rglob("*")}
    return sorted(hidden | scratch)


class Trial:
    """One scenario in a folder of its own; a fault at any operation."""

    def __init__(self, scenario: Scenario, place: Path) -> None:
        self.scenario, self.place = scenario, place
        self.root, self.template, self.image = place / "root", place / "template", place / "image"
        place.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir()
        scenario.prepare(self.root)
        shutil.rmtree(self.template, ignore_errors=True)
        shutil.copytree(self.root, self.template, symlinks=True)
        self.before = published(self.root)
        code, said = undisturbed(self.root, scenario.arguments)
        if code:
            raise RuntimeError(f"{scenario.name}: the undisturbed command ended with {code}: {said}")
        self.after = published(self.root)
        self.kept = sorted(name for name in files_below(self.root / "cache")) if (self.root / "cache").is_dir() else []
        self.operations = (place / "counted").read_text("utf-8").splitlines()
        if bad := leftovers(self.root):
            raise RuntimeError(f"{scenario.name}: the undisturbed command leaves {bad}")

    def tried(self, fault: str, at: int) -> Iterator[str]:
        """Let the fault happen at operation ``at``; what is wrong afterwards, in sentences."""
        faulty.copied(self.template, self.root)
        code, said = _child(self.root, self.scenario.arguments, fault, at, self.image)
        if code == faulty.DEAD:
            faulty.restore(self.root, pickle.loads(self.image.read_bytes()))
        yield from self._said(code, said, fault)
        yield from self._whole()
        if code == 0 and published(self.root) != self.after:
            yield f"ended with 0, but {self._differences()}"
        code, said = undisturbed(self.root, self.scenario.arguments)
        if code:
            yield f"the same command again ended with {code}: {said[-500:]}"
        elif published(self.root) != self.after:
            yield f"after the same command again {self._differences()}"
        if left := leftovers(self.root):
            yield f"after the same command again there are leftovers: {left}"

    def _said(self, code: int, said: str, fault: str) -> Iterator[str]:
        if code == -1:
            yield f"did not end within {PATIENCE:g} s"
        elif code == faulty.DEAD and fault in faulty.ERRORS:
            yield "died of an error"
        elif code not in (0, 1, faulty.DEAD):
            yield f"ended with {code}: {said[-500:]}"
        if "Traceback" in said or "fault of meetsplit's own" in said:
            yield f"said: {said[-1500:]}"

    def _whole(self) -> Iterator[str]:
        now = published(self.root)
        for name, content in now.items():
            hidden = any(part.startswith(".meetsplit") for part in name.split("/"))
            if not hidden and content not in (self.before.get(name), self.after.get(name)):
                yield f"{name} is neither what it was nor what it becomes ({len(content)} bytes: {content[:60]!r})"
        for name, content in self.before.items():
            if name not in now and name in self.after and "/.meetsplit/" not in name:
                yield f"{name}, which was there before, is gone"
            elif name not in now and content not in now.values():
                yield f"{name}, which was there before, is nowhere"

    def _differences(self) -> str:
        now = published(self.root)
        missing, more = sorted(self.after.keys() - now.keys()), sorted(now.keys() - self.after.keys())
        other = sorted(name for name in now.keys() & self.after.keys() if now[name] != self.after[name])
        return f"missing {missing}, too much {more}, different {other}"


def grid(count: int, points: int, offset: int = 0) -> list[int]:
    """``points`` numbers out of ``count``, evenly spread; all of them where ``points`` is 0."""
    if points == 0 or points >= count:
        return list(range(count))
    return sorted({(round(at * count / points) + offset) % count for at in range(points)})


def run(
    names: Sequence[str],
    faults: Sequence[str],
    points: int,
    place: Path,
    *,
    offset: int = 0,
    until: float = float("inf"),
) -> Tally:
    """Try every scenario named; ``points`` operations of each (0 for all), stopping when the clock says ``until``."""
    tally, began = Tally(), time.monotonic()
    _load(queue=any(name.startswith("batch") for name in names), torch="run-dictionary" in names)
    for name in names:
        trial = Trial(SCENARIOS[name], place / name)
        tally.operations[name] = len(trial.operations)
        for at in grid(len(trial.operations), points, offset):
            for fault in faults:
                if time.monotonic() > until:
                    break
                tally.tried[f"{name} {fault}"] += 1
                operation = trial.operations[at]
                for what in trial.tried(fault, at):
                    tally.findings.append(
                        {"scenario": name, "fault": fault, "at": at, "operation": operation, "what": what}
                    )
        shutil.rmtree(place / name, ignore_errors=True)
    tally.seconds = time.monotonic() - began
    return tally


def _load(*, queue: bool, torch: bool) -> None:
    """Import what the commands need, once, before processes are forked; ``torch`` for those with a real separator."""
    os.environ.update({"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"})
    if torch:
        import meetsplit.pipeline.separators.dictionary
    import pandas  # noqa: F401

    import meetsplit.cli
    import meetsplit.console.progress
    import meetsplit.pipeline.results.writing
    import meetsplit.pipeline.run
    import meetsplit.pipeline.transcribers.given_words
    import meetsplit.speakers.rendering
    import meetsplit.speakers.tracks

    if queue:
        import meetsplit.console.batch_table
        import meetsplit.jobs.requests
        import meetsplit.jobs.worker
    with contextlib.redirect_stderr(io.StringIO()), contextlib.suppress(SystemExit):
        meetsplit.cli.main(["export", "/nothing.json"])
    gc.freeze()


def in_processes(names: Sequence[str], faults: Sequence[str], points: int, offset: int, processes: int) -> Tally:
    """The same as `run`, every scenario in a process of its own, so many of them at a time."""
    total, began, waiting, running = (
        Tally(),
        time.monotonic(),
        list(names),
        list[tuple[subprocess.Popen[bytes], Path, str]](),
    )
    with tempfile.TemporaryDirectory(prefix="power-") as scratch:
        while waiting or running:
            while waiting and len(running) < processes:
                name = waiting.pop(0)
                answer = Path(scratch) / f"{name}.json"
                command = [
                    sys.executable,
                    "-m",
                    "fuzz.power",
                    name,
                    "--points",
                    str(points),
                    "--offset",
                    str(offset),
                    "--json",
                    str(answer),
                ]
                running.append(
                    (subprocess.Popen([*command, "--faults", *faults], stdout=subprocess.DEVNULL), answer, name)
                )
            for process, answer, name in list(running):
                if process.poll() is None:
                    continue
                running.remove((process, answer, name))
                if answer.exists():
                    _add(total, json.loads(answer.read_text("utf-8")))
                else:
                    what = f"the trials themselves ended with {process.returncode}"
                    total.findings.append({"scenario": name, "fault": "none", "at": -1, "operation": "", "what": what})
            time.sleep(0.1)
    total.seconds = time.monotonic() - began
    return total


def _add(total: Tally, row: dict[str, Any]) -> None:
    total.operations |= row["operations"]
    total.tried.update(row["tried"])
    total.findings += row["findings"]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 1 where there are findings."""
    options = argparse.ArgumentParser(prog="python -m fuzz.power", description=__doc__.splitlines()[0])
    options.add_argument("scenarios", nargs="*", help=f"the default is all: {', '.join(SCENARIOS)}")
    options.add_argument("--faults", nargs="+", choices=faulty.FAULTS, default=list(faulty.FAULTS))
    options.add_argument(
        "--points", type=int, default=0, help="operations tried in each scenario, evenly spread; 0 for all"
    )
    options.add_argument("--offset", type=int, default=0, help="operation that the spread begins with")
    options.add_argument("--processes", type=int, default=1)
    options.add_argument("--work", type=Path, help="a folder to work in; the default is a scratch folder")
    options.add_argument("--json", type=Path, help="write what was tried and found here")
    chosen = options.parse_args(arguments)
    names = chosen.scenarios or list(SCENARIOS)
    if unknown := set(names) - SCENARIOS.keys():
        options.error(f"no scenario {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}")
    if chosen.processes > 1:
        tally = in_processes(names, chosen.faults, chosen.points, chosen.offset, chosen.processes)
    else:
        with tempfile.TemporaryDirectory(prefix="power-") as scratch:
            tally = run(
                names, chosen.faults, chosen.points, (chosen.work or Path(scratch)).resolve(), offset=chosen.offset
            )
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(tally.to_json(), indent=1), "utf-8")
    for finding in tally.findings:
        print(
            f"FOUND {finding['scenario']}: {finding['fault']} at {finding['at']} ({finding['operation']}): "
            f"{finding['what']}"
        )
    total, operations = sum(tally.tried.values()), sum(tally.operations.values())
    per_scenario = ", ".join(f"{name} {count}" for name, count in tally.operations.items())
    print(
        f"disk: {total} faults at {operations} operations ({per_scenario}), {len(tally.findings)} findings, "
        f"{tally.seconds / 60:.0f} min",
        flush=True,
    )
    return int(bool(tally.findings))


if __name__ == "__main__":
    sys.exit(main())
