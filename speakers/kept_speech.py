"""Kept speech: clean speech of enrolled people from elsewhere, for those who hardly speak alone in a recording.

A separator learns a voice from what its speaker says alone. Who is confirmed as an enrolled person, is in an overlap
and has less than `LITTLE_ALONE` seconds of that gets the person's kept speech besides (`voices add --keep-audio`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from meetsplit.pipeline import files
from meetsplit.pipeline.audio.reading import read
from meetsplit.pipeline.data import Audio, Overlap, Span, Speaker, Turn, timeline
from meetsplit.pipeline.errors import MeetsplitError, VoicesError
from meetsplit.pipeline.events import ignore_events
from meetsplit.pipeline.formats.people import folded
from meetsplit.speakers.recognition import HeardRun, matches
from meetsplit.speakers.voice_store import MAX_KEPT, EnrolledVoice, VoiceStore
from meetsplit.speakers.voiceprints import clean_spans

LITTLE_ALONE = 10.0
"""Seconds of clean speech in the recording below which kept speech is used; chosen with `benchmarks.voices`."""

LEAST_KEPT = 1.0
"""Seconds of kept speech below which it is not worth mixing two microphones."""

RATE = 16000
"""Hz at which kept speech is read."""


@dataclass(frozen=True, slots=True, eq=False)
class KeptSpeech:
    """Clips by speaker; ``sha256`` of everything that they are, None where there are none; ``notices`` for the user."""

    clips: Mapping[Speaker, tuple[Audio, ...]] = field(default_factory=dict)
    sha256: str | None = None
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KnownPeople:
    """The enrolled ``people`` of a ``store``, and the names that the user gave to speakers, by label."""

    people: tuple[EnrolledVoice, ...]
    store: VoiceStore
    given: Mapping[Speaker, str] = field(default_factory=dict)

    def refuses(self, speaker: Speaker, name: str) -> str | None:
        """Why a speaker is not the enrolled person of that name, whatever the voices say; None where that may be.

        The user gave the speaker another name, or the name to another speaker.
        """
        own = self.given.get(speaker, name)
        if folded(own) != folded(name):
            return f"{speaker} is called {own}"
        others = [other for other, one in self.given.items() if other != speaker and folded(one) == folded(name)]
        return f"{others[0]} is called so" if others and speaker not in self.given else None


def people_with_speech(store: VoiceStore) -> tuple[EnrolledVoice, ...]:
    """The store's people, if speech of any is kept; nobody where it cannot be read, which `with_voices` tells."""
    try:
        people = store.read()
    except VoicesError:
        return ()
    return people if any(store.speech_files(person) for person in people) else ()


def kept_speech(run: HeardRun, turns: Sequence[Turn], known: KnownPeople) -> KeptSpeech:
    """The kept speech of those in need of it who are confirmed as one of the ``known`` people, unless a name that the
    user gave says otherwise, which is a notice.

    Nobody is compared where nobody is in need. Where voices cannot be compared there is none, which `with_voices`
    tells. Speech that cannot be read is a notice.
    """
    people, store, overlaps = known.people, known.store, timeline.overlaps(turns)
    speakers = sorted({speaker for overlap in overlaps for speaker in overlap.speakers})
    alone = {speaker: timeline.total(clean_spans(turns, speaker)) for speaker in speakers}
    if not people or all(seconds >= LITTLE_ALONE for seconds in alone.values()):
        return KeptSpeech()
    try:
        found = matches(run, people, store, ignore_events)
    except MeetsplitError:
        return KeptSpeech()
    names = {speaker: match.name for speaker, match in found.items() if match.decision == "confirmed" and match.name}
    sounds: dict[Speaker, tuple[Audio, list[str]]] = {}
    notices: list[str] = []
    for speaker in [one for one in speakers if alone[one] < LITTLE_ALONE and one in names]:
        conflict = known.refuses(speaker, names[speaker])
        if conflict is not None:
            notices.append(f"{speaker} sounds like {names[speaker]}, whose kept speech is not used: {conflict}")
            continue
        try:
            sound = _read_newest(store.speech_files(store.find(names[speaker], people)))
        except (MeetsplitError, OSError) as error:
            notices.append(f"the kept speech of {names[speaker]} is not used: {error}; enrol it again, --keep-audio")
        else:
            sounds |= {} if sound is None else {speaker: sound}
    wanted = seconds_wanted(overlaps, alone, {speaker: sound.duration for speaker, (sound, _) in sounds.items()})
    clips = {speaker: (sounds[speaker][0].crop(Span(0.0, seconds)),) for speaker, seconds in wanted.items()}
    notices += [
        f"{speaker} speaks alone for only {alone[speaker]:.1f} s: overlaps are taken apart with {seconds:.0f} s of the "
        f"kept speech of {names[speaker]}, whose voice it is"
        for speaker, seconds in wanted.items()
    ]
    parts = [(speaker, seconds, sounds[speaker][1]) for speaker, seconds in wanted.items()]
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest() if parts else None
    return KeptSpeech(clips, digest, tuple(notices))


def seconds_wanted(
    overlaps: Sequence[Overlap], alone: Mapping[Speaker, float], kept: Mapping[Speaker, float]
) -> dict[Speaker, float]:
    """How many of the ``kept`` seconds of each speaker are used; those who need none are left out.

    As many as fill up the speaker's enrollment to that of the others in their overlaps, a mean by seconds of overlap:
    of two voices, the one that is known far better takes from the other. ``alone`` are the seconds of clean speech of
    all who are in the overlaps.
    """
    known = {speaker: seconds + kept.get(speaker, 0.0) for speaker, seconds in alone.items()}
    wanted: dict[Speaker, float] = {}
    for speaker, most in kept.items():
        others = [
            (known[other], overlap.span.duration)
            for overlap in overlaps
            if speaker in overlap.speakers
            for other in overlap.speakers
            if other != speaker
        ]
        weight = sum(seconds for _, seconds in others)
        level = sum(there * seconds for there, seconds in others) / weight if weight > 0.0 else 0.0
        seconds = min(most, level - alone[speaker])
        if seconds >= LEAST_KEPT:
            wanted[speaker] = round(seconds, 3)
    return wanted


def _read_newest(paths: Sequence[Path]) -> tuple[Audio, list[str]] | None:
    """The sound of the files, newest first, up to `MAX_KEPT` seconds together, and their checksums; None for none."""
    samples = [read(path, RATE).samples for path in paths]
    if not samples:
        return None
    return Audio(np.concatenate(samples)[: round(MAX_KEPT * RATE)], RATE), [files.sha256(path) for path in paths]
