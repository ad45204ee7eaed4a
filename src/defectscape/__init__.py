"""Charged point defects at hybrid quality from one charge-embedded, multi-fidelity potential."""

__version__ = "0.1.0"
