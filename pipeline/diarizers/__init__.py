"""Who spoke when: one file per backend."""
