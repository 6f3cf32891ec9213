"""Benchmark of enrolled voices: detection errors that chose the thresholds, and people who are found in meetings.

    python -m meetsplit.benchmarks.voices --people FOLDER --known FOLDER [--diarizer embedded]

``--people`` holds single-speaker utterances of many people, those that the voice model was made of among them; they are
left out (`training.plda.is_held_out`), and half of the others choose the calibration and the thresholds. The other half
and everybody in ``--known`` are tested: ten of them are enrolled from one recording each and are to be found in
simulated meetings with strangers, by the true turns and by those of a diarizer.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from meetsplit.benchmarks.diarization import load_diarizer
from meetsplit.benchmarks.report_page import argument_parser, command_line, publish
from meetsplit.pipeline.data import Audio, Span, Speaker, Turn, timeline
from meetsplit.pipeline.events import ignore_events
from meetsplit.pipeline.settings import Settings
from meetsplit.speakers.identification import identify
from meetsplit.speakers.voice_samples import LEAST_OTHER, other_voice
from meetsplit.speakers.voiceprints import (
    CALIBRATIONS,
    VoiceEmbeddings,
    VoiceEncoder,
    VoiceScorer,
    embed_people,
    embed_voice,
)
from meetsplit.training.conversation import TurnTaking
from meetsplit.training.plda import in_a_room, is_held_out
from meetsplit.training.simulate import SimulationOptions, simulate
from meetsplit.training.speech import Utterance, split_at_pauses, utterances_by_speaker

RATE = 16000

LEAST = 8.0
"""Seconds of an utterance that can be enrolled with one half and tested with the other."""

ENROLLED, STRANGERS, MEETINGS = 10, 5, 10
"""People who are enrolled, people who are not, and meetings; in each three of the first and two of the others."""

ENROLLED_SECONDS = 10.0
"""Seconds from which on a person of several utterances is enrolled; of a single one, half is taken."""

SECONDS = 120.0
"""Length of a meeting."""

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Trials:
    """Scores of two voices of one person, and of two people."""

    same: Scores
    different: Scores

    def errors(self, threshold: float) -> tuple[float, float]:
        """The share of one person's that are missed, and of two people's that are false, with this threshold."""
        return float(np.mean(self.same < threshold)), float(np.mean(self.different >= threshold))

    def equal_error(self) -> float:
        """The error rate where misses are as frequent as false ones."""
        thresholds = np.sort(np.concatenate([self.same, self.different]))
        return min(max(self.errors(float(threshold))) for threshold in thresholds[:: max(1, len(thresholds) // 2000)])


@dataclass(frozen=True, slots=True)
class Found:
    """What became of the enrolled people and the strangers in some meetings."""

    enrolled: int = 0
    confirmed: int = 0
    suggested: int = 0
    strangers: int = 0
    false_names: int = 0
    false_suggestions: int = 0

    def __add__(self, other: Found) -> Found:
        names = self.__dataclass_fields__
        return Found(**{name: getattr(self, name) + getattr(other, name) for name in names})


def halves(audio: Audio) -> tuple[Audio, Audio]:
    """The first and the second half."""
    middle = audio.duration / 2
    return audio.crop(Span(0.0, middle)), audio.crop(Span(middle, audio.duration))


def trials(encoder: VoiceEncoder, people: Mapping[str, Audio], seed: int = 0) -> Trials:
    """Every first half with every second half, as they are and with the second one in a random room."""
    rng = np.random.default_rng(seed)
    first, second, room = [], [], []
    for audio in people.values():
        begin, end = halves(audio)
        wet = Audio(in_a_room(audio.samples, rng)[: len(audio.samples)], RATE)
        first.append(embed_voice(encoder, [begin]))
        second.append(embed_voice(encoder, [end]))
        room.append(embed_voice(encoder, [halves(wet)[1]]))
    scorer = VoiceScorer(encoder.name)
    is_same = np.eye(len(first), dtype=bool)
    tables = [scorer.matrix(first, second), scorer.matrix(first, room)]
    return Trials(
        np.concatenate([table[is_same] for table in tables]), np.concatenate([table[~is_same] for table in tables])
    )


def fitted(raw: Trials) -> tuple[float, float]:
    """Scale and offset that make scores the logarithms of likelihood ratios: logistic regression, both sides equal."""

    def cost(parameters: Scores) -> float:
        same, different = (parameters[0] * part + parameters[1] for part in (raw.same, raw.different))
        return float(np.logaddexp(0.0, -same).mean() + np.logaddexp(0.0, different).mean())

    scale, offset = minimize(cost, np.array([0.5, 0.0])).x
    return float(scale), float(offset)


def samples_with_two(encoder: VoiceEncoder, people: Sequence[Audio]) -> tuple[list[float], list[float]]:
    """The score of the two most different parts of each person's speech, and of six seconds each of two people."""
    one: list[float] = []
    two: list[float] = []
    for first, second in itertools.pairwise(people):
        alone = other_voice(encoder, [first])
        count = 6 * RATE
        both = other_voice(encoder, [Audio(np.concatenate([first.samples[:count], second.samples[:count]]), RATE)])
        for scores, parts in ((one, alone), (two, both)):
            if parts is not None:  # a part that is too short is no second person
                scores.append(parts[0] if parts[1] >= LEAST_OTHER else np.inf)
    return one, two


