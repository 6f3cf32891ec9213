"""Benchmark of how far words can be trusted: their times, and words where nobody speaks.

    python -m meetsplit.benchmarks.words --what word-times [--utterances 120] [--write]
    python -m meetsplit.benchmarks.words --what ghosts [--minutes 60] [--write]

``word-times``: turns of one to three sentences in flite's voices, over noise 40 dB below them. Flite says when each
word begins and ends, and no sentence was in the training of the miniature Whisper of ``tests/models``. Words are paired
with the spoken ones by the fewest edits; only equal ones are compared. Needs flite.

``ghosts``: sound in which nobody speaks, in clips of 28 seconds as those of one speaker. Every word is a ghost. The
idle tail is that of a meeting: the sample meeting and then only its room, through the whole pipeline. Five minutes at
most are of a tune that moves as syllables do, which only the models' own doubts are left against.
"""

from __future__ import annotations

import re
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import partial
from pathlib import Path

import numpy as np

from meetsplit.benchmarks.report_page import argument_parser, command_line, publish
from meetsplit.pipeline.audio.reading import read, write_wav
from meetsplit.pipeline.data import Audio, Samples, Span, Word
from meetsplit.pipeline.events import ignore_events
from meetsplit.pipeline.protocols import Transcriber
from meetsplit.pipeline.settings import Settings

RATE = 16000
"""Samples per second of all sound here."""

NOISE = 10 ** (-40 / 20)
"""Level of the noise under the turns, relative to the speech."""

CLIP = 28.0
"""Seconds of a clip, as `RegionOptions.longest`."""

TARGET = (0.080, 0.250)
"""Seconds that the median and the 95th percentile of the errors shall not exceed."""

LIVELY_MINUTES = 5.0
"""Minutes of music that moves as syllables do, at most: all of it is decoded."""

SAMPLE = Path(__file__).parents[1] / "sample_data"
VOCABULARY = Path(__file__).parents[1] / "training" / "vocabulary.txt"
TEST_MODEL = Path(__file__).parents[1] / "tests" / "models" / "mini-whisper.safetensors"


@dataclass(frozen=True, slots=True, eq=False)
class Spoken:
    """A turn in a synthetic voice with its words, on the turn's clock."""

    audio: Audio
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class TimeErrors:
    """Seconds by which the starts and ends of the understood words are off, of so many ``spoken`` ones."""

    starts: tuple[float, ...]
    ends: tuple[float, ...]
    spoken: int


def spoken_turns(count: int, seed: int = 0) -> list[Spoken]:
    """Turns in flite's voices, always the same; raises `MissingDependency` without flite."""
    from meetsplit.training.mini_whisper.corpus import HELD_OUT_SHARE
    from meetsplit.training.mini_whisper.sentences import sentence_generator
    from meetsplit.training.mini_whisper.voices import Flite
    from meetsplit.training.speech import FLITE_VOICES

    rng, flite = np.random.default_rng(seed), Flite()
    generator = sentence_generator(SAMPLE / "standup.txt", VOCABULARY)

    def unseen() -> str:
        while True:
            text = generator.sentence(rng)
            if text not in generator.speakers and zlib.crc32(text.encode()) % 1000 < HELD_OUT_SHARE * 1000:
                return text

    turns: list[Spoken] = []
    for number in range(count):
        voice = FLITE_VOICES[number % len(FLITE_VOICES)]
        words: list[Word] = []
        parts: list[Samples] = [np.zeros(round(float(rng.uniform(0.1, 0.3)) * RATE), np.float32)]
        for _ in range(int(rng.integers(1, 4))):
            sentence = flite.synthesize(voice, unseen())
            at = sum(map(len, parts)) / RATE
            words += (Word(Span(at + word.start, at + word.end), word.text) for word in sentence.words)
            parts += [sentence.samples, np.zeros(round(float(rng.uniform(0.05, 0.6)) * RATE), np.float32)]
        samples = np.concatenate(parts)
        level = NOISE * float(np.sqrt(np.mean(samples**2)))
        noisy = samples + np.float32(level) * rng.standard_normal(len(samples), np.float32)
        turns.append(Spoken(Audio(noisy.astype(np.float32), RATE), tuple(words)))
    return turns


def time_errors(transcriber: Transcriber, turns: Sequence[Spoken]) -> TimeErrors:
    """How far the transcriber's word times are from the true ones."""
    starts, ends = list[float](), list[float]()
    answers = transcriber.transcribe((turn.audio for turn in turns), ignore_events)
    for turn, answer in zip(turns, answers, strict=True):
        for true, word in paired(turn.words, answer.words):
            starts.append(abs(word.start - true.start))
            ends.append(abs(word.end - true.end))
    return TimeErrors(tuple(starts), tuple(ends), sum(len(turn.words) for turn in turns))


