"""What is known before the work: recordings that cannot be read, and names for people who cannot be there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from meetsplit.pipeline.audio.reading import probe
from meetsplit.pipeline.channels.reading import require_channels
from meetsplit.pipeline.channels.recording import MultiFileRecording
from meetsplit.pipeline.data.labels import assign_labels, label
from meetsplit.pipeline.diarizers.rttm import read_rttm
from meetsplit.pipeline.run import check_stretch
from meetsplit.pipeline.settings import Outputs, Settings
from meetsplit.pipeline.transcribers.given_words import read_entries


@dataclass(frozen=True, slots=True)
class ExpectedSpeakers:
    """The speakers that a recording can have: their ``labels``, their ``names`` so far, and how that is known."""

    labels: tuple[str, ...]
    names: tuple[str, ...]
    reason: str

    def has(self, who: str) -> bool:
        """Whether a label, or a name so far, can be one of them."""
        return who in self.labels or who in self.names


def check_recording(
    recording: Path | MultiFileRecording, settings: Settings, outputs: Outputs, say: Callable[[str], None]
) -> None:
    """Raise `AudioError` or `SettingsError` where a recording cannot be processed with these settings.

    ``say`` is called with a sentence for every name without a person in it.
    """
    if isinstance(recording, MultiFileRecording):
        lengths = [(file.offset, probe(file.path).duration) for file in recording.microphones]
        ends = [offset + length for offset, length in lengths if length is not None]
        check_stretch(settings, max(ends) if len(ends) == len(lengths) else None, recording)
        channels = len(recording.microphones)
    else:
        info = probe(recording)
        check_stretch(settings, info.duration, recording)
        channels = info.channels
        if settings.channels == "split":
            require_channels(recording, channels)
    expected = _expected_speakers(recording, settings, channels)
    if expected is not None:
        for who, person in outputs.names:
            if not expected.has(who):
                say(f"--name {who}={person} will name nobody in {recording}: {expected.reason}")
        _say_surplus(outputs.names_in_order, "--names", len(expected.labels), f"{recording}: {expected.reason}", say)
    if settings.channels == "split":
        _say_surplus(outputs.channel_names, "--channel-names", channels, f"{recording} has {channels} channels", say)


def check_words(settings: Settings) -> None:
    """Raise `SettingsError` where the file of given words makes no sense."""
    if settings.script is not None:
        read_entries(settings.script)


def _say_surplus(names: tuple[str, ...], option: str, count: int, reason: str, say: Callable[[str], None]) -> None:
    surplus = [name for name in names[count:] if name]
    if surplus:
        say(f"{option}: {', '.join(surplus)} will be nobody's name in {reason}")


def _expected_speakers(
    recording: Path | MultiFileRecording, settings: Settings, channels: int
) -> ExpectedSpeakers | None:
    """The speakers that a recording can have; None where only the diarizer can tell."""
    names: tuple[str, ...] = ()
    if settings.channels == "split":
        names = recording.speaker_names if isinstance(recording, MultiFileRecording) else ("",) * channels
        reason = f"it has {channels} channels"
    elif settings.rttm is not None:
        names = tuple(dict.fromkeys(turn.speaker for turn in read_rttm(settings.rttm, recording.stem)))
        reason = f"{settings.rttm} has {', '.join(names) or 'nobody'}"
    elif (most := settings.num_speakers or settings.max_speakers) is not None:
        names = ("",) * most
        reason = f"with {most} people at most, the last is {label(most - 1)}"
    else:
        return None
    return ExpectedSpeakers(assign_labels(names), names, reason)
