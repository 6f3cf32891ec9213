"""The command line: options, commands, progress, tables."""