def whose(label: Speaker, turns: Sequence[Turn], truth: Sequence[Turn]) -> Speaker | None:
    """The person whose speech most of the label's is."""
    own = timeline.by_speaker(turns)[label]
    shared = {
        person: sum(part.duration for span in own for part in timeline.crop(spans, span))
        for person, spans in timeline.by_speaker(truth).items()
    }
    best = max(shared, key=lambda person: shared[person])
    return best if shared[best] > 0.0 else None


def find(
    encoder: VoiceEncoder, voices: Mapping[str, VoiceEmbeddings], mixture: Audio, truth: Sequence[Turn],
    turns: Sequence[Turn],
) -> Found:  # fmt: skip
    """Identify the speakers of ``turns``, and count by who they are."""
    heard = embed_people(encoder, turns, lambda speaker, span: mixture.crop(span))
    matches = identify(heard, voices, VoiceScorer(encoder.name))
    for label, match in matches.items():
        print(label, whose(label, turns, truth), f"{heard[label].total:.0f} s", match, flush=True)
    people = {turn.speaker for turn in truth}
    owners = {label: whose(label, turns, truth) for label in matches}
    right = {match.name: match.decision for label, match in matches.items() if match.name == owners[label]}
    wrong = [match.decision for label, match in matches.items() if match.name not in (None, owners[label])]
    return Found(
        enrolled=sum(person in voices for person in people),
        confirmed=sum(decision == "confirmed" for decision in right.values()),
        suggested=sum(decision == "suggested" for decision in right.values()),
        strangers=sum(person not in voices for person in people),
        false_names=wrong.count("confirmed"),
        false_suggestions=wrong.count("suggested"),
    )


def meeting_people(
    tested: Mapping[str, Audio], known: Mapping[str, Sequence[Audio]]
) -> tuple[dict[str, Audio], dict[str, list[Utterance]]]:
    """What each enrolled person is enrolled from, and what everybody (strangers too) says in meetings."""
    samples: dict[str, Audio] = {}
    said: dict[str, list[Utterance]] = {}
    for person, utterances in known.items():
        lengths = np.cumsum([audio.duration for audio in utterances])
        count = int(np.searchsorted(lengths, ENROLLED_SECONDS)) + 1
        samples[person] = Audio(np.concatenate([audio.samples for audio in utterances[:count]]), RATE)
        said[person] = [Utterance(person, audio) for audio in utterances[count:]]
    for person, audio in tested.items():
        if len(samples) < ENROLLED:
            samples[person], rest = halves(audio)
            said[person] = [Utterance(person, Audio(rest.samples, RATE))]
        elif len(said) < ENROLLED + STRANGERS:
            said[person] = [Utterance(person, audio)]
    return samples, {who: [piece for one in spoken for piece in split_at_pauses(one)] for who, spoken in said.items()}


def meetings(
    encoder: VoiceEncoder, samples: Mapping[str, Audio], said: Mapping[str, Sequence[Utterance]], diarizer: str | None,
    *, room: bool,
) -> dict[str, Found]:  # fmt: skip
    """Enrolled people in meetings with strangers: by the turns that are true, and by a diarizer's."""
    voices = {person: embed_voice(encoder, [audio]) for person, audio in samples.items()}
    enrolled, strangers = list(samples), [person for person in said if person not in samples]
    options = SimulationOptions(TurnTaking(overlap=0.1, reuse=True), seconds=SECONDS, room=room)
    backend = load_diarizer(Settings(diarizer=diarizer, device="cpu")) if diarizer else None
    totals: dict[str, Found] = {}
    for number in range(MEETINGS):
        guests = [enrolled[(3 * number + at) % len(enrolled)] for at in range(3)]
        guests += [strangers[(2 * number + at) % len(strangers)] for at in range(2)]
        meeting = simulate([one for person in guests for one in said[person]], options, seed=number)
        found = {"true turns": find(encoder, voices, meeting.mixture, meeting.turns, meeting.turns)}
        if backend is not None:
            turns = backend.diarize(meeting.mixture, ignore_events)
            found[f"turns of `{diarizer}`"] = find(encoder, voices, meeting.mixture, meeting.turns, turns)
        for name, counts in found.items():
            totals[name] = totals.get(name, Found()) + counts
        print(f"meeting {number + 1}, room {room}: {found}", flush=True)
    return totals


