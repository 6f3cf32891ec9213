"""The transcriber `sphinx`: pocketsphinx with the English model in its wheel; needs no download, and is rough.

D. Huggins-Daines et al., "PocketSphinx: a free, real-time continuous speech recognition system for hand-held devices",
ICASSP 2006: phonetically tied mixtures over MFCC, a trigram language model, three passes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from meetsplit.pipeline.audio.reading import pcm16
from meetsplit.pipeline.data import Audio, ClipTranscript, DroppedText, Word
from meetsplit.pipeline.errors import MissingDependency, SettingsError
from meetsplit.pipeline.events import EventListener
from meetsplit.pipeline.settings import Settings
from meetsplit.pipeline.transcribers.hallucinations import (
    MIN_CLIP_SECONDS,
    RawWord,
    guard_words,
    trim_silence,
    without_voice,
)
from meetsplit.pipeline.transcribers.voicing import VoiceEvidence

RATE = 16000
"""The rate in Hz of the model's training speech."""

FRAMES_PER_SECOND = 100
"""The decoder counts time in frames of 10 ms."""

TARGET_PEAK = 0.8
"""Peak to which every clip is scaled, so that a quiet speaker is not lost in 16-bit steps."""

MAX_GAIN = 100.0
"""Amplification beyond 40 dB would turn the recorder's own noise into speech."""

DITHER = 1e-3
"""Noise at -60 dB of full scale under the whole clip: the logarithm of exact silence would throw the features off, and
the holes that a separator's masks leave in a spectrum are unlike the model's training speech."""

PADDING = 0.3
"""Seconds of such noise on both sides of a clip: the decoder loses words that begin or end with the sound."""

NON_WORD = re.compile(r"^(<.*>|\[.*\]|\+\+.*\+\+)$")
"""The decoder's marks for sentence edges, silences and noises."""

PRONUNCIATION_VARIANT = re.compile(r"\(\d+\)$")
"""The dictionary's mark for a second pronunciation of the same word."""


class SphinxTranscriber:
    """A `Transcriber` of US English, with times and posterior probabilities; each clip is decoded on its own.

    The cepstral mean is taken over the whole clip, not carried from clip to clip: the words of a clip depend on it
    only.
    """

    rate = RATE

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder

    @classmethod
    def load(cls, settings: Settings, weights: Mapping[str, Path], device: str) -> Self:
        """From the model inside the installed wheel; ``weights`` and ``device`` are not used."""
        if settings.language is not None and settings.language.strip().lower() not in {"en", "english"}:
            raise SettingsError(f"--language {settings.language}: sphinx knows English only: use --transcriber whisper")
        if settings.task == "translate":
            raise SettingsError("--task translate: sphinx writes down English only: use --transcriber whisper")
        try:
            import pocketsphinx
        except ModuleNotFoundError as error:
            missing = "the transcriber sphinx needs the Python package 'pocketsphinx': pip install 'meetsplit[offline]'"
            raise MissingDependency("transcribe", missing) from error
        return cls(pocketsphinx.Decoder(samprate=RATE, loglevel="FATAL"))

    def transcribe(self, clips: Iterable[Audio], on_event: EventListener) -> Iterator[ClipTranscript]:
        """One answer per clip, in order, as each is asked for."""
        for clip in clips:
            sound = trim_silence(clip)
            if sound.duration < MIN_CLIP_SECONDS:
                yield ClipTranscript((), "en")
            elif (evidence := VoiceEvidence(sound)).anywhere:
                words, dropped = self._words(sound, evidence)
                yield ClipTranscript(words, "en", dropped)
            else:
                yield ClipTranscript((), "en", without_voice(sound))

    def _words(self, clip: Audio, evidence: VoiceEvidence) -> tuple[tuple[Word, ...], tuple[DroppedText, ...]]:
        decoder = self._decoder
        decoder.start_utt()
        decoder.process_raw(_decoder_input(clip), no_search=False, full_utt=True)
        decoder.end_utt()
        segments = () if decoder.hyp() is None else decoder.seg()
        raw_words = [_raw_word(segment) for segment in segments if not NON_WORD.match(segment.word)]
        return guard_words(raw_words, clip, evidence)


def _decoder_input(clip: Audio) -> bytes:
    """16-bit samples of the clip at `TARGET_PEAK`, over faint noise, with `PADDING` seconds of it on both sides."""
    gain = min(TARGET_PEAK / max(float(np.abs(clip.samples).max()), 1e-9), MAX_GAIN)
    padded = np.pad(clip.samples * np.float32(gain), round(PADDING * clip.rate))
    noise = np.random.default_rng(0).standard_normal(len(padded), np.float32)
    return pcm16(padded + noise * np.float32(DITHER))


def _raw_word(segment: Any) -> RawWord:
    """A segment of the decoder as a word, with its times in the clip."""
    start, end = segment.start_frame / FRAMES_PER_SECOND, (segment.end_frame + 1) / FRAMES_PER_SECOND
    return RawWord(start - PADDING, end - PADDING, _spelling(segment.word), segment.prob)


def _spelling(word: str) -> str:
    """A word of the pronunciation dictionary as it is written.

    >>> _spelling("read(2)"), _spelling("i'm")
    ('read', "I'm")
    """
    plain = PRONUNCIATION_VARIANT.sub("", word)
    return "I" + plain[1:] if re.match(r"i('|$)", plain) else plain
