"""Settings and outputs: a wrong value is refused with the nearest right one; earlier names are understood."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from meetsplit.cli import main
from meetsplit.console.options import resolve_settings
from meetsplit.jobs.job import JobSpec
from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.models import registry
from meetsplit.pipeline.settings import BACKEND_NAMES, Outputs, Settings, from_toml, stored_options

FORMATS = ("srt", "vtt", "json")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_speakers": 0}, "--num-speakers 0"),
        ({"min_speakers": 5, "max_speakers": 2}, "--min-speakers 5 is more than --max-speakers 2"),
        ({"num_speakers": 2, "max_speakers": 3}, "--num-speakers is exact"),
        ({"diarizer": "rttm"}, "add --rttm FILE"),
        ({"diarizer": "embedded", "rttm": Path("x.rttm")}, "drop one of them"),
        ({"transcriber": "script"}, "add --script FILE"),
        ({"transcriber": "whisper", "script": Path("x.stm")}, "drop one of them"),
        ({"separate": "overlap"}, "did you mean 'overlaps'"),
        ({"task": "translte"}, "did you mean 'translate'"),
        ({"num_speakers": "3"}, "--num-speakers '3': a whole number is needed"),
        ({"num_speakers": True}, "a whole number is needed"),
        ({"offline": "no"}, "True or False is needed"),
        ({"language": 3}, "--language 3: a text is needed"),
        ({"diarizer": "pyanote"}, "did you mean 'pyannote'"),
        ({"separator": "sepfomer"}, "did you mean 'sepformer'"),
        ({"transcriber": "wisper"}, "did you mean 'whisper'"),
        ({"device": "gpu"}, "did you mean 'cuda'"),
        ({"device": "cuda:one"}, "--device cuda:one"),
        ({"overlap_checks": [3]}, "names are needed"),
    ],
)
def test_nonsense_is_refused_in_one_sentence(options: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message.replace("(", r"\(")) as refusal:
        Settings(**options)  # type: ignore[arg-type]
    assert "\n" not in str(refusal.value)


def test_the_names_of_backends_are_those_of_the_registry() -> None:
    assert {stage: set(names) for stage, names in BACKEND_NAMES.items()} == {
        stage: set(backends) for stage, backends in registry.BACKENDS.items() if stage not in ("embedder", "aligner")
    }


def test_values_as_python_has_them_are_understood() -> None:
    settings = Settings(
        num_speakers=np.int64(3),  # type: ignore[arg-type]
        adapt_budget=np.float32(1.5),  # type: ignore[arg-type]
        model=Path("x.pt"),  # type: ignore[arg-type]
        rttm="turns.rttm",  # type: ignore[arg-type]
        overlap_checks=["verify", "leakage"],  # type: ignore[arg-type]
        device="cuda:1",
    )
    assert (type(settings.num_speakers), type(settings.adapt_budget), settings.model) == (int, float, "x.pt")
    assert (settings.rttm, settings.overlap_checks) == (Path("turns.rttm"), "verify,leakage")
    outputs = Outputs(formats="srt, json", names={"SPEAKER_00": "Alice"})  # type: ignore[arg-type]
    assert (outputs.formats, outputs.names) == (("srt", "json"), (("SPEAKER_00", "Alice"),))
    for wrong in ({"formats": 3}, {"names": 3}, {"names": ("ab", "cd")}, {"max_line_width": "40"}, {"tracks": 1}):
        with pytest.raises(SettingsError, match="needed"):
            Outputs(**wrong)  # type: ignore[arg-type]


def test_a_file_of_turns_or_words_implies_its_backend() -> None:
    settings = Settings(rttm=Path("a.rttm"), script=Path("a.stm"))
    assert (settings.diarizer, settings.transcriber) == ("rttm", "script")


def test_what_is_recorded_never_holds_the_token_or_a_folder() -> None:
    recorded = dict(
        Settings(hf_token="hf_secret", rttm=Path("/home/me/turns.rttm"), cache_dir=Path("/home/me")).recorded()
    )
    assert "hf_secret" not in repr(recorded)
    assert recorded["rttm"] == "turns.rttm"
    assert "cache_dir" not in recorded
    assert "hf_secret" not in repr(Settings(hf_token="hf_secret"))


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "meetsplit.toml"
    file.write_text('output-dir = "there"\n[speakers]\nnum_speakers = 3\n[words]\nlanguage = "de"\n[names]\n', "utf-8")
    settings, outputs = resolve_settings({"config": file, "num_speakers": 2, "output_format": "srt, vtt"}, FORMATS)
    assert (settings.num_speakers, settings.language) == (2, "de")
    assert (outputs.folder, outputs.formats) == (Path("there"), ("srt", "vtt"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("num_speekers = 3", "did you mean 'num_speakers'"),
        ("num_speakers = ", "not valid TOML"),
        ('num_speakers = "three"', "num-speakers"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "meetsplit.toml"
    file.write_text(content, "utf-8")
    with pytest.raises(SettingsError, match=message):
        resolve_settings({"config": file}, FORMATS)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml"):
        from_toml(tmp_path / "nowhere.toml")


def test_formats_and_names_are_read_strictly() -> None:
    assert resolve_settings({"output_format": "all"}, FORMATS)[1].formats == FORMATS
    assert resolve_settings({"name": ["SPEAKER_00=Ann Lee"]}, FORMATS)[1].names == (("SPEAKER_00", "Ann Lee"),)
    with pytest.raises(SettingsError, match="did you mean 'srt'"):
        resolve_settings({"output_format": "strt"}, FORMATS)
    with pytest.raises(SettingsError, match="SPEAKER_00=Alice"):
        resolve_settings({"name": ["SPEAKER_00"]}, FORMATS)


def test_outputs_are_checked() -> None:
    with pytest.raises(SettingsError, match="at least 10 characters"):
        Outputs(max_line_width=3)
    with pytest.raises(SettingsError, match="did you mean 'flac'"):
        Outputs(track_format="flack")


def test_trust_in_model_folders_is_a_setting_that_changes_no_result(tmp_path: Path) -> None:
    """It is no part of a transcript, of a kept stage's key or of a job's: an earlier result stays the result."""
    (tmp_path / "own.toml").write_text("[machine]\ntrust-model-code = true\n", "utf-8")
    assert from_toml(tmp_path / "own.toml") == {"trust_model_code": True}
    assert not Settings().trust_model_code
    trusting = Settings(trust_model_code=True)
    assert trusting.recorded() == Settings().recorded()
    place = (Outputs(), tmp_path, "call")
    assert (
        JobSpec(tmp_path / "call.wav", "0" * 64, trusting, *place).key
        == JobSpec(tmp_path / "call.wav", "0" * 64, Settings(), *place).key
    )


@pytest.mark.parametrize("name", ["gates", "overlap_checks"])
@pytest.mark.parametrize(
    "words", ["recast,leakage,doubles", "resegment,leakage,duplicates", "doubles, leakage,resegment"]
)
def test_overlap_checks_are_understood_under_their_earlier_name_and_words(
    tmp_path: Path, name: str, words: str
) -> None:
    options: dict[str, str] = {name: words}
    expected = Settings(overlap_checks="resegment,leakage,duplicates")
    assert Settings(**options) == expected  # type: ignore[arg-type]
    assert resolve_settings(options, FORMATS)[0] == expected
    file = tmp_path / "meetsplit.toml"
    for value in (f'"{words}"', str([word.strip() for word in words.split(",")])):
        file.write_text(f"[overlaps]\n{name.replace('_', '-')} = {value}\n", "utf-8")
        assert resolve_settings({"config": file}, FORMATS)[0] == expected
    assert resolve_settings({"config": file, "overlap_checks": "none"}, FORMATS)[0] == Settings(overlap_checks="none")
    assert resolve_settings({"config": file, "gates": "verify"}, FORMATS)[0] == Settings(overlap_checks="verify")


def test_the_earlier_name_of_overlap_checks_is_hidden_and_given_once(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SettingsError, match="--gates is the earlier name of --overlap-checks"):
        resolve_settings({"gates": "all", "overlap_checks": "none"}, FORMATS)
    with pytest.raises(SystemExit) as ended:
        main(["run", "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "--overlap-checks" in shown
    assert "--gates" not in shown
    with pytest.raises(SystemExit) as ended:
        main(["run", "nowhere.wav", "--gates", "recast,leek"])
    assert ended.value.code == 2
    assert "--overlap-checks leek" in capsys.readouterr().err


def test_settings_with_other_checks_than_before_are_made_by_either_name() -> None:
    settings = Settings(overlap_checks="verify")
    assert replace(settings, seed=1).overlap_checks == "verify"
    assert replace(settings, overlap_checks="none").overlap_checks == "none"
    assert replace(settings, gates="doubles").overlap_checks == "duplicates"


def test_jobs_of_earlier_versions_keep_their_checks_and_their_identity(tmp_path: Path) -> None:
    job = JobSpec(
        tmp_path / "call.wav", "0" * 64, Settings(overlap_checks="resegment,duplicates"), Outputs(), tmp_path, "call"
    )
    row = job.to_json()
    assert row["settings"]["gates"] == "recast,doubles"
    assert "overlap_checks" not in row["settings"]
    assert JobSpec.from_json(row) == job
    assert dict(job.settings.recorded())["overlap_checks"] == "resegment,duplicates"
    names = list(stored_options({"match_threshold": 0.05, "overlap_checks": "none", "transcriber": "auto"}))
    assert names == ["match_threshold", "gates", "transcriber"], "a job's id is a checksum in this order"