def paired(true: Sequence[Word], words: Sequence[Word]) -> Iterator[tuple[Word, Word]]:
    """The pairs of equal words, in order; case and punctuation do not count."""
    a, b = ([re.sub(r"[^a-z0-9']", "", word.text.lower()) for word in own] for own in (true, words))
    for first, second, size in SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks():
        yield from zip(true[first : first + size], words[second : second + size], strict=True)


def transcribers() -> Iterator[tuple[str, Transcriber]]:
    """The miniature Whisper, and sphinx, by their names in the table."""
    from meetsplit.pipeline.transcribers.sphinx import SphinxTranscriber

    yield "whisper, miniature model", mini_whisper()
    yield "sphinx", SphinxTranscriber.load(Settings(), {}, "cpu")


def mini_whisper() -> Transcriber:
    """The transcriber `whisper` with the miniature model of the tests."""
    import torch

    from meetsplit.pipeline.transcribers.whisper import WhisperTranscriber
    from meetsplit.training.mini_whisper.model import to_openai_checkpoint

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mini.pt"
        torch.save(to_openai_checkpoint(TEST_MODEL), path)
        return WhisperTranscriber.load(Settings(language="en", model=str(path)), {"model": path}, "cpu")


def word_times_table(turns: Sequence[Spoken]) -> Iterator[str]:
    """One line per transcriber."""
    minutes = sum(turn.audio.duration for turn in turns) / 60
    yield f"{len(turns)} turns, {minutes:.1f} minutes, {sum(len(turn.words) for turn in turns)} words."
    yield ""
    yield "| transcriber | words understood | start: median, s | 95 % | end: median, s | 95 % | target met |"
    yield "|---|--:|--:|--:|--:|--:|---|"
    for name, transcriber in transcribers():
        errors = time_errors(transcriber, turns)
        figures = [float(np.percentile(of, share)) for of in (errors.starts, errors.ends) for share in (50, 95)]
        met = "yes" if figures[2] <= TARGET[0] and figures[3] <= TARGET[1] else "no"
        shown = " | ".join(f"{figure:.3f}" for figure in figures)
        yield f"| {name} | {len(errors.ends)} of {errors.spoken} | {shown} | {met} |"


def sounds(seconds: float) -> Iterator[tuple[str, Iterator[Samples]]]:
    """Sound in which nobody speaks, by name: parts of `CLIP` seconds, made when they are asked for."""
    count = max(1, round(seconds / CLIP))
    size = round(CLIP * RATE)
    yield "silence", (np.zeros(size, np.float32) for _ in range(count))
    yield "silence of a recorder (its last bit)", (_noise(n, size, 0.0) * np.float32(3e-5) for n in range(count))
    for name, slope, level in (("white noise", 0.0, 0.1), ("faint white noise", 0.0, 0.003), ("brown noise", 1.0, 0.1)):
        yield name, (_noise(n, size, slope) * np.float32(level) for n in range(count))
    yield "hum of the mains", (_chord(size, (50.0, 100.0, 150.0, 250.0)) for _ in range(count))
    yield "chords of two seconds", (music(n, size, note=2.0) for n in range(count))
    yield "melody, four notes a second", (music(n, size, note=0.25) for n in range(count))


