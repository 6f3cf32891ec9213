"""Enrolled voices: one file with people's names and the embeddings of their clean speech; this user's alone.

    {"schema": "meetsplit-voices/1", "people": [{"name": "Alice", "samples": [
        {"source": "alice1.wav", "added": "2026-11-28T09:00:00+00:00", "encoder": "ge2e-8100feb7803f",
         "seconds": [3.2, …], "embeddings": "<float32, little-endian, base64>"}]}]}

Where that was asked for, a sample has a ``"sound"`` besides: the name of a WAV file in the folder of kept speech beside
the file, up to `MAX_KEPT` seconds of the person's clean speech, by which overlaps are taken apart better.

A voiceprint is biometric data: file and folders are readable by their owner only, nothing of it is in any output, and
who is removed is no longer in the file, and their kept speech is deleted.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import os
import re
import secrets
import unicodedata
import wave
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from meetsplit.pipeline import files
from meetsplit.pipeline.data import Audio
from meetsplit.pipeline.errors import OutputError, SettingsError, VoicesError, nearest
from meetsplit.pipeline.files import locks
from meetsplit.pipeline.files.user_folders import user_folder
from meetsplit.speakers.voiceprints import VoiceEmbeddings

SCHEMA = "meetsplit-voices/1"

VARIABLE = "MEETSPLIT_VOICES"
"""The environment variable with the path of the file."""

LONGEST_NAME = 100
"""Letters in a name, at most: it is shown in tables and is what files are called."""

MAX_KEPT = 60.0
"""Seconds of a recording's clean speech that are kept, where that was asked for."""

CONSENT = (
    "Voiceprints are biometric data: ask each person before you add their voice, and tell them what it is for. "
    "They stay in {path}, which only you can read; nothing of it leaves this machine or is in any result. "
    "`meetsplit voices remove NAME` removes a person for good."
)
"""What is said before the first voice is added; ``path`` is the store's file."""

CONSENT_TO_SOUND = (
    "--keep-audio: up to a minute of this person's speech itself is kept in {folder}, which only you can read, until "
    "`meetsplit voices remove`; tell them that, too."
)
"""What is said whenever speech is kept; ``folder`` is the store's `VoiceStore.sounds`."""

_SOUND_NAME = re.compile(r"[0-9a-f]{16}\.wav")


@dataclass(frozen=True, slots=True, eq=False)
class VoiceSample:
    """One recording's share of a voice.

    ``source`` is the recording's file name without its folder, ``added`` when (ISO 8601, UTC), ``sound`` the file name
    of its kept speech in `VoiceStore.sounds`, None where none is kept.
    """

    source: str
    added: str
    embeddings: VoiceEmbeddings
    sound: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class EnrolledVoice:
    """A person and the samples of their voice, oldest first; they may be of several encoders."""

    name: str
    samples: tuple[VoiceSample, ...]

    @property
    def encoders(self) -> tuple[str, ...]:
        """The encoders of the samples, sorted."""
        return tuple(sorted({sample.embeddings.encoder for sample in self.samples}))

    def of_encoder(self, encoder: str) -> VoiceEmbeddings | None:
        """All embeddings of that encoder; None where there are none."""
        own = [sample.embeddings for sample in self.samples if sample.embeddings.encoder == encoder]
        return VoiceEmbeddings.joined(own) if own else None

    def seconds(self) -> float:
        """Seconds of speech in all samples; those of several encoders of one recording count once each."""
        return sum(sample.embeddings.total for sample in self.samples)


def default_store() -> Path:
    """``$MEETSPLIT_VOICES``, else ``$XDG_DATA_HOME/meetsplit/voices.json``, else below ``~/.local/share``."""
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given).expanduser()
    return user_folder("data") / "meetsplit" / "voices.json"


def check_name(name: str) -> str:
    """The name with single blanks. Raises `SettingsError` for what can be no person's name here."""
    shown = name if len(name) <= 40 else f"{name[:40]}…"
    if any(unicodedata.category(letter) == "Cc" for letter in name):
        raise SettingsError(f"the name {shown!r} has a line break or another control character: write it in one line")
    plain = " ".join(unicodedata.normalize("NFC", name).split())
    if not plain:
        raise SettingsError("a name is needed: meetsplit voices add NAME RECORDING")
    if len(plain) > LONGEST_NAME:
        raise SettingsError(f"the name {shown!r} has {len(plain)} letters: choose one of at most {LONGEST_NAME}")
    if set("/\\") & set(plain) or plain in (".", ".."):
        raise SettingsError(f"the name {shown!r} has a slash, which names of files cannot have: leave it out")
    if plain.startswith("SPEAKER_") or plain == "UNKNOWN":
        raise SettingsError(f"the name {shown!r} is a label of people without a name: choose another one")
    return plain


