"""Formats for documents: Markdown, Word and the picture of the lanes."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import docx
import pytest
from test_formats_golden import rich

from meetsplit.console.options import resolve_settings
from meetsplit.pipeline.data import Provenance, Segment, Span, Transcript, Turn, Word
from meetsplit.pipeline.errors import MissingDependency, SettingsError
from meetsplit.pipeline.formats import export, format_named, names
from meetsplit.pipeline.settings import Outputs

SVG = "{http://www.w3.org/2000/svg}"
EMPTY = Transcript("silence", 3.0, (), (), Provenance("0.1.0"))
HOSTILE = "<b>&\"' \x00\x1b\ufffe ]]> **x** [a](b)"


def hostile() -> Transcript:
    segment = Segment("SPEAKER_00", (Word(Span(1, 2), HOSTILE),), review=("three-voices",))
    turns = (Turn(Span(1, 2), "SPEAKER_00"), Turn(Span(1.5, 2.5), "SPEAKER_01"))
    return Transcript(HOSTILE, 60.0, (segment,), turns, Provenance("0.1.0"), (("SPEAKER_00", HOSTILE),))


def document(transcript: Transcript) -> list[tuple[str, str]]:
    """The style and text of each paragraph of a Word document."""
    content = format_named("docx").write(transcript, Outputs())
    assert isinstance(content, bytes)
    return [(each.style.name, each.text) for each in docx.Document(io.BytesIO(content)).paragraphs]


def test_a_word_document_has_names_as_headings_times_and_marked_overlaps() -> None:
    paragraphs = document(rich())
    assert paragraphs[:4] == [
        ("Title", "Stand up (May)"),
        ("Normal", "Words between // are said while another person speaks."),
        ("Heading 2", "Alice"),
        (
            "Normal",
            "[00:00:00] Good morning. Where are we with the installer, and did the printer call about //the boxes?//",
        ),
    ]
    assert [text for style, text in paragraphs if style == "Heading 2"] == [
        "Alice", "Boris & Co", "SPEAKER_02", "Boris & Co", "Alice", "SPEAKER_02",
    ]  # fmt: skip
    content = format_named("docx").write(rich(), Outputs())
    assert content == format_named("docx").write(rich(), Outputs()), "no moment of writing is in it"
    assert isinstance(content, bytes)
    runs = [run for paragraph in docx.Document(io.BytesIO(content)).paragraphs for run in paragraph.runs if run.italic]
    assert [run.text.strip() for run in runs[1:]] == ["//the boxes?//", "//Nearly done.//", "//Mm-hm.//"]
    assert document(EMPTY) == [("Title", "silence")]


def test_a_word_document_without_its_package_is_refused_before_the_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match=re.escape("pip install 'meetsplit[docx]'")):
        resolve_settings({"output_format": "docx"}, names())
    with pytest.raises(MissingDependency, match="needs the package python-docx"):
        rich().save(tmp_path, "docx")
    monkeypatch.undo()
    with pytest.raises(SettingsError, match="docx is no text"):
        export(rich(), "docx", Outputs())


def test_the_picture_names_every_lane_and_marks_overlaps_and_places_to_check() -> None:
    root = ElementTree.fromstring(export(rich(), "svg", Outputs()))
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert texts[0] == "Who spoke when: Stand up (May)"
    assert {"Alice", "Boris & Co", "SPEAKER_02", "0:06 · 40%", "several speak at once", "to check"} <= set(texts)
    bars = [path.attrib for path in root.iter(f"{SVG}path") if path.attrib.get("fill", "").startswith("#")]
    colours = [bar["fill"] for bar in bars][:3]
    assert len(set(colours)) == 3
    assert bars[2]["d"].count("M") == 3, "a bar for each of SPEAKER_02's turns"
    hatched = [path for path in root.iter(f"{SVG}path") if path.attrib.get("fill") == "url(#hatch)"]
    assert len(hatched) == 3
    crowd = replace(EMPTY, duration=1e9, turns=tuple(Turn(Span(n, n + 0.2), f"P{n:02}") for n in range(20)))
    assert len(list(ElementTree.fromstring(export(crowd, "svg", Outputs())).iter(f"{SVG}text"))) < 80


def test_hostile_names_and_words_stay_text() -> None:
    shown = "<b>&\"' \ufffd ]]> **x** [a](b)"
    root = ElementTree.fromstring(export(hostile(), "svg", Outputs()))
    assert f"Who spoke when: {shown}" in [element.text for element in root.iter(f"{SVG}text")]
    assert not {element.tag for element in root.iter()} & {f"{SVG}b", "b"}
    assert document(hostile())[-2:] == [("Heading 2", shown), ("Normal", f"[00:00:01] {shown}")]
    text = export(hostile(), "md", Outputs())
    assert r"\<b\>\&" in text
    assert r"\*\*x\*\* \[a\](b)" in text
