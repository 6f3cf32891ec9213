"""Kept speech: clean speech of enrolled people from elsewhere, for those who hardly speak alone in a recording.

A separator learns a voice from what its speaker says alone. Who is confirmed as an enrolled person, is in an overlap
and has less than `LITTLE_ALONE` seconds of that gets the person's kept speech besides (`voices add --keep-audio`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from meetsplit.pipeline import files
from meetsplit.pipeline.audio.reading import read
from meetsplit.pipeline.data import Audio, Span, Speaker, Turn, timeline
from meetsplit.pipeline.errors import MeetsplitError, VoicesError
from meetsplit.pipeline.events import ignore_events
from meetsplit.speakers.recognition import HeardRun, matches
from meetsplit.speakers.voice_store import MAX_KEPT, EnrolledVoice, VoiceStore
from meetsplit.speakers.voiceprints import clean_spans

LITTLE_ALONE = 10.0
"""Seconds of clean speech in the recording below which kept speech is used; chosen with `benchmarks.voices`."""

RATE = 16000
"""Hz at which kept speech is read."""


@dataclass(frozen=True, slots=True, eq=False)
class KeptSpeech:
    """Clips by speaker; ``sha256`` of everything that they are, None where there are none; ``notices`` for the user."""

    clips: Mapping[Speaker, tuple[Audio, ...]] = field(default_factory=dict)
    sha256: str | None = None
    notices: tuple[str, ...] = ()


def people_with_speech(store: VoiceStore) -> tuple[EnrolledVoice, ...]:
    """The store's people, if speech of any is kept; nobody where it cannot be read, which `with_voices` tells."""
    try:
        people = store.read()
    except VoicesError:
        return ()
    return people if any(store.speech_files(person) for person in people) else ()


def speakers_in_need(turns: Sequence[Turn]) -> dict[Speaker, float]:
    """The speakers of overlaps with little clean speech, and the seconds of it."""
    overlapped = sorted({speaker for overlap in timeline.overlaps(turns) for speaker in overlap.speakers})
    alone = {speaker: timeline.total(clean_spans(turns, speaker)) for speaker in overlapped}
    return {speaker: seconds for speaker, seconds in alone.items() if seconds < LITTLE_ALONE}


def kept_speech(run: HeardRun, turns: Sequence[Turn], people: Sequence[EnrolledVoice], store: VoiceStore) -> KeptSpeech:
    """The kept speech of those in need of it who are confirmed as one of ``people``, who are the store's.

    Nobody is compared where nobody is in need. Where voices cannot be compared there is none, which `with_voices`
    tells. Speech that cannot be read is a notice.
    """
    alone = speakers_in_need(turns) if people else {}
    if not alone:
        return KeptSpeech()
    try:
        found = matches(run, people, store, ignore_events)
    except MeetsplitError:
        return KeptSpeech()
    clips: dict[Speaker, tuple[Audio, ...]] = {}
    notices: list[str] = []
    parts: list[tuple[Speaker, list[str]]] = []
    for speaker, seconds in alone.items():
        match = found.get(speaker)
        if match is None or match.decision != "confirmed" or match.name is None:
            continue
        paths = store.speech_files(store.find(match.name, people))
        try:
            own = _newest([read(path, RATE) for path in paths])
            checksums = [files.sha256(path) for path in paths]
        except (MeetsplitError, OSError) as error:
            notices.append(f"the kept speech of {match.name} is not used: {error}; enrol it again, with --keep-audio")
            continue
        if own:
            clips[speaker] = own
            parts.append((speaker, checksums))
            notices.append(
                f"{speaker} speaks alone for only {seconds:.1f} s: overlaps are taken apart with "
                f"{sum(clip.duration for clip in own):.0f} s of kept speech of {match.name}, whose voice it is"
            )
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest() if parts else None
    return KeptSpeech(clips, digest, tuple(notices))


def _newest(recordings: Sequence[Audio]) -> tuple[Audio, ...]:
    """The recordings, newest first, up to `MAX_KEPT` seconds together."""
    chosen: list[Audio] = []
    left = MAX_KEPT
    for audio in recordings:
        if left > 0.0 and len(audio.samples):
            chosen.append(audio.crop(Span(0.0, min(audio.duration, left))))
            left -= chosen[-1].duration
    return tuple(chosen)
