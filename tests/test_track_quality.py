"""Quality of tracks without the truth: what is measured, where it is kept, and what a person is told."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from test_formats_golden import rich
from voices import babble

from meetsplit.console.summary import summary
from meetsplit.pipeline.audio.reading import write_wav
from meetsplit.pipeline.data import (
    Audio,
    OverlapResult,
    Samples,
    Span,
    StreamInfo,
    TrackQuality,
    Transcript,
)
from meetsplit.pipeline.formats import export, read_transcript
from meetsplit.pipeline.results.folder import Placement
from meetsplit.pipeline.results.writing import WrittenResults
from meetsplit.pipeline.settings import Outputs
from meetsplit.speakers.track_quality import shared_energy, track_quality

RATE = 16000


def band(low: float, high: float, seconds: float = 2.0, seed: int = 0) -> Samples:
    """Noise between two frequencies in Hz."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(round(seconds * RATE)))
    at = np.fft.rfftfreq(round(seconds * RATE), 1 / RATE)
    return np.asarray(0.1 * np.fft.irfft(spectrum * ((at >= low) & (at < high))), np.float32)


def test_what_is_heard_in_both_tracks_is_bleed() -> None:
    low, high = band(300, 1500), band(2500, 4000, seed=1)
    apart = shared_energy(low, high).bleed
    leaking = shared_energy(low + 0.5 * high, high + 0.5 * low).bleed
    the_same = shared_energy(low + high, low + high).bleed
    assert apart is not None
    assert leaking is not None
    assert apart < -30 < leaking < -2
    assert the_same == pytest.approx(0.0, abs=0.01)
    assert shared_energy(np.zeros(RATE, np.float32), low[:RATE]).bleed is None


@pytest.fixture
def separated(tmp_path: Path) -> Any:
    """Clips and cached tracks of two people who speak at once for two seconds, and of one who never does."""
    paths = {}
    voices = {"SPEAKER_00": band(300, 1500), "SPEAKER_01": band(2500, 4000, seed=1), "SPEAKER_02": babble(2.0)}
    for speaker, samples in voices.items():
        paths[speaker] = tmp_path / f"{speaker}.wav"
        write_wav(paths[speaker], Audio(np.concatenate([np.zeros(RATE, np.float32), samples]), RATE))
    both = ("SPEAKER_00", "SPEAKER_01")
    long, short = Span(1.0, 3.0), Span(0.2, 0.5)
    clips = [
        StreamInfo("SPEAKER_00", Span(0.0, 3.0), (long,), (
            OverlapResult(short, both, "separated", 0.9, ()),
            OverlapResult(long, both, "separated", 0.25, ()),
        )),
        StreamInfo("SPEAKER_01", Span(0.0, 3.0), (long,), (OverlapResult(long, both, "mixture", 0.1, ()),)),
        StreamInfo("SPEAKER_02", Span(0.0, 3.0), (long,), ()),
    ]  # fmt: skip
    return clips, paths


def test_only_separated_voices_that_are_long_enough_are_judged(separated: Any) -> None:
    clips, paths = separated
    quality = track_quality(clips, paths)
    assert list(quality) == ["SPEAKER_00"]
    assert quality["SPEAKER_00"].seconds == pytest.approx(2.0)
    assert quality["SPEAKER_00"].margin == 0.25
    assert quality["SPEAKER_00"].bleed is not None
    assert quality["SPEAKER_00"].bleed < -30


def transcript() -> Transcript:
    quality = (("SPEAKER_00", TrackQuality(12.0, -3.1, 0.1)), ("SPEAKER_01", TrackQuality(9.0, -11.0)))
    return dataclasses.replace(rich(), quality=quality)


def test_quality_is_in_the_json_only_where_it_was_asked_for() -> None:
    with_quality = transcript()
    text = export(with_quality, "json", Outputs())
    assert json.loads(text)["tracks"]["SPEAKER_00"] == {"seconds": 12.0, "bleed": -3.1, "margin": 0.1}
    assert json.loads(text)["tracks"]["SPEAKER_01"]["margin"] is None
    assert read_transcript(text) == with_quality
    assert "tracks" not in json.loads(export(dataclasses.replace(with_quality, quality=()), "json", Outputs()))


def test_edited_people_lose_what_was_measured_of_their_tracks() -> None:
    with_quality = transcript()
    assert with_quality.merge("SPEAKER_00", "SPEAKER_01").quality == ()
    assert dict(with_quality.rename({"SPEAKER_00": "Zoe"}).quality) == dict(with_quality.quality)


def test_the_summary_names_poor_tracks() -> None:
    shown = io.StringIO()
    written = WrittenResults(transcript(), (), Placement("meeting", "meeting"), {})
    summary(Console(file=shown, width=200), Path("meeting.wav"), written)
    (line,) = [line for line in shown.getvalue().splitlines() if "heard" in line]
    name = transcript().name_of("SPEAKER_00")
    assert line.strip() == f"tracks in which others are heard: {name} (bleed -3 dB in 12 s of overlaps)"


def test_a_run_judges_tracks_where_it_is_asked_to(call: Any) -> None:
    from meetsplit.pipeline.run import Pipeline

    call.rttm.write_text("SPEAKER x 1 0.1 3.7 <NA> <NA> A <NA> <NA>\nSPEAKER x 1 2.8 3.1 <NA> <NA> B <NA> <NA>\n")
    settings = dataclasses.replace(call.settings, separator="dictionary", overlap_checks="none")
    outputs = Outputs(call.out, formats=("json",), track_quality=True, tracks=False)
    result = Pipeline(settings).run(call.path, outputs=outputs)
    assert {who for who, _ in result.quality} <= {"SPEAKER_00", "SPEAKER_01"}
    assert all(one.seconds >= 0.5 for _, one in result.quality)
    assert json.loads((call.out / "call.json").read_text()).get("tracks", {}).keys() == dict(result.quality).keys()
    assert result.quality
