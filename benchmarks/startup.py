"""Start-up time of the command line: `meetsplit --help` and `--version`, beside Python and the libraries that print.

    python -m meetsplit.benchmarks.startup [--runs 15] [--write]

Every command runs in a process of its own; the commands take turns, so that a busy moment of the machine lengthens all
of them. `import typer, rich` is the floor of a command line with these libraries; its help pages need
`typer.rich_utils`, too.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from meetsplit.benchmarks.report_page import argument_parser, command_line, publish

COMMANDS: Mapping[str, Sequence[str]] = {
    "`meetsplit --help`": ("-m", "meetsplit.cli", "--help"),
    "`meetsplit --version`": ("-m", "meetsplit.cli", "--version"),
    "`python -c pass`": ("-c", "pass"),
    "`import typer, rich`": ("-c", "import typer, rich"),
    "`import typer.rich_utils`": ("-c", "import typer.rich_utils"),
}


def timed(arguments: Sequence[str]) -> tuple[float, float]:
    """Wall-clock and processor seconds of one Python process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def rows(runs: int) -> list[str]:
    """The table: medians of each command."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for arguments in COMMANDS.values():
        timed(arguments)  # so that all code is compiled and in the disk cache
    for _ in range(runs):
        for name, arguments in COMMANDS.items():
            times[name].append(timed(arguments))
    lines = [f"| medians of {runs} runs | time | processor time |", "|---|--:|--:|"]
    for name, pairs in times.items():
        wall = statistics.median(pair[0] for pair in pairs)
        processor = statistics.median(pair[1] for pair in pairs)
        lines.append(f"| {name} | {wall:.2f} s | {processor:.2f} s |")
    return lines


def main() -> None:
    """Measure, print, and put into the page if asked."""
    parser = argument_parser(__doc__)
    parser.add_argument("--runs", type=int, default=15)
    chosen = parser.parse_args()
    publish("startup", "\n".join(rows(chosen.runs)), command_line("startup"), into_page=chosen.write)


if __name__ == "__main__":
    main()
