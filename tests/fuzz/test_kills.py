"""Twenty kills of every command, each followed by the same command; in the end everything is as if nothing had
happened.
"""

from __future__ import annotations

import random

import pytest

from fuzz import kills


def test_the_stage_of_a_kill_is_what_was_said_last() -> None:
    assert kills.stage_in("") == "start"
    assert kills.stage_in("decode …\ndecode 0.1 s: 60 s\ndiarize …\n") == "diarize"
    assert kills.stage_in("2026-11-27 12:00:00 a.wav: decode …\n2026-11-27 12:00:01 a.wav: write …\n") == "write"
    assert kills.stage_in("decode …\nwrite …\nwrite 0.1 s: 4 files\n") == "after"


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", kills.KINDS)
def test_twenty_kills(kind: str) -> None:
    tally = kills.run([kind], 20, random.randrange(1_000_000))
    assert tally.findings == []
    assert tally.kills == {kind: 20}
