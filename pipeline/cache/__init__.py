"""Finished stages of a recording, kept with their checksums, and their limits of size and age."""
