"""RunResult: a transcript with the files and the tracks that its run has written."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from os import PathLike
from pathlib import Path

from meetsplit.pipeline.audio.reading import probe, read
from meetsplit.pipeline.data import Audio, Samples, Span, Speaker, Transcript
from meetsplit.pipeline.data.notebook import audio_html, transcript_html
from meetsplit.pipeline.errors import nearest
from meetsplit.pipeline.results import saving
from meetsplit.pipeline.results.ownership import Owner
from meetsplit.pipeline.settings import Outputs


@dataclass(frozen=True)
class Track:
    """One person's track, a sound file exactly as long as the recording; in a notebook, a player of it.

    ``speaker`` is the label, ``name`` the person's name or the label. The sound is read when it is first asked for.
    Raises `AudioError` where the file cannot be read.
    """

    speaker: Speaker
    name: str
    path: Path

    @functools.cached_property
    def audio(self) -> Audio:
        """The sound at the file's own rate; several channels are averaged."""
        return read(self.path, self.rate)

    @functools.cached_property
    def rate(self) -> int:
        """Samples per second."""
        return probe(self.path).rate

    @property
    def samples(self) -> Samples:
        """Float32 of shape ``(n,)``, read-only, between -1 and 1."""
        return self.audio.samples

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.audio.duration

    def crop(self, start: float, end: float) -> Audio:
        """The part from ``start`` to ``end`` in seconds, such as a segment's."""
        return self.audio.crop(Span(start, end))

    def _repr_html_(self) -> str:
        return audio_html(self.audio, self.name, str(self.path))


class Tracks(Mapping[Speaker, Track]):
    """The tracks of a run by speaker label; a person's name finds the track, too."""

    def __init__(self, tracks: Sequence[Track] = ()) -> None:
        self._by_speaker = {track.speaker: track for track in tracks}
        self._by_name = {track.name: track for track in reversed(tracks)}

    def __getitem__(self, who: Speaker) -> Track:
        track = self._by_speaker.get(who) or self._by_name.get(who)
        if track is None:
            if not self._by_speaker:
                raise KeyError(f"{who}: no tracks were written: Pipeline.run(recording, folder=…) writes them")
            raise KeyError(f"{who}: {nearest(str(who), [*self._by_speaker, *self._by_name])}")
        return track

    def __iter__(self) -> Iterator[Speaker]:
        return iter(self._by_speaker)

    def __len__(self) -> int:
        return len(self._by_speaker)

    def __repr__(self) -> str:
        return f"<Tracks: {', '.join(f'{track.speaker} {track.path}' for track in self.values()) or 'none'}>"

    def _repr_html_(self) -> str:
        return "".join(track._repr_html_() for track in self.values()) or "<p>no tracks were written</p>"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RunResult(Transcript):
    """What `Pipeline.run` returns: the transcript, with the ``files`` that were written and the ``tracks``.

    It is a `Transcript`, and equal to the same one without files. ``files`` and ``tracks`` are empty where nothing was
    written. ``owner`` is the recording by path and content, to whose result set `save` adds.
    """

    files: tuple[Path, ...] = ()
    tracks: Tracks = field(default_factory=Tracks)
    owner: Owner | None = None

    @classmethod
    def of(
        cls, transcript: Transcript, *, files: Sequence[Path] = (), tracks: Mapping[Speaker, Path] | None = None,
        owner: Owner | None = None,
    ) -> RunResult:  # fmt: skip
        """The result of a run that made ``transcript`` and wrote ``files``, among them ``tracks``."""
        values = {item.name: getattr(transcript, item.name) for item in fields(Transcript)}
        listed = [Track(who, transcript.name_of(who), path) for who, path in (tracks or {}).items()]
        return cls(**values, files=tuple(files), tracks=Tracks(listed), owner=owner)

    @property
    def transcript(self) -> Transcript:
        """The transcript alone."""
        return Transcript(**{item.name: getattr(self, item.name) for item in fields(Transcript)})

    def save(
        self,
        folder: str | PathLike[str],
        formats: str | Sequence[str] | None = None,
        *,
        outputs: Outputs | None = None,
    ) -> tuple[Path, ...]:
        """As `Transcript.save`; a later run of the same recording may replace the files."""
        return saving.save(self.transcript, folder, formats, outputs, self.owner)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Transcript):
            return NotImplemented
        return self.transcript == (other.transcript if isinstance(other, RunResult) else other)

    def __hash__(self) -> int:
        return hash(self.transcript)

    def _repr_html_(self) -> str:
        return transcript_html(self)
