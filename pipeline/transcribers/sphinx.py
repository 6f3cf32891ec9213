"""pocketsphinx with the English model in its wheel: works at once and anywhere, and is rough.

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
from meetsplit.pipeline.data import Audio, ClipTranscript, Word
from meetsplit.pipeline.errors import MissingDependency, SettingsError
from meetsplit.pipeline.events import EventListener
from meetsplit.pipeline.settings import Settings
from meetsplit.pipeline.transcribers.hallucinations import Claim, audible, trustworthy

RATE = 16000
"""The rate in Hz of the model's training speech."""

FRAMES_PER_SECOND = 100
"""The decoder counts time in frames of 10 ms."""

SHORTEST = 0.1
"""Clips shorter than this, in seconds, hold no word and are not decoded."""

LOUDEST = 0.8
"""Peak to which every clip is brought, so that a quiet talker is not lost in 16-bit steps."""

MOST_GAIN = 100.0
"""Amplification beyond 40 dB would turn the recorder's own noise into speech."""

DITHER = 1e-3
"""Noise at -60 dB of full scale under the whole clip: the logarithm of exact silence would throw the features off, and
the holes that a separator's masks leave in a spectrum sound like nothing that the model ever heard."""

PAD = 0.3
"""Seconds of such noise put on both sides of a clip: the decoder loses words that begin or end with the sound."""

NO_WORD = re.compile(r"^(<.*>|\[.*\]|\+\+.*\+\+)$")
"""Sentence edges, silences, noises."""

ALTERNATE = re.compile(r"\(\d+\)$")
"""The dictionary's mark for a second pronunciation of the same word."""


class SphinxTranscriber:
    """US English words with times and posterior probabilities; each clip is decoded on its own.

    The clip's cepstral mean is taken over the whole clip, not carried from clip to clip: an answer depends on its clip
    only.
    """

    rate = RATE

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder

    @classmethod
    def load(cls, settings: Settings, weights: Mapping[str, Path], device: str) -> Self:
        """From the model inside the installed wheel; ``weights`` and ``device`` do not matter."""
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
            sound = audible(clip)
            yield ClipTranscript(self._words(sound) if sound.duration >= SHORTEST else (), "en")

    def _words(self, clip: Audio) -> tuple[Word, ...]:
        decoder = self._decoder
        decoder.start_utt()
        decoder.process_raw(_levelled(clip), no_search=False, full_utt=True)
        decoder.end_utt()
        found = () if decoder.hyp() is None else decoder.seg()
        return trustworthy((_claim(part) for part in found if not NO_WORD.match(part.word)), clip)


def _levelled(clip: Audio) -> bytes:
    """What the decoder gets: the clip at its level, with `PAD` seconds of faint noise around it."""
    gain = min(LOUDEST / max(float(np.abs(clip.samples).max()), 1e-9), MOST_GAIN)
    padded = np.pad(clip.samples * np.float32(gain), round(PAD * clip.rate))
    noise = np.random.default_rng(0).standard_normal(len(padded), np.float32)
    return pcm16(padded + noise * np.float32(DITHER))


def _claim(part: Any) -> Claim:
    start, end = part.start_frame / FRAMES_PER_SECOND, (part.end_frame + 1) / FRAMES_PER_SECOND
    return Claim(start - PAD, end - PAD, _spelled(part.word), part.prob)


def _spelled(word: str) -> str:
    """The dictionary's word as it is written.

    >>> _spelled("read(2)"), _spelled("i'm")
    ('read', "I'm")
    """
    plain = ALTERNATE.sub("", word)
    return "I" + plain[1:] if re.match(r"i('|$)", plain) else plain
