"""What may blow up, and how is it held? The two metrics whose cost nobody can bound run in a process of their own.

tcORC-WER is exponential in the number of heard speakers who talk at the same time; greedy DI-cpWER keeps a matrix per
utterance. The process (``python -m meetsplit.scoring.bounded``) reads one JSON job and writes one line per answer, so
that what is ready before the time is up is kept.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from meetsplit.pipeline.errors import ScoreError
from meetsplit.scoring.normalize import Spoken

MOST_STREAMS = 10
"""Streams to choose from above which meeteval does not begin: the cost grows with the power of their number."""

METRICS = ("dicpwer", "tcorcwer")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one recording may cost: ``seconds`` of time and ``gibibytes`` of memory (where the system can hold it)."""

    seconds: float = 50.0
    gibibytes: float = 4.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One metric's result as meeteval gives it: ``assignment`` has a stream for every utterance that is assigned.

    Without ``assignment`` there is no result, and ``reason`` says why.
    """

    errors: int = 0
    length: int = 0
    assignment: tuple[str, ...] | None = None
    reason: str = ""


def answers(
    reference: Sequence[Spoken], hypothesis: Sequence[Spoken], *, timed: bool, collar: float, limits: Limits
) -> Mapping[str, Answer]:
    """Greedy DI-cpWER and tcORC-WER of one recording. ``timed``: the heard words have times of their own."""
    streams = {"dicpwer": (reference, "reference"), "tcorcwer": (hypothesis, "hypothesis")}
    refused: dict[str, Answer] = {}
    for metric, (side, name) in streams.items():
        count = len({utterance.speaker for utterance in side})
        if count > MOST_STREAMS:
            refused[metric] = Answer(
                reason=f"{count} speakers in the {name}: its cost grows with the power of their number; at most {MOST_STREAMS}"
            )
    wanted = [metric for metric in METRICS if metric not in refused]
    if not wanted:
        return refused
    words = [_row(u) for u in hypothesis] if not timed else [_row(u, n) for u in hypothesis for n in range(len(u.tokens))]
    job = {
        "wanted": wanted,
        "reference": [_row(u) for u in reference],
        "hypothesis": [_row(u) for u in hypothesis],
        "words": words,
        "collar": str(collar),
        "gibibytes": limits.gibibytes,
    }
    return {**refused, **_asked(job, wanted, limits)}


def _row(utterance: Spoken, word: int | None = None) -> dict[str, str]:
    tokens = utterance.tokens if word is None else utterance.tokens[word : word + 1]
    start, end = (utterance.start, utterance.end) if word is None else (tokens[0].start, tokens[0].end)
    text = " ".join(token.text for token in tokens)
    return {"session_id": "one", "speaker": utterance.speaker, "start_time": str(start), "end_time": str(end), "words": text}


def _asked(job: Mapping[str, Any], wanted: Sequence[str], limits: Limits) -> dict[str, Answer]:
    command = [sys.executable, "-m", "meetsplit.scoring.bounded"]
    why = f"it needs more than {limits.gibibytes:g} GiB"
    try:
        done = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, timeout=limits.seconds, check=False)
        said, complaint = done.stdout, done.stderr
    except subprocess.TimeoutExpired as late:
        said, complaint = (late.stdout.decode() if isinstance(late.stdout, bytes) else late.stdout or ""), "MemoryError"
        why = f"it takes longer than {limits.seconds:g} s"
    found: dict[str, Answer] = {}
    for line in said.splitlines():
        answer = json.loads(line)
        found[answer["metric"]] = Answer(answer["errors"], answer["length"], tuple(answer["assignment"]))
    open_questions = [metric for metric in wanted if metric not in found]
    # std::bad_alloc reaches Python as MemoryError; a process that the system kills says nothing at all.
    if open_questions and complaint.strip() and "MemoryError" not in complaint and "bad_alloc" not in complaint:
        raise ScoreError(f"meeteval could not compute {open_questions[0]}: {complaint.strip().splitlines()[-1]}")
    return {**found, **{metric: Answer(reason=why) for metric in open_questions}}


def _limited(gibibytes: float) -> None:
    try:
        import resource
    except ModuleNotFoundError:  # Windows has no such limit: there only the time is held
        return
    size = int(gibibytes * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (size, size))


def _computed(metric: str, job: Mapping[str, Any]) -> dict[str, Any]:
    from decimal import Decimal

    from meeteval.io import SegLST
    from meeteval.wer.wer.di_cp import greedy_di_cp_word_error_rate
    from meeteval.wer.wer.time_constrained_orc import time_constrained_orc_wer

    def table(name: str) -> Any:
        times = ("start_time", "end_time")
        return SegLST([{key: Decimal(value) if key in times else value for key, value in row.items()} for row in job[name]])

    if metric == "dicpwer":
        rate = greedy_di_cp_word_error_rate(table("reference"), table("hypothesis"))
    else:
        rate = time_constrained_orc_wer(table("reference"), table("words"), collar=Decimal(job["collar"]))
    return {
        "metric": metric,
        "errors": int(rate.errors),
        "length": int(rate.length),
        "assignment": [str(label) for label in rate.assignment],
    }


def main() -> None:
    """Answer the job on standard input, one line of JSON per metric."""
    job = json.load(sys.stdin)
    _limited(job["gibibytes"])
    for metric in job["wanted"]:
        sys.stdout.write(json.dumps(_computed(metric, job)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
