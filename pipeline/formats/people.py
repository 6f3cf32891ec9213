"""People of a transcript: labels with one name are one person in everything that is written for people to read.

A diarizer may find one person twice, and naming both labels alike says so. The transcript keeps its labels, and so does
its JSON: other names make two people of them again. `by_person` is the view of it that the other formats render.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from meetsplit.pipeline.data import Segment, Speaker, Transcript, Turn
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
    with other people only.
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
    )


def of_people(write: Callable[[Transcript, Outputs], Written]) -> Callable[[Transcript, Outputs], Written]:
    """A format's ``write`` for the view of people."""

    def write_people(transcript: Transcript, outputs: Outputs) -> Written:
        return write(by_person(transcript), outputs)

    return write_people
