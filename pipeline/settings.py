"""Settings and Outputs: the options of a run, frozen, complete, checked once. TOML and command line end here."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from meetsplit.pipeline.errors import SettingsError, nearest

Separate: TypeAlias = Literal["auto", "overlaps", "everywhere", "off"]
ChannelMode: TypeAlias = Literal["mix", "split"]
Task: TypeAlias = Literal["transcribe", "translate"]
TrackChannels: TypeAlias = Literal["source", "mono"]
Scalar: TypeAlias = str | int | float | bool | None

LEAST_TRACK_RATE, MOST_TRACK_RATE = 8000, 192000
"""Hz that tracks can be asked to have; those of the recording's own rate can have any."""

OVERLAP_CHECKS = ("resegment", "verify", "leakage", "duplicates")
"""Checks around overlaps, in the order of a run: turns are resegmented, separated voices verified, leakage muted, and
words that were transcribed in two streams dropped from one; see `pipeline/overlap/`."""

_EARLIER_CHECKS = {"recast": "resegment", "doubles": "duplicates"}
"""Checks that had another name while the option was called ``gates``."""


PANELS = (WHO, OVERLAPS, WORDS, FILES, MACHINE) = (
    "Who spoke when",
    "Where voices overlap",
    "What was said",
    "What is written",
    "This machine",
)
"""Groups of options in `--help`, in order."""


@dataclass(frozen=True, slots=True)
class Option:
    """The command-line option of a setting; metadata of its field.

    ``name`` is None and ``flags`` empty where the field's own name is the option: ``track_gate`` and ``--track-gate``.
    ``variable`` is the environment variable that gives the option, too.
    """

    panel: str
    help: str
    name: str | None = None
    flags: tuple[str, ...] = ()
    variable: str | None = None


def _option(panel: str, text: str, **more: Any) -> Mapping[str, Option]:
    """A field's metadata with its option; see `Option`."""
    return {"option": Option(panel, text, **more)}


