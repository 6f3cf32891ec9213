"""Tells by the voice model who speaks in recordings without names, so that recipes have people with many utterances.

    python -m meetsplit.training.label_speakers --data DIR -o PEOPLE
    python -m meetsplit.training.label_speakers --data NAMED --check

``DIR`` is a folder of recordings of one person each. ``PEOPLE`` gets a folder for each person found, with links to
that person's recordings (`meetsplit.training.speech.find_utterances` reads it), and ``labels.csv`` about every
recording. Recordings are grouped by the voice model of the `embedded` diarizer (PLDA), by average linkage; whoever is
not clearly nearer to the own group than to any other belongs to nobody: a person too few costs a recipe little, a
wrong one teaches it that two voices are one. With ``--check``, the folder says who speaks (in any layout), and what is
found is compared with that; nothing is written.
"""

from __future__ import annotations

import argparse
import csv
import io
import itertools
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from meetsplit.pipeline.data import Audio, Speaker
from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.files import write
from meetsplit.pipeline.settings import Settings
from meetsplit.speakers.voiceprints import VoiceEmbeddings, VoiceEncoder, VoiceScorer, embed_voice
from meetsplit.training.speech import UtteranceFile, find_utterances, without_pauses

RATE = 16_000

MAX_PAUSE = 0.3
"""Seconds of silence that are kept as part of the speech."""

SAME_PERSON = 5.0
"""Mean score (natural logarithm of the likelihood ratio) down to which two groups of recordings are one person's."""

SURE_SCORE = 4.0
"""Mean score of a recording with the others of its person from which it counts as theirs."""

SURE_MARGIN = 2.0
"""By how much that score is above the one with the next person, at least."""

MIN_RECORDINGS = 2
"""A person has at least so many."""

Scores = npt.NDArray[np.float64]
"""The score of each recording with each other one, ``(n, n)``: symmetric; its diagonal says nothing."""


@dataclass(frozen=True, slots=True)
class Label:
    """Whose a recording is. ``person`` is a number from 0, the one with most recordings first, or None where unsure.

    ``own`` is its mean score with the others of its group, NaN if it is alone; ``margin`` how far the next person is.
    """

    person: int | None
    own: float
    margin: float


def embed_recordings(files: Sequence[UtteranceFile], encoder: VoiceEncoder) -> Iterator[VoiceEmbeddings]:
    """The voice of each recording; without a row where there is no speech. Prints how far it is."""
    for number, file in enumerate(files):
        if number % 100 == 0:
            print(f"{number} of {len(files)} recordings", flush=True)
        speech = without_pauses(file.read(RATE).audio, MAX_PAUSE)
        yield embed_voice(encoder, [Audio(speech, RATE)])


def label_recordings(scores: Scores) -> list[Label]:
    """A label for each recording, by average linkage of the scores; NaN scores are those of no voice."""
    heard = np.flatnonzero(np.isfinite(np.diag(scores)))
    groups = np.full(len(scores), -1)
    groups[heard] = _groups(scores[np.ix_(heard, heard)])
    labels = [_label(number, groups, scores) for number in range(len(scores))]
    sizes = Counter(label.person for label in labels)
    return [replace(label, person=None) if sizes[label.person] < MIN_RECORDINGS else label for label in labels]


def _groups(scores: Scores) -> npt.NDArray[np.int64]:
    """The group of each recording, numbered from 0, the largest first."""
    if len(scores) < 2:
        return np.zeros(len(scores), np.int64)
    both = (scores + scores.T) / 2
    highest = both.max()
    distances = highest - both
    np.fill_diagonal(distances, 0.0)
    tree = linkage(squareform(distances, checks=False), "average")
    found = fcluster(tree, highest - SAME_PERSON, "distance")
    by_size = [group for group, _ in Counter(found.tolist()).most_common()]
    return np.array([by_size.index(group) for group in found.tolist()], np.int64)


def _label(number: int, groups: npt.NDArray[np.int64], scores: Scores) -> Label:
    """The label of one recording, from the groups of all."""
    sizes = Counter(group for group in groups.tolist() if group >= 0)
    own_group = int(groups[number])
    means = {}
    for group, size in sizes.items():
        members = (groups == group) & (np.arange(len(groups)) != number)
        if own_group >= 0 and members.any() and (size >= MIN_RECORDINGS or group == own_group):
            means[group] = float(scores[number, members].mean())
    own = means.pop(own_group, float("nan"))
    margin = own - max(means.values(), default=-float("inf"))
    is_sure = sizes[own_group] >= MIN_RECORDINGS and own >= SURE_SCORE and margin >= SURE_MARGIN
    return Label(own_group if is_sure else None, own, margin)


