"""Settings and Outputs: the options of a run, frozen, complete, checked once. TOML and command line end here.

- `run_settings`: Settings, how a recording becomes a transcript
- `outputs`: Outputs, what is written, where and how it looks
- `choices`: what they choose among
- `options`: the option of a field on the command line, its help text included; `option_fields`: those of all fields
- `checks`: checks of values
- `toml_file`: the settings of a file
- `stored`: what transcripts, kept stages and jobs record of them, across versions
"""

from meetsplit.pipeline.settings.checks import listed, name_list
from meetsplit.pipeline.settings.choices import (
    BACKEND_NAMES,
    COMPUTE_TYPES,
    DEFAULT_FORMATS,
    DEVICES,
    FIRST_FORMATS,
    LEAST_TRACK_RATE,
    LEAST_TXT_WIDTH,
    LONGEST_PAUSE,
    MOST_CPS,
    MOST_TRACK_RATE,
    OVERLAP_CHECKS,
    PAPER_FORMATS,
    PER_SPEAKER_FORMATS,
    SOUND_FORMATS,
    WITHOUT_EFFECT,
    ChannelMode,
    Clean,
    HtmlAudio,
    Scalar,
    Separate,
    SpeakerNames,
    Task,
    TrackChannels,
    TrackSound,
)
from meetsplit.pipeline.settings.option_fields import WHISPER_OPTIONS, fields_with_options
from meetsplit.pipeline.settings.options import FILES, MACHINE, PANELS, WHISPER, Option
from meetsplit.pipeline.settings.outputs import Outputs
from meetsplit.pipeline.settings.run_settings import Settings
from meetsplit.pipeline.settings.stored import current_options, stored_fields, stored_options
from meetsplit.pipeline.settings.toml_file import from_toml

__all__ = [
    "BACKEND_NAMES",
    "COMPUTE_TYPES",
    "DEFAULT_FORMATS",
    "DEVICES",
    "FILES",
    "FIRST_FORMATS",
    "LEAST_TRACK_RATE",
    "LEAST_TXT_WIDTH",
    "LONGEST_PAUSE",
    "MACHINE",
    "MOST_CPS",
    "MOST_TRACK_RATE",
    "OVERLAP_CHECKS",
    "PANELS",
    "PAPER_FORMATS",
    "PER_SPEAKER_FORMATS",
    "SOUND_FORMATS",
    "WHISPER",
    "WHISPER_OPTIONS",
    "WITHOUT_EFFECT",
    "ChannelMode",
    "Clean",
    "HtmlAudio",
    "Option",
    "Outputs",
    "Scalar",
    "Separate",
    "Settings",
    "SpeakerNames",
    "Task",
    "TrackChannels",
    "TrackSound",
    "current_options",
    "fields_with_options",
    "from_toml",
    "listed",
    "name_list",
    "stored_fields",
    "stored_options",
]
