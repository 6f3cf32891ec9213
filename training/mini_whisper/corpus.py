"""The miniature Whisper's speech: thousands of synthesized sentences with word times, kept in a folder of shards."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from meetsplit.training.mini_whisper.sentences import Phrasebook
from meetsplit.training.mini_whisper.voices import ESPEAK, RATE, Espeak, Flite, Spoken, Timed
from meetsplit.training.speech import VOICES

SHARD = 250
"""Sentences in one file."""

ESPEAK_SHARE = 0.12
HELD_OUT = 0.04
"""The share of sentences that are never trained on, by a hash of their text."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one sentence lies in the corpus, and what is said in it."""

    shard: int
    first: int
    length: int
    voice: str
    words: tuple[Timed, ...]
    phones: tuple[Timed, ...]

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
    """All sentences; the sound stays on disk until it is asked for."""

    shards: tuple[np.ndarray[tuple[int], np.dtype[np.int16]], ...]
    places: tuple[Place, ...]

    def spoken(self, place: Place) -> Spoken:
        """The sound of a sentence, with its words and phones."""
        pcm = self.shards[place.shard][place.first : place.first + place.length]
        return Spoken(place.voice, np.asarray(pcm / np.float32(32768), np.float32), place.words, place.phones)


def held_out(book: Phrasebook, place: Place) -> bool:
    """Whether a sentence is kept away from training.

    A sentence of the dialogue is, in the voice that speaks it there, so that no model is tested on a recording that it
    knows; of all others, `HELD_OUT`.
    """
    if place.text in book.owners:
        return place.voice in book.owners[place.text]
    return zlib.crc32(place.text.encode()) % 1000 < HELD_OUT * 1000


def speak(book: Phrasebook, rng: np.random.Generator, flite: Flite, espeak: Espeak) -> Spoken:
    """A random sentence in a random voice at a random pace; flite's own pace half of the time."""
    stretch = 1.0 if rng.random() < 0.5 else float(rng.uniform(0.85, 1.2))
    if rng.random() < ESPEAK_SHARE:
        return espeak.say(str(rng.choice(ESPEAK)), book.sentence(rng), stretch)
    return flite.say(str(rng.choice(VOICES)), book.sentence(rng), stretch)


def _row(spoken: Spoken) -> dict[str, object]:
    return {
        "voice": spoken.voice,
        "length": len(spoken.samples),
        "words": [(w.text, round(w.start, 3), round(w.end, 3)) for w in spoken.words],
        "phones": [(p.text, round(p.start, 3), round(p.end, 3)) for p in spoken.phones],
    }


def _write(path: Path, sentences: Sequence[Spoken]) -> None:
    pcm = np.concatenate([np.clip(np.rint(s.samples * 32768), -32768, 32767).astype(np.int16) for s in sentences])
    fresh = path.with_suffix(".part.npy")
    np.save(fresh, pcm)
    path.with_suffix(".json").write_text(json.dumps([_row(s) for s in sentences]), "utf-8")
    os.replace(fresh, path)


def synthesized(folder: Path, book: Phrasebook, *, sentences: int, seed: int) -> Iterator[int]:
    """Speaks what is still missing of the corpus, and yields the number of sentences after each shard.

    Each shard depends on the seed and its own number alone: a corpus that was interrupted goes on where it stopped.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [n for n in range(-(-sentences // SHARD)) if not (folder / f"{n:04d}.npy").exists()]
    if not missing:
        return
    flite, espeak = Flite(), Espeak()
    for number in missing:
        rng = np.random.default_rng((seed, number))
        _write(folder / f"{number:04d}.npy", [speak(book, rng, flite, espeak) for _ in range(SHARD)])
        yield (number + 1) * SHARD


def opened(folder: Path, sentences: int) -> Corpus:
    """The corpus in a folder, its sound mapped from disk."""
    shards, places = [], []
    for number in range(-(-sentences // SHARD)):
        path = folder / f"{number:04d}.npy"
        shards.append(np.load(path, mmap_mode="r"))
        first = 0
        for row in json.loads(path.with_suffix(".json").read_text("utf-8")):
            words = tuple(Timed(*w) for w in row["words"])
            places.append(
                Place(number, first, row["length"], row["voice"], words, tuple(Timed(*p) for p in row["phones"]))
            )
            first += row["length"]
    return Corpus(tuple(shards), tuple(places))
