"""What a voice looks like as numbers: one file per backend."""
