"""Commands about enrolled voices: add, list, show, remove."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table

from meetsplit.console.options import GivenOptions, resolve_settings, run_options
from meetsplit.console.quantities import counted, duration
from meetsplit.console.terminal import Terminal, print_line, wide

if TYPE_CHECKING:
    from meetsplit.speakers.voice_samples import CheckedSample
    from meetsplit.speakers.voice_store import EnrolledVoice
    from meetsplit.speakers.voiceprints import VoiceEncoder

Store = Annotated[
    Path | None,
    typer.Option(
        "--voices", help="The file of voices. (default: $MEETSPLIT_VOICES, or voices.json in your data folder)",
        metavar="FILE",
    ),
]  # fmt: skip


@run_options("device", "cache_dir", "offline", "config")
def add(  # noqa: PLR0913 - a command's own options
    name: Annotated[str | None, typer.Argument(help="The person's name.", show_default=False)] = None,
    samples: Annotated[
        list[Path] | None,
        typer.Argument(help="Recordings in which only that person speaks.", show_default=False, metavar="RECORDING"),
    ] = None,
    *,
    transcript: Annotated[
        Path | None,
        typer.Option("--from", help="A transcript (JSON) with the person, whose label follows.", metavar="TRANSCRIPT"),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="A folder with a folder of recordings for each person: FOLDER/NAME/*.")
    ] = None,
    audio: Annotated[
        Path | None, typer.Option(help="The recording of --from, where it does not lie beside it.", metavar="RECORDING")
    ] = None,
    encoder: Annotated[str, typer.Option(help="What makes voiceprints: ge2e (default) or ecapa.")] = "ge2e",
    keep_audio: Annotated[
        bool,
        typer.Option(
            "--keep-audio",
            help="Keep up to a minute of the speech itself, too: where the person hardly speaks alone, "
            "overlaps are taken apart better with it. (default: only voiceprints are kept)",
        ),
    ] = False,
    voices: Store = None,
    options: GivenOptions,
) -> None:
    """Enrol a person's voice, of at least 5 s of clear speech: from now on they are recognised in recordings.

    With --from, RECORDING is the person's label or name in the transcript.
    """
    from meetsplit.pipeline.formats import names as format_names
    from meetsplit.speakers.voice_store import CONSENT, CONSENT_TO_SOUND, VoiceStore
    from meetsplit.speakers.voiceprints import VoiceEncoder

    people = _sources(name, samples or [], transcript, folder, audio)
    store = VoiceStore(voices)
    is_first = not store.read()
    if is_first:
        Terminal(stderr=True).say(CONSENT.format(path=store.path))
    if keep_audio:
        Terminal(stderr=True).say(CONSENT_TO_SOUND.format(folder=store.sounds))
    settings, _ = resolve_settings(options, format_names())
    loaded = VoiceEncoder.load(settings, encoder)
    for person, recordings in people.items():
        checked = _checked(loaded, recordings, transcript, audio)
        speech = [one.clips for one in checked] if keep_audio else []
        added = store.add(person, [one.sample for one in checked], speech)
        new = sum(one.sample.embeddings.total for one in checked)
        where = counted(len(checked), "recording")
        print_line(f"{added.name}: {duration(new)} of speech from {where} in {store.path}")


def _sources(
    name: str | None, samples: Sequence[Path], transcript: Path | None, folder: Path | None, audio: Path | None
) -> dict[str, list[Path]]:
    """The recordings of each person; of --from, the label. Raises `SettingsError` for what does not go together."""
    from meetsplit.pipeline.audio.media_types import MEDIA_SUFFIXES
    from meetsplit.pipeline.errors import SettingsError
    from meetsplit.speakers.voice_store import check_name

    if folder is not None:
        if name is not None or transcript is not None:
            raise SettingsError("--folder has the names of its folders: give no name, recording or --from with it")
        people = {
            check_name(person.name): [
                path for path in sorted(person.rglob("*")) if path.suffix.lower() in MEDIA_SUFFIXES and path.is_file()
            ]
            for person in (sorted(folder.iterdir()) if folder.is_dir() else ())
            if person.is_dir()
        }
        people = {person: paths for person, paths in people.items() if paths}
        if not people:
            raise SettingsError(f"--folder {folder}: no folder with recordings in it; it is to hold NAME/sample.wav")
        return people
    if name is None or not samples:
        raise SettingsError("whose voice, and from what: meetsplit voices add NAME RECORDING…")
    if transcript is None and audio is not None:
        raise SettingsError("--audio belongs to --from: name recordings of one person after the name")
    if transcript is not None and len(samples) != 1:
        raise SettingsError("--from takes one label: meetsplit voices add NAME --from meeting.json SPEAKER_00")
    return {check_name(name): list(samples)}


def _checked(
    encoder: VoiceEncoder, recordings: Sequence[Path], transcript: Path | None, audio: Path | None
) -> list[CheckedSample]:
    """The samples, all of which have passed their checks before the first is enrolled."""
    from meetsplit.pipeline.formats import read_transcript_file
    from meetsplit.pipeline.results.rediarize import find_pair
    from meetsplit.speakers.voice_samples import sample_of_file, sample_of_person

    if transcript is None:
        return [sample_of_file(encoder, path) for path in recordings]
    path, recording = find_pair(transcript, audio)
    meeting, who = read_transcript_file(path), str(recordings[0])
    return [sample_of_person(encoder, recording, meeting.turns, meeting.label_of(who), who)]


def list_voices(*, voices: Store = None) -> None:
    """List the people whose voices are enrolled, with how much speech of each and what made the voiceprints."""
    from meetsplit.speakers.voice_store import VoiceStore

    store = VoiceStore(voices)
    people = store.read()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("name", "recordings", "speech", "encoder"):
        table.add_column(heading, overflow="fold")
    for person in people:
        sources = {sample.source for sample in person.samples}
        table.add_row(person.name, str(len(sources)), duration(person.seconds()), ", ".join(person.encoders))
    if people:
        wide().print(table)
    count = f"{len(people)} {'person' if len(people) == 1 else 'people'}"
    print_line(f"{count} in {store.path}")


def show(name: Annotated[str, typer.Argument(help="The person's name.")], *, voices: Store = None) -> None:
    """Show what is stored of one person: which recordings, when, how much."""
    from meetsplit.speakers.voice_store import VoiceStore

    store = VoiceStore(voices)
    person: EnrolledVoice = store.find(name)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("recording", "added", "speech", "voiceprints", "encoder", "kept speech"):
        table.add_column(heading, overflow="fold")
    for sample in person.samples:
        own = sample.embeddings
        kept = duration(store.seconds_kept(sample)) if sample.sound is not None else "no"
        table.add_row(sample.source, sample.added[:10], duration(own.total), str(len(own.rows)), own.encoder, kept)
    print_line(person.name)
    wide().print(table)


def remove(
    names: Annotated[list[str], typer.Argument(help="The names of people.", metavar="NAME")], *, voices: Store = None
) -> None:
    """Remove people's voices for good; transcripts keep the names that they have."""
    from meetsplit.speakers.voice_store import VoiceStore

    store = VoiceStore(voices)
    people = store.read()
    for name in names:
        store.find(name, people)
    for name in names:
        person = store.remove(name)
        print_line(f"{person.name}: removed from {store.path}")
