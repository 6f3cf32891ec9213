"""RecordingRun: one recording through its stages, each done once and kept.

    sound           decoded, cut to the stretch that is processed; without music and noise where that is asked for, kept
                    as clean-<key>.json and a file per channel
    diarize()       who speaks when, resegmented around overlaps     kept as diarize-<key>.json
    separate()      one stream per speaker, overlaps taken apart     kept as separate-<key>.json and a track per speaker
    transcribe()    words of every clip                              kept as transcribe-<key>.json
    transcript()    the words of all streams merged                  not kept
    render_tracks() each speaker's finished track                    written, as is the transcript, by `results.writing`

A stage calls the ones before it. The recording is decoded at most once, and only if a stage needs its sound. How it is
decoded, diarized and turned into streams is a route: `MixedRecording`, or `ChannelPerSpeaker` with a microphone per
speaker.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from meetsplit.pipeline.audio.content import Content
from meetsplit.pipeline.cache.content import RecordingContent
from meetsplit.pipeline.cache.keys import CacheKeys, cache_keys
from meetsplit.pipeline.cache.stage_cache import STAGES, StageCache
from meetsplit.pipeline.channels import activity
from meetsplit.pipeline.channels.activity import timebase
from meetsplit.pipeline.channels.recording import MultiFileRecording
from meetsplit.pipeline.data import (
    Audio,
    Channels,
    ClipTranscript,
    Diarization,
    Speaker,
    StreamInfo,
    Transcript,
    timeline,
)
from meetsplit.pipeline.errors import blame
from meetsplit.pipeline.events import Notice, Opened
from meetsplit.pipeline.results.rediarize import rediarized
from meetsplit.pipeline.results.writing import given_names
from meetsplit.pipeline.run import known_voices
from meetsplit.pipeline.run.backends import Backends
from meetsplit.pipeline.run.channel_per_speaker import ChannelPerSpeaker
from meetsplit.pipeline.run.mixed_recording import MixedRecording
from meetsplit.pipeline.run.route import Route
from meetsplit.pipeline.run.separation import write_streams
from meetsplit.pipeline.run.sound import RecordingSound
from meetsplit.pipeline.run.stage_events import KeptStages, stage_events
from meetsplit.pipeline.run.transcript import merged_transcript, provenance
from meetsplit.pipeline.run.transcription import transcribe_clips
from meetsplit.pipeline.settings import Outputs
from meetsplit.speakers.kept_speech import KeptSpeech, KnownPeople, kept_speech
from meetsplit.speakers.rendering import Progress, TrackOptions, render_cached_tracks, render_tracks
from meetsplit.speakers.voice_store import EnrolledVoice, VoiceStore
from meetsplit.speakers.voiceprints import VoiceEmbeddings, VoiceEncoder


class RecordingRun:
    """One recording through the stages of a `Pipeline`; a stage whose result is kept in the cache is not repeated.

    ``content`` is what the recording holds; the run ends with an error where it reads anything else. With ``words``, an
    earlier transcript, nothing is transcribed. ``outputs`` are those of `Pipeline.open`. Every method raises what its
    stage raises, and `OutputError` where a result cannot be kept.
    """

    def __init__(
        self,
        backends: Backends,
        recording: Path | MultiFileRecording,
        cache: StageCache,
        content: RecordingContent,
        *,
        words: Transcript | None = None,
        outputs: Outputs | None = None,
    ) -> None:
        self._backends, self._recording, self._cache = backends, recording, cache
        self._words, self._outputs = words, outputs or Outputs(voices="off")
        self._kept_stages = KeptStages(cache, backends.on_event)
        backends.on_event(Opened(str(recording)))
        is_split = backends.settings.channels == "split"
        self._route: Route = ChannelPerSpeaker(backends, recording) if is_split else MixedRecording(backends, recording)
        self._content = content
        self._first_keys = cache_keys(content.sha256, backends.settings, backends.preflight())
        read = functools.partial(self._route.read, cache.folder, content)
        self._sound = RecordingSound(backends, recording, read, cache, self._first_keys.clean)
        self._voiceprints: dict[str, Mapping[Speaker, VoiceEmbeddings]] = {}

    @functools.cached_property
    def _keys(self) -> CacheKeys:
        """The keys of all stages; those after the diarization may depend on who speaks."""
        return self._first_keys.with_kept_speech(self._kept_speech.sha256)

    def remaining_stages(self) -> tuple[str, ...]:
        """The stages of `KEPT_STAGES` that are still to be done, in order: their results are not in the cache."""
        stages, key = self._remaining_of_every_run(), self._first_keys.clean
        is_heard = not {"diarize", "separate"}.isdisjoint(stages)
        if key is None or not is_heard or self._cache.load_cleaned(key) is not None:
            return stages
        return ("clean", *stages)

    def _remaining_of_every_run(self) -> tuple[str, ...]:
        has_turns = self._cache.load_diarization(self._first_keys.diarize) is not None
        if self._people_with_speech and not has_turns:
            return STAGES  # who speaks decides with which kept speech the other stages are done
        clips = self._cache.load_streams(self._keys.separate)
        is_kept = {
            "diarize": has_turns,
            "separate": clips is not None,
            "transcribe": clips is not None
            and self._cache.load_transcripts(self._keys.transcribe, len(clips)) is not None,
        }
        return tuple(stage for stage in STAGES if not is_kept[stage])

    def diarize(self) -> Diarization:
        """The turns of every speaker."""
        diarization = self._cache.load_diarization(self._first_keys.diarize)
        self._kept_stages.report("diarize", self._first_keys.diarize, kept=diarization is not None)
        if diarization is None:
            audio = self._sound.cleaned
            doing = f"finding who speaks when in {self._recording}"
            with stage_events(self._backends.on_event, "diarize", doing) as add_to_summary:
                diarization = self._route.diarize(audio, self._first_keys.rttm)
                diarization = replace(diarization, duration=timebase(self._sound.whole).span.end)
                add_to_summary(activity.describe_channels(diarization) if len(audio) > 1 else _summarize(diarization))
            self._cache.save_diarization(self._first_keys.diarize, diarization)
        return diarization

    def separate(self) -> tuple[StreamInfo, ...]:
        """The clips of every speaker's stream, without their sound, which is in `tracks`."""
        clips = self._cache.load_streams(self._keys.separate)
        self._kept_stages.report("separate", self._keys.separate, kept=clips is not None)
        if clips is None:
            diarization = self.diarize()
            for text in self._kept_speech.notices:
                self._backends.on_event(Notice(text, "separate"))
            track_folder = self._cache.start_track_folder(self._keys.separate)
            clips = self._write_tracks(self._sound.cleaned, diarization, track_folder)
            self._cache.save_streams(self._keys.separate, clips)
        return clips

    def _write_tracks(self, audio: Channels, diarization: Diarization, folder: Path) -> tuple[StreamInfo, ...]:
        streams = self._route.streams(audio, diarization, folder.parent, self._kept_speech.clips)
        doing = f"taking voices apart in {self._recording}"
        with stage_events(self._backends.on_event, "separate", doing) as add_to_summary:
            clips = write_streams(streams, folder, audio, timebase(self._sound.whole))
            voices = [voice for clip in clips for voice in clip.patches]
            if voices:
                separated = sum(voice.source == "separated" for voice in voices)
                add_to_summary(f"{separated} of {len(voices)} overlapped voices taken apart")
        return clips

    def transcribe(self) -> tuple[ClipTranscript, ...]:
        """The words of each clip, in the order of `separate`."""
        clips = self.separate()
        transcripts = self._cache.load_transcripts(self._keys.transcribe, len(clips))
        self._kept_stages.report("transcribe", self._keys.transcribe, kept=transcripts is not None)
        if transcripts is None:
            transcripts = self._transcribe(clips)
            self._cache.save_transcripts(self._keys.transcribe, transcripts)
        return transcripts

    def _transcribe(self, clips: Sequence[StreamInfo]) -> tuple[ClipTranscript, ...]:
        tracks, doing = self.tracks, f"transcribing {self._recording}"
        with stage_events(self._backends.on_event, "transcribe", doing) as add_to_summary:
            answers = transcribe_clips(self._backends, clips, tracks, self._keys.script)
            add_to_summary(f"{sum(len(answer.words) for answer in answers)} words")
        return answers

    def transcript(self) -> Transcript:
        """The words of all streams merged into one transcript; each utterance in one stream only.

        With the words of an earlier transcript: that transcript, rediarized.
        """
        backends = self._backends
        if self._words is not None:
            diarization = self.diarize()
            return rediarized(self._words, diarization, provenance(backends, diarization), backends.on_event)
        diarization, clips, words = self.diarize(), self.separate(), self.transcribe()
        streams = list(zip(clips, words, strict=True))
        return merged_transcript(backends, self._recording.stem, diarization, streams, self.tracks)

    @property
    def tracks(self) -> Mapping[Speaker, Path]:
        """The track of every speaker in the stage cache, once `separate` is done: 16 kHz, mono, as transcribed.

        What people get is made of it and of the recording, see `render_tracks`.
        """
        self.separate()
        return self._cache.track_paths(self._keys.separate)

    def render_tracks(
        self, targets: Mapping[Speaker, Path], options: TrackOptions, on_progress: Progress = lambda share: None
    ) -> None:
        """Write each speaker's track to its target, at the recording's own rate and with its own channels unless
        ``options`` say otherwise; raises as `rendering.render_tracks`.
        """
        clips, diarization = self.separate(), self.diarize()
        sources = self._route.track_sources(diarization, self._content)
        with blame("write", f"writing the tracks of {self._recording}"):
            if options.sound == "cleaned" and self._sound.is_cleaned:
                render_cached_tracks(self.tracks, clips, targets, options, on_progress)
                return
            if options.sound == "cleaned":
                told = f"--track-sound cleaned: nothing was taken out of {self._recording} (see --clean)"
                self._backends.on_event(Notice(told, "write"))
            sources = tuple(replace(source, is_cleaned=self._sound.is_cleaned) for source in sources)
            render_tracks(self.tracks, clips, sources, targets, options, on_progress)

    def write_background(self, target: Path) -> bool:
        """Write what was taken out of the recording, 16 kHz and mono; False where that is nothing."""
        return self._sound.write_background(target)

    @property
    def sound(self) -> tuple[Path, Content | None] | None:
        """The file of the recording with its content; None where there are several files."""
        if isinstance(self._recording, MultiFileRecording):
            return None
        return self._recording, self._content.files.get(self._recording)

    @property
    def threads(self) -> int:
        """Threads on the CPU that the settings allow; 0: torch's own choice."""
        return self._backends.settings.threads

    @property
    def is_mixed(self) -> bool:
        """Whether everybody is in one channel."""
        return isinstance(self._route, MixedRecording)

    def heard(self, speaker: Speaker) -> Audio:
        """The sound in which a speaker of `diarize` is to be heard: the recording, or the speaker's own channel."""
        numbers = dict(self.diarize().channels)
        return self._sound.stretch[0 if self.is_mixed else numbers[speaker]]

    @functools.cached_property
    def _people_with_speech(self) -> tuple[EnrolledVoice, ...]:
        return known_voices.enrolled_people(self._backends, self._outputs.voices)

    @functools.cached_property
    def _kept_speech(self) -> KeptSpeech:
        """The kept speech of enrolled people who hardly speak alone in this recording."""
        people = self._people_with_speech
        if not people:
            return KeptSpeech()
        diarization = self.diarize()
        known = KnownPeople(people, VoiceStore.named(self._outputs.voices), given_names(diarization, self._outputs))
        return kept_speech(self, diarization.turns, known)

    def with_known_voices(self, known: Mapping[Speaker, Sequence[Audio]]) -> RecordingRun:
        """The same run, in which the separator has clips of some speakers from elsewhere beside the recording's own.

        What it separates is kept beside what is separated without them.
        """
        other = copy.copy(self)
        other._kept_speech = known_voices.with_clips(self._kept_speech, known)
        other._keys = self._first_keys.with_kept_speech(other._kept_speech.sha256)
        return other

    def with_one_person(self, labels: Sequence[Speaker]) -> RecordingRun:
        """The same run, in which these labels of a mixed recording are one person, the first: a diarizer may make two
        of one.

        Its turns, and what is separated by them, are kept beside those of the labels apart.
        """
        diarization = self.diarize()
        other = copy.copy(self)
        for computed in ("_keys", "_kept_speech"):
            other.__dict__.pop(computed, None)
        other._voiceprints = {}
        other._first_keys = self._first_keys.with_one_person(labels)
        joined = timeline.with_one_speaker(diarization.turns, labels)
        self._cache.save_diarization(other._first_keys.diarize, replace(diarization, turns=joined))
        return other

    def voice_encoder(self, backend: str) -> VoiceEncoder:
        """The pipeline's encoder of voiceprints of that name."""
        return self._backends.voice_encoder(backend)

    def voiceprints(self, encoder: VoiceEncoder) -> Mapping[Speaker, VoiceEmbeddings]:
        """The voiceprints of every speaker, computed once for each encoder: of the tracks, or of the recording where
        kept speech may take voices apart, because then who is who has to be known before there are tracks.
        """
        if encoder.name not in self._voiceprints:
            turns = self.diarize().turns
            if self._people_with_speech:
                (recording,) = self._sound.stretch
                self._voiceprints[encoder.name] = known_voices.voiceprints_of_recording(encoder, turns, recording)
            else:
                self._voiceprints[encoder.name] = known_voices.voiceprints_of_tracks(encoder, turns, self.tracks)
        return self._voiceprints[encoder.name]


def _summarize(diarization: Diarization) -> str:
    turns = diarization.turns
    return f"{len({turn.speaker for turn in turns})} speakers, {len(turns)} turns"
