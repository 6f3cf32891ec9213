"""Rediarization: the words of a finished transcript under the turns of a new diarization, each word once.

A *voice* is a speaker of the old transcript: a word was heard in one voice and keeps it. Where only one new speaker is
active, the word is that speaker's. Where several are, the voices that were active in the old transcript are given to
the new speakers: the best joint assignment by the time that their turns share, here and in the whole recording.

old   voice 0  |---good---morning---|              new   A  |----------------------|
      voice 1            |-yes-|                         B           |--|
->    A: good morning    B: yes
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from meetsplit.pipeline.audio.media_types import recordings_called
from meetsplit.pipeline.data import (
    Diarization,
    Provenance,
    Segment,
    Span,
    Speaker,
    StageRecord,
    Transcript,
    Turn,
    Word,
    timeline,
)
from meetsplit.pipeline.errors import SettingsError, StageError
from meetsplit.pipeline.events import EventListener, Notice, ignore_events
from meetsplit.pipeline.formats import read_transcript_file
from meetsplit.pipeline.formats.html.saved import corrected_stem
from meetsplit.pipeline.formats.whisperx_json import UNKNOWN
from meetsplit.pipeline.merge import regroup
from meetsplit.pipeline.settings import WHISPER_OPTIONS

PAUSE = 1.0
"""Seconds of silence inside a speaker's speech that do not end it where speech is compared."""

REACH = 1.0
"""Seconds from the nearest turn within which a segment that lies in none is taken for a part of it."""

MOST = 0.5
"""Share of a word that a turn covers from which the word lies in it, and of speech that makes two speakers the same."""

SAME_LABEL = 1e-9
"""What an equal label counts: it decides only between speakers whose turns are the same."""

_WORD_SETTINGS = ("transcriber", "model", "language", "task", "initial_prompt", "script", *WHISPER_OPTIONS)
"""The settings of `made_by` that say where words come from; a rediarized transcript keeps those of the old one."""


def find_pair(path: Path, audio: Path | None = None) -> tuple[Path, Path]:
    """The transcript and the recording of which ``path`` is one; the other lies beside it under the same name.

    ``audio`` says where the recording of a transcript is. Raises `SettingsError` where the other one is not found, or
    where several could be meant.
    """
    if path.suffix.lower() == ".json":
        if audio is not None:
            return path, audio
        stem = corrected_stem(path) or path.stem.removesuffix(".seglst")
        beside = recordings_called(path.parent, stem)
        if len(beside) != 1:
            which = f"{len(beside)} recordings of that name lie" if beside else "no recording of that name lies"
            raise SettingsError(f"{path}: {which} beside the transcript; add --audio RECORDING")
        return path, beside[0]
    for transcript in (path.with_suffix(".json"), Path(f"{path.stem}.json")):
        if transcript.is_file():
            return transcript, path
    raise SettingsError(
        f"{path}: no transcript {path.stem}.json beside it or here; name the transcript and add --audio {path}"
    )


def read_words(path: Path) -> Transcript:
    """The transcript at ``path``, which has words.

    Raises `AudioError` for a file that cannot be read, `SettingsError` for one that holds no words.
    """
    transcript = read_transcript_file(path)
    if not transcript.segments:
        raise SettingsError(f"{path}: holds no words to give new speakers to")
    return transcript


