"""The voices of one meeting, taught to a network: mixtures of its own clean speech, as many as fit into a budget, and an exam.

Of everybody's clean speech four fifths teach; the last fifth examines. How long the network is taught, and how far it is believed
beside what is known without it, is what did best in the exam.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from meetsplit.pipeline.data import Audio, Samples, Speaker
from meetsplit.pipeline.separators.adapted_lessons import Batches, Group, Mixtures, batches, levelled, mixed, shared_out, stretch, unlike
from meetsplit.pipeline.separators.adapted_net import Network, Size, agreed
from meetsplit.pipeline.separators.dictionary import DictionarySeparator, Masks

SECONDS = 2.0
"""Length of a mixture to learn from."""

TAUGHT = 0.8
"""The share of everybody's clean speech that teaches; the rest examines."""

SLACK = 0.1
"""How far the clock may run ahead of the steps before the rate of learning follows the clock."""

SHARES = (0.25, 0.4, 0.5, 0.6, 0.75)
"""How far the network may be believed; if none of them helps in the exam, it is not believed at all."""


Speech = Mapping[Speaker, Samples]
"""What everybody says."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What fits into a budget, told from it alone and not by the clock, so that the same budget always teaches the same.

    Counted in seconds of a nominal machine, two cores of a 2024 server: ``reading`` a person's speech into a dictionary, ``asking``
    the dictionaries about one mixture of the exam, ``marking`` the exam once, and a ``step`` of learning from ``batch`` mixtures.
    ``clock`` tells when the budget is over where the machine is slower than that.
    """

    budget: float
    clock: Callable[[], float] = time.monotonic
    size: Size = field(default_factory=Size)
    reading: float = 0.5
    asking: float = 0.4
    marking: float = 0.4
    step: float = 0.15
    exam: int = 10
    exams: int = 5
    batch: int = 8
    rate: float = 1.5e-3

    def steps(self, people: int) -> int:
        """How many steps are learned with so many people to read."""
        before = people * self.reading + self.exam * self.asking + self.exams * self.marking
        return int(max(self.budget - before, 0.0) / self.step)


@dataclass(frozen=True, slots=True, eq=False)
class Knowledge:
    """A network, the numbers of those whom it knows, and how far it is believed."""

    network: Network
    numbers: Mapping[Speaker, int]
    share: float

    @torch.inference_mode()
    def masks(self, group: Sequence[Speaker], magnitudes: Tensor, without: Tensor) -> Tensor:
        """Masks ``(voices, bins, frames)`` for a mixture of people whom it knows; ``without`` are those of everything else."""
        who = torch.tensor([[self.numbers[speaker] for speaker in group]], device=magnitudes.device)
        return agreed(without, self.network(magnitudes[None], who)[0], self.share)


@dataclass(frozen=True, slots=True)
class Report:
    """SNR in dB in the exam without and with the network; steps made, of those planned."""

    without: float
    with_it: float
    steps: int
    planned: int


@dataclass(frozen=True, slots=True, eq=False)
class _Question:
    """One mixture of the exam: who speaks, and the masks that are known without the network."""

    who: Tensor
    mixture: Mixtures
    masks: Tensor

    def answered(self, masks: Tensor) -> float:
        """SNR in dB."""
        return -float(unlike(self.mixture.spectra, masks, self.mixture.voices)[0])


