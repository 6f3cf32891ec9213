"""The recording of `meetsplit demo`: an excerpt of the sample meeting, which comes with the package."""

from __future__ import annotations

import shutil
from pathlib import Path

from meetsplit.pipeline.errors import OutputError, SettingsError

FOLDER = Path("meetsplit-demo")
"""Where the recording and its results go unless an option says otherwise."""

SPEAKERS = 3
"""The people in it."""

_EXCERPT = Path(__file__).parent / "sample_recording" / "standup-excerpt.m4a"


def copy_to(folder: Path) -> Path:
    """The recording in this folder, beside its results, where a player finds both.

    Raises `SettingsError` where another file has its name, `OutputError` where it cannot be written.
    """
    target = folder / _EXCERPT.name
    content = _EXCERPT.read_bytes()
    try:
        if target.exists():
            if target.read_bytes() != content:
                raise SettingsError(f"{target}: is not the demo's recording; choose another folder with -o")
        else:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(_EXCERPT, target)
    except OSError as error:
        raise OutputError(
            f"{target}: cannot be written: {error.strerror or error}; choose another folder with -o"
        ) from error
    return target


def what_next(recording: Path) -> tuple[str, ...]:
    """What to look at, and the command that does the same."""
    stem = recording.with_suffix("")
    return (
        "",
        f"Read {stem}.txt, play {recording} with {stem.name}.srt or .vtt, and listen to one person alone: "
        f"{stem}/SPEAKER_00.wav",
        f"The same again: meetsplit run {recording} --num-speakers {SPEAKERS} -o {recording.parent}",
    )
