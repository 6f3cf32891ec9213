"""meetsplit: who said what, even where people talk over each other, and a clean audio file per person."""

from meetsplit.pipeline.channels.recording import MultiFileRecording, together
from meetsplit.pipeline.data import Audio, ClipTranscript, Overlap, Segment, Span, Stream, Transcript, Turn, Voice, Word
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
from meetsplit.pipeline.formats import export, read_transcript
from meetsplit.pipeline.interop import from_annotation, to_annotation, to_dataframe
from meetsplit.pipeline.run import Pipeline
from meetsplit.pipeline.settings import Outputs, Settings

__version__ = "0.1.0"

Heard = ClipTranscript
"""The name of `ClipTranscript` before 0.2."""
Together = MultiFileRecording
"""The name of `MultiFileRecording` before 0.2."""

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
