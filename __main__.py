"""``python -m meetsplit``: the command line."""

from meetsplit.cli import main

main()
