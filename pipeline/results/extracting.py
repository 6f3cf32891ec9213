"""Extraction: one person's track of a recording, or everybody but that person, as a single file of its own.

    meeting.wav, clip of a voice → search (who of its people is it?) → alice.wav, as long as the recording

The person is known by a clip, by an enrolled voice, or by a label of the meeting. A file of an earlier extraction, or
anything else that lies at the target, is never written over unasked.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from meetsplit.pipeline.audio.content import Content
from meetsplit.pipeline.audio.native import open_native
from meetsplit.pipeline.data import Audio, Diarization, Speaker, StreamInfo, timeline
from meetsplit.pipeline.errors import OutputError, SettingsError, VoicesError, nearest
from meetsplit.pipeline.events import EventListener, Finished, Progressed, Started
from meetsplit.pipeline.files.scratch import scratch_folder
from meetsplit.pipeline.results.writing import track_options
from meetsplit.pipeline.settings import Outputs
from meetsplit.speakers.extraction import ENOUGH_ALONE, VoiceSearch, find_voice, write_rest, write_silence
from meetsplit.speakers.identification import chosen_encoder
from meetsplit.speakers.rendering import Progress, TrackOptions
from meetsplit.speakers.track_editing import compose_track
from meetsplit.speakers.track_files import ENCODINGS, format_rate
from meetsplit.speakers.voice_samples import clips_of_file, sample_of_file
from meetsplit.speakers.voice_store import EnrolledVoice, VoiceStore
from meetsplit.speakers.voiceprints import (
    ENCODERS,
    VoiceEmbeddings,
    VoiceEncoder,
    VoiceScorer,
    clean_spans,
    embed_people,
)

FORMATS = ("wav", *(name for name in ENCODINGS if name != "webm"))
"""The formats of an extraction, by the target's suffix."""


class SeparatedRun(Protocol):
    """A run whose people can be heard one by one: `run.RecordingRun`."""

    def diarize(self) -> Diarization:
        """The turns of everybody."""

    def separate(self) -> tuple[StreamInfo, ...]:
        """The clips of everybody's stream."""

    def heard(self, speaker: Speaker) -> Audio:
        """The sound in which a speaker is to be heard, mono."""

    def with_known_voices(self, known: Mapping[Speaker, Sequence[Audio]]) -> Self:
        """The same run with clips of some speakers from elsewhere."""

    def with_one_person(self, labels: Sequence[Speaker]) -> Self:
        """The same run, in which these labels are one person, the first."""

    def voice_encoder(self, backend: str) -> VoiceEncoder:
        """The encoder of voiceprints of that name."""

    @property
    def sound(self) -> tuple[Path, Content | None] | None:
        """The file of the recording with its content; None where there are several files."""

    @property
    def is_mixed(self) -> bool:
        """Whether everybody is in one channel."""

    def render_tracks(
        self, targets: Mapping[Speaker, Path], options: TrackOptions, on_progress: Progress = ...
    ) -> None:
        """Write each speaker's finished track to its target."""


@dataclass(frozen=True, slots=True)
class WantedVoice:
    """Whose voice is wanted: ``clips``, files of one person speaking, the ``person`` enrolled, or a ``label``.

    At least one of the three; clips and a person together are one voice.
    """

    clips: tuple[Path, ...] = ()
    person: EnrolledVoice | None = None
    label: Speaker | None = None

    @property
    def name(self) -> str:
        """What the person is called in names of files."""
        if self.person is not None:
            return self.person.name
        return self.label or self.clips[0].stem


@dataclass(frozen=True, slots=True)
class Extracted:
    """An extraction that was written to ``path``.

    ``search`` says whose voice it is, ``seconds`` how long they speak by their turns, ``overlapped`` how much of it
    while others speak, and ``knew_clip`` that the clip helped to take overlaps apart.
    """

    path: Path
    search: VoiceSearch
    seconds: float
    overlapped: float
    knew_clip: bool


