"""Benchmarks: what the methods are worth, measured on labels that no model has seen."""
