"""Diarization: one file per backend."""
