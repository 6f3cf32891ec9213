"""Our numbers are the numbers of the reference tools, on generated meetings and on every sample.

Word error rates against the command ``meeteval-wer``; turns against pyannote.metrics, and against NIST's md-eval-22
through meeteval. md-eval is Perl of NIST that no Python package carries: its results for the same meetings are stored
in ``score_md_eval.json`` (written by ``python tests/test_score_agrees.py`` with md-eval installed, Debian: sctk) and is
asked again where it is installed.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest

from meetsplit.pipeline.data import Span, Turn
from meetsplit.pipeline.data.timeline import merge_turns
from meetsplit.scoring.diarization import TurnErrors, turn_errors
from meetsplit.scoring.normalize import normalizer
from meetsplit.scoring.pairing import pair_up
from meetsplit.scoring.protocol import Protocol
from meetsplit.scoring.scores import Scores, score
from meetsplit.scoring.word_errors import WORD_METRICS

HERE = Path(__file__).parent
SAMPLES = sorted((HERE.parent / "sample_data").glob("*.stm"))
WORDS = (
    "yes",
    "no",
    "um",
    "twenty",
    "five",
    "i'm",
    "don't",
    "the",
    "a",
    "$20",
    "friday",
    "colour",
    "color",
    "ok",
    "okay",
    "it",
    "is",
)
COUNT = 24
INSTALLED = [
    path
    for path in (*map(Path, filter(None, [shutil.which("md-eval-22.pl")])), Path("/usr/lib/sctk/bin/md-eval.pl"))
    if path.exists()
]
CONDITIONS = ((0.0, False), (0.25, False), (0.0, True), (0.25, True))


@dataclass(frozen=True)
class Line:
    meeting: str
    speaker: str
    start: float
    end: float
    words: tuple[str, ...]


def conversation(meeting: str, dice: random.Random) -> list[Line]:
    """A conversation: people take turns, often before the other has finished; a speaker never overlaps itself."""
    speakers = [f"spk{n}" for n in range(dice.randint(1, 4))]
    free = dict.fromkeys(speakers, 0.0)
    at, lines = dice.uniform(0, 3), []
    for _ in range(dice.randint(3, 25)):
        speaker = dice.choice(speakers)
        words = tuple(dice.choice(WORDS) for _ in range(dice.randint(1, 12)))
        start = round(max(at, free[speaker] + 0.2), 2)
        end = round(start + len(words) * dice.uniform(0.2, 0.5), 2)
        lines.append(Line(meeting, speaker, start, end, words))
        free[speaker] = end
        at = max(0.0, end + dice.uniform(-2.0, 1.0))
    return sorted(lines, key=lambda line: line.start)


def recognized(lines: Iterable[Line], dice: random.Random) -> list[Line]:
    """The conversation with words lost, wrong and invented, speakers late, lines lost or of the wrong speaker."""
    late = {speaker: dice.choice((0.0, 0.0, 0.0, 7.0, 15.0)) for speaker in sorted({line.speaker for line in lines})}
    names = {speaker: f"SPEAKER_{n:02d}" for n, speaker in enumerate(sorted({line.speaker for line in lines}))}
    hypothesis = []
    for line in lines:
        words = [dice.choice(WORDS) if dice.random() < 0.1 else word for word in line.words if dice.random() > 0.1]
        words += [dice.choice(WORDS)] if dice.random() < 0.2 else []
        speaker = names[line.speaker] if dice.random() > 0.15 else dice.choice([*names.values(), "SPEAKER_09"])
        start = round(max(0.0, line.start + late[line.speaker] + dice.uniform(-0.4, 0.4)), 2)
        end = round(max(start + 0.1, line.end + late[line.speaker] + dice.uniform(-0.4, 0.4)), 2)
        if words and dice.random() > 0.05:
            hypothesis.append(Line(line.meeting, speaker, start, end, tuple(words)))
    return sorted(hypothesis or [Line(line.meeting, "SPEAKER_00", 0.0, 1.0, ("yes",))], key=lambda line: line.start)


def meetings() -> list[tuple[list[Line], list[Line]]]:
    made = []
    for seed in range(COUNT):
        dice = random.Random(seed)
        reference = conversation(f"m{seed:02d}", dice)
        made.append((reference, recognized(reference, dice)))
    return made


def stm(lines: Iterable[Line]) -> str:
    return "".join(
        f"{line.meeting} 1 {line.speaker} {line.start} {line.end} {' '.join(line.words)}\n" for line in lines
    )


def normalised(text: str) -> str:
    normalize = normalizer("english")
    fields = [line.split(maxsplit=5) for line in text.splitlines() if line.strip() and not line.startswith(";")]
    return "".join(f"{' '.join(line[:5])} {normalize(' '.join(line[5:]))}\n" for line in fields)


Turns: TypeAlias = dict[str, tuple[Turn, ...]]


def all_turns() -> tuple[Turns, Turns]:
    pairs = meetings()
    return {a[0].meeting: turns_of(a) for a, _ in pairs}, {a[0].meeting: turns_of(b) for a, b in pairs}


def sample_turns() -> tuple[Turns, Turns]:
    truth = {sample.stem: pair_up([sample], [sample]).pairs[0].reference.turns for sample in SAMPLES}
    later = {
        name: merge_turns(Turn(Span(t.span.start + 0.3, t.span.end + 0.5), t.speaker) for t in turns)
        for name, turns in truth.items()
    }
    return truth, later


def turns_of(lines: Iterable[Line]) -> tuple[Turn, ...]:
    return merge_turns(Turn(Span(line.start, line.end), line.speaker) for line in lines)


def meeteval_wer(metric: str, reference: Path, hypothesis: Path, folder: Path) -> dict[str, dict[str, int]]:
    """What the command ``meeteval-wer`` writes; its functions are called without starting Python for each metric."""
    out = folder / f"{metric}.json"
    collar = {"collar": 5} if metric.startswith("tc") else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from meeteval.wer import __main__ as commands

        write = getattr(commands, metric)
        places = {"per_reco_out": str(out), "average_out": str(folder / "average.json")}
        write([str(reference)], [str(hypothesis)], **places, **collar)
    rates: dict[str, dict[str, int]] = json.loads(out.read_text())
    return rates


def agree(scores: Scores, reference: Path, hypothesis: Path, folder: Path) -> None:
    for metric in WORD_METRICS:
        theirs = meeteval_wer(metric, reference, hypothesis, folder)
        assert {row.name for row in scores.recordings} == set(theirs)
        for row in scores.recordings:
            ours = row.total.words[metric]
            assert (ours.errors, ours.length) == (theirs[row.name]["errors"], theirs[row.name]["length"]), (
                metric,
                row.name,
            )
        total = scores.pooled.total.words[metric]
        assert total.rate == sum(r["errors"] for r in theirs.values()) / sum(r["length"] for r in theirs.values())


def test_words_equal_meeteval_on_generated_meetings(tmp_path: Path) -> None:
    pairs = meetings()
    files = {}
    for n, side in enumerate(("ref", "hyp")):
        text = "".join(stm(pair[n]) for pair in pairs)
        for name, content in ((side, text), (f"{side}-normalised", normalised(text))):
            files[name] = tmp_path / f"{name}.stm"
            files[name].write_text(content)
    scores = score(pair_up([files["hyp"]], [files["ref"]]).pairs, Protocol())
    assert len(scores.recordings) == COUNT
    rates = {metric: errors.rate or 0.0 for metric, errors in scores.pooled.total.words.items()}
    assert 0.1 < rates["cpwer"] < rates["tcpwer"] < 1.0
    agree(scores, files["ref-normalised"], files["hyp-normalised"], tmp_path)


def test_words_with_their_own_times_equal_meeteval_with_one_word_per_segment(tmp_path: Path) -> None:
    hypotheses, rows = [], []
    for _, lines in meetings()[:6]:
        segments = []
        for line in lines:
            step = (line.end - line.start) / len(line.words)
            words = [
                {"word": word, "start": round(line.start + n * step, 3), "end": round(line.start + (n + 1) * step, 3)}
                for n, word in enumerate(line.words)
            ]
            segments.append(
                {
                    "start": line.start,
                    "end": line.end,
                    "speaker": line.speaker,
                    "text": " ".join(line.words),
                    "words": words,
                }
            )
            rows += [
                {
                    "session_id": line.meeting,
                    "speaker": line.speaker,
                    "start_time": w["start"],
                    "end_time": w["end"],
                    "words": w["word"],
                }
                for w in words
            ]
        hypotheses.append(tmp_path / f"{lines[0].meeting}.json")
        hypotheses[-1].write_text(json.dumps({"segments": segments, "language": "en"}))
    reference, seglst = tmp_path / "ref.stm", tmp_path / "words.seglst.json"
    reference.write_text("".join(stm(pair[0]) for pair in meetings()[:6]))
    seglst.write_text(json.dumps(rows))
    scores = score(pair_up(hypotheses, [reference]).pairs, Protocol(normalizer="none"))
    theirs = meeteval_wer("tcpwer", reference, seglst, tmp_path)
    ours = {row.name: row.total.words["tcpwer"].errors for row in scores.recordings}
    assert ours == {name: rates["errors"] for name, rates in theirs.items()}


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_words_equal_meeteval_on_the_samples(sample: Path, tmp_path: Path) -> None:
    dice = random.Random(0)
    truth = [
        line.split(maxsplit=5) for line in sample.read_text().splitlines() if line.strip() and not line.startswith(";")
    ]
    lines = [Line(f[0], f[2], float(f[3]), float(f[4]), tuple(f[5].split())) for f in truth if len(f) == 6]
    hypothesis = tmp_path / "hyp.stm"
    hypothesis.write_text(stm(recognized(lines, dice)))
    clean = [tmp_path / "ref-normalised.stm", tmp_path / "hyp-normalised.stm"]
    for path, source in zip(clean, (sample, hypothesis), strict=True):
        path.write_text(normalised(source.read_text()))
    agree(score(pair_up([hypothesis], [sample]).pairs, Protocol()), clean[0], clean[1], tmp_path)


def test_turns_equal_pyannote_metrics() -> None:
    for reference, hypothesis in meetings():
        for collar, skip in CONDITIONS:
            ours = turn_errors(turns_of(reference), turns_of(hypothesis), collar=collar, skip_overlap=skip).total
            theirs = by_pyannote(turns_of(reference), turns_of(hypothesis), collar, skip)
            same(ours, theirs["der"], 1e-6)
            assert ours.jer == pytest.approx(theirs["jer"]["jaccard error rate"], abs=1e-6)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_turns_equal_pyannote_metrics_on_the_samples(sample: Path) -> None:
    truth, later = (side[sample.stem] for side in sample_turns())
    for collar, skip in CONDITIONS:
        ours = turn_errors(truth, later, collar=collar, skip_overlap=skip).total
        same(ours, by_pyannote(truth, later, collar, skip)["der"], 1e-6)


def by_pyannote(
    reference: Sequence[Turn], hypothesis: Sequence[Turn], collar: float, skip: bool
) -> dict[str, dict[str, float]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pyannote.core import Annotation, Segment
        from pyannote.metrics.diarization import DiarizationErrorRate, JaccardErrorRate

        sides = []
        for turns in (reference, hypothesis):
            sides.append(Annotation())
            for number, turn in enumerate(turns):
                sides[-1][Segment(turn.span.start, turn.span.end), number] = turn.speaker
        options = {"collar": 2 * collar, "skip_overlap": skip}
        metrics = {"der": DiarizationErrorRate(**options), "jer": JaccardErrorRate(**options)}
        return {name: metric(*sides, detailed=True) for name, metric in metrics.items()}


def same(ours: TurnErrors, theirs: dict[str, float], tolerance: float) -> None:
    values = [theirs[name] for name in ("missed detection", "false alarm", "confusion", "total")]
    assert [ours.miss, ours.false_alarm, ours.confusion, ours.total] == pytest.approx(values, abs=tolerance)


def test_turns_equal_what_md_eval_said() -> None:
    recorded = json.loads((HERE / "score_md_eval.json").read_text())
    assert len(recorded) == len(CONDITIONS)
    for collar, skip in CONDITIONS:
        assert len(recorded[f"collar {collar}, skip {skip}"]) == COUNT
        compare(recorded[f"collar {collar}, skip {skip}"], all_turns(), collar, skip)


@pytest.mark.skipif(
    not INSTALLED, reason="md-eval is not installed here; its recorded answers are compared in the test above"
)
def test_turns_equal_md_eval_as_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    precise(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    for collar, skip in CONDITIONS[::3]:
        for sides in (all_turns(), sample_turns()):
            compare(by_md_eval(sides, collar, skip), sides, collar, skip)


def precise(folder: Path) -> None:
    """A copy of md-eval that prints its seconds with all digits, as the copy in dscore does, which meeteval reads."""
    text = INSTALLED[0].read_text("latin-1")
    (folder / "md-eval-22.pl").write_text(
        re.sub(r"((?:SPEAKER|ERROR) TIME =)%[\d.]+f secs", r"\1%f secs", text), "latin-1"
    )
    (folder / "md-eval-22.pl").chmod(0o755)


def compare(recorded: dict[str, dict[str, float]], sides: tuple[Turns, Turns], collar: float, skip: bool) -> None:
    assert set(recorded) == set(sides[0])
    for name, theirs in recorded.items():
        ours = turn_errors(sides[0][name], sides[1][name], collar=collar, skip_overlap=skip).total
        if collar or skip:
            # md-eval pairs the speakers before it cuts collars and overlaps away, pyannote.metrics after: the latter's
            # confusion is the smallest possible in what is scored, and ours
            assert ours.confusion <= theirs["confusion"] + 1e-3
            same(ours, {**theirs, "confusion": ours.confusion}, 1e-3)
        else:
            same(ours, theirs, 1e-3)


def by_md_eval(sides: tuple[Turns, Turns], collar: float, skip: bool) -> dict[str, dict[str, float]]:
    from meeteval.der.nryant_dscore import dscore_multifile
    from meeteval.io import RTTM

    def rttm(turns: Turns) -> object:
        heads = [(f"SPEAKER {name} 1 {turn.span.start:.3f}", turn) for name, own in turns.items() for turn in own]
        return RTTM.parse(
            "\n".join(f"{head} {turn.span.duration:.3f} <NA> <NA> {turn.speaker} <NA> <NA>" for head, turn in heads)
        )

    rates = dscore_multifile(rttm(sides[0]), rttm(sides[1]), collar=collar, regions="nooverlap" if skip else "all")
    return {
        name: {
            "missed detection": float(rate.missed_speaker_time),
            "false alarm": float(rate.falarm_speaker_time),
            "confusion": float(rate.speaker_error_time),
            "total": float(rate.scored_speaker_time),
        }
        for name, rate in sorted(rates.items())
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        precise(Path(folder))
        os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"
        answers = {
            f"collar {collar}, skip {skip}": by_md_eval(all_turns(), collar, skip) for collar, skip in CONDITIONS
        }
    (HERE / "score_md_eval.json").write_text(json.dumps(answers, indent=1, sort_keys=True) + "\n")
