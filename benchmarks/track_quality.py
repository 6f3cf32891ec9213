"""Benchmark of the quality of tracks that needs no truth: how bleed, margin and DNSMOS go with the SI-SDR of voices.

    python -m meetsplit.benchmarks.track_quality SETS… [--separator dictionary] [--work DIR] [--costs] [--write]

A set is a folder of meetings that `meetsplit.training.simulate` filled, with their ``.stems``. Turns are those of the
diarizer `embedded`; a voice is one speaker's in one overlap. DNSMOS is judged where it is installed. With ``--costs``,
the processor time that `--track-quality` takes is measured as well, by turns with and without it. With ``--write``, the
plot goes to docs/images, too.
"""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.stats import rankdata, spearmanr

from meetsplit.benchmarks.report_page import PAGE, argument_parser, command_line, publish
from meetsplit.benchmarks.voices import whose
from meetsplit.pipeline.audio.reading import read
from meetsplit.pipeline.audio.wav import read_span
from meetsplit.pipeline.cache.stage_cache import StageCache
from meetsplit.pipeline.data import Dnsmos, Span, Turn
from meetsplit.pipeline.diarizers.rttm import read_rttm
from meetsplit.pipeline.events import ignore_events
from meetsplit.pipeline.files import write
from meetsplit.pipeline.results.writing import run_and_write
from meetsplit.pipeline.run import Pipeline
from meetsplit.pipeline.settings import Outputs, Settings
from meetsplit.scoring.separation import si_sdr
from meetsplit.speakers.dnsmos import DnsmosNetwork
from meetsplit.speakers.track_quality import judged, voice_energy

RATE = 16000

BANDS = ((-np.inf, -12.0), (-12.0, -9.0), (-9.0, -7.0), (-7.0, -5.0), (-5.0, 0.1))
"""Bands of bleed in dB."""

IMAGE = "track-quality.svg"


@dataclass(frozen=True, slots=True)
class JudgedVoice:
    """A separated voice: its ``bleed`` in dB, ``margin`` (NaN where none was measured), true SI-SDR and DNSMOS."""

    bleed: float
    margin: float
    si_sdr: float
    dnsmos: Dnsmos | None = None


def judge(path: Path, pipeline: Pipeline, stages: StageCache, network: DnsmosNetwork | None) -> Iterator[JudgedVoice]:
    """The separated voices of a meeting."""
    run = pipeline.open(path, stages)
    turns, clips, tracks = run.diarize().turns, run.separate(), run.tracks
    truth = [Turn(turn.span, turn.speaker) for turn in read_rttm(path.with_suffix(".rttm"))]
    stems = {stem.stem: read(stem, RATE) for stem in path.with_suffix(".stems").glob("*.wav")}
    for speaker in tracks:
        person = whose(speaker, turns, truth)
        for voice in judged(clips, speaker) if person is not None else ():
            bleed = voice_energy(tracks, speaker, voice).bleed
            true = stems[str(person)].crop(Span(voice.span.start, voice.span.end)).samples
            own = read_span(tracks[speaker], voice.span).samples
            count = min(len(true), len(own))
            if bleed is not None and np.square(true).sum() > 0.0:
                margin = float("nan") if voice.margin is None else voice.margin
                marks = network.marks(own) if network is not None else None
                yield JudgedVoice(bleed, margin, si_sdr(own[:count], true[:count]), marks)


def table(voices: Sequence[JudgedVoice]) -> Iterator[str]:
    """SI-SDR by band of bleed, and rank correlations."""
    yield "| bleed, dB | voices | SI-SDR, dB: 10 % below | median | 10 % above |"
    yield "|---|--:|--:|--:|--:|"
    for low, high in BANDS:
        inside = [one.si_sdr for one in voices if low <= one.bleed < high]
        if inside:
            name = f"below {high:g}" if low == -np.inf else f"{low:g} to {min(high, 0.0):g}"
            numbers = " | ".join(f"{value:.1f}" for value in np.percentile(inside, [10, 50, 90]))
            yield f"| {name} | {len(inside)} | {numbers} |"
    known = [one for one in voices if np.isfinite(one.margin)]
    ranks = rankdata([one.margin for one in known]) - rankdata([one.bleed for one in known])

    def correlation(of: Sequence[JudgedVoice], value: Callable[[JudgedVoice], float]) -> float:
        return float(spearmanr([value(one) for one in of], [one.si_sdr for one in of])[0])

    both = float(spearmanr(ranks, [one.si_sdr for one in known])[0])
    yield ""
    yield (
        f"Rank correlation (Spearman) with the SI-SDR: bleed {correlation(voices, lambda one: one.bleed):.2f} of "
        f"{len(voices)} voices, margin {correlation(known, lambda one: one.margin):.2f} of {len(known)} that have one, "
        f"both together {both:.2f}."
    )
    marked = [one for one in voices if one.dnsmos is not None]
    if marked:
        speech = correlation(marked, lambda one: _mark(one, "sig"))
        background = correlation(marked, lambda one: _mark(one, "bak"))
        overall = correlation(marked, lambda one: _mark(one, "ovr"))
        marks = f"speech {speech:.2f}, background {background:.2f}, overall {overall:.2f}"
        yield f"DNSMOS of {len(marked)} voices: {marks}."


