"""Listeners of `events`: tqdm bars and the log."""

from __future__ import annotations

import io
import logging

import pytest

from meetsplit.pipeline.events import Finished, Notice, Progressed, Started, TqdmListener, log_events


def test_bars_follow_the_stages() -> None:
    screen = io.StringIO()
    with TqdmListener(file=screen, ncols=80, mininterval=0.0) as listener:
        listener(Started("decode"))
        listener(Progressed("decode", 30.0, 60.0))
        assert " 50%" in screen.getvalue()
        listener(Started("decode", 120.0))
        listener(Progressed("decode", 90.0))
        listener(Finished("decode", 1.0, "120 s"))
        listener(Notice("its channels \x1b[2J hold people", "decode"))
        listener(Finished("write", 1.0))
        listener(Started("transcribe", 10.0))
    last = [line.split("\r")[-1].rstrip() for line in screen.getvalue().split("\n") if line.strip()]
    assert [line.split()[0] for line in last] == ["decode", "decode:", "write", "transcribe"]
    assert "100%" in last[0]
    assert last[0].endswith("120 s")
    assert "\x1b[2J" not in screen.getvalue(), "a file's name is no command for the terminal"
    assert "100%" in last[2]


def test_a_failed_stage_leaves_no_bar_open() -> None:
    screen = io.StringIO()
    listener = TqdmListener(file=screen)
    listener(Started("decode", 10.0))
    listener.close()
    length = len(screen.getvalue())
    listener.close()
    assert len(screen.getvalue()) == length


def test_the_log_has_notices_as_warnings(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "meetsplit"):
        for event in (Started("decode"), Progressed("decode", 1.0), Finished("decode", 1.25, "60 s"), Notice("hm\x1b")):
            log_events(event)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "decode done in 1.2 s: 60 s"),
        ("WARNING", "hm\\x1b"),
    ]
