"""``python -m meetsplit``: the command line."""

from meetsplit.cli import main

if __name__ == "__main__":
    main()
