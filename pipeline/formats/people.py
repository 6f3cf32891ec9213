"""People of a transcript: labels with one name are one person in everything that is written for people to read.

A diarizer may find one person twice, and naming both labels alike says so. The transcript keeps its labels, and so does
its JSON: other names make two people of them again. `by_person` is the view of it that the other formats render.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from typing import TypeVar

from meetsplit.pipeline.data import Speaker, Transcript
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


def by_person(transcript: Transcript) -> Transcript:
    """The transcript with one label for each person, see `person_labels`; itself where that changes nothing.

    Turns and words of the others become the first one's, and segments are cut anew, as `Transcript.merge` does it.
    """
    others: dict[Speaker, list[Speaker]] = {}
    for speaker, person in person_labels(transcript).items():
        if speaker != person:
            others.setdefault(person, []).append(speaker)
    for person, same in others.items():
        transcript = transcript.merge(person, *same)
    return transcript


def of_people(write: Callable[[Transcript, Outputs], Written]) -> Callable[[Transcript, Outputs], Written]:
    """A format's ``write`` for the view of people."""

    def write_people(transcript: Transcript, outputs: Outputs) -> Written:
        return write(by_person(transcript), outputs)

    return write_people
