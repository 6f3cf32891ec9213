"""Each benchmark writes its own section of the page and leaves the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from meetsplit.benchmarks import report_page


def test_a_section_is_replaced_again_and_again_and_the_rest_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "benchmarks.md"
    file.write_text(
        "before\n<!-- speed -->\n<!-- /speed -->\nbetween\n<!-- other -->\nkept\n<!-- /other -->\n", "utf-8"
    )
    monkeypatch.setattr(report_page, "PAGE", file)
    report_page.publish("speed", "| first |", ["python", "-m", "x"], into_page=True)
    report_page.publish("speed", "| second |", ["python", "-m", "x"], into_page=True)
    written = file.read_text("utf-8")
    assert "| second |" in written
    assert "| first |" not in written
    assert written.startswith("before\n")
    assert written.endswith("between\n<!-- other -->\nkept\n<!-- /other -->\n")
    assert "`python -m x`" in written
    assert "| second |" in capsys.readouterr().out


def test_a_section_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "benchmarks.md"
    file.write_text("nothing\n", "utf-8")
    monkeypatch.setattr(report_page, "PAGE", file)
    with pytest.raises(SystemExit, match="no section 'speed'"):
        report_page.publish("speed", "| row |", ["x"], into_page=True)
