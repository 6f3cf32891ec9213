"""A real browser for tests of the page, and meetings whose sound tells who is heard: a tone of its own for each."""

from __future__ import annotations

import io
import shutil
import wave
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from meetsplit.pipeline.data import Provenance, Segment, Span, Transcript, Turn, Word
from meetsplit.pipeline.formats import html
from meetsplit.pipeline.settings import Outputs

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
RATE = 8000
TONES = {"SPEAKER_00": 400, "SPEAKER_01": 1000, "SPEAKER_02": 2500}
"""Hertz of each person's voice in `tone_sound`."""


FIREFOX = ("firefox-esr", "firefox")


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless Chromium of this system, as a `playwright.sync_api.Browser`; the test is skipped where none is."""
    program = installed(*CHROMIUM)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program)
        try:
            yield browser
        finally:
            browser.close()


def installed(*programs: str) -> str:
    """The path of the first of some programs that there is; the test is skipped where there is none."""
    path = next(filter(None, map(shutil.which, programs)), None)
    if path is None:
        pytest.skip(f"{' or '.join(programs)} is not installed")
    return path


def segment(speaker: str, start: float, text: str, *, pace: float = 0.4, **fields: Any) -> Segment:
    """A segment whose words follow each other, one in every ``pace`` seconds."""
    words = tuple(
        Word(Span(start + number * pace, start + (number + 0.9) * pace), word, 0.9)
        for number, word in enumerate(text.split())
    )
    return Segment(speaker, words, language="en", **fields)


def transcript(
    recording: str, duration: float, segments: Iterable[Segment], names: Mapping[str, str] | None = None
) -> Transcript:
    """The transcript of segments, each of which is a turn as well."""
    ordered = tuple(sorted(segments, key=lambda one: one.span))
    turns = tuple(Turn(one.span, one.speaker) for one in ordered)
    return Transcript(recording, duration, ordered, turns, Provenance("0"), tuple((names or {}).items()))


def standup() -> Transcript:
    """Three people in 24 seconds, two of whom speak at once from 6 to 14 s; two places are to be reviewed."""
    return transcript(
        "stand-up",
        24.0,
        [
            segment("SPEAKER_00", 1.0, "good morning everyone let us start with our plan"),
            segment(
                "SPEAKER_01",
                6.0,
                "thank you I worked on the report all day yesterday and it is almost done now so we can send it",
                overlap=True,
            ),
            segment(
                "SPEAKER_02",
                6.2,
                "I can help you with that I have the numbers for the second part of the report here",
                overlap=True,
                review=("overlap-unresolved",),
                margin=0.05,
            ),
            segment("SPEAKER_00", 15.0, "that is very good news what about the new computers"),
            segment("SPEAKER_02", 19.5, "not yet the system is still too slow", review=("low-speaker-margin",)),
        ],
        {"SPEAKER_00": "Ana", "SPEAKER_01": "Ben"},
    )


def tone_sound(meeting: Transcript) -> html.PageSound:
    """The sound of a meeting, embedded: each person is a tone (`TONES`) while speaking, the recording is their sum."""
    tracks = {speaker: _tone(meeting, speaker) for speaker in meeting.speakers}
    return html.PageSound(_wave(sum(tracks.values())), {speaker: _wave(samples) for speaker, samples in tracks.items()})


def _tone(meeting: Transcript, speaker: str) -> Any:
    times = np.arange(round(meeting.duration * RATE)) / RATE
    speaks = np.zeros(len(times), bool)
    for turn in meeting.turns:
        if turn.speaker == speaker:
            speaks[round(turn.span.start * RATE) : round(turn.span.end * RATE)] = True
    return 0.2 * speaks * np.sin(2 * np.pi * TONES[speaker] * times)


def _wave(samples: Any) -> html.SoundFile:
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return html.SoundFile("audio/wav", content.getvalue())


def write_page(path: Path, meeting: Transcript, sound: html.PageSound = html.NO_SOUND) -> str:
    """Write the page of a meeting; its address."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(html.write(meeting, Outputs(), sound), "utf-8")
    return path.as_uri()


LISTEN = (
    (Path(html.__file__).parent / "tests" / "listen.js").read_text("utf-8").partition("export default ")[2].strip(";\n")
)
"""JavaScript: how loud each frequency is in what a page plays at this moment."""


def wait_for_sound(page: Any, heard: Sequence[str], silent: Sequence[str] = ()) -> None:
    """Wait until the tones of some people are heard in a page, and those of others are not: 40 dB lower, at least."""
    frequencies = [TONES[speaker] for speaker in (*heard, *silent)]
    page.wait_for_function(
        f"""([frequencies, count]) => {{
          const levels = ({LISTEN})(frequencies);
          if (!levels) return false;
          return levels.every((level, i) => (i < count ? level > 0.01 : level < 0.0001));
        }}""",
        arg=[frequencies, len(heard)],
        polling=50,
    )
