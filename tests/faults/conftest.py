"""The study of pair energies for all tests of faults."""

from faulty_fixtures import pooled, searched, trained

__all__ = ["pooled", "searched", "trained"]
