"""meetsplit: who said what, even where people talk over each other, and a clean audio file per person.

Names are imported when they are first used, so that the command line answers `--help` without NumPy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from meetsplit.pipeline import events
    from meetsplit.pipeline.channels.recording import MultiFileRecording, together
    from meetsplit.pipeline.data import (
        Audio,
        ClipTranscript,
        Overlap,
        Segment,
        Span,
        Stream,
        Transcript,
        Turn,
        Voice,
        Word,
    )
    from meetsplit.pipeline.errors import (
        AudioError,
        BrokenPromise,
        MeetsplitError,
        MissingDependency,
        MissingWeights,
        OutputError,
        SettingsError,
        StageError,
    )
    from meetsplit.pipeline.formats import export, read_transcript, talk_time
    from meetsplit.pipeline.interop import from_annotation, to_annotation, to_audio_segment, to_dataframe
    from meetsplit.pipeline.results.run_result import RunResult, Track
    from meetsplit.pipeline.run import Pipeline
    from meetsplit.pipeline.settings import Outputs, Settings

    Heard = ClipTranscript
    Together = MultiFileRecording

__version__ = "0.1.0"

__all__ = [
    "Audio",
    "AudioError",
    "BrokenPromise",
    "ClipTranscript",
    "Heard",
    "MeetsplitError",
    "MissingDependency",
    "MissingWeights",
    "MultiFileRecording",
    "OutputError",
    "Outputs",
    "Overlap",
    "Pipeline",
    "RunResult",
    "Segment",
    "Settings",
    "SettingsError",
    "Span",
    "StageError",
    "Stream",
    "Together",
    "Track",
    "Transcript",
    "Turn",
    "Voice",
    "Word",
    "__version__",
    "events",
    "export",
    "from_annotation",
    "read_transcript",
    "talk_time",
    "to_annotation",
    "to_audio_segment",
    "to_dataframe",
    "together",
]

_MODULES = {
    "channels.recording": ("MultiFileRecording", "together"),
    "data": (
        "Audio",
        "ClipTranscript",
        "Overlap",
        "Segment",
        "Span",
        "Stream",
        "Transcript",
        "Turn",
        "Voice",
        "Word",
    ),
    "errors": (
        "AudioError",
        "BrokenPromise",
        "MeetsplitError",
        "MissingDependency",
        "MissingWeights",
        "OutputError",
        "SettingsError",
        "StageError",
    ),
    "formats": ("export", "read_transcript", "talk_time"),
    "interop": ("from_annotation", "to_annotation", "to_audio_segment", "to_dataframe"),
    "results.run_result": ("RunResult", "Track"),
    "run": ("Pipeline",),
    "settings": ("Outputs", "Settings"),
}
"""The names of each module of `meetsplit.pipeline`."""

_EARLIER_NAMES = {"Heard": "ClipTranscript", "Together": "MultiFileRecording"}
"""The names of classes before 0.2, and those that they have now."""

_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "events":  # the listeners and events of `Pipeline(on_event=…)`
        return import_module("meetsplit.pipeline.events")
    current = _EARLIER_NAMES.get(name, name)
    if current not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"meetsplit.pipeline.{_MODULE_OF[current]}"), current)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
