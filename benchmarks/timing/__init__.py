"""Timings: training, relaxation, and what the pipeline itself takes beside its labels."""
