"""Benchmarks of speed and quality: every number in the documentation is printed from here."""
