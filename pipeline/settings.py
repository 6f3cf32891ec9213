"""Settings and Outputs: the options of a run, frozen, complete, checked once. TOML and command line end here."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from meetsplit.pipeline.data.units import days_or_none, size_or_none
from meetsplit.pipeline.errors import SettingsError, nearest

Separate: TypeAlias = Literal["auto", "overlaps", "everywhere", "off"]
Channels: TypeAlias = Literal["mix", "split"]
Task: TypeAlias = Literal["transcribe", "translate"]
Scalar: TypeAlias = str | int | float | bool | None

OVERLAP_CHECKS = ("resegment", "verify", "leakage", "duplicates")
"""Checks around overlaps, in the order of a run: turns are resegmented, separated voices verified, leakage muted, and
words that were transcribed in two streams dropped from one; see `pipeline/overlap/`."""

_EARLIER_CHECKS = {"recast": "resegment", "doubles": "duplicates"}
"""Checks that had another name while the option was called ``gates``."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a recording becomes a transcript. Everything here may change the words; nothing in `Outputs` does.

    ``diarizer``, ``separator``, ``transcriber`` name a backend or ``auto``; ``*_model`` is a hub id, a folder or a
    file for that backend. ``rttm`` and ``script`` are files for the backends of these names. ``separate`` says where
    voices are taken apart; ``auto`` is in overlaps, where short voices are verified as well.
    ``match_threshold`` is the least margin (cosine) at which a separated voice is believed.
    ``adapt_budget`` are the seconds in which `adapted` may learn a recording's voices.
    ``channels`` says whether a file's channels are mixed down or hold one person each.
    ``trust_model_code`` opens model folders by running what their files ask for; without it they are only data.
    ``overlap_checks`` are names of `OVERLAP_CHECKS` with commas between them, ``all`` or ``none``; ``gates`` is the
    option's earlier name, and the earlier words of both are understood.
    ``cache_size`` and ``cache_age`` are how much of earlier runs is kept under ``cache_dir``: a size such as "5GB" and
    a number of days, 0 for nothing, "none" for no limit; they change no words.

    Raises `SettingsError` for values that make no sense, alone or together.
    """

    channels: Channels = "mix"
    diarizer: str = "auto"
    diarizer_model: str | None = None
    rttm: Path | None = None
    num_speakers: int | None = None
    min_speakers: int | None = None
    max_speakers: int | None = None
    separator: str = "auto"
    separator_model: str | None = None
    separator_model_3: str | None = None
    adapt_budget: float = 60.0
    separate: Separate = "overlaps"
    match_threshold: float = 0.05
    overlap_checks: str = "all"
    transcriber: str = "auto"
    model: str | None = None
    language: str | None = None
    task: Task = "transcribe"
    initial_prompt: str | None = None
    script: Path | None = None
    device: str = "auto"
    offline: bool = False
    hf_token: str | None = field(default=None, repr=False)
    cache_dir: Path | None = None
    cache_size: str | int = "5GB"
    cache_age: str | float = 90.0
    seed: int = 0
    trust_model_code: bool = False
    gates: InitVar[str | None] = None

    def __post_init__(self, gates: str | None) -> None:
        _as_paths(self, "rttm", "script", "cache_dir")
        _one_of("--separate", self.separate, get_args(Separate))
        _one_of("--task", self.task, get_args(Task))
        _one_of("--channels", self.channels, get_args(Channels))
        self._check_channels()
        if not 0.0 <= self.adapt_budget < float("inf"):
            raise SettingsError(f"--adapt-budget {self.adapt_budget:g}: seconds, 0 (learn nothing) or more")
        self._check_speakers()
        size_or_none(self.cache_size, "--cache-size")
        days_or_none(self.cache_age, "--cache-age")
        object.__setattr__(self, "overlap_checks", _checks(self.overlap_checks if gates is None else gates))
        if self.rttm is not None and self.diarizer == "auto":
            object.__setattr__(self, "diarizer", "rttm")
        if self.diarizer == "auto" and str(self.diarizer_model).endswith(".safetensors"):
            object.__setattr__(self, "diarizer", "embedded")
        if self.script is not None and self.transcriber == "auto":
            object.__setattr__(self, "transcriber", "script")
        if self.diarizer == "rttm" and self.rttm is None:
            raise SettingsError("--diarizer rttm needs the turns: add --rttm FILE")
        if self.rttm is not None and self.diarizer != "rttm":
            raise SettingsError(
                f"--rttm brings its own turns, --diarizer {self.diarizer} would find others: drop one of them"
            )
        if self.transcriber == "script" and self.script is None:
            raise SettingsError("--transcriber script needs the words: add --script FILE")
        if self.script is not None and self.transcriber != "script":
            raise SettingsError(
                f"--script brings its own words, --transcriber {self.transcriber} would hear others: drop one of them"
            )

    def _check_channels(self) -> None:
        if self.channels == "mix":
            return
        if self.diarizer != "auto" or self.rttm is not None:
            raise SettingsError(
                "one channel per person says already who speaks: drop --diarizer and --rttm, or --channels split"
            )
        if (self.num_speakers, self.min_speakers, self.max_speakers) != (None, None, None):
            raise SettingsError(
                "with one channel per person, the channels are the number of speakers: drop --num-speakers and its like"
            )

    def _check_speakers(self) -> None:
        for option, value in (
            ("--num-speakers", self.num_speakers),
            ("--min-speakers", self.min_speakers),
            ("--max-speakers", self.max_speakers),
        ):
            if value is not None and value < 1:
                raise SettingsError(f"{option} {value}: a recording with speech has at least 1 speaker")
        if self.min_speakers is not None and self.max_speakers is not None and self.min_speakers > self.max_speakers:
            raise SettingsError(
                f"--min-speakers {self.min_speakers} is more than --max-speakers {self.max_speakers}: swap them"
            )
        if self.num_speakers is not None and (self.min_speakers is not None or self.max_speakers is not None):
            raise SettingsError(
                "--num-speakers is exact: drop --min-speakers and --max-speakers, or drop it and keep them"
            )

    def has_check(self, check: str) -> bool:
        """Whether a check of `OVERLAP_CHECKS` is switched on."""
        return check in self.overlap_checks.split(",")

    @property
    def resegments(self) -> bool:
        """Whether turns are resegmented: where overlaps are separated, unless turns are from a file or from channels."""
        predicted = self.diarizer != "rttm" and self.channels == "mix"
        return self.has_check("resegment") and self.separate != "off" and predicted

    def recorded(self) -> tuple[tuple[str, Scalar], ...]:
        """The settings for `made_by`: never the token, nor folders of this machine, nor what changes no result."""
        skip = {"hf_token", "cache_dir", "cache_size", "cache_age", "trust_model_code"}
        values = ((f.name, getattr(self, f.name)) for f in dataclasses.fields(self) if f.name not in skip)
        return tuple((name, value.name if isinstance(value, Path) else value) for name, value in values)


@dataclass(frozen=True, slots=True)
class Outputs:
    """What is written, where and how it looks.

    ``formats`` are names of exporters; ``tracks`` asks for one sound file per speaker in ``track_format``,
    quieter ("soft") or silent ("hard") where ``track_gate`` finds that the speaker does not speak;
    ``max_line_width`` is in characters, ``max_line_count`` in lines per subtitle. ``names`` maps labels to people.
    ``overwrite`` lets results replace files that meetsplit did not write; see `results`.
    """

    folder: Path = Path()
    formats: tuple[str, ...] = ("srt", "vtt", "json", "txt", "tsv", "rttm", "stm", "seglst", "audacity", "csv")
    tracks: bool = True
    track_format: str = "wav"
    track_gate: str = "off"
    max_line_width: int = 42
    max_line_count: int = 2
    names: tuple[tuple[str, str], ...] = ()
    overwrite: bool = False

    def __post_init__(self) -> None:
        _as_paths(self, "folder")
        if self.max_line_width < 10:
            raise SettingsError(f"--max-line-width {self.max_line_width}: subtitles need at least 10 characters a line")
        if self.max_line_count < 1:
            raise SettingsError(f"--max-line-count {self.max_line_count}: subtitles need at least 1 line")
        _one_of("--track-format", self.track_format, ("wav", "flac", "mp3", "m4a"))
        _one_of("--track-gate", self.track_gate, ("soft", "hard", "off"))


def from_toml(path: Path) -> dict[str, Any]:
    """The options in a TOML file by the names of the command line, ``-`` or ``_``; tables group them freely.

    Raises `SettingsError` for a file that cannot be read or parsed and for unknown options.
    """
    try:
        options = current_options(dict(_flat(tomllib.loads(path.read_text("utf-8")))))
    except OSError as error:
        raise SettingsError(f"{path}: cannot read the settings: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, ValueError) as error:  # a file that is not UTF-8, a number of thousands of digits
        raise SettingsError(f"{path}: not valid TOML: {error}") from error
    except RecursionError as error:
        raise SettingsError(f"{path}: its tables and lists are nested too deeply") from error
    known = {f.name for kind in (Settings, Outputs) for f in dataclasses.fields(kind)} | {
        "output_dir",
        "output_format",
        "name",
    }
    for name in options:
        if name not in known:
            raise SettingsError(f"{path}: unknown option {name!r}; {nearest(name, known)}")
    return options


def _flat(table: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The options in a table and the tables in it; a table of people's names is one option."""
    flat: list[tuple[str, Any]] = []
    for name, value in table.items():
        is_group = isinstance(value, Mapping) and name not in ("name", "names")
        flat += _flat(value) if is_group else [(name.replace("-", "_"), value)]
    return flat


