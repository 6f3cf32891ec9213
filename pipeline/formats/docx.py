"""Word's format (Office Open XML): people's names as headings, a time before each paragraph, overlaps marked."""

from __future__ import annotations

import importlib.util
import io
import zipfile
from typing import Any

from meetsplit.pipeline.data import Transcript
from meetsplit.pipeline.data.transcript import join_words
from meetsplit.pipeline.errors import MissingDependency
from meetsplit.pipeline.formats.line_breaking import blank
from meetsplit.pipeline.formats.markdown import NOTE
from meetsplit.pipeline.formats.paragraphs import OVERLAP, Paragraph, paragraphs
from meetsplit.pipeline.formats.text import clock, milliseconds, one_line, speaker_names, xml_text
from meetsplit.pipeline.settings import Outputs

_GREY = "595959"
_FIRST_DATE = (1980, 1, 1, 0, 0, 0)
"""The earliest date that a ZIP file knows: the same transcript is the same file, whenever it is written."""


def require_docx() -> None:
    """Raise `MissingDependency` where python-docx is not installed."""
    if importlib.util.find_spec("docx") is None:
        raise MissingDependency(
            "write", "-f docx needs the package python-docx: pip install 'meetsplit[docx]', or choose -f md"
        )


def write(transcript: Transcript, outputs: Outputs) -> bytes:
    """A title, then a heading where the person changes and paragraphs with the time of their first word.

    Words that overlap with another person's stand in italics between ``//``. Raises `MissingDependency`.
    """
    require_docx()
    import docx

    document, names = docx.Document(), speaker_names(transcript)
    title = xml_text(one_line(transcript.recording)) or "Transcript"
    document.core_properties.title, document.core_properties.author = title[:255], "meetsplit"
    document.core_properties.comments = ""
    document.add_heading(title, 0)
    speaker = None
    all_paragraphs = list(paragraphs(transcript))
    if any(run.overlapped for paragraph in all_paragraphs for run in paragraph.runs):
        document.add_paragraph().add_run(NOTE).italic = True
    for paragraph in all_paragraphs:
        if paragraph.speaker != speaker:
            document.add_heading(xml_text(names[paragraph.speaker]), 2)
            speaker = paragraph.speaker
        _add_paragraph(document, paragraph)
    return _bytes(document)


def _add_paragraph(document: Any, paragraph: Paragraph) -> None:
    from docx.shared import RGBColor

    added = document.add_paragraph()
    time = added.add_run(f"[{clock(milliseconds(paragraph.start))}]")
    time.font.color.rgb = RGBColor.from_string(_GREY)
    before = ""
    for run in paragraph.runs:
        text = join_words(run.words)
        if run.overlapped:
            text = f"{OVERLAP}{text}{OVERLAP}"
        glue = " " if not before or blank(before, run.words[0]) else ""
        added.add_run(glue + xml_text(text)).italic = run.overlapped or None
        before = run.words[-1]


def _bytes(document: Any) -> bytes:
    """The document's file, without the moment at which it was made."""
    made, fixed = io.BytesIO(), io.BytesIO()
    document.save(made)
    with zipfile.ZipFile(made) as source, zipfile.ZipFile(fixed, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            target.writestr(zipfile.ZipInfo(entry.filename, _FIRST_DATE), source.read(entry), zipfile.ZIP_DEFLATED)
    return fixed.getvalue()
