"""One voice at a time: one file per backend."""
