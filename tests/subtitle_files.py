"""Strict readers of the SubRip and WebVTT files that we write, as a viewer understands them."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from meetsplit.pipeline.data import Transcript, Word
from meetsplit.pipeline.formats.text import one_line

PLACE = r" line:-(\d+) position:(\d+)% size:(\d+)%"


@dataclass(frozen=True)
class Shown:
    """A cue: times in milliseconds, the lines of each person by name, and its settings in WebVTT."""

    start: int
    end: int
    blocks: tuple[tuple[str, tuple[str, ...]], ...]
    place: str = ""

    @property
    def box(self) -> tuple[float, float, int]:
        """The left and right edge in per cent, and the line from the bottom (0: the player's own choice)."""
        found = re.fullmatch(PLACE, self.place)
        if found is None:
            return 0.0, 100.0, 0
        line, position, size = map(int, found.groups())
        return position - size / 2, position + size / 2, line


def clock(text: str) -> int:
    found = re.fullmatch(r"(\d\d+):([0-5]\d):([0-5]\d)[.,](\d{3})", text)
    assert found, text
    hours, minutes, seconds, thousandths = map(int, found.groups())
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + thousandths


def parse_srt(text: str, names: Mapping[str, str]) -> list[Shown]:
    """The cues of a SubRip file with names at a change or everywhere: a cue without any is by the same people as the
    one before. ``names`` are people's names by those in the cues.
    """
    shown: list[Shown] = []
    pattern = re.compile(f"(- )?({'|'.join(map(re.escape, names))}):(?: |$)")
    before: tuple[str, ...] = ()
    for number, block in enumerate(text[:-1].split("\n\n") if text else [], 1):
        head, timing, *rest = block.rstrip("\n").split("\n")
        assert head == str(number)
        start, end = timing.split(" --> ")
        assert "," in start
        assert rest
        assert all(rest)
        assert not any("-->" in line for line in rest)
        is_shared = rest[0].startswith("- ")
        is_named = pattern.match(rest[0]) is not None
        blocks: list[tuple[str, list[str]]] = []
        for line in rest:
            opened = pattern.match(line)
            if opened:
                assert is_named
                assert bool(opened[1]) is is_shared
                blocks.append((names[opened[2]], [line[opened.end() :]]))
            elif not is_named and (not blocks or line.startswith("- ")):
                assert len(before) > len(blocks), "a cue without names is by the people of the cue before"
                blocks.append((before[len(blocks)], [line.removeprefix("- ")]))
            else:
                blocks[-1][1].append(line)
        assert is_shared or len(blocks) == 1
        assert is_named or len(blocks) == len(before)
        before = tuple(who for who, _ in blocks)
        shown.append(Shown(clock(start), clock(end), tuple((who, tuple(lines)) for who, lines in blocks)))
    return shown


def parse_vtt(text: str) -> tuple[list[Shown], list[str]]:
    """The cues and notes of a WebVTT file: a strict reading of the part of it that we write."""
    header, *blocks = text[:-1].split("\n\n")
    assert header.strip() == "WEBVTT"
    shown, notes = [], []
    for block in blocks:
        if block.startswith("STYLE\n"):
            assert not shown
            assert "-->" not in block
            continue
        if block.startswith("NOTE"):
            assert "-->" not in block
            notes.append(block)
            continue
        timing, *rest = block.split("\n")
        times = re.fullmatch(rf"(\S+) --> (\S+)((?:{PLACE})?)", timing)
        assert times, timing
        body = "\n".join(rest)
        voice = re.fullmatch(r"<v ([^\n<>]+)>([^<>]+)", body)
        assert voice, body
        assert not re.search(r"&(?!(amp|lt|gt);)", body)
        lines = tuple(html.unescape(voice[2]).split("\n"))
        shown.append(Shown(clock(times[1]), clock(times[2]), ((html.unescape(voice[1]), lines),), times[3]))
    return shown, notes


def words_of(transcript: Transcript) -> dict[str, list[Word]]:
    """Each person's words in the order of the transcript, by name."""
    words: dict[str, list[Word]] = {}
    for segment in transcript.segments:
        words.setdefault(transcript.name_of(segment.speaker), []).extend(segment.words)
    return words


def letters(text: str) -> str:
    return one_line(text).replace(" ", "")


def with_words(shown: Sequence[Shown], transcript: Transcript) -> Iterator[tuple[Shown, dict[str, list[Word]]]]:
    """Each cue with the words that it shows, by name: every word exactly once, in order, under its speaker's name."""
    left = {name: list(reversed(words)) for name, words in words_of(transcript).items()}
    for cue in shown:
        own: dict[str, list[Word]] = {}
        for name, lines in cue.blocks:
            text = letters("".join(lines))
            while text:
                word = left[name].pop()
                assert text.startswith(letters(word.text)), (name, text, word)
                text = text[len(letters(word.text)) :]
                own.setdefault(name, []).append(word)
        yield cue, own
    assert not any(left.values()), left
