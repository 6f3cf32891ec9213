"""DNSMOS of separated voices: by a package that is there, that is not, and that is not whole."""

from __future__ import annotations

import dataclasses
import importlib.util
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from test_formats_golden import rich
from voices import babble

from meetsplit import talk_time
from meetsplit.cli import main
from meetsplit.console.summary import summary
from meetsplit.pipeline.audio.reading import read, write_wav
from meetsplit.pipeline.data import Audio, Dnsmos, OverlapResult, Span, StreamInfo, TrackQuality, Transcript
from meetsplit.pipeline.errors import StageError
from meetsplit.pipeline.formats import export, read_transcript
from meetsplit.pipeline.formats.people import by_person
from meetsplit.pipeline.models import device
from meetsplit.pipeline.results.folder import Placement
from meetsplit.pipeline.results.writing import WrittenResults
from meetsplit.pipeline.run import Pipeline
from meetsplit.pipeline.settings import Outputs
from meetsplit.speakers import dnsmos

ROOT = Path(__file__).parents[1]
MISSING = [name for name in ("speechmos", "onnxruntime") if importlib.util.find_spec(name) is None]
real = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

ONNXRUNTIME = """
import pathlib

import numpy as np

heard = []
threads = []

class SessionOptions:
    intra_op_num_threads = 0
    log_severity_level = 0

class Input:
    name = "input_1"

class InferenceSession:
    def __init__(self, path, options, providers):
        text = pathlib.Path(path).read_text("utf-8")
        if not text:
            raise RuntimeError("INVALID_PROTOBUF: Load model failed:\\nProtobuf parsing failed.")
        self.answer = [float(number) for number in text.split()]
        assert options.intra_op_num_threads >= 1
        threads.append(options.intra_op_num_threads)

    def get_inputs(self):
        return [Input()]

    def run(self, outputs, inputs):
        (window,) = inputs["input_1"]
        heard.append(window)
        return [np.array([self.answer], np.float32)]
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Installs packages with these names, of which the network answers with what its file says."""

    def install(network: str | None = "1.0 2.0 3.0", *, runtime: bool = True) -> Path:
        site = tmp_path / "site"
        models = site / "speechmos" / "dnsmos_models"
        models.mkdir(parents=True)
        (models.parent / "__init__.py").write_text("raise ImportError('is never imported')", "utf-8")
        if network is not None:
            (models / "sig_bak_ovr.onnx").write_text(network, "utf-8")
        if runtime:
            (site / "onnxruntime.py").write_text(ONNXRUNTIME, "utf-8")
        monkeypatch.syspath_prepend(str(site))
        monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
        dnsmos._session.cache_clear()
        return site

    yield install
    dnsmos._session.cache_clear()
    sys.modules.pop("onnxruntime", None)


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """No package of that name, whatever this Python has."""
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "speechmos" else found(name, *rest)
    )


def fitted(answer: tuple[float, float, float]) -> list[float]:
    """The published polynomials."""
    sig, bak, ovr = answer
    return [
        -0.08397278 * sig**2 + 1.22083953 * sig + 0.0052439,
        -0.13166888 * bak**2 + 1.60915514 * bak - 0.39604546,
        -0.06766283 * ovr**2 + 1.11546468 * ovr + 0.04602535,
    ]


def test_marks_are_fitted_as_published_and_windows_are_full(installed: Any) -> None:
    installed()
    network = dnsmos.DnsmosNetwork.load()
    assert network is not None
    quiet = np.full(3 * dnsmos.RATE, 0.25, np.float32)
    assert list(dataclasses.astuple(network.marks(quiet))) == pytest.approx(fitted((1.0, 2.0, 3.0)), abs=1e-5)
    network.marks(np.full(2 * dnsmos.WINDOW + 7, 2.0, np.float32))
    heard = sys.modules["onnxruntime"].heard
    assert [window.shape for window in heard] == [(dnsmos.WINDOW,)] * 3
    assert heard[0].min() == 0.25, "short sound is repeated, not filled with silence"
    assert heard[1].max() == 1.0


