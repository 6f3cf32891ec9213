"""What is requested is done or refused: options that mean nothing beside one another, and models that were named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from meetsplit.cli import main
from meetsplit.console.options import resolve_settings
from meetsplit.pipeline.errors import MissingWeights, SettingsError
from meetsplit.pipeline.formats import names
from meetsplit.pipeline.models.selection import check_settings, preflight
from meetsplit.pipeline.settings import Settings

RTTM, SCRIPT = {"rttm": Path("a.rttm")}, {"script": Path("a.stm")}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({**RTTM, "num_speakers": 5}, "--rttm brings its own turns: --num-speakers 5 would do nothing"),
        ({**RTTM, "diarizer_model": "x/y"}, "--rttm brings its own turns: --diarizer-model x/y"),
        ({**SCRIPT, "task": "translate"}, "--script brings its own words: --task translate"),
        ({**SCRIPT, "model": "tiny"}, "--script brings its own words: --model tiny"),
        ({**SCRIPT, "initial_prompt": "Ann"}, "--script brings its own words: --initial-prompt Ann"),
        ({**SCRIPT, "beam_size": "2"}, "--script brings its own words: --beam-size 2"),
        ({"transcriber": "sphinx", "initial_prompt": "Ann"}, "--transcriber sphinx has nothing of the kind"),
        ({"transcriber": "sphinx", "suppress_numerals": True}, "--suppress-numerals would do nothing"),
        ({"channels": "split", "separator": "adapted"}, "no voices are separated: --separator adapted"),
        ({"separate": "off", "separator": "dictionary"}, "--separate off separates no voices"),
        ({"separator": "dictionary", "adapt_budget": 5.0}, "--adapt-budget 5.0 would do nothing"),
        ({"tracks": False, "track_format": "mp3"}, "--no-tracks writes no tracks: --track-format mp3"),
        ({"channel_names": "Agent,Customer"}, "add --channels split"),
        ({"channels": "mix", "channel_names": "Agent,Customer"}, "--channels mix has no channel per person"),
    ],
)
def test_an_option_without_effect_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        resolve_settings(options, names())
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    "options",
    [
        {**RTTM, "diarizer": "rttm", "num_speakers": None},
        {**SCRIPT, "language": "de", "task": "transcribe", "transcriber": "script"},
        {"channels": "split", "separator": "none", "separate": "off", "channel_names": "Agent,Customer"},
        {"separate": "off", "separator": "none"},
    ],
)
def test_an_option_that_says_the_same_is_none(options: dict[str, Any]) -> None:
    resolve_settings(options, names())


def test_the_command_line_takes_the_place_of_what_a_file_says(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text('model = "small"\nnum_speakers = 3\ndiarizer = "pyannote"\nhotwords = "Ann"\ntask = "translate"\n')
    settings, _ = resolve_settings({"config": file, **RTTM, **SCRIPT}, names())
    assert (settings.model, settings.num_speakers, settings.hotwords, settings.task) == (None, None, None, "transcribe")
    assert (settings.diarizer, settings.transcriber) == ("rttm", "script")
    file.write_text(file.read_text() + 'channel_names = ["Agent"]\n')
    assert resolve_settings({"config": file}, names())[1].channel_names == ()
    settings, outputs = resolve_settings({"config": file, "channels": "split"}, names())
    assert outputs.channel_names == ("Agent",)
    assert (settings.num_speakers, settings.diarizer, settings.model) == (None, "auto", "small")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Settings(model="large-v2", offline=True, separate="off", diarizer="rttm", **RTTM), "openai-whisper large-v2"),
        (Settings(diarizer_model="me/mine", offline=True), "me/mine"),
        (Settings(separator_model="me/mine", offline=True, diarizer="rttm", **RTTM), "me/mine"),
    ],
)
def test_a_model_that_was_named_never_falls_back(
    settings: Settings, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    Path("a.rttm").touch()
    with pytest.raises(MissingWeights, match=message):
        preflight(settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Settings(transcriber="sphinx", language="de"), "sphinx knows English only"),
        (Settings(transcriber="sphinx", task="translate"), "sphinx writes down English only"),
        (Settings(language="germna"), "did you mean 'german'"),
        (Settings(model="small.en", language="German"), "drop the .en"),
        (Settings(model="small.en", task="translate"), "drop the .en"),
        (Settings(script=Path("gone.stm")), "gone.stm: cannot be read"),
        (Settings(rttm=Path("gone.rttm")), "gone.rttm: cannot be read"),
    ],
)
def test_what_a_transcriber_lacks_is_known_before_the_work(settings: Settings, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        check_settings(settings)


@pytest.mark.parametrize("wish", [{"language": "de"}, {"task": "translate"}, {"initial_prompt": "Ann"}])
def test_auto_never_falls_back_to_a_transcriber_that_lacks_it(
    wish: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "a.rttm").touch()
    settings = Settings(rttm=tmp_path / "a.rttm", separate="off", offline=True, **wish)
    with pytest.raises(
        MissingWeights, match=r"no transcriber can run here\. (faster-whisper: .*; )?whisper: .*; sphinx: --"
    ) as caught:
        preflight(settings)
    assert "or use --transcriber sphinx" not in str(caught.value)


@pytest.mark.parametrize(("language", "advised"), [("en", True), ("de", False)])
def test_sphinx_is_advised_where_it_knows_the_language(
    language: str, advised: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "a.rttm").touch()
    settings = Settings(
        rttm=tmp_path / "a.rttm", separate="off", transcriber="whisper", language=language, offline=True
    )
    with pytest.raises(MissingWeights, match="meetsplit models fetch small") as caught:
        preflight(settings)
    assert ("or use --transcriber sphinx" in str(caught.value)) is advised


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rediarize", "a.json", "--model", "tiny"], "keeps the transcript's words: drop --model"),
        (["rediarize", "a.json", "--task", "translate"], "drop --task"),
        (["rediarize", "a.json", "--script", "a.stm"], "drop --script"),
        (["rediarize", "a.json", "--beam_size", "2"], "drop --beam-size"),
        (["rediarize", "a.json", "--language", "de"], "drop --language"),
        (["rediarize", "a.json", "--start", "10"], "drop --start"),
        (["run", "a.wav", "b.wav", "--together", "x", "--channels", "mix"], "drop --channels mix"),
    ],
)
def test_a_command_refuses_what_it_does_not_do(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_formats_given_one_by_one_are_all_written() -> None:
    _, outputs = resolve_settings({"output_format": ["srt", "vtt,aud"]}, names())
    assert outputs.formats == ("srt", "vtt", "audacity")


def test_places_where_voices_are_separated_have_names_of_their_own() -> None:
    strict, earlier = Settings(separate="strict"), Settings(separate="auto")
    assert strict == earlier
    assert strict.recorded() == earlier.recorded()
