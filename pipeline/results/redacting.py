"""Redaction: a new result set of a transcript, in which some of its people cannot be heard or read.

out/meeting.json                   the transcript, with its recording and tracks
out/meeting-redacted.json, .srt …  their text is `BLANK`, their names are gone
out/meeting-redacted.wav           the recording without their voices, see `speakers.redaction`
out/meeting-redacted/…             the tracks of the others

The new set is made of what is known to be harmless, never of everything but what is known to be harmful.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from meetsplit.pipeline import formats
from meetsplit.pipeline.audio.reading import probe
from meetsplit.pipeline.data import Provenance, Segment, Span, Speaker, Transcript, Turn, Word, timeline
from meetsplit.pipeline.errors import AudioError, SettingsError
from meetsplit.pipeline.events import EventListener, Finished, Notice, Progressed, Started, ignore_events
from meetsplit.pipeline.formats import read_transcript_file
from meetsplit.pipeline.formats.people import labels_of, person_labels
from meetsplit.pipeline.results.folder import PublishedResults, Reservation, ResultsFolder
from meetsplit.pipeline.results.originals import kept_originals
from meetsplit.pipeline.results.ownership import EditHistory, Owner, ResultRequest, owner_by_turns
from meetsplit.pipeline.results.page_sound import SoundSources, sound_beside
from meetsplit.pipeline.results.stems import PAGE_RECORDING, absolute_path, name_max, safe_stem
from meetsplit.pipeline.results.track_names import track_stems
from meetsplit.pipeline.results.writing import permissions, placed, render_formats, stage_page, with_names
from meetsplit.pipeline.settings import Outputs
from meetsplit.speakers.redaction import (
    RedactionPlan,
    RedactionSources,
    RedactionTargets,
    plan_redaction,
    redact_sound,
)

BLANK = "[redacted]"
"""The text that stands for what was said."""

_FREE_TEXT = ("initial_prompt", "hotwords", "script", "rttm")
"""Settings of `made_by` that hold a user's own words, or names of files."""

_HEARD_ALONE = ("dropped-", "times-")
"""Beginnings of the review reasons that do not say that several people may be heard at once."""

_SAME_LENGTH = 1.0
"""Seconds by which the recording, or a track, may differ from the transcript in length."""


@dataclass(frozen=True, slots=True)
class Redacted:
    """A redaction that was published: the ``redacted`` people, and the ``recording``'s copy in the set.

    ``blanked`` counts the others' words that were blanked, too; ``silenced`` are the seconds of overlaps in which
    nobody can be heard.
    """

    transcript: Transcript
    redacted: tuple[Speaker, ...]
    published: PublishedResults
    recording: Path
    blanked: int
    silenced: float


def people_to_redact(transcript: Transcript, people: Sequence[str], keep: Sequence[str]) -> tuple[Speaker, ...]:
    """The labels of the ``people``, or of all but those to ``keep``; each by label or name.

    Everybody who has the same name is the same person. Raises `SettingsError` for one that there is not, and where
    nobody is left to redact.
    """
    if bool(people) == bool(keep):
        raise SettingsError("redact needs either the people who are redacted, or --keep with those who are not")
    persons = person_labels(transcript)
    named = {persons[label] for who in (people or keep) for label in labels_of(transcript, who)}
    chosen = {label for label in transcript.speakers if persons[label] in named}
    redacted = tuple(label for label in transcript.speakers if (label in chosen) is bool(people))
    if not redacted:
        raise SettingsError(f"--keep: nobody else speaks in {transcript.recording}, so there is nobody to redact")
    return redacted


def redacted_transcript(transcript: Transcript, redacted: Collection[Speaker]) -> tuple[Transcript, int]:
    """The transcript without what the ``redacted`` people say and are called, and how many words of others went, too.

    Labels, turns and the times of segments stay. Of words that others say while a redacted person speaks, those that
    were heard in the recording itself, not in a separated voice, may be the redacted person's: they are blanked.
    """
    spoken = spoken_spans(transcript, redacted)
    is_split = dict(transcript.made_by.settings).get("channels") == "split"
    segments: list[Segment] = []
    blanked = 0
    for segment in transcript.segments:
        if segment.speaker in redacted:
            blank = (Word(segment.span, BLANK),)
            segments.append(Segment(segment.speaker, blank, source=segment.source, overlap=segment.overlap))
            continue
        doubtful = () if is_split or _is_heard_alone(segment) else spoken
        words, count = _without_doubtful(segment.words, doubtful)
        blanked += count
        segments.append(dataclasses.replace(segment, words=words) if count else segment)
    made_by = transcript.made_by
    settings = tuple((name, None if name in _FREE_TEXT else value) for name, value in made_by.settings)
    return Transcript(
        recording=transcript.recording,
        duration=transcript.duration,
        segments=tuple(segments),
        turns=transcript.turns,
        made_by=Provenance(made_by.version, made_by.stages, settings, made_by.packages, made_by.guards),
        names=tuple((label, name) for label, name in transcript.names if label not in redacted),
    ), blanked


