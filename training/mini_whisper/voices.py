"""Synthetic voices that tell when each word is spoken: flite and espeak-ng through their C libraries.

The command-line programs of both only write sound. The libraries also say where every word (and, for flite, every
phone) begins and ends, which teaches a small model to align in minutes what it would otherwise have to find by itself.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.signal import resample_poly

from meetsplit.pipeline.data import Samples
from meetsplit.pipeline.errors import MissingDependency, SettingsError
from meetsplit.training.speech import VOICES

RATE = 16000
"""Samples per second of everything that is spoken here."""

NAMES = "pau aa ae ah ao aw ax ay b ch d dh eh er ey f g hh ih iy jh k l m n ng ow oy p r s sh t th uh uw v w y z zh"

PHONES = tuple(NAMES.split(" "))
"""Flite's American English phones; the first is silence."""

ESPEAK = ("en-us", "en-gb", "en-gb-scotland", "en-us+f3", "en-us+m3", "en-gb+f2")
"""espeak-ng's voices, some with the timbre of a variant."""

LIBRARIES = ("libflite.so.1", "libflite_usenglish.so.1", "libflite_cmulex.so.1")
POINTER = ctypes.c_void_p


@dataclass(frozen=True, slots=True)
class Timed:
    """A word as written (with its comma or full stop), or the name of a phone, and its seconds from the start of the sound."""

    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True, eq=False)
class Spoken:
    """A sentence in a synthetic voice: samples at `RATE`, shape ``(n,)``, its words and phones (none known for espeak-ng)."""

    voice: str
    samples: Samples
    words: tuple[Timed, ...]
    phones: tuple[Timed, ...]


class _Wave(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_char_p),
        ("rate", ctypes.c_int),
        ("length", ctypes.c_int),
        ("channels", ctypes.c_int),
        ("samples", ctypes.POINTER(ctypes.c_short)),
    )


class _Voice(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), ("features", POINTER))


def library(name: str, package: str) -> ctypes.CDLL:
    """A shared library by its file name. Raises `MissingDependency` that names the Debian package."""
    try:
        return ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise MissingDependency("training", f"the library {name} is not installed: apt install {package}") from error


class Flite:
    """Flite's four 16 kHz voices, in this process."""

    def __init__(self) -> None:
        self.core, *self.rest = (library(name, "flite") for name in LIBRARIES)
        for name, result, arguments in (
            ("flite_synth_text", POINTER, (ctypes.c_char_p, POINTER)),
            ("utt_wave", POINTER, (POINTER,)),
            ("utt_relation", POINTER, (POINTER, ctypes.c_char_p)),
            ("relation_head", POINTER, (POINTER,)),
            ("item_next", POINTER, (POINTER,)),
            ("item_prev", POINTER, (POINTER,)),
            ("item_daughter", POINTER, (POINTER,)),
            ("item_as", POINTER, (POINTER, ctypes.c_char_p)),
            ("item_feat_float", ctypes.c_float, (POINTER, ctypes.c_char_p)),
            ("item_feat_string", ctypes.c_char_p, (POINTER, ctypes.c_char_p)),
            ("feat_set_float", None, (POINTER, ctypes.c_char_p, ctypes.c_float)),
            ("delete_utterance", None, (POINTER,)),
        ):
            function = getattr(self.core, name)
            function.restype, function.argtypes = result, arguments
        self.core.flite_init()
        self.voices = {name: self._voice(name) for name in VOICES}

    def _voice(self, name: str) -> Any:
        register = getattr(library(f"libflite_cmu_us_{name}.so.1", "flite"), f"register_cmu_us_{name}")
        register.restype, register.argtypes = POINTER, (POINTER,)
        return register(None)

    def _along(self, item: Any) -> Iterator[Any]:
        while item:
            yield item
            item = self.core.item_next(item)

    def _end(self, item: Any) -> float:
        return float(self.core.item_feat_float(item, b"end"))

    def _word(self, token: Any) -> tuple[float, float] | None:
        """Begin and end of a written word: of the first and last phone of all spoken words in it."""
        phones = [
            self.core.item_as(phone, b"Segment")
            for word in self._along(self.core.item_daughter(token))
            for syllable in self._along(self.core.item_daughter(self.core.item_as(word, b"SylStructure")))
            for phone in self._along(self.core.item_daughter(syllable))
        ]
        if not phones:
            return None
        before = self.core.item_prev(phones[0])
        return (self._end(before) if before else 0.0), self._end(phones[-1])

    def say(self, voice: str, text: str, stretch: float = 1.0) -> Spoken:
        """One sentence; ``stretch`` 1.2 is a fifth slower. Raises `SettingsError` if its words are not spoken one by one."""
        handle = self.voices[voice]
        features = ctypes.cast(handle, ctypes.POINTER(_Voice)).contents.features
        self.core.feat_set_float(features, b"duration_stretch", stretch)
        utterance = self.core.flite_synth_text(text.encode(), handle)
        wave = ctypes.cast(self.core.utt_wave(utterance), ctypes.POINTER(_Wave)).contents
        samples = np.asarray(np.ctypeslib.as_array(wave.samples, (wave.length,)) / 32768, np.float32)
        head = self.core.relation_head(self.core.utt_relation(utterance, b"Segment"))
        rows = [(self.core.item_feat_string(item, b"name").decode(), self._end(item)) for item in self._along(head)]
        spans = [
            self._word(item)
            for item in self._along(self.core.relation_head(self.core.utt_relation(utterance, b"Token")))
        ]
        self.core.delete_utterance(utterance)
        written = text.split()
        if len(spans) != len(written) or None in spans:
            raise SettingsError(f"flite does not speak {text!r} word by word")
        # The diphone voice ends a little earlier than its own plan says.
        scale = min(len(samples) / RATE / rows[-1][1], 1.0)
        starts = [0.0, *(end for _, end in rows)]
        return Spoken(
            voice,
            samples,
            tuple(Timed(word, s[0] * scale, s[1] * scale) for word, s in zip(written, spans, strict=True) if s),
            tuple(Timed(name, start * scale, end * scale) for start, (name, end) in zip(starts, rows, strict=False)),
        )


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique", ctypes.c_uint),
        ("position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("milliseconds", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user", POINTER),
        ("name", ctypes.c_char * 8),
    )


CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@dataclass(slots=True)
class Espeak:
    """espeak-ng's formant voices, in this process; it has one state, so there should be one of these."""

    core: ctypes.CDLL = field(init=False)
    rate: int = field(init=False)
    sound: list[Samples] = field(init=False, default_factory=list)
    marks: list[tuple[int, int, float]] = field(init=False, default_factory=list)
    listener: Any = field(init=False)

    def __post_init__(self) -> None:
        self.core = library("libespeak-ng.so.1", "espeak-ng")
        self.rate = self.core.espeak_Initialize(2, 0, None, 0)
        if self.rate <= 0:
            raise MissingDependency("training", "espeak-ng finds no voices: apt install espeak-ng-data")
        self.listener = CALLBACK(self._hear)
        self.core.espeak_SetSynthCallback(self.listener)

    def _hear(self, samples: Any, count: int, events: Any) -> int:
        if samples and count:
            self.sound.append(np.asarray(np.ctypeslib.as_array(samples, (count,)) / 32768, np.float32))
        index = 0
        while events[index].type != 0:
            self.marks.append((events[index].type, events[index].position, events[index].milliseconds / 1000))
            index += 1
        return 0

    def say(self, voice: str, text: str, stretch: float = 1.0) -> Spoken:
        """One sentence; ``stretch`` 1.2 is a fifth slower."""
        self.sound.clear()
        self.marks.clear()
        self.core.espeak_SetVoiceByName(voice.encode())
        self.core.espeak_SetParameter(1, round(160 / stretch), 0)
        data = text.encode()
        self.core.espeak_Synth(data, len(data) + 1, 0, 1, 0, 1, None, None)
        self.core.espeak_Synchronize()
        samples = np.asarray(resample_poly(np.concatenate(self.sound), RATE, self.rate), np.float32)
        return Spoken(voice, samples, self._words(text, len(samples) / RATE), ())

    def _words(self, text: str, duration: float) -> tuple[Timed, ...]:
        """The text's words; words that espeak-ng speaks as one ("of the") share its time."""
        begins = {position - 1: at for kind, position, at in self.marks if kind == 1}
        rest = [*sorted(at for kind, _, at in self.marks if kind in (1, 5)), duration]
        offsets = np.cumsum([0, *(len(word) + 1 for word in text.split())])[:-1].tolist()
        written = text.split()
        groups: list[tuple[float, list[str]]] = []
        for word, offset in zip(written, offsets, strict=True):
            if offset in begins or not groups:
                groups.append((begins.get(offset, 0.0), [word]))
            else:
                groups[-1][1].append(word)
        timed = []
        for start, group in groups:
            end = next(at for at in rest if at > start or at == duration)
            step = (end - start) / len(group)
            timed += [Timed(word, start + i * step, start + (i + 1) * step) for i, word in enumerate(group)]
        return tuple(timed)
