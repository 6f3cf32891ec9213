"""The page of a transcript: what is in it, and that no name, word or file name is anything but text there."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from meetsplit.pipeline.data import Provenance, Segment, Span, Transcript, Turn, Word
from meetsplit.pipeline.formats import export, html, read_transcript
from meetsplit.pipeline.formats.html import PageSound, SoundFile
from meetsplit.pipeline.settings import Outputs

HOSTILE = (
    "</script><script>alert(1)</script>", "<!--<script>", "<img src=x onerror=alert(1)>", '"><b>', "$script",
    "${policy}", "\u2028\u2029", "&lt;b&gt;", "\ud800", "]]>",
)  # fmt: skip


def meeting(recording: str = "call", words: tuple[str, ...] = ("Yes.",), name: str = "Ann") -> Transcript:
    said = tuple(Word(Span(number, number + 0.5), word) for number, word in enumerate(words))
    turns = (Turn(Span(0, len(words)), "SPEAKER_00"),)
    names = (("SPEAKER_00", name),)
    return Transcript(recording, 60.0, (Segment("SPEAKER_00", said),), turns, Provenance("0.1.0"), names)


class Elements(HTMLParser):
    """The elements of a page as a browser's parser finds them: tag, attributes and the text that follows."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], str]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.found.append((tag, dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        self.found.append((f"/{tag}", {}, ""))

    def handle_data(self, data: str) -> None:
        if self.found:
            tag, attributes, text = self.found[-1]
            self.found[-1] = (tag, attributes, text + data)

    def tags(self) -> list[str]:
        return [tag for tag, _, _ in self.found]

    def text(self, name: str) -> str:
        (text,) = (text for _, attributes, text in self.found if attributes.get("id") == name)
        return text


def test_names_words_and_file_names_stay_text() -> None:
    plain = Elements(html.write(meeting(), Outputs()))
    for hostile in HOSTILE:
        original = meeting(hostile, (hostile,), hostile)
        page = html.write(original, Outputs()).encode("utf-8", "replace").decode()
        elements = Elements(page)
        assert elements.tags() == plain.tags()
        assert elements.text("page") == plain.text("page")
        document = json.loads(elements.text("transcript"))
        readable = hostile.encode("utf-8", "replace").decode()
        said = document["segments"][0]["words"][0]["word"]
        assert {document["recording"], document["speakers"]["SPEAKER_00"], said} <= {readable, hostile}


def test_the_transcript_in_the_page_is_the_transcript() -> None:
    original = meeting(words=("Good", "morning."))
    document = json.loads(Elements(html.write(original, Outputs())).text("transcript"))
    assert "word_segments" not in document
    assert read_transcript(json.dumps(document | {"word_segments": []})) == original


def test_the_policy_allows_this_script_and_style_and_nothing_else() -> None:
    elements = Elements(html.write(meeting(), Outputs()))
    (policy,) = (
        attributes["content"]
        for tag, attributes, _ in elements.found
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    rules = dict(rule.strip().partition(" ")[::2] for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    for rule, tag in (("script-src", "script"), ("style-src", "style")):
        (own,) = (text for found, attributes, text in elements.found if found == tag and not attributes)
        digest = base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    assert not [name for _, attributes, _ in elements.found for name in attributes if re.match("on|style$", name)]


def test_sound_is_embedded_or_linked() -> None:
    content = bytes(range(256))
    sound = PageSound(
        SoundFile("audio/webm", content), {"SPEAKER_00": SoundFile("audio/wav", path="a%3Cb/SPEAKER_00.wav")}
    )
    elements = Elements(html.write(meeting(), Outputs(), sound))
    places = json.loads(elements.text("sound"))
    assert places == {
        "recording": {"source": "#sound-0", "type": "audio/webm"},
        "tracks": {"SPEAKER_00": {"source": "a%3Cb/SPEAKER_00.wav", "type": "audio/wav"}},
    }
    assert base64.b64decode(elements.text("sound-0")) == content
    assert json.loads(Elements(export(meeting(), "html", Outputs())).text("sound")) == {"recording": None, "tracks": {}}


@pytest.mark.parametrize("part", ["page.js", "page.css"])
def test_the_built_parts_can_stand_in_a_page(part: str) -> None:
    text = html._part(part)
    assert not re.search(r"</(script|style)|<!--|\r|https?://(?!www\.w3\.org/)", text, re.IGNORECASE)
