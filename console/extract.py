"""The command `extract`: one person's track of a recording, by a clip of the voice."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meetsplit.console.options import (
    GivenOptions,
    Quiet,
    given_files,
    keeps_cache,
    print_files,
    resolve_settings,
    run_options,
)
from meetsplit.console.terminal import Terminal, print_line

if TYPE_CHECKING:
    from meetsplit.pipeline.results.extracting import Extracted, WantedVoice

_OPTIONS = (
    *("channels", "start", "end"),
    *("diarizer", "diarizer_model", "rttm", "num_speakers", "min_speakers", "max_speakers"),
    *("separator", "separator_model", "separator_model_3", "adapt_budget", "separate", "match_threshold"),
    *("overlap_checks", "track_format", "track_gate", "track_rate", "track_channels", "overwrite"),
    *("device", "threads", "offline", "hf_token", "trust_model_code", "cache", "cache_dir", "cache_size", "cache_age"),
    *("seed", "config"),
)


@run_options(
    *_OPTIONS,
    helps={
        "track_format": "Format of the file where -o does not say it: wav (default), flac, mp3 or m4a.",
        "track_rate": "Sample rate of the file in Hz; source (default): the recording's own.",
        "track_channels": "Channels of the file: the recording's (source, default) or one (mono).",
        "track_gate": "Noise gate of the file: soft, hard or off (default).",
        "overwrite": "Replace a file that is there already. (default: no)",
    },
)
def extract(
    recording: Annotated[
        Path, typer.Argument(help="A recording: any audio or video file.", show_default=False, metavar="RECORDING")
    ],
    *,
    voice: Annotated[
        list[str],
        typer.Option(
            help="A clip in which only that person speaks, 5 s or more; several clips may be given. Or the name of an "
            "enrolled voice (`meetsplit voices`), or a label such as SPEAKER_01.",
            metavar="CLIP|NAME",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The file to write: .wav, .flac, .mp3 or .m4a. (default: RECORDING-VOICE.wav, here)",
            metavar="FILE",
        ),
    ] = None,
    without: Annotated[
        bool, typer.Option("--without", help="Everybody but that person instead: the recording without the voice.")
    ] = False,
    quiet: Quiet = False,
    options: GivenOptions,
) -> None:
    """Take one person's voice out of a recording, by a clip of it: a track of that person, or everybody else.

    The file is as long as the recording: the recording itself where the person speaks alone, their voice where others
    speak at the same time, else silence. Of somebody who is not there it is silent, which is said. The recording stays
    as it is; what was found is kept, so that the next voice of the same recording, or a run, is quick.
    """
    from meetsplit.console.before_work import check_recording
    from meetsplit.console.progress import Reporter
    from meetsplit.pipeline.cache.content import hash_recording
    from meetsplit.pipeline.cache.run_cache import open_cache
    from meetsplit.pipeline.formats import names
    from meetsplit.pipeline.results.extracting import check_target, extract_voice, wanted_voice
    from meetsplit.pipeline.run import Pipeline
    from meetsplit.speakers.voice_store import VoiceStore

    settings, outputs = resolve_settings(options, names())
    wanted = wanted_voice(voice, VoiceStore())
    target = output or _default_target(recording, wanted, outputs.track_format, without=without)
    check_target(target, [*given_files(options, [recording]), *wanted.clips], overwrite=outputs.overwrite)
    print_files(options, quiet=quiet)
    keep = keeps_cache(options)
    with Reporter(Terminal(stderr=True), quiet=quiet, keeps=keep) as on_event:
        check_recording(recording, settings, outputs, lambda text: None if quiet else Terminal(stderr=True).say(text))
        content = hash_recording(recording)
        pipeline = Pipeline(settings, on_event=on_event, transcribes=False)
        with open_cache(recording, settings, keep=keep, sha256=content.sha256, on_event=on_event) as stages:
            run = pipeline.open(recording, stages, content)
            done = extract_voice(run, wanted, target, outputs, on_event, without=without)
        on_event.finish(str(recording))
    Terminal(stderr=True).say(_sentence(recording, wanted, done, without=without))
    print_line(str(done.path))


def _default_target(recording: Path, wanted: WantedVoice, track_format: str, *, without: bool) -> Path:
    """The file in the current folder that an extraction is written to where none is named."""
    from meetsplit.pipeline.results.stems import safe_stem

    name = f"without-{wanted.name}" if without else wanted.name
    return Path(f"{safe_stem(f'{recording.stem}-{name}')}.{track_format}")


def _sentence(recording: Path, wanted: WantedVoice, done: Extracted, *, without: bool) -> str:
    """What was found, and what the file holds."""
    from meetsplit.console.quantities import duration

    search, who = done.search, wanted.name
    if not search.speakers:
        nearest = search.nearest
        text = f"{who} was not found in {recording}"
        if nearest is not None:
            text += (
                f": the nearest voice is {nearest}'s (score {search.scores[nearest]:.1f}); if it is theirs, "
                f"--voice {nearest}"
            )
        return f"{text}. {done.path} {'is the whole recording' if without else 'is silent'}"
    first = search.speakers[0]
    labels = " and ".join(search.speakers)
    parts = who if first == who else f"{who} is {labels}"
    if first in search.scores:
        parts += f" (score {search.scores[first]:.1f}{'' if search.is_sure else ', not sure: listen'})"
    parts += f"{'' if first == who else ','} speaks {duration(done.seconds)}"
    if done.overlapped >= 0.05:
        parts += f", {duration(done.overlapped)} of it while others speak"
    if done.knew_clip:
        parts += "; hardly alone, so the clip helped to take that apart"
    return f"{parts}. {done.path} is {'everybody else' if without else 'that voice alone'}"
