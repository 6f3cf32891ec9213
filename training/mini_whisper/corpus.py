"""The miniature Whisper's corpus: thousands of synthesized sentences with word times, in a folder of shards."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from meetsplit.training.mini_whisper.sentences import SentenceGenerator
from meetsplit.training.mini_whisper.voices import (
    ESPEAK_VOICES,
    RATE,
    Espeak,
    Flite,
    SynthesizedSentence,
    TimedLabel,
)
from meetsplit.training.speech import FLITE_VOICES

SHARD_SIZE = 250
"""Sentences in one file."""

ESPEAK_SHARE = 0.12
"""The share of sentences in espeak-ng's voices; the others are in flite's."""

HELD_OUT_SHARE = 0.04
"""The share of sentences that are never trained on, by a hash of their text."""


@dataclass(frozen=True, slots=True)
class CorpusEntry:
    """One sentence of the corpus: its samples' place in a shard, its voice, words and phones."""

    shard: int
    first: int
    length: int
    voice: str
    words: tuple[TimedLabel, ...]
    phones: tuple[TimedLabel, ...]

    @property
    def text(self) -> str:
        """The sentence as it is written."""
        return " ".join(word.text for word in self.words)

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.length / RATE


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """All sentences; their samples are memory-mapped."""

    shards: tuple[np.ndarray[tuple[int], np.dtype[np.int16]], ...]
    entries: tuple[CorpusEntry, ...]

    def read(self, entry: CorpusEntry) -> SynthesizedSentence:
        """The sentence with its samples."""
        pcm = self.shards[entry.shard][entry.first : entry.first + entry.length]
        samples = np.asarray(pcm / np.float32(32768), np.float32)
        return SynthesizedSentence(entry.voice, samples, entry.words, entry.phones)


def is_held_out(generator: SentenceGenerator, entry: CorpusEntry) -> bool:
    """Whether a sentence is excluded from training.

    A sentence of the dialogue is, in the voice that speaks it there, so that the test recording is not trained on; of
    all others, `HELD_OUT_SHARE`.
    """
    if entry.text in generator.speakers:
        return entry.voice in generator.speakers[entry.text]
    return zlib.crc32(entry.text.encode()) % 1000 < HELD_OUT_SHARE * 1000


def synthesize_random(
    generator: SentenceGenerator, rng: np.random.Generator, flite: Flite, espeak: Espeak
) -> SynthesizedSentence:
    """A random sentence in a random voice at a random pace; half of the time at the voice's own pace."""
    stretch = 1.0 if rng.random() < 0.5 else float(rng.uniform(0.85, 1.2))
    if rng.random() < ESPEAK_SHARE:
        return espeak.synthesize(str(rng.choice(ESPEAK_VOICES)), generator.sentence(rng), stretch)
    return flite.synthesize(str(rng.choice(FLITE_VOICES)), generator.sentence(rng), stretch)


def _row(sentence: SynthesizedSentence) -> dict[str, object]:
    return {
        "voice": sentence.voice,
        "length": len(sentence.samples),
        "words": [(word.text, round(word.start, 3), round(word.end, 3)) for word in sentence.words],
        "phones": [(phone.text, round(phone.start, 3), round(phone.end, 3)) for phone in sentence.phones],
    }


def _write_shard(path: Path, sentences: Sequence[SynthesizedSentence]) -> None:
    pcm = np.concatenate(
        [np.clip(np.rint(sentence.samples * 32768), -32768, 32767).astype(np.int16) for sentence in sentences]
    )
    part = path.with_suffix(".part.npy")
    np.save(part, pcm)
    path.with_suffix(".json").write_text(json.dumps([_row(sentence) for sentence in sentences]), "utf-8")
    os.replace(part, path)


def _shard_paths(folder: Path, sentences: int) -> list[Path]:
    return [folder / f"{number:04d}.npy" for number in range(-(-sentences // SHARD_SIZE))]


def synthesize(folder: Path, generator: SentenceGenerator, *, sentences: int, seed: int) -> Iterator[int]:
    """Synthesize the missing shards of the corpus; yields the number of sentences after each.

    Each shard depends on the seed and its own number alone, so an interrupted synthesis is resumed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [(number, path) for number, path in enumerate(_shard_paths(folder, sentences)) if not path.exists()]
    if not missing:
        return
    flite, espeak = Flite(), Espeak()
    for number, path in missing:
        rng = np.random.default_rng((seed, number))
        _write_shard(path, [synthesize_random(generator, rng, flite, espeak) for _ in range(SHARD_SIZE)])
        yield (number + 1) * SHARD_SIZE


def load_corpus(folder: Path, sentences: int) -> Corpus:
    """The corpus in a folder, its samples memory-mapped."""
    shards, entries = [], []
    for number, path in enumerate(_shard_paths(folder, sentences)):
        shards.append(np.load(path, mmap_mode="r"))
        first = 0
        for row in json.loads(path.with_suffix(".json").read_text("utf-8")):
            words = tuple(TimedLabel(*word) for word in row["words"])
            phones = tuple(TimedLabel(*phone) for phone in row["phones"])
            entries.append(CorpusEntry(number, first, row["length"], row["voice"], words, phones))
            first += row["length"]
    return Corpus(tuple(shards), tuple(entries))
