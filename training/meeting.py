"""A simulated meeting and its exact truth: what is performed, and how it is written to files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from meetsplit.pipeline.audio.reading import write_wav
from meetsplit.pipeline.data import Audio, Samples, Span, Speaker, Turn
from meetsplit.pipeline.data.timeline import overlaps, total
from meetsplit.pipeline.errors import OutputError
from meetsplit.training.script import words
from meetsplit.training.speech import Utterance, voiced


@dataclass(frozen=True, slots=True, eq=False)
class Cue:
    """An utterance at its place: ``start`` in seconds on the meeting's clock, ``gain`` a factor on its samples."""

    utterance: Utterance
    start: float
    gain: float = 1.0

    @property
    def end(self) -> float:
        """When its last sample has been played."""
        return self.start + self.utterance.audio.duration


@dataclass(frozen=True, slots=True, order=True)
class Said:
    """The text of one utterance, from its first to its last voiced moment."""

    span: Span
    speaker: Speaker
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Meeting:
    """A recording whose truth is known.

    ``stems`` (one per speaker, of the recording's length and rate) and ``noise`` sum to ``mixture``, unless a codec or a
    telephone came between. ``turns`` are where each person is heard; ``said`` is empty where nobody wrote the words down.
    """

    mixture: Audio
    stems: Mapping[Speaker, Audio]
    noise: Audio
    turns: tuple[Turn, ...]
    said: tuple[Said, ...]


def stems(cues: Sequence[Cue], length: int, rate: int) -> dict[Speaker, Samples]:
    """Each speaker's own track: ``length`` samples at ``rate`` with that person's utterances at their places."""
    tracks: dict[Speaker, Samples] = {}
    for cue in cues:
        track = tracks.setdefault(cue.utterance.speaker, np.zeros(length, np.float32))
        first = round(cue.start * rate)
        sound = cue.utterance.audio.samples[: length - first]
        track[first : first + len(sound)] += np.float32(cue.gain) * sound
    return {speaker: tracks[speaker] for speaker in sorted(tracks)}


def truth(cues: Sequence[Cue]) -> tuple[tuple[Turn, ...], tuple[Said, ...]]:
    """Turns and texts of utterances at their places, by where the dry utterances are voiced."""
    turns: list[Turn] = []
    said: list[Said] = []
    for cue in cues:
        placed = Audio(cue.utterance.audio.samples, cue.utterance.audio.rate, cue.start)
        spans = voiced(placed)
        turns += [Turn(span, cue.utterance.speaker) for span in spans]
        if spans and cue.utterance.text is not None:
            said.append(Said(Span(spans[0].start, spans[-1].end), cue.utterance.speaker, cue.utterance.text))
    return tuple(sorted(turns)), tuple(sorted(said))


def rttm(name: str, turns: Sequence[Turn]) -> str:
    """Turns in NIST's RTTM: one SPEAKER line each, seconds to the millisecond."""
    row = "SPEAKER {} 1 {:.3f} {:.3f} <NA> <NA> {} <NA> <NA>\n"
    return "".join(row.format(name, turn.span.start, turn.span.duration, turn.speaker) for turn in turns)


def stm(name: str, said: Sequence[Said]) -> str:
    """Texts in NIST's STM, in lower case without punctuation: one utterance a line."""
    row = "{} 1 {} {:.3f} {:.3f} {}\n"
    return "".join(row.format(name, s.speaker, s.span.start, s.span.end, " ".join(words(s.text))) for s in said)


def uem(name: str, duration: float) -> str:
    """The scored region in NIST's UEM: all of it."""
    return f"{name} 1 0.000 {duration:.3f}\n"


def overlap(turns: Sequence[Turn]) -> float:
    """The share of speech time in which two or more people speak.

    >>> overlap([Turn(Span(0, 3), "A"), Turn(Span(2, 4), "B")])
    0.25
    """
    speech = total(turn.span for turn in turns)
    return total(o.span for o in overlaps(turns)) / speech if speech else 0.0


def save(meeting: Meeting, folder: Path, name: str) -> tuple[Path, ...]:
    """Write the recording, one stem per speaker, the noise, and the truth; the paths, the recording's first.

        name.wav  name.rttm  name.uem  name.stm (where texts are known)
        name.stems/A.wav, B.wav…, noise.wav

    WAV has 16 bits: the stems and the noise sum to the recording up to rounding. Raises `OutputError`.
    """
    stems_folder = folder / f"{name}.stems"
    truths = {"rttm": rttm(name, meeting.turns), "uem": uem(name, meeting.mixture.duration)}
    if meeting.said:
        truths["stm"] = stm(name, meeting.said)
    sounds = {folder / f"{name}.wav": meeting.mixture, stems_folder / "noise.wav": meeting.noise}
    sounds |= {stems_folder / f"{speaker}.wav": stem for speaker, stem in meeting.stems.items()}
    try:
        stems_folder.mkdir(parents=True, exist_ok=True)
        for ending, text in truths.items():
            (folder / f"{name}.{ending}").write_text(text, "utf-8")
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be written: {error.strerror or error}; choose another folder or make room"
        ) from error
    for path, sound in sounds.items():
        write_wav(path, sound)
    return (*sounds, *(folder / f"{name}.{ending}" for ending in truths))
