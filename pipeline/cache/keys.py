"""Cache keys: a hash of everything that a stage's result depends on, the results before it included."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType

from meetsplit.pipeline import files, versions
from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.models.selection import BackendSelection
from meetsplit.pipeline.settings import OVERLAP_CHECKS, WHISPER_OPTIONS, Settings

CACHE_VERSION = 20
"""Part of every key.

Raised with every change after which a stage answers otherwise, so that older results are not used.
"""


_LATER_OPTIONS: Mapping[str, Sequence[str]] = MappingProxyType(
    {"cleaner": ("start", "end"), "diarizer": ("start", "end"), "separator": (), "transcriber": WHISPER_OPTIONS}
)
"""Settings of later versions than 0.1.0 that change what a stage answers, by its first backend."""


@dataclass(frozen=True, slots=True)
class CacheKeys:
    """The key of each stage's result; the SHA-256 of the files of given turns and words, where there are any."""

    diarize: str
    separate: str
    transcribe: str
    rttm: str | None = None
    script: str | None = None
    clean: str | None = None

    def with_kept_speech(self, sha256: str | None) -> CacheKeys:
        """The keys where enrolled people's kept speech with that checksum takes voices apart; the same for None."""
        if sha256 is None:
            return self
        separate, transcribe = (_hash([key, sha256]) for key in (self.separate, self.transcribe))
        return replace(self, separate=separate, transcribe=transcribe)

    def with_one_person(self, labels: Sequence[str]) -> CacheKeys:
        """The keys where these labels of the diarization are one person, the first."""
        diarize, separate, transcribe = (
            _hash([key, "one person", *labels]) for key in (self.diarize, self.separate, self.transcribe)
        )
        return replace(self, diarize=diarize, separate=separate, transcribe=transcribe)


def cache_keys(sha256: str, settings: Settings, selection: BackendSelection) -> CacheKeys:
    """The keys of a recording with that `recording_sha256` under these settings and with these backends.

    Raises `SettingsError` where a file of given turns or words cannot be read.
    """
    checks = {check: settings.has_check(check) for check in OVERLAP_CHECKS} | {"resegment": settings.resegments}
    values = dict(settings.recorded()) | checks
    software = [CACHE_VERSION, versions.meetsplit(), versions.recorded()]

    def key(previous: str, stages: Sequence[str], options: Sequence[str], *inputs: str | None) -> str:
        backends = [
            asdict(backend.record()) | {"why": "", "files": backend.local_file_stamps()}
            for stage in stages
            if (backend := selection.of(stage)) is not None
        ]
        # Options that version 0.1.0 did not have count where they are set: without them, its keys are the same.
        later = {name: values[name] for name in _LATER_OPTIONS[stages[0]] if name in values}
        parts: list[object] = [previous, software, backends, [values[option] for option in options], list(inputs)]
        parts += [later] if later else []
        return _hash(parts)

    clean = None
    if settings.clean != "off":  # the options of the stretch count here already
        clean = key(sha256, ("cleaner",), ("channels", "clean"), None)
    rttm, script = _input_sha256(settings.rttm), _input_sha256(settings.script)
    diarize = key(
        clean or sha256,
        ("diarizer",),
        ("channels", "num_speakers", "min_speakers", "max_speakers", "resegment", "seed"),
        rttm,
    )
    separate = key(
        diarize, ("separator", "embedder"), ("adapt_budget", "separate", "match_threshold", "verify", "leakage", "seed")
    )
    transcribe = key(separate, ("transcriber", "aligner"), ("language", "task", "initial_prompt", "seed"), script)
    return CacheKeys(diarize, separate, transcribe, rttm, script, clean)


def _hash(parts: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _input_sha256(path: Path | None) -> str | None:
    """SHA-256 of a file of turns or words that the settings name; `SettingsError` where it cannot be read."""
    if path is None:
        return None
    try:
        return files.sha256(path)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror or error}") from error
