"""A simulated meeting with its exact reference: placed utterances, stems, turns, texts, and their files."""

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
from meetsplit.training.speech import Utterance, detect_speech


@dataclass(frozen=True, slots=True, eq=False)
class PlacedUtterance:
    """An utterance at its time: ``start`` in seconds on the meeting's clock, ``gain`` a factor on its samples."""

    utterance: Utterance
    start: float
    gain: float = 1.0

    @property
    def end(self) -> float:
        """The time of its last sample in seconds."""
        return self.start + self.utterance.audio.duration


@dataclass(frozen=True, slots=True, order=True)
class TimedText:
    """The text of one utterance, from its first to its last moment of speech."""

    span: Span
    speaker: Speaker
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedMeeting:
    """A recording with its reference.

    ``stems`` (one per speaker, of the recording's length and rate) and ``noise`` sum to ``mixture``, unless a codec
    or a telephone came between. ``turns`` are where each speaker is audible; ``texts`` is empty where no transcript
    exists.
    """

    mixture: Audio
    stems: Mapping[Speaker, Audio]
    noise: Audio
    turns: tuple[Turn, ...]
    texts: tuple[TimedText, ...]


def stems(placed: Sequence[PlacedUtterance], length: int, rate: int) -> dict[Speaker, Samples]:
    """One track per speaker: ``length`` samples at ``rate`` Hz with that speaker's utterances at their times."""
    tracks: dict[Speaker, Samples] = {}
    for item in placed:
        track = tracks.setdefault(item.utterance.speaker, np.zeros(length, np.float32))
        first = round(item.start * rate)
        samples = item.utterance.audio.samples[: length - first]
        track[first : first + len(samples)] += np.float32(item.gain) * samples
    return {speaker: tracks[speaker] for speaker in sorted(tracks)}


def reference(placed: Sequence[PlacedUtterance]) -> tuple[tuple[Turn, ...], tuple[TimedText, ...]]:
    """Turns and texts of placed utterances, by the speech detected in the dry utterances."""
    turns: list[Turn] = []
    texts: list[TimedText] = []
    for item in placed:
        utterance = item.utterance
        audio = Audio(utterance.audio.samples, utterance.audio.rate, item.start)
        spans = detect_speech(audio)
        turns += [Turn(span, utterance.speaker) for span in spans]
        if spans and utterance.text is not None:
            texts.append(TimedText(Span(spans[0].start, spans[-1].end), utterance.speaker, utterance.text))
    return tuple(sorted(turns)), tuple(sorted(texts))


def rttm(name: str, turns: Sequence[Turn]) -> str:
    """Turns in NIST's RTTM: one SPEAKER line each, seconds to the millisecond."""
    row = "SPEAKER {} 1 {:.3f} {:.3f} <NA> <NA> {} <NA> <NA>\n"
    return "".join(row.format(name, turn.span.start, turn.span.duration, turn.speaker) for turn in turns)


def stm(name: str, texts: Sequence[TimedText]) -> str:
    """Texts in NIST's STM, in lower case without punctuation: one utterance a line."""
    row = "{} 1 {} {:.3f} {:.3f} {}\n"
    return "".join(
        row.format(name, text.speaker, text.span.start, text.span.end, " ".join(words(text.text))) for text in texts
    )


def uem(name: str, duration: float) -> str:
    """The scored region in NIST's UEM: the whole recording."""
    return f"{name} 1 0.000 {duration:.3f}\n"


def overlap_share(turns: Sequence[Turn]) -> float:
    """The share of speech time in which two or more people speak.

    >>> overlap_share([Turn(Span(0, 3), "A"), Turn(Span(2, 4), "B")])
    0.25
    """
    speech = total(turn.span for turn in turns)
    return total(overlap.span for overlap in overlaps(turns)) / speech if speech else 0.0


def save(meeting: SimulatedMeeting, folder: Path, name: str) -> tuple[Path, ...]:
    """Write the recording, one stem per speaker, the noise, and the reference; the paths, the recording's first.

        name.wav  name.rttm  name.uem  name.stm (where texts exist)
        name.stems/A.wav, B.wav…, noise.wav

    WAV has 16 bits: the stems and the noise sum to the recording up to rounding. Raises `OutputError`.
    """
    stems_folder = folder / f"{name}.stems"
    texts = {"rttm": rttm(name, meeting.turns), "uem": uem(name, meeting.mixture.duration)}
    if meeting.texts:
        texts["stm"] = stm(name, meeting.texts)
    sounds = {folder / f"{name}.wav": meeting.mixture, stems_folder / "noise.wav": meeting.noise}
    sounds |= {stems_folder / f"{speaker}.wav": stem for speaker, stem in meeting.stems.items()}
    try:
        stems_folder.mkdir(parents=True, exist_ok=True)
        for suffix, text in texts.items():
            (folder / f"{name}.{suffix}").write_text(text, "utf-8")
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be written: {error.strerror or error}; choose another folder or make room"
        ) from error
    for path, audio in sounds.items():
        write_wav(path, audio)
    return (*sounds, *(folder / f"{name}.{suffix}" for suffix in texts))