@dataclass(frozen=True, slots=True)
class Agreement:
    """How labels agree with who really speaks: shares of pairs of labelled recordings, and counts of people."""

    found: int
    people: int
    wrong_pairs: float
    split_pairs: float

    def __str__(self) -> str:
        return (
            f"{self.found} people found of {self.people}; of the pairs that are said to be one person's "
            f"{self.wrong_pairs:.1%} are not, of the pairs that are {self.split_pairs:.1%} are split"
        )


def agreement(labels: Sequence[Label], speakers: Sequence[Speaker]) -> Agreement:
    """Compare labels with who really speaks; unsure recordings are left out, but count as people."""
    said = [
        (label.person, speaker) for label, speaker in zip(labels, speakers, strict=True) if label.person is not None
    ]
    counts = {(True, True): 0, (True, False): 0, (False, True): 0, (False, False): 0}
    for (person, speaker), (other_person, other_speaker) in itertools.combinations(said, 2):
        counts[person == other_person, speaker == other_speaker] += 1
    together = counts[True, True] + counts[True, False]
    truly = counts[True, True] + counts[False, True]
    return Agreement(
        found=len({person for person, _ in said}),
        people=len(set(speakers)),
        wrong_pairs=counts[True, False] / max(together, 1),
        split_pairs=counts[False, True] / max(truly, 1),
    )


def summary(labels: Sequence[Label], scores: Scores) -> str:
    """How many people have how many recordings, and how sure that is."""
    sizes = Counter(label.person for label in labels if label.person is not None)
    person = np.array([-1 - number if label.person is None else label.person for number, label in enumerate(labels)])
    pairs = np.triu(np.ones_like(scores, np.bool_), 1) & (person >= 0)[:, None] & (person >= 0)[None, :]
    same = person[:, None] == person[None, :]
    within, between = scores[pairs & same], scores[pairs & ~same]
    lines = [
        f"{len(sizes)} people with {sum(sizes.values())} of {len(labels)} recordings, "
        f"{', '.join(str(size) for size in sorted(sizes.values(), reverse=True))} each"
    ]
    if len(within) and len(between):
        lines.append(
            f"a score of {SAME_PERSON:g} or more: {np.mean(within >= SAME_PERSON):.1%} of the pairs within a person "
            f"(median {np.median(within):.1f}), {np.mean(between >= SAME_PERSON):.1%} of those between two people "
            f"(median {np.median(between):.1f})"
        )
    return "\n".join(lines)


def person_name(person: int) -> Speaker:
    """The folder of a person: a name that no corpus has."""
    return f"voice{person:03d}"


def write_people(files: Sequence[UtteranceFile], labels: Sequence[Label], folder: Path) -> None:
    """Folders with links, and ``labels.csv``. Raises `SettingsError` for a folder that is not empty."""
    if folder.exists() and any(folder.iterdir()):
        raise SettingsError(f"-o {folder}: not empty; give a new folder")
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["recording", "person", "score", "margin"])
    for file, label in zip(files, labels, strict=True):
        name = "" if label.person is None else person_name(label.person)
        rows.writerow([file.path.name, name, f"{label.own:.2f}", f"{label.margin:.2f}"])
        if name:
            link = folder / name / file.path.name
            link.parent.mkdir(parents=True, exist_ok=True)
            os.symlink(file.path.resolve(), link)
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "labels.csv", text.getvalue())


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of recordings of one person each")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/people"), help="new folder for people and links")
    parser.add_argument("--check", action="store_true", help="compare with whom the folder names; write nothing")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Embed, group, write the folders or compare."""
    args = parse_arguments(arguments)
    files = find_utterances(args.data)
    encoder = VoiceEncoder.load(Settings())
    voices = list(embed_recordings(files, encoder))
    scores = VoiceScorer(encoder.name).matrix(voices, voices)
    labels = label_recordings(scores)
    print(summary(labels, scores))
    if args.check:
        print(agreement(labels, [file.speaker for file in files]))
    else:
        write_people(files, labels, args.output)
        print(f"{args.output}: a folder for each person, and labels.csv")


if __name__ == "__main__":
    main()
