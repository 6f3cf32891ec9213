"""The lanes of a conversation as a picture (SVG): who spoke when, one lane per person, for print and documents.

Every lane has its name beside it, so that no colour has to be known; colours are Okabe and Ito's, which colour-blind
people tell apart. Overlaps are hatched across the lanes, places to check stand as triangles above them.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from meetsplit.pipeline.data import Segment, Span, Speaker, Transcript
from meetsplit.pipeline.data.timeline import by_speaker, crop, during, shared
from meetsplit.pipeline.formats.talk_time import talk_times
from meetsplit.pipeline.formats.text import clock, milliseconds, one_line, shortened, xml_text
from meetsplit.pipeline.settings import Outputs

COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a7a00", "#595959")
"""Okabe and Ito's palette (jfly.uni-koeln.de/color), its yellow and its black replaced where they vanish in print."""

_WIDTH, _LEFT, _RIGHT, _TOP = 1000, 170, 100, 54
"""Units of the whole picture, of the names, of the numbers on the right, and above the lanes."""

_LANE, _BAR = 30, 18
_NAME_COLUMNS, _TITLE_COLUMNS = 22, 80
_MOST_TICKS = 10
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
_LEAST = 0.6
"""Units that a bar is wide at least: what is printed thinner is not seen."""


def write(transcript: Transcript, outputs: Outputs) -> str:
    """A picture of 1000 units width; nothing for a transcript without turns and words."""
    people = talk_times(transcript)
    if not people:
        return ""
    speech = by_speaker(transcript.turns)
    end = max([transcript.duration, *(spans[-1].end for spans in speech.values() if spans)]) or 1.0
    scale = _Scale(end)
    bottom = _TOP + _LANE * len(people)
    overlaps = shared(speech.values())
    review = [segment for segment in transcript.segments if segment.review]
    title = f"Who spoke when: {_text(shortened(one_line(transcript.recording), _TITLE_COLUMNS))}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {bottom + 56}" width="{_WIDTH}" '
        f'height="{bottom + 56}" role="img" aria-labelledby="title" font-family="Helvetica, Arial, sans-serif" '
        'font-size="13" fill="#1a1a1a">',
        f'<title id="title">{title}</title>',
        '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<line x1="0" y1="0" x2="0" y2="6" stroke="#1a1a1a" stroke-width="1.4"/></pattern></defs>',
        f'<rect width="{_WIDTH}" height="{bottom + 56}" fill="#ffffff"/>',
        f'<text x="12" y="24" font-size="16" font-weight="bold">{title}</text>',
    ]
    for number, person in enumerate(people):
        parts += _lane(number, person.name, f"{_short(person.seconds)} · {person.share:.0%}")
        parts.append(_bars(speech.get(person.speaker, ()), number, scale))
    parts += _overlaps(overlaps, speech, [person.speaker for person in people], scale)
    parts += _review(review, scale)
    parts += _axis(end, bottom, scale)
    parts += _legend(bottom + 44, has_overlaps=bool(overlaps), has_review=bool(review))
    return "\n".join([*parts, "</svg>"]) + "\n"


class _Scale:
    """From seconds to units."""

    def __init__(self, end: float) -> None:
        self._per_second = (_WIDTH - _LEFT - _RIGHT) / end

    def __call__(self, seconds: float) -> float:
        return _LEFT + seconds * self._per_second

    def bar(self, span: Span) -> tuple[float, float]:
        """Where a bar begins, and its width."""
        return self(span.start), max(span.duration * self._per_second, _LEAST)


def _lane(number: int, name: str, numbers: str) -> Iterator[str]:
    top = _TOP + number * _LANE
    if number % 2 == 0:
        yield f'<rect x="{_LEFT}" y="{top}" width="{_WIDTH - _LEFT - _RIGHT}" height="{_LANE}" fill="#f3f3f3"/>'
    middle = top + _LANE / 2 + 4.5
    shown = shortened(name, _NAME_COLUMNS)
    yield f'<text x="{_LEFT - 10}" y="{middle}" text-anchor="end">{_text(shown)}</text>'
    yield f'<text x="{_WIDTH - _RIGHT + 10}" y="{middle}" font-size="12">{numbers}</text>'


def _bars(spans: Iterable[Span], number: int, scale: _Scale) -> str:
    """A person's speech as one path: thousands of turns stay a small file."""
    top = _TOP + number * _LANE + (_LANE - _BAR) / 2
    return f'<path fill="{COLOURS[number % len(COLOURS)]}" d="{_rectangles(map(scale.bar, spans), top)}"/>'


def _rectangles(bars: Iterable[tuple[float, float]], top: float) -> str:
    return "".join(f"M{start:.2f} {top:g}h{length:.2f}v{_BAR}h-{length:.2f}z" for start, length in bars)


def _overlaps(
    overlaps: Sequence[Span], speech: dict[Speaker, tuple[Span, ...]], order: Sequence[Speaker], scale: _Scale
) -> Iterator[str]:
    """Hatching over the bars of those who speak at once."""
    for number, speaker in enumerate(order):
        parts = [part for span in speech.get(speaker, ()) for part in crop(during(overlaps, span), span)]
        if parts:
            top = _TOP + number * _LANE + (_LANE - _BAR) / 2
            yield f'<path fill="url(#hatch)" d="{_rectangles(map(scale.bar, parts), top)}"/>'


def _review(segments: Sequence[Segment], scale: _Scale) -> Iterator[str]:
    """A triangle above the lanes for each place to check."""
    if segments:
        marks = "".join(f"M{scale(segment.start) - 4:.2f} {_TOP - 10}h8l-4 7z" for segment in segments)
        yield f'<path fill="#1a1a1a" d="{marks}"/>'


def _axis(end: float, bottom: int, scale: _Scale) -> Iterator[str]:
    step = next((step for step in _STEPS if end / step <= _MOST_TICKS), _STEPS[-1])
    while end / step > _MOST_TICKS:
        step *= 2
    yield f'<path stroke="#1a1a1a" d="M{_LEFT} {bottom}H{_WIDTH - _RIGHT}"/>'
    for number in range(int(end // step) + 1):
        x = scale(number * step)
        yield f'<path stroke="#1a1a1a" d="M{x:.2f} {bottom}v5"/>'
        label = clock(milliseconds(number * step)).removeprefix("00:")
        yield f'<text x="{x:.2f}" y="{bottom + 19}" text-anchor="middle" font-size="11">{label}</text>'


def _legend(y: int, *, has_overlaps: bool, has_review: bool) -> Iterator[str]:
    x = float(_LEFT)
    if has_overlaps:
        yield f'<rect x="{x}" y="{y - 10}" width="22" height="12" fill="url(#hatch)" stroke="#1a1a1a"/>'
        yield f'<text x="{x + 29}" y="{y}" font-size="11">several speak at once</text>'
        x += 175
    if has_review:
        yield f'<path fill="#1a1a1a" d="M{x} {y - 8}h8l-4 7z"/>'
        yield f'<text x="{x + 15}" y="{y}" font-size="11">to check</text>'


def _short(seconds: float) -> str:
    """Seconds as ``m:ss`` or ``h:mm:ss``."""
    hours, minutes, rest = clock(milliseconds(seconds)).split(":")
    return f"{int(hours)}:{minutes}:{rest}" if int(hours) else f"{int(minutes)}:{rest}"


def _text(text: str) -> str:
    """Text in XML, without characters that it cannot hold."""
    return html.escape(xml_text(one_line(text)))