def test_the_longest_voices_are_heard_and_no_more_than_needed(installed: Any, tmp_path: Path) -> None:
    installed()
    track = tmp_path / "SPEAKER_00.wav"
    samples = np.full(100 * dnsmos.RATE, 0.5, np.float32)
    samples[: 10 * dnsmos.RATE] = 0.1
    write_wav(track, Audio(samples, dnsmos.RATE))
    both = ("SPEAKER_00", "SPEAKER_01")
    voices = tuple(
        OverlapResult(span, both, "separated", 0.2, ()) for span in (Span(1.0, 3.0), Span(12.0, 60.0), Span(62.0, 99.0))
    )
    clips = [StreamInfo("SPEAKER_00", Span(0.0, 100.0), (), voices), StreamInfo("SPEAKER_01", Span(0.0, 1.0), (), ())]
    network = dnsmos.DnsmosNetwork.load()
    assert network is not None
    found = dnsmos.voices_marks(network, clips, {"SPEAKER_00": track, "SPEAKER_01": track})
    assert list(found) == ["SPEAKER_00"]
    heard = sys.modules["onnxruntime"].heard
    assert len(heard) == dnsmos.MOST_WINDOWS
    assert np.median(np.concatenate(heard)) == pytest.approx(0.5, abs=1e-3)
    assert min(np.abs(window).min() for window in heard) < 0.01, "voices fade in and out"


def test_silence_gets_no_marks(installed: Any, tmp_path: Path) -> None:
    installed()
    track = tmp_path / "SPEAKER_00.wav"
    write_wav(track, Audio(np.zeros(2 * dnsmos.RATE, np.float32), dnsmos.RATE))
    voice = OverlapResult(Span(0.0, 2.0), ("SPEAKER_00", "SPEAKER_01"), "separated", None, ())
    network = dnsmos.DnsmosNetwork.load()
    assert network is not None
    assert not dnsmos.voices_marks(network, [StreamInfo("SPEAKER_00", Span(0.0, 2.0), (), (voice,))],
                                   {"SPEAKER_00": track})  # fmt: skip


@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        (None, "is installed without its DNSMOS network: pip install --force-reinstall 'meetsplit[quality]'"),
        ("", "sig_bak_ovr.onnx failed: INVALID_PROTOBUF: Load model failed: Protobuf parsing failed."),
        ("1.0 2.0", "does not answer with three marks"),
        ("nan 1 1", "does not answer with three marks"),
    ],
)
def test_a_package_that_is_not_whole_is_a_sentence(network: str | None, sentence: str, installed: Any) -> None:
    installed(network)
    with pytest.raises(StageError) as raised:
        dnsmos.DnsmosNetwork.load().marks(np.ones(100, np.float32))  # type: ignore[union-attr]
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)


def test_without_onnxruntime_the_extra_is_named(installed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(runtime=False)
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: found(name, *rest) if name != "onnxruntime" else None
    )
    with pytest.raises(StageError, match="without onnxruntime, which runs it: pip install 'meetsplit"):
        dnsmos.model_file()


def overlapped(call: Any) -> Any:
    call.rttm.write_text("SPEAKER x 1 0.1 3.7 <NA> <NA> A <NA> <NA>\nSPEAKER x 1 2.8 3.1 <NA> <NA> B <NA> <NA>\n")
    return dataclasses.replace(call.settings, separator="dictionary", overlap_checks="none")


OUTPUTS = Outputs(formats=("json", "csv"), track_quality=True, tracks=False)


def test_a_run_has_the_marks_where_the_package_is_installed(call: Any, installed: Any) -> None:
    installed()
    result = Pipeline(overlapped(call)).run(call.path, folder=call.out, outputs=OUTPUTS)
    written = json.loads((call.out / "call.json").read_text("utf-8"))["tracks"]
    assert written
    for label, quality in result.quality:
        assert quality.dnsmos is not None
        assert written[label]["dnsmos"] == dataclasses.asdict(quality.dnsmos)
        assert quality.dnsmos.sig == pytest.approx(fitted((1.0, 2.0, 3.0))[0], abs=1e-5)
    assert "dnsmos_sig,dnsmos_bak,dnsmos_ovr" in (call.out / "call.csv").read_text("utf-8").splitlines()[0]


def test_threads_hold_where_every_stage_is_kept(call: Any, installed: Any) -> None:
    """Then no model is loaded, and torch is not told of them."""
    installed()
    Pipeline(overlapped(call)).run(call.path, folder=call.out, outputs=OUTPUTS, cache=True)
    usual = torch.get_num_threads()
    limited = dataclasses.replace(overlapped(call), threads=usual + 2)
    Pipeline(limited).run(call.path, folder=call.out, outputs=OUTPUTS, cache=True)
    assert sys.modules["onnxruntime"].threads == [usual, usual + 2]
    assert torch.get_num_threads() == usual


