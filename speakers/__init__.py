"""Speakers: embeddings, matching and verification of voices; one track per speaker."""
