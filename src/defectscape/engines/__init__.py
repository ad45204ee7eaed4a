"""Engines: what computes labels, and the one way through the store that everything uses."""