def wanted_voice(values: Sequence[str], store: VoiceStore) -> WantedVoice:
    """The voice that these mean together: each is the path of a clip, a label such as SPEAKER_01, or an enrolled name.

    Raises `SettingsError` for one that is neither, and for several people.
    """
    clips = tuple(path for value in values if (path := Path(value).expanduser()).is_file())
    others = [value for value in values if not Path(value).expanduser().is_file()]
    if len(others) > 1:
        raise SettingsError(f"--voice {others[1]}: one person at a time; several values are clips of the same person")
    if not others:
        return WantedVoice(clips)
    if others[0].startswith("SPEAKER_"):
        if clips:
            raise SettingsError(f"--voice {others[0]}: the label says already who it is; leave the clips out")
        return WantedVoice(label=others[0])
    people = store.read()
    if not any(person.name.casefold() == " ".join(others[0].split()).casefold() for person in people):
        known = nearest(others[0], [person.name for person in people]) if people else "no voice is enrolled"
        raise SettingsError(f"--voice {others[0]}: no such file, and no enrolled voice of that name: {known}")
    return WantedVoice(clips, store.find(others[0], people))


def search_voice(run: SeparatedRun, wanted: WantedVoice) -> VoiceSearch:
    """Whose voice it is among the people of the run, who are diarized once the clips are known to be good.

    Raises `VoicesError` for clips that tell nothing (silence, too short, two people), `SettingsError` for a label that
    is not there.
    """
    if wanted.label is not None:
        speech = timeline.by_speaker(run.diarize().turns)
        if wanted.label not in speech:
            raise SettingsError(f"--voice {wanted.label}: nobody of that label speaks: {nearest(wanted.label, speech)}")
        return VoiceSearch((wanted.label,), {}, is_sure=True)
    backend = ENCODERS[0] if wanted.person is None else (chosen_encoder([wanted.person]) or "").partition("-")[0]
    encoder = run.voice_encoder(backend)
    voices = [sample_of_file(encoder, path).sample.embeddings for path in wanted.clips]
    enrolled = None if wanted.person is None else wanted.person.of_encoder(encoder.name)
    if wanted.person is not None and enrolled is None and not voices:
        raise VoicesError(
            f"the voice of {wanted.person.name} was enrolled with other weights than {encoder.name}; add it again: "
            f"meetsplit voices add {wanted.person.name} RECORDING"
        )
    voice = VoiceEmbeddings.joined([*voices, *([] if enrolled is None else [enrolled])])
    turns = run.diarize().turns
    people = embed_people(encoder, turns, lambda speaker, span: run.heard(speaker).crop(span))
    return find_voice(people, voice, VoiceScorer(encoder.name))


def extract_voice(
    run: SeparatedRun, wanted: WantedVoice, target: Path, outputs: Outputs, on_event: EventListener, *, without: bool
) -> Extracted:
    """Write the wanted person's track to ``target``, or with ``without`` everybody but them, as long as the recording.

    Labels of which the search says that they are one person are made one before anything is taken apart: else the
    person would be parted from themselves. Of somebody who is not there the track is silent, and everybody but them is
    the recording. Where the person hardly speaks alone (`ENOUGH_ALONE`), the clips help to take overlaps apart. Raises
    as `search_voice`, `AudioError` and `OutputError`; then nothing is written.
    """
    search = search_voice(run, wanted)
    speakers = search.speakers
    if len(speakers) > 1 and run.is_mixed:
        run, speakers = run.with_one_person(speakers), speakers[:1]
    turns = run.diarize().turns
    own = timeline.support(turn.span for turn in turns if turn.speaker in speakers)
    others = timeline.support(turn.span for turn in turns if turn.speaker not in speakers)
    overlapped = timeline.total(part for span in own for part in timeline.crop(timeline.during(others, span), span))
    known = _known_clips(run, wanted, speakers, overlapped)
    if known:
        run = run.with_known_voices(known)
    if speakers:
        run.separate()
    on_event(Started("write", 1, "files"))
    began = time.monotonic()

    def tell(share: float) -> None:
        on_event(Progressed("write", share, 1))

    people = tuple(timeline.by_speaker(turns))
    with scratch_folder() as scratch:
        _Extraction(run, people, speakers, outputs, scratch).write(target, tell, without=without)
    on_event(Finished("write", time.monotonic() - began, target.name))
    return Extracted(target, search, timeline.total(own), overlapped, bool(known))


