"""Backends and their weights: which one runs, where its files come from, whether they are whole."""
