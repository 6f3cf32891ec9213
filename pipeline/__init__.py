"""One recording in, one transcript out: values, stages, and their conductor."""