def _mark(voice: JudgedVoice, key: str) -> float:
    return float(getattr(voice.dnsmos, key))


def costs(path: Path, pipeline: Pipeline, stages: StageCache) -> str:
    """The processor time that judging a meeting's tracks takes, its stages done before: without, with, and again."""
    outputs = Outputs(formats=("json",), tracks=False, voices="off")
    seconds: dict[bool, list[float]] = {False: [], True: []}
    minutes = pipeline.open(path, stages).diarize().duration / 60.0
    for judges in (False, True, False, True):
        with tempfile.TemporaryDirectory() as folder:
            now = replace(outputs, folder=Path(folder), track_quality=judges)
            began = time.process_time()
            run_and_write(pipeline, path, now, cache=stages, on_event=ignore_events)
            seconds[judges].append(time.process_time() - began)
    without, with_quality = (", ".join(f"{one:.2f}" for one in seconds[judges]) for judges in (False, True))
    more = (sum(seconds[True]) - sum(seconds[False])) / 2 / minutes
    return f"| {path.stem} | {minutes:.1f} | {without} | {with_quality} | {more:.2f} |"


def cost_table(rows: Sequence[str]) -> str:
    """The rows of `costs` with their heading."""
    head = "| meeting | minutes | without, CPU s | with, CPU s | more, CPU s per minute |\n|---|--:|--:|--:|--:|"
    return "\n".join([head, *rows])


def plot(voices: Sequence[JudgedVoice]) -> str:
    """SI-SDR over bleed as SVG; voices with a margin are coloured by it."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.0, 4.0))
    without = [one for one in voices if not np.isfinite(one.margin)]
    known = [one for one in voices if np.isfinite(one.margin)]
    axes.scatter([one.bleed for one in without], [one.si_sdr for one in without], color="0.75", s=16, label="no margin")
    points = axes.scatter(
        [one.bleed for one in known], [one.si_sdr for one in known], c=[one.margin for one in known], s=16
    )
    figure.colorbar(points, label="margin")
    axes.set_xlabel("bleed, dB (from the sound alone)")
    axes.set_ylabel("SI-SDR, dB (with the true voice)")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    file = io.StringIO()
    figure.savefig(file, format="svg", bbox_inches="tight", metadata={"Date": None})
    return file.getvalue()


def main() -> None:
    """Measure, print, and put into the page with ``--write``."""
    parser = argument_parser(__doc__)
    parser.add_argument("sets", nargs="+", type=Path, help="folders of simulated meetings")
    parser.add_argument("--separator", default="dictionary")
    parser.add_argument("--costs", action="store_true", help="measure what --track-quality takes")
    parser.add_argument("--work", type=Path, help="folder in which the results of stages are kept")
    args = parser.parse_args()
    settings = Settings(diarizer="embedded", separator=args.separator, offline=True, device="cpu")
    pipeline = Pipeline(settings, on_event=ignore_events, transcribes=False)
    script = Path(__file__).parents[1] / "sample_data" / "standup.ctm"  # words of any kind: none has to be found
    with_words = Pipeline(replace(settings, transcriber="script", script=script), on_event=ignore_events)
    network = DnsmosNetwork.load()
    voices, rows = list[JudgedVoice](), list[str]()
    with tempfile.TemporaryDirectory() as scratch:
        for folder in args.sets:
            for path in sorted(folder.glob("*.wav")):
                stages = StageCache((args.work or Path(scratch)) / folder.name / path.stem)
                voices += judge(path, pipeline, stages, network)
                rows += [costs(path, with_words, stages)] if args.costs else []
    picture = plot(voices)
    if args.write:
        write(PAGE.parent / "images" / IMAGE, picture)
    measured = "\n".join(table(voices)) + (f"\n\n{cost_table(rows)}" if rows else "")
    publish("track quality", measured, command_line("track_quality"), into_page=args.write)


if __name__ == "__main__":
    main()