@dataclass(frozen=True, slots=True)
class Settings:
    """How a recording becomes a transcript. Everything here may change the words; nothing in `Outputs` does.

    Each field's option says what it is. ``diarizer``, ``separator``, ``transcriber`` name a backend or ``auto``. With
    ``separate`` at ``auto``, short voices in overlaps are verified as well. ``overlap_checks`` are names of
    `OVERLAP_CHECKS`; ``gates`` is the option's earlier name, and the earlier words of both are understood.
    ``cache_size`` is a size such as "5GB"; it and ``cache_age`` change no words.

    Raises `SettingsError` for values that make no sense, alone or together.
    """

    channels: ChannelMode = field(
        default="mix", metadata=_option(WHO, "mix (default), or split: each channel is one person.")
    )
    diarizer: str = field(default="auto", metadata=_option(WHO, "auto, pyannote, embedded or rttm."))
    diarizer_model: str | None = field(
        default=None,
        metadata=_option(
            WHO,
            "Hub id or folder of a pyannote pipeline, or a segmentation's file for embedded.",
            flags=("--diarizer-model", "--diarize-model"),
        ),
    )
    rttm: Path | None = field(default=None, metadata=_option(WHO, "Your own turns; implies --diarizer rttm."))
    num_speakers: int | None = field(default=None, metadata=_option(WHO, "Exactly this many people."))
    min_speakers: int | None = field(default=None, metadata=_option(WHO, "At least this many."))
    max_speakers: int | None = field(default=None, metadata=_option(WHO, "At most this many."))
    separator: str = field(default="auto", metadata=_option(OVERLAPS, "auto, sepformer, adapted, dictionary or none."))
    separator_model: str | None = field(
        default=None, metadata=_option(OVERLAPS, "Hub id or folder of a SpeechBrain SepFormer.")
    )
    separator_model_3: str | None = field(
        default=None, metadata=_option(OVERLAPS, "The same for three voices at once.")
    )
    adapt_budget: float = field(
        default=60.0,
        metadata=_option(OVERLAPS, "Seconds in which adapted may learn a recording's voices. (default: 60)"),
    )
    separate: Separate = field(
        default="overlaps", metadata=_option(OVERLAPS, "overlaps (default), auto, everywhere or off.")
    )
    match_threshold: float = field(
        default=0.05, metadata=_option(OVERLAPS, "Least margin (cosine) at which a separated voice is believed.")
    )
    overlap_checks: str = field(
        default="all",
        metadata=_option(OVERLAPS, "resegment, verify, leakage, duplicates with commas; all (default) or none."),
    )
    transcriber: str = field(default="auto", metadata=_option(WORDS, "auto, whisper, sphinx or script."))
    model: str | None = field(
        default=None, metadata=_option(WORDS, "Whisper model: tiny … large-v3, turbo, or a .pt file.")
    )
    language: str | None = field(
        default=None, metadata=_option(WORDS, "Language spoken, en or english; found per person if left out.")
    )
    task: Task = field(default="transcribe", metadata=_option(WORDS, "transcribe (default) or translate into English."))
    initial_prompt: str | None = field(default=None, metadata=_option(WORDS, "Names and terms to expect."))
    script: Path | None = field(
        default=None, metadata=_option(WORDS, "Your own words (STM, CTM, SegLST); implies --transcriber script.")
    )
    device: str = field(default="auto", metadata=_option(MACHINE, "auto, cpu, cuda or mps."))
    offline: bool = field(
        default=False,
        metadata=_option(MACHINE, "Never touch the network.", flags=("--offline/--online",), variable="HF_HUB_OFFLINE"),
    )
    hf_token: str | None = field(
        default=None,
        repr=False,
        metadata=_option(MACHINE, "Hugging Face token, for gated models.", variable="HF_TOKEN"),
    )
    cache_dir: Path | None = field(
        default=None,
        metadata=_option(
            MACHINE,
            "Where fetched weights and finished stages are kept. (default: ~/.cache/meetsplit)",
            variable="MEETSPLIT_CACHE",
        ),
    )
    cache_size: str | int = field(
        default="5GB",
        metadata=_option(
            MACHINE, "Most that finished stages may take; 0: nothing is kept, none: no limit. (default: 5GB)"
        ),
    )
    cache_age: str | float = field(
        default=90.0,
        metadata=_option(
            MACHINE, "Days without use after which finished stages are removed; none: never. (default: 90)"
        ),
    )
    trust_model_code: bool = field(
        default=False,
        metadata=_option(
            MACHINE,
            "Run the code that a model folder's files ask for, as you and with all your rights; "
            "without it folders are only data.",
            flags=("--trust-model-code",),
        ),
    )
    seed: int = field(default=0, metadata=_option(MACHINE, "For everything that draws at random."))
    gates: InitVar[str | None] = None

    def __post_init__(self, gates: str | None) -> None:
        _as_paths(self, "rttm", "script", "cache_dir")
        _check_choice("--separate", self.separate, get_args(Separate))
        _check_choice("--task", self.task, get_args(Task))
        _check_choice("--channels", self.channels, get_args(ChannelMode))
        self._check_channels()
        if not 0.0 <= self.adapt_budget < float("inf"):
            raise SettingsError(f"--adapt-budget {self.adapt_budget:g}: seconds, 0 (learn nothing) or more")
        self._check_speakers()
        self._check_cache_limits()
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

    def _check_cache_limits(self) -> None:
        # Imported here because the package of values loads NumPy, and the command line reads this module for --help.
        from meetsplit.pipeline.data.units import days_or_none, size_or_none

        size_or_none(self.cache_size, "--cache-size")
        days_or_none(self.cache_age, "--cache-age")

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
        """Whether turns are resegmented: where overlaps are separated, unless turns come from a file or channels."""
        predicted = self.diarizer != "rttm" and self.channels == "mix"
        return self.has_check("resegment") and self.separate != "off" and predicted

    def recorded(self) -> tuple[tuple[str, Scalar], ...]:
        """The settings for `made_by`: never the token, nor folders of this machine, nor what changes no result."""
        skip = {"hf_token", "cache_dir", "cache_size", "cache_age", "trust_model_code"}
        values = ((f.name, getattr(self, f.name)) for f in dataclasses.fields(self) if f.name not in skip)
        return tuple((name, value.name if isinstance(value, Path) else value) for name, value in values)


