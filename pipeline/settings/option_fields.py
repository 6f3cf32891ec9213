"""The fields of `Settings` and `Outputs` with their options, and which of them are Whisper's."""

from __future__ import annotations

import dataclasses
from typing import Any

from meetsplit.pipeline.settings.choices import WITHOUT_EFFECT
from meetsplit.pipeline.settings.options import PANELS, WHISPER, Option
from meetsplit.pipeline.settings.outputs import Outputs
from meetsplit.pipeline.settings.run_settings import Settings

WHISPER_OPTIONS = (
    "hotwords",
    *(
        field_.name
        for field_ in dataclasses.fields(Settings)
        if field_.metadata["option"].panel == WHISPER and field_.name not in WITHOUT_EFFECT
    ),
)
"""Settings that only the transcribers `whisper` and `faster-whisper` know and that change their words, besides
``model`` and ``initial_prompt``."""


def fields_with_options() -> tuple[tuple[dataclasses.Field[Any], Option], ...]:
    """The fields of `Settings` and `Outputs` with their options, by panel, in order within each."""
    fields = (*dataclasses.fields(Settings), *dataclasses.fields(Outputs))
    pairs = [(field_, field_.metadata["option"]) for field_ in fields]
    return tuple(sorted(pairs, key=lambda pair: PANELS.index(pair[1].panel)))
