"""The specification of a job: one recording, its settings, its outputs and what follows its end.

It travels through the database as JSON. It holds no secrets and nothing of the machine that queued it: the Hugging
Face token, the webhook's secret and the cache folder are the worker's own.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from meetsplit.pipeline.cache.content import recording_sha256
from meetsplit.pipeline.errors import JobError, MeetsplitError
from meetsplit.pipeline.results.ownership import ResultRequest, result_request
from meetsplit.pipeline.settings import (
    DEFAULT_FORMATS,
    FIRST_FORMATS,
    WITHOUT_EFFECT,
    Outputs,
    Settings,
    current_options,
    stored_fields,
    stored_options,
)

WORKER_ONLY = ("hf_token", "cache_dir", "cache_size", "cache_age", "model_dir", *WITHOUT_EFFECT)
"""Settings that are the worker's own and never stored."""

_PATH_FIELDS = frozenset({"rttm", "script", "cache_dir", "folder", "move_to", "recording", "root"})
_MODEL_FIELDS = ("model", "diarizer_model", "separator_model", "separator_model_3", "align_model", "cleaner_model")
_NOT_IN_KEY = ("device", "offline", "trust_model_code")
"""Settings that change how a recording is worked on, not what comes out."""


@dataclass(frozen=True, slots=True)
class CompletionActions:
    """What follows a job's end: a ``command`` (arguments) with a timeout of ``patience`` seconds, a ``webhook``, a
    folder to ``move_to``.

    ``environment`` names the variables with secrets that the command inherits; their values are never stored.

    A job that fails is tried again ``retries`` times, first after ``delay`` seconds, then four times as long each time.

    The fields' names are the keys of ``afterwards`` in stored jobs.
    """

    command: tuple[str, ...] = ()
    patience: float = 60.0
    webhook: str | None = None
    move_to: Path | None = None
    retries: int = 0
    delay: float = 60.0
    environment: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The actions for the database."""
        return _plain(self)

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> CompletionActions:
        """The actions that `to_json` gave, by this or an earlier version."""
        actions: CompletionActions = _from_plain(cls, row)
        return actions


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One recording: its path and the SHA-256 of its ``content``, how to work on it, and what to write under which
    ``stem``.

    ``root`` is the folder that all results of the request go to; ``outputs.folder`` is it or a folder below it. The
    lowest ``priority`` goes first.
    """

    recording: Path
    content: str
    settings: Settings
    outputs: Outputs
    root: Path
    stem: str
    priority: int = 10
    on_completion: CompletionActions = field(default_factory=CompletionActions)

    @property
    def key(self) -> str:
        """The deduplication key: a hash of the recording's content, the settings, the outputs and the results folder.

        The recording's name and place are not part of it: a copy is the same recording. Stored as the first part of
        every job's id, so the hash of given values never changes.
        """
        stored = stored_options(_plain(self.settings))
        settings = {name: value for name, value in stored.items() if name not in (*WORKER_ONLY, *_NOT_IN_KEY)}
        for name in ("rttm", "script"):
            path = getattr(self.settings, name)
            settings[name] = recording_sha256(path) if path is not None else None
        outputs = {name: value for name, value in _plain(self.outputs).items() if name not in ("folder", "overwrite")}
        if self.outputs.formats == DEFAULT_FORMATS:  # a recording that 0.1.0 has done with its default is done
            outputs["formats"] = list(FIRST_FORMATS)
        return hashlib.sha256(json.dumps([self.content, settings, outputs, str(self.root)]).encode()).hexdigest()[:16]

    @property
    def inputs(self) -> tuple[Path, ...]:
        """The files that the job reads, which no result may replace."""
        return tuple(path for path in (self.recording, self.settings.rttm, self.settings.script) if path is not None)

    def result_request(self) -> ResultRequest:
        """The result set that the job writes."""
        request = result_request(self.recording, self.outputs, sha256=self.content)
        return dataclasses.replace(request, preferred=self.stem or request.base, inputs=self.inputs)

    def to_json(self) -> dict[str, Any]:
        """The specification for the database and for the job's folder."""
        return {
            "recording": str(self.recording),
            "content": self.content,
            "settings": stored_options(
                {n: value for n, value in _plain(self.settings).items() if n not in WORKER_ONLY}
            ),
            "outputs": _plain(self.outputs),
            "root": str(self.root),
            "stem": self.stem,
            "priority": self.priority,
            "afterwards": self.on_completion.to_json(),
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> JobSpec:
        """The specification that `to_json` gave, by this or an earlier version.

        Raises `JobError` for what cannot be understood.
        """
        try:
            return cls(
                Path(row["recording"]),
                row["content"],
                _from_plain(Settings, current_options(row["settings"])),
                _from_plain(Outputs, row["outputs"]),
                Path(row["root"]),
                row["stem"],
                row["priority"],
                CompletionActions.from_json(row["afterwards"]),
            )
        except MeetsplitError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise JobError(
                f"a job of another version of meetsplit cannot be understood ({error!r}): queue its recording again"
            ) from error


def with_absolute_paths(settings: Settings) -> Settings:
    """The same settings with absolute paths, since a worker runs in another folder."""
    changed: dict[str, Any] = {}
    for name in ("rttm", "script"):
        path = getattr(settings, name)
        changed[name] = path.absolute() if path is not None else None
    for name in _MODEL_FIELDS:
        model = getattr(settings, name)
        if model is not None and Path(model).exists():
            changed[name] = str(Path(model).absolute())
    return dataclasses.replace(settings, **changed)


def _plain(value: Any) -> dict[str, Any]:
    """A dataclass's fields as values that JSON knows; of `Settings` and `Outputs`, the `stored_fields`."""
    if isinstance(value, Settings | Outputs):
        return {name: _json_value(field_value) for name, field_value in stored_fields(value)}
    return {f.name: _json_value(getattr(value, f.name)) for f in dataclasses.fields(value)}


def _json_value(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return [_json_value(item) for item in value]
    return value


def _from_plain(kind: type[Any], row: Mapping[str, Any]) -> Any:
    """A dataclass from its plain fields; fields that this version does not know any more are left out."""
    field_names = {f.name for f in dataclasses.fields(kind)}
    return kind(**{name: _field_value(name, value) for name, value in row.items() if name in field_names})


def _field_value(name: str, value: Any) -> Any:
    if name in _PATH_FIELDS and value is not None:
        return Path(value)
    if isinstance(value, list):
        return tuple(tuple(item) if isinstance(item, list) else item for item in value)
    return value
