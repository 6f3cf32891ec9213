"""What settings choose among: backends, formats, devices, checks, and the limits of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

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

WITHOUT_EFFECT = ("threads", "batch_size")
"""Settings that change how fast words come and how much memory they take, never the words."""

COMPUTE_TYPES = ("default", "int8", "int8_float16", "float16", "float32")
"""Precisions of Whisper; the default is float16 on a GPU of NVIDIA's, elsewhere float32, with faster-whisper int8."""