def spoken_spans(transcript: Transcript, speakers: Collection[Speaker]) -> tuple[Span, ...]:
    """Where these people speak by their turns and their words; words may lie outside of turns."""
    turns = (turn.span for turn in transcript.turns if turn.speaker in speakers)
    words = (word.span for one in transcript.segments if one.speaker in speakers for word in one.words)
    return timeline.support((*turns, *words))


def _is_heard_alone(segment: Segment) -> bool:
    """Whether all of a segment was heard in the speaker's own voice, or a person has checked it."""
    if segment.checked is not None or not segment.overlap:
        return True
    doubts = [reason for reason in segment.review if not reason.startswith(_HEARD_ALONE)]
    return segment.source == "separated" and not doubts


def _without_doubtful(words: Sequence[Word], spoken: Sequence[Span]) -> tuple[tuple[Word, ...], int]:
    """The words, with those of which at least half is ``spoken`` as one `BLANK` in a row, and how many these were."""
    kept: list[Word] = []
    count = 0
    for word in words:
        covered = sum(part.duration for part in timeline.crop(timeline.during(spoken, word.span), word.span))
        if not covered or covered < word.span.duration / 2:
            kept.append(word)
            continue
        count += 1
        if kept and kept[-1].text == BLANK:
            last = kept.pop()
            kept.append(Word(Span(last.span.start, max(last.span.end, word.span.end)), BLANK))
        else:
            kept.append(Word(word.span, BLANK))
    return tuple(kept), count


def redact_results(
    path: Path,
    people: Sequence[str],
    outputs: Outputs,
    *,
    keep: Sequence[str] = (),
    audio: Path | None = None,
    on_event: EventListener = ignore_events,
) -> Redacted:
    """Publish the transcript at ``path`` without ``people``, or with nobody but those to ``keep``, as a set of its own.

    The recording is ``audio``, or the one that belongs to the transcript; neither it nor the transcript is changed.
    Formats and names are those of ``outputs``, the copy of the recording has its track format. Where tracks are
    missing, nobody is heard in overlaps with redacted people, with a notice. Raises `SettingsError` for people that
    there are not and where there is no recording, `AudioError` and `OutputError`; then nothing is written.
    """
    as_read = read_transcript_file(path)
    named = with_names(as_read, outputs, on_event)
    redacted = people_to_redact(named, people, keep)
    transcript, blanked = redacted_transcript(named, redacted)
    beside = sound_beside(path, as_read)
    recording = _recording(path, as_read, audio, beside.recording)
    tracks = {who: file for who, file in beside.tracks.items() if _fits(file, as_read, on_event)}
    sources = RedactionSources(
        recording,
        {who: file for who, file in tracks.items() if who not in redacted},
        {who: file for who, file in tracks.items() if who in redacted},
    )
    plan = _plan(named, redacted, only_speech=bool(keep))
    _tell_missing(named, redacted, sources.kept, plan.shared, on_event)
    stem = safe_stem(f"{path.stem}-redacted")
    suffix = f".{outputs.track_format}"
    with ResultsFolder(outputs.folder).reservation(
        _request(path, named, outputs, stem, (path, recording, *tracks.values()))
    ) as reservation:
        folder = reservation.staging / "tracks"
        names = track_stems(transcript.speakers, dict(transcript.names), name_max(reservation.folder))
        targets = RedactionTargets(
            reservation.staging / "copy" / f"recording{suffix}",
            {who: folder / f"{names[who]}{file.suffix}" for who, file in sources.kept.items()},
        )
        total = transcript.duration
        on_event(Started("write", total, "s"))
        began = time.monotonic()
        unseparated = redact_sound(
            sources, plan, targets, lambda share: on_event(Progressed("write", share * total, total))
        )
        published = _publish(transcript, outputs, targets, reservation, permissions(path))
        on_event(Finished("write", time.monotonic() - began, f"{len(published.files)} files"))
    kept_before = kept_originals(published.files[0].parent / f"{published.placement.stem}.json")
    if kept_before:
        on_event(Notice(f"{kept_before[0]}: what was redacted before this may stand there: remove it", "write"))
    seconds = timeline.total(unseparated) if sources.kept else timeline.total(plan.shared)
    copy = outputs.folder / f"{published.placement.stem}{suffix}"
    return Redacted(transcript, redacted, published, copy, blanked, seconds)


