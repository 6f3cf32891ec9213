"""Transcription: one file per backend."""
