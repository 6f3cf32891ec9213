"""`meetsplit.schema.json`: what is written is valid against it, and nothing that is written lacks a description."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from conftest import KnownCall
from jsonschema import Draft202012Validator
from test_dnsmos import judged

from meetsplit.pipeline.formats import export
from meetsplit.pipeline.formats.meetsplit_json import SCHEMA
from meetsplit.pipeline.merge import UNCERTAIN
from meetsplit.pipeline.overlap import verification
from meetsplit.pipeline.settings import Outputs
from meetsplit.pipeline.transcribers import ctc_alignment, hallucinations

FOLDER = Path(__file__).parent
OPTIONAL = {"guards", "checked", "voices", "confidence", "tracks", "dnsmos"}
"""Keys of later versions, which only documents have that need them."""


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    document = json.loads(files("meetsplit.pipeline.formats").joinpath("meetsplit.schema.json").read_text("utf-8"))
    Draft202012Validator.check_schema(document)
    return dict(document)


@pytest.fixture(scope="module")
def closed(schema: dict[str, Any]) -> Draft202012Validator:
    """The schema without room for keys that it does not name."""
    document = copy.deepcopy(schema)
    for node in nodes(document):
        if "properties" in node:
            node["additionalProperties"] = False
            assert set(node["required"]) == set(node["properties"]) - OPTIONAL, node["description"]
    return Draft202012Validator(document)


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    """Every object inside a JSON value."""
    if isinstance(node, dict):
        yield node
    for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from nodes(value)


def test_the_pinned_transcript_is_valid(closed: Draft202012Validator) -> None:
    closed.validate(json.loads((FOLDER / "golden" / "meeting.json").read_text("utf-8")))


def test_a_transcript_with_judged_tracks_is_valid(closed: Draft202012Validator) -> None:
    closed.validate(json.loads(export(judged(), "json", Outputs())))


def test_a_run_s_transcript_is_valid(closed: Draft202012Validator, call: KnownCall) -> None:
    call.options = {"rttm": call.rttm, "separate": "off"}
    call.run()
    transcript = json.loads(call.results()["call.json"])
    closed.validate(transcript)
    assert transcript["segments"]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("duration",), "6"),
        (("segments", 0, "words"), []),
        (("segments", 0, "source"), "both"),
        (("segments", 0, "margin"), 3),
        (("turns", 0, "start"), -1),
        (("schema",), "meetsplit/2"),
        (("speakers", "SPEAKER_00"), 5),
    ],
)
def test_what_is_wrong_is_not_valid(schema: dict[str, Any], place: tuple[str | int, ...], value: object) -> None:
    transcript = json.loads((FOLDER / "golden" / "meeting.json").read_text("utf-8"))
    node = transcript
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    (error,) = Draft202012Validator(schema).iter_errors(transcript)
    assert tuple(error.absolute_path) == place


def test_every_key_and_reason_is_described(schema: dict[str, Any]) -> None:
    assert schema["properties"]["schema"]["const"] == SCHEMA
    for node in nodes(schema):
        for key, described in node.get("properties", {}).items():
            assert described["description"].endswith("."), key
    reasons = {reason["const"] for reason in schema["$defs"]["review"]["anyOf"] if "const" in reason}
    module = vars(verification)
    named = {"UNRESOLVED", "LOW_MARGIN", "POSSIBLE_LEAK", "THREE_VOICES"}
    assert reasons == {module[name] for name in named} | {*hallucinations.REASONS, ctc_alignment.UNALIGNED, UNCERTAIN}
