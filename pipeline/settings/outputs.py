"""Outputs: what is written, where and how it looks; frozen, checked once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.settings.checks import (
    as_paths,
    check_choice,
    check_types,
    listed,
    name_list,
    name_pairs,
    track_rate,
)
from meetsplit.pipeline.settings.choices import (
    DEFAULT_FORMATS,
    LEAST_TXT_WIDTH,
    LONGEST_PAUSE,
    MOST_CPS,
    HtmlAudio,
    SpeakerNames,
    TrackChannels,
    TrackSound,
)
from meetsplit.pipeline.settings.options import FILES, as_option


@dataclass(frozen=True, slots=True)
class Outputs:
    """What is written, where and how it looks. Each field's option says what it is.

    ``formats`` are names of `pipeline.formats`; ``names`` maps labels, or names that people have so far, to people;
    ``names_in_order`` names them in order of first speech and ``channel_names`` by channel; an empty text names no
    one. Where several name the same speaker, ``names`` wins, then ``names_in_order``. ``track_gate`` makes a track
    quieter ("soft") or silent ("hard") where its speaker does not speak. ``min_gap`` and ``min_duration`` are seconds,
    ``max_cps`` characters per second, ``track_rate`` Hz or "source"; a ``max_words_per_line`` of None is as many as
    fit. ``voices`` is "on", "off" or the path of enrolled voices. ``overwrite``: see `results`.
    """

    folder: Path = field(
        default=Path(),
        metadata=as_option(
            FILES,
            "Folder for the results. (default: here)",
            name="output_dir",
            flags=("--output-dir", "-o"),
            metavar="FOLDER",
        ),
    )
    formats: tuple[str, ...] = field(
        default=DEFAULT_FORMATS,
        metadata=as_option(
            FILES,
            "Formats, with commas or one per option; all (default): srt, vtt, json, txt, tsv, rttm, stm, seglst, "
            "audacity, csv, html; besides, md, docx, svg, srt-per-speaker.",
            name="output_format",
            flags=("--output-format", "-f"),
        ),
    )
    tracks: bool = field(
        default=True,
        metadata=as_option(FILES, "One sound file per person. (default: yes)", flags=("--tracks/--no-tracks",)),
    )
    track_format: str = field(default="wav", metadata=as_option(FILES, "wav (default), flac, mp3 or m4a."))
    track_rate: str | int = field(
        default="source",
        metadata=as_option(FILES, "Sample rate of tracks in Hz, such as 16000; source (default): the recording's own."),
    )
    track_channels: TrackChannels = field(
        default="source",
        metadata=as_option(FILES, "Channels of tracks: source (default), as many as the recording has, or mono."),
    )
    track_sound: TrackSound = field(
        default="original",
        metadata=as_option(
            FILES,
            "With --clean, the sound of tracks: original (default), the recording where one person speaks alone; or "
            "cleaned, 16 kHz and mono, as it was transcribed.",
        ),
    )
    keep_background: bool = field(
        default=False,
        metadata=as_option(
            FILES,
            "With --clean, what was taken out as background.wav beside the tracks. (default: no)",
            flags=("--keep-background/--no-keep-background",),
        ),
    )
    track_gate: str = field(
        default="off",
        metadata=as_option(
            FILES,
            "What is left in a person's track while that person does not speak: everything (off, default), "
            "everything 20 dB quieter (soft) or silence (hard).",
        ),
    )
    track_quality: bool = field(
        default=False,
        metadata=as_option(
            FILES,
            "Judge how well voices were taken apart, by the sound of the tracks. (default: no)",
            flags=("--track-quality/--no-track-quality",),
        ),
    )
    max_line_width: int = field(default=42, metadata=as_option(FILES, "Characters per subtitle line."))
    max_line_count: int = field(default=2, metadata=as_option(FILES, "Lines per subtitle."))
    max_words_per_line: int | None = field(
        default=None, metadata=as_option(FILES, "Words per subtitle line. (default: as many as fit)")
    )
    min_gap: float = field(
        default=0.083, metadata=as_option(FILES, "Seconds between two subtitles. Two frames of film are 0.083.")
    )
    min_duration: float = field(default=1.0, metadata=as_option(FILES, "Seconds that a subtitle stays, if it can."))
    max_cps: float = field(
        default=20.0,
        metadata=as_option(FILES, "Characters per second at which a subtitle can be read."),
    )
    speaker_names: SpeakerNames = field(
        default="change",
        metadata=as_option(FILES, "Names in subtitles: at every change of speaker (change, default), every or never."),
    )
    vtt_names: bool = field(
        default=False,
        metadata=as_option(
            FILES, "Names shown in WebVTT, too. (default: no, colours tell)", flags=("--vtt-names/--no-vtt-names",)
        ),
    )
    vtt_colors: bool = field(
        default=True,
        metadata=as_option(
            FILES, "A colour per person in WebVTT. (default: yes)", flags=("--vtt-colors/--no-vtt-colors",)
        ),
    )
    highlight_words: bool = field(
        default=False,
        metadata=as_option(
            FILES,
            "Underline each word in subtitles as it is spoken. (default: no)",
            flags=("--highlight-words/--no-highlight-words",),
        ),
    )
    txt_width: int = field(
        default=80, metadata=as_option(FILES, "Characters per line of plain text; 0: a line per paragraph.")
    )
    txt_end_times: bool = field(
        default=False,
        metadata=as_option(
            FILES,
            "When each paragraph of plain text ends, too. (default: no)",
            flags=("--txt-end-times/--no-txt-end-times",),
        ),
    )
    html_audio: HtmlAudio = field(
        default="embed",
        metadata=as_option(
            FILES,
            "Sound of the page (html): in the page itself (embed, default), which links to files beside it where that "
            "would be more than 24 MB; always such files (link); or none.",
        ),
    )
    names: tuple[tuple[str, str], ...] = field(
        default=(),
        metadata=as_option(
            FILES,
            "A person's name: SPEAKER_00=Alice, or instead of the label the name so far; may be repeated.",
            name="name",
            metavar="LABEL=NAME",
        ),
    )
    names_in_order: tuple[str, ...] = field(
        default=(),
        metadata=as_option(
            FILES, "Names in order of first speech: Alice,Ben,Chris.", name="names", metavar="NAME,NAME…"
        ),
    )
    channel_names: tuple[str, ...] = field(
        default=(),
        metadata=as_option(
            FILES,
            "Names of the people on the channels, or of the files of --together, in order: Agent,Customer.",
            metavar="NAME,NAME…",
        ),
    )
    voices: str = field(
        default="on",
        metadata=as_option(
            FILES,
            "Recognise people by enrolled voices (`meetsplit voices`): on (default, where any are enrolled), off, or "
            "the path of a file of voices.",
            metavar="on|off|FILE",
        ),
    )
    overwrite: bool = field(
        default=False,
        metadata=as_option(
            FILES,
            "Replace files that are no results of meetsplit. (default: no)",
            flags=("--overwrite/--no-overwrite",),
        ),
    )

    def __post_init__(self) -> None:
        as_paths(self, "folder")
        object.__setattr__(self, "formats", listed(self.formats, "--output-format"))
        object.__setattr__(self, "names", name_pairs(self.names))
        object.__setattr__(self, "names_in_order", name_list(self.names_in_order, "--names"))
        object.__setattr__(self, "channel_names", name_list(self.channel_names, "--channel-names"))
        check_types(self)
        if self.voices not in ("on", "off"):  # absolute, because a worker of the queue runs in another folder
            object.__setattr__(self, "voices", str(Path(self.voices).expanduser().absolute()))
        if self.max_line_width < 10:
            raise SettingsError(f"--max-line-width {self.max_line_width}: subtitles need at least 10 characters a line")
        if self.max_line_count < 1:
            raise SettingsError(f"--max-line-count {self.max_line_count}: subtitles need at least 1 line")
        self._check_subtitles()
        check_choice("--track-format", self.track_format, ("wav", "flac", "mp3", "m4a"))
        check_choice("--track-gate", self.track_gate, ("soft", "hard", "off"))
        check_choice("--track-channels", self.track_channels, get_args(TrackChannels))
        check_choice("--track-sound", self.track_sound, get_args(TrackSound))
        check_choice("--html-audio", self.html_audio, get_args(HtmlAudio))
        object.__setattr__(self, "track_rate", track_rate(self.track_rate))

    def _check_subtitles(self) -> None:
        check_choice("--speaker-names", self.speaker_names, get_args(SpeakerNames))
        if self.max_words_per_line is not None and self.max_words_per_line < 1:
            raise SettingsError(f"--max-words-per-line {self.max_words_per_line}: a line holds at least 1 word")
        for option, seconds in (("--min-gap", self.min_gap), ("--min-duration", self.min_duration)):
            if not 0.0 <= seconds <= LONGEST_PAUSE:
                raise SettingsError(f"{option} {seconds:g}: 0 to {LONGEST_PAUSE:g} seconds")
        if not 1.0 <= self.max_cps <= MOST_CPS:
            raise SettingsError(f"--max-cps {self.max_cps:g}: 1 to {MOST_CPS:g} characters per second")
        if self.txt_width < 0 or 0 < self.txt_width < LEAST_TXT_WIDTH:
            raise SettingsError(
                f"--txt-width {self.txt_width}: at least {LEAST_TXT_WIDTH} characters, or 0 for no limit"
            )
