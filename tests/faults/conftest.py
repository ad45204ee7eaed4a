"""The study of pair energies for all tests of faults."""

from support.faulty_fixtures import here, pooled, searched, trained

__all__ = ["here", "pooled", "searched", "trained"]
