"""Thermodynamics of charged defects: limits, corrections, formation energies, levels, curves."""