def current_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of this or an earlier version under today's names: ``gates``, text or list, is ``overlap_checks``.

    Raises `SettingsError` where both names are given.
    """
    renamed = dict(options)
    if "gates" in renamed and "overlap_checks" in renamed:
        raise SettingsError("--gates is the earlier name of --overlap-checks: give one of the two")
    if "gates" in renamed:
        renamed["overlap_checks"] = renamed.pop("gates")
    checks = renamed.get("overlap_checks")
    if isinstance(checks, list) and all(isinstance(check, str) for check in checks):
        renamed["overlap_checks"] = ",".join(checks)
    return renamed


def stored_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options, in order, under the names that stored jobs have in every version: ``overlap_checks`` is ``gates``.

    A job's identity is a checksum of these, and workers of several versions may share a queue.
    """
    earlier = {current: name for name, current in _EARLIER_CHECKS.items()}
    stored: dict[str, Any] = {}
    for name, value in options.items():
        if name == "overlap_checks":
            stored["gates"] = ",".join(earlier.get(check, check) for check in value.split(","))
        else:
            stored[name] = value
    return stored


def _checks(text: str) -> str:
    """The checks in the order of `OVERLAP_CHECKS`, so that equal settings have equal texts; "none" for no check."""
    written = [name.strip() for name in text.split(",") if name.strip()]
    names = [_EARLIER_CHECKS.get(name, name) for name in written]
    for name in names:
        _one_of("--overlap-checks", name, (*OVERLAP_CHECKS, "all", "none"))
    return ",".join(check for check in OVERLAP_CHECKS if check in names or "all" in names) or "none"


def _as_paths(settings: Settings | Outputs, *names: str) -> None:
    """Callers may write a path as text; no system knows a path, nor a model, with a NUL in its name."""
    for name in names:
        if isinstance(getattr(settings, name), str):
            object.__setattr__(settings, name, Path(getattr(settings, name)))
    for field_ in dataclasses.fields(settings):
        value = getattr(settings, field_.name)
        if isinstance(value, str | Path) and "\0" in str(value):
            raise SettingsError(f"--{field_.name.replace('_', '-')} {str(value)!r}: no name holds a NUL character")


def _one_of(option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise SettingsError(f"{option} {value}: {nearest(str(value), known)}")
