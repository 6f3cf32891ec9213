"""Settings and Outputs: the options of a run, frozen, complete, checked once. TOML and command line end here."""

from __future__ import annotations

import dataclasses
import functools
import math
import numbers
import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import InitVar, dataclass, field
from os import PathLike, fspath
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Literal, TypeAlias, get_args, get_type_hints

from meetsplit.pipeline.errors import SettingsError, nearest

Separate: TypeAlias = Literal["auto", "overlaps", "strict", "everywhere", "off"]
"""Where voices are separated; ``auto`` is the earlier name of ``strict``, under which it is stored."""

ChannelMode: TypeAlias = Literal["mix", "split"]
Clean: TypeAlias = Literal["off", "music", "noise", "all"]
"""What is taken out of a recording before anything else hears it."""

TrackSound: TypeAlias = Literal["original", "cleaned"]
Task: TypeAlias = Literal["transcribe", "translate"]
SpeakerNames: TypeAlias = Literal["change", "every", "never"]
TrackChannels: TypeAlias = Literal["source", "mono"]
HtmlAudio: TypeAlias = Literal["embed", "link", "none"]
Scalar: TypeAlias = str | int | float | bool | None

LEAST_TRACK_RATE, MOST_TRACK_RATE = 8000, 192000
"""Hz that tracks can be asked to have; those of the recording's own rate can have any."""

OVERLAP_CHECKS = ("resegment", "verify", "leakage", "duplicates")
"""Checks around overlaps, in the order of a run: turns are resegmented, separated voices verified, leakage muted, and
words that were transcribed in two streams dropped from one; see `pipeline/overlap/`."""

FIRST_FORMATS = ("srt", "vtt", "json", "txt", "tsv", "rttm", "stm", "seglst", "audacity", "csv")
"""The formats of version 0.1.0, which "all" was."""

DEFAULT_FORMATS = (*FIRST_FORMATS, "html")
"""The formats that are written where none is asked for; "all" names them."""

PER_SPEAKER_FORMATS = ("srt-per-speaker",)
"""Formats with a file per speaker, in the folder of the tracks; they are no part of "all"."""

PAPER_FORMATS = ("md", "docx", "svg")
"""Formats for documents, which are no part of "all" either."""

SOUND_FORMATS = ("embeddings.npz",)
"""Formats made of the sound and not of the transcript: only a run writes them, and they are no part of "all"."""

LONGEST_PAUSE = 5.0
"""Seconds that a subtitle, or the gap before it, can be required to last."""

MOST_CPS = 1000.0
"""Characters per second that subtitles can be allowed: as good as no limit."""

LEAST_TXT_WIDTH = 20
"""Characters that a line of plain text holds at least."""

_EARLIER_CHECKS = {"recast": "resegment", "doubles": "duplicates"}
"""Checks that had another name while the option was called ``gates``."""


BACKEND_NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "cleaner": ("embedded", "demucs", "openunmix"),
        "diarizer": ("pyannote", "embedded", "rttm"),
        "separator": ("sepformer", "convtasnet", "dprnn", "adapted", "dictionary", "none"),
        "transcriber": ("whisper", "faster-whisper", "sphinx", "script"),
    }
)
"""The names of backends that settings may choose, by setting; `models.registry` knows their classes."""

DEVICES = ("cpu", "cuda", "mps")
"""Kinds of devices that ``--device`` takes; a number may follow, as in ``cuda:1``."""


PANELS = (RECORDING, WHO, OVERLAPS, WORDS, WHISPER, FILES, MACHINE) = (
    "The recording",
    "Who spoke when",
    "Where voices overlap",
    "What was said",
    "How Whisper decodes",
    "What is written",
    "This machine",
)
"""Groups of options in `--help`, in order."""

WITHOUT_EFFECT = ("threads", "batch_size")
"""Settings that change how fast words come and how much memory they take, never the words."""

COMPUTE_TYPES = ("default", "int8", "int8_float16", "float16", "float32")
"""Precisions of Whisper; the default is float16 on a GPU of NVIDIA's, elsewhere float32, with faster-whisper int8."""