def test_compare_says_how_far_the_judging_is_and_keeps_to_its_threads(
    call: Any, installed: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a stage of its own for each separator, of which the share of the people is told."""
    monkeypatch.setattr(device, "limit_threads", lambda count: None)  # of the process of the tests
    monkeypatch.setenv("COLUMNS", "400")
    installed()
    overlapped(call)
    given = ("--rttm", call.rttm, "--cache-dir", call.cache, "-o", call.out, "--no-words", "--offline")
    with pytest.raises(SystemExit):
        main(["compare", *map(str, (call.path, *given, "--separators", "none,dictionary", "--threads", "3"))])
    printed = capsys.readouterr()
    for name in ("none", "dictionary"):
        begins = f"call.wav with {name}: judge "
        told = [line.removeprefix(begins) for line in printed.err.splitlines() if line.startswith(begins)]
        assert told[:2] == ["…", "50 %"]
        assert told[2].startswith("done in ")
    assert " sound " in printed.out
    assert sys.modules["onnxruntime"].threads == [3]


@pytest.mark.usefixtures("absent")
def test_without_the_package_the_keys_are_absent_and_nothing_is_said(call: Any) -> None:
    events: list[Any] = []
    result = Pipeline(overlapped(call), on_event=events.append).run(call.path, folder=call.out, outputs=OUTPUTS)
    written = json.loads((call.out / "call.json").read_text("utf-8"))["tracks"]
    assert written
    assert all(one.keys() == {"seconds", "bleed", "margin"} for one in written.values())
    assert all(one.dnsmos is None for _, one in result.quality)
    assert "dnsmos" not in (call.out / "call.csv").read_text("utf-8")
    assert not [event for event in events if "DNSMOS" in getattr(event, "text", "")]


def test_a_package_that_is_not_whole_costs_the_marks_only(call: Any, installed: Any) -> None:
    installed("1.0 2.0")
    events: list[Any] = []
    result = Pipeline(overlapped(call), on_event=events.append).run(call.path, folder=call.out, outputs=OUTPUTS)
    assert result.quality
    assert all(one.dnsmos is None and one.bleed is not None for _, one in result.quality)
    (notice,) = [event.text for event in events if "DNSMOS" in getattr(event, "text", "")]
    assert notice.startswith("tracks are judged without DNSMOS: ")


def judged() -> Transcript:
    quality = (
        ("SPEAKER_00", TrackQuality(12.0, -3.1, 0.1, Dnsmos(3.25, 3.5, 2.75))),
        ("SPEAKER_01", TrackQuality(4.0, -11.0)),
    )
    return dataclasses.replace(rich(), quality=quality)


def test_marks_are_in_json_tables_and_summary() -> None:
    text = export(judged(), "json", Outputs())
    tracks = json.loads(text)["tracks"]
    assert tracks["SPEAKER_00"]["dnsmos"] == {"sig": 3.25, "bak": 3.5, "ovr": 2.75}
    assert "dnsmos" not in tracks["SPEAKER_01"]
    assert read_transcript(text) == judged()
    table = talk_time(judged()).set_index("speaker")
    assert list(table.columns)[-6:] == ["judged_seconds", "bleed", "margin", "dnsmos_sig", "dnsmos_bak", "dnsmos_ovr"]
    assert list(table.loc["SPEAKER_00"])[-6:] == [12.0, -3.1, 0.1, 3.25, 3.5, 2.75]
    assert table["dnsmos_ovr"].isna()["SPEAKER_01"]
    shown = io.StringIO()
    summary(Console(file=shown, width=200), Path("m.wav"), WrittenResults(judged(), (), Placement("m", "m"), {}))
    (line,) = [line for line in shown.getvalue().splitlines() if "DNSMOS" in line]
    name = judged().name_of("SPEAKER_00")
    assert line.strip() == (f"separated voices sound, of 1 to 5 (DNSMOS): {name} 2.8 (speech 3.2, background 3.5)")


def test_two_labels_of_one_person_have_the_mean_of_their_tracks() -> None:
    quality = (
        ("SPEAKER_00", TrackQuality(12.0, -4.0, 0.1, Dnsmos(3.0, 3.0, 3.0))),
        ("SPEAKER_01", TrackQuality(4.0, -8.0, None, Dnsmos(4.0, 2.0, 3.0))),
    )
    same = dataclasses.replace(rich(), quality=quality).rename({"SPEAKER_00": "Zoe", "SPEAKER_01": "Zoe"})
    ((label, one),) = by_person(same).quality
    assert (label, one.seconds, one.bleed) == ("SPEAKER_00", 16.0, -5.0)
    assert one.margin == pytest.approx(0.1)
    assert one.dnsmos == Dnsmos(3.25, 2.75, 3.0)


def test_stats_show_judged_tracks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.json").write_text(export(judged(), "json", Outputs()), "utf-8")
    plain = dataclasses.replace(judged(), quality=())
    (tmp_path / "b.json").write_text(export(plain, "json", Outputs()), "utf-8")
    table = tmp_path / "table.csv"
    with pytest.raises(SystemExit):
        main(["stats", str(tmp_path / "a.json"), str(tmp_path / "b.json"), "--csv", str(table)])
    printed = capsys.readouterr().out.splitlines()
    (heading,) = [line for line in printed if "background" in line]
    row = printed[printed.index(heading) + 2]
    assert row.split()[-6:] == ["0:12", "-3", "dB", "0.10", "3.2", "3.5", "2.8"][-6:]
    assert max(map(len, (heading, row))) <= 80
    header, *rows = table.read_text("utf-8").splitlines()
    assert header.endswith(",judged_seconds,bleed,margin,dnsmos_sig,dnsmos_bak,dnsmos_ovr")
    assert rows[0].endswith(",12.0,-3.1,0.1,3.25,3.5,2.75")
    assert rows[-1].endswith(",,,,,,")
    with pytest.raises(SystemExit):
        main(["stats", str(tmp_path / "a.json"), "--json"])
    assert json.loads(capsys.readouterr().out)[0]["tracks"]["SPEAKER_00"]["dnsmos"]["ovr"] == 2.75


@pytest.mark.parametrize("has_network", [True, False])
def test_doctor_and_models_say_whether_it_is_here(
    has_network: bool,
    installed: Any,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    site = installed("1 2 3" if has_network else None)
    for command in (["doctor", "--offline", "--device", "cpu"], ["models", "list"]):
        with pytest.raises(SystemExit):
            main([*command, "--cache-dir", str(tmp_path)])
        printed = " ".join(capsys.readouterr().out.split())
        if not has_network:
            assert "installed without its DNSMOS network" in printed
        elif command[0] == "models":
            assert str(site / "speechmos") in printed
        else:
            assert "bleed, margin and DNSMOS (speechmos" in printed


@pytest.mark.usefixtures("absent")
def test_what_to_install_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    for command in (["doctor", "--offline", "--device", "cpu"], ["models", "list"], ["models", "fetch", "dnsmos"]):
        with pytest.raises(SystemExit):
            main([*command, "--cache-dir", str(tmp_path)])
        printed = capsys.readouterr()
        assert "pip install 'meetsplit[quality]'" in " ".join((printed.out + printed.err).split())


@real
def test_the_real_network_hears_noise_and_interruptions() -> None:
    """On the sample: speech alone, the same in noise, and with a hole in every fifth of a second."""
    network = dnsmos.DnsmosNetwork.load()
    assert network is not None
    clean = read(ROOT / "sample_data" / "standup.m4a", dnsmos.RATE).crop(Span(54.0, 64.0)).samples
    noise = np.random.default_rng(0).standard_normal(len(clean)).astype(np.float32)
    noisy = clean + 0.5 * float(np.std(clean)) * noise
    holes = clean * (np.arange(len(clean)) % 3200 > 1600)
    plain, in_noise, cut = network.marks(clean), network.marks(noisy), network.marks(holes)
    assert all(1.0 <= mark <= 5.0 for one in (plain, in_noise, cut) for mark in dataclasses.astuple(one))
    assert in_noise.bak < plain.bak - 0.5
    assert cut.sig < plain.sig - 0.3
    assert max(in_noise.ovr, cut.ovr) < plain.ovr


@real
def test_the_marks_are_those_of_the_package_itself() -> None:
    pytest.importorskip("librosa", reason="librosa is not installed, which speechmos imports")
    pytest.importorskip("requests", reason="requests is not installed, which speechmos imports")
    from speechmos import dnsmos as published

    network = dnsmos.DnsmosNetwork.load()
    assert network is not None
    voice = 0.5 * babble(9.5)
    expected = published.run(voice, dnsmos.RATE)
    found = network.marks(voice)
    assert (found.sig, found.bak, found.ovr) == pytest.approx(
        (expected["sig_mos"], expected["bak_mos"], expected["ovrl_mos"]), abs=1e-4
    )
