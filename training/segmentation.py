"""Fine-tunes the segmentation of the ``embedded`` diarizer: ``python -m meetsplit.training.segmentation --data DIR --dev DIR``.

It learns from recordings with an RTTM beside each and from meetings simulated with ``--speech``, by pyannote.audio's own task.
Every so many steps the whole diarizer is run on the recordings of ``--dev``; the weights with the lowest diarization error
rate are written, if it is lower than before. Every two minutes the state is saved; the same command goes on where it was
stopped. ``meetsplit run --diarizer embedded --diarizer-model FILE`` uses what was written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from meetsplit.pipeline.diarizers.embedded import EmbeddedDiarizer
from meetsplit.pipeline.diarizers.pyannet import load_segmentation
from meetsplit.pipeline.diarizers.pyannote_compat import quiet_pyannote
from meetsplit.pipeline.errors import MeetsplitError, SettingsError
from meetsplit.pipeline.events import ignore_events
from meetsplit.pipeline.models import device, weights
from meetsplit.pipeline.settings import Settings
from meetsplit.scoring.diarization import TurnErrors, turn_errors
from meetsplit.training.model_card import Card, command
from meetsplit.training.segmentation_data import Case, Filed, annotated, filed, sample_call_folder, simulated
from meetsplit.training.segmentation_task import Windows, begun, kept, lesson, mistakes
from meetsplit.training.trainer import Course, Terms, attend, slope


@dataclass(frozen=True, slots=True)
class Judge:
    """The whole diarizer around a segmentation, on recordings whose turns are known."""

    encoder: Path
    on: str

    def errors(self, segmentation: Path, cases: Sequence[Case]) -> TurnErrors:
        """All recordings together; no collar, overlap scored, everything that is annotated."""
        diarizer = EmbeddedDiarizer.load(Settings(), {"segmentation": segmentation, "encoder": self.encoder}, self.on)
        total = TurnErrors()
        for case in cases:
            found = diarizer.diarize(case.audio, ignore_events)
            total += turn_errors(case.turns, found, uem=case.annotated).total
        return total


def told(name: str, errors: TurnErrors) -> str:
    """One line about errors."""
    missed, false, confused = (
        100 * part / errors.total for part in (errors.miss, errors.false_alarm, errors.confusion)
    )
    rate = 100 * errors.errors / errors.total
    found = f"speakers found / true {errors.speakers[1]} / {errors.speakers[0]}"
    return f"{name}: DER {rate:.1f} % (missed {missed:.1f}, false alarm {false:.1f}, confused {confused:.1f}; {found})"


def evened(real: Sequence[Filed], made: Sequence[Filed]) -> tuple[Filed, ...]:
    """Everything to learn from; real recordings so often that they are about as long as the simulated ones together."""
    often = round(sum(one.seconds for one in made) / sum(one.seconds for one in real))
    return (*(tuple(real) * max(often, 1)), *made)


def train(
    under_way: Course[Any],
    task: Windows,
    judge: Judge,
    dev: Sequence[Case],
    *,
    terms: Terms,
    chosen: argparse.Namespace,
) -> None:
    """Learns until the steps or the minutes are at an end; every exam enters the curve."""
    candidate = chosen.cache / "candidate.safetensors"

    def exam() -> str:
        kept(candidate, under_way.pupil.state_dict(), task, chosen.checkpoint)
        errors = judge.errors(candidate, dev)
        under_way.examined(-100 * errors.errors / errors.total)
        return told(f"step {under_way.step}, {under_way.seconds / 60:.1f} min, dev", errors)

    if not under_way.marks:
        print(exam(), flush=True)

    def rate(step: int) -> float:
        return float(chosen.peak) * slope(step, terms.steps, 50)

    attend(under_way, lambda step: lesson(task, chosen.seed, step), terms, rate=rate, exam=exam)
    if under_way.marks[-1].step != under_way.step:
        print(exam(), flush=True)
        under_way.save(terms.state)


def finish(
    under_way: Course[Any], task: Windows, judge: Judge, sets: Mapping[str, Sequence[Case]], chosen: argparse.Namespace
) -> str:
    """Writes the best weights with their card, if they are better than the checkpoint on dev; what was measured before and after."""
    best = chosen.cache / "best.safetensors"
    kept(best, under_way.best or under_way.pupil.state_dict(), task, chosen.checkpoint)
    rows, rates = [], []
    for name, cases in sets.items():
        before, after = judge.errors(chosen.checkpoint, cases), judge.errors(best, cases)
        rows += [told(f"{name}, before", before), told(f"{name}, after", after)]
        rates.append((before.errors, after.errors))
    if rates[0][1] >= rates[0][0]:
        return "\n".join(
            (
                *rows,
                "no step was better than the checkpoint on dev: nothing is written; more or other recordings may help",
            )
        )
    kept(chosen.output, under_way.best or {}, task, chosen.checkpoint)
    curve = "\n".join(f"| {mark.step} | {mark.seconds / 60:.1f} | {-mark.value:.1f} |" for mark in under_way.marks)
    Card(
        title="A fine-tuned PyanNet segmentation",
        what=f"`{chosen.checkpoint.name}` after {max(under_way.marks, key=lambda m: m.value).step} further steps, as a powerset.",
        data=f"Recordings of `{chosen.data.name}`"
        + (f", meetings simulated with `{chosen.speech.name}`." if chosen.speech else "."),
        licence=chosen.about,
        command=command("meetsplit.training.segmentation"),
        metrics="Collar 0, overlap scored, pooled over seconds. `dev` chose the step and is therefore flattering.\n\n"
        + "\n".join(f"- {row}" for row in rows)
        + f"\n\n| step | minutes | DER on dev, % |\n|---|---|---|\n{curve}",
        limits="At most three people within a window, two at once. Chosen on the recordings of `dev` alone.",
    ).write(chosen.output.with_suffix(".md"))
    return "\n".join((*rows, f"{chosen.output}: {chosen.output.stat().st_size / 1e6:.1f} MB"))


def _asked(arguments: Sequence[str] | None) -> argparse.Namespace:
    options = argparse.ArgumentParser(prog="python -m meetsplit.training.segmentation", description=__doc__)
    options.add_argument(
        "--data", type=Path, required=True, help="recordings to learn from, an RTTM (and UEM) beside each"
    )
    options.add_argument("--dev", type=Path, required=True, help="other recordings, to choose by")
    options.add_argument("--test", type=Path, default=None, help="still other ones, measured before and after")
    options.add_argument("--call", action="store_true", help="also measure on the call that comes with pyannote.audio")
    options.add_argument(
        "--speech", type=Path, default=None, help="folder of single speakers to simulate meetings with"
    )
    options.add_argument("--simulated", type=int, default=60, help="how many meetings of 40 s are simulated")
    options.add_argument(
        "--checkpoint", type=Path, default=None, help="a PyanNet: .safetensors, .bin or .ckpt; default: embedded's"
    )
    options.add_argument("--minutes", type=float, default=60.0, help="training time of this call")
    options.add_argument("--steps", type=int, default=1000, help="length of the learning rate's way down")
    options.add_argument("--batch", type=int, default=16, help="windows in a step")
    options.add_argument("--peak", type=float, default=1e-4, help="highest learning rate")
    options.add_argument("--exam-every", type=int, default=50, metavar="STEPS")
    options.add_argument(
        "--cache",
        type=Path,
        default=Path("out/segmentation"),
        help="where sound and the state of the training are kept",
    )
    options.add_argument("-o", "--output", type=Path, default=Path("out/segmentation/segmentation.safetensors"))
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--device", default="auto")
    options.add_argument("--about", default="", metavar="TEXT", help="what the data is and its licence, for the card")
    return options.parse_args(arguments)


def _fetched(source: weights.WeightSource) -> Path:
    return weights.fetch(
        source, stage="diarize", cache=weights.default_cache(), offline=False, token=None, on_event=ignore_events
    )


def _sets(chosen: argparse.Namespace) -> dict[str, Sequence[Case]]:
    """What is chosen by, first, and what is only measured on."""
    sets: dict[str, Sequence[Case]] = {"dev": tuple(annotated(chosen.dev))}
    if chosen.test is not None:
        sets["test"] = tuple(annotated(chosen.test))
    if chosen.call:
        sets["call"] = tuple(annotated(sample_call_folder()))
    for name, cases in sets.items():
        if not any(case.turns for case in cases):
            raise SettingsError(f"--{name}: nobody speaks in its recordings; there is nothing to measure")
    return sets


def _lessons(chosen: argparse.Namespace, sets: Mapping[str, Sequence[Case]]) -> tuple[Filed, ...]:
    """What is learned from: nothing of what is measured on."""
    cases, window = tuple(annotated(chosen.data)), load_segmentation(chosen.checkpoint).specifications.duration
    known = {case.digest: name for name, measured in sets.items() for case in measured}
    for case in cases:
        if case.digest in known:
            raise SettingsError(
                f"{case.name} of {chosen.data} is also in --{known[case.digest]}: nobody is examined on what they learned by heart"
            )
    real = tuple(filed(cases, chosen.cache, window))
    if not any(one.turns for one in real):
        raise SettingsError(f"{chosen.data}: no recording with speech and {window:g} annotated seconds on end")
    made = (
        tuple(simulated(chosen.speech, chosen.cache, count=chosen.simulated, seed=chosen.seed)) if chosen.speech else ()
    )
    print(
        f"{len(real)} recordings of {sum(one.seconds for one in real) / 60:.1f} min, {len(made)} simulated meetings",
        flush=True,
    )
    return evened(real, made)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepare, train, examine, write; the exit code."""
    chosen = _asked(arguments)
    try:
        on = device.choose(chosen.device)
        chosen.checkpoint = chosen.checkpoint or _fetched(weights.EMBEDDED_SEGMENTATION)
        sets, judge = _sets(chosen), Judge(_fetched(weights.EMBEDDED_ENCODER), on)
        torch.manual_seed(chosen.seed)
        network, task = begun(chosen.checkpoint, _lessons(chosen, sets), chosen.cache, chosen.batch)
        network.to(on)
        optimizer = torch.optim.AdamW(network.parameters(), lr=0.0, weight_decay=0.01)
        under_way = Course(network, optimizer, mistakes(task, on))
        under_way.resume(chosen.cache / "state.pt")
        terms = Terms(
            chosen.minutes, chosen.steps, chosen.cache / "state.pt", tell_every=10, exam_every=chosen.exam_every
        )
        with quiet_pyannote():
            train(under_way, task, judge, sets["dev"], terms=terms, chosen=chosen)
            print(finish(under_way, task, judge, sets, chosen))
    except MeetsplitError as error:
        print(f"train-segmentation: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
