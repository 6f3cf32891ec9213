"""What was said: one file per backend."""
