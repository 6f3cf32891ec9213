"""Speaker embeddings: one file per backend."""
