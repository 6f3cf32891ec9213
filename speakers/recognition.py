"""Recognition: the people of a run compared with the enrolled voices that are of the run's encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from meetsplit.pipeline.data import Speaker, VoiceMatch
from meetsplit.pipeline.events import EventListener, Notice
from meetsplit.speakers.identification import chosen_encoder, identify, other_encoders
from meetsplit.speakers.voice_store import EnrolledVoice, VoiceStore
from meetsplit.speakers.voiceprints import VoiceEmbeddings, VoiceEncoder, VoiceScorer


class HeardRun(Protocol):
    """A run whose speakers can be heard: `run.RecordingRun`."""

    def voice_encoder(self, backend: str) -> VoiceEncoder:
        """The encoder of voiceprints of that name."""

    def voiceprints(self, encoder: VoiceEncoder) -> Mapping[Speaker, VoiceEmbeddings]:
        """The voiceprints of every speaker, computed once for each encoder."""


def matches(
    run: HeardRun, people: Sequence[EnrolledVoice], store: VoiceStore, on_event: EventListener
) -> dict[Speaker, VoiceMatch]:
    """The match of every speaker among ``people``, who are the store's; who cannot be compared is told as a notice.

    Raises `MeetsplitError` where no voices can be compared.
    """
    wanted = chosen_encoder(people) or ""
    encoder = run.voice_encoder(wanted.partition("-")[0])
    known = {person.name: voice for person in people if (voice := person.of_encoder(encoder.name)) is not None}
    sentence = other_encoders(people, encoder.name, store.path)
    if sentence is not None:
        on_event(Notice(sentence, "write"))
    return identify(run.voiceprints(encoder), known, VoiceScorer(encoder.name)) if known else {}