class Course:
    """One meeting's teaching. ``progress`` is told the seconds spent."""

    def __init__(self, teacher: DictionarySeparator, plan: Plan, seed: int, progress: Callable[[float], None]) -> None:
        self._teacher, self._plan, self._seed, self._progress = teacher, plan, seed, progress
        self._began = plan.clock()

    def teach(
        self, company: Mapping[Group, float], known: Mapping[Speaker, Sequence[Audio]], masks: Masks
    ) -> tuple[Knowledge | None, Report | None]:
        """What a network has learned of these people, if it helps in the exam, and how it went, if the budget allowed any lesson.

        ``masks`` are what is known without it.
        """
        people = sorted({speaker for group in company for speaker in group})
        steps = self._plan.steps(len(people))
        if steps == 0:
            return None, None
        speech = {speaker: np.concatenate([clip.samples for clip in known[speaker]]) for speaker in people}
        cuts = {speaker: round(TAUGHT * len(samples)) for speaker, samples in speech.items()}
        taught = {speaker: samples[: cuts[speaker]] for speaker, samples in speech.items()}
        numbers = {speaker: number for number, speaker in enumerate(people)}
        exam = self._exam(company, taught, {speaker: samples[cuts[speaker] :] for speaker, samples in speech.items()}, masks)
        lessons = batches(company, self._plan.batch, steps)
        return self._learn(_network(len(people), self._plan.size, self._seed), numbers, exam, taught, lessons)

    @torch.inference_mode()
    def _exam(self, company: Mapping[Group, float], taught: Speech, kept: Speech, masks: Masks) -> list[_Question]:
        rng = np.random.default_rng((self._seed, 1))
        numbers = {speaker: number for number, speaker in enumerate(sorted(taught))}
        dictionaries: dict[Speaker, Tensor] = {}
        questions: list[_Question] = []
        for group in shared_out(company, self._plan.exam):
            if self._late():
                break
            for speaker in group:
                if speaker not in dictionaries:
                    dictionaries[speaker] = self._teacher.dictionary(speaker, [Audio(taught[speaker], self._teacher.rate)])
            own = [dictionaries[speaker] for speaker in group]
            mixture = mixed([_mixture(group, kept, rng)], own[0].device)
            magnitudes = mixture.spectra[0].abs()
            who = torch.tensor([[numbers[speaker] for speaker in group]], device=own[0].device)
            questions.append(_Question(who, mixture, masks(magnitudes, self._teacher.parts(magnitudes, own), own)))
            self._progress(self._spent())
        return questions

    def _learn(
        self,
        network: Network,
        numbers: Mapping[Speaker, int],
        exam: Sequence[_Question],
        taught: Speech,
        lessons: Batches,
    ) -> tuple[Knowledge | None, Report]:
        """The best on the way, by the exam; None if nothing was better than what is known without the network."""
        rng = np.random.default_rng((self._seed, 2))
        device = exam[0].masks.device if exam else torch.device("cpu")
        optimizer = torch.optim.AdamW(network.to(device).train().parameters(), lr=0.0)
        without = best = float(np.mean([question.answered(question.masks[None]) for question in exam])) if exam else 0.0
        knowledge, step, planned, began = None, 0, len(lessons), self._spent()
        marks = {round(planned * (mark + 1) / self._plan.exams) for mark in range(self._plan.exams)}
        for groups in lessons:
            if self._late() or not exam:
                break
            step += 1
            gone = (self._spent() - began) / max(self._plan.budget - began, 1e-9)
            # On a machine that is too slow to come to the end, what is learned settles all the same.
            done = step / planned if gone < step / planned + SLACK else min(gone, 1.0)
            for parameters in optimizer.param_groups:
                parameters["lr"] = self._plan.rate * min(1.0, step / 10) * (1.0 - 0.95 * done)
            given = mixed([_mixture(group, taught, rng) for group in groups], device)
            who = torch.tensor([[numbers[speaker] for speaker in group] for group in groups], device=device)
            optimizer.zero_grad()
            unlike(given.spectra, network(given.spectra.abs(), who), given.voices).mean().backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
            self._progress(self._spent())
            if step in marks or self._late():
                share, score = _believed(network, exam)
                if score > best:
                    best, knowledge = score, Knowledge(copy.deepcopy(network).eval(), numbers, share)
        return knowledge, Report(without, best, step, planned)

    def _spent(self) -> float:
        return self._plan.clock() - self._began

    def _late(self) -> bool:
        return self._spent() > self._plan.budget


def _mixture(group: Group, speech: Speech, rng: np.random.Generator) -> Samples:
    length = round(SECONDS * 16_000)
    return levelled(np.stack([stretch(speech[speaker], length, rng) for speaker in group]), rng)


@torch.inference_mode()
def _believed(network: Network, exam: Sequence[_Question]) -> tuple[float, float]:
    """How far the network is best believed, and the exam's SNR in dB then."""
    network.eval()
    masks = [network(question.mixture.spectra.abs(), question.who) for question in exam]
    network.train()
    scores = {
        share: float(
            np.mean([question.answered(agreed(question.masks[None], own, share)) for question, own in zip(exam, masks, strict=True)])
        )
        for share in SHARES
    }
    share = max(scores, key=lambda one: scores[one])
    return share, scores[share]


def _network(people: int, size: Size, seed: int) -> Network:
    """A fresh network; the draw touches nobody else's random numbers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Network(people, size)
