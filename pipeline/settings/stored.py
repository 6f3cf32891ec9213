"""Settings as transcripts, kept stages and jobs record them, across versions: fields that count, earlier names."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from meetsplit.pipeline.errors import SettingsError

EARLIER_CHECKS = {"recast": "resegment", "doubles": "duplicates"}
"""Checks that had another name while the option was called ``gates``."""

# fmt: off
_FIRST_FIELDS = frozenset((
    "channels", "diarizer", "diarizer_model", "rttm", "num_speakers", "min_speakers", "max_speakers", "separator",
    "separator_model", "separator_model_3", "adapt_budget", "separate", "match_threshold", "overlap_checks",
    "transcriber", "model", "language", "task", "initial_prompt", "script", "device", "offline", "hf_token",
    "cache_dir", "cache_size", "cache_age", "trust_model_code", "seed", "folder", "formats", "tracks",
    "track_format", "track_gate", "max_line_width", "max_line_count", "names", "overwrite",
))
# fmt: on
"""The fields of `Settings` and `Outputs` in version 0.1.0."""


def stored_fields(values: Any) -> tuple[tuple[str, Any], ...]:
    """The fields of `Settings` or `Outputs` that transcripts, keys of kept stages and jobs record.

    Those of 0.1.0, and later ones that are set. Keys and job ids are checksums of these: a new field that has its
    default changes none of them.
    """
    return tuple(
        (field_.name, value)
        for field_ in dataclasses.fields(values)
        if (value := getattr(values, field_.name)) != field_.default or field_.name in _FIRST_FIELDS
    )


def current_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of this or an earlier version under today's names: ``gates``, text or list, is ``overlap_checks``.

    Raises `SettingsError` where both names are given.
    """
    renamed = dict(options)
    if "gates" in renamed and "overlap_checks" in renamed:
        raise SettingsError("--gates is the earlier name of --overlap-checks: give one of the two")
    if "gates" in renamed:
        renamed["overlap_checks"] = renamed.pop("gates")
    checks = renamed.get("overlap_checks")
    if isinstance(checks, list) and all(isinstance(check, str) for check in checks):
        renamed["overlap_checks"] = ",".join(checks)
    return renamed


def stored_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options, in order, under the names that stored jobs have in every version: ``overlap_checks`` is ``gates``.

    A job's identity is a checksum of these, and workers of several versions may share a queue.
    """
    earlier = {current: name for name, current in EARLIER_CHECKS.items()}
    stored: dict[str, Any] = {}
    for name, value in options.items():
        if name == "overlap_checks":
            stored["gates"] = ",".join(earlier.get(check, check) for check in value.split(","))
        else:
            stored[name] = value
    return stored
