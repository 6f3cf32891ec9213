"""Benchmark of the transcribers `whisper` and `faster-whisper` against `whisper.transcribe`, on the same weights.

`python -m meetsplit.benchmarks.whisper` runs it (`__main__`): `meetings` are transcribed with `models` by the
`reference` and by ours (`measuring`), and `report` prints the rows.
"""
