"""Transcription of the speakers' tracks: the words of every clip, read from its track, aligned where that is chosen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from meetsplit.pipeline.audio.reading import resample
from meetsplit.pipeline.audio.wav import read_span
from meetsplit.pipeline.data import Audio, ClipTranscript, Span, Speaker, StreamInfo
from meetsplit.pipeline.events import Progressed
from meetsplit.pipeline.protocols import Aligner, Transcriber, transcribe_all, validate_words
from meetsplit.pipeline.run.backends import Backends, check_unchanged


def transcribe_clips(
    backends: Backends, clips: Sequence[StreamInfo], tracks: Mapping[Speaker, Path], script_sha256: str | None
) -> tuple[ClipTranscript, ...]:
    """One answer per clip; each speaker's clips go to the transcriber as one stream, muted clips are left out.

    ``script_sha256`` is the checksum that a file of given words must have.
    """
    answers = {number: ClipTranscript(()) for number, clip in enumerate(clips) if clip.silent}
    total, done = sum(clip.span.duration for clip in clips), 0.0
    transcriber: Transcriber = backends.load("transcriber", script_sha256)
    check_unchanged(transcriber, backends.settings.script, script_sha256)
    aligner: Aligner | None = backends.load("aligner") if backends.preflight().of("aligner") else None
    by_speaker: dict[Speaker, list[int]] = {}
    for number, clip in enumerate(clips):
        if number not in answers:
            by_speaker.setdefault(clip.speaker, []).append(number)
    numbers = [number for _, own in sorted(by_speaker.items()) for number in own]
    streams = [
        _clips_of_track(tracks[speaker], [clips[number].span for number in own], transcriber.rate)
        for speaker, own in sorted(by_speaker.items())
    ]
    for number, answer in zip(numbers, transcribe_all(transcriber, streams, backends.on_event), strict=True):
        clip = clips[number]
        answers[number] = validate_words(answer, clip.span)
        if aligner is not None:
            (sound,) = _clips_of_track(tracks[clip.speaker], [clip.span], aligner.rate)
            answers[number] = validate_words(aligner.align(sound, answer), clip.span)
        done += clip.span.duration
        backends.on_event(Progressed("transcribe", done, total))
    return tuple(answers[number] for number in range(len(clips)))


def _clips_of_track(track: Path, spans: Iterable[Span], rate: int) -> Iterator[Audio]:
    """The stretches of a track, each read and resampled when it is asked for."""
    for span in spans:
        yield resample(read_span(track, span), rate)