def rediarized(
    transcript: Transcript, diarization: Diarization, made_by: Provenance, on_event: EventListener = ignore_events
) -> Transcript:
    """The transcript with new turns, and every word of it exactly once, under the speaker whose turn it lies in.

    With the turns that it has, its words and segments come back as they are. A word that lies in no turn goes with the
    other words of its segment. Where none of them lies in a turn, they go to the nearest turns if all are within
    `REACH`; otherwise the segment was missed, and its speaker is ``UNKNOWN``, with a notice. Segments keep what is
    known of the sound that their words were heard in (``source``, ``margin``, ``review``), speakers without a name get
    that of the old speaker whose speech theirs is. ``made_by`` is the new run's; what it says of the words becomes what
    the old transcript says. Raises `StageError` where there are no turns.
    """
    if not any(turn.span.duration > 0.0 for turn in diarization.turns):
        raise StageError(
            "diarize",
            f"{transcript.recording}: no speech was found, so its words would belong to nobody; "
            "give turns of your own (--rttm) or another diarizer",
        )
    assignment = _Assignment(transcript, diarization.turns)
    words: dict[Speaker, list[tuple[Word, Segment]]] = {}
    for segment in transcript.segments:
        for word, speaker in zip(segment.words, assignment.speakers_of(segment), strict=True):
            words.setdefault(speaker, []).append((word, segment))
    if UNKNOWN in words:
        count = len(words[UNKNOWN])
        on_event(
            Notice(f"{count} words lie where nobody speaks by the new turns: their speaker is {UNKNOWN}", "diarize")
        )
    return replace(
        transcript,
        duration=diarization.duration,
        segments=regroup(words, diarization.turns),
        turns=diarization.turns,
        names=assignment.names(diarization.names),
        voices=(),
        quality=(),
        made_by=_provenance(transcript.made_by, made_by),
    )


def _provenance(old: Provenance, new: Provenance) -> Provenance:
    """What made the turns from the new run, what made the words from the old transcript."""
    words = tuple(record for record in old.stages if record.stage == "transcriber")
    if not words:
        words = (StageRecord("transcriber", "unknown", (), "unknown", "the transcript was made by another program"),)
    stages = (*(record for record in new.stages if record.stage != "transcriber"), *words)
    settings = dict(new.settings) | {name: value for name, value in old.settings if name in _WORD_SETTINGS}
    return replace(new, stages=stages, settings=tuple(settings.items()), guards=old.guards)


@dataclass(frozen=True, slots=True)
class _Speech:
    """When one speaker speaks: ``spans``, and ``stretches`` of it, which run across pauses; both sorted, disjoint."""

    spans: tuple[Span, ...]
    stretches: tuple[Span, ...]

    @classmethod
    def of(cls, spans: Iterable[Span]) -> Self:
        """From spans in any order."""
        joined = timeline.support(spans)
        return cls(joined, timeline.support(joined, PAUSE))

    def closeness(self, word: Span) -> float:
        """The share of the word that is covered, 0 to 1; where none is, minus the seconds to the nearest span."""
        covered = sum(part.duration for part in timeline.crop(timeline.during(self.spans, word), word))
        if covered > 0.0:
            return covered / word.duration
        nearest = _nearest(self.spans, word)
        return -max(nearest.start - word.end, word.start - nearest.end, 0.0)

    def stretch_at(self, word: Span) -> Span:
        """The stretch that the word lies in, or the nearest one."""
        return _nearest(self.stretches, word)

    def similarity(self, other: _Speech) -> float:
        """The time of both over the time of either (Jaccard), 0 to 1; exactly 1 for the same speech."""
        both = sum(
            part.duration for span in self.spans for part in timeline.crop(timeline.during(other.spans, span), span)
        )
        own, others = (sum(span.duration for span in speech.spans) for speech in (self, other))
        return both / (own + others - both)


