"""Immutable values that the stages exchange: spans, audio, turns, streams, words, transcripts.

Every time in these values is in seconds on the recording's clock, unless a docstring says otherwise. No field is
filled in later.
"""

from meetsplit.pipeline.data.audio import LATEST, Audio, Channels, ChannelSamples, Samples, Span, decimal_sum, rms
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
    Dnsmos,
    DroppedText,
    Provenance,
    Segment,
    StageRecord,
    TrackQuality,
    Transcript,
    VoiceDecision,
    VoiceMatch,
    Word,
    join_words,
)

__all__ = [
    "LATEST",
    "Audio",
    "ChannelSamples",
    "Channels",
    "ClipTranscript",
    "Diarization",
    "Dnsmos",
    "DroppedText",
    "Overlap",
    "OverlapResult",
    "Provenance",
    "Samples",
    "Segment",
    "Source",
    "Span",
    "Speaker",
    "StageRecord",
    "Stream",
    "StreamInfo",
    "TrackQuality",
    "Transcript",
    "Turn",
    "Voice",
    "VoiceDecision",
    "VoiceMatch",
    "Word",
    "decimal_sum",
    "join_words",
    "rms",
]
