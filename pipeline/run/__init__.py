"""A run: one recording in, one transcript out. Who reads begins with `recording_run`.

- `pipeline`: Pipeline, what a person calls in Python; its ``run`` opens a recording and writes the results
- `recording_run`: RecordingRun, the stages of one recording in order
- `sound`: the recording decoded, cut to the stretch that is processed, cleaned
- `route`: how a recording is read, diarized and turned into streams; there are two:
  - `mixed_recording`: everybody in one channel: diarizer, resegmentation, separator
  - `channel_per_speaker`: a microphone per person: voice activity, crosstalk cancelled
- `separation`: the streams written into tracks
- `transcription`: the clips of all tracks as words
- `transcript`: the words merged, and what made them
- `known_voices`: speech of people from elsewhere, for the separator, and voiceprints
- `backends`: the models of the stages, loaded when first needed
- `stage_events`: what a stage tells its listener
"""

from meetsplit.pipeline.cache.stage_cache import STAGES
from meetsplit.pipeline.run.channel_per_speaker import ChannelPerSpeaker
from meetsplit.pipeline.run.mixed_recording import MixedRecording
from meetsplit.pipeline.run.pipeline import Pipeline
from meetsplit.pipeline.run.recording_run import RecordingRun
from meetsplit.pipeline.run.route import RATE, Route
from meetsplit.pipeline.run.sound import check_stretch

__all__ = [
    "RATE",
    "STAGES",
    "ChannelPerSpeaker",
    "MixedRecording",
    "Pipeline",
    "RecordingRun",
    "Route",
    "check_stretch",
]
