"""Separation of overlapping voices: one file per backend."""
