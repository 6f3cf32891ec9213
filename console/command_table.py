"""The commands of the program: name, what each does, the function behind it, and examples.

The page of `meetsplit --help` is made of this table alone. Importing the functions and reading their options takes
longer than everything else at the start, so it is done for the command that is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

TRANSCRIBE, AFTERWARDS, QUEUE, MACHINE = (
    "Transcribe",
    "Work with transcripts",
    "Jobs and schedules",
    "This machine",
)
"""Panels of the program's help page, in order."""


@dataclass(frozen=True, slots=True)
class CommandEntry:
    """A command: its ``summary`` (the first paragraph of the function's docstring) and where its function is."""

    name: str
    summary: str
    module: str
    function: str
    examples: tuple[str, ...] = ()
    panel: str = "Commands"
    is_hidden: bool = False


@dataclass(frozen=True, slots=True)
class GroupEntry:
    """A command that has commands of its own, such as `jobs`."""

    name: str
    summary: str
    commands: tuple[CommandEntry, ...]
    panel: str
    is_hidden: bool = False


_JOBS = (
    CommandEntry(
        "list",
        "List every job with its stage, how far it is, the time left, and why it failed.",
        "jobs",
        "list_jobs",
        ("meetsplit jobs list --state failed",),
    ),
    CommandEntry(
        "show",
        "Show everything about one job.",
        "jobs",
        "show",
        ("meetsplit jobs show 1f3c",),
    ),
    CommandEntry(
        "cancel",
        "Cancel jobs: waiting ones at once, running ones at their next sign of life. Finished stages are kept.",
        "jobs",
        "cancel",
        ("meetsplit jobs cancel 1f3c",),
    ),
    CommandEntry(
        "retry",
        "Queue failed or cancelled jobs again; they go on at the stage where they ended.",
        "jobs",
        "retry",
        ("meetsplit jobs retry --failed",),
    ),
    CommandEntry(
        "clean",
        "Forget old jobs and remove their folders. Transcripts stay; a forgotten recording is new to `batch` "
        "and `watch`.",
        "jobs",
        "clean",
        ("meetsplit jobs clean --older-than 7",),
    ),
)
_SCHEDULE = (
    CommandEntry(
        "add",
        "Transcribe what is new in a folder at set times.",
        "schedules",
        "add",
        ('meetsplit schedule add nightly --cron "0 2 * * *" --folder calls/ -o transcripts',),
    ),
    CommandEntry(
        "list",
        "List the schedules with their last run and their next.",
        "schedules",
        "list_schedules",
        ("meetsplit schedule list --json",),
    ),
    CommandEntry(
        "pause",
        "Pause a schedule: it does not run until `resume`.",
        "schedules",
        "pause",
        ("meetsplit schedule pause nightly",),
    ),
    CommandEntry(
        "resume",
        "Resume a schedule from now on; what was missed in the pause stays missed.",
        "schedules",
        "resume",
        ("meetsplit schedule resume nightly",),
    ),
    CommandEntry(
        "run-now",
        "Run a schedule once, now, beside its timetable.",
        "schedules",
        "run_now",
        ("meetsplit schedule run-now nightly",),
    ),
    CommandEntry(
        "remove",
        "Remove a schedule; jobs that it queued stay.",
        "schedules",
        "remove",
        ("meetsplit schedule remove nightly",),
    ),
)
_MODELS = (
    CommandEntry(
        "list",
        "List the models meetsplit knows and whether they are on this machine.",
        "models",
        "list_models",
        ("meetsplit models list",),
    ),
    CommandEntry(
        "fetch",
        "Bring models to this machine, so that later runs need no network.",
        "models",
        "fetch",
        (
            "meetsplit models fetch embedded",
            "meetsplit models fetch large-v3 --model-dir models/",
        ),
    ),
)
_CACHE = (
    CommandEntry(
        "list",
        "List the recordings whose stages are kept, with the room they take and when they were last used.",
        "cache",
        "show",
        ("meetsplit cache list",),
    ),
    CommandEntry(
        "show",
        "List the recordings whose stages are kept, with the room they take and when they were last used.",
        "cache",
        "show",
        is_hidden=True,
    ),
    CommandEntry(
        "clear",
        "Remove kept stages and tracks; transcripts and results that were written elsewhere stay.",
        "cache",
        "clear",
        ("meetsplit cache clear --older-than 30",),
    ),
    CommandEntry(
        "prune",
        "Hold the cache to its limits now, as every run does at its end: remove what is too old, then what "
        "was used longest ago.",
        "cache",
        "prune",
        ("meetsplit cache prune --cache-size 2GB",),
    ),
)
_VOICES = (
    CommandEntry(
        "add",
        "Enrol a person's voice, of at least 5 s of clear speech: from now on they are recognised in recordings.",
        "voices",
        "add",
        (
            "meetsplit voices add Alice alice1.wav alice2.m4a",
            "meetsplit voices add Alice --from meeting.json SPEAKER_00",
            "meetsplit voices add --folder voices/",
        ),
    ),
    CommandEntry(
        "list",
        "List the people whose voices are enrolled, with how much speech of each and what made the voiceprints.",
        "voices",
        "list_voices",
        ("meetsplit voices list",),
    ),
    CommandEntry(
        "show",
        "Show what is stored of one person: which recordings, when, how much.",
        "voices",
        "show",
        ("meetsplit voices show Alice",),
    ),
    CommandEntry(
        "remove",
        "Remove people's voices for good; transcripts keep the names that they have.",
        "voices",
        "remove",
        ("meetsplit voices remove Alice",),
    ),
)
COMMANDS: tuple[CommandEntry | GroupEntry, ...] = (
    CommandEntry(
        "run",
        "Turn recordings into transcripts and one audio file per person.",
        "run",
        "run",
        (
            "meetsplit run interview.mp3 -o results --num-speakers 2",
            "meetsplit run call.wav --channels split --channel-names Agent,Customer -f srt,txt",
            "meetsplit run meeting.m4a --start 10:00 --end 12:00 --names Alice,Ben",
        ),
        panel=TRANSCRIBE,
    ),
    CommandEntry(
        "demo",
        "Do the whole job on 17 seconds of a meeting that come with meetsplit, with models that need no account.",
        "run",
        "demo",
        (
            "meetsplit demo",
            "meetsplit demo -o trial",
        ),
        panel=TRANSCRIBE,
    ),
    CommandEntry(
        "compare",
        "Take one recording's overlaps apart with several separators, and show what each made of them.",
        "compare",
        "compare",
        (
            "meetsplit compare meeting.m4a --separators dictionary,adapted,sepformer",
            "meetsplit compare meeting.m4a --separators adapted,convtasnet=ours.pth --no-words",
        ),
        panel=TRANSCRIBE,
    ),
    CommandEntry(
        "extract",
        "Take one person's voice out of a recording, by a clip of it: a track of that person, or everybody else.",
        "extract",
        "extract",
        (
            "meetsplit extract meeting.m4a --voice alice.wav -o alice_only.wav",
            "meetsplit extract meeting.m4a --voice Alice --without",
        ),
        panel=TRANSCRIBE,
    ),
    CommandEntry(
        "batch",
        "Work through many recordings, and pick up where it was when interrupted. What is done already is skipped.",
        "batch",
        "batch",
        ("meetsplit batch calls/ -o transcripts --retries 1",),
        panel=TRANSCRIBE,
    ),
    CommandEntry(
        "watch",
        "Transcribe every recording in a folder, and every new one as it comes.",
        "batch",
        "watch",
        ("meetsplit watch calls/ --include '*.m4a' -o transcripts",),
        panel=TRANSCRIBE,
    ),
    CommandEntry(
        "review",
        "Open a finished transcript in the browser, to see, hear and correct it; take corrections that were saved "
        "there.",
        "review",
        "review",
        (
            "meetsplit review meeting.json",
            'meetsplit review meeting.json --take "~/Downloads/meeting.corrected (1).json"',
        ),
        panel=AFTERWARDS,
    ),
    CommandEntry(
        "name",
        "Name the people of a finished transcript: every format, the page and the track files follow.",
        "editing",
        "name",
        (
            "meetsplit name meeting.json",
            'meetsplit name meeting.json SPEAKER_00=Alice SPEAKER_01="Bob Smith"',
        ),
        panel=AFTERWARDS,
    ),
    CommandEntry(
        "merge",
        "Make one person of several: words, turns and tracks of the others become the first one's.",
        "editing",
        "merge",
        ("meetsplit merge meeting.json SPEAKER_01 SPEAKER_03",),
        panel=AFTERWARDS,
    ),
    CommandEntry(
        "split",
        "Make two people of one: from a time on, or by voice; the second one gets the next label.",
        "editing",
        "split",
        (
            "meetsplit split meeting.json SPEAKER_02 --at 00:12:30",
            "meetsplit split meeting.json Alice",
        ),
        panel=AFTERWARDS,
    ),
    CommandEntry(
        "undo",
        "Take back the last edit of a transcript: names, merged and split people, corrections of the page.",
        "editing",
        "undo",
        ("meetsplit undo meeting.json",),
        panel=AFTERWARDS,
    ),
    CommandEntry(
        "redact",
        "Take people out of a finished transcript: their voice is muted, their words and names are blanked.",
        "redact",
        "redact",
        (
            "meetsplit redact meeting.json SPEAKER_02",
            "meetsplit redact interview.json --keep Alice -o for-publication",
        ),
        panel=AFTERWARDS,
    ),
    CommandEntry(
        "link",
        "Find the same people in several meetings, by voice; with --apply, name them alike.",
        "link",
        "link",
        (
            "meetsplit link out/*.json",
            "meetsplit link monday.json friday.json --apply",
        ),
        panel=AFTERWARDS,
    ),
    CommandEntry(
        "export",
        "Write a finished transcript in other formats, with other subtitle rules or names.",
        "export",
        "export",
        ("meetsplit export meeting.json -f srt --name SPEAKER_00=Alice --max-line-width 32",),
        panel=AFTERWARDS,
    ),
    CommandEntry(
        "stats",
        "Count who speaks how long, how fast and over whom.",
        "stats",
        "stats",
        (
            "meetsplit stats meeting.json",
            "meetsplit stats interviews/*.json --csv talk-times.csv",
        ),
        panel=AFTERWARDS,
    ),
    CommandEntry(
        "rediarize",
        "Find the speakers of a finished transcript again, with other settings, and keep its words.",
        "rediarize",
        "rediarize",
        ("meetsplit rediarize meeting.json --num-speakers 4",),
        panel=AFTERWARDS,
    ),
    GroupEntry("voices", "Voices of people who are recognised in every recording.", _VOICES, AFTERWARDS),
    CommandEntry(
        "score",
        "Compare transcripts with the truth: DER, JER, cpWER, tcpWER, and sound.",
        "scores",
        "score",
        ("meetsplit score meeting.json --ref truth.stm --ref truth.rttm",),
        panel=AFTERWARDS,
    ),
    CommandEntry(
        "worker",
        "Work on what is queued, one recording at a time, and keep schedules running, until it is stopped.",
        "batch",
        "worker",
        ("meetsplit worker --device cuda",),
        panel=QUEUE,
    ),
    GroupEntry("jobs", "What is queued, running, done and failed.", _JOBS, QUEUE),
    GroupEntry("schedule", "Look into folders at set times; `meetsplit worker` has to be running.", _SCHEDULE, QUEUE),
    CommandEntry(
        "doctor",
        "Say which backends would run here, why, and what is missing.",
        "doctor",
        "doctor",
        ("meetsplit doctor --channels split",),
        panel=MACHINE,
    ),
    GroupEntry("models", "Models on this machine, and fetching them.", _MODELS, MACHINE),
    GroupEntry(
        "cache",
        "Finished stages of earlier runs, tracks of the recordings included: what is kept, and removing it.",
        _CACHE,
        MACHINE,
    ),
)
"""The commands of `meetsplit` in the order of its help page."""