class _Extraction:
    """The writing of one extraction; what is put together lies in ``scratch`` meanwhile."""

    def __init__(
        self, run: SeparatedRun, people: Sequence[Speaker], wanted: Sequence[Speaker], outputs: Outputs, scratch: Path
    ) -> None:
        self._run, self._people, self._wanted = run, people, wanted
        self._outputs, self._scratch = outputs, scratch

    def write(self, target: Path, on_progress: Progress, *, without: bool) -> None:
        """Write the people who are wanted, or all the others."""
        sound = self._run.sound
        if without and sound is not None and self._run.is_mixed:
            track = self._sum(self._wanted, self._scratch / "track.wav", on_progress) if self._wanted else None
            write_rest(sound[0], track, target, on_progress=on_progress)
            return
        chosen = [who for who in self._people if (who in self._wanted) != without]
        if chosen:
            self._sum(chosen, target, on_progress)
        else:
            self._silence(target)

    def _sum(self, people: Sequence[Speaker], target: Path, on_progress: Progress) -> Path:
        """The finished tracks of the people as one file."""
        is_one = len(people) == 1
        suffix = target.suffix if is_one else ".wav"
        parts = {who: target if is_one else self._scratch / f"{who}{suffix}" for who in people}
        self._run.render_tracks(parts, self._options(suffix), on_progress)
        if not is_one:
            compose_track([(path, None) for path in parts.values()], target, on_progress)
        return target

    def _silence(self, target: Path) -> None:
        """A silent file of the recording's length, rate and channels; of several files, those of the first."""
        sound = self._run.sound
        if sound is None:
            raise OutputError(f"{target}: nobody speaks in the files, so there is no track to write")
        with open_native(sound[0]) as native:
            options = self._options(target.suffix)
            is_mono = options.channels == "mono" or not self._run.is_mixed
            rate, channels = options.rate or native.rate, 1 if is_mono else native.channels
        write_silence(sound[0], target, rate=format_rate(options.track_format, rate), channels=channels)

    def _options(self, suffix: str) -> TrackOptions:
        options = track_options(self._outputs)
        return TrackOptions(suffix[1:], options.gate, options.rate, options.channels)


def _known_clips(
    run: SeparatedRun, wanted: WantedVoice, speakers: Sequence[Speaker], overlapped: float
) -> dict[Speaker, tuple[Audio, ...]]:
    """The clean speech of the clips, for the one speaker who hardly speaks alone and does overlap with others."""
    if len(speakers) != 1 or not wanted.clips or not overlapped or not run.is_mixed:
        return {}
    if timeline.total(clean_spans(run.diarize().turns, speakers[0])) >= ENOUGH_ALONE:
        return {}
    return {speakers[0]: tuple(clip for path in wanted.clips for clip in clips_of_file(path))}


def check_target(target: Path, inputs: Sequence[Path], *, overwrite: bool) -> None:
    """Raise `SettingsError` for a target of another format, one of the ``inputs``, and, without ``overwrite``, one that
    is there already; before any work.
    """
    if target.suffix[1:].lower() not in FORMATS or target.suffix != target.suffix.lower():
        kinds = ", ".join(f".{name}" for name in FORMATS)
        raise SettingsError(f"-o {target}: the ending says the format, one of {kinds}: choose such a name")
    if target.is_dir():
        raise SettingsError(f"-o {target}: is a folder; give the name of a file in it")
    if target.exists() and any(path.exists() and path.samefile(target) for path in inputs):
        raise SettingsError(f"-o {target}: is a file that is read; choose another name")
    if target.exists() and not overwrite:
        raise SettingsError(f"{target}: is there already; choose another name with -o, or add --overwrite")