def _publish(
    transcript: Transcript, outputs: Outputs, targets: RedactionTargets, reservation: Reservation, mode: int
) -> PublishedResults:
    """Publish the redacted set: texts, the page with the redacted sound, tracks and the copy."""
    sound = stage_page(
        SoundSources(targets.recording, targets.tracks), transcript, outputs, reservation.staging, ignore_events
    )
    for file in (targets.recording, *targets.tracks.values(), *sound.files):
        file.chmod(mode)

    def render(label: str) -> Mapping[str, str | bytes]:
        labelled = dataclasses.replace(transcript, recording=label)
        longest = name_max(reservation.folder)
        return render_formats(labelled, outputs, longest=longest, sound=placed(sound, reservation))

    return reservation.publish(
        render,
        (*targets.tracks.values(), *sound.files),
        mode=mode,
        labels={file.name: who for who, file in targets.tracks.items()},
        recording=targets.recording,
    )


def _request(path: Path, transcript: Transcript, outputs: Outputs, stem: str, inputs: Sequence[Path]) -> ResultRequest:
    """The set's request. It belongs to its own copy of the recording: the first one's name and content are in no file.

    Another redaction of the same transcript takes its place as a whole.
    """
    folder = absolute_path(outputs.folder / "x").parent
    turns = owner_by_turns(path, transcript).content
    return ResultRequest(
        Owner(str(folder / f"{stem}.{outputs.track_format}"), turns),
        stem,
        preferred=stem,
        suffixes=(*formats.suffixes_of(outputs.formats), f".{outputs.track_format}"),
        speaker_suffixes=tuple(one.suffix for one in formats.speaker_formats(outputs.formats)),
        inputs=tuple(inputs),
        overwrite=outputs.overwrite,
        history=EditHistory(),
        replaces_all=True,
    )


def _plan(transcript: Transcript, redacted: Collection[Speaker], *, only_speech: bool) -> RedactionPlan:
    """The plan of the sound; people without turns, in a transcript of another program, speak where their words are."""
    with_turns = {turn.speaker for turn in transcript.turns}
    written = (Turn(one.span, one.speaker) for one in transcript.segments if one.speaker not in with_turns)
    settings = dict(transcript.made_by.settings)
    start, end = (settings.get(name) for name in ("start", "end"))
    within = Span(float(start or 0.0), float(end) if isinstance(end, int | float) else 1e9)
    words = spoken_spans(transcript, redacted)
    turns = sorted((*transcript.turns, *written))
    return plan_redaction(turns, redacted, words=words, within=within, only_speech=only_speech)


def _recording(path: Path, transcript: Transcript, audio: Path | None, beside: Path | None) -> Path:
    """The recording of the transcript at ``path``. Raises `SettingsError` where there is none, or another one."""
    recording = audio or (None if beside is None or beside.name == PAGE_RECORDING else beside)
    if recording is None:
        raise SettingsError(f"{path}: its recording does not lie beside it, nor where it was; add --audio RECORDING")
    length = probe(recording).duration
    if length is not None and abs(length - transcript.duration) > _SAME_LENGTH:
        raise SettingsError(
            f"{recording}: has {length:.1f} s, the recording of {path} {transcript.duration:.1f} s: give the one that "
            "the transcript was made from with --audio"
        )
    return recording


def _fits(track: Path, transcript: Transcript, on_event: EventListener) -> bool:
    """Whether a track is as long as the recording; else a notice says that it is not used."""
    try:
        length = probe(track).duration
    except AudioError as error:
        on_event(Notice(f"{error}; it is not used", "write"))
        return False
    if length is None or abs(length - transcript.duration) <= _SAME_LENGTH:
        return True
    on_event(Notice(f"{track}: has {length:.1f} s, the recording {transcript.duration:.1f} s; it is not used", "write"))
    return False


def _tell_missing(
    transcript: Transcript,
    redacted: Collection[Speaker],
    tracks: Collection[Speaker],
    shared: Sequence[Span],
    on_event: EventListener,
) -> None:
    """A notice about those who are kept, speak in overlaps with redacted people and have no track to be heard from."""
    missing = [
        transcript.name_of(who)
        for who, spans in timeline.by_speaker(transcript.turns).items()
        if who not in redacted and who not in tracks and any(timeline.during(shared, span) for span in spans)
    ]
    if missing:
        on_event(
            Notice(
                f"without a track of {', '.join(missing)} beside the transcript, nothing of that is heard where a "
                "redacted person speaks at the same time",
                "write",
            )
        )
