"""What travels between the stages: immutable values on one clock.

Every time in these values is in seconds on the recording's clock, unless a docstring says otherwise.
Every value holds only what its maker knows, and nothing is filled in later.
"""

from meetsplit.pipeline.data.sound import LATEST, Audio, Samples, Sound, Span, decimal_sum
from meetsplit.pipeline.data.speech import Diarized, Outline, Overlap, Patch, Source, Speaker, Stream, Turn, Voice
from meetsplit.pipeline.data.words import Heard, MadeBy, Segment, StageRecord, Transcript, Word, join_words

__all__ = [
    "LATEST",
    "Audio",
    "Diarized",
    "Heard",
    "MadeBy",
    "Outline",
    "Overlap",
    "Patch",
    "Samples",
    "Segment",
    "Sound",
    "Source",
    "Span",
    "Speaker",
    "StageRecord",
    "Stream",
    "Transcript",
    "Turn",
    "Voice",
    "Word",
    "decimal_sum",
    "join_words",
]