class _Assignment:
    """Gives the words of a transcript to the speakers of new turns."""

    def __init__(self, transcript: Transcript, turns: Sequence[Turn]) -> None:
        self._speakers = {who: _Speech.of(spans) for who, spans in timeline.by_speaker(turns).items() if spans}
        old_turns = {who: spans for who, spans in timeline.by_speaker(transcript.turns).items() if spans}
        # A voice without turns, in a transcript that was edited, speaks where its words are.
        edited = [segment for segment in transcript.segments if segment.speaker not in old_turns]
        old_turns |= timeline.by_speaker(Turn(_not_empty(segment.span), segment.speaker) for segment in edited)
        self._voices = {voice: _Speech.of(spans) for voice, spans in old_turns.items()}
        self._old_names = transcript.names
        self._similarity = {
            (voice, speaker): old.similarity(new)
            for voice, old in self._voices.items()
            for speaker, new in self._speakers.items()
        }

    def names(self, new: Sequence[tuple[Speaker, str]]) -> tuple[tuple[Speaker, str], ...]:
        """The new speakers' names, and for those without one that of the voice that is most of their speech."""
        names = dict(new)
        for voice, name in self._old_names:
            for speaker in self._speakers:
                if self._similarity.get((voice, speaker), 0.0) > MOST:
                    names.setdefault(speaker, name)
        return tuple(names.items())

    def speakers_of(self, segment: Segment) -> list[Speaker]:
        """The speaker of each word of a segment of the old transcript."""
        spans, voice = [word.span for word in segment.words], segment.speaker
        inside = [self._speaker_of(span, voice) for span in spans]
        known = [at for at, speaker in enumerate(inside) if speaker is not None]
        if known:
            return [inside[min(known, key=lambda other: abs(other - at))] or UNKNOWN for at in range(len(spans))]
        near = [self._nearest_speaker(span, voice) for span in spans]
        return [speaker if None not in near and speaker is not None else UNKNOWN for speaker in near]

    def _speaker_of(self, word: Span, voice: Speaker) -> Speaker | None:
        """The new speaker of a word that was heard in ``voice``; None where it lies in no turn."""
        closeness = {speaker: speech.closeness(word) for speaker, speech in self._speakers.items()}
        # As close to a turn as the word is to its voice's own: words lie in the padding of turns, too.
        least = min(self._voices[voice].closeness(word), MOST)
        speakers = [speaker for speaker, close in closeness.items() if close >= least]
        if not speakers:
            most = max(closeness.values())
            speakers = [speaker for speaker, close in closeness.items() if close == most > 0.0]
        if len(speakers) < 2:
            return speakers[0] if speakers else None
        voices = [other for other, speech in self._voices.items() if other == voice or speech.closeness(word) >= least]
        fits = [[self._fit(other, speaker, word) for speaker in speakers] for other in voices]
        row = voices.index(voice)
        return speakers[_jointly_best(fits).get(row, fits[row].index(max(fits[row])))]

    def _nearest_speaker(self, word: Span, voice: Speaker) -> Speaker | None:
        """The speaker of the nearest turn; None where that is out of `REACH`."""
        closeness = {speaker: speech.closeness(word) for speaker, speech in self._speakers.items()}
        nearest = max(self._speakers, key=lambda speaker: (closeness[speaker], self._fit(voice, speaker, word)))
        return nearest if closeness[nearest] >= -REACH else None

    def _fit(self, voice: Speaker, speaker: Speaker, word: Span) -> float:
        """How well a new speaker is a voice: by the stretches around the word, and half as much by all speech."""
        here, there = self._voices[voice].stretch_at(word), self._speakers[speaker].stretch_at(word)
        common = timeline.intersection(here, there)
        local = common.duration / (max(here.end, there.end) - min(here.start, there.start)) if common else 0.0
        return local + 0.5 * self._similarity[voice, speaker] + (SAME_LABEL if voice == speaker else 0.0)


def _jointly_best(fits: Sequence[Sequence[float]]) -> Mapping[int, int]:
    """The column of each row such that the sum is greatest and no column is taken twice; some rows may go without."""
    if len(fits) == 1:
        return {}
    from scipy.optimize import linear_sum_assignment  # slow to load, and few transcripts need it

    rows, columns = linear_sum_assignment(fits, maximize=True)
    return dict(zip(rows.tolist(), columns.tolist(), strict=True))


def _nearest(spans: Sequence[Span], word: Span) -> Span:
    """The one of the sorted, disjoint ``spans`` (at least one) that is nearest to the middle of the word."""
    middle = (word.start + word.end) / 2
    at = bisect_left(spans, middle, key=lambda span: span.start)
    return min(spans[max(at - 1, 0) : at + 1], key=lambda span: max(span.start - middle, middle - span.end))


def _not_empty(span: Span) -> Span:
    """The span, or a millisecond of it where it has no length: a word may be a moment."""
    return span if span.duration > 0.0 else Span(span.start, span.start + 0.001)
