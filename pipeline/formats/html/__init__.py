"""The page of a transcript: one self-contained HTML file to see, hear and correct a meeting in a browser.

The page needs no server and no network, and its Content-Security-Policy allows no other script, style or connection
than what it was written with. It holds the transcript in meetsplit's own JSON. Its script is built from ``source/``
by ``npm run build`` (see CONTRIBUTING.md), and the built ``page.js`` is part of the package.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from meetsplit.pipeline.data import Speaker, Transcript
from meetsplit.pipeline.formats import meetsplit_json
from meetsplit.pipeline.formats.control_characters import json_escaped
from meetsplit.pipeline.formats.text import one_line
from meetsplit.pipeline.settings import HtmlAudio, Outputs
from meetsplit.pipeline.versions import meetsplit as meetsplit_version


@dataclass(frozen=True, slots=True)
class SoundFile:
    """A sound file of a page: ``content`` to be embedded, or a path beside the page; ``media_type`` as in HTML."""

    media_type: str
    content: bytes = b""
    path: str = ""


@dataclass(frozen=True, slots=True)
class PageSound:
    """What a page plays: the recording, and a track for each speaker."""

    recording: SoundFile | None = None
    tracks: Mapping[Speaker, SoundFile] = field(default_factory=dict)


NO_SOUND = PageSound()


def write(transcript: Transcript, outputs: Outputs, sound: PageSound = NO_SOUND) -> str:
    """The page of a transcript, with its sound embedded or linked."""
    style, script = _part("page.css"), _part("page.js")
    audio: list[str] = []
    places = {
        "recording": _place(sound.recording, audio),
        "tracks": {speaker: _place(file, audio) for speaker, file in sound.tracks.items()},
    }
    return Template(_part("page.html")).substitute(
        policy=html.escape(_policy(style, script)),
        version=html.escape(meetsplit_version()),
        title=html.escape(one_line(transcript.recording)),
        style=style,
        transcript=_data(_document(transcript, outputs)),
        sound=_data(places),
        audio="\n".join(audio),
        script=script,
    )


def shows(page: Path, transcript: Transcript) -> bool:
    """Whether the page in a file is one of this transcript as it is, written by this version. Raises `OSError`."""
    content = page.read_bytes()
    parts = (f'content="meetsplit {html.escape(meetsplit_version())}"', f">{_data(_document(transcript, Outputs()))}<")
    return all(part.encode() in content for part in parts)


def sound_kind(page: Path) -> HtmlAudio:
    """How the page in a file has its sound: "embed", "link", or "none" where it has none. Raises `OSError`."""
    content = page.read_bytes()
    if b'<script type="text/plain" id="sound-' in content:
        return "embed"
    return "link" if b'"source":' in content.rpartition(b'id="sound">')[2].partition(b"</script>")[0] else "none"


def _document(transcript: Transcript, outputs: Outputs) -> Mapping[str, Any]:
    """The transcript as its JSON says it, without ``word_segments``: the page makes these from the segments."""
    document = json.loads(meetsplit_json.write(transcript, outputs))
    return {key: value for key, value in document.items() if key != "word_segments"}


def _place(file: SoundFile | None, audio: list[str]) -> Mapping[str, str] | None:
    """Where a sound file is, as the page's script reads it; an embedded one is added to the elements ``audio``."""
    if file is None:
        return None
    if not file.content:
        return {"source": file.path, "type": file.media_type}
    name = f"sound-{len(audio)}"
    audio.append(f'<script type="text/plain" id="{name}">{base64.b64encode(file.content).decode()}</script>')
    return {"source": f"#{name}", "type": file.media_type}


def _data(value: object) -> str:
    """JSON inside a script element: no text in it can end the element, and no control character stands as itself."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return json_escaped(text.replace("<", "\\u003c"))


def _policy(style: str, script: str) -> str:
    """The Content-Security-Policy of a page: its own script and style, its own sound, and nothing else."""

    def digest(text: str) -> str:
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    rules: Sequence[str] = (
        "default-src 'none'",
        f"script-src 'sha256-{digest(script)}'",
        f"style-src 'sha256-{digest(style)}'",
        "media-src blob: data: file: 'self'",
        "img-src data: blob:",
        "base-uri 'none'",
        "form-action 'none'",
    )
    return "; ".join(rules)


@cache
def _part(name: str) -> str:
    """A file of this package as text."""
    return (files(__package__) / name).read_text("utf-8")
