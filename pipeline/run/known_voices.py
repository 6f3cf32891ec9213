"""Voices of a run: speech from elsewhere that helps the separator, and voiceprints that say who is who."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from meetsplit.pipeline.audio.clip_cache import clip_digest
from meetsplit.pipeline.audio.wav import read_span
from meetsplit.pipeline.data import Audio, Speaker, Turn
from meetsplit.pipeline.run.backends import Backends
from meetsplit.speakers.kept_speech import KeptSpeech, people_with_speech
from meetsplit.speakers.voice_store import EnrolledVoice, VoiceStore
from meetsplit.speakers.voiceprints import VoiceEmbeddings, VoiceEncoder, embed_people


def enrolled_people(backends: Backends, voices: str) -> tuple[EnrolledVoice, ...]:
    """The enrolled people, if speech is kept of any, and a recording's voices are taken apart.

    ``voices`` is `Outputs.voices`.
    """
    settings, separator = backends.settings, backends.preflight().of("separator")
    if voices == "off" or settings.separate == "off" or settings.channels == "split" or separator is None:
        return ()
    return people_with_speech(VoiceStore.named(voices))


def with_clips(kept: KeptSpeech, known: Mapping[Speaker, Sequence[Audio]]) -> KeptSpeech:
    """The kept speech with clips of some speakers, which take the place of what is kept of them."""
    clips = {**kept.clips, **{speaker: tuple(clips) for speaker, clips in known.items()}}
    digests = [(speaker, clip_digest(one).hex()) for speaker, one in sorted(clips.items())]
    return KeptSpeech(clips, hashlib.sha256(json.dumps(digests).encode()).hexdigest(), kept.notices)


def voiceprints_of_tracks(
    encoder: VoiceEncoder, turns: Sequence[Turn], tracks: Mapping[Speaker, Path]
) -> Mapping[Speaker, VoiceEmbeddings]:
    """The voiceprints of every speaker with a track, which is the recording where somebody speaks alone."""
    own = tuple(turn for turn in turns if turn.speaker in tracks)
    return embed_people(encoder, own, lambda speaker, span: read_span(tracks[speaker], span))


def voiceprints_of_recording(
    encoder: VoiceEncoder, turns: Sequence[Turn], recording: Audio
) -> Mapping[Speaker, VoiceEmbeddings]:
    """The same of the recording itself, before there are tracks."""
    return embed_people(encoder, turns, lambda speaker, span: recording.crop(span))
