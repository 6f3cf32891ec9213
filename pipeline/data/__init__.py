"""What travels between the stages: immutable values on one clock.

Every time in these values is in seconds on the recording's clock, unless a docstring says otherwise.
Every value holds only what its maker knows, and nothing is filled in later.
"""

from meetsplit.pipeline.data.audio import LATEST, Audio, Samples, Sound, Span, decimal_sum
from meetsplit.pipeline.data.diarization import (
    Diarization,
    Overlap,
    OverlapResult,
    Source,
    Speaker,
    Stream,
    StreamInfo,
    Turn,
    Voice,
)
from meetsplit.pipeline.data.transcript import (
    ClipTranscript,
    Provenance,
    Segment,
    StageRecord,
    Transcript,
    Word,
    join_words,
)

__all__ = [
    "LATEST",
    "Audio",
    "ClipTranscript",
    "Diarization",
    "Overlap",
    "OverlapResult",
    "Provenance",
    "Samples",
    "Segment",
    "Sound",
    "Source",
    "Span",
    "Speaker",
    "StageRecord",
    "Stream",
    "StreamInfo",
    "Transcript",
    "Turn",
    "Voice",
    "Word",
    "decimal_sum",
    "join_words",
]
