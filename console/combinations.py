"""Options that mean nothing beside another one: an error where both are given, so that nothing is silently left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.settings import WHISPER_OPTIONS, fields_with_options

_DIARIZATION = ("num_speakers", "min_speakers", "max_speakers", "diarizer_model")
_SEPARATION = ("separator", "separator_model", "separator_model_3", "adapt_budget", "separate", "match_threshold")
_WHISPER = ("model", "task", "initial_prompt", *WHISPER_OPTIONS, "batch_size")


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Where ``option`` is ``value`` (None: anything but its default), the ``meaningless`` fields have no effect.

    ``reason`` is the first half of a sentence about it. Values in ``harmless`` say the same as ``option``.
    """

    option: str
    value: object
    meaningless: tuple[str, ...]
    reason: str
    harmless: tuple[object, ...] = ()

    def applies(self, values: Mapping[str, Any]) -> bool:
        """Whether the values give ``option`` that value."""
        value = values.get(self.option)
        return value not in (None, ()) if self.value is None else value == self.value

    def forbids(self, name: str, value: object) -> bool:
        """Whether a field with that value has no effect and is not what it would be without being given."""
        return name in self.meaningless and value not in (*self.harmless, _defaults()[name])


EXCLUSIONS = (
    Exclusion("rttm", None, (*_DIARIZATION, "diarizer"), "--rttm brings its own turns", ("rttm",)),
    Exclusion("script", None, (*_WHISPER, "transcriber"), "--script brings its own words", ("script",)),
    Exclusion("transcriber", "sphinx", _WHISPER, "--transcriber sphinx has nothing of the kind"),
    Exclusion(
        "channels",
        "split",
        (*_DIARIZATION, "diarizer", "rttm", *_SEPARATION),
        "one channel per person says already who speaks, and no voices are separated",
        ("none", "off"),
    ),
    Exclusion("separate", "off", _SEPARATION, "--separate off separates no voices", ("none", "off")),
    Exclusion("separator", "none", _SEPARATION[1:4], "--separator none separates no voices"),
    Exclusion("separator", "dictionary", _SEPARATION[1:4], "--separator dictionary has no model and learns at once"),
    Exclusion("separator", "adapted", _SEPARATION[1:3], "--separator adapted has its own model"),
    *(
        Exclusion("separator", name, ("adapt_budget",), f"--separator {name} learns nothing from a recording")
        for name in ("sepformer", "convtasnet", "dprnn")
    ),
    Exclusion(
        "clean",
        "off",
        ("cleaner", "cleaner_model", "track_sound", "keep_background"),
        "--clean off takes nothing out",
    ),
    Exclusion("cleaner", "embedded", ("cleaner_model",), "--cleaner embedded has its own spectra"),
    Exclusion("tracks", False, ("track_format", "track_gate", "track_sound"), "--no-tracks writes no tracks"),
    Exclusion("channels", "mix", ("channel_names",), "--channels mix has no channel per person"),
)
"""What excludes what. Exclusions that `Settings` refuses itself are here as well, for options of several sources."""

_REFUSED_BY_SETTINGS = (("rttm", "diarizer"), ("script", "transcriber"))
"""Pairs about which `Settings` has a sentence of its own."""


def overruled(name: str, value: object, stronger: Mapping[str, Any]) -> bool:
    """Whether a field of a weaker source has no effect beside the values of a stronger one."""
    return any(exclusion.applies(stronger) and exclusion.forbids(name, value) for exclusion in EXCLUSIONS)


def check_combination(values: Mapping[str, Any]) -> None:
    """Raise `SettingsError` for a field that has no effect beside another one."""
    for exclusion in EXCLUSIONS:
        if not exclusion.applies(values):
            continue
        for name, value in values.items():
            is_own = exclusion.option == "channels" and name in (*_DIARIZATION, "diarizer", "rttm")
            if is_own or (exclusion.option, name) in _REFUSED_BY_SETTINGS or not exclusion.forbids(name, value):
                continue
            given = name.replace("_", "-") if isinstance(value, bool) else f"{name.replace('_', '-')} {_shown(value)}"
            raise SettingsError(f"{exclusion.reason}: --{given} would do nothing; drop one of the two")


def _shown(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _defaults() -> Mapping[str, object]:
    return {field.name: field.default for field, _ in fields_with_options()}
