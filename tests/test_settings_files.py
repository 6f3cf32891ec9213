"""Settings files: where they are found, who wins, and every option in its obvious spelling."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from meetsplit.cli import main
from meetsplit.console.job_options import QueueOptions, job_request, queue_options
from meetsplit.console.options import keeps_cache, resolve_settings
from meetsplit.console.settings_files import QUEUE_OPTIONS, user_file
from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.formats import names as format_names
from meetsplit.pipeline.settings import Outputs, Settings, fields_with_options, from_toml

EXAMPLE = Path(__file__).parents[1] / "docs" / "meetsplit.example.toml"
EXAMPLE_LINE = re.compile(r"^# ([\w-]+ = .*)$", re.M)
PEOPLE = (("SPEAKER_00", "Anna"), ("SPEAKER_01", "Ben Lee"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, and a home folder with a place for settings."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "config" / "meetsplit").mkdir(parents=True)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def resolved(options: dict[str, Any] | None = None) -> tuple[Settings, Outputs]:
    return resolve_settings(options or {}, format_names())


@pytest.mark.parametrize(
    "text",
    [
        '[names]\nSPEAKER_00 = "Anna"\nSPEAKER_01 = "Ben Lee"\n',
        'names = {SPEAKER_00 = "Anna", SPEAKER_01 = "Ben Lee"}\n',
        'name = ["SPEAKER_00=Anna", "SPEAKER_01=Ben Lee"]\n',
        'names = ["SPEAKER_00=Anna", "SPEAKER_01=Ben Lee"]\n',
        'names = [["SPEAKER_00", "Anna"], ["SPEAKER_01", "Ben Lee"]]\n',
        '[output]\nname = {SPEAKER_00 = "Anna", SPEAKER_01 = "Ben Lee"}\n',
    ],
)
def test_people_are_named_in_every_spelling(folder: Path, text: str) -> None:
    (folder / "meetsplit.toml").write_text(text, "utf-8")
    assert resolved()[1].names == PEOPLE


def test_names_alone_are_in_order_of_first_speech(folder: Path) -> None:
    (folder / "meetsplit.toml").write_text('names = ["Anna", "Ben Lee"]\n', "utf-8")
    assert resolved()[1].names_in_order == ("Anna", "Ben Lee")
    assert resolved({"names": "Cleo, Dan"})[1].names_in_order == ("Cleo", "Dan")
    assert resolved({"names": "SPEAKER_00=Anna,SPEAKER_01=Ben Lee"})[1].names == PEOPLE


def test_names_of_the_command_line_join_or_replace_those_of_a_file(folder: Path) -> None:
    (folder / "meetsplit.toml").write_text('[names]\nSPEAKER_00 = "Anna"\nSPEAKER_01 = "Ben Lee"\n', "utf-8")
    assert resolved({"name": ["SPEAKER_01=Cleo"]})[1].names == (*PEOPLE, ("SPEAKER_01", "Cleo"))
    in_order = resolved({"names": "Cleo,Dan"})[1]
    assert (in_order.names, in_order.names_in_order) == ((), ("Cleo", "Dan"))
    by_channel = resolved({"channel_names": "Agent,Customer", "channels": "split"})[1]
    assert (by_channel.names, by_channel.channel_names) == ((), ("Agent", "Customer"))


def test_the_command_line_wins_over_the_folder_and_that_over_the_user(folder: Path) -> None:
    user_file().write_text('language = "fr"\nseed = 1\n[machine]\ndevice = "cpu"\ncache = false\n', "utf-8")
    (folder / "meetsplit.toml").write_text('language = "de"\nseed = 2\n', "utf-8")
    settings, _ = resolved({"seed": 3})
    assert (settings.language, settings.seed, settings.device) == ("de", 3, "cpu")
    assert not keeps_cache({})
    assert keeps_cache({"cache": True})
    (folder / "own.toml").write_text("num_speakers = 4\n", "utf-8")
    settings, _ = resolved({"config": folder / "own.toml"})
    assert (settings.language, settings.num_speakers) == ("fr", 4), "--config stands for ./meetsplit.toml"


def test_a_command_says_which_files_it_reads(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    user_file().write_text("seed = 1\n", "utf-8")
    (folder / "meetsplit.toml").write_text("seed = 2\n", "utf-8")
    line = "settings: meetsplit.toml, then ~/config/meetsplit/config.toml"
    for quiet in ([], ["--quiet"]):
        with pytest.raises(SystemExit):
            main(["run", "nowhere.wav", *quiet])
        assert (line in capsys.readouterr().err) is not bool(quiet)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[a]\nseed = 1\n[b]\nseed = 2\n", "stands there twice"),
        ("retries = -1\n", "retries -1: a number from 0 on"),
        ("nice = 20\n", "nice 20: 0 to 19"),
        ("include = 3\n", "include 3: a text or a list of texts"),
        ('cache = "no"\n', "cache 'no': true or false"),
        ("beam_size = true\n", "--beam-size True"),
        ('names = ["Anna", "SPEAKER_01=Ben"]\n', "--name Anna: write it as SPEAKER_00=Alice"),
        ("[names]\nSPEAKER_00 = 3\n", "--name"),
    ],
)
def test_a_wrong_value_is_said_with_its_option(folder: Path, text: str, message: str) -> None:
    (folder / "meetsplit.toml").write_text(text, "utf-8")

    def read() -> None:
        resolved()
        keeps_cache({})
        queue_of_files()

    with pytest.raises(SettingsError, match=re.escape(message)):
        read()


@pytest.mark.parametrize("option", ["trust-model-code = true", 'on-done = "sh x"', 'state-dir = "x"'])
def test_a_file_that_merely_lies_there_runs_nothing_and_sends_nothing(folder: Path, option: str) -> None:
    file = folder / "meetsplit.toml"
    file.write_text(option + "\n", "utf-8")
    with pytest.raises(SettingsError, match="not taken from a file that lies in the current folder"):
        resolved()
    resolved({"config": file})
    file.rename(user_file())
    resolved()


def queue_of_files(**options: Any) -> QueueOptions:
    """The options of the queue as a command gets them."""
    received: list[QueueOptions] = []

    def command(*, queue: QueueOptions, options: Any) -> None:
        received.append(queue)

    absent = {field.name: None for field in dataclasses.fields(QueueOptions)}
    queue_options()(command)(options={}, **(absent | options))
    return received[0]


def test_options_of_the_queue_are_read_as_well(folder: Path) -> None:
    text = 'retries = 3\ninclude = "*.m4a"\nretry-delay = 5\nmove-done = "done"\npriority = "high"\n'
    (folder / "meetsplit.toml").write_text(text, "utf-8")
    queue = queue_of_files(retries=1)
    assert (queue.retries, queue.include, queue.retry_delay) == (1, ["*.m4a"], 5)
    request = job_request(queue, {}, retries=0, folder=folder / "transcripts", quiet=True)
    assert (request.on_completion.retries, request.on_completion.move_to) == (1, folder / "done")
    assert request.outputs.folder == folder / "transcripts"
    (folder / "meetsplit.toml").write_text('output_dir = "there"\n', "utf-8")
    assert job_request(queue, {}, retries=0, folder=folder, quiet=True).outputs.folder == folder / "there"


def test_the_example_file_holds_every_option_and_loads(folder: Path) -> None:
    others = (*QUEUE_OPTIONS, "cache")
    assert from_toml(EXAMPLE, others) == {}
    lines = EXAMPLE_LINE.findall(EXAMPLE.read_text("utf-8"))
    fields = [option.name or field.name for field, option in fields_with_options()]
    assert {line.partition(" =")[0].replace("-", "_") for line in lines} == {
        *fields,
        *others,
        "SPEAKER_00",
        "SPEAKER_01",
    }
    assert tuple(field.name for field in sorted(dataclasses.fields(QueueOptions), key=_in_tuple)) == QUEUE_OPTIONS
    file = folder / "own.toml"
    for line in lines:
        name = line.partition(" =")[0]
        before = {"channel-names": 'channels = "split"\n', "SPEAKER_00": "[names]\n", "SPEAKER_01": "[names]\n"}
        file.write_text(before.get(name, "") + line + "\n", "utf-8")
        settings, outputs = resolved({"config": file})
        for field, option in fields_with_options():
            if (option.name or field.name) == name.replace("-", "_"):
                value = getattr(settings if hasattr(settings, field.name) else outputs, field.name)
                assert value is not None, line


def _in_tuple(field: Any) -> int:
    return QUEUE_OPTIONS.index(field.name)
