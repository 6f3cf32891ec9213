"""The command `compare`: several separators on one recording, as a table and a folder to listen to."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meetsplit.console.options import (
    GivenOptions,
    keeps_cache,
    print_files,
    resolve_settings,
    run_options,
)
from meetsplit.console.terminal import Terminal, print_line
from meetsplit.pipeline.errors import MeetsplitError, SettingsError, StageError, nearest

if TYPE_CHECKING:
    from rich.table import Table

    from meetsplit.console.progress import Reporter
    from meetsplit.pipeline.data import Audio, Dnsmos, Speaker, StreamInfo
    from meetsplit.pipeline.events import Event
    from meetsplit.pipeline.results.comparison import SeparatorOutcome
    from meetsplit.pipeline.run import Pipeline, RecordingRun
    from meetsplit.pipeline.settings import Outputs, Settings
    from meetsplit.speakers.dnsmos import DnsmosNetwork

_SEPARATION = ("separator", "separator_model", "separator_model_3")
"""Options of a run that --separators takes the place of here."""


@run_options(
    "start", "end", "diarizer", "diarizer_model", "rttm", "num_speakers", "min_speakers", "max_speakers",
    *_SEPARATION, "adapt_budget", "match_threshold", "overlap_checks", "transcriber", "model", "language",
    "compute_type", "output_dir", "voices", "device", "threads", "offline", "hf_token", "cache_dir", "model_dir",
    "trust_model_code", "seed", "cache", "config",
    hidden=_SEPARATION,
    helps={
        "output_dir": "Folder in which NAME-compare is made. (default: this folder)",
        "voices": "Enrolled voices, whose kept speech helps as in a run: on (default), off, or a file of voices.",
    },
)  # fmt: skip
def compare(
    audio: Annotated[Path, typer.Argument(help="A recording.", show_default=False, metavar="RECORDING")],
    *,
    separators: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Separators, with commas; convtasnet=FILE names a model. (default: those that can run here now)",
        ),
    ] = None,
    stretches: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            help="The longest stretches that are written to listen to. (default: 20)",
            show_default=False,
        ),
    ] = 20,
    words: Annotated[
        bool,
        typer.Option("--words/--no-words", help="Transcribe what each made of it. (default: yes)", show_default=False),
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print data instead of a table.")] = False,
    options: GivenOptions,
) -> None:
    """Take one recording's overlaps apart with several separators, and show what each made of them.

    Without the truth, nothing says which is right: listen to NAME-compare, stretch by stretch. Who speaks when is found
    once, for all of them. A separator that cannot run here has a row that says why.
    """
    import json

    from meetsplit.console.progress import Reporter
    from meetsplit.pipeline.files.scratch import scratch_folder
    from meetsplit.pipeline.formats import names
    from meetsplit.pipeline.formats.control_characters import json_escaped
    from meetsplit.pipeline.results.comparison import data

    settings, outputs = resolve_settings(options, names())
    _check(settings, options)
    print_files(options)
    with Reporter(Terminal(stderr=True)) as on_event, scratch_folder() as scratch:
        settings = settings if words else _without_words(settings, scratch)
        comparison = _Comparison(audio, settings, outputs, stretches, words, keeps_cache(options), on_event)
        rows, folder = comparison.run(_chosen(separators, settings), scratch)
    if folder is None:
        Terminal(stderr=True).say(f"{audio}: nobody speaks while another does: there is nothing to take apart")
    elif as_json:
        Terminal().print(json_escaped(json.dumps(data(rows), indent=2, ensure_ascii=False)), soft_wrap=True)
    else:
        _show(Terminal(), rows, words=words)
        print_line(str(folder))


@dataclass(frozen=True, slots=True)
class _Comparison:
    """A recording with the settings of its runs, ``outputs`` with the folder of the comparison's own, and what goes
    into it.

    ``keep`` says whether finished stages are kept. To the ``reporter``, the recording with each separator is one of
    several: each has its own stages.
    """

    recording: Path
    settings: Settings
    outputs: Outputs
    stretches: int
    words: bool
    keep: bool
    reporter: Reporter

    def run(
        self, chosen: Sequence[tuple[str, str, str | None]], scratch: Path
    ) -> tuple[list[SeparatorOutcome], Path | None]:
        """A row per separator, and the folder that was written; None where nobody speaks while another does.

        Raises `SettingsError` where no separator can run here, and as `Pipeline.open`.
        """
        from meetsplit.pipeline.audio.reading import read
        from meetsplit.pipeline.cache.content import hash_recording
        from meetsplit.pipeline.cache.run_cache import open_cache
        from meetsplit.pipeline.events import Opened
        from meetsplit.pipeline.results.comparison import SeparatorOutcome, overlap_spans, write_comparison
        from meetsplit.pipeline.results.stems import safe_stem
        from meetsplit.pipeline.run import RATE, Pipeline

        content = hash_recording(self.recording)
        mixture = read(self.recording, RATE, folder=scratch, content=content.files.get(self.recording))
        pipeline, diarization = Pipeline(self.settings, on_event=self._tell), None
        network, rows = self._network(), list[SeparatorOutcome]()
        self.reporter.expect({self._titled(label): 1.0 for label, _, _ in chosen})
        with open_cache(
            self.recording, self.settings, keep=self.keep, sha256=content.sha256, on_event=self._tell
        ) as stage_cache:
            for label, name, model in chosen:
                self.reporter(Opened(self._titled(label)))
                pipeline = pipeline.with_separator(name, model)
                problem = _problem(pipeline)
                if problem is not None:
                    rows.append(SeparatorOutcome(label, problem=problem))
                    self.reporter.finish(self._titled(label))
                    continue
                run = pipeline.open(self.recording, stage_cache, content, outputs=self.outputs)
                self._expect_stages(pipeline, run, mixture.duration, is_one_of_many=len(chosen) > 1)
                diarization = run.diarize()
                if not overlap_spans(diarization):
                    return rows, None
                rows.append(self._outcome(label, run, mixture, network))
                self.reporter.finish(self._titled(label))
            if diarization is None:
                raise _nothing_ran(rows)
            name, folder = f"{safe_stem(self.recording.stem)}-compare", self.outputs.folder
            return rows, write_comparison(folder, name, rows, mixture, diarization, count=self.stretches)

    def _titled(self, label: str) -> str:
        return f"{self.recording} with {label}"

    def _tell(self, event: Event) -> None:
        """Pass an event on, but for the opening of the recording, which is told with the separator's name."""
        from meetsplit.pipeline.events import Opened

        if not isinstance(event, Opened):
            self.reporter(event)

    def _expect_stages(self, pipeline: Pipeline, run: RecordingRun, sound: float, *, is_one_of_many: bool) -> None:
        """Tell the reporter how long each stage of a run will take, or at least in which proportion."""
        from meetsplit.console.estimates import StageTimes, estimate
        from meetsplit.console.recording_progress import USUAL_SECONDS
        from meetsplit.pipeline.models.weights import default_cache

        stages = [stage for stage in run.remaining_stages() if self.words or stage != "transcribe"]
        times = StageTimes(self.settings.cache_dir or default_cache()) if self.keep else None
        expected = estimate(pipeline.preflight(), stages, sound, times)
        if expected is not None and expected.total > 0.0:
            self.reporter.expect_stages(expected.seconds)
        elif is_one_of_many:  # then only the proportions of these seconds are shown
            self.reporter.expect_stages({stage: USUAL_SECONDS[stage] * sound for stage in stages})

    def _network(self) -> DnsmosNetwork | None:
        """The network of DNSMOS, where it is installed; a notice where it is not whole."""
        from meetsplit.speakers.dnsmos import DnsmosNetwork

        try:
            return DnsmosNetwork.load(self.settings.threads)
        except StageError as error:
            self._tell_of_marks(error)
            return None

    def _marks(
        self, network: DnsmosNetwork | None, clips: Sequence[StreamInfo], tracks: Mapping[Speaker, Path]
    ) -> Mapping[Speaker, Dnsmos]:
        from meetsplit.pipeline.events import Progressed
        from meetsplit.speakers.dnsmos import voices_marks

        def tell(share: float) -> None:
            self.reporter(Progressed("judge", share, 1.0))

        try:
            return {} if network is None else voices_marks(network, clips, tracks, tell)
        except StageError as error:
            self._tell_of_marks(error)
            return {}

    def _tell_of_marks(self, error: StageError) -> None:
        from meetsplit.pipeline.events import Notice

        self.reporter(Notice(f"separators are compared without DNSMOS: {error}"))

    def _outcome(
        self, label: str, run: RecordingRun, mixture: Audio, network: DnsmosNetwork | None
    ) -> SeparatorOutcome:
        """What a separator makes of the recording; a stage that fails is told in its row."""
        from meetsplit.pipeline.results.comparison import SeparatorOutcome, measure, with_quality
        from meetsplit.pipeline.run.stage_events import stage_events

        is_kept = "separate" not in run.remaining_stages()
        began = time.monotonic()
        try:
            clips = run.separate()
            seconds = None if is_kept else time.monotonic() - began
            transcripts = run.transcribe() if self.words else None
        except StageError as error:
            return SeparatorOutcome(label, problem=str(error))
        with stage_events(self.reporter, "judge", f"judging the voices of {label}"):
            measures = measure(mixture, run.diarize(), clips, run.tracks, transcripts)
            measures = with_quality(measures, clips, run.tracks, self._marks(network, clips, run.tracks))
        return SeparatorOutcome(label, measures, seconds, tracks=run.tracks)


