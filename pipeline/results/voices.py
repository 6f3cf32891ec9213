"""Voices at the end of a run: its speakers are compared with the enrolled ones, and the confirmed get their names.

Nothing of that is kept in a stage cache: a voice that is removed, or a name that changes, counts from the next run on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from meetsplit.pipeline.data import Speaker, Transcript
from meetsplit.pipeline.errors import MeetsplitError, VoicesError
from meetsplit.pipeline.events import EventListener, Notice
from meetsplit.pipeline.settings import Outputs

if TYPE_CHECKING:
    from meetsplit.speakers.recognition import HeardRun


def with_voices(
    run: HeardRun,
    transcript: Transcript,
    given: Sequence[tuple[Speaker, str]],
    outputs: Outputs,
    on_event: EventListener,
) -> Transcript:
    """The transcript with what the comparison with enrolled voices said, and the names of those who were confirmed.

    ``given`` are the names that the user gave, which win; whose name is given to another speaker is only suggested.
    The same transcript where no voice is enrolled, or ``outputs.voices`` is "off". A file of voices that cannot be read
    and an encoder that is not here are notices.
    """
    if outputs.voices == "off":
        return transcript
    from meetsplit.speakers.recognition import matches as find_matches  # slow to load, and `export` needs none of it
    from meetsplit.speakers.voice_store import VoiceStore

    store = VoiceStore.named(outputs.voices)
    try:
        people = store.read()
        if not people and outputs.voices != "on":
            raise VoicesError(f"{store.path}: no voice is enrolled there; name another file with --voices")
        matches = find_matches(run, people, store, on_event) if people else {}
    except MeetsplitError as error:
        on_event(Notice(f"no one is recognised by voice: {error}", "write"))
        return transcript
    taken = {name.casefold(): label for label, name in (*transcript.names, *given)}
    for label, match in matches.items():
        owner = taken.get((match.name or "").casefold(), label)
        if match.decision == "confirmed" and owner != label:
            matches[label] = dataclasses.replace(match, decision="suggested")
    recognised = {label: match.name for label, match in matches.items() if match.decision == "confirmed" and match.name}
    names = tuple((recognised | dict(transcript.names)).items())
    return dataclasses.replace(transcript, names=names, voices=tuple(sorted(matches.items())))


def embeddings_file(run: HeardRun, on_event: EventListener) -> dict[str, bytes]:
    """The file ``.embeddings.npz`` of a run, by that suffix: voiceprints of everybody, for programs of one's own.

    For each label, ``SPEAKER_00`` are unit vectors, float32 ``(n, d)``, one for about every three seconds of clean
    speech, ``SPEAKER_00.seconds`` how much speech each stands for; ``encoder`` says what made them. Without an encoder
    on this machine there is none, and a notice says why.
    """
    import io

    import numpy as np

    from meetsplit.speakers.voiceprints import ENCODERS

    try:
        encoder = run.voice_encoder(ENCODERS[0])
        heard = run.voiceprints(encoder)
    except MeetsplitError as error:
        on_event(Notice(f"embeddings.npz is not written: {error}", "write"))
        return {}
    arrays: dict[str, np.ndarray[Any, Any]] = {"encoder": np.array(encoder.name)}
    for label, voice in sorted(heard.items()):
        arrays |= {label: voice.rows, f"{label}.seconds": voice.seconds}
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return {".embeddings.npz": file.getvalue()}


def suggestions(transcript: Transcript) -> list[str]:
    """Who may be whom, a sentence each: voices that were suggested and not applied."""
    confirmed = {match.name for _, match in transcript.voices if match.decision == "confirmed"}
    return [
        f"{transcript.name_of(label)} may be {match.name}{' too' if match.name in confirmed else ''} "
        f"(score {match.score:.1f})"
        for label, match in transcript.voices
        if match.decision == "suggested" and match.score is not None and transcript.name_of(label) != match.name
    ]
