"""People of a transcript: labels with one name are one person in everything that is written for people to read.

A diarizer may find one person twice, and naming both labels alike says so. The transcript keeps its labels, and so does
its JSON: other names make two people of them again. `by_person` is the view of it that the other formats render.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from meetsplit.pipeline.data import Dnsmos, Segment, Speaker, TrackQuality, Transcript, Turn
from meetsplit.pipeline.data.timeline import Counter, by_speaker
from meetsplit.pipeline.errors import SettingsError, nearest
from meetsplit.pipeline.formats.text import one_line
from meetsplit.pipeline.settings import Outputs

Written = TypeVar("Written")


def folded(name: str) -> str:
    """A name as it is compared: without blanks around it, whatever the case and the composition of its letters.

    >>> folded(" Alice  SMITH") == folded("alice smith")
    True
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", one_line(name)).casefold())


def person_labels(transcript: Transcript) -> Mapping[Speaker, Speaker]:
    """The label that stands for each speaker's person: the first one with that name, or the speaker's own."""
    names, firsts = dict(transcript.names), dict[str, Speaker]()
    return {
        speaker: firsts.setdefault(folded(names[speaker]), speaker) if folded(names.get(speaker, "")) else speaker
        for speaker in transcript.speakers
    }


def labels_of(transcript: Transcript, who: str) -> tuple[Speaker, ...]:
    """The labels of a speaker by label, or of everybody of that very name, or else of that name in other letters' case.

    Raises `SettingsError`, with the nearest, where there is no such speaker.
    """
    if who in transcript.speakers:
        return (who,)
    names, wanted = {label: transcript.name_of(label) for label in transcript.speakers}, folded(who)
    labels = tuple(label for label, name in names.items() if name == who)
    labels = labels or tuple(label for label, name in names.items() if wanted and folded(name) == wanted)
    if not labels:
        known = [*transcript.speakers, *(name for label, name in transcript.names if label in transcript.speakers)]
        raise SettingsError(f"{transcript.recording} has no speaker {who!r}: {nearest(who, set(known))}")
    return labels


def by_person(transcript: Transcript) -> Transcript:
    """The transcript with one label for each person, see `person_labels`; itself where that changes nothing.

    Turns and segments of the others become the first one's; turns that overlap or touch are one, and a person overlaps
    with other people only. The quality of several tracks is the mean of theirs, by how much of each was judged.
    """
    persons = person_labels(transcript)
    several = {person for speaker, person in persons.items() if speaker != person}
    if not several:
        return transcript
    turns = [replace(turn, speaker=persons[turn.speaker]) for turn in transcript.turns]
    speech = by_speaker(turns)
    united = [Turn(span, person) for person in several for span in speech.get(person, ())]
    everyone = Counter(span for spans in speech.values() for span in spans)
    own = {person: Counter(speech.get(person, ())) for person in several}

    def of_person(segment: Segment) -> Segment:
        person = persons[segment.speaker]
        if person not in several:
            return segment
        overlap = everyone.during(segment.span) > own[person].during(segment.span)
        return replace(segment, speaker=person, overlap=overlap)

    segments = sorted(map(of_person, transcript.segments), key=lambda segment: (segment.span, segment.speaker))
    return replace(
        transcript,
        segments=tuple(segments),
        turns=tuple(sorted([*united, *(turn for turn in turns if turn.speaker not in several)])),
        names=tuple((speaker, name) for speaker, name in transcript.names if persons.get(speaker, speaker) == speaker),
        quality=_quality_of_people(transcript.quality, persons),
    )


def _quality_of_people(
    quality: Sequence[tuple[Speaker, TrackQuality]], persons: Mapping[Speaker, Speaker]
) -> tuple[tuple[Speaker, TrackQuality], ...]:
    tracks: dict[Speaker, list[TrackQuality]] = {}
    for speaker, one in quality:
        tracks.setdefault(persons.get(speaker, speaker), []).append(one)
    return tuple((person, own[0] if len(own) == 1 else mean_quality(own)) for person, own in tracks.items())


def mean_quality(tracks: Sequence[TrackQuality]) -> TrackQuality:
    """The mean over tracks, each by its judged seconds; of each number, over those that have it."""
    marks = [(one.dnsmos, one.seconds) for one in tracks if one.dnsmos is not None]
    sig = _mean((one.sig, seconds) for one, seconds in marks)
    bak = _mean((one.bak, seconds) for one, seconds in marks)
    ovr = _mean((one.ovr, seconds) for one, seconds in marks)
    return TrackQuality(
        sum(one.seconds for one in tracks),
        _mean((one.bleed, one.seconds) for one in tracks),
        _mean((one.margin, one.seconds) for one in tracks),
        None if sig is None or bak is None or ovr is None else Dnsmos(sig, bak, ovr),
    )


def _mean(weighted: Iterable[tuple[float | None, float]]) -> float | None:
    """The mean of values by their weights; None where nothing is known."""
    known = [(value, weight) for value, weight in weighted if value is not None]
    weights = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / weights if weights else None


def of_people(write: Callable[[Transcript, Outputs], Written]) -> Callable[[Transcript, Outputs], Written]:
    """A format's ``write`` for the view of people."""

    def write_people(transcript: Transcript, outputs: Outputs) -> Written:
        return write(by_person(transcript), outputs)

    return write_people