def _problem(pipeline: Pipeline) -> str | None:
    """Why the separator of a pipeline cannot run here; None where it can."""
    try:
        pipeline.preflight()
    except MeetsplitError as error:
        return str(error)
    return None


def _check(settings: Settings, options: GivenOptions) -> None:
    """Raise `SettingsError` for settings with which there is nothing to compare."""
    given = [name for name in _SEPARATION if name in options]
    if given:
        raise SettingsError(
            f"compare takes --separators instead of --{given[0].replace('_', '-')}: "
            "names with commas, convtasnet=FILE for a model of your own"
        )
    if settings.channels == "split" or settings.separate == "off":
        raise SettingsError("a settings file says channels split or separate off: then no voices are taken apart")


def _without_words(settings: Settings, scratch: Path) -> Settings:
    """The settings with an empty file of given words, so that no transcriber is selected or fetched."""
    import dataclasses

    script = scratch / "none.ctm"
    script.write_bytes(b"")
    return dataclasses.replace(settings, transcriber="script", script=script, model=None, align_model=None)


def _chosen(separators: str | None, settings: Settings) -> list[tuple[str, str, str | None]]:
    """The separators to compare: label, name, and model where one is named.

    Raises `SettingsError` for one that does not exist.
    """
    from meetsplit.pipeline.models import registry, weights
    from meetsplit.pipeline.models.weight_sources import weight_sources

    if separators is None:
        cache = settings.cache_dir or weights.default_cache()
        here = [
            name
            for name, backend in registry.BACKENDS["separator"].items()
            if name != "none"
            and registry.missing_package(backend) is None
            and all(
                weights.locate(source, cache=cache) is not None
                for source in weight_sources("separator", name, settings).values()
            )
        ]
        return [(name, name, None) for name in here]
    chosen: list[tuple[str, str, str | None]] = []
    for part in separators.split(","):
        name, _, model = (piece.strip() for piece in part.partition("="))
        if not name:
            raise SettingsError(f"--separators {separators}: a name is missing between two commas")
        if name not in registry.BACKENDS["separator"]:
            raise SettingsError(f"--separators {name}: {nearest(name, registry.BACKENDS['separator'])}")
        if model and name not in registry.BLIND_MODELS:
            raise SettingsError(f"--separators {part.strip()}: {name} has no models to choose from")
        same = sum(other == name for _, other, _ in chosen)
        chosen.append((f"{name}-{same + 1}" if same else name, name, model or None))
    return chosen


