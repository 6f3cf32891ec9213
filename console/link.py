"""The command `link`: the same people in several finished transcripts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meetsplit.console.options import GivenOptions, print_files, resolve_settings, run_options
from meetsplit.console.terminal import Terminal, print_line

if TYPE_CHECKING:
    from meetsplit.pipeline.results.linking import PeopleOfMeetings

_WIDTH = 18
"""Letters of a name or file in the table."""


@run_options("device", "cache_dir", "model_dir", "offline", "threads", "config", hidden=("model_dir", "threads"))
def link(
    transcript: Annotated[
        list[Path],
        typer.Argument(help="Transcripts (JSON) of two meetings or more.", show_default=False, metavar="TRANSCRIPT"),
    ],
    *,
    apply: Annotated[
        bool,
        typer.Option(
            "--apply",
            help="Name those who were linked and have no name: as in another meeting, else PERSON_01 …",
        ),
    ] = False,
    audio_dir: Annotated[
        Path | None,
        typer.Option(
            help="Folder with the recordings, where they do not lie beside the transcripts.", metavar="FOLDER"
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print data instead of a table, all scores included.")
    ] = False,
    options: GivenOptions,
) -> None:
    """Find the same people in several meetings, by voice; with --apply, name them alike.

    The evidence is the logarithm of how much likelier one person is than two. Nobody is linked with somebody else of
    the same meeting, nor with a person of another name. Without --apply, nothing is written.
    """
    import json

    from meetsplit.console.progress import Reporter
    from meetsplit.console.summary import shown_files
    from meetsplit.pipeline.formats import names
    from meetsplit.pipeline.formats.control_characters import json_escaped
    from meetsplit.pipeline.results.linking import apply_names, link_people, read_meetings
    from meetsplit.speakers.voiceprints import VoiceEncoder

    settings, _ = resolve_settings(options, names())
    print_files(options)
    console = Terminal()
    with Reporter(Terminal(stderr=True)) as on_event:
        meetings = read_meetings(transcript, on_event)
        found = link_people(meetings, VoiceEncoder.load(settings), audio_dir=audio_dir, on_event=on_event)
        edits = apply_names(found, on_event) if apply else ()
    if as_json:
        console.print(json_escaped(json.dumps(_data(found), indent=2, ensure_ascii=False)), soft_wrap=True)
    else:
        _show(console, found)
    note = Terminal(stderr=True)
    for edit in edits:
        path = edit.kept.parent / f"{edit.published.placement.stem}.json"
        note.say(f"{path}: people are named; `meetsplit undo {path}` takes that back")
        for line in shown_files(Terminal(), edit.published.files) if not as_json else ():
            print_line(line)
    if apply and not edits:
        note.say("nobody was linked who has no name: nothing was written")


def _data(found: PeopleOfMeetings) -> dict[str, Any]:
    """The people and all scores; never a voiceprint."""

    def member(number: int) -> dict[str, Any]:
        voice = found.voices[number]
        return {
            "transcript": str(found.meetings[voice.meeting].path),
            "speakers": list(voice.labels),
            "name": voice.name,
            "seconds": round(voice.voice.total, 2),
        }

    people = [
        {"id": person.id, "name": person.name, "members": [member(number) for number in person.voices]}
        for person in found.people
    ]
    pairs = [
        {"a": member(a), "b": member(b), "score": score}
        for a in range(len(found.voices))
        for b in range(a + 1, len(found.voices))
        if found.voices[a].meeting != found.voices[b].meeting and (score := found.linked.score((a,), (b,))) is not None
    ]
    return {"people": people, "scores": pairs}


def _show(console: Terminal, found: PeopleOfMeetings) -> None:
    """A row per person and meeting; 80 columns suffice."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from meetsplit.pipeline.formats.text import shortened

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("person", "transcript", "speaker"):
        table.add_column(heading, no_wrap=True)
    for heading in ("speech", "score", "next"):
        table.add_column(heading, justify="right", no_wrap=True)
    for person in sorted(found.people, key=lambda one: (one.id is None, one.id or "", one.voices)):
        for number in person.voices:
            voice = found.voices[number]
            others = [other for other in person.voices if other != number]
            table.add_row(
                Text(shortened(person.name or person.id or "–", _WIDTH)),
                Text(shortened(found.meetings[voice.meeting].path.stem, _WIDTH)),
                Text(shortened(voice.name or ", ".join(voice.labels), _WIDTH)),
                f"{voice.voice.total:.0f} s" if voice.voice.total else "too little",
                _number(found.linked.score((number,), others)),
                _number(found.nearest(number, person)),
            )
    console.print(table)
    count = sum(person.id is not None for person in found.people)
    linked = "1 person is" if count == 1 else f"{count} people are"
    console.print(f"{linked} in more than one of {len(found.meetings)} meetings", soft_wrap=True)


def _number(score: float | None) -> str:
    return "" if score is None else f"{score:.1f}"
