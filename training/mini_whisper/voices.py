"""Speech synthesis with word times: flite and espeak-ng through their C libraries.

The command-line programs of both only write sound. The libraries also give the times of every word (and, for flite, of
every phone), from which a small model learns in minutes to align text and sound.
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
from meetsplit.training.speech import FLITE_VOICES

RATE = 16000
"""Sample rate in Hz of all synthesized speech."""

_PHONES = "pau aa ae ah ao aw ax ay b ch d dh eh er ey f g hh ih iy jh k l m n ng ow oy p r s sh t th uh uw v w y z zh"

PHONES = tuple(_PHONES.split(" "))
"""Flite's American English phones; the first is silence."""

ESPEAK_VOICES = ("en-us", "en-gb", "en-gb-scotland", "en-us+f3", "en-us+m3", "en-gb+f2")
"""espeak-ng's voices, some with the timbre of a variant."""

FLITE_LIBRARIES = ("libflite.so.1", "libflite_usenglish.so.1", "libflite_cmulex.so.1")
POINTER = ctypes.c_void_p


@dataclass(frozen=True, slots=True)
class TimedLabel:
    """A word as written (with its punctuation), or the name of a phone, from ``start`` to ``end`` in seconds."""

    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True, eq=False)
class SynthesizedSentence:
    """A sentence in a synthetic voice: samples at `RATE`, shape ``(n,)``, its words and phones (none for espeak-ng)."""

    voice: str
    samples: Samples
    words: tuple[TimedLabel, ...]
    phones: tuple[TimedLabel, ...]


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


def load_library(name: str, package: str) -> ctypes.CDLL:
    """A shared library by its file name. Raises `MissingDependency` that names the Debian package."""
    try:
        return ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise MissingDependency("training", f"the library {name} is not installed: apt install {package}") from error


class Flite:
    """Flite's four 16 kHz voices, synthesized in this process."""

    def __init__(self) -> None:
        self.core, *self.other_libraries = (load_library(name, "flite") for name in FLITE_LIBRARIES)
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
        self.voices = {name: self._voice(name) for name in FLITE_VOICES}

    def _voice(self, name: str) -> Any:
        register = getattr(load_library(f"libflite_cmu_us_{name}.so.1", "flite"), f"register_cmu_us_{name}")
        register.restype, register.argtypes = POINTER, (POINTER,)
        return register(None)

    def _siblings(self, item: Any) -> Iterator[Any]:
        """The item and those after it."""
        while item:
            yield item
            item = self.core.item_next(item)

    def _relation(self, utterance: Any, name: bytes) -> Iterator[Any]:
        """The items of one of the utterance's relations."""
        return self._siblings(self.core.relation_head(self.core.utt_relation(utterance, name)))

    def _end(self, phone: Any) -> float:
        return float(self.core.item_feat_float(phone, b"end"))

    def _word_span(self, token: Any) -> tuple[float, float] | None:
        """Start and end of a written word: of the first and last phone of all spoken words in it."""
        phones = [
            self.core.item_as(phone, b"Segment")
            for word in self._siblings(self.core.item_daughter(token))
            for syllable in self._siblings(self.core.item_daughter(self.core.item_as(word, b"SylStructure")))
            for phone in self._siblings(self.core.item_daughter(syllable))
        ]
        if not phones:
            return None
        before = self.core.item_prev(phones[0])
        return (self._end(before) if before else 0.0), self._end(phones[-1])

    def synthesize(self, voice: str, text: str, stretch: float = 1.0) -> SynthesizedSentence:
        """One sentence; ``stretch`` 1.2 is a fifth slower. Raises `SettingsError` where a word has no times."""
        handle = self.voices[voice]
        features = ctypes.cast(handle, ctypes.POINTER(_Voice)).contents.features
        self.core.feat_set_float(features, b"duration_stretch", stretch)
        utterance = self.core.flite_synth_text(text.encode(), handle)
        wave = ctypes.cast(self.core.utt_wave(utterance), ctypes.POINTER(_Wave)).contents
        samples = np.asarray(np.ctypeslib.as_array(wave.samples, (wave.length,)) / 32768, np.float32)
        phones = [
            (self.core.item_feat_string(item, b"name").decode(), self._end(item))
            for item in self._relation(utterance, b"Segment")
        ]
        spans = [self._word_span(item) for item in self._relation(utterance, b"Token")]
        self.core.delete_utterance(utterance)
        written = text.split()
        if len(spans) != len(written) or None in spans:
            raise SettingsError(f"flite does not speak {text!r} word by word")
        # The diphone voice ends a little earlier than its own plan says.
        planned_seconds = phones[-1][1]
        scale = min(len(samples) / RATE / planned_seconds, 1.0)
        words = tuple(
            TimedLabel(word, span[0] * scale, span[1] * scale)
            for word, span in zip(written, spans, strict=True)
            if span is not None
        )
        starts = [0.0, *(end for _, end in phones)]
        timed_phones = tuple(
            TimedLabel(name, start * scale, end * scale) for start, (name, end) in zip(starts, phones, strict=False)
        )
        return SynthesizedSentence(voice, samples, words, timed_phones)


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

