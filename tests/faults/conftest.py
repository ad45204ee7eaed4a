"""The study of pair energies for all tests of faults."""

from support.faulty_study import here, pooled, searched, trained

__all__ = ["here", "pooled", "searched", "trained"]
