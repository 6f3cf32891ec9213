"""Stems beside a reference and tracks beside a hypothesis, found by name and read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from meetsplit.pipeline.audio import reading
from meetsplit.pipeline.audio.media_types import LOSSLESS_SUFFIXES
from meetsplit.pipeline.data import Audio
from meetsplit.pipeline.errors import ScoreError
from meetsplit.scoring.pairing import Pair
from meetsplit.scoring.separation import SeparationScores, score_separation

MIXTURE = "mixture"


def score_stems(pairs: Iterable[Pair], stems: Path) -> tuple[dict[str, SeparationScores], tuple[str, ...]]:
    """Score every recording that has stems and tracks; notices say which have none.

    The stems are ``<stems>/<recording>/<speaker>.wav``, or ``<stems>/<speaker>.wav`` where there is one recording; a
    file ``mixture.wav`` or ``<recording>.wav`` among them is the mixture, otherwise their sum is. Speakers are called
    as in the reference's turns. The tracks lie in the folder beside the hypothesis that has its name without
    extension, as ``meetsplit run`` leaves them. Raises `ScoreError` where no recording has both, `AudioError` for
    unreadable audio.
    """
    all_pairs = tuple(pairs)
    if not stems.is_dir():
        raise ScoreError(
            f"{stems} is not a folder: "
            "--stems is a folder with one WAV file per speaker, or with one such folder per recording"
        )
    scores: dict[str, SeparationScores] = {}
    notices: list[str] = []
    for pair in all_pairs:
        own_stems = stems / pair.recording
        voices = own_stems if own_stems.is_dir() else stems
        tracks = pair.hypothesis.file.with_suffix("")
        if voices == stems and len(all_pairs) > 1:
            notices.append(f"{pair.recording}: no folder {own_stems}: its sound is not scored")
        elif not tracks.is_dir():
            notices.append(f"{pair.recording}: no folder {tracks} with one track per speaker: its sound is not scored")
        else:
            scores[pair.recording] = _score(pair, voices, tracks)
    if not scores:
        raise ScoreError("; ".join(notices) or f"{stems}: no recording to score")
    return scores, tuple(notices)


def _score(pair: Pair, stems: Path, tracks: Path) -> SeparationScores:
    files = _audio_files(stems)
    speakers = {turn.speaker for turn in pair.reference.turns}
    voices = {name: path for name, path in files.items() if name in speakers}
    missing = sorted(speakers - voices.keys())
    if missing:
        raise ScoreError(
            f"{stems} has no sound of {', '.join(missing)}, who speak in {pair.reference.source}: "
            "name the files after the speakers"
        )
    mixture = next((files[name] for name in (MIXTURE, pair.recording) if name in files and name not in voices), None)
    rate = max((reading.probe(path).rate for path in voices.values()), default=16000)
    return score_separation(
        _read(voices, rate),
        _read(_audio_files(tracks), rate),
        pair.reference.turns,
        reading.read(mixture, rate) if mixture is not None else None,
    )


def _read(paths: dict[str, Path], rate: int) -> dict[str, Audio]:
    return {name: reading.read(path, rate) for name, path in paths.items()}


def _audio_files(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in LOSSLESS_SUFFIXES}