def _nothing_ran(rows: Sequence[SeparatorOutcome]) -> Exception:
    if not rows:
        return SettingsError("no separator can run here now: name one with --separators, or see `meetsplit doctor`")
    sentences = "; ".join(f"{row.separator}: {row.problem}" for row in rows)
    return SettingsError(f"none of these separators can run here. {sentences}")


def _show(console: Terminal, rows: Sequence[SeparatorOutcome], *, words: bool) -> None:
    from rich.text import Text

    console.print(_table([row for row in rows if row.measures is not None], words=words))
    for row in rows:
        if row.problem is not None:
            console.print(Text(f"{row.separator}: {row.problem}", style="red"), soft_wrap=True)


def _table(rows: Sequence[SeparatorOutcome], *, words: bool) -> Table:
    """A row per separator; 80 columns suffice."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("separator", overflow="fold")
    has_marks = any(row.measures is not None and row.measures.dnsmos is not None for row in rows)
    headings = ("taken apart", "margin", "bleed", *(("sound",) if has_marks else ()), "review", "residual")
    for heading in (*headings, *(("words", "sure") if words else ()), "took"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        measures = row.measures
        if measures is None:
            continue
        share = measures.separated / measures.overlapped if measures.overlapped else 0.0
        cells = [
            f"{measures.separated:.0f} s, {share:.0%}",
            "–" if measures.margin is None else f"{measures.margin:.2f}",
            "–" if measures.bleed is None else f"{measures.bleed:.0f} dB",
            *((("–" if measures.dnsmos is None else f"{measures.dnsmos.ovr:.1f}"),) if has_marks else ()),
            f"{measures.review:.0%}",
            "–" if measures.residual is None else f"{round(measures.residual)} dB",
        ]
        if words:
            cells += [str(measures.words), "–" if measures.confidence is None else f"{measures.confidence:.0%}"]
        table.add_row(row.separator, *cells, "kept" if row.seconds is None else f"{row.seconds:.0f} s")
    return table
