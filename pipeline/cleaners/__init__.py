"""Cleaners: music and noise taken out of a recording before anything else hears it."""