WORD_EVENT = 1
END_EVENT = 5
"""Types of espeak-ng's events: the start of a word, the end of a clause."""


@dataclass(frozen=True, slots=True)
class _EspeakEvent:
    """An event of espeak-ng: its type, its 1-based position in the text, and its time in seconds."""

    type: int
    position: int
    seconds: float


@dataclass(slots=True)
class Espeak:
    """espeak-ng's formant voices, synthesized in this process; the library has one state, so make only one instance."""

    core: ctypes.CDLL = field(init=False)
    rate: int = field(init=False)
    chunks: list[Samples] = field(init=False, default_factory=list)
    events: list[_EspeakEvent] = field(init=False, default_factory=list)
    callback: Any = field(init=False)

    def __post_init__(self) -> None:
        self.core = load_library("libespeak-ng.so.1", "espeak-ng")
        self.rate = self.core.espeak_Initialize(2, 0, None, 0)
        if self.rate <= 0:
            raise MissingDependency("training", "espeak-ng finds no voices: apt install espeak-ng-data")
        self.callback = CALLBACK(self._receive)
        self.core.espeak_SetSynthCallback(self.callback)

    def _receive(self, samples: Any, count: int, events: Any) -> int:
        if samples and count:
            self.chunks.append(np.asarray(np.ctypeslib.as_array(samples, (count,)) / 32768, np.float32))
        index = 0
        while events[index].type != 0:
            event = events[index]
            self.events.append(_EspeakEvent(event.type, event.position, event.milliseconds / 1000))
            index += 1
        return 0

    def synthesize(self, voice: str, text: str, stretch: float = 1.0) -> SynthesizedSentence:
        """One sentence; ``stretch`` 1.2 is a fifth slower."""
        self.chunks.clear()
        self.events.clear()
        self.core.espeak_SetVoiceByName(voice.encode())
        self.core.espeak_SetParameter(1, round(160 / stretch), 0)
        data = text.encode()
        self.core.espeak_Synth(data, len(data) + 1, 0, 1, 0, 1, None, None)
        self.core.espeak_Synchronize()
        samples = np.asarray(resample_poly(np.concatenate(self.chunks), RATE, self.rate), np.float32)
        return SynthesizedSentence(voice, samples, self._timed_words(text, len(samples) / RATE), ())

    def _timed_words(self, text: str, duration: float) -> tuple[TimedLabel, ...]:
        """The text's words; words that espeak-ng speaks as one ("of the") share its time equally."""
        start_by_offset = {event.position - 1: event.seconds for event in self.events if event.type == WORD_EVENT}
        boundaries = sorted(event.seconds for event in self.events if event.type in (WORD_EVENT, END_EVENT))
        boundaries.append(duration)
        groups: list[tuple[float, list[str]]] = []
        offset = 0
        for word in text.split():
            if offset in start_by_offset or not groups:
                groups.append((start_by_offset.get(offset, 0.0), [word]))
            else:
                groups[-1][1].append(word)
            offset += len(word) + 1
        timed = []
        for start, group in groups:
            end = next(seconds for seconds in boundaries if seconds > start or seconds == duration)
            step = (end - start) / len(group)
            timed += [
                TimedLabel(word, start + index * step, start + (index + 1) * step) for index, word in enumerate(group)
            ]
        return tuple(timed)