def _noise(seed: int, size: int, slope: float) -> Samples:
    """Noise of power 1 whose amplitude falls with frequency to the power of ``slope``."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(size))
    noise = np.fft.irfft(spectrum / np.maximum(np.fft.rfftfreq(size, 1 / RATE), 50.0) ** slope, size)
    return np.asarray(noise / np.sqrt(np.mean(noise**2)), np.float32)


def _chord(size: int, frequencies: Sequence[float]) -> Samples:
    times = np.arange(size) / RATE
    return np.asarray(0.1 * sum(np.sin(2 * np.pi * f * times) for f in frequencies), np.float32)


def music(seed: int, size: int, *, note: float) -> Samples:
    """Notes of ``note`` seconds, three at once, with overtones, struck and fading as those of a piano."""
    rng = np.random.default_rng(seed)
    length = round(note * RATE)
    times = np.arange(length) / RATE
    envelope = np.minimum(times / 0.01, 1.0) * np.exp(-times / note)
    parts = []
    for _ in range(-(-size // length)):
        pitches = 220.0 * 2 ** (rng.choice(24, 3, replace=False) / 12)
        voices = (np.sin(2 * np.pi * k * f * times) / k**1.5 for f in pitches for k in range(1, 9))
        parts.append(0.1 * envelope * sum(voices))
    return np.concatenate(parts)[:size].astype(np.float32)


def lively_music(seed: int, size: int) -> Samples:
    """Five notes a second that glide and fade, loud and soft in turn, some with a drum."""
    rng = np.random.default_rng(seed)
    length = round(0.2 * RATE)
    times = np.arange(length) / RATE
    parts = []
    for _ in range(-(-size // length)):
        pitch = rng.uniform(150, 400) * 2 ** (rng.uniform(-1, 1) * times / 0.2)
        phase = 2 * np.pi * np.cumsum(pitch) / RATE
        envelope = np.minimum(times / 0.02, 1.0) * np.exp(-times / rng.uniform(0.05, 0.3))
        tone = sum(np.sin(k * phase) / k ** rng.uniform(0.5, 2.0) for k in range(1, 12))
        drum = rng.standard_normal(length) * np.exp(-times / 0.03) * rng.choice([0.0, 0.0, 1.0])
        parts.append(0.1 * rng.choice([0.05, 0.5, 1.0]) * envelope * tone + 0.1 * drum)
    return np.concatenate(parts)[:size].astype(np.float32)


def ghosts_table(minutes: float, tail_minutes: float) -> Iterator[str]:
    """One line per sound, with a column per transcriber."""
    backends = dict(transcribers())
    yield f"Words in {minutes:g} minutes of each sound ({tail_minutes:g} minutes of idle tail), and seconds it took."
    yield ""
    yield "| sound | " + " | ".join(backends) + " |"
    yield "|---|" + "--:|" * len(backends)
    lively_minutes = min(minutes, LIVELY_MINUTES)
    for name, make_parts in (
        *((name, partial(_parts_of, name, 60 * minutes)) for name, _ in sounds(0.0)),
        (f"gliding notes and drums, {lively_minutes:g} minutes", partial(_lively_parts, 60 * lively_minutes)),
    ):
        cells = []
        for transcriber in backends.values():
            began = time.perf_counter()
            parts = make_parts()
            clips = (Audio(part, RATE, CLIP * place) for place, part in enumerate(parts))
            words = sum(len(answer.words) for answer in transcriber.transcribe(clips, ignore_events))
            cells.append(f"{words} ({time.perf_counter() - began:.0f} s)")
        yield f"| {name} | {' | '.join(cells)} |"
    tails = _in_the_tail(list(backends.values()), tail_minutes)
    yield f"| idle tail of the sample meeting | {' | '.join(tails)} |"


def _parts_of(sound: str, seconds: float) -> Iterator[Samples]:
    return dict(sounds(seconds))[sound]


def _lively_parts(seconds: float) -> Iterator[Samples]:
    return (lively_music(number, round(CLIP * RATE)) for number in range(max(1, round(seconds / CLIP))))


def _in_the_tail(backends: Sequence[Transcriber], minutes: float) -> Iterator[str]:
    """Words after the end of the sample meeting where only its room is left, by the whole pipeline; its turns are found
    once, in the time of the first transcriber."""
    from meetsplit.pipeline.cache.stage_cache import StageCache
    from meetsplit.pipeline.run import Pipeline

    meeting = read(SAMPLE / "standup.m4a", RATE)
    settings = Settings(diarizer="embedded", separate="off", transcriber="sphinx", device="cpu", offline=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tail.wav"
        room = np.float32(2e-3) * _noise(0, round(60 * minutes * RATE), 0.5)
        write_wav(path, Audio(np.concatenate([meeting.samples, room]), RATE))
        for transcriber in backends:
            began = time.perf_counter()
            for other in Path(folder).glob("transcribe-*.json"):
                other.unlink()  # of the transcriber before: it goes by the same name
            run = Pipeline(settings, loaded={"transcriber": transcriber}).open(path, StageCache(Path(folder)))
            words = [word for segment in run.transcript().segments for word in segment.words]
            late = sum(word.start > meeting.duration + 0.5 for word in words)
            yield f"{late} ({time.perf_counter() - began:.0f} s)"


def main() -> None:
    """Measure, print, and put into the page with ``--write``."""
    parser = argument_parser(__doc__)
    parser.add_argument("--what", choices=("word-times", "ghosts"), required=True)
    parser.add_argument("--utterances", type=int, default=120)
    parser.add_argument("--minutes", type=float, default=60.0, help="of every sound without speech")
    parser.add_argument("--tail", type=float, default=20.0, help="minutes of the idle tail")
    args = parser.parse_args()
    lines = (
        word_times_table(spoken_turns(args.utterances))
        if args.what == "word-times"
        else (ghosts_table(args.minutes, args.tail))
    )
    publish(args.what, "\n".join(lines), command_line("words"), into_page=args.write)


if __name__ == "__main__":
    main()
