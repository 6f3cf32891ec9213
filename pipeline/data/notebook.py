"""Values as HTML for notebooks: a transcript as a table, audio as a player. The page loads nothing from elsewhere.

Jupyter, VS Code and Colab call ``_repr_html_`` of the last value of a cell; no package of theirs is needed for it.
"""

from __future__ import annotations

import base64
import html
import io
import wave
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from meetsplit.pipeline.data.units import clock_time

if TYPE_CHECKING:
    from meetsplit.pipeline.data.audio import Audio
    from meetsplit.pipeline.data.transcript import Transcript

ROWS = 20
"""Segments in a table; a notebook keeps what it shows, and a meeting has hundreds."""

PLAYER_SECONDS = 120.0
"""Seconds of sound in a player, about 0.8 MB of the notebook; it begins at the first sound."""

COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#ee8866", "#44aa99", "#999933", "#bbbbbb")
"""A colour for each person, told apart by the colour-blind, on light and dark pages (after Paul Tol)."""

_MP3_RATES = (48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
_MP3_BITRATE = 40_000
_FULL_SCALE = 32767
_LEAD = 0.5


def transcript_html(transcript: Transcript) -> str:
    """A line with the counts, the people in their colours, and the first `ROWS` segments as a table."""
    speakers = transcript.speakers
    colours = {speaker: COLOURS[number % len(COLOURS)] for number, speaker in enumerate(speakers)}
    people = " &nbsp; ".join(_person(transcript.name_of(speaker), colours[speaker]) for speaker in speakers)
    rows = "".join(
        f'<tr><td style="text-align:right;vertical-align:top;opacity:.7;font-variant-numeric:tabular-nums">'
        f"{clock_time(segment.span.start)}</td>"
        f'<td style="text-align:left;vertical-align:top;white-space:nowrap">'
        f"{_person(transcript.name_of(segment.speaker), colours[segment.speaker])}</td>"
        f'<td style="text-align:left">{_text(segment.text)}{_remarks(segment.overlap, segment.review)}</td></tr>'
        for segment in transcript.segments[:ROWS]
    )
    left = len(transcript.segments) - ROWS
    more = f"<p>… and {left} more segment{'s' * (left != 1)}</p>" if left > 0 else ""
    return (
        f"<div><p><b>{_text(transcript.recording)}</b> &nbsp; {_text(counts(transcript))}</p><p>{people}</p>"
        f"<table><thead><tr><th>time</th><th>who</th><th>text</th></tr></thead><tbody>{rows}</tbody></table>{more}</div>"
    )


def audio_html(audio: Audio, title: str = "", place: str = "") -> str:
    """A player of at most `PLAYER_SECONDS` of the audio, from its first sound on; ``place`` is where all of it is."""
    first = max(int(np.argmax(audio.samples != 0)) - round(_LEAD * audio.rate), 0) if len(audio.samples) else 0
    last = min(first + round(PLAYER_SECONDS * audio.rate), len(audio.samples))
    part = audio.slice(first, last)
    kind, data = _encoded(part)
    covered = (
        "" if last - first == len(audio.samples) else f"plays {clock_time(part.start)}–{clock_time(part.span.end)}"
    )
    about = ", ".join(filter(None, (f"{clock_time(audio.duration)} at {audio.rate} Hz", covered, place)))
    source = f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
    return (
        f'<div><b>{_text(title)}</b> <small style="opacity:.7">{_text(about)}</small><br>'
        f'<audio controls preload="none" src="{source}"></audio></div>'
    )


def counts(transcript: Transcript) -> str:
    """Length, people, segments and words in a few words."""
    words = sum(len(segment.words) for segment in transcript.segments)
    numbers = ((len(transcript.speakers), "speaker"), (len(transcript.segments), "segment"), (words, "word"))
    return ", ".join(
        [clock_time(transcript.duration), *(f"{count} {what}{'s' * (count != 1)}" for count, what in numbers)]
    )


def _person(name: str, colour: str) -> str:
    return f'<span style="border-left:.4em solid {colour};padding-left:.4em">{_text(name)}</span>'


def _remarks(overlap: bool, review: Iterable[str]) -> str:
    remarks = [*(["overlap"] if overlap else []), *review]
    return f' <small style="opacity:.7">[{_text(", ".join(remarks))}]</small>' if remarks else ""


def _text(text: str) -> str:
    """Text that no reader takes for markup, and whose direction of writing ends with it."""
    return f"<bdi>{html.escape(text)}</bdi>"


def _encoded(audio: Audio) -> tuple[str, bytes]:
    """The media type and content of a small file with the audio: MP3, or WAV where PyAV comes without the encoder."""
    import av

    if not len(audio.samples) or "libmp3lame" not in av.codecs_available:
        return "audio/wav", _wav(audio)
    rate = next((rate for rate in _MP3_RATES if rate <= min(audio.rate, 24000)), _MP3_RATES[-1])
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=rate, layout="mono", options={"compression_level": "9"})
        stream.bit_rate = _MP3_BITRATE
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(audio.samples[np.newaxis]), format="fltp", layout="mono"
        )
        frame.sample_rate = audio.rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return "audio/mpeg", buffer.getvalue()


def _wav(audio: Audio) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(audio.rate)
        file.writeframes((np.clip(audio.samples, -1.0, 1.0) * _FULL_SCALE).astype("<i2").tobytes())
    return buffer.getvalue()
