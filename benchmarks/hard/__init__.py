"""Defects that reconstruct: finished studies against every start relaxed with the engine itself."""