@dataclass(frozen=True, slots=True)
class Option:
    """The command-line option of a setting; metadata of its field.

    ``name`` is None and ``flags`` empty where the field's own name is the option: ``track_gate`` and ``--track-gate``.
    ``variable`` is the environment variable that gives the option, too. ``metavar`` stands for its value in the help,
    where the kind of the value says too little.
    """

    panel: str
    help: str
    name: str | None = None
    flags: tuple[str, ...] = ()
    variable: str | None = None
    metavar: str | None = None


def _option(panel: str, text: str, **more: Any) -> Mapping[str, Option]:
    """A field's metadata with its option; see `Option`."""
    return {"option": Option(panel, text, **more)}


@dataclass(frozen=True, slots=True)
class Settings:
    """How a recording becomes a transcript. Everything here may change the words; nothing in `Outputs` does.

    Each field's option says what it is. ``diarizer``, ``separator``, ``transcriber`` name a backend or ``auto``. With
    ``separate`` at ``auto``, short voices in overlaps are verified as well. ``overlap_checks`` are names of
    `OVERLAP_CHECKS`; ``gates`` is the option's earlier name, and the earlier words of both are understood.
    ``start`` and ``end`` are seconds, or text such as "1:02:03", which becomes seconds. Where a number of Whisper's may
    be None, None switches it off. ``cache_size`` is a size such as "5GB"; it and ``cache_age`` change no words, nor do
    ``threads``, ``batch_size`` and ``model_dir``.

    Raises `SettingsError` for values that make no sense, alone or together.
    """

    channels: ChannelMode = field(
        default="mix", metadata=_option(RECORDING, "mix (default), or split: each channel is one person.")
    )
    start: float | str | None = field(
        default=None,
        metadata=_option(
            RECORDING,
            "Process from here on only: seconds, m:ss or h:mm:ss. Times stay the recording's.",
            metavar="TIME",
        ),
    )
    end: float | str | None = field(
        default=None, metadata=_option(RECORDING, "Process up to here only.", metavar="TIME")
    )
    clean: Clean = field(
        default="off",
        metadata=_option(
            RECORDING,
            "What is taken out before anything else hears the recording: music, noise, all or off (default). Where "
            "there is next to nothing of it, the recording stays as it is.",
        ),
    )
    cleaner: str = field(default="auto", metadata=_option(RECORDING, "auto, embedded, demucs or openunmix."))
    cleaner_model: str | None = field(
        default=None,
        metadata=_option(
            RECORDING,
            "Hub id, folder or file of a Demucs; name (umxhq, umxl, umxse) or file of an Open-Unmix.",
        ),
    )
    diarizer: str = field(default="auto", metadata=_option(WHO, "auto, pyannote, embedded or rttm."))
    diarizer_model: str | None = field(
        default=None,
        metadata=_option(
            WHO,
            "Hub id or folder of a pyannote pipeline, or a segmentation's file for embedded.",
        ),
    )
    rttm: Path | None = field(default=None, metadata=_option(WHO, "Your own turns; implies --diarizer rttm."))
    num_speakers: int | None = field(
        default=None, metadata=_option(WHO, "Exactly this many people. (default: as many as are found)")
    )
    min_speakers: int | None = field(default=None, metadata=_option(WHO, "At least this many."))
    max_speakers: int | None = field(default=None, metadata=_option(WHO, "At most this many."))
    separator: str = field(
        default="auto", metadata=_option(OVERLAPS, "auto, sepformer, convtasnet, dprnn, adapted or dictionary.")
    )
    separator_model: str | None = field(
        default=None,
        metadata=_option(
            OVERLAPS,
            "Hub id, file or folder of a model: SpeechBrain's for sepformer, asteroid's for convtasnet and dprnn.",
        ),
    )
    separator_model_3: str | None = field(
        default=None, metadata=_option(OVERLAPS, "The same for three voices at once.")
    )
    adapt_budget: float = field(
        default=60.0,
        metadata=_option(
            OVERLAPS, "Seconds in which the separator adapted may learn a recording's voices.", metavar="SECONDS"
        ),
    )
    separate: Separate = field(
        default="overlaps",
        metadata=_option(
            OVERLAPS,
            "Where voices are separated: overlaps (default), strict (there, and short voices are verified as well), "
            "everywhere or off.",
        ),
    )
    match_threshold: float = field(
        default=0.05, metadata=_option(OVERLAPS, "Least margin (cosine) at which a separated voice is believed.")
    )
    overlap_checks: str = field(
        default="all",
        metadata=_option(
            OVERLAPS,
            "With commas: resegment (where turns begin and end), verify (whether a separated voice sounds like its "
            "speaker), leakage (mute what is another's voice), duplicates (words that two people have); all (default) "
            "or none.",
        ),
    )
    transcriber: str = field(
        default="auto", metadata=_option(WORDS, "auto, whisper, faster-whisper, sphinx or script.")
    )
    model: str | None = field(
        default=None,
        metadata=_option(
            WORDS,
            "Whisper model: tiny … large-v3, turbo, a .pt file, a folder of Hugging Face's or CTranslate2's format, or "
            "for faster-whisper a hub id; implies its transcriber. (default: turbo on a GPU, else small)",
        ),
    )
    language: str | None = field(
        default=None, metadata=_option(WORDS, "Language spoken, en or english; found per turn if left out.")
    )
    task: Task = field(default="transcribe", metadata=_option(WORDS, "transcribe (default) or translate into English."))
    initial_prompt: str | None = field(
        default=None, metadata=_option(WORDS, "Text that Whisper takes for what was said before: names and terms.")
    )
    hotwords: str | None = field(
        default=None,
        metadata=_option(
            WORDS, "Names and terms to expect, or a text file with one per line; given to Whisper with every window."
        ),
    )
    align_model: str | None = field(
        default=None,
        metadata=_option(
            WORDS,
            "Model that times the words: MMS_FA, WAV2VEC2_ASR_BASE_960H … (torchaudio's), or a hub id or folder of a "
            "wav2vec2. (default: the transcriber's own times)",
            metavar="NAME",
        ),
    )
    script: Path | None = field(
        default=None, metadata=_option(WORDS, "Your own words (STM, CTM, SegLST); implies --transcriber script.")
    )
    carry_initial_prompt: bool = field(
        default=False,
        metadata=_option(
            WHISPER,
            "Give --initial-prompt with every window of 30 s, not with the first only. (default: no)",
            flags=("--carry-initial-prompt",),
        ),
    )
    condition_on_previous_text: bool = field(
        default=False,
        metadata=_option(
            WHISPER,
            "Within a turn, give each window the text of the one before. (default: no)",
            flags=("--condition-on-previous-text",),
        ),
    )
    beam_size: int | None = field(
        default=5, metadata=_option(WHISPER, "Beams of the search at temperature 0; none: greedy.", metavar="N")
    )
    patience: float | None = field(
        default=None, metadata=_option(WHISPER, "Patience of the beam search. (default: 1.0)")
    )
    length_penalty: float | None = field(
        default=None, metadata=_option(WHISPER, "Exponent of the length penalty, 0 to 1. (default: mean over tokens)")
    )
    temperature: float = field(default=0.0, metadata=_option(WHISPER, "Temperature of the first attempt."))
    temperature_increment_on_fallback: float | None = field(
        default=0.2,
        metadata=_option(
            WHISPER,
            "Added to the temperature, up to 1, for every attempt after one that failed; none: one attempt.",
            metavar="NUMBER",
        ),
    )
    best_of: int | None = field(
        default=5, metadata=_option(WHISPER, "Candidates at temperatures above 0; none: one.", metavar="N")
    )
    compression_ratio_threshold: float | None = field(
        default=2.4,
        metadata=_option(
            WHISPER,
            "Text that gzip shrinks by more than this repeats itself and is left out; none: never.",
            metavar="NUMBER",
        ),
    )
    logprob_threshold: float | None = field(
        default=-1.0,
        metadata=_option(
            WHISPER, "An attempt with a lower mean log probability has failed; none: never.", metavar="NUMBER"
        ),
    )
    no_speech_threshold: float | None = field(
        default=0.6,
        metadata=_option(
            WHISPER,
            "Probability of no speech above which a failed attempt is taken for silence; none: never.",
            metavar="NUMBER",
        ),
    )
    hallucination_silence_threshold: float | None = field(
        default=None,
        metadata=_option(WHISPER, "Seconds of silence to skip where words look invented.", metavar="SECONDS"),
    )
    suppress_tokens: str = field(
        default="-1",
        metadata=_option(WHISPER, "Numbers of tokens never to write, with commas; -1: Whisper's own list of symbols."),
    )
    suppress_numerals: bool = field(
        default=False,
        metadata=_option(
            WHISPER, "Write numbers in words: no digits, no %, no $. (default: no)", flags=("--suppress-numerals",)
        ),
    )
    pack_seconds: float | None = field(
        default=None,
        metadata=_option(
            WHISPER,
            "Decode one person's turns together, with short silences between, in windows of up to so many seconds (at "
            "most 28), which is much quicker; 0: every turn by itself. (default: 28 for models that are named, 0 for "
            "a file or folder)",
            metavar="SECONDS",
        ),
    )
    batch_size: int | None = field(
        default=None,
        metadata=_option(
            WHISPER,
            "Most windows that are decoded at once; fewer need less memory. (default: as many as fit into it)",
            metavar="N",
        ),
    )
    compute_type: str = field(
        default="default",
        metadata=_option(
            WHISPER,
            "int8, int8_float16, float16, float32 or default: float16 on a GPU of NVIDIA's, else float32, with "
            "faster-whisper int8.",
        ),
    )
    device: str = field(default="auto", metadata=_option(MACHINE, "auto, cpu, cuda or mps; cuda:1 is the second GPU."))
    threads: int = field(
        default=0, metadata=_option(MACHINE, "Threads that models use on the CPU; 0: torch's own choice.")
    )
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
            metavar="FOLDER",
        ),
    )
    model_dir: Path | None = field(
        default=None,
        metadata=_option(MACHINE, "Folder of Whisper's models. (default: ~/.cache/whisper)", metavar="FOLDER"),
    )
    cache_size: str | int = field(
        default="5GB",
        metadata=_option(
            MACHINE, "Most that finished stages may take; 0: nothing is kept, none: no limit.", metavar="SIZE"
        ),
    )
    cache_age: str | float = field(
        default=90.0,
        metadata=_option(
            MACHINE, "Days without use after which finished stages are removed; none: never.", metavar="DAYS"
        ),
    )
    trust_model_code: bool = field(
        default=False,
        metadata=_option(
            MACHINE,
            "Run the code that a model folder's files ask for, as you and with all your rights; "
            "without it folders are only data. (default: no)",
            flags=("--trust-model-code",),
        ),
    )
    seed: int = field(default=0, metadata=_option(MACHINE, "For everything that draws at random."))
    gates: InitVar[str | None] = None

    def __post_init__(self, gates: str | None) -> None:
        _as_paths(self, "rttm", "script", "cache_dir", "model_dir")
        checks: object = self.overlap_checks if gates is None else gates
        if isinstance(checks, list | tuple):
            checks = ",".join(listed(checks, "--overlap-checks"))
        object.__setattr__(self, "overlap_checks", checks)
        _check_types(self)
        self._check_choices()
        self._check_channels()
        if not 0.0 <= self.adapt_budget < float("inf"):
            raise SettingsError(f"--adapt-budget {self.adapt_budget:g}: seconds, 0 (learn nothing) or more")
        self._check_speakers()
        self._check_stretch()
        self._check_whisper()
        self._check_cache_limits()
        object.__setattr__(self, "overlap_checks", _checks(self.overlap_checks))
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

    def _check_choices(self) -> None:
        for stage, names in BACKEND_NAMES.items():
            _check_choice(f"--{stage}", getattr(self, stage), ("auto", *names))
        _check_device(self.device)
        _check_choice("--separate", self.separate, get_args(Separate))
        if self.separate == "strict":
            object.__setattr__(self, "separate", "auto")
        _check_choice("--task", self.task, get_args(Task))
        _check_choice("--channels", self.channels, get_args(ChannelMode))
        _check_choice("--clean", self.clean, get_args(Clean))

    def _check_cache_limits(self) -> None:
        # Imported here because the package of values loads NumPy, and the command line reads this module for --help.
        from meetsplit.pipeline.data.units import days_or_none, size_or_none

        size_or_none(self.cache_size, "--cache-size")
        days_or_none(self.cache_age, "--cache-age")

    def _check_stretch(self) -> None:
        """Turn ``start`` and ``end`` into seconds; refuse a stretch without length."""
        from meetsplit.pipeline.data.units import seconds

        for name in ("start", "end"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, seconds(value, f"--{name}"))
        start, end = self.stretch
        if end is not None and end <= start:
            raise SettingsError(f"--end {self.end} is not after --start {start:g}: no time lies between them")

    def _check_whisper(self) -> None:
        _check_choice("--compute-type", self.compute_type, COMPUTE_TYPES)
        if self.pack_seconds is not None and not 0.0 <= self.pack_seconds <= 28.0:
            raise SettingsError(f"--pack-seconds {self.pack_seconds:g}: between 0 (every turn by itself) and 28")
        sizes = (("--beam-size", self.beam_size), ("--best-of", self.best_of), ("--batch-size", self.batch_size))
        for option, value in sizes:
            if value is not None and value < 1:
                raise SettingsError(f"{option} {value}: a number of 1 or more, or none")
        if self.patience is not None and not (0 < self.patience < math.inf and self.beam_size):
            raise SettingsError(f"--patience {self.patience:g}: a number above 0, and a beam search: see --beam-size")
        if self.length_penalty is not None and not 0 <= self.length_penalty <= 1:
            raise SettingsError(f"--length-penalty {self.length_penalty:g}: a number from 0 to 1")
        if not 0 <= self.temperature <= 1:
            raise SettingsError(f"--temperature {self.temperature:g}: a number from 0 to 1")
        increment = self.temperature_increment_on_fallback
        if increment is not None and not 0.01 <= increment <= 1:
            raise SettingsError(f"--temperature-increment-on-fallback {increment:g}: a number from 0.01 to 1, or none")
        if not re.fullmatch(r"(-?\d+(,-?\d+)*)?", self.suppress_tokens.replace(" ", "")):
            raise SettingsError(f"--suppress-tokens {self.suppress_tokens}: numbers of tokens with commas, or -1")
        if not 0 <= self.threads <= 1024:
            raise SettingsError(f"--threads {self.threads}: up to 1024 threads, or 0 for torch's own choice")

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

    @property
    def stretch(self) -> tuple[float, float | None]:
        """Where the stretch that is processed starts and ends, in seconds; no end is the recording's own."""
        start, end = self.start, self.end
        return float(start or 0.0), None if end is None else float(end)

    def recorded(self) -> tuple[tuple[str, Scalar], ...]:
        """The settings for `made_by`: never the token, nor folders of this machine, nor what changes no result.

        Of the settings that came after version 0.1.0, those that are set, see `stored_fields`.
        """
        skip = {"hf_token", "cache_dir", "cache_size", "cache_age", "trust_model_code", "model_dir", *WITHOUT_EFFECT}
        values = ((name, value) for name, value in stored_fields(self) if name not in skip)
        return tuple((name, value.name if isinstance(value, Path) else value) for name, value in values)


