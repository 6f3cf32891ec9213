"""`meetsplit compare`: several separators on one recording, as a table and to listen to."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import KnownCall, write_pcm

from meetsplit.cli import main
from meetsplit.console.recording_progress import WorkProgress
from meetsplit.pipeline.audio.reading import write_wav
from meetsplit.pipeline.audio.wav import read_span
from meetsplit.pipeline.data import Audio, ClipTranscript, Diarization, OverlapResult, Span, StreamInfo, Turn, Word
from meetsplit.pipeline.events import Finished, Kept, Opened, Progressed, Started
from meetsplit.pipeline.results.comparison import SeparatorOutcome, measure, stretches, write_comparison
from meetsplit.pipeline.run import Pipeline
from meetsplit.pipeline.separators.dictionary import DictionarySeparator, NmfOptions
from meetsplit.pipeline.settings import Settings

RATE = 16_000
TURNS = (Turn(Span(0.0, 4.0), "SPEAKER_00"), Turn(Span(3.0, 6.0), "SPEAKER_01"))


def sound(level: float) -> Audio:
    return Audio(np.full(6 * RATE, level, np.float32), RATE)


def tracks(folder: Path, *levels: float) -> dict[str, Path]:
    made = {f"SPEAKER_{number:02d}": folder / f"{number}.wav" for number in range(len(levels))}
    for path, level in zip(made.values(), levels, strict=True):
        write_wav(path, sound(level))
    return made


def clips(*patches: tuple[str, float, str, float | None, tuple[str, ...]]) -> list[StreamInfo]:
    """A clip per speaker, each with one patch: speaker, its length from 3.0 s on, source, margin, review."""
    both = ("SPEAKER_00", "SPEAKER_01")
    return [
        StreamInfo(speaker, Span(0.0, 6.0), (), (OverlapResult(Span(3.0, 3.0 + length), both, source, margin, review),))  # type: ignore[arg-type]
        for speaker, length, source, margin, review in patches
    ]


def test_measures_are_of_the_overlaps_alone(tmp_path: Path) -> None:
    """Of a mixture at 0.4, the tracks' sum is 0.3: a quarter of it is nobody's, -12 dB."""
    given = clips(
        ("SPEAKER_00", 1.0, "separated", 0.3, ()), ("SPEAKER_01", 0.5, "mixture", 0.0, ("low-speaker-margin",))
    )
    words = [
        ClipTranscript((Word(Span(1.0, 1.5), "before", 0.1), Word(Span(3.2, 3.6), "inside", 0.9))),
        ClipTranscript((Word(Span(3.5, 3.9), "too", None), Word(Span(5.0, 5.2), "after", 0.2))),
    ]
    found = measure(sound(0.4), Diarization(6.0, TURNS), given, tracks(tmp_path, 0.2, 0.1), words)
    assert (found.overlapped, found.separated, found.words, found.confidence) == (1.5, 1.0, 2, 0.9)
    assert found.margin == pytest.approx(0.2)
    assert found.review == pytest.approx(1 / 3)
    assert found.residual == pytest.approx(20 * math.log10(0.25), abs=0.05)


def test_two_tracks_that_are_the_mixture_leave_it_whole(tmp_path: Path) -> None:
    found = measure(sound(0.4), Diarization(6.0, TURNS), [], tracks(tmp_path, 0.4, 0.4))
    assert found.residual == pytest.approx(0.0, abs=0.01)
    assert (found.margin, found.words, found.review) == (None, None, 0.0)
    assert measure(sound(0.0), Diarization(6.0, TURNS), [], {}).residual is None


def test_the_longest_stretches_in_order() -> None:
    turns = tuple(sorted(Turn(Span(at, at + length), who) for at, length in ((10.0, 1.0), (20.0, 3.0), (30.0, 2.0))
                         for who in ("SPEAKER_00", "SPEAKER_01")))  # fmt: skip
    assert stretches(Diarization(32.2, turns), 2) == (Span(19.5, 23.5), Span(29.5, 32.2))


def test_a_name_that_is_taken_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "call-compare").mkdir()
    (tmp_path / "call-compare" / "mine.txt").write_text("mine", "utf-8")
    rows = [SeparatorOutcome("dictionary", tracks=tracks(tmp_path, 0.2, 0.1))]
    where = write_comparison(tmp_path, "call-compare", rows, sound(0.4), Diarization(6.0, TURNS), count=5)
    assert where == tmp_path / "call-compare-2"
    assert (tmp_path / "call-compare" / "mine.txt").read_text("utf-8") == "mine"
    (stretch,) = [entry for entry in where.iterdir() if entry.is_dir()]
    assert stretch.name == "00-00-02.5"
    assert sorted(file.name for file in stretch.iterdir()) == [
        "dictionary-SPEAKER_00.wav", "dictionary-SPEAKER_01.wav", "mixture.wav",
    ]  # fmt: skip
    heard = read_span(stretch / "dictionary-SPEAKER_01.wav", Span(0.0, 10.0))
    assert heard.duration == pytest.approx(2.0)
    assert float(heard.samples.mean()) == pytest.approx(0.1, abs=1e-3)
    assert not list(tmp_path.glob(".meetsplit-*"))


def run(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[int, str, str]:
    """Exit code, stdout, and stderr on one line."""
    with pytest.raises(SystemExit) as ended:
        main(["compare", *map(str, arguments)])
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out, " ".join(printed.err.split())


@pytest.fixture
def quick_dictionary(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = NmfOptions(exemplars=200, speeds=(1.0,), updates=4)
    monkeypatch.setattr(DictionarySeparator, "load", lambda *_: DictionarySeparator(options=quick))


@pytest.mark.usefixtures("quick_dictionary")
def test_separators_side_by_side(
    call: KnownCall, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Turns are found once; a separator without weights has a row that says so; a second time, voices are kept."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    at = np.arange(13 * RATE) / RATE
    low, high = (0.3 * np.sign(np.sin(2 * np.pi * pitch * at)) for pitch in (130, 410))
    mixed = np.where(at < 7.0, low, 0.0) + np.where(at >= 6.0, high, 0.0)
    write_pcm(call.path, [(32767 * mixed).astype("<i2")])
    call.rttm.write_text("SPEAKER x 1 0 7 <NA> <NA> A <NA> <NA>\nSPEAKER x 1 6 7 <NA> <NA> B <NA> <NA>\n")
    options = ("--rttm", call.rttm, "--cache-dir", call.cache, "-o", call.out, "--no-words", "--offline")
    code, out, err = run(
        capsys, call.path, *options, "--separators", "none,dictionary,sepformer", "--json", "--stretches", "1"
    )
    assert code == 0
    assert err.count("diarize done") == 1
    assert "call.wav with none: separate done" in err
    assert "call.wav with dictionary: separate done" in err
    none, dictionary, sepformer = json.loads(out)
    assert none["residual_db"] == pytest.approx(0.0, abs=0.1)
    assert dictionary["separated_seconds"] == pytest.approx(2.0, abs=0.1)
    assert dictionary["residual_db"] < -20.0
    assert dictionary["bleed_db"] < -5.0
    assert none["bleed_db"] is None
    assert "sepformer-whamr16k" in sepformer["problem"]
    assert sepformer["residual_db"] is None
    rows = list(csv.DictReader((call.out / "call-compare" / "compare.csv").read_text("utf-8").splitlines()))
    assert [row["separator"] for row in rows] == ["none", "dictionary", "sepformer"]
    assert rows[1]["residual_db"] == str(dictionary["residual_db"])
    assert {file.name for file in call.out.glob("call-compare/*/*.wav")} == {
        "mixture.wav", "none-SPEAKER_00.wav", "none-SPEAKER_01.wav", "dictionary-SPEAKER_00.wav",
        "dictionary-SPEAKER_01.wav",
    }  # fmt: skip
    code, out, _ = run(capsys, call.path, *options, "--separators", "dictionary")
    assert code == 0
    assert "kept" in out
    assert "call-compare-2" in out


@pytest.mark.parametrize(("options", "voices"), [((), "on"), (("--voices", "off"), "off")])
def test_kept_speech_of_known_voices_helps_as_in_a_run(
    options: tuple[str, ...],
    voices: str,
    call: KnownCall,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    opened = Pipeline.open

    def open_run(*arguments: Any, **named: Any) -> Any:
        asked.append(named["outputs"].voices)
        return opened(*arguments, **named)

    monkeypatch.setattr(Pipeline, "open", open_run)
    given = ("--rttm", call.rttm, "--cache-dir", call.cache, "-o", call.out, "--no-words", "--offline")
    code, _, _ = run(capsys, call.path, *given, *options, "--separators", "none,dictionary")
    assert code == 0
    assert asked == [voices, voices]


def test_how_far_the_work_is_counts_every_separator() -> None:
    """Two separators, the second one with kept turns: the whole never goes back."""
    work = WorkProgress()
    work.lengths = {"call.wav with none": 1.0, "call.wav with dictionary": 1.0}
    shares = []
    for name, first in (("none", Started("diarize")), ("dictionary", Kept("diarize"))):
        work.take(Opened(f"call.wav with {name}"), 0.0)
        assert work.current is not None
        work.current.expected = {"diarize": 10.0, "separate": 30.0} if name == "none" else {"separate": 30.0}
        steps = [first, Finished("diarize", 1.0)] if name == "none" else [first]
        for event in (*steps, Started("separate", 4.0), Progressed("separate", 2.0, 4.0), Finished("separate", 1.0)):
            work.take(event, 0.0)
            shares.append(work.share(0.0))
        work.finish(f"call.wav with {name}")
        shares.append(work.share(0.0))
    assert shares == [0.0, 0.125, 0.125, 0.3125, 0.5, 0.5, 0.5, 0.5, 0.75, 1.0, 1.0]


def test_without_overlaps_nothing_is_written(call: KnownCall, capsys: pytest.CaptureFixture[str]) -> None:
    call.rttm.write_text("SPEAKER x 1 0 2 <NA> <NA> A <NA> <NA>\nSPEAKER x 1 3 2 <NA> <NA> B <NA> <NA>\n")
    options = ("--rttm", call.rttm, "--cache-dir", call.cache, "-o", call.out, "--no-words", "--offline")
    code, out, err = run(capsys, call.path, *options, "--separators", "none")
    assert (code, out) == (0, "")
    assert "there is nothing to take apart" in err
    assert not call.out.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--separators", "sepfomer"), "--separators sepfomer: did you mean 'sepformer'"),
        (("--separators", "dictionary,,none"), "a name is missing between two commas"),
        (("--separators", "dictionary=x.pth"), "dictionary has no models to choose from"),
        (("--separator", "dictionary"), "compare takes --separators instead of --separator"),
        (("--separators", "convtasnet=no-such.pth", "--no-words"), "none of these separators can run here"),
    ],
)
def test_what_cannot_be_compared_is_a_sentence(
    arguments: tuple[str, ...], message: str, call: KnownCall, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, call.path, "--rttm", call.rttm, "--offline", "--cache-dir", call.cache, *arguments)
    assert code == 2
    assert message in err


def test_words_are_counted_where_people_overlap(call: KnownCall, capsys: pytest.CaptureFixture[str]) -> None:
    """Words may be given by a settings file, so that no model is needed."""
    call.script.write_text("x 1 1.0 0.4 good\nx 1 2.1 0.3 morning\n", "utf-8")
    config = call.path.with_name("words.toml")
    config.write_text(f"script = {json.dumps(str(call.script))}\n", "utf-8")
    options = ("--rttm", call.rttm, "--cache-dir", call.cache, "-o", call.out, "--offline", "--config", config)
    code, out, _ = run(capsys, call.path, *options, "--separators", "none", "--json")
    assert code == 0
    assert json.loads(out)[0]["overlapped_words"] > 0


def test_only_models_that_stay_the_same_are_shared() -> None:
    loaded = {"transcriber": object(), "embedder": object(), "separator": object()}
    other = Pipeline(Settings(separator="none"), loaded=loaded).with_separator("dictionary")
    assert other.settings.separator == "dictionary"
    shared = {stage: kept.backend for stage, kept in other._backends._loaded.items()}
    assert shared == {"transcriber": loaded["transcriber"]}
