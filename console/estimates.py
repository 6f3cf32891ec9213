"""How long a run will take: from the times that earlier runs took on this machine, else from measured ones.

Where neither is known for a stage, there is no estimate. The times are kept beside the cached stages: which backend
worked how long on how much sound, and nothing about the recordings.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from meetsplit.pipeline import files
from meetsplit.pipeline.cache.stage_cache import KEPT_STAGES
from meetsplit.pipeline.errors import OutputError
from meetsplit.pipeline.models import weights
from meetsplit.pipeline.models.selection import BackendSelection, SelectedBackend

MEASURED: Mapping[tuple[str, str], float] = MappingProxyType(
    {
        ("diarize", "embedded"): 0.107,
        ("separate", "adapted"): 0.187,
        ("transcribe", "sphinx"): 0.75,
        ("diarize", "rttm"): 0.0,
        ("diarize", "channels"): 0.0,
        ("separate", "none"): 0.0,
        ("transcribe", "script"): 0.0,
    }
)
"""Seconds of work per second of sound on two processor cores, by stage and backend: docs/benchmarks.md, speed, 60 min.

What is given takes next to no time.
"""

SHORTEST = 30.0
"""Seconds of sound from which on a run's times are kept: in shorter ones, loading models is most of the time."""

LEAST_TOLD = 10.0
"""Seconds of work from which on an estimate is told."""

_RUNS = 10
"""Earlier runs that count, for each stage and backend."""

_BACKENDS = {"clean": "cleaner", "diarize": "diarizer", "separate": "separator", "transcribe": "transcriber"}


@dataclass(frozen=True, slots=True)
class Estimate:
    """The seconds of work that are expected of each stage, and the basis of that in words."""

    seconds: Mapping[str, float]
    basis: str

    @property
    def total(self) -> float:
        """Seconds of all stages."""
        return sum(self.seconds.values())


class StageTimes:
    """What stages took on this machine, kept in a file in the cache folder.

    A file that cannot be read, or that is another machine's, counts as empty.
    """

    def __init__(self, cache: Path) -> None:
        self._path = cache / "stage_times.json"
        self._times = _read(self._path)

    def pace(self, key: str) -> float | None:
        """Seconds of work per second of sound in earlier runs; None where there are none."""
        times = self._times.get(key, [])
        sound = sum(pair[0] for pair in times)
        return sum(pair[1] for pair in times) / sound if sound else None

    def add(self, sound: float, seconds: Mapping[str, float]) -> None:
        """Keep the ``seconds`` that stages took on so many seconds of ``sound``, by `stage_key`."""
        if sound < SHORTEST or not seconds:
            return
        for key, spent in seconds.items():
            self._times[key] = [*self._times.get(key, []), [round(sound, 1), round(spent, 2)]][-_RUNS:]
        row = {"machine": platform.node(), "times": self._times}
        with suppress(OutputError):  # the next run has no estimate then, which is not worth a word
            files.write(self._path, json.dumps(row, indent=1), private=True)


def stage_key(stage: str, selected: SelectedBackend | None) -> str:
    """What the time of a stage depends on, besides the recording: backend, weights and device."""
    if selected is None:
        return f"{stage} none"
    described = " ".join(weights.describe(source) for source in selected.sources.values())
    return " ".join(part for part in (stage, selected.backend, described, selected.device) if part)


def estimate(
    plan: BackendSelection, stages: Collection[str], sound: float, times: StageTimes | None
) -> Estimate | None:
    """The time that these ``stages`` will take on so many seconds of ``sound``; None where there is no basis."""
    seconds: dict[str, float] = {}
    is_measured_elsewhere = False
    for stage in KEPT_STAGES:
        if stage not in stages:
            continue
        selected = plan.of(_BACKENDS[stage])
        pace = times.pace(stage_key(stage, selected)) if times is not None else None
        if pace is None:
            is_cpu = selected is None or selected.device == "cpu"
            backend = "none" if selected is None else selected.backend
            pace = MEASURED.get((stage, backend)) if is_cpu else None
            is_measured_elsewhere |= bool(pace)
        if pace is None:
            return None
        seconds[stage] = pace * sound
    basis = "as measured on two processor cores" if is_measured_elsewhere else "as earlier runs here took"
    return Estimate(seconds, basis)


def keys(plan: BackendSelection) -> Mapping[str, str]:
    """The `stage_key` of every stage."""
    return {stage: stage_key(stage, plan.of(_BACKENDS[stage])) for stage in KEPT_STAGES}


def _read(path: Path) -> dict[str, list[list[float]]]:
    try:
        row: Any = json.loads(path.read_text("utf-8"))
        times = {
            str(key): [[float(sound), float(spent)] for sound, spent in pairs] for key, pairs in row["times"].items()
        }
        return times if row["machine"] == platform.node() else {}
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return {}
