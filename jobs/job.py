"""What is to be done with one recording? An order: frozen, complete, and the same in every process and after every crash.

An order travels through the database as JSON. It holds no secrets and nothing of the machine that took it: the Hugging
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

from meetsplit.pipeline.cache.stage_cache import fingerprint
from meetsplit.pipeline.errors import JobError, MeetsplitError
from meetsplit.pipeline.results.ownership import Wish, owner_of, wish
from meetsplit.pipeline.settings import Outputs, Settings, current_options, stored_options

OWN = ("hf_token", "cache_dir", "cache_size", "cache_age")
"""Settings that are the worker's own and never stored."""

_PATHS = frozenset({"rttm", "script", "cache_dir", "folder", "move_to", "recording", "root"})
_MODELS = ("model", "diarizer_model", "separator_model", "separator_model_3")
_NEITHER = ("device", "offline", "trust_model_code")
"""Settings that change how a recording is worked on, not what comes out."""


@dataclass(frozen=True, slots=True)
class Afterwards:
    """What follows a job's end: a ``command`` (arguments) with ``patience`` seconds, a ``webhook``, a folder to ``move_to``.

    ``environment`` names the variables with secrets that the command inherits; their values are never stored.

    A job that fails is tried again ``retries`` times, first after ``delay`` seconds, then four times as long each time.
    """

    command: tuple[str, ...] = ()
    patience: float = 60.0
    webhook: str | None = None
    move_to: Path | None = None
    retries: int = 0
    delay: float = 60.0
    environment: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """One recording: its path and the SHA-256 of its ``content``, how to work on it, and what to write under which ``stem``.

    ``root`` is the folder all results of the request go to; ``outputs.folder`` is it or a folder below it. The lowest
    ``priority`` goes first.
    """

    recording: Path
    content: str
    settings: Settings
    outputs: Outputs
    root: Path
    stem: str
    priority: int = 10
    afterwards: Afterwards = field(default_factory=Afterwards)

    @property
    def key(self) -> str:
        """What makes two orders the same: the recording's content, the settings, the results and where they go.

        Neither the recording's name nor its place: a copy is the same recording.
        """
        stored = stored_options(_plain(self.settings))
        settings = {name: value for name, value in stored.items() if name not in (*OWN, *_NEITHER)}
        for name in ("rttm", "script"):
            given = getattr(self.settings, name)
            settings[name] = fingerprint(given) if given is not None else None
        outputs = {name: value for name, value in _plain(self.outputs).items() if name not in ("folder", "overwrite")}
        return hashlib.sha256(json.dumps([self.content, settings, outputs, str(self.root)]).encode()).hexdigest()[:16]

    @property
    def inputs(self) -> tuple[Path, ...]:
        """The files that are read for it, which no result may replace."""
        return tuple(path for path in (self.recording, self.settings.rttm, self.settings.script) if path is not None)

    def wish(self) -> Wish:
        """The result set to be written."""
        plain = wish(self.recording, self.outputs, owner_of(self.recording, self.content))
        return dataclasses.replace(plain, first=self.stem or plain.base, inputs=self.inputs)

    def to_json(self) -> dict[str, Any]:
        """The order for the database and for the job's folder."""
        return {
            "recording": str(self.recording),
            "content": self.content,
            "settings": stored_options({n: value for n, value in _plain(self.settings).items() if n not in OWN}),
            "outputs": _plain(self.outputs),
            "root": str(self.root),
            "stem": self.stem,
            "priority": self.priority,
            "afterwards": _plain(self.afterwards),
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Order:
        """The order that `to_json` gave, by this or an earlier version. Raises `JobError` for what cannot be understood."""
        try:
            return cls(
                Path(row["recording"]),
                row["content"],
                _built(Settings, current_options(row["settings"])),
                _built(Outputs, row["outputs"]),
                Path(row["root"]),
                row["stem"],
                row["priority"],
                _built(Afterwards, row["afterwards"]),
            )
        except MeetsplitError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise JobError(
                f"a job of another version of meetsplit cannot be understood ({error!r}): queue its recording again"
            ) from error


def anchored(settings: Settings) -> Settings:
    """The same settings with absolute paths, since a worker runs in another folder."""
    changed: dict[str, Any] = {}
    for name in ("rttm", "script"):
        given = getattr(settings, name)
        changed[name] = given.absolute() if given is not None else None
    for name in _MODELS:
        given = getattr(settings, name)
        changed[name] = str(Path(given).absolute()) if given is not None and Path(given).exists() else given
    return dataclasses.replace(settings, **changed)


def _plain(value: Any) -> dict[str, Any]:
    return {f.name: _simple(getattr(value, f.name)) for f in dataclasses.fields(value)}


def _simple(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return [_simple(item) for item in value]
    return value


def _built(kind: type[Any], row: Mapping[str, Any]) -> Any:
    """A value from its plain fields; fields that this version does not know any more are left out."""
    known = {f.name for f in dataclasses.fields(kind)}
    return kind(**{name: _typed(name, value) for name, value in row.items() if name in known})


def _typed(name: str, value: Any) -> Any:
    if name in _PATHS and value is not None:
        return Path(value)
    if isinstance(value, list):
        return tuple(tuple(item) if isinstance(item, list) else item for item in value)
    return value
