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

import json
from pathlib import Path

from meetsplit.benchmarks.report_page import argument_parser, command_line, publish, put
from meetsplit.benchmarks.whisper.measuring import Row, measure
from meetsplit.benchmarks.whisper.meetings import noise_meeting, recorded_meeting
from meetsplit.benchmarks.whisper.models import DIMENSIONS
from meetsplit.benchmarks.whisper.report import document, table

SAMPLE = Path(__file__).parents[2] / "sample_data"


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


if __name__ == "__main__":
    main()
