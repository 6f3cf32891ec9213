"""Settings: how a recording becomes a transcript; frozen, complete, checked once."""

from __future__ import annotations

import math
import re
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from typing import get_args

from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.settings.checks import as_paths, check_choice, check_device, check_types, listed
from meetsplit.pipeline.settings.choices import (
    BACKEND_NAMES,
    COMPUTE_TYPES,
    OVERLAP_CHECKS,
    WITHOUT_EFFECT,
    ChannelMode,
    Clean,
    Scalar,
    Separate,
    Task,
)
from meetsplit.pipeline.settings.options import MACHINE, OVERLAPS, RECORDING, WHISPER, WHO, WORDS, as_option
from meetsplit.pipeline.settings.stored import EARLIER_CHECKS, stored_fields


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
        default="mix", metadata=as_option(RECORDING, "mix (default), or split: each channel is one person.")
    )
    start: float | str | None = field(
        default=None,
        metadata=as_option(
            RECORDING,
            "Process from here on only: seconds, m:ss or h:mm:ss. Times stay the recording's.",
            metavar="TIME",
        ),
    )
    end: float | str | None = field(
        default=None, metadata=as_option(RECORDING, "Process up to here only.", metavar="TIME")
    )
    clean: Clean = field(
        default="off",
        metadata=as_option(
            RECORDING,
            "What is taken out before anything else hears the recording: music, noise, all or off (default). Where "
            "there is next to nothing of it, the recording stays as it is.",
        ),
    )
    cleaner: str = field(default="auto", metadata=as_option(RECORDING, "auto, embedded, demucs or openunmix."))
    cleaner_model: str | None = field(
        default=None,
        metadata=as_option(
            RECORDING,
            "Hub id, folder or file of a Demucs; name (umxhq, umxl, umxse) or file of an Open-Unmix.",
        ),
    )
    diarizer: str = field(default="auto", metadata=as_option(WHO, "auto, pyannote, embedded or rttm."))
    diarizer_model: str | None = field(
        default=None,
        metadata=as_option(
            WHO,
            "Hub id or folder of a pyannote pipeline, or a segmentation's file for embedded.",
        ),
    )
    rttm: Path | None = field(default=None, metadata=as_option(WHO, "Your own turns; implies --diarizer rttm."))
    num_speakers: int | None = field(
        default=None, metadata=as_option(WHO, "Exactly this many people. (default: as many as are found)")
    )
    min_speakers: int | None = field(default=None, metadata=as_option(WHO, "At least this many."))
    max_speakers: int | None = field(default=None, metadata=as_option(WHO, "At most this many."))
    separator: str = field(
        default="auto", metadata=as_option(OVERLAPS, "auto, sepformer, convtasnet, dprnn, adapted or dictionary.")
    )
    separator_model: str | None = field(
        default=None,
        metadata=as_option(
            OVERLAPS,
            "Hub id, file or folder of a model: SpeechBrain's for sepformer, asteroid's for convtasnet and dprnn.",
        ),
    )
    separator_model_3: str | None = field(
        default=None, metadata=as_option(OVERLAPS, "The same for three voices at once.")
    )
    adapt_budget: float = field(
        default=60.0,
        metadata=as_option(
            OVERLAPS, "Seconds in which the separator adapted may learn a recording's voices.", metavar="SECONDS"
        ),
    )
    separate: Separate = field(
        default="overlaps",
        metadata=as_option(
            OVERLAPS,
            "Where voices are separated: overlaps (default), strict (there, and short voices are verified as well), "
            "everywhere or off.",
        ),
    )
    match_threshold: float = field(
        default=0.05, metadata=as_option(OVERLAPS, "Least margin (cosine) at which a separated voice is believed.")
    )
    overlap_checks: str = field(
        default="all",
        metadata=as_option(
            OVERLAPS,
            "With commas: resegment (where turns begin and end), verify (whether a separated voice sounds like its "
            "speaker), leakage (mute what is another's voice), duplicates (words that two people have); all (default) "
            "or none.",
        ),
    )
    transcriber: str = field(
        default="auto", metadata=as_option(WORDS, "auto, whisper, faster-whisper, sphinx or script.")
    )
    model: str | None = field(
        default=None,
        metadata=as_option(
            WORDS,
            "Whisper model: tiny … large-v3, turbo, a .pt file, a folder of Hugging Face's or CTranslate2's format, or "
            "for faster-whisper a hub id; implies its transcriber. (default: turbo on a GPU, else small)",
        ),
    )
    language: str | None = field(
        default=None, metadata=as_option(WORDS, "Language spoken, en or english; found per turn if left out.")
    )
    task: Task = field(
        default="transcribe", metadata=as_option(WORDS, "transcribe (default) or translate into English.")
    )
    initial_prompt: str | None = field(
        default=None, metadata=as_option(WORDS, "Text that Whisper takes for what was said before: names and terms.")
    )
    hotwords: str | None = field(
        default=None,
        metadata=as_option(
            WORDS, "Names and terms to expect, or a text file with one per line; given to Whisper with every window."
        ),
    )
    align_model: str | None = field(
        default=None,
        metadata=as_option(
            WORDS,
            "Model that times the words: MMS_FA, WAV2VEC2_ASR_BASE_960H … (torchaudio's), or a hub id or folder of a "
            "wav2vec2. (default: the transcriber's own times)",
            metavar="NAME",
        ),
    )
    script: Path | None = field(
        default=None, metadata=as_option(WORDS, "Your own words (STM, CTM, SegLST); implies --transcriber script.")
    )
    carry_initial_prompt: bool = field(
        default=False,
        metadata=as_option(
            WHISPER,
            "Give --initial-prompt with every window of 30 s, not with the first only. (default: no)",
            flags=("--carry-initial-prompt",),
        ),
    )
    condition_on_previous_text: bool = field(
        default=False,
        metadata=as_option(
            WHISPER,
            "Within a turn, give each window the text of the one before. (default: no)",
            flags=("--condition-on-previous-text",),
        ),
    )
    beam_size: int | None = field(
        default=5, metadata=as_option(WHISPER, "Beams of the search at temperature 0; none: greedy.", metavar="N")
    )
    patience: float | None = field(
        default=None, metadata=as_option(WHISPER, "Patience of the beam search. (default: 1.0)")
    )
    length_penalty: float | None = field(
        default=None, metadata=as_option(WHISPER, "Exponent of the length penalty, 0 to 1. (default: mean over tokens)")
    )
    temperature: float = field(default=0.0, metadata=as_option(WHISPER, "Temperature of the first attempt."))
    temperature_increment_on_fallback: float | None = field(
        default=0.2,
        metadata=as_option(
            WHISPER,
            "Added to the temperature, up to 1, for every attempt after one that failed; none: one attempt.",
            metavar="NUMBER",
        ),
    )
    best_of: int | None = field(
        default=5, metadata=as_option(WHISPER, "Candidates at temperatures above 0; none: one.", metavar="N")
    )
    compression_ratio_threshold: float | None = field(
        default=2.4,
        metadata=as_option(
            WHISPER,
            "Text that gzip shrinks by more than this repeats itself and is left out; none: never.",
            metavar="NUMBER",
        ),
    )
    logprob_threshold: float | None = field(
        default=-1.0,
        metadata=as_option(
            WHISPER, "An attempt with a lower mean log probability has failed; none: never.", metavar="NUMBER"
        ),
    )
    no_speech_threshold: float | None = field(
        default=0.6,
        metadata=as_option(
            WHISPER,
            "Probability of no speech above which a failed attempt is taken for silence; none: never.",
            metavar="NUMBER",
        ),
    )
    hallucination_silence_threshold: float | None = field(
        default=None,
        metadata=as_option(WHISPER, "Seconds of silence to skip where words look invented.", metavar="SECONDS"),
    )
    suppress_tokens: str = field(
        default="-1",
        metadata=as_option(
            WHISPER, "Numbers of tokens never to write, with commas; -1: Whisper's own list of symbols."
        ),
    )
    suppress_numerals: bool = field(
        default=False,
        metadata=as_option(
            WHISPER, "Write numbers in words: no digits, no %, no $. (default: no)", flags=("--suppress-numerals",)
        ),
    )
    pack_seconds: float | None = field(
        default=None,
        metadata=as_option(
            WHISPER,
            "Decode one person's turns together, with short silences between, in windows of up to so many seconds (at "
            "most 28), which is much quicker; 0: every turn by itself. (default: 28 for models that are named, 0 for "
            "a file or folder)",
            metavar="SECONDS",
        ),
    )
    batch_size: int | None = field(
        default=None,
        metadata=as_option(
            WHISPER,
            "Most windows that are decoded at once; fewer need less memory. (default: as many as fit into it)",
            metavar="N",
        ),
    )
    compute_type: str = field(
        default="default",
        metadata=as_option(
            WHISPER,
            "int8, int8_float16, float16, float32 or default: float16 on a GPU of NVIDIA's, else float32, with "
            "faster-whisper int8.",
        ),
    )
    device: str = field(
        default="auto", metadata=as_option(MACHINE, "auto, cpu, cuda or mps; cuda:1 is the second GPU.")
    )
    threads: int = field(
        default=0, metadata=as_option(MACHINE, "Threads that models use on the CPU; 0: torch's own choice.")
    )
    offline: bool = field(
        default=False,
        metadata=as_option(
            MACHINE, "Never touch the network.", flags=("--offline/--online",), variable="HF_HUB_OFFLINE"
        ),
    )
    hf_token: str | None = field(
        default=None,
        repr=False,
        metadata=as_option(MACHINE, "Hugging Face token, for gated models.", variable="HF_TOKEN"),
    )
    cache_dir: Path | None = field(
        default=None,
        metadata=as_option(
            MACHINE,
            "Where fetched weights and finished stages are kept. (default: ~/.cache/meetsplit)",
            variable="MEETSPLIT_CACHE",
            metavar="FOLDER",
        ),
    )
    model_dir: Path | None = field(
        default=None,
        metadata=as_option(MACHINE, "Folder of Whisper's models. (default: ~/.cache/whisper)", metavar="FOLDER"),
    )
    cache_size: str | int = field(
        default="5GB",
        metadata=as_option(
            MACHINE, "Most that finished stages may take; 0: nothing is kept, none: no limit.", metavar="SIZE"
        ),
    )
    cache_age: str | float = field(
        default=90.0,
        metadata=as_option(
            MACHINE, "Days without use after which finished stages are removed; none: never.", metavar="DAYS"
        ),
    )
    trust_model_code: bool = field(
        default=False,
        metadata=as_option(
            MACHINE,
            "Run the code that a model folder's files ask for, as you and with all your rights; "
            "without it folders are only data. (default: no)",
            flags=("--trust-model-code",),
        ),
    )
    seed: int = field(default=0, metadata=as_option(MACHINE, "For everything that draws at random."))
    gates: InitVar[str | None] = None

    def __post_init__(self, gates: str | None) -> None:
        as_paths(self, "rttm", "script", "cache_dir", "model_dir")
        checks: object = self.overlap_checks if gates is None else gates
        if isinstance(checks, list | tuple):
            checks = ",".join(listed(checks, "--overlap-checks"))
        object.__setattr__(self, "overlap_checks", checks)
        check_types(self)
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
            check_choice(f"--{stage}", getattr(self, stage), ("auto", *names))
        check_device(self.device)
        check_choice("--separate", self.separate, get_args(Separate))
        if self.separate == "strict":
            object.__setattr__(self, "separate", "auto")
        check_choice("--task", self.task, get_args(Task))
        check_choice("--channels", self.channels, get_args(ChannelMode))
        check_choice("--clean", self.clean, get_args(Clean))

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
        check_choice("--compute-type", self.compute_type, COMPUTE_TYPES)
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


def _checks(text: str) -> str:
    """The checks in the order of `OVERLAP_CHECKS`, so that equal settings have equal texts; "none" for no check."""
    written = [name.strip() for name in text.split(",") if name.strip()]
    names = [EARLIER_CHECKS.get(name, name) for name in written]
    for name in names:
        check_choice("--overlap-checks", name, (*OVERLAP_CHECKS, "all", "none"))
    return ",".join(check for check in OVERLAP_CHECKS if check in names or "all" in names) or "none"
