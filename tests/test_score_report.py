"""How scores are shown: the data's exact shape, the table, and the protocol beside every number."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from meetsplit.scoring.pairing import pair_up
from meetsplit.scoring.protocol import Protocol
from meetsplit.scoring.report import as_data, as_table
from meetsplit.scoring.scores import Scores, score

RATES = {"cpwer", "tcpwer", "der", "miss", "false_alarm", "confusion", "jer"}


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Scores:
    folder: Path = tmp_path_factory.mktemp("score")
    (folder / "ref.stm").write_text(
        "a 1 A 0 4 one of these words\na 1 B 3 6 and more of them\n"
        "b 1 A 0 10 a long and lonely speech about all of it\n"
    )
    (folder / "hyp.stm").write_text(
        "a 1 x 0 4 one of those words\na 1 y 3 6 and more\nb 1 z 0 10 a long and lonely speech about all of it\n"
    )
    (folder / "two.rttm").write_text("SPEAKER c 1 0 1 <NA> <NA> A <NA> <NA>\n")
    paired = pair_up([folder / "hyp.stm", folder / "two.rttm"], [folder / "ref.stm", folder / "two.rttm"])
    return score(paired.pairs, Protocol(normalizer="basic"), notices=paired.notices)


def test_data_has_the_promised_shape(scores: Scores) -> None:
    data = json.loads(json.dumps(as_data(scores), allow_nan=False))
    assert set(data) == {"pooled", "recordings", "protocol", "notices"}
    assert list(data["recordings"]) == ["a", "b", "c"]
    for row in (data["pooled"], *data["recordings"].values()):
        for part in (row, row["overlap"], row["clean"]):
            assert RATES | {"speaker_count_error", "counts", "reasons"} <= set(part)
            assert {metric for metric in ("cpwer", "der", "jer") if part[metric] is None} <= set(part["reasons"])
    assert data["recordings"]["a"]["cpwer"] == 3 / 8
    assert data["pooled"]["cpwer"] == 3 / 17
    assert data["pooled"]["counts"]["cpwer"] == {
        "errors": 3,
        "insertions": 0,
        "deletions": 2,
        "substitutions": 1,
        "words": 17,
    }
    assert data["recordings"]["b"]["overlap"]["cpwer"] is None
    assert (
        data["recordings"]["b"]["overlap"]["reasons"]["cpwer"]
        == "the reference has no words in the overlapped stretches"
    )


def test_the_protocol_stands_beside_the_numbers(scores: Scores) -> None:
    protocol = as_data(scores)["protocol"]
    assert (protocol["collar"], protocol["skip_overlap"], protocol["normalizer"], protocol["word_collar"]) == (
        0.0,
        False,
        "basic",
        5.0,
    )
    assert set(protocol["versions"]) == {"meeteval", "pyannote.metrics", "openai-whisper"}
    table = as_table(scores)
    for line in protocol["rules"]:
        assert line in table
    assert "collar 0 s on each side" in table


def test_the_table_has_a_row_for_every_recording_and_one_pooled(scores: Scores) -> None:
    lines = as_table(scores).splitlines()
    assert lines[0].split()[:5] == ["recording", "part", "words", "cpWER", "tcpWER"]
    assert [line.split()[0] for line in lines[1:13:3]] == ["a", "b", "c", "pooled"]
    assert [line.split()[0] for line in lines[2:4]] == ["overlap", "clean"]
    assert lines[1].split()[2:5] == ["8", "37.5", "37.5"]
    assert "note: c: cpwer, tcpwer: the reference has turns but no words" in lines
    assert "note: pooled: words are pooled over 2 of 3 recordings; the others have turns only" in lines


def test_a_skipped_overlap_has_no_turn_scores_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.stm").write_text("a 1 A 0 4 one\na 1 B 3 6 two\n")
    scores = score(pair_up([tmp_path / "a.stm"], [tmp_path / "a.stm"]).pairs, Protocol(skip_overlap=True, collar=0.25))
    data = as_data(scores)
    assert data["pooled"]["overlap"]["der"] is None
    assert data["pooled"]["der"] == 0.0
    assert "overlap skipped" in as_table(scores)
    assert "note: overlap is skipped" in as_table(scores)
