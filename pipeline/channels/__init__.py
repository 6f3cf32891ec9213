"""Recordings with a channel or a file per speaker: voice activity and crosstalk cancellation."""
