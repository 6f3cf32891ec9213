"""The same people in several finished transcripts: linked by voice, and named alike where that is asked for."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from meetsplit.pipeline.audio.media_types import recordings_called
from meetsplit.pipeline.audio.reading import read
from meetsplit.pipeline.data import Audio, Span, Speaker, Transcript
from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.events import EventListener, Notice, ignore_events
from meetsplit.pipeline.formats import read_transcript_file
from meetsplit.pipeline.formats.text import one_line
from meetsplit.pipeline.results.editing import PublishedEdit, publish_edit
from meetsplit.pipeline.results.ownership import speech_sha256
from meetsplit.pipeline.results.page_sound import sound_beside
from meetsplit.pipeline.results.stems import PAGE_RECORDING, fold_name
from meetsplit.speakers.linking import LinkedVoices, MeetingVoice, link_voices
from meetsplit.speakers.voiceprints import VoiceEmbeddings, VoiceEncoder, VoiceScorer, embed_people

_ID = re.compile(r"PERSON_[0-9]{2,9}")
_NO_MEETING = re.compile(r".*\.(original(-\d+)?|corrected( \(\d+\))?|seglst)\.json", re.IGNORECASE)
"""Names of files beside a transcript that `out/*.json` finds as well."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """A finished transcript and its file."""

    path: Path
    transcript: Transcript


@dataclass(frozen=True, slots=True)
class LinkedPerson:
    """Somebody in one or more meetings: the numbers of the voices, ``id`` (None in one meeting alone) and name."""

    id: str | None
    name: str | None
    voices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PeopleOfMeetings:
    """The people of several meetings, with the evidence."""

    meetings: tuple[Meeting, ...]
    voices: tuple[MeetingVoice, ...]
    linked: LinkedVoices
    people: tuple[LinkedPerson, ...]

    def nearest(self, voice: int, person: LinkedPerson) -> float | None:
        """The highest mean score of a voice with anybody else of other meetings; None where there is nothing."""
        own = self.voices[voice].meeting
        others = (
            [number for number in other.voices if self.voices[number].meeting != own]
            for other in self.people
            if other is not person
        )
        scores = (self.linked.score((voice,), other) for other in others if other)
        return max((score for score in scores if score is not None), default=None)


def read_meetings(paths: Sequence[Path], on_event: EventListener = ignore_events) -> tuple[Meeting, ...]:
    """The transcripts, each recording once; what else ``*.json`` finds is left out.

    Raises as `read_transcript_file`, and `SettingsError` where fewer than two are left.
    """
    meetings: list[Meeting] = []
    known: dict[str, Path] = {}
    for path in dict.fromkeys(paths):
        if _NO_MEETING.fullmatch(path.name):
            continue
        transcript = read_transcript_file(path)
        first = known.setdefault(speech_sha256(transcript), path)
        if first != path:
            on_event(Notice(f"{path}: is the same recording as {first}: it is left out", "link"))
            continue
        meetings.append(Meeting(path, transcript))
    if len(meetings) < 2:
        raise SettingsError(f"people are linked over two meetings or more, not {len(meetings)}: name more transcripts")
    return tuple(meetings)


def link_people(
    meetings: Sequence[Meeting],
    encoder: VoiceEncoder,
    *,
    audio_dir: Path | None = None,
    on_event: EventListener = ignore_events,
) -> PeopleOfMeetings:
    """The people of the meetings, linked by voice.

    Voices are taken from recordings beside the transcripts (or where they were, or in ``audio_dir``, called alike), or
    else from tracks. Whoever was called by an id before keeps it. Raises `SettingsError` where there is no sound of a
    meeting, `AudioError`.
    """
    voices: list[MeetingVoice] = []
    for number, meeting in enumerate(meetings):
        voices += _voices(number, meeting, encoder, audio_dir, on_event)
    scorer = VoiceScorer(encoder.name)
    linked = link_voices(voices, scorer)
    ids = _Ids(meetings)
    people: list[LinkedPerson] = []
    for group in linked.groups:
        name = next((voices[number].name for number in group if voices[number].name is not None), None)
        people.append(LinkedPerson(ids.of([voices[n] for n in group]) if len(group) > 1 else None, name, group))
    return PeopleOfMeetings(tuple(meetings), tuple(voices), linked, tuple(people))


def apply_names(found: PeopleOfMeetings, on_event: EventListener = ignore_events) -> tuple[PublishedEdit, ...]:
    """Name those who were linked and have no name: by the name that they have in another meeting, else by the id.

    Every format and track of each set follows, see `publish_edit`; `undo` takes it back. A name that somebody else of
    the meeting has is not given, with a notice.
    """
    edits: list[PublishedEdit] = []
    for number, meeting in enumerate(found.meetings):
        transcript = meeting.transcript
        names: dict[Speaker, str] = {}
        for person in found.people:
            name = person.name or person.id
            if name is None or person.id is None:
                continue
            for voice in (found.voices[one] for one in person.voices if found.voices[one].meeting == number):
                taken = {fold_name(one_line(other)) for label, other in transcript.names if label not in voice.labels}
                if voice.name is None and fold_name(one_line(name)) in taken:
                    on_event(Notice(f"{meeting.path}: somebody else is {name} already: no name is given", "link"))
                elif voice.name is None:
                    names |= dict.fromkeys(voice.labels, name)
        renamed = transcript.rename(names)
        if renamed != transcript:
            edits.append(publish_edit(meeting.path, renamed, on_event=on_event))
    return tuple(edits)


class _Ids:
    """Ids of linked people: those that they were called by before, else the next ones."""

    def __init__(self, meetings: Sequence[Meeting]) -> None:
        self._names = [dict(meeting.transcript.names) for meeting in meetings]
        used = {name for names in self._names for name in names.values() if is_id(name)}
        self._free = (one for one in (f"PERSON_{number:02d}" for number in itertools.count(1)) if one not in used)
        self._given: set[str] = set()

    def of(self, voices: Sequence[MeetingVoice]) -> str:
        """The id of a linked person."""
        names = (self._names[one.meeting].get(label, "") for one in voices for label in one.labels)
        before = sorted(name for name in names if is_id(name) and name not in self._given)
        given = before[0] if before else next(self._free)
        self._given.add(given)
        return given


def is_id(name: str) -> bool:
    """Whether a name is an id of a linked person, and so no person's name.

    >>> is_id("PERSON_01"), is_id("Person 1")
    (True, False)
    """
    return _ID.fullmatch(name) is not None


def _voices(
    number: int, meeting: Meeting, encoder: VoiceEncoder, audio_dir: Path | None, on_event: EventListener
) -> list[MeetingVoice]:
    """The people of a meeting with their voices; labels with one name are one person."""
    transcript = meeting.transcript
    embeddings = embed_people(encoder, transcript.turns, _Sound(meeting, audio_dir, on_event).clip)
    people: dict[str, list[Speaker]] = {}
    for label in transcript.speakers:
        if label in embeddings:
            people.setdefault(fold_name(one_line(transcript.name_of(label))), []).append(label)
    found: list[MeetingVoice] = []
    for labels in people.values():
        name = dict(transcript.names).get(labels[0])
        voice = VoiceEmbeddings.joined([embeddings[label] for label in labels])
        found.append(MeetingVoice(number, tuple(labels), None if name is None or is_id(name) else name, voice))
    return found


class _Sound:
    """The sound of a meeting: its recording, or the tracks. Raises `SettingsError` where there is neither."""

    def __init__(self, meeting: Meeting, audio_dir: Path | None, on_event: EventListener) -> None:
        beside = sound_beside(meeting.path, meeting.transcript)
        recording = beside.recording if audio_dir is None else _called_alike(audio_dir, meeting)
        self._tracks = beside.tracks
        self._read: dict[Path, Audio] = {}
        self._on_event = on_event
        speakers: Collection[Speaker] = {turn.speaker for turn in meeting.transcript.turns}
        has_tracks = set(speakers) <= set(beside.tracks)
        self._recording = (
            None if recording is not None and recording.name == PAGE_RECORDING and has_tracks else recording
        )
        if self._recording is None and not has_tracks:
            raise SettingsError(
                f"{meeting.path}: neither the recording nor everybody's track lies beside it: add --audio-dir FOLDER "
                "with the recordings"
            )

    def clip(self, speaker: Speaker, span: Span) -> Audio:
        """The sound of a stretch of a person's."""
        path = self._recording or self._tracks[speaker]
        if path not in self._read:
            self._read = {path: read(path, on_event=self._on_event)}
        return self._read[path].crop(span)


def _called_alike(folder: Path, meeting: Meeting) -> Path | None:
    """The recording in a folder that is called like the transcript. Raises `SettingsError` where there are several."""
    alike = recordings_called(folder, meeting.path.stem)
    if len(alike) > 1:
        raise SettingsError(f"{folder}: {len(alike)} recordings are called {meeting.path.stem}: keep one there")
    return alike[0] if alike else None
