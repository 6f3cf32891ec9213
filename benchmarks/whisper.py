"""Benchmark of the transcribers `whisper` and `faster-whisper` against `whisper.transcribe`, on the same weights.

    python -m meetsplit.benchmarks.whisper --model mini base --minutes 2 [--write]
    python -m meetsplit.benchmarks.whisper --model mini --recordings build/meetings/3spk/*.wav
    python -m meetsplit.benchmarks.whisper --model large-v3 --device cuda --batches 1 4 16 64 --json FILE
    python -m meetsplit.benchmarks.whisper --show FILE --section whisper-gpu --write

``mini`` is the trained miniature Whisper of ``tests/models`` on the sample meeting, or on ``--recordings`` with .rttm
and .stm beside them, pooled: true turns, overlaps taken apart by `adapted` without adaptation; its words are scored,
too. All others have random weights in the shapes of OpenAI's models: what they write means nothing, so every window
gets a fixed number of tokens, `TOKENS_PER_SECOND` for each second of speech in it (in a batch: in its longest window),
whoever decodes it, and there is no fallback. They transcribe a meeting of noise in which four people take turns of 0.5
to 20 seconds, 5 on average.
"""

from __future__ import annotations

import datetime
import itertools
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import whisper
from torch import Tensor
from whisper.decoding import DecodingOptions, DecodingTask
from whisper.model import ModelDimensions, Whisper

from meetsplit.benchmarks.report_page import argument_parser, command_line, publish, put
from meetsplit.pipeline.data import Audio, Span
from meetsplit.pipeline.events import ignore_events
from meetsplit.pipeline.settings import Settings
from meetsplit.pipeline.transcribers.faster_whisper import CTranslate2WindowDecoder, FasterWhisperTranscriber
from meetsplit.pipeline.transcribers.hallucinations import RawWord
from meetsplit.pipeline.transcribers.whisper import WhisperTranscriber
from meetsplit.pipeline.transcribers.whisper_languages import RATE
from meetsplit.pipeline.transcribers.whisper_options import temperatures
from meetsplit.pipeline.transcribers.whisper_windows import DecodedText, WindowDecoder, WindowJob, WindowText

if TYPE_CHECKING:
    from meetsplit.scoring.sessions import Session

DIMENSIONS = {
    "base": ModelDimensions(80, 1500, 512, 8, 6, 51865, 448, 512, 8, 6),
    "large-v3-turbo": ModelDimensions(128, 1500, 1280, 20, 32, 51866, 448, 1280, 20, 4),
    "large-v3": ModelDimensions(128, 1500, 1280, 20, 32, 51866, 448, 1280, 20, 32),
}
"""The shapes of OpenAI's models."""

TOKENS_PER_SECOND = 4.0
"""Text tokens per second of speech: English has about three words a second, of 1.3 tokens each."""

PACKINGS = (0.0, 12.0, 28.0)
"""Seconds up to which clips are packed into windows; 0: a clip per window."""

TEST_MODEL = Path(__file__).parents[1] / "tests" / "models" / "mini-whisper.safetensors"
SAMPLE = Path(__file__).parents[1] / "sample_data"


