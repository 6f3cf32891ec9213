"""From JSON back to a transcript: our own, exactly; WhisperX's and openai-whisper's, as far as they go."""

from __future__ import annotations

from typing import Any, get_args

from meetsplit.pipeline.data import Provenance, Segment, Source, StageRecord, Transcript, Turn, Word
from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.formats.json_node import Node, parse
from meetsplit.pipeline.formats.meetsplit_json import SCHEMA
from meetsplit.pipeline.formats.whisperx_json import foreign


def read_transcript(text: str, origin: str = "transcript.json") -> Transcript:
    """The transcript in a JSON text; ``origin`` is the file's name for messages and, for foreign JSON, the recording.

    Our own JSON gives a transcript equal to the one that was written; whoever edits it edits the words, since a
    segment's ``start``, ``end`` and ``text`` follow from them. JSON of WhisperX and openai-whisper is read too: see
    `foreign.foreign`. Raises `SettingsError`, which says the line of a JSON error or the address of a wrong key.
    """
    document = parse(text, origin)
    if not isinstance(document.value, dict) or ("schema" not in document and "segments" not in document):
        raise SettingsError(
            f"{origin}: no transcript: a JSON object with 'segments' is needed, from meetsplit, WhisperX or whisper"
        )
    if "schema" not in document:
        return foreign(document)
    if document["schema"].text() != SCHEMA:
        raise SettingsError(
            f"{origin}: schema {document['schema'].text()!r}: this meetsplit reads {SCHEMA!r}; install the version that wrote it"
        )
    return Transcript(
        recording=_file_name(document["recording"]),
        duration=document["duration"].time(),
        segments=tuple(_segment(node) for node in document["segments"].items()),
        turns=tuple(Turn(node.span(), node["speaker"].text()) for node in document["turns"].items()),
        made_by=_made_by(document["made_by"]),
        names=tuple(
            (label, node)
            for label in document["speakers"].fields()
            if (node := document["speakers"][label].text_or_none()) is not None
        ),
    )


def _file_name(node: Node) -> str:
    """A recording's name, from which names of files are made: it must not lead out of the output folder."""
    if set("/\\\0") & set(node.text()):
        node.wrong(f"a file name without a folder is needed, not {node.text()!r}")
    return node.text()


def _segment(node: Node) -> Segment:
    words = tuple(
        Word(word.span(), word["word"].text(), word.get("score").number_or_none()) for word in node["words"].items()
    )
    if not words:
        node.wrong("a segment has at least one word")
    if node["source"].text() not in get_args(Source):
        node["source"].wrong(f"{' or '.join(get_args(Source))} is needed, not {node['source'].text()!r}")
    segment = Segment(
        node["speaker"].text(),
        words,
        node.get("language").text_or_none(),
        "separated" if node["source"].text() == "separated" else "mixture",
        node["overlap"].flag(),
        node.get("margin").number_or_none(),
        tuple(reason.text() for reason in node["review"].items()),
    )
    if "text" in node and node["text"].text().split() != segment.text.split():
        node["text"].wrong("it differs from the words; edit the words, the text follows from them")
    return segment


def _made_by(node: Node) -> Provenance:
    return Provenance(
        version=node["version"].text(),
        stages=tuple(_stage(stage) for stage in node["stages"].items()),
        settings=tuple((key, _scalar(node["settings"][key])) for key in node["settings"].fields()),
        packages=tuple((key, node["packages"][key].text()) for key in node["packages"].fields()),
    )


def _stage(node: Node) -> StageRecord:
    weights = tuple(weight.text() for weight in node["weights"].items())
    return StageRecord(node["stage"].text(), node["backend"].text(), weights, node["device"].text(), node["why"].text())


def _scalar(node: Node) -> Any:
    if isinstance(node.value, dict | list):
        node.wrong("a text, a number, true, false or null is needed")
    return node.value
