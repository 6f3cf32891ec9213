"""Names and numerals: what is asked for reaches every window, in whatever language."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from voices import babble
from whisper.decoding import SuppressTokens

from meetsplit.console.options import resolve_settings
from meetsplit.pipeline.data import Audio
from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.events import Notice
from meetsplit.pipeline.settings import Settings
from meetsplit.pipeline.transcribers.whisper import WhisperTranscriber

FORMATS = ("srt", "json")


def loaded(path: Path, **settings: Any) -> WhisperTranscriber:
    return WhisperTranscriber.load(Settings(model=str(path), **settings), {"model": path}, "cpu")


@pytest.mark.parametrize(
    ("content", "expected"), [("Kübler-Ross\n\n palliative care \n", "Kübler-Ross, palliative care"), ("Ann", "Ann")]
)
def test_hot_words_in_a_file(tmp_path: Path, content: str, expected: str) -> None:
    file = tmp_path / "names.txt"
    file.write_text(content, "utf-8")
    assert resolve_settings({"hotwords": str(file)}, FORMATS)[0].hotwords == expected


def test_hot_words_that_name_no_file_are_the_words_and_a_file_must_hold_some(tmp_path: Path) -> None:
    for words in ("Ann, Bo", "Ann " * 2000, "names.txt"):
        assert resolve_settings({"hotwords": words}, FORMATS)[0].hotwords == words
    file = tmp_path / "names.txt"
    for content, complaint in ((b"\n \n", "holds no names"), (b"\xff\xfe\x00", "not UTF-8")):
        file.write_bytes(content)
        with pytest.raises(SettingsError, match=complaint):
            resolve_settings({"hotwords": str(file)}, FORMATS)


def test_names_reach_every_window_in_every_language_and_numerals_none(whisper_file: Path) -> None:
    transcriber = loaded(whisper_file, hotwords="Ann", initial_prompt="Minutes", suppress_numerals=True)
    for language in ("en", "de"):
        task = transcriber.decoder.decoding_task(language)
        prompt = task.tokenizer.decode(list(task.initial_tokens[1 : task.sot_index])).strip()
        assert prompt == "Ann. Minutes"
        (never,) = (rule.suppress_tokens for rule in task.logit_filters if isinstance(rule, SuppressTokens))
        forbidden = set(never)
        for text in (" 7", "12", "%", " $"):
            assert forbidden >= {
                token for token in task.tokenizer.encode(text) if task.tokenizer.decode([token]).strip()
            }
        assert not forbidden & set(task.tokenizer.encode(" seven percent"))


def test_a_prompt_that_whisper_does_not_read_whole_is_told(whisper_file: Path) -> None:
    events: list[Any] = []
    for names in ("Ann", "Ann Bo Cy Di Ed " * 20):
        list(loaded(whisper_file, hotwords=names, language="en").transcribe([Audio(babble(1.0), 16000)], events.append))
    (notice,) = (event.text for event in events if isinstance(event, Notice))
    assert notice.startswith("--hotwords: Whisper reads 31 tokens of a prompt, this one has ")
