"""The summary of a finished recording: its people with their talk time, what to check, and its files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from meetsplit.console.quantities import counted, duration, kept_sentence
from meetsplit.console.recording_progress import RecordingProgress
from meetsplit.pipeline.channels.recording import MultiFileRecording
from meetsplit.pipeline.data import Transcript
from meetsplit.pipeline.data.timeline import by_speaker, total
from meetsplit.pipeline.formats.people import by_person
from meetsplit.pipeline.formats.text import clock, speaker_names
from meetsplit.pipeline.results.voices import suggestions
from meetsplit.pipeline.results.writing import WrittenResults

_SHOWN = 5
"""Segments for review that a summary names."""

SHORT_SPEECH = 3.0
"""Seconds of speech below which a remark asks whether it is a person at all."""

POOR_BLEED = -5.0
"""dB of bleed from which on others are heard in a track: half of such voices had an SI-SDR below 0.7 dB."""

_GIVEN = ("rttm", "channels")
"""Diarizers that do not decide how many people there are."""


def summary(console: Console, source: Path | MultiFileRecording, written: WrittenResults) -> None:
    """Print what was written for one recording; on a terminal the files in short, else a path per line."""
    transcript = written.transcript
    talk_times = _talk_times(transcript)
    length, count = clock(1000 * round(transcript.duration)), len(talk_times)
    words = sum(len(segment.words) for segment in transcript.segments)
    people = "person" if count == 1 else "people"
    console.print(f"{source}: {length}, {count} {people}, {counted(words, 'word')}", soft_wrap=True)
    lines = _about_people(transcript, talk_times)
    lines += _recognised(transcript)
    lines += _judged_tracks(transcript)
    check = to_check(transcript)
    lines += [check] if check else []
    if written.placement.reason is not None:
        lines.append(f"written as {written.placement.stem}.*, because {written.placement.reason}")
    for line in lines:
        if console.is_terminal:
            console.print(Padding(Text(line), (0, 0, 0, 2), expand=False))
        else:
            console.print(f"  {line}", soft_wrap=True)
    for path in shown_files(console, written.files):
        console.print(f"  {path}", soft_wrap=True)  # so that a long path is copied as one


def _recognised(transcript: Transcript) -> list[str]:
    """Who was recognised by voice, and who may be whom."""
    confirmed = [f"{label} is {match.name}" for label, match in transcript.voices if match.decision == "confirmed"]
    lines = [f"recognised by voice: {', '.join(confirmed)} (--voices off leaves it out)"] if confirmed else []
    return [*lines, *(f"by voice, {sentence}: not applied" for sentence in suggestions(transcript))]


def _judged_tracks(transcript: Transcript) -> list[str]:
    """The tracks in which others are heard in overlaps, and how separated voices sound, in a sentence each."""
    poor = [
        f"{transcript.name_of(label)} (bleed {one.bleed:.0f} dB in {duration(one.seconds)} of overlaps)"
        for label, one in transcript.quality
        if one.bleed is not None and one.bleed >= POOR_BLEED
    ]
    marks = [
        f"{transcript.name_of(label)} {mark.ovr:.1f} (speech {mark.sig:.1f}, background {mark.bak:.1f})"
        for label, one in transcript.quality
        if (mark := one.dnsmos) is not None
    ]
    lines = [f"tracks in which others are heard: {', '.join(poor)}"] if poor else []
    return [*lines, f"separated voices sound, of 1 to 5 (DNSMOS): {', '.join(marks)}"] if marks else lines


def to_check(transcript: Transcript) -> str | None:
    """The segments for review in a sentence; None where there are none."""
    for_review = [segment for segment in transcript.segments if segment.review]
    if not for_review:
        return None
    shown = ", ".join(
        f"{clock(int(1000 * segment.span.start))} {transcript.name_of(segment.speaker)} ({', '.join(segment.review)})"
        for segment in for_review[:_SHOWN]
    )
    more = f" and {len(for_review) - _SHOWN} more" if len(for_review) > _SHOWN else ""
    stretches = "stretch" if len(for_review) == 1 else "stretches"
    return f"{len(for_review)} {stretches} to check: {shown}{more}"


def _talk_times(transcript: Transcript) -> dict[str, float]:
    """The seconds that each person speaks, by name; without UNKNOWN, whose words lie where nobody speaks."""
    transcript = by_person(transcript)
    speech = by_speaker(transcript.turns)
    return {
        name: float(total(speech[speaker])) for speaker, name in speaker_names(transcript).items() if speaker in speech
    }


def _about_people(transcript: Transcript, seconds: Mapping[str, float]) -> list[str]:
    """How long each person speaks, and a remark about those who hardly do, unless the turns were given."""
    lines = [" · ".join(f"{name} {duration(spoken)}" for name, spoken in seconds.items())] if seconds else []
    short = [name for name, spoken in seconds.items() if spoken < SHORT_SPEECH]
    diarizers = {record.backend for record in transcript.made_by.stages if record.stage == "diarizer"}
    if short and not diarizers & set(_GIVEN):
        lines.append(
            f"hardly any speech, perhaps no person: {', '.join(short)}; "
            "--num-speakers or --max-speakers limits how many are found"
        )
    return lines


def shown_files(console: Console, paths: Sequence[Path]) -> list[str]:
    """The paths as they are printed: on a terminal in short, else one by one."""
    return shortened(paths) if console.is_terminal else [str(path) for path in paths]


def shortened(paths: Sequence[Path]) -> list[str]:
    """The paths in a line for each name and for each folder of tracks, as a shell would write them.

    >>> shortened([Path("out/call.srt"), Path("out/call.seglst.json"), Path("out/call/SPEAKER_00.wav"),
    ...     Path("out/call/SPEAKER_01.wav")])
    ['out/call.{srt,seglst.json}', 'out/call/SPEAKER_00…01.wav']
    """
    groups: dict[Path, list[str]] = {}
    for path in paths:
        groups.setdefault(path.parent, []).append(path.name)
    return [str(folder / _braced(names)) for folder, names in groups.items()]


def _braced(names: Sequence[str]) -> str:
    """Names of files in one folder as one name: numbers in a row as a range, other differences in braces.

    >>> _braced(["call.srt", "call.stm", "call.seglst.json"]), _braced(["Ann.wav", "Anna.wav"])
    ('call.{srt,stm,seglst.json}', '{Ann,Anna}.wav')
    """
    if len(names) == 1:
        return names[0]
    numbered = [re.fullmatch(r"(.*?)(\d+)(\.\w+)", name) for name in names]
    groups = [match.groups() for match in numbered if match is not None]
    if len(groups) == len(names) and len({(begin, end) for begin, _, end in groups}) == 1:
        before, first, after = groups[0]
        if [int(number) for _, number, _ in groups] == list(range(int(first), int(first) + len(names))):
            return f"{before}{first}…{groups[-1][1]}{after}"
    parts = [name.split(".") for name in names]
    begin = _shared(parts)
    end = _shared([part[len(begin) :][::-1] for part in parts])[::-1]
    middles = [".".join(part[len(begin) : len(part) - len(end)]) for part in parts]
    return ".".join([*begin, f"{{{','.join(middles)}}}", *end])


def _shared(lists: Sequence[Sequence[str]]) -> list[str]:
    """What all lists begin with; at least one part of each is left over."""
    shared: list[str] = []
    for parts in zip(*(parts[:-1] for parts in lists), strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return shared


def times_sentence(recording: RecordingProgress, seconds: float) -> str:
    """How long the work on a recording took, its longer stages, and what was kept from earlier."""
    rows = recording.stages.values()
    done = [f"{row.stage} {duration(row.seconds)}" for row in rows if row.seconds is not None and row.seconds >= 1.0]
    parts = [f"done in {duration(seconds)}" + (f" ({', '.join(done)})" if done else "")]
    for moment, stages in _kept(recording):
        parts.append(f"{', '.join(stages)} {moment}")
    return f"  {'; '.join(parts)}"


def _kept(recording: RecordingProgress) -> Iterable[tuple[str, list[str]]]:
    """The stages that were kept, by the sentence that says since when."""
    by_moment: dict[str, list[str]] = {}
    for row in recording.stages.values():
        if row.kept:
            by_moment.setdefault(kept_sentence(row.kept_since), []).append(row.stage)
    return by_moment.items()
