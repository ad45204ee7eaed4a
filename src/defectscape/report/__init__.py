"""The answer: one machine-readable summary and one page made from it."""
