"""Scoring of transcripts, turns and separated tracks against references, with the protocol beside every number."""