class VoiceStore:
    """The voices in one file, read and changed as a whole, one process at a time."""

    def __init__(self, path: Path | None = None) -> None:
        """``path`` is the file, `default_store` where left out; nothing is read or made yet."""
        self.path = path if path is not None else default_store()

    @classmethod
    def named(cls, voices: str) -> VoiceStore:
        """The store of `Outputs.voices`: "on" is the user's own, anything else a file."""
        return cls() if voices == "on" else cls(Path(voices))

    @property
    def sounds(self) -> Path:
        """The folder of kept speech, beside the file."""
        return self.path.with_name(f"{self.path.stem}-speech")

    def read(self) -> tuple[EnrolledVoice, ...]:
        """Everybody, sorted by name; nobody where there is no file.

        Raises `VoicesError` for a file that cannot be read, is cut short, or was written by a later version.
        """
        try:
            text = self.path.read_text("utf-8")
        except FileNotFoundError:
            return ()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise VoicesError(f"{self.path}: the enrolled voices cannot be read: {reason}; {_ADVICE}") from error
        return _parsed(text, self.path)

    def add(self, name: str, samples: Sequence[VoiceSample], speech: Sequence[Sequence[Audio]] = ()) -> EnrolledVoice:
        """Add a person, or samples to one of that name; ``speech`` are the clips to keep of each sample (none: none).

        A sample of the same source and encoder replaces the earlier one. Returns the person. Raises `SettingsError` for
        a name, `VoicesError`, and `OutputError`; the file is then as it was.
        """
        plain = check_name(name)
        with self._changing() as people:
            before = _person(people, plain)
            if speech:
                samples = [self._with_speech(one, clips) for one, clips in zip(samples, speech, strict=True)]
            replaced = {(sample.source, sample.embeddings.encoder) for sample in samples}
            earlier = before.samples if before is not None else ()
            old = [one for one in earlier if (one.source, one.embeddings.encoder) not in replaced]
            person = EnrolledVoice(before.name if before is not None else plain, (*old, *samples))
            self._write([*(other for other in people if other is not before), person])
        return person

    def remove(self, name: str) -> EnrolledVoice:
        """Remove a person and their kept speech. Raises `SettingsError` for an unknown name."""
        with self._changing() as people:
            person = self.find(name, people)
            self._write([other for other in people if other is not person])
        return person

    def find(self, name: str, people: Sequence[EnrolledVoice] | None = None) -> EnrolledVoice:
        """The person of that name, in any case of letters. Raises `SettingsError` where there is none."""
        everybody = self.read() if people is None else people
        person = _person(everybody, name)
        if person is not None:
            return person
        if not everybody:
            raise SettingsError(f"no voice is enrolled in {self.path}: meetsplit voices add NAME RECORDING adds one")
        raise SettingsError(f"no voice of {name!r} is enrolled: {nearest(name, [one.name for one in everybody])}")

    def speech_files(self, person: EnrolledVoice) -> tuple[Path, ...]:
        """The files of a person's kept speech, newest first: WAV, mono, whole clips one after the other."""
        names = [sample.sound for sample in person.samples if sample.sound is not None]
        return tuple(self.sounds / name for name in reversed(names))

    def seconds_kept(self, sample: VoiceSample) -> float:
        """Seconds of a sample's kept speech; 0 where none is kept, or the file is gone."""
        if sample.sound is None:
            return 0.0
        try:
            with wave.open(str(self.sounds / sample.sound), "rb") as sound:
                return sound.getnframes() / sound.getframerate()
        except (OSError, EOFError, wave.Error):
            return 0.0

    @contextmanager
    def _changing(self) -> Iterator[tuple[EnrolledVoice, ...]]:
        try:
            files.make_folder(self.path.parent, private=True)
        except OSError as error:
            raise OutputError(f"{self.path.parent}: cannot be made: {files.advice(error)}") from error
        with locks.hold_lock(self.path.with_name(f".{self.path.name}.lock")):
            yield self.read()

    def _write(self, people: Sequence[EnrolledVoice]) -> None:
        ordered = sorted(people, key=lambda person: (person.name.casefold(), person.name))
        rows = ",\n".join(json.dumps(_person_json(person), ensure_ascii=False) for person in ordered)
        files.write(self.path, f'{{"schema": "{SCHEMA}", "people": [\n{rows}\n]}}\n', private=True)
        try:
            files.make_private(self.path)
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be made private: {files.advice(error)}") from error
        self._remove_unused_speech(people)

    def _with_speech(self, sample: VoiceSample, clips: Sequence[Audio]) -> VoiceSample:
        """The sample with its clips kept in a 16-bit WAV file of at most `MAX_KEPT` seconds."""
        from meetsplit.pipeline.audio.reading import write_wav  # it loads decoders, which no other command here needs

        if not clips:
            return sample
        rate = clips[0].rate
        samples = np.concatenate([clip.samples for clip in clips])[: round(MAX_KEPT * rate)]
        path = self.sounds / f"{secrets.token_hex(8)}.wav"
        try:
            files.make_folder(self.sounds, private=True)
            files.make_private(self.sounds)
        except OSError as error:
            raise OutputError(f"{self.sounds}: cannot be made: {files.advice(error)}") from error
        write_wav(path, Audio(samples, rate), private=True)
        return replace(sample, sound=path.name)

    def _remove_unused_speech(self, people: Sequence[EnrolledVoice]) -> None:
        """Delete what is no one's: of removed people, and of commands that ended before they were done."""
        used = {path.name for person in people for path in self.speech_files(person)}
        for path in sorted(self.sounds.glob("*")) if self.sounds.is_dir() else ():
            if path.name not in used and (_SOUND_NAME.fullmatch(path.name) or path.suffix == ".part"):
                try:
                    files.remove(path)
                except OSError as error:
                    raise OutputError(f"{path}: the kept speech cannot be removed: {files.advice(error)}") from error