@dataclass(frozen=True, slots=True)
class Outputs:
    """What is written, where and how it looks. Each field's option says what it is.

    ``formats`` are names of `pipeline.formats`; ``names`` maps labels, or names that people have so far, to people;
    ``names_in_order`` names them in order of first speech and ``channel_names`` by channel; an empty text names no
    one. Where several name the same speaker, ``names`` wins, then ``names_in_order``. ``track_gate`` makes a track
    quieter ("soft") or silent ("hard") where its speaker does not speak. ``min_gap`` and ``min_duration`` are seconds,
    ``max_cps`` characters per second, ``track_rate`` Hz or "source"; a ``max_words_per_line`` of None is as many as
    fit. ``voices`` is "on", "off" or the path of enrolled voices. ``overwrite``: see `results`.
    """

    folder: Path = field(
        default=Path(),
        metadata=_option(
            FILES,
            "Folder for the results. (default: here)",
            name="output_dir",
            flags=("--output-dir", "-o"),
            metavar="FOLDER",
        ),
    )
    formats: tuple[str, ...] = field(
        default=DEFAULT_FORMATS,
        metadata=_option(
            FILES,
            "Formats, with commas or one per option; all (default): srt, vtt, json, txt, tsv, rttm, stm, seglst, "
            "audacity, csv, html; besides, md, docx, svg, srt-per-speaker.",
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
    track_sound: TrackSound = field(
        default="original",
        metadata=_option(
            FILES,
            "With --clean, the sound of tracks: original (default), the recording where one person speaks alone; or "
            "cleaned, 16 kHz and mono, as it was transcribed.",
        ),
    )
    keep_background: bool = field(
        default=False,
        metadata=_option(
            FILES,
            "With --clean, what was taken out as background.wav beside the tracks. (default: no)",
            flags=("--keep-background/--no-keep-background",),
        ),
    )
    track_gate: str = field(
        default="off",
        metadata=_option(
            FILES,
            "What is left in a person's track while that person does not speak: everything (off, default), "
            "everything 20 dB quieter (soft) or silence (hard).",
        ),
    )
    track_quality: bool = field(
        default=False,
        metadata=_option(
            FILES,
            "Judge how well voices were taken apart, by the sound of the tracks. (default: no)",
            flags=("--track-quality/--no-track-quality",),
        ),
    )
    max_line_width: int = field(default=42, metadata=_option(FILES, "Characters per subtitle line."))
    max_line_count: int = field(default=2, metadata=_option(FILES, "Lines per subtitle."))
    max_words_per_line: int | None = field(
        default=None, metadata=_option(FILES, "Words per subtitle line. (default: as many as fit)")
    )
    min_gap: float = field(
        default=0.083, metadata=_option(FILES, "Seconds between two subtitles. Two frames of film are 0.083.")
    )
    min_duration: float = field(default=1.0, metadata=_option(FILES, "Seconds that a subtitle stays, if it can."))
    max_cps: float = field(
        default=20.0,
        metadata=_option(FILES, "Characters per second at which a subtitle can be read."),
    )
    speaker_names: SpeakerNames = field(
        default="change",
        metadata=_option(FILES, "Names in subtitles: at every change of speaker (change, default), every or never."),
    )
    vtt_names: bool = field(
        default=False,
        metadata=_option(
            FILES, "Names shown in WebVTT, too. (default: no, colours tell)", flags=("--vtt-names/--no-vtt-names",)
        ),
    )
    vtt_colors: bool = field(
        default=True,
        metadata=_option(
            FILES, "A colour per person in WebVTT. (default: yes)", flags=("--vtt-colors/--no-vtt-colors",)
        ),
    )
    highlight_words: bool = field(
        default=False,
        metadata=_option(
            FILES,
            "Underline each word in subtitles as it is spoken. (default: no)",
            flags=("--highlight-words/--no-highlight-words",),
        ),
    )
    txt_width: int = field(
        default=80, metadata=_option(FILES, "Characters per line of plain text; 0: a line per paragraph.")
    )
    txt_end_times: bool = field(
        default=False,
        metadata=_option(
            FILES,
            "When each paragraph of plain text ends, too. (default: no)",
            flags=("--txt-end-times/--no-txt-end-times",),
        ),
    )
    html_audio: HtmlAudio = field(
        default="embed",
        metadata=_option(
            FILES,
            "Sound of the page (html): in the page itself (embed, default), which links to files beside it where that "
            "would be more than 24 MB; always such files (link); or none.",
        ),
    )
    names: tuple[tuple[str, str], ...] = field(
        default=(),
        metadata=_option(
            FILES,
            "A person's name: SPEAKER_00=Alice, or instead of the label the name so far; may be repeated.",
            name="name",
            metavar="LABEL=NAME",
        ),
    )
    names_in_order: tuple[str, ...] = field(
        default=(),
        metadata=_option(FILES, "Names in order of first speech: Alice,Ben,Chris.", name="names", metavar="NAME,NAME…"),
    )
    channel_names: tuple[str, ...] = field(
        default=(),
        metadata=_option(
            FILES,
            "Names of the people on the channels, or of the files of --together, in order: Agent,Customer.",
            metavar="NAME,NAME…",
        ),
    )
    voices: str = field(
        default="on",
        metadata=_option(
            FILES,
            "Recognise people by enrolled voices (`meetsplit voices`): on (default, where any are enrolled), off, or "
            "the path of a file of voices.",
            metavar="on|off|FILE",
        ),
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
        object.__setattr__(self, "formats", listed(self.formats, "--output-format"))
        object.__setattr__(self, "names", _name_pairs(self.names))
        object.__setattr__(self, "names_in_order", name_list(self.names_in_order, "--names"))
        object.__setattr__(self, "channel_names", name_list(self.channel_names, "--channel-names"))
        _check_types(self)
        if self.voices not in ("on", "off"):  # absolute, because a worker of the queue runs in another folder
            object.__setattr__(self, "voices", str(Path(self.voices).expanduser().absolute()))
        if self.max_line_width < 10:
            raise SettingsError(f"--max-line-width {self.max_line_width}: subtitles need at least 10 characters a line")
        if self.max_line_count < 1:
            raise SettingsError(f"--max-line-count {self.max_line_count}: subtitles need at least 1 line")
        self._check_subtitles()
        _check_choice("--track-format", self.track_format, ("wav", "flac", "mp3", "m4a"))
        _check_choice("--track-gate", self.track_gate, ("soft", "hard", "off"))
        _check_choice("--track-channels", self.track_channels, get_args(TrackChannels))
        _check_choice("--track-sound", self.track_sound, get_args(TrackSound))
        _check_choice("--html-audio", self.html_audio, get_args(HtmlAudio))
        object.__setattr__(self, "track_rate", _track_rate(self.track_rate))

    def _check_subtitles(self) -> None:
        _check_choice("--speaker-names", self.speaker_names, get_args(SpeakerNames))
        if self.max_words_per_line is not None and self.max_words_per_line < 1:
            raise SettingsError(f"--max-words-per-line {self.max_words_per_line}: a line holds at least 1 word")
        for option, seconds in (("--min-gap", self.min_gap), ("--min-duration", self.min_duration)):
            if not 0.0 <= seconds <= LONGEST_PAUSE:
                raise SettingsError(f"{option} {seconds:g}: 0 to {LONGEST_PAUSE:g} seconds")
        if not 1.0 <= self.max_cps <= MOST_CPS:
            raise SettingsError(f"--max-cps {self.max_cps:g}: 1 to {MOST_CPS:g} characters per second")
        if self.txt_width < 0 or 0 < self.txt_width < LEAST_TXT_WIDTH:
            raise SettingsError(
                f"--txt-width {self.txt_width}: at least {LEAST_TXT_WIDTH} characters, or 0 for no limit"
            )


# fmt: off
_FIRST_FIELDS = frozenset((
    "channels", "diarizer", "diarizer_model", "rttm", "num_speakers", "min_speakers", "max_speakers", "separator",
    "separator_model", "separator_model_3", "adapt_budget", "separate", "match_threshold", "overlap_checks",
    "transcriber", "model", "language", "task", "initial_prompt", "script", "device", "offline", "hf_token",
    "cache_dir", "cache_size", "cache_age", "trust_model_code", "seed", "folder", "formats", "tracks",
    "track_format", "track_gate", "max_line_width", "max_line_count", "names", "overwrite",
))
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


WHISPER_OPTIONS = (
    "hotwords",
    *(
        field_.name
        for field_ in dataclasses.fields(Settings)
        if field_.metadata["option"].panel == WHISPER and field_.name not in WITHOUT_EFFECT
    ),
)
"""Settings that only the transcribers `whisper` and `faster-whisper` know and that change their words, besides
``model`` and ``initial_prompt``."""


def fields_with_options() -> tuple[tuple[dataclasses.Field[Any], Option], ...]:
    """The fields of `Settings` and `Outputs` with their options, by panel, in order within each."""
    fields = (*dataclasses.fields(Settings), *dataclasses.fields(Outputs))
    pairs = [(field_, field_.metadata["option"]) for field_ in fields]
    return tuple(sorted(pairs, key=lambda pair: PANELS.index(pair[1].panel)))


def from_toml(path: Path, others: Collection[str] = ()) -> dict[str, Any]:
    """The options in a TOML file by the names of the command line, ``-`` or ``_``; tables group them freely.

    ``others`` are names of options besides those of `Settings` and `Outputs`. Raises `SettingsError` for a file that
    cannot be read or parsed, for unknown options and for one that stands there twice.
    """
    try:
        pairs = _flat(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise SettingsError(f"{path}: cannot read the settings: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, ValueError) as error:  # a file that is not UTF-8, a number of thousands of digits
        raise SettingsError(f"{path}: not valid TOML: {error}") from error
    except RecursionError as error:
        raise SettingsError(f"{path}: its tables and lists are nested too deeply") from error
    names = {name for field_, option in fields_with_options() for name in (field_.name, option.name) if name}
    names |= {"gates", *others}
    for number, (name, _) in enumerate(pairs):
        if name not in names:
            raise SettingsError(f"{path}: unknown option {name!r}; {nearest(name, names - {'gates'})}")
        if name in dict(pairs[:number]):
            raise SettingsError(f"{path}: {name!r} stands there twice, in two tables: keep one of them")
    return current_options(dict(pairs))


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
    """Turn paths of any kind into `Path`; refuse names with a NUL character, which no system has."""
    for name in names:
        if isinstance(getattr(settings, name), str | PathLike):
            object.__setattr__(settings, name, Path(getattr(settings, name)))
    for field_ in dataclasses.fields(settings):
        value = getattr(settings, field_.name)
        if isinstance(value, str | Path) and "\0" in str(value):
            raise SettingsError(f"--{field_.name.replace('_', '-')} {str(value)!r}: no name holds a NUL character")


_KINDS: Mapping[type, tuple[type, str]] = MappingProxyType(
    {
        bool: (bool, "True or False"),
        int: (numbers.Integral, "a whole number"),
        float: (numbers.Real, "a number"),
        str: (str, "a text"),
        Path: (Path, "a path"),
    }
)
"""What a setting of each plain type takes, NumPy's numbers included, and what that is called."""


@functools.cache
def _plain_types(cls: type[Any]) -> Mapping[str, tuple[type, ...]]:
    """The types of each field's values, None included; fields of other types (choices, tuples) are left out."""
    hints = get_type_hints(cls)
    kinds = {
        item.name: get_args(hints[item.name]) if isinstance(hints[item.name], UnionType) else (hints[item.name],)
        for item in dataclasses.fields(cls)
    }
    plain = {*_KINDS, NoneType}
    return {name: allowed for name, allowed in kinds.items() if plain.issuperset(allowed)}


def _check_types(settings: Settings | Outputs) -> None:
    """Raise `SettingsError` for a value of a wrong type; NumPy's numbers become Python's, paths of models texts."""
    kind: Any = type(settings)
    for name, allowed in _plain_types(kind).items():
        value = getattr(settings, name)
        if isinstance(value, PathLike) and str in allowed and Path not in allowed:
            value = fspath(value)
            object.__setattr__(settings, name, value)
        if type(value) in allowed or (type(value) is int and float in allowed):
            continue
        kinds = [_KINDS[kind] for kind in allowed if kind is not NoneType]
        accepted, needed = tuple(kind for kind, _ in kinds), " or ".join(what for _, what in kinds)
        if isinstance(value, bool) or not isinstance(value, accepted):
            raise SettingsError(f"--{name.replace('_', '-')} {value!r}: {needed} is needed")
        if isinstance(value, numbers.Real):
            object.__setattr__(settings, name, int(value) if isinstance(value, numbers.Integral) else float(value))


def _check_device(name: str) -> None:
    kind, colon, number = name.partition(":")
    if name != "auto" and (kind not in DEVICES or (colon and not number.isdecimal())):
        meant = "cuda" if kind == "gpu" else name
        raise SettingsError(f"--device {name}: {nearest(meant, [*DEVICES, 'auto'])}")


def listed(value: object, option: str) -> tuple[str, ...]:
    """The words of a list, or of a text with commas. Raises `SettingsError` for anything else."""
    words = value.split(",") if isinstance(value, str) else value
    if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
        raise SettingsError(f'{option} {value!r}: names are needed, such as "srt,json" or ["srt", "json"]')
    return tuple(word.strip() for word in words if word.strip())


def name_list(value: object, option: str) -> tuple[str, ...]:
    """People's names in a list, or in a text with commas; an empty one is no name. Raises `SettingsError`."""
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise SettingsError(f"{option} {value!r}: write names with commas between them, such as Alice,Ben")
    return tuple(name.strip() for name in names)


def _name_pairs(names: object) -> tuple[tuple[str, str], ...]:
    """People's names by label as pairs, from a mapping or pairs. Raises `SettingsError` for anything else."""
    pairs = list(names.items()) if isinstance(names, Mapping) else names
    checked: list[tuple[str, str]] = []
    for pair in pairs if isinstance(pairs, list | tuple) else [None]:
        match pair:
            case (str() as label, str() as name):
                checked.append((label, name))
            case _:
                raise SettingsError(f'--name {names!r}: names by label are needed, such as {{"SPEAKER_00": "Alice"}}')
    return tuple(checked)


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
