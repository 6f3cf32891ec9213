"""Recipes of our own weights, and the simulated meetings that they, the tests and the benchmarks are made of."""
