"""Measuring: what was heard against what was said, with the protocol beside every number."""