_ADVICE = f"it was left as it is: put a copy of it back, or name another file with {VARIABLE}"


def _person(people: Sequence[EnrolledVoice], name: str) -> EnrolledVoice | None:
    folded = " ".join(unicodedata.normalize("NFC", name).split()).casefold()
    return next((person for person in people if person.name.casefold() == folded), None)


def _person_json(person: EnrolledVoice) -> dict[str, Any]:
    return {"name": person.name, "samples": [_sample_json(sample) for sample in person.samples]}


def _sample_json(sample: VoiceSample) -> dict[str, Any]:
    rows = np.ascontiguousarray(sample.embeddings.rows, "<f4")
    row = {
        "source": sample.source,
        "added": sample.added,
        "encoder": sample.embeddings.encoder,
        "seconds": [round(float(seconds), 3) for seconds in sample.embeddings.seconds],
        "embeddings": base64.b64encode(rows.tobytes()).decode("ascii"),
    }
    return row if sample.sound is None else {**row, "sound": sample.sound}


def _parsed(text: str, path: Path) -> tuple[EnrolledVoice, ...]:
    """The people in the text of a file. Raises `VoicesError`."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise VoicesError(
            f"{path}: line {error.lineno}: the file of enrolled voices is cut short or damaged; {_ADVICE}"
        ) from error
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != SCHEMA:
        raise VoicesError(
            f"{path}: schema {schema!r}: this meetsplit reads enrolled voices of {SCHEMA!r}; install the version that "
            f"wrote it, or name another file with {VARIABLE}"
        )
    try:
        people = tuple(
            EnrolledVoice(_text(person["name"]), tuple(_sample(sample) for sample in person["samples"]))
            for person in document["people"]
        )
        shapes = {(one.embeddings.encoder, one.embeddings.rows.shape[1]) for person in people for one in person.samples}
        if len(shapes) > len({encoder for encoder, _ in shapes}):
            raise ValueError("voiceprints of one encoder have different lengths")
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise VoicesError(f"{path}: an entry of the enrolled voices is damaged ({error}); {_ADVICE}") from error
    return people


def _sample(entry: Any) -> VoiceSample:
    seconds = np.array([float(value) for value in entry["seconds"]], np.float32)
    numbers = np.frombuffer(base64.b64decode(_text(entry["embeddings"]), validate=True), "<f4")
    if not len(seconds) or len(numbers) % len(seconds) or not np.isfinite(numbers).all():
        raise ValueError("the numbers of a voiceprint do not add up")
    if not all(math.isfinite(value) and value > 0.0 for value in seconds):
        raise ValueError("a piece of speech lasts no time")
    rows = numbers.reshape(len(seconds), -1).astype(np.float32)
    sound = entry.get("sound")
    if sound is not None and not _SOUND_NAME.fullmatch(_text(sound)):
        raise ValueError("its kept speech has another name than meetsplit gives")
    embeddings = VoiceEmbeddings(_text(entry["encoder"]), rows, seconds)
    return VoiceSample(_text(entry["source"]), _text(entry["added"]), embeddings, sound)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"a text is needed, not {type(value).__name__}")
    return value
