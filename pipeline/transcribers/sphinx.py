"""The transcriber `sphinx`: pocketsphinx with the English model in its wheel; needs no download, and is rough.

D. Huggins-Daines et al., "PocketSphinx: a free, real-time continuous speech recognition system for hand-held devices",
ICASSP 2006: phonetically tied mixtures over MFCC, a trigram language model, three passes.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import IO, NamedTuple, Self, cast

import numpy as np

from meetsplit.pipeline.audio.reading import pcm16
from meetsplit.pipeline.data import Audio, ClipTranscript
from meetsplit.pipeline.errors import MissingDependency, SettingsError, StageError
from meetsplit.pipeline.events import EventListener
from meetsplit.pipeline.models.device import processors
from meetsplit.pipeline.settings import Settings
from meetsplit.pipeline.transcribers.hallucinations import (
    MIN_CLIP_SECONDS,
    RawWord,
    guard_words,
    trim_silence,
    without_voice,
)
from meetsplit.pipeline.transcribers.sphinx_worker import RATE, SIZE_BYTES
from meetsplit.pipeline.transcribers.voicing import VoiceEvidence

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


MOST_DECODERS = 4
"""Decoders at once, at most: each takes about 0.1 GiB."""

CLIPS_AHEAD = 2
"""Clips for each decoder that are read ahead: none waits while another has a long clip."""


class SphinxTranscriber:
    """A `BatchTranscriber` of US English, with times and posterior probabilities; each clip is decoded on its own.

    The cepstral mean is taken over the whole clip, not carried from clip to clip: the words of a clip depend on it
    only. Decoders are processes of their own, see `sphinx_worker`, up to ``decoders`` at once: each takes the next
    clip. They start with the first clips and end with this object.
    """

    rate = RATE

    def __init__(self, decoders: int = 1) -> None:
        self._count = decoders
        self._idle: deque[_DecoderProcess] = deque()

    @classmethod
    def load(cls, settings: Settings, weights: Mapping[str, Path], device: str) -> Self:
        """From the model inside the installed wheel; ``weights`` and ``device`` are not used.

        As many decoders as ``settings.threads``, or as there are processors, but at most `MOST_DECODERS`.
        """
        if settings.language is not None and settings.language.strip().lower() not in {"en", "english"}:
            raise SettingsError(f"--language {settings.language}: sphinx knows English only: use --transcriber whisper")
        if settings.task == "translate":
            raise SettingsError("--task translate: sphinx writes down English only: use --transcriber whisper")
        try:
            import pocketsphinx  # noqa: F401
        except ModuleNotFoundError as error:
            missing = "the transcriber sphinx needs the Python package 'pocketsphinx': pip install 'meetsplit[offline]'"
            raise MissingDependency("transcribe", missing) from error
        return cls(min(settings.threads or processors(), MOST_DECODERS))

    def transcribe(self, clips: Iterable[Audio], on_event: EventListener) -> Iterator[ClipTranscript]:
        """One answer per clip, in order; up to `CLIPS_AHEAD` clips are read ahead for each decoder."""
        answers: deque[Future[ClipTranscript]] = deque()
        busy = _BusyDecoders()
        with ThreadPoolExecutor(self._count, "sphinx") as pool:
            try:
                for clip in clips:
                    answers.append(pool.submit(self._answer, clip, busy))
                    if len(answers) == CLIPS_AHEAD * self._count:
                        yield answers.popleft().result()
                while answers:
                    yield answers.popleft().result()
            finally:
                # Where this ends early, nobody waits for the clips that are left.
                for answer in answers:
                    answer.cancel()
                busy.kill()

    def transcribe_streams(
        self, streams: Sequence[Iterable[Audio]], on_event: EventListener
    ) -> Iterator[ClipTranscript]:
        """One answer per clip of all streams, see `transcribe`."""
        return self.transcribe(chain.from_iterable(streams), on_event)

    def _answer(self, clip: Audio, busy: _BusyDecoders) -> ClipTranscript:
        sound = trim_silence(clip)
        if sound.duration < MIN_CLIP_SECONDS:
            return ClipTranscript((), "en")
        evidence = VoiceEvidence(sound)
        if not evidence.anywhere:
            return ClipTranscript((), "en", without_voice(sound))
        try:
            decoder = self._idle.pop()
        except IndexError:
            decoder = _DecoderProcess()
        segments = busy.decode(decoder, _decoder_input(sound))
        # One that failed is left out: an answer of its may still be on the way.
        self._idle.append(decoder)
        raw_words = [_raw_word(segment) for segment in segments if not NON_WORD.match(segment.word)]
        words, dropped = guard_words(raw_words, sound, evidence)
        return ClipTranscript(words, "en", dropped)


class _Segment(NamedTuple):
    """What the decoder finds in a stretch: a word or a mark, first and last frame, posterior probability."""

    word: str
    start_frame: int
    end_frame: int
    prob: float


class _DecoderProcess:
    """pocketsphinx in another process, which ends with this object."""

    def __init__(self) -> None:
        # The same packages are found there, wherever this process has them from.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folder for folder in sys.path if folder)}
        command = (sys.executable, "-P", str(Path(__file__).with_name("sphinx_worker.py")))
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment)
        self._sounds, self._answers = cast(IO[bytes], self._process.stdin), cast(IO[bytes], self._process.stdout)
        weakref.finalize(self, _end, self._process)

    def decode(self, sound: bytes) -> list[_Segment]:
        """The segments of one sound. Raises `StageError` where the process ended."""
        try:
            self._sounds.write(len(sound).to_bytes(SIZE_BYTES, "little") + sound)
            self._sounds.flush()
            answer = self._answers.readline()
        except OSError:  # its end of the pipe is closed
            answer = b""
        if not answer.endswith(b"\n"):
            raise StageError("transcribe", self._why_it_ended())
        return [_Segment(*segment) for segment in json.loads(answer)]

    def kill(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()

    def _why_it_ended(self) -> str:
        said = self._process.communicate()[1].decode("utf-8", "replace").strip().splitlines()
        why = f": {said[-1]}" if said else ", perhaps for want of memory"
        return f"pocketsphinx ended with code {self._process.returncode}{why}; run the same command again"


class _BusyDecoders:
    """The decoders that have a clip; after `kill`, no other gets one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._decoders: set[_DecoderProcess] = set()
        self._is_over = False

    def decode(self, decoder: _DecoderProcess, sound: bytes) -> list[_Segment]:
        """`_DecoderProcess.decode`; a `StageError`, too, where the decoder was killed."""
        with self._lock:
            if self._is_over:
                raise StageError("transcribe", "transcribing was stopped")
            self._decoders.add(decoder)
        try:
            return decoder.decode(sound)
        finally:
            with self._lock:
                self._decoders.discard(decoder)

    def kill(self) -> None:
        """End the decoders that have a clip, and with them the threads that wait for their answers."""
        with self._lock:
            self._is_over = True
            for decoder in self._decoders:
                decoder.kill()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    with contextlib.suppress(OSError), process:  # closes its pipes and waits for its end
        pass


def _decoder_input(clip: Audio) -> bytes:
    """16-bit samples of the clip at `TARGET_PEAK`, over faint noise, with `PADDING` seconds of it on both sides."""
    gain = min(TARGET_PEAK / max(float(np.abs(clip.samples).max()), 1e-9), MAX_GAIN)
    padded = np.pad(clip.samples * np.float32(gain), round(PADDING * clip.rate))
    noise = np.random.default_rng(0).standard_normal(len(padded), np.float32)
    return pcm16(padded + noise * np.float32(DITHER))


def _raw_word(segment: _Segment) -> RawWord:
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