def report(chosen: Trials, tested: Trials, parts: tuple[list[float], list[float]], found: Mapping[str, Found]) -> str:
    """The tables."""
    calibration = CALIBRATIONS["ge2e"]
    thresholds = sorted(
        {-2.0, 0.0, 2.0, 4.0, calibration.suggested, calibration.confirmed_apart, calibration.confirmed}
    )
    rows = ["| threshold | missed, people for choosing % | false % | missed, people for testing % | false % |"]
    rows += ["|---|---|---|---|---|"]
    marks = {
        calibration.confirmed: " (confirmed)",
        calibration.confirmed_apart: " (confirmed, if nobody else is near)",
        calibration.suggested: " (suggested)",
    }
    for threshold in thresholds:
        errors = (*chosen.errors(threshold), *tested.errors(threshold))
        rows.append(
            f"| {threshold:g}{marks.get(threshold, '')} | " + " | ".join(f"{100 * part:.2f}" for part in errors) + " |"
        )
    one, two = parts
    rows += [
        "",
        f"Equal error rate: {100 * chosen.equal_error():.1f} % for choosing, {100 * tested.equal_error():.1f} % for "
        f"testing ({len(tested.same)} and {len(tested.different)} trials). A trial is 4 to 8 s of one person read "
        "aloud, and as much of one person again, half of it in a random room with noise, of which the enrolled speech "
        "has nothing.",
        "",
        f"Samples with two people are refused: {sum(score < calibration.two_people for score in two)} of {len(two)}; "
        f"samples with one: {sum(score < calibration.two_people for score in one)} of {len(one)}.",
        "",
        "| meetings | enrolled people | found | suggested | strangers | false names | false suggestions |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, one_found in found.items():
        counts = one_found
        share = 100 * counts.confirmed / max(counts.enrolled, 1)
        rows.append(
            f"| {name} | {counts.enrolled} | {counts.confirmed} ({share:.0f} %) | {counts.suggested} | "
            f"{counts.strangers} | {counts.false_names} | {counts.false_suggestions} |"
        )
    return "\n".join(rows)


def main() -> None:
    """Measure, print, and put into the page with ``--write``."""
    parser = argument_parser(__doc__)
    parser.add_argument("--people", type=Path, required=True, help="folder of utterances of many people")
    parser.add_argument("--known", type=Path, required=True, help="folder of several utterances of each of few people")
    parser.add_argument("--diarizer", help="find people by its turns, too")
    parser.add_argument("--fit", action="store_true", help="print the calibration that the choosing half gives, only")
    args = parser.parse_args()
    encoder = VoiceEncoder.load(Settings(device="cpu"))
    files = {who: theirs for who, theirs in utterances_by_speaker(args.people).items() if is_held_out(who)}
    audio = {who: theirs[0].read(RATE).audio for who, theirs in files.items()}
    long = {who: one for who, one in audio.items() if one.duration >= LEAST}
    halved = {who: hashlib.sha256(f"half {who}".encode()).digest()[0] % 2 for who in long}
    choosing, testing = ({who: one for who, one in long.items() if halved[who] == side} for side in (0, 1))
    chosen = trials(encoder, choosing)
    if args.fit:
        current = CALIBRATIONS["ge2e"]
        raw = Trials(*((part - current.offset) / current.scale for part in (chosen.same, chosen.different)))
        print(f"scale and offset: {fitted(raw)}; session {current.session:g}")
        return
    known = {who: [one.read(RATE).audio for one in theirs] for who, theirs in utterances_by_speaker(args.known).items()}
    samples, said = meeting_people(testing, known)
    found: dict[str, Found] = {}
    for room, where in ((False, "no room"), (True, "each in a random room")):
        totals = meetings(encoder, samples, said, args.diarizer, room=room)
        found |= {f"{where}, {name}": counts for name, counts in totals.items()}
    parts = samples_with_two(encoder, list(choosing.values()))
    text = report(chosen, trials(encoder, testing), parts, found)
    publish("voices", text, command_line("voices"), into_page=args.write)


if __name__ == "__main__":
    main()
