"""Decoding: any container that PyAV opens becomes `Audio` on the recording's clock."""
