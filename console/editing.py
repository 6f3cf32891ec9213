"""The commands `name`, `merge`, `split` and `undo`: a finished transcript is edited with everything made of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meetsplit.console.options import (
    FORMAT_OPTIONS,
    GivenOptions,
    given_files,
    print_files,
    resolve_settings,
    run_options,
)
from meetsplit.console.terminal import Terminal, print_line

if TYPE_CHECKING:
    from meetsplit.pipeline.data import Speaker, Transcript
    from meetsplit.pipeline.results.editing import PublishedEdit
    from meetsplit.speakers.voice_split import VoiceSplit

_EDIT_OPTIONS = (*FORMAT_OPTIONS, "overwrite", "config")
"""Options of an edit: how the formats of the set look; the formats are those that are there."""

TranscriptPath = Annotated[
    Path,
    typer.Argument(
        help="A transcript (JSON), or the recording or page beside it.", show_default=False, metavar="TRANSCRIPT"
    ),
]


@run_options(*_EDIT_OPTIONS)
def name(
    transcript: TranscriptPath,
    assignments: Annotated[
        list[str] | None,
        typer.Argument(
            help="A label, or the name so far, and the person's name; nothing behind = takes the name away. Without "
            "any, everybody is listed.",
            show_default=False,
            metavar="SPEAKER=NAME",
        ),
    ] = None,
    *,
    options: GivenOptions,
) -> None:
    """Name the people of a finished transcript: every format, the page and the track files follow.

    Labels stay beside the names. People with the same name are one person in all formats but JSON.
    """
    path = transcript_beside(transcript)
    if not assignments:
        _list_people(path)
        return
    print_files(options)

    def edited(before: Transcript) -> Transcript:
        return before.rename(_names_by_label(before, assignments))

    _edit(path, edited, options, lambda after: f"people are {_people(after)}")


@run_options(*_EDIT_OPTIONS)
def merge(
    transcript: TranscriptPath,
    people: Annotated[
        list[str],
        typer.Argument(
            help="Labels or names: the first is who they all are.", show_default=False, metavar="SPEAKER SPEAKER..."
        ),
    ],
    *,
    options: GivenOptions,
) -> None:
    """Make one person of several: words, turns and tracks of the others become the first one's.

    No word is transcribed again. The track is the sum of theirs.
    """
    from meetsplit.pipeline.errors import SettingsError
    from meetsplit.pipeline.formats.people import labels_of

    path = transcript_beside(transcript)
    print_files(options)

    def edited(before: Transcript) -> Transcript:
        labels = list(dict.fromkeys(label for who in people for label in labels_of(before, who)))
        if len(labels) < 2:
            raise SettingsError(f"{path}: one speaker cannot be merged with itself: name two of {_people(before)}")
        return before.merge(*labels)

    _edit(path, edited, options, lambda after: f"{', '.join(people[1:])} and {people[0]} are one person")


@run_options(*_EDIT_OPTIONS, "device", "cache_dir", "model_dir", "offline", "threads", hidden=("model_dir", "threads"))
def split(
    transcript: TranscriptPath,
    person: Annotated[str, typer.Argument(help="The label or name.", show_default=False, metavar="SPEAKER")],
    *,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            help="From this time on, it is another person: seconds, m:ss or h:mm:ss. (default: by voice)",
            metavar="TIME",
        ),
    ] = None,
    audio: Annotated[
        Path | None,
        typer.Option(
            help="The recording, to tell voices apart, where neither it nor the person's track lies beside the "
            "transcript.",
            metavar="RECORDING",
        ),
    ] = None,
    options: GivenOptions,
) -> None:
    """Make two people of one: from a time on, or by voice; the second one gets the next label.

    No word is transcribed again: words go with their turns, and the track is cut in pauses. By voice, every turn goes
    as a whole; how sure that is, is said.
    """
    from meetsplit.pipeline.data.units import seconds
    from meetsplit.pipeline.errors import SettingsError

    path = transcript_beside(transcript)
    if at is not None and audio is not None:
        raise SettingsError("--audio is for telling voices apart: leave it out with --at")
    print_files(options)
    time = None if at is None else seconds(at, "--at")
    said = ""

    def edited(before: Transcript) -> Transcript:
        nonlocal said
        label = before.label_of(person)
        said = f"{person} is two people: {label} and {before.next_label()}"
        if time is not None:
            return before.split(label, at=time)
        by_voice = _voices(path, before, label, audio, options)
        said += f", by voice: {_certainty(by_voice)}"
        return before.split(label, spans=by_voice.spans)

    _edit(path, edited, options, lambda after: said)


@run_options(*_EDIT_OPTIONS)
def undo(
    transcript: TranscriptPath,
    *,
    redo: Annotated[bool, typer.Option("--redo", help="Do the edit again that was taken back last.")] = False,
    options: GivenOptions,
) -> None:
    """Take back the last edit of a transcript: names, merged and split people, corrections of the page.

    The JSON is what it was before, to the byte; the other formats and the track files follow it.
    """
    from meetsplit.console.progress import Reporter
    from meetsplit.pipeline.formats import names
    from meetsplit.pipeline.results.editing import outputs_of_set, undo_edit

    path = transcript_beside(transcript)
    _, outputs = resolve_settings(options, names())
    print_files(options)
    with Reporter(Terminal(stderr=True)) as on_event:
        done = undo_edit(path, outputs_of_set(path, outputs, on_event), redo=redo, on_event=on_event)
    what, other = ("was done again", "") if redo else ("was taken back", " --redo")
    _tell(path, done, f"the last edit {what}: people are {_people(done.transcript)}", f"undo{other}")


def transcript_beside(path: Path) -> Path:
    """The transcript's JSON where a user names it, or the recording or page beside it.

    Raises `SettingsError` where there is none.
    """
    from meetsplit.pipeline.errors import SettingsError

    if path.suffix.lower() == ".json":
        return path
    beside = path.with_suffix(".json")
    if not beside.is_file():
        raise SettingsError(f"{path}: no transcript {beside.name} lies beside it: name the transcript's JSON file")
    return beside


def _names_by_label(transcript: Transcript, assignments: Sequence[str]) -> dict[Speaker, str]:
    """The new names by label; the label itself stands for no name. Raises `SettingsError`."""
    from meetsplit.pipeline.errors import SettingsError
    from meetsplit.pipeline.formats.people import labels_of
    from meetsplit.pipeline.formats.text import one_line

    new: dict[Speaker, str] = {}
    for assignment in assignments:
        who, equals, person = assignment.partition("=")
        if not equals or not who.strip():
            raise SettingsError(f"{assignment!r}: write it as SPEAKER_00=Alice, with quotes around names with blanks")
        for label in labels_of(transcript, who.strip()):
            wanted = one_line(person) or label
            if new.setdefault(label, wanted) != wanted:
                raise SettingsError(f"{who.strip()} is given two names, {new[label]!r} and {wanted!r}: give one")
    return new


def _edit(path: Path, edit: Any, options: GivenOptions, sentence: Any) -> None:
    """Make an edit, publish it and say so."""
    from meetsplit.console.progress import Reporter
    from meetsplit.pipeline.formats import names, read_transcript_file
    from meetsplit.pipeline.results.editing import outputs_of_set, publish_edit

    _, outputs = resolve_settings(options, names())
    before = read_transcript_file(path)
    edited = edit(before)
    if edited == before:
        Terminal(stderr=True).say(f"nothing to change: in {path}, people are {_people(before)} already")
        return
    with Reporter(Terminal(stderr=True)) as on_event:
        outputs = outputs_of_set(path, outputs, on_event)
        done = publish_edit(path, edited, outputs, inputs=given_files(options, ()), on_event=on_event)
    _tell(path, done, sentence(edited), "undo")


def _tell(path: Path, done: PublishedEdit, sentence: str, command: str) -> None:
    """Say what an edit did and how to take it back; its files on stdout."""
    from meetsplit.console.summary import shown_files

    Terminal(stderr=True).say(
        f"{sentence}; the transcript before is {done.kept}, and `meetsplit {command} {path}` brings it back"
    )
    for line in shown_files(Terminal(), done.published.files):
        print_line(line)


def _people(transcript: Transcript) -> str:
    """Everybody in a sentence: names, those without one by label."""
    from meetsplit.pipeline.formats.text import shortened, speaker_names

    names = dict.fromkeys(shortened(name, 40) for name in speaker_names(transcript).values())
    return ", ".join(names) or "nobody"


def _list_people(path: Path) -> None:
    """Print labels, names, talk time and track of everybody."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from meetsplit.console.quantities import duration
    from meetsplit.pipeline.data.timeline import by_speaker, total
    from meetsplit.pipeline.formats import read_transcript_file
    from meetsplit.pipeline.formats.text import shortened, speaker_names
    from meetsplit.pipeline.results.page_sound import tracks_beside

    transcript = read_transcript_file(path)
    speech, named = by_speaker(transcript.turns), {label for label, _ in transcript.names}
    tracks = tracks_beside(path, transcript)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("label", "name", "talks", "track"):
        table.add_column(heading, no_wrap=True, justify="right" if heading == "talks" else "left")
    for label, person in speaker_names(transcript).items():
        track = tracks.get(label)
        table.add_row(
            Text(shortened(label, 16)),
            Text(shortened(person, 24) if label in named else "–"),
            duration(total(speech.get(label, ()))),
            Text("–" if track is None else shortened(f"{track.parent.name}/{track.name}", 32)),
        )
    Terminal().print(table)