@dataclass(frozen=True, slots=True, eq=False)
class Meeting:
    """Clips of each speaker's stream, on the clock of a meeting of ``duration`` seconds.

    ``recording`` is the file that they come from, None for noise.
    """

    streams: tuple[tuple[Audio, ...], ...]
    duration: float
    recording: Path | None = None

    @property
    def turns(self) -> list[Audio]:
        """All clips, stream by stream."""
        return [clip for clips in self.streams for clip in clips]

    @property
    def speech(self) -> float:
        """Seconds of all clips together."""
        return sum(clip.duration for clip in self.turns)

    def tracks(self) -> Iterator[Audio]:
        """Each stream in full length, silent between the clips."""
        for clips in self.streams:
            samples = np.zeros(round(self.duration * RATE), np.float32)
            for clip in clips:
                first = round(clip.start * RATE)
                samples[first : first + len(clip.samples)] = clip.samples[: len(samples) - first]
            yield Audio(samples, RATE)


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement: how long it took, on the clock and in processor time, what it decoded, and peak GPU memory.

    ``texts``: one for each clip, stream by stream, or for each stream; ``cpwer``: the rate in percent, if any.
    """

    model: str
    how: str
    minutes: float
    windows: int
    seconds: float
    processor_seconds: float
    gib: float | None
    texts: tuple[str, ...] = ()
    cpwer: float | None = None


def noise_meeting(minutes: float, speakers: int = 4) -> Meeting:
    """A meeting of noise: speakers in turn, turns of log-normal length, half a second between them; always the same."""
    rng = np.random.default_rng(0)
    streams: list[list[Audio]] = [[] for _ in range(speakers)]
    at, last = 0.5, -1
    while True:
        length = round(float(np.clip(rng.lognormal(1.3, 0.8), 0.5, 20.0)) * RATE)
        if at + length / RATE > 60 * minutes:
            return Meeting(tuple(map(tuple, streams)), 60 * minutes)
        last = int(rng.choice([number for number in range(speakers) if number != last]))
        swell = 0.1 * (0.55 - 0.45 * np.cos(2 * np.pi * 4.0 * np.arange(length) / RATE))  # even noise is no voice
        samples = (swell * rng.standard_normal(length, np.float32)).astype(np.float32)
        streams[last].append(Audio(samples, RATE, round(at * RATE) / RATE))
        at += length / RATE + 0.5


def recorded_meeting(recording: Path) -> Meeting:
    """A recording with the turns of the .rttm beside it, overlaps taken apart by `adapted` without adaptation."""
    from meetsplit.pipeline.audio.wav import read_span
    from meetsplit.pipeline.cache.stage_cache import StageCache
    from meetsplit.pipeline.run import Pipeline

    with tempfile.TemporaryDirectory() as folder:
        no_words = Path(folder) / "no-words.stm"
        no_words.touch()
        settings = Settings(
            rttm=recording.with_suffix(".rttm"),
            separator="adapted",
            adapt_budget=0.0,
            script=no_words,
            device="cpu",
            offline=True,
        )
        run = Pipeline(settings).open(recording, StageCache(Path(folder)))
        clips: dict[str, list[Audio]] = {}
        for info in run.separate():
            clips.setdefault(info.speaker, []).append(read_span(run.tracks[info.speaker], info.span))
        streams = tuple(tuple(clips[speaker]) for speaker in sorted(clips))
        return Meeting(streams, run.diarize().duration, recording)


def cpwer(meetings: Sequence[Meeting], texts: Sequence[Sequence[str]]) -> float:
    """cpWER in percent of all meetings together, with a text for each clip, or for each stream, of each of them."""
    from meetsplit.scoring.pairing import Pair
    from meetsplit.scoring.protocol import Protocol
    from meetsplit.scoring.scores import score

    pairs = [Pair(f"{n}", *_sessions(*own)) for n, own in enumerate(zip(meetings, texts, strict=True))]
    rate = score(pairs, Protocol()).pooled.total.words["cpwer"].rate
    return 100 * rate if rate is not None else float("nan")


def _sessions(meeting: Meeting, texts: Sequence[str]) -> tuple[Session, Session]:
    """What was said by the ``.stm`` beside the recording, and what was understood."""
    from meetsplit.scoring.session_files import read_sessions
    from meetsplit.scoring.sessions import Utterance, make_session

    if meeting.recording is None:
        raise ValueError("noise has no words")
    whole = Span(0.0, meeting.duration)
    labels = [str(number) for number, clips in enumerate(meeting.streams) for _ in clips]
    spans = [clip.span for clip in meeting.turns]
    if len(texts) == len(meeting.streams):
        labels, spans = [str(number) for number in range(len(texts))], [whole] * len(texts)
    utterances = [Utterance(*entry) for entry in zip(spans, labels, texts, strict=True) if entry[2].strip()]
    (reference,) = read_sessions(meeting.recording.with_suffix(".stm"))
    return reference, make_session(reference.recording, "the benchmark", utterances)


def random_model(name: str, device: str) -> Any:
    """A Whisper with random weights in the shape of OpenAI's model of that name, and its alignment heads."""
    with torch.device(device), torch.random.fork_rng(devices=[device] if device == "cuda" else []):
        torch.manual_seed(0)
        model = Whisper(DIMENSIONS[name])
        with torch.no_grad():
            model.decoder.positional_embedding.normal_(std=0.02)
    model.set_alignment_heads(whisper._ALIGNMENT_HEADS[name])
    return model.eval()


