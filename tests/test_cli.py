"""The command line: real processes on small recordings, with given turns and words."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from meetsplit.cli import main
from meetsplit.console.tables import plan_table
from meetsplit.console.terminal import Terminal
from meetsplit.console.whisper_arguments import with_hyphens
from meetsplit.pipeline.audio.reading import read
from meetsplit.pipeline.formats import read_transcript, suffixes_of
from meetsplit.pipeline.models.selection import check_backends
from meetsplit.pipeline.settings import DEFAULT_FORMATS, Settings

Meetsplit = Callable[..., subprocess.CompletedProcess[str]]

RATE = 16000
TURNS = ((0.5, 2.0, "ann"), (1.5, 2.0, "bob"), (4.0, 1.5, "ann"))
WORDS = (
    (0.5, 2.5, "ann", "good morning everybody"),
    (1.6, 3.4, "bob", "we start with the report"),
    (4.0, 5.4, "ann", "yes please"),
)


def error_of(done: subprocess.CompletedProcess[str], code: int) -> str:
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return " ".join(done.stderr.replace("│", " ").split())


def tone(seconds: float, pitch: float = 220.0) -> np.ndarray:
    times = np.arange(round(seconds * RATE)) / RATE
    return np.asarray(8000 * np.sin(2 * np.pi * pitch * times) * (1 + np.sin(2 * np.pi * 3 * times)) / 2, "<i2")


def recording(path: Path, samples: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    return path


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("call")
    samples = np.concatenate([tone(3.0), tone(3.0, 330.0)])
    (folder / "call.rttm").write_text(
        "".join(f"SPEAKER call 1 {start} {length} <NA> <NA> {speaker} <NA> <NA>\n" for start, length, speaker in TURNS)
    )
    (folder / "call.stm").write_text(
        "".join(f"call 1 {speaker} {start} {end} {text}\n" for start, end, speaker, text in WORDS)
    )
    return recording(folder / "call.wav", samples)


def model_free_options(call: Path) -> tuple[str | Path, ...]:
    return (
        "--rttm",
        call.with_suffix(".rttm"),
        "--script",
        call.with_suffix(".stm"),
        "--separate",
        "off",
        "--no-cache",
    )


@pytest.fixture(scope="module")
def result(
    meetsplit: Meetsplit, call: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    out = tmp_path_factory.mktemp("out")
    return out, meetsplit("run", call, "-o", out, *model_free_options(call))


def test_a_run_writes_every_format_and_one_track_per_person(
    call: Path, result: tuple[Path, subprocess.CompletedProcess[str]]
) -> None:
    out, done = result
    assert done.returncode == 0, done.stderr
    files = {
        path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file() and ".meetsplit" not in path.parts
    }
    assert files == {f"call{suffix}" for suffix in suffixes_of(DEFAULT_FORMATS)} | {"call/ann.wav", "call/bob.wav"}
    with wave.open(str(call)) as source, wave.open(str(out / "call" / "ann.wav")) as track:
        assert track.getnframes() == source.getnframes()
    transcript = read_transcript((out / "call.json").read_text("utf-8"))
    assert [(segment.speaker, segment.text) for segment in transcript.segments][:1] == [
        ("SPEAKER_00", "good morning everybody")
    ]
    assert dict(transcript.names) == {"SPEAKER_00": "ann", "SPEAKER_01": "bob"}
    assert {record.stage for record in transcript.made_by.stages} == {"diarizer", "transcriber"}


def test_results_go_to_stdout_and_progress_to_stderr(result: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    _, done = result
    assert "call.srt" in done.stdout
    assert "2 people" in done.stdout
    assert "transcribe" not in done.stdout
    assert "transcribe done" in done.stderr


def test_quiet_says_nothing_but_the_results(meetsplit: Meetsplit, call: Path, tmp_path: Path) -> None:
    done = meetsplit("run", call, "-o", tmp_path, "-f", "txt", "--no-tracks", "--quiet", *model_free_options(call))
    assert done.stderr == ""
    assert [path.name for path in tmp_path.iterdir() if path.name != ".meetsplit"] == ["call.txt"]


def test_a_failing_recording_is_reported_and_the_rest_go_on(meetsplit: Meetsplit, call: Path, tmp_path: Path) -> None:
    done = meetsplit(
        "run",
        tmp_path / "gone.wav",
        call,
        "-o",
        tmp_path / "out",
        "-f",
        "txt",
        "--no-tracks",
        *model_free_options(call),
    )
    message = error_of(done, 1)
    assert "gone.wav does not exist" in message
    assert "1 of 2 recordings failed" in message
    assert (tmp_path / "out" / "call.txt").is_file()


def test_two_recordings_of_one_name_never_overwrite_each_other(
    meetsplit: Meetsplit, call: Path, tmp_path: Path
) -> None:
    twin = recording(tmp_path / "b" / "call.wav", tone(6.0))
    done = meetsplit("run", call, twin, "-o", tmp_path / "out", "-f", "txt", "--no-tracks", *model_free_options(call))
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out").glob("*.txt"))) == 2
    assert "because another recording has the same name" in done.stderr


def test_silence_gives_empty_but_valid_outputs(meetsplit: Meetsplit, tmp_path: Path) -> None:
    silence = recording(tmp_path / "silence.wav", np.zeros(2 * RATE, "<i2"))
    (tmp_path / "none.rttm").write_text("")
    (tmp_path / "none.stm").write_text("")
    done = meetsplit(
        "run",
        silence,
        "-o",
        tmp_path / "out",
        "--rttm",
        tmp_path / "none.rttm",
        "--script",
        tmp_path / "none.stm",
        "--separator",
        "dictionary",
        "--no-cache",
    )
    assert done.returncode == 0, done.stderr
    assert read_transcript((tmp_path / "out" / "silence.json").read_text("utf-8")).segments == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--diarizer", "pyanote"), "did you mean 'pyannote'"),
        (("--separator", "sepforme"), "did you mean 'sepformer'"),
        (("--transcriber", "wisper"), "did you mean 'whisper'"),
        (("--transcriber", "whisper", "--model", "smal"), "did you mean 'small'"),
        (("--seperator", "none"), "No such option: --seperator"),
        (("--min-speakers", "5", "--max-speakers", "2"), "--min-speakers 5 is more than --max-speakers 2"),
        (("--num-speakers", "0"), "at least 1 speaker"),
        (("--device", "cudo"), "did you mean 'cuda'"),
        (("-f", "strt"), "did you mean 'srt'"),
    ],
)
def test_wrong_usage_is_answered_with_the_nearest_name(
    meetsplit: Meetsplit, call: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = meetsplit("run", call, "-o", tmp_path / "out", "--offline", *arguments)
    assert message in error_of(done, 2)
    assert not (tmp_path / "out").exists()


def test_an_output_folder_that_cannot_be_written(meetsplit: Meetsplit, call: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = meetsplit("run", call, "-o", tmp_path / "file" / "out", *model_free_options(call))
    assert "choose another folder" in error_of(done, 1)


def test_weights_that_cannot_be_had_are_explained(meetsplit: Meetsplit, call: Path, tmp_path: Path) -> None:
    done = meetsplit(
        "run", call, "-o", tmp_path / "out", "--diarizer", "pyannote", "--offline", "--cache-dir", tmp_path
    )
    assert "pyannote/speaker-diarization-community-1" in error_of(done, 1)
    assert "--diarizer embedded" in error_of(done, 1)


def test_export_writes_a_transcript_again_with_names(
    meetsplit: Meetsplit, result: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    out, _ = result
    done = meetsplit("export", out / "call.json", "-o", tmp_path, "-f", "srt,json", "--name", "SPEAKER_01=Robert Lee")
    assert done.returncode == 0, done.stderr
    assert "Robert Lee" in (tmp_path / "call.srt").read_text("utf-8")
    assert json.loads((tmp_path / "call.json").read_text("utf-8"))["speakers"]["SPEAKER_01"] == "Robert Lee"
    unknown = meetsplit("export", out / "call.json", "-o", tmp_path / "again", "-f", "srt", "--name", "SPEAKER_07=Eve")
    assert unknown.returncode == 0
    assert "SPEAKER_07=Eve is not used: call has no SPEAKER_07; it has SPEAKER_00, SPEAKER_01" in unknown.stderr
    assert (tmp_path / "again" / "call.srt").read_text("utf-8") == (out / "call.srt").read_text("utf-8")
    assert "no-such.json" in error_of(meetsplit("export", tmp_path / "no-such.json"), 1)


def test_whispers_spelling_of_options_is_understood() -> None:
    assert with_hyphens(["run", "a_b.wav", "--max_line_width", "30", "--hf_token=a_b", "--", "--x_y"]) == [
        "run", "a_b.wav", "--max-line-width", "30", "--hf-token=a_b", "--", "--x_y",
    ]  # fmt: skip


def test_version_and_help(meetsplit: Meetsplit) -> None:
    assert meetsplit("--version").stdout.startswith("meetsplit 0.")
    assert "one audio file per person" in " ".join(meetsplit("run", "--help").stdout.split())


def test_debug_shows_the_traceback(meetsplit: Meetsplit, tmp_path: Path) -> None:
    done = meetsplit("--debug", "export", tmp_path / "gone.json")
    assert "Traceback" in done.stderr


@pytest.mark.parametrize(
    ("shell", "typed"),
    [
        ("bash", {"COMP_WORDS": "meetsplit re", "COMP_CWORD": "1"}),
        ("zsh", {"_TYPER_COMPLETE_ARGS": "meetsplit re"}),
        ("fish", {"_TYPER_COMPLETE_ARGS": "meetsplit re", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}),
    ],
)
def test_shells_complete_commands(
    shell: str, typed: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"_MEETSPLIT_COMPLETE": f"complete_{shell}", **typed}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        main([])
    printed = capsys.readouterr().out
    assert "rediarize" in printed
    assert "batch" not in printed


def test_it_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "meetsplit", "--version"], capture_output=True, text=True, timeout=300, check=True
    )
    assert done.stdout.startswith("meetsplit 0.")


def test_the_demo_runs_its_recording_beside_the_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the models that need no account, which are looked for first; the run itself is another test's."""
    fetched: list[str] = []
    ran: list[tuple[list[Path], dict[str, object]]] = []

    def fetch(name: str, *others: object) -> list[tuple[str, Path]]:
        fetched.append(name)
        return []

    monkeypatch.setattr("meetsplit.pipeline.models.catalog.fetch_named", fetch)
    monkeypatch.setattr(
        "meetsplit.console.run.run_recordings", lambda audio, options, **others: ran.append((audio, dict(options)))
    )
    for _ in range(2):  # the second time, the recording is there
        with pytest.raises(SystemExit, match="0"):
            main(["demo", "-o", str(tmp_path / "out")])
    recording = tmp_path / "out" / "standup-excerpt.m4a"
    assert ran == [([recording], {"output_dir": tmp_path / "out", "num_speakers": 3, "offline": True})] * 2
    assert fetched == ["embedded"] * 2
    assert read(recording).duration == pytest.approx(16.9, abs=0.1)
    assert f"meetsplit run {recording} --num-speakers 3" in " ".join(capsys.readouterr().err.split())
    recording.write_bytes(b"another file")
    with pytest.raises(SystemExit, match="2"):
        main(["demo", "-o", str(tmp_path / "out")])
    assert recording.read_bytes() == b"another file"