def _voices(
    path: Path, transcript: Transcript, label: Speaker, audio: Path | None, options: GivenOptions
) -> VoiceSplit:
    """The turns of a person by voice, from the recording, or from the person's track where there is no recording."""
    from meetsplit.console.progress import Reporter
    from meetsplit.pipeline.audio.reading import read
    from meetsplit.pipeline.errors import SettingsError
    from meetsplit.pipeline.formats import names
    from meetsplit.pipeline.results.page_sound import sound_beside
    from meetsplit.speakers.voice_split import split_by_voice
    from meetsplit.speakers.voiceprints import VoiceEncoder

    settings, _ = resolve_settings(options, names())
    beside = sound_beside(path, transcript)
    source = audio or beside.tracks.get(label) or beside.recording
    if source is None:
        raise SettingsError(
            f"{path}: neither a track of {label} nor the recording lies beside it to tell voices apart: add --audio "
            "RECORDING, or the time with --at"
        )
    with Reporter(Terminal(stderr=True)) as on_event:
        sound = read(source, on_event=on_event)
    return split_by_voice(VoiceEncoder.load(settings), transcript.turns, label, sound.crop)


def _certainty(by_voice: VoiceSplit) -> str:
    first, second = by_voice.seconds
    verdict = "one person is likelier, so listen" if by_voice.is_one_person else "two people are likelier"
    return f"{first:.0f} and {second:.0f} s of clean speech that are alike to {by_voice.similarity:.2f}: {verdict}"
