"""Pinned outputs of `rediarize`, `review`, edits, `score`, `doctor` and `models list`, run on the sample meeting.

Turns and words are given, and the cache and the home folder are empty, so that neither models nor this machine matter;
versions and paths are replaced by placeholders. `python tests/test_command_outputs.py` writes
``tests/golden/commands.json`` anew.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from forkserver import ForkServer, run_command

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "sample_data"
PINNED = Path(__file__).parent / "golden" / "commands.json"
PACKAGES = r"meetsplit|python|torch|torchaudio|pyannote\.audio|speechbrain|openai-whisper|ctranslate2|av|pocketsphinx"


@dataclass(frozen=True, slots=True)
class Place:
    """A folder to run commands in, and the server that forks them."""

    folder: Path
    forks: ForkServer | None

    def run(self, *arguments: str | Path, code: int = 0) -> list[str]:
        """The lines that a command prints on stdout, with placeholders for paths and versions; checks the exit code."""
        cleared = ("MEETSPLIT", "HF_", "XDG_", "TORCH_HOME")
        env = {name: value for name, value in os.environ.items() if not name.startswith(cleared)}
        env |= {"HOME": str(self.folder / "home"), "COLUMNS": "200"}
        done = run_command(self.forks, arguments, env=env, cwd=self.folder)
        assert done.returncode == code, done.stderr
        lines = []
        for line in done.stdout.splitlines():
            plain = line.replace(str(self.folder), "FOLDER").replace(str(ROOT), "ROOT").rstrip()
            plain = re.sub(
                rf"({PACKAGES}) (\d[\w.+]*|missing)", r"\1 VERSION", re.sub(r"^meetsplit +", "meetsplit ", plain)
            )
            lines.append(plain)
        return lines


def transcript(place: Place) -> Path:
    """The transcript of the sample meeting with its own turns and words."""
    given = ("--rttm", SAMPLE / "standup.rttm", "--script", SAMPLE / "standup.stm", "--separate", "off")
    place.run("run", SAMPLE / "standup.m4a", *given, "-f", "json", "--no-tracks", "-q", "--no-cache", "-o", "out")
    return place.folder / "out" / "standup.json"


def rediarize(place: Place) -> Any:
    """New turns for old words: one speaker has another name, and another one is not found any more."""
    turns = [line for line in (SAMPLE / "standup.rttm").read_text("utf-8").splitlines() if " rms " not in line]
    (place.folder / "turns.rttm").write_text("\n".join(turns).replace(" slt ", " susan ") + "\n", "utf-8")
    source = transcript(place)
    before = source.read_bytes()
    options = ("--rttm", "turns.rttm", "-f", "txt,rttm", "--no-tracks", "-q")
    printed = place.run("rediarize", source, "--audio", SAMPLE / "standup.m4a", *options)
    assert source.read_bytes() == before
    return {
        "stdout": printed,
        "txt": (place.folder / "out" / "standup-rediarized.txt").read_text("utf-8").splitlines(),
        "rttm": (place.folder / "out" / "standup-rediarized.rttm").read_text("utf-8").splitlines(),
    }


def review(place: Place) -> Any:
    """Corrections beside a transcript: told by `export`, taken by `review`, and then the page is as it is."""
    before = (Path(__file__).parent / "golden" / "meeting.json").read_text("utf-8")
    (place.folder / "meeting.json").write_text(before, "utf-8")
    place.run("export", "meeting.json", "-f", "txt")
    (place.folder / "meeting.corrected (1).json").write_text(before.replace("Good", "Fine"), "utf-8")
    taken = place.run("review", "meeting.json", "--no-open")
    assert (place.folder / "meeting.original.json").read_text("utf-8") == before
    text = (place.folder / "meeting.txt").read_text("utf-8").splitlines()
    return {"taken": taken, "txt": text[:2], "again": place.run("review", "meeting.json", "--no-open")}


def edits(place: Place) -> Any:
    """People are named, merged, split at a time, and the last edit is taken back."""
    (place.folder / "meeting.json").write_bytes((Path(__file__).parent / "golden" / "meeting.json").read_bytes())
    place.run("export", "meeting.json", "-f", "rttm")
    printed = [
        place.run("name", "meeting.json", "SPEAKER_00=Eve", "SPEAKER_02=Cem"),
        place.run("merge", "meeting.json", "Eve", "Cem"),
        place.run("split", "meeting.json", "Eve", "--at", "5"),
        place.run("undo", "meeting.json"),
        place.run("name", "meeting.json"),
    ]
    return {"stdout": printed, "rttm": (place.folder / "meeting.rttm").read_text("utf-8").splitlines()}


def score(place: Place) -> Any:
    """Error rates of the transcript of given words against the reference."""
    reference = ("--ref", SAMPLE / "standup.rttm", "--ref", SAMPLE / "standup.stm", "--uem", SAMPLE / "standup.uem")
    source = transcript(place)
    table = place.run("score", source, *reference)
    data = json.loads("\n".join(place.run("score", source, *reference, "--json")))
    names = ("cpwer", "tcpwer", "der", "miss", "false_alarm", "confusion", "jer", "speaker_count_error")
    return {"pooled": {name: data["pooled"][name] for name in names}, "table": table[1].split()[:5]}


def doctor(place: Place) -> Any:
    """A machine without weights: what would run, what would not, and what to do about it; GPU and DNSMOS left out."""
    options = ("--diarizer", "embedded", "--separator", "dictionary", "--transcriber", "sphinx", "--device", "cpu")
    lines = place.run("doctor", *options, "--offline", "--cache-dir", place.folder / "cache", code=1)
    assert any(line.startswith("GPU ") for line in lines)
    return [line for line in lines if not line.startswith(("GPU ", "track quality "))]


def models_list(place: Place) -> Any:
    """A machine without weights; Whisper's models, which its version decides, faster-whisper's and DNSMOS left out."""
    lines = place.run("models", "list", "--cache-dir", place.folder / "cache")
    assert any("openai-whisper tiny.en" in line for line in lines)
    assert any(line.split()[:2] == ["faster-small", "Systran/faster-whisper-small"] for line in lines)
    assert any("DNSMOS P.835" in line for line in lines)
    kept = [line for line in lines if "openai-whisper " not in line and not line.startswith((" faster-", " dnsmos "))]
    return [re.sub("─+", "─", line) for line in kept]  # as long as the longest path


OUTPUTS: dict[str, Callable[[Place], Any]] = {
    "rediarize": rediarize,
    "review": review,
    "edits": edits,
    "score": score,
    "doctor": doctor,
    "models list": models_list,
}


@pytest.mark.parametrize("command", OUTPUTS)
def test_outputs_are_as_pinned(command: str, tmp_path: Path, forks: ForkServer | None) -> None:
    pinned = json.loads(PINNED.read_text("utf-8"))
    assert OUTPUTS[command](Place(tmp_path, forks)) == pinned[command]


def test_an_unknown_backend_is_answered_with_the_nearest_name(tmp_path: Path, forks: ForkServer | None) -> None:
    assert Place(tmp_path, forks).run("doctor", "--diarizer", "pyanote", code=2) == []


def pin() -> None:
    outputs: dict[str, Any] = {}
    with ForkServer() as forks:
        for name, make in OUTPUTS.items():
            with TemporaryDirectory() as folder:
                outputs[name] = make(Place(Path(folder), forks))
    PINNED.write_text(json.dumps(outputs, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    pin()