@dataclass(frozen=True, slots=True)
class Outputs:
    """What is written, where and how it looks. Each field's option says what it is.

    ``formats`` are names of `pipeline.formats`; ``names`` maps labels to people. ``track_rate`` is a sample rate in
    Hz or "source". ``track_gate`` makes a track quieter ("soft") or silent ("hard") where its speaker does not speak.
    ``overwrite``: see `results`.
    """

    folder: Path = field(
        default=Path(),
        metadata=_option(
            FILES, "Folder for the results. (default: here)", name="output_dir", flags=("--output-dir", "-o")
        ),
    )
    formats: tuple[str, ...] = field(
        default=("srt", "vtt", "json", "txt", "tsv", "rttm", "stm", "seglst", "audacity", "csv"),
        metadata=_option(
            FILES,
            "Formats, separated by commas, or all (default).",
            name="output_format",
            flags=("--output-format", "-f"),
        ),
    )
    tracks: bool = field(
        default=True,
        metadata=_option(FILES, "One sound file per person. (default: yes)", flags=("--tracks/--no-tracks",)),
    )
    track_format: str = field(default="wav", metadata=_option(FILES, "wav (default), flac, mp3 or m4a."))
    track_rate: str | int = field(
        default="source",
        metadata=_option(FILES, "Sample rate of tracks in Hz, such as 16000; source (default): the recording's own."),
    )
    track_channels: TrackChannels = field(
        default="source",
        metadata=_option(FILES, "Channels of tracks: source (default), as many as the recording has, or mono."),
    )
    track_gate: str = field(
        default="off",
        metadata=_option(FILES, "Tracks where their person is silent: off (default), soft (-20 dB) or hard."),
    )
    max_line_width: int = field(default=42, metadata=_option(FILES, "Characters per subtitle line. (default: 42)"))
    max_line_count: int = field(default=2, metadata=_option(FILES, "Lines per subtitle. (default: 2)"))
    names: tuple[tuple[str, str], ...] = field(
        default=(), metadata=_option(FILES, "SPEAKER_00=Alice; may be repeated.", name="name")
    )
    overwrite: bool = field(
        default=False,
        metadata=_option(
            FILES,
            "Replace files that are no results of meetsplit. (default: no)",
            flags=("--overwrite/--no-overwrite",),
        ),
    )

    def __post_init__(self) -> None:
        _as_paths(self, "folder")
        if self.max_line_width < 10:
            raise SettingsError(f"--max-line-width {self.max_line_width}: subtitles need at least 10 characters a line")
        if self.max_line_count < 1:
            raise SettingsError(f"--max-line-count {self.max_line_count}: subtitles need at least 1 line")
        _check_choice("--track-format", self.track_format, ("wav", "flac", "mp3", "m4a"))
        _check_choice("--track-gate", self.track_gate, ("soft", "hard", "off"))
        _check_choice("--track-channels", self.track_channels, get_args(TrackChannels))
        object.__setattr__(self, "track_rate", _track_rate(self.track_rate))


# fmt: off
_FIRST_FIELDS = frozenset({
    "channels", "diarizer", "diarizer_model", "rttm", "num_speakers", "min_speakers", "max_speakers", "separator",
    "separator_model", "separator_model_3", "adapt_budget", "separate", "match_threshold", "overlap_checks",
    "transcriber", "model", "language", "task", "initial_prompt", "script", "device", "offline", "hf_token",
    "cache_dir", "cache_size", "cache_age", "trust_model_code", "seed", "folder", "formats", "tracks", "track_format",
    "track_gate", "max_line_width", "max_line_count", "names", "overwrite",
})
# fmt: on
"""The fields of `Settings` and `Outputs` in version 0.1.0."""


def stored_fields(values: Settings | Outputs) -> tuple[tuple[str, Any], ...]:
    """The fields that transcripts, keys of kept stages and jobs record: those of 0.1.0, and later ones that are set.

    Keys and job ids are checksums of these: a new field that has its default changes none of them.
    """
    return tuple(
        (field_.name, value)
        for field_ in dataclasses.fields(values)
        if (value := getattr(values, field_.name)) != field_.default or field_.name in _FIRST_FIELDS
    )


def fields_with_options() -> tuple[tuple[dataclasses.Field[Any], Option], ...]:
    """The fields of `Settings` and `Outputs` with their options, by panel, in order within each."""
    fields = (*dataclasses.fields(Settings), *dataclasses.fields(Outputs))
    pairs = [(field_, field_.metadata["option"]) for field_ in fields]
    return tuple(sorted(pairs, key=lambda pair: PANELS.index(pair[1].panel)))


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
    names = {name for field_, option in fields_with_options() for name in (field_.name, option.name) if name}
    for name in options:
        if name not in names:
            raise SettingsError(f"{path}: unknown option {name!r}; {nearest(name, names)}")
    return options


def _flat(table: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The options in a table and the tables in it; a table of speakers' names is one option."""
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
        _check_choice("--overlap-checks", name, (*OVERLAP_CHECKS, "all", "none"))
    return ",".join(check for check in OVERLAP_CHECKS if check in names or "all" in names) or "none"


def _as_paths(settings: Settings | Outputs, *names: str) -> None:
    """Turn paths given as text into paths; refuse names with a NUL character, which no system has."""
    for name in names:
        if isinstance(getattr(settings, name), str):
            object.__setattr__(settings, name, Path(getattr(settings, name)))
    for field_ in dataclasses.fields(settings):
        value = getattr(settings, field_.name)
        if isinstance(value, str | Path) and "\0" in str(value):
            raise SettingsError(f"--{field_.name.replace('_', '-')} {str(value)!r}: no name holds a NUL character")


def _track_rate(value: str | int) -> str | int:
    """The sample rate in Hz, or "source". Raises `SettingsError` for anything else."""
    if value == "source":
        return value
    text = str(value)
    if not (text.isascii() and text.isdigit() and LEAST_TRACK_RATE <= int(text) <= MOST_TRACK_RATE):
        raise SettingsError(
            f"--track-rate {value}: source, or a number of Hz from {LEAST_TRACK_RATE} to {MOST_TRACK_RATE}"
        )
    return int(text)


def _check_choice(option: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise SettingsError(f"{option} {value}: {nearest(str(value), choices)}")
