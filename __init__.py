"""meetsplit: who said what, even where people talk over each other, and a clean audio file per person."""

from meetsplit.pipeline.conversions import from_annotation, to_annotation, to_dataframe
from meetsplit.pipeline.data import Audio, Heard, Overlap, Segment, Span, Stream, Transcript, Turn, Voice, Word
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
from meetsplit.pipeline.exporters import export, read_transcript
from meetsplit.pipeline.run import Pipeline
from meetsplit.pipeline.settings import Outputs, Settings
from meetsplit.pipeline.together import Together, together

__version__ = "0.1.0"

__all__ = [
    "Audio",
    "AudioError",
    "BrokenPromise",
    "Heard",
    "MeetsplitError",
    "MissingDependency",
    "MissingWeights",
    "OutputError",
    "Outputs",
    "Overlap",
    "Pipeline",
    "Segment",
    "Settings",
    "SettingsError",
    "Span",
    "StageError",
    "Stream",
    "Together",
    "Transcript",
    "Turn",
    "Voice",
    "Word",
    "__version__",
    "export",
    "from_annotation",
    "read_transcript",
    "to_annotation",
    "to_dataframe",
    "together",
]
