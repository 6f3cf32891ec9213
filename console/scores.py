"""The command `score`: error rates of transcripts, and SI-SDR of tracks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from meetsplit.console.terminal import Terminal


def score(  # noqa: PLR0913 - one parameter per option, in the shape that typer reads
    hypotheses: Annotated[
        list[Path],
        typer.Argument(
            help="Transcripts or turns: JSON (ours, WhisperX), STM, SegLST, RTTM.",
            show_default=False,
            metavar="FILE",
        ),
    ],
    *,
    ref: Annotated[
        list[Path],
        typer.Option(help="The truth: RTTM, STM or SegLST; may be repeated.", show_default=False, metavar="FILE"),
    ],
    stems: Annotated[
        Path | None,
        typer.Option(help="True voices, STEMS/<recording>/<speaker>.wav, to score our tracks with.", metavar="STEMS"),
    ] = None,
    uem: Annotated[
        Path | None, typer.Option(help="UEM file with the times to score. (default: all)", metavar="FILE")
    ] = None,
    collar: Annotated[
        float, typer.Option(help="Seconds around turn edges that DER leaves out, on each side.", metavar="SECONDS")
    ] = 0.0,
    skip_overlap: Annotated[bool, typer.Option("--skip-overlap", help="DER leaves out overlapped speech.")] = False,
    normalizer: Annotated[str, typer.Option(help="english (Whisper's), basic or none.", metavar="TEXT")] = "english",
    as_json: Annotated[bool, typer.Option("--json", help="Print data instead of a table.")] = False,
) -> None:
    """Compare transcripts with the truth: DER, JER, cpWER, tcpWER, and sound."""
    from meetsplit.pipeline.formats.control_characters import json_escaped
    from meetsplit.scoring.pairing import pair_up
    from meetsplit.scoring.protocol import Protocol
    from meetsplit.scoring.report import as_data, as_table
    from meetsplit.scoring.scores import score as scored
    from meetsplit.scoring.separation_files import score_stems

    protocol = Protocol(collar=collar, skip_overlap=skip_overlap, uem=uem.name if uem else None, normalizer=normalizer)
    paired = pair_up(hypotheses, ref, uem)
    separation, notices = score_stems(paired.pairs, stems) if stems is not None else ({}, ())
    scores = scored(paired.pairs, protocol, separation=separation, notices=(*paired.notices, *notices))
    text = json_escaped(json.dumps(as_data(scores), indent=2)) if as_json else as_table(scores)
    console = Terminal()
    console.print(text, highlight=False, markup=False, soft_wrap=as_json or not console.is_terminal)