def trained_model(device: str) -> Any:
    """The miniature Whisper through openai-whisper's own loader."""
    from meetsplit.training.mini_whisper.model import to_openai_checkpoint

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mini.pt"
        torch.save(to_openai_checkpoint(TEST_MODEL), path)
        return whisper.load_model(str(path), device=device).eval()


def token_count(seconds: float) -> int:
    """The fixed number of tokens for so much speech."""
    return max(1, round(TOKENS_PER_SECOND * seconds))


def _two_words_a_second(seconds: float) -> tuple[RawWord, ...]:
    """Words in place of random ones, which would often be too many or too few for a clip."""
    return tuple(RawWord(start, start + 0.4, "word", 0.5) for start in np.arange(0.05, seconds, 0.5).tolist())


class _FixedTokens(WindowDecoder):
    """A decoder as it is, but every window of a batch gets the tokens of the longest one, and no timestamps."""

    def decoding_task(self, language: str) -> DecodingTask:
        if language not in self._tasks:
            suppressed = [-1, whisper.tokenizer.get_tokenizer(True).eot]
            options = DecodingOptions(language=language, without_timestamps=True, suppress_tokens=suppressed)
            self._tasks[language] = DecodingTask(self._model, options)
        return self._tasks[language]

    def decode(self, jobs: Sequence[WindowJob]) -> list[WindowText]:
        speech = (sum(piece.audio.duration for piece in job.window.pieces) for job in jobs)
        self.decoding_task("en").sample_len = token_count(max(speech))
        return [
            replace(text, words=_two_words_a_second(job.window.duration), decoded_until=None, failed=False)
            for job, text in zip(jobs, super().decode(jobs), strict=True)
        ]

    def _with_fallback(self, features: Tensor, jobs: Sequence[WindowJob]) -> list[DecodedText]:
        texts = self._search(features, [job.language for job in jobs], 0.0)
        return [
            replace(text, log_probability=0.0, no_speech=0.0, compression_ratio=1.0, out_of_pace=False)
            for text in texts
        ]


class _FixedTokensOfCTranslate2(_FixedTokens, CTranslate2WindowDecoder):
    """The same for CTranslate2's engine."""


class FixedTokenTranscriber(WhisperTranscriber):
    """The transcriber `whisper` with a fixed number of tokens."""

    decoder_type = _FixedTokens


class FixedTokenFasterWhisper(FasterWhisperTranscriber):
    """The transcriber `faster-whisper` with a fixed number of tokens."""

    decoder_type = _FixedTokensOfCTranslate2


@contextmanager
def one_decoding_per_window() -> Iterator[None]:
    """A context in which `whisper.transcribe` goes on where a window ends, wherever it puts its last random word."""
    module: Any = sys.modules["whisper.transcribe"]
    original = module.add_word_timestamps

    def to_the_end(*, segments: list[dict[str, Any]], num_frames: int, **options: Any) -> None:
        original(segments=segments, num_frames=num_frames, **options)
        for segment in segments:
            if segment["words"]:
                segment["words"][-1]["end"] = (segment["seek"] + num_frames) / 100

    module.add_word_timestamps = to_the_end
    try:
        yield
    finally:
        module.add_word_timestamps = original