@pytest.mark.exhaustive
def test_the_demo(meetsplit: Meetsplit, embedded_weights: dict[str, Path], tmp_path: Path) -> None:
    cache = embedded_weights["encoder"].parents[2]
    done = meetsplit("demo", "-o", tmp_path, "--cache-dir", cache)
    assert done.returncode == 0, done.stderr
    assert "3 people" in done.stdout
    assert "meeting with the" in (tmp_path / "standup-excerpt.txt").read_text("utf-8")


def test_doctor_says_what_is_here_and_never_the_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("COLUMNS", "300")
    (tmp_path / "runs" / "x").mkdir(parents=True)
    (tmp_path / "runs" / "x" / "track.wav").write_bytes(b"x" * 1_200_000)
    with pytest.raises(SystemExit):
        main(["doctor", "--device", "cpu", "--offline", "--cache-dir", str(tmp_path)])
    printed = capsys.readouterr().out
    rows = dict(
        line.split(maxsplit=1) for line in printed.splitlines() if line.startswith(("GPU", "cache", "meetsplit"))
    )
    assert rows["meetsplit"].startswith("0.")
    assert rows["GPU"]
    assert "finished stages 1.2 MB" in rows["cache"]
    assert "known, from --hf-token or HF_TOKEN" in printed
    assert "hf_secret" not in printed
    (better,) = [line for line in printed.splitlines() if line.startswith("for a better separator")]
    assert "or use" not in better, "what could be used instead is what runs already"


def test_the_plan_of_a_run_names_better_models_in_one_line(tmp_path: Path) -> None:
    rows = check_backends(Settings(offline=True, device="cpu", cache_dir=tmp_path, diarizer="embedded"))
    stream = io.StringIO()
    Terminal(file=stream, width=80).print(plan_table(rows, is_brief=True))
    printed = stream.getvalue()
    assert printed.count("Better models: `meetsplit doctor`") == 1
    assert "for a better" not in printed
    assert "sepformer" in printed, "why it is not used stays"
