"""Benchmark of kept speech: voices of people who hardly speak alone, taken apart with speech of theirs from elsewhere.

    python -m meetsplit.benchmarks.kept_speech --people FOLDER [--write]

``--people`` holds several utterances of each of a few people. Everybody is once the one who hardly speaks alone: half a
minute of the person's utterances is kept, the others are said in a simulated meeting with two more people, and the
person is enrolled with a few of the seconds that they say alone there. Kept speech is as it was recorded, also where
the meeting is in a room. `adapted` does not learn here, which would take a budget for every row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from meetsplit.benchmarks.report_page import argument_parser, command_line, publish
from meetsplit.benchmarks.separation import REFINER
from meetsplit.pipeline.data import Audio, Overlap, Span, Speaker, timeline
from meetsplit.pipeline.overlap.streams import clean_speech
from meetsplit.pipeline.protocols import Separator
from meetsplit.pipeline.separators import mask_refiner
from meetsplit.pipeline.separators.adapted import AdaptedSeparator
from meetsplit.pipeline.separators.adapted_training import TrainingBudget
from meetsplit.pipeline.separators.dictionary import DictionarySeparator
from meetsplit.pipeline.separators.enrolled import EnrolledSeparator
from meetsplit.scoring.separation import si_sdr
from meetsplit.speakers.kept_speech import seconds_wanted
from meetsplit.training.conversation import TurnTaking
from meetsplit.training.meeting import SimulatedMeeting
from meetsplit.training.simulate import SimulationOptions, simulate
from meetsplit.training.speech import Utterance, split_at_pauses, utterances_by_speaker

RATE = 16000
KEPT_SECONDS = 30.0
MEETING_SECONDS = 90.0
SHORTEST = 0.5
"""Seconds of an overlap from which it is measured."""

GUARD = 0.15
"""Seconds next to others' turns that are no clean speech, as for predicted turns."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A meeting, the person who hardly speaks alone in it, and that person's speech from elsewhere."""

    person: Speaker
    kept: Audio
    meeting: SimulatedMeeting

    def overlaps(self) -> list[Overlap]:
        """The overlaps of the person with one other."""
        return [
            overlap
            for overlap in timeline.overlaps(self.meeting.turns)
            if self.person in overlap.speakers and len(overlap.speakers) == 2 and overlap.span.duration >= SHORTEST
        ]


def cases(people: Mapping[Speaker, Sequence[Utterance]], *, room: bool) -> Iterator[Case]:
    """One for each person."""
    options = SimulationOptions(TurnTaking(overlap=0.25, reuse=True), seconds=MEETING_SECONDS, room=room)
    names = sorted(people)
    for number, person in enumerate(names):
        lengths = np.cumsum([one.audio.duration for one in people[person]])
        count = int(np.searchsorted(lengths, KEPT_SECONDS)) + 1
        pieces = [piece for one in people[person][:count] for piece in split_at_pauses(one)]
        kept = np.concatenate([piece.audio.samples for piece in pieces])[: round(KEPT_SECONDS * RATE)]
        first = number + 1 + number % 2
        guests = [names[(first + at) % len(names)] for at in range(2)]
        said = [*people[person][count:], *(one for guest in guests for one in people[guest])]
        meeting = simulate([piece for one in said for piece in split_at_pauses(one)], options, seed=number)
        yield Case(person, Audio(kept, RATE), meeting)


def gains(case: Case, separator: Separator, seconds: float, *, kept: bool) -> list[tuple[float, float]]:
    """The SI-SDR gains in dB of the person and the other one in each overlap; ``seconds`` of the person's own speech
    are known, and with ``kept`` as much of the kept speech as a run would use.
    """
    meeting, person = case.meeting, case.person
    enrollment = {
        speaker: clean_speech(
            meeting.mixture, meeting.turns, speaker, seconds if speaker == person else 120.0, guard=GUARD
        )
        for speaker in meeting.stems
    }
    overlaps = case.overlaps()
    if kept:
        alone = {speaker: sum(clip.duration for clip in clips) for speaker, clips in enrollment.items()}
        wanted = seconds_wanted(overlaps, alone, {person: case.kept.duration})
        clips = {speaker: (case.kept.part(Span(0.0, used)),) for speaker, used in wanted.items()}
        separator = EnrolledSeparator(separator, clips)
    measured: list[tuple[float, float]] = []
    for overlap in overlaps:
        mixture = meeting.mixture.crop(overlap.span)
        voices = separator.separate(mixture, {speaker: enrollment[speaker] for speaker in overlap.speakers})
        gain = {}
        for speaker in overlap.speakers:
            truth = meeting.stems[speaker].crop(overlap.span).samples
            gain[speaker] = si_sdr(voices[speaker].audio.samples, truth) - si_sdr(mixture.samples, truth)
        (other,) = gain.keys() - {person}
        measured.append((gain[person], gain[other]))
    return measured


def load(name: str) -> Separator:
    """The separator of that name, which learns nothing further."""
    if name == "dictionary":
        return DictionarySeparator()
    return AdaptedSeparator(mask_refiner.load(REFINER), budget=TrainingBudget(0.0))


def main() -> None:
    """Measure, print, and put into the page with ``--write``."""
    parser = argument_parser(__doc__)
    parser.add_argument("--people", type=Path, required=True, help="folder of several utterances of each of few people")
    parser.add_argument("--separators", nargs="+", default=["dictionary", "adapted"], choices=["dictionary", "adapted"])
    parser.add_argument("--seconds", nargs="+", type=float, default=[3.0, 10.0], help="seconds alone that are known")
    args = parser.parse_args()
    people = {who: [one.read(RATE) for one in theirs] for who, theirs in utterances_by_speaker(args.people).items()}
    rows = [
        "| separator | meetings | known of the person | overlaps | gain of the person, dB | of the other | both | "
        "change of both, worst meeting |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for room in (False, True):
        made = list(cases(people, room=room))
        where = "each in a random room" if room else "no room"
        for name in args.separators:
            separator = load(name)
            settings = [(f"{own:g} s{' and kept speech' if kept else ''}", own, kept)
                        for own in args.seconds for kept in (False, True)]  # fmt: skip
            before: list[float] = []
            for text, own, kept in [*settings, ("all that they say alone", 120.0, False)]:
                by_case = [np.array(gains(case, separator, own, kept=kept)) for case in made]
                both = [float(part.mean()) for part in by_case]
                worst = f"{min(after - first for after, first in zip(both, before, strict=True)):+.1f}" if kept else "–"
                before = both
                every = np.concatenate(by_case)
                person, other = every.mean(axis=0)
                rows.append(f"| `{name}` | {where} | {text} | {len(every)} | {person:.1f} | {other:.1f} | "
                            f"{every.mean():.1f} | {worst} |")  # fmt: skip
                print(rows[-1], [round(one, 2) for one in both], flush=True)
    publish("kept-speech", "\n".join(rows), command_line("kept_speech"), into_page=args.write)


if __name__ == "__main__":
    main()
