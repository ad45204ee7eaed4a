"""Sampling: the host, its defects, their distorted starts, the dense pool, and who is held out."""