def reference(model: Any, clip: Audio, tokens: int | None) -> str:
    """The text of one clip by `whisper.transcribe` with word times; with ``tokens``, every window gets so many."""
    usual = Settings()
    options: dict[str, Any] = {"beam_size": usual.beam_size, "word_timestamps": True}
    options |= {"condition_on_previous_text": False}
    options |= {"language": "en", "fp16": model.device.type == "cuda", "verbose": None}
    if tokens is None:
        attempts = temperatures(usual.temperature, usual.temperature_increment_on_fallback)
        options |= {"temperature": attempts, "best_of": usual.best_of}
    else:
        end = whisper.tokenizer.get_tokenizer(True).eot
        options |= {"temperature": 0.0, "sample_len": tokens, "without_timestamps": True}
        options |= {"suppress_tokens": f"-1,{end}", "compression_ratio_threshold": None}
        options |= {"logprob_threshold": None, "no_speech_threshold": None}
    return str(whisper.transcribe(model, np.array(clip.samples), **options)["text"])


@contextmanager
def cpu_alignment() -> Iterator[None]:
    """A context in which openai-whisper aligns on the CPU where its Triton kernels do not build."""
    import whisper.timing as timing

    original = timing.dtw, timing.median_filter

    def median(x: Tensor, width: int) -> Tensor:
        padded = torch.nn.functional.pad(x, (width // 2, width // 2, 0, 0), mode="reflect")
        return padded.unfold(-1, width, 1).sort()[0][..., width // 2]

    timing.dtw, timing.median_filter = (lambda x: timing.dtw_cpu(x.double().cpu().numpy())), median
    try:
        yield
    finally:
        timing.dtw, timing.median_filter = original


def alignment_of_the_reference(device: torch.device) -> AbstractContextManager[None]:
    """A context in which openai-whisper can align on the device: its Triton kernels do not build with every version."""
    if device.type != "cuda":
        return nullcontext()
    from whisper.timing import dtw, median_filter

    try:
        dtw(median_filter(torch.randn(2, 20, 200, device=device), 7)[0])
    except Exception as error:
        print(f"openai-whisper aligns on the CPU: {type(error).__name__}: {error}", file=sys.stderr)
        return cpu_alignment()
    return nullcontext()


def timed(model: str, how: str, meeting: Meeting, windows: int, work: Callable[[], Sequence[str]]) -> Row:
    """The row of some work."""
    is_gpu = torch.cuda.is_available() and torch.cuda.memory_allocated() > 0
    if is_gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    began, processor = time.perf_counter(), time.process_time()
    texts = tuple(work())
    if is_gpu:
        torch.cuda.synchronize()
    row = Row(
        model,
        how,
        meeting.duration / 60,
        windows,
        time.perf_counter() - began,
        time.process_time() - processor,
        torch.cuda.max_memory_allocated() / 2**30 if is_gpu else None,
        texts,
    )
    print(f"{model}, {how}: {row.seconds:.2f} s", file=sys.stderr, flush=True)
    return row


def measure_reference(name: str, model: Any, meeting: Meeting, *, streams: bool) -> Iterator[Row]:
    """`whisper.transcribe` for each turn, and for each stream in full length."""
    fixed = name != "mini"
    with one_decoding_per_window() if fixed else nullcontext(), alignment_of_the_reference(model.device):
        turns = meeting.turns
        reference(model, turns[0], token_count(2.0) if fixed else None)
        yield timed(
            name,
            "whisper.transcribe per turn",
            meeting,
            len(turns),
            lambda: [reference(model, clip, token_count(clip.duration) if fixed else None) for clip in turns],
        )
        if streams:
            tracks = list(meeting.tracks())
            windows = sum(-(-len(track.samples) // (30 * RATE)) for track in tracks)
            tokens = token_count(meeting.speech / windows) if fixed else None
            yield timed(
                name,
                "whisper.transcribe per full-length stream",
                meeting,
                windows,
                lambda: [reference(model, track, tokens) for track in tracks],
            )


def measure_ours(
    name: str, model: Any, meeting: Meeting, batches: Sequence[int], packings: Sequence[float]
) -> Iterator[Row]:
    """Our transcriber at each batch size, packed up to so many seconds; with 0, one clip per window."""
    settings = Settings(language="en")
    kind = WhisperTranscriber if name == "mini" else FixedTokenTranscriber
    for seconds, batch in itertools.product(packings, batches):
        transcriber = kind(model, settings)
        transcriber.batch_size = batch
        yield measure_packed(name, "", transcriber, meeting, seconds)


def measure_packed(name: str, prefix: str, transcriber: WhisperTranscriber, meeting: Meeting, seconds: float) -> Row:
    """A transcriber with its clips packed up to so many seconds, with 0 one per window, after a first try of two."""
    transcriber.pack_seconds = seconds
    list(transcriber.transcribe_streams([meeting.streams[0][:2]], ignore_events))
    windows = 0
    decode = transcriber.decoder.decode

    def counted(jobs: Sequence[WindowJob]) -> list[WindowText]:
        nonlocal windows
        windows += len(jobs)
        return decode(jobs)

    transcriber.decoder.decode = counted  # type: ignore[method-assign]
    packing = f"packed up to {seconds:g} s" if seconds else "a clip per window"
    how = f"{prefix}{packing}, batch {transcriber.batch_size}"
    row = timed(name, how, meeting, 0, partial(_texts, transcriber, meeting))
    transcriber.decoder.decode = decode  # type: ignore[method-assign]
    return replace(row, windows=windows)


def measure_faster_whisper(
    name: str, model: Any, meeting: Meeting, batch: int, packings: Sequence[float]
) -> Iterator[Row]:
    """`faster-whisper` with the same weights for each precision, packed up to so many seconds."""
    from meetsplit.training.mini_whisper.conversion import write_ctranslate2

    kind = FasterWhisperTranscriber if name == "mini" else FixedTokenFasterWhisper
    with tempfile.TemporaryDirectory() as folder:
        weights = {"model": write_ctranslate2(model, Path(folder) / "converted")}
        for compute_type, seconds in itertools.product(("float32", "int8"), packings):
            settings = Settings(language="en", compute_type=compute_type)
            transcriber = kind.load(settings, weights, model.device.type)
            transcriber.batch_size = batch
            yield measure_packed(name, f"faster-whisper, {compute_type}, ", transcriber, meeting, seconds)


def _texts(transcriber: WhisperTranscriber, meeting: Meeting) -> list[str]:
    """The text of each clip."""
    answers = transcriber.transcribe_streams(meeting.streams, ignore_events)
    return [" ".join(word.text for word in answer.words) for answer in answers]


def table(rows: Sequence[Row]) -> Iterator[str]:
    """One line per row; the factor is over `whisper.transcribe` per turn of the same model, per minute of meeting."""
    columns = (
        "minutes",
        "windows",
        "seconds",
        "processor s",
        "real-time factor",
        "times faster",
        "cpWER %",
        "GPU, GiB",
    )
    yield f"| model | how | {' | '.join(columns)} |"
    yield "|---|---|" + "--:|" * len(columns)
    per_turn = {row.model: row.seconds / row.minutes for row in rows if row.how.endswith("per turn")}
    for row in rows:
        faster = per_turn.get(row.model, float("nan")) / (row.seconds / row.minutes)
        memory, errors = ("–" if value is None else f"{value:.1f}" for value in (row.gib, row.cpwer))
        yield (
            f"| {row.model} | {row.how} | {row.minutes:g} | {row.windows} | {row.seconds:.1f} | "
            f"{row.processor_seconds:.1f} | {row.seconds / (60 * row.minutes):.4f} | {faster:.1f} | "
            f"{errors} | {memory} |"
        )


def machine() -> str:
    """Processor cores that this process may use, threads, GPU, and torch's version."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{cores} cores ({platform.machine()}), {torch.get_num_threads()} threads, {gpu}, torch {torch.__version__}"


def main() -> None:
    """Measure, print, and put into the page with ``--write``."""
    parser = argument_parser(__doc__)
    parser.add_argument("--model", nargs="+", default=["mini"], choices=["mini", *DIMENSIONS])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--minutes", type=float, default=5.0, help="of the meeting of noise")
    parser.add_argument("--recordings", type=Path, nargs="+", default=[SAMPLE / "standup.m4a"], help="for mini")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16])
    parser.add_argument(
        "--reference",
        choices=["turns", "streams"],
        nargs="*",
        default=["turns", "streams"],
        help="what whisper.transcribe is given; nothing without a name",
    )
    parser.add_argument("--unpacked", action="store_true", help="a clip per window only")
    parser.add_argument("--json", type=Path, help="write the measurements here, for --show, and not into the page")
    parser.add_argument("--show", type=Path, nargs="+", help="measurements made elsewhere; a section for each file")
    parser.add_argument("--section", default="whisper", help="of the page")
    args = parser.parse_args()
    if args.show:
        for number, path in enumerate(args.show):
            content = json.loads(path.read_text("utf-8"))
            section = args.section if not number else f"{args.section}-{number + 1}"
            rows = [Row(**row) for row in content["rows"]]
            put(section, "\n".join([*table(rows), "", content["made_by"]]), into_page=args.write)
        return
    measured: list[Row] = []
    for name in args.model:
        measured += measure(
            name,
            args.device,
            [recorded_meeting(path) for path in args.recordings] if name == "mini" else [noise_meeting(args.minutes)],
            args.batches,
            references=args.reference,
            with_packing=not args.unpacked,
        )
    if args.json:
        args.json.write_text(json.dumps(document(measured, command_line("whisper"))), "utf-8")
        print("\n".join(table(measured)))
    else:
        publish(args.section, "\n".join(table(measured)), command_line("whisper"), into_page=args.write)


def measure(
    name: str,
    device: str,
    meetings: Sequence[Meeting],
    batches: Sequence[int],
    *,
    references: Sequence[str] = ("turns", "streams"),
    with_packing: bool = True,
) -> list[Row]:
    """All rows of one model, each for all meetings together."""
    model = trained_model(device) if name == "mini" else random_model(name, device)
    measured: list[list[Row]] = []
    for meeting in meetings:
        rows = list(measure_reference(name, model, meeting, streams="streams" in references)) if references else []
        packings = PACKINGS if with_packing else (0.0,)
        rows += measure_ours(name, model, meeting, batches, packings)
        rows += measure_faster_whisper(name, model, meeting, max(batches), packings)
        measured.append(rows)
    return [pooled(meetings, rows) for rows in zip(*measured, strict=True)]


def pooled(meetings: Sequence[Meeting], rows: Sequence[Row]) -> Row:
    """One row for the same work on several meetings; with the cpWER where they are recordings."""
    memory = [row.gib for row in rows if row.gib is not None]
    return Row(
        rows[0].model,
        rows[0].how,
        sum(row.minutes for row in rows),
        sum(row.windows for row in rows),
        sum(row.seconds for row in rows),
        sum(row.processor_seconds for row in rows),
        max(memory) if memory else None,
        tuple(text for row in rows for text in row.texts),
        None if meetings[0].recording is None else cpwer(meetings, [row.texts for row in rows]),
    )


def document(rows: Sequence[Row], command: Sequence[str]) -> Mapping[str, Any]:
    """Rows with the command and the machine that made them, as JSON."""
    today = datetime.date.today().isoformat()
    return {"rows": [asdict(row) for row in rows], "made_by": f"`{' '.join(command)}`, {today}; {machine()}."}


if __name__ == "__main__":
    main()
